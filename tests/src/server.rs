//! A server of a test's own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::process::Process;
use crate::{http, ports, tools, wait};

/// A running node with RTSP, RTMP, both encrypted too, HLS, WebRTC and the API on free ports. Dropped, it is killed.
#[derive(Debug)]
pub struct Server {
    /// The process.
    pub process: Process,
    ports: Ports,
    folder: TempDir,
}

/// Where a node listens.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// RTSP.
    pub rtsp: u16,
    /// RTSPS.
    pub rtsps: u16,
    /// RTP; RTCP has the next.
    pub rtp: u16,
    /// Encrypted RTP; RTCP has the next.
    pub srtp: u16,
    /// Multicast RTP; RTCP has the next.
    pub multicast: u16,
    /// HLS.
    pub hls: u16,
    /// HTTP of WebRTC.
    pub webrtc: u16,
    /// Media of WebRTC.
    pub ice: u16,
    /// RTMP.
    pub rtmp: u16,
    /// RTMPS.
    pub rtmps: u16,
    /// The API.
    pub api: u16,
}

/// Seconds a node may take to answer.
const START_SECONDS: u64 = 15;

impl Ports {
    /// Free ones.
    pub fn free() -> Self {
        Self {
            rtsp: ports::tcp(),
            rtsps: ports::tcp(),
            rtp: ports::udp_pair(),
            srtp: ports::udp_pair(),
            multicast: ports::udp_pair(),
            hls: ports::tcp(),
            webrtc: ports::tcp(),
            ice: ports::udp(),
            rtmp: ports::tcp(),
            rtmps: ports::tcp(),
            api: ports::tcp(),
        }
    }

    /// The configuration of a node on these ports, with `more` lines of YAML.
    pub fn configuration(&self, more: &str) -> String {
        let Self { rtsp, rtsps, rtp, srtp, multicast, rtmp, rtmps, hls, webrtc, ice, api } = self;
        format!(
            "logLevel: debug\napi: yes\napiAddress: 127.0.0.1:{api}\n\
             rtspEncryption: optional\nrtspServerKey: server.key\nrtspServerCert: server.crt\n\
             rtspAddress: 127.0.0.1:{rtsp}\nrtspsAddress: 127.0.0.1:{rtsps}\n\
             rtpAddress: 127.0.0.1:{rtp}\nrtcpAddress: 127.0.0.1:{}\n\
             srtpAddress: 127.0.0.1:{srtp}\nsrtcpAddress: 127.0.0.1:{}\n\
             multicastRTPPort: {multicast}\nmulticastRTCPPort: {}\n\
             rtmpEncryption: optional\nrtmpServerKey: server.key\nrtmpServerCert: server.crt\n\
             rtmpAddress: 127.0.0.1:{rtmp}\nrtmpsAddress: 127.0.0.1:{rtmps}\n\
             hlsAddress: 127.0.0.1:{hls}\nhlsServerKey: server.key\nhlsServerCert: server.crt\n\
             webrtcAddress: 127.0.0.1:{webrtc}\nwebrtcLocalUDPAddress: 127.0.0.1:{ice}\n\
             webrtcIPsFromInterfaces: no\nwebrtcAdditionalHosts: [127.0.0.1]\n\
             srt: no\nmoq: no\n{more}\npaths:\n  all_others:\n",
            rtp + 1,
            srtp + 1,
            multicast + 1
        )
    }
}

impl Server {
    /// A node with the defaults.
    pub fn start() -> Self {
        Self::with("")
    }

    /// A node with more lines of YAML in its configuration.
    pub fn with(more: &str) -> Self {
        Self::with_paths(more, "")
    }

    /// The same, and with more lines of YAML among its paths.
    pub fn with_paths(more: &str, paths: &str) -> Self {
        // A port that was free may have been taken meanwhile, and only then is starting again allowed.
        for _ in 0..5 {
            let folder = TempDir::new().expect("make a temporary folder");
            certificate(folder.path());
            let ports = Ports::free();
            let process = launch(folder.path(), &(ports.configuration(more) + paths));
            let mut server = Self { process, ports, folder };
            if server.is_up() {
                return server;
            }
            let log = server.process.log();
            assert!(log.contains("taken") || log.contains("in use"), "the server did not start; it said:\n{log}");
        }
        panic!("no port stays free");
    }

    fn is_up(&mut self) -> bool {
        wait::until("the server's API and RTSP port", START_SECONDS, || {
            if self.process.ended().is_some() {
                return Some(false);
            }
            let listening = std::net::TcpStream::connect(self.rtsp_address()).is_ok();
            let answers = http::get(self.api_address(), "/v3/paths/list").is_ok_and(|answer| answer.status == 200);
            (listening && answers).then_some(true)
        })
    }

    /// Kills it, and starts it again where it was.
    pub fn kill_and_start(&mut self) {
        self.process.signal(libc::SIGKILL);
        self.process.wait(10);
        let configuration = std::fs::read_to_string(self.folder().join("weft.yml")).expect("read the configuration");
        self.process = launch(self.folder(), &configuration);
        assert!(self.is_up(), "the server did not start again; it said:\n{}", self.process.log());
    }

    /// Replaces its configuration, as an editor does: the new file takes the old one's name.
    pub fn rewrite(&self, configuration: &str) {
        let (new, file) = (self.folder.path().join("weft.yml.new"), self.folder.path().join("weft.yml"));
        std::fs::write(&new, configuration).expect("write the configuration");
        std::fs::rename(new, file).expect("replace the configuration");
    }

    /// Where it listens.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Its working folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// SHA-256 of its certificate, as a user would find it.
    pub fn fingerprint(&self) -> String {
        let pem = std::fs::read_to_string(self.folder().join("server.crt")).expect("a certificate");
        let base64: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
        let der = STANDARD.decode(base64).expect("PEM");
        Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The address of RTSP.
    pub fn rtsp_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.rtsp))
    }

    /// The address of RTMP.
    pub fn rtmp_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.rtmp))
    }

    /// The URL of a path over RTMP. Some clients want a path of two parts.
    pub fn rtmp(&self, path: &str) -> String {
        format!("rtmp://127.0.0.1:{}/{path}", self.ports.rtmp)
    }

    /// The URL of a path over RTMP inside TLS.
    pub fn rtmps(&self, path: &str) -> String {
        format!("rtmps://127.0.0.1:{}/{path}", self.ports.rtmps)
    }

    /// The address of the API.
    pub fn api_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.api))
    }

    /// The URL of a path.
    pub fn rtsp(&self, path: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{path}", self.ports.rtsp)
    }

    /// The URL of a path over TLS.
    pub fn rtsps(&self, path: &str) -> String {
        format!("rtsps://127.0.0.1:{}/{path}", self.ports.rtsps)
    }

    /// The address of HLS.
    pub fn hls_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.hls))
    }

    /// The URL of a path's playlist.
    pub fn hls(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}/index.m3u8", self.ports.hls)
    }

    /// Its HTTP server for WebRTC.
    pub fn webrtc_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.webrtc))
    }

    /// Its UDP port for WebRTC's media.
    pub fn webrtc_media_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.ice))
    }

    /// The root of its pages for WebRTC, without a slash at the end.
    pub fn webrtc(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.webrtc)
    }

    /// What the API says.
    pub fn api(&self, path: &str) -> http::Answer {
        http::get(self.api_address(), path).unwrap_or_else(|error| {
            panic!("{path}: {error}; the server said:\n{}", self.process.log());
        })
    }

    /// What the API says about a path, if it exists.
    pub fn path(&self, name: &str) -> Option<Value> {
        let answer = self.api(&format!("/v3/paths/get/{name}"));
        (answer.status == 200).then(|| answer.json())
    }

    /// Waits until a path can be read.
    pub fn wait_ready(&self, path: &str) {
        wait::until(format_args!("{path} to be ready"), 20, || {
            self.path(path).filter(|found| found["ready"] == true).map(drop)
        });
    }

    /// Waits until a path has so many readers.
    pub fn wait_readers(&self, path: &str, count: usize) {
        wait::until(format_args!("{path} to have {count} readers"), 20, || {
            (self.path(path)?["readers"].as_array()?.len() == count).then_some(())
        });
    }

    /// Waits until its log has a line with all these words.
    pub fn wait_log(&self, words: &[&str]) {
        wait::until(format_args!("a log line with {words:?}"), 20, || {
            let log = self.process.log();
            log.lines().any(|line| words.iter().all(|word| line.contains(word))).then_some(())
        });
    }

    /// Asks it to end and says how it did, and how long that took.
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        let asked = Instant::now();
        self.process.signal(libc::SIGTERM);
        let status = self.process.wait(15);
        (status, asked.elapsed())
    }
}

/// Starts a node in `folder`, which gets the configuration, and does not wait.
pub fn launch(folder: &Path, configuration: &str) -> Process {
    std::fs::write(folder.join("weft.yml"), configuration).expect("write the configuration");
    let mut command = Command::new(tools::weft());
    command.arg("weft.yml").env("WEFT_DATADIR", folder.join("data")).current_dir(folder);
    Process::start("the server", command)
}

/// Puts a fresh self-signed `server.crt` and its `server.key` into `folder`.
pub fn certificate(folder: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "30",
    ]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]);
    openssl.arg("-keyout").arg(folder.join("server.key")).arg("-out").arg(folder.join("server.crt"));
    tools::run(&mut openssl);
}
