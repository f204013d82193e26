//! One node of a cluster: a process, its ports, its folder.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::doors::Doors;
use crate::network::Machine;
use crate::process::Process;
use crate::{http, ports, tools};

/// What a node is to be.
#[derive(Clone, Debug)]
pub struct Setup {
    name: String,
    more: String,
    paths: String,
    zone: String,
    disk_megabytes: Option<u32>,
    machine: Option<Arc<Machine>>,
    all_doors: bool,
    workers: usize,
}

impl Setup {
    /// A node with this label and the defaults.
    pub fn new(name: &str) -> Self {
        let (name, more, paths, zone) = (name.to_owned(), String::new(), String::new(), String::new());
        Self { name, more, paths, zone, disk_megabytes: None, machine: None, all_doors: false, workers: 1 }
    }

    /// On a machine of its own.
    #[must_use]
    pub fn on(mut self, machine: Arc<Machine>) -> Self {
        self.machine = Some(machine);
        self
    }

    /// With a data folder on a disk of its own, so large, which is new at each start and which only the node sees.
    #[must_use]
    pub const fn on_small_disk(mut self, megabytes: u32) -> Self {
        self.disk_megabytes = Some(megabytes);
        self
    }

    /// With HLS, WebRTC, and RTSP over UDP, too.
    #[must_use]
    pub const fn with_all_doors(mut self) -> Self {
        self.all_doors = true;
        self
    }

    /// In a zone.
    #[must_use]
    pub fn in_zone(mut self, zone: &str) -> Self {
        self.zone = format!("  zone: {zone}\n");
        self
    }

    /// Under a name that clients are told.
    #[must_use]
    pub fn known_as(mut self, host: &str) -> Self {
        self.zone += &format!("  publicHost: '{host}'\n");
        self
    }

    /// With so many workers instead of one.
    #[must_use]
    pub const fn with_workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// With a path and what is configured for it.
    #[must_use]
    pub fn with_path(mut self, name: &str, keys: &str) -> Self {
        self.paths += &format!("  {name}: {{{keys}}}\n");
        self
    }

    /// With more lines of YAML.
    #[must_use]
    pub fn with(mut self, more: &str) -> Self {
        self.more += more;
        self.more.push('\n');
        self
    }
}

/// A node, which may run.
#[derive(Debug)]
pub struct Node {
    /// Its label.
    pub name: String,
    more: String,
    paths: String,
    zone: String,
    disk_megabytes: Option<u32>,
    machine: Option<Arc<Machine>>,
    rtsp: u16,
    rtmp: u16,
    doors: Option<Doors>,
    workers: usize,
    api: u16,
    mesh: u16,
    folder: PathBuf,
    bootstrap: String,
    program: PathBuf,
    process: Option<Process>,
    past: String,
    /// Counts its starts.
    lives: Arc<AtomicU64>,
}

/// How long an answer may take. A node without a quorum takes a moment before it gives its own view.
const ANSWER: Duration = Duration::from_millis(1500);

impl Node {
    pub(super) fn new(setup: &Setup, base: &Path) -> Self {
        // Nodes of the same label may follow each other.
        let folder = tempfile::Builder::new().prefix(&setup.name).tempdir_in(base).expect("make a folder").keep();
        Self {
            name: setup.name.clone(),
            more: setup.more.clone(),
            paths: setup.paths.clone(),
            zone: setup.zone.clone(),
            disk_megabytes: setup.disk_megabytes,
            machine: setup.machine.clone(),
            rtsp: ports::tcp(),
            rtmp: ports::tcp(),
            doors: setup.all_doors.then(Doors::free),
            workers: setup.workers,
            api: ports::tcp(),
            mesh: ports::tcp_and_udp(),
            folder,
            bootstrap: String::new(),
            program: tools::weft(),
            process: None,
            past: String::new(),
            lives: Arc::default(),
        }
    }

    /// Where others dial it.
    pub fn peer(&self) -> String {
        let host = self.machine.as_ref().map_or(Ipv4Addr::LOCALHOST, |machine| machine.address());
        format!("{host}:{}", self.mesh)
    }

    /// Does something on its machine, where its clients are.
    pub fn inside<R>(&self, work: impl FnOnce() -> R) -> R {
        match &self.machine {
            Some(machine) => machine.inside(work),
            None => work(),
        }
    }

    pub(super) fn machine(&self) -> Option<Arc<Machine>> {
        self.machine.clone()
    }

    pub(super) fn bootstrap(&mut self, peers: &[String]) {
        let (expect, peers) = (peers.len(), peers.join("', '"));
        self.bootstrap = format!("  bootstrap: {{expect: {expect}, peers: ['{peers}'], secretFile: ../secret}}\n");
    }

    fn configuration(&self) -> String {
        let Self { name, more, paths, zone, rtsp, rtmp, workers, api, bootstrap, .. } = self;
        let mesh = self.peer();
        format!(
            "logLevel: debug\napi: yes\napiAddress: 127.0.0.1:{api}\nworkers: {workers}\nchaos: yes\n\
             rtspTransports: [tcp]\nrtspAddress: 127.0.0.1:{rtsp}\nrtmpAddress: 127.0.0.1:{rtmp}\n\
             hls: no\nwebrtc: no\nsrt: no\nmoq: no\n{more}\
             cluster:\n  node: {name}\n  address: {mesh}\n{zone}{bootstrap}paths:\n{paths}  all_others:\n"
        )
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// `weft` with its configuration and folder, to be given arguments.
    pub fn command(&self) -> Command {
        std::fs::write(self.folder.join("weft.yml"), self.configuration()).expect("write the configuration");
        let mut command = match self.disk_megabytes {
            None => Command::new(&self.program),
            Some(megabytes) => self.on_small_disk(megabytes),
        };
        command.envs(self.doors.into_iter().flat_map(Doors::variables));
        command.arg("--config").arg("weft.yml").env("WEFT_DATADIR", self.data()).current_dir(&self.folder);
        command
    }

    /// `weft` in a mount namespace of its own, with the same pid as the command.
    fn on_small_disk(&self, megabytes: u32) -> Command {
        std::fs::create_dir_all(self.data()).expect("make the data folder");
        let mut command = Command::new("unshare");
        // A user namespace makes an ordinary user the root of the mount namespace.
        // SAFETY: takes nothing and cannot fail.
        if unsafe { libc::geteuid() } != 0 {
            command.arg("--map-root-user");
        }
        let script = format!("mount -t tmpfs -o size={megabytes}m tmpfs \"$0\" && exec \"$@\"");
        command.args(["--mount", "--", "sh", "-c"]).arg(script).arg(self.data()).arg(&self.program);
        command
    }

    /// Fills its small disk until nothing more fits.
    pub fn fill_disk(&self) {
        let mut file = std::fs::File::create(self.filler()).expect("make a file on the small disk");
        // Smaller and smaller pieces, for the last one does not fit as a whole.
        for bytes in [1 << 20, 1 << 12, 1] {
            let piece = vec![0; bytes];
            while file.write_all(&piece).is_ok() {}
        }
    }

    /// A file on its small disk, as others see it.
    fn filler(&self) -> PathBuf {
        let pid = self.process.as_ref().expect("the node runs").pid();
        let data = self.data();
        let inside = data.strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(pid.to_string()).join("root").join(inside).join("filler")
    }

    /// From its next start on it is this program.
    pub fn becomes(&mut self, program: PathBuf) {
        self.program = program;
    }

    /// Starts it, and does not wait. In the test's own thread: it dies with that.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// The same with more arguments.
    pub fn start_with(&mut self, arguments: &[&str]) {
        self.end();
        let mut command = self.command();
        command.args(arguments);
        self.lives.fetch_add(1, Ordering::AcqRel);
        self.process = Some(self.inside(|| Process::start(format!("node {}", self.name), command)));
    }

    fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(libc::SIGKILL);
            process.wait(10);
            let _ = writeln!(self.past, "{}\n[killed]", process.log());
        }
    }

    /// `kill -9`. Says when.
    pub fn kill(&mut self) -> Instant {
        let at = Instant::now();
        self.end();
        at
    }

    /// Stops it where it is. Says when.
    pub fn freeze(&self) -> Instant {
        self.signal(libc::SIGSTOP)
    }

    /// It goes on.
    pub fn thaw(&self) -> Instant {
        self.signal(libc::SIGCONT)
    }

    /// Asks it to end, and waits.
    pub fn terminate(&mut self) {
        self.signal(libc::SIGTERM);
        if let Some(process) = &mut self.process {
            process.wait(15);
        }
        self.end();
    }

    fn signal(&self, signal: i32) -> Instant {
        self.process.as_ref().expect("the node runs").signal(signal);
        Instant::now()
    }

    /// Deletes its data. It must not run.
    pub fn wipe(&self) {
        assert!(self.process.is_none(), "{} runs", self.name);
        std::fs::remove_dir_all(self.data()).expect("delete the data folder");
    }

    /// Whether it was started and not ended by the test.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// What it said, if it has ended by itself.
    pub fn ended(&mut self) -> Option<String> {
        self.process.as_mut()?.ended()?;
        Some(self.log())
    }

    /// What it has said in all its lives.
    pub fn log(&self) -> String {
        let now = self.process.as_ref().map(Process::log).unwrap_or_default();
        format!("{}{now}", self.past)
    }

    /// The address of RTSP.
    pub fn rtsp_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.rtsp))
    }

    /// The address of RTMP.
    pub fn rtmp_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.rtmp))
    }

    /// The address of HLS, which it must have been given.
    pub fn hls_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.doors.expect("the node has all doors").hls))
    }

    /// The address of WebRTC's HTTP server, which it must have been given.
    pub fn webrtc_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.doors.expect("the node has all doors").webrtc))
    }

    /// The address of the API.
    pub fn api_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.api))
    }

    pub(super) fn lives(&self) -> Arc<AtomicU64> {
        self.lives.clone()
    }

    /// What it says, if it answers in time and well.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.inside(|| get(self.api_address(), path))
    }

    /// Sends it something.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> http::Answer {
        let limit = Duration::from_secs(10);
        let answer = self.inside(|| http::send(method, self.api_address(), path, &body.to_string(), limit));
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}; {} said:\n{}", self.name, self.log()))
    }

    /// The cluster as it sees it.
    pub fn status(&self) -> Option<Value> {
        self.get("/cluster/status")
    }

    /// What it says of its readiness.
    pub fn ready(&self) -> Option<u16> {
        let asked = self.inside(|| http::send("GET", self.api_address(), "/ready", "", ANSWER));
        asked.ok().map(|answer| answer.status)
    }

    /// A token for one node.
    pub fn token(&self, seconds: u64) -> String {
        let answer = self.send("POST", "/cluster/tokens", &json!({"validForSeconds": seconds}));
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["token"].as_str().expect("a token").to_owned()
    }

    /// Nothing passes between it and this peer (a label, or `*`), both ways, until [`Self::heal`] or a minute is over.
    pub fn cut_off(&self, peer: &str) {
        let wish = json!({"peer": peer, "partition": true, "durationSeconds": 60});
        self.inject(&wish);
    }

    /// All that it sends to other nodes takes so long, until [`Self::heal`] or five minutes are over.
    pub fn delay(&self, milliseconds: u64) {
        let wish = json!({"peer": "*", "direction": "out", "delayMs": milliseconds, "durationSeconds": 300});
        self.inject(&wish);
    }

    /// So many bits a second pass from this peer to it, until [`Self::heal`] or ten minutes are over.
    pub fn narrow(&self, peer: &str, bits_per_second: u64) {
        let bandwidth = json!({"bitsPerSecond": bits_per_second, "queueBytes": 64_000});
        let wish = json!({"peer": peer, "direction": "in", "bandwidth": bandwidth, "durationSeconds": 600});
        self.inject(&wish);
    }

    fn inject(&self, wish: &Value) {
        let answer = self.send("POST", "/cluster/faults", wish);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Ends its faults.
    pub fn heal(&self) {
        assert_eq!(self.send("DELETE", "/cluster/faults", &Value::Null).status, 204);
    }
}

pub(super) fn get(api: SocketAddr, path: &str) -> Option<Value> {
    let answer = http::send("GET", api, path, "", ANSWER).ok().filter(|answer| answer.status == 200)?;
    serde_json::from_str(&answer.body).ok()
}
