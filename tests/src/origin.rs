//! An HTTP server that stands in for any origin of HLS: it serves a folder that ffmpeg's muxer writes into.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::media::{Media, QUIET};
use crate::process::Process;
use crate::tools;

/// The server and its folder. Dropped, both are gone.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    folder: TempDir,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    folder: PathBuf,
    /// Who is off takes nobody.
    on: AtomicBool,
    over: AtomicBool,
    /// The header that requests must have; anybody may ask where there is none.
    login: Option<String>,
    /// What was asked for, in order.
    asked: Mutex<Vec<String>>,
}

impl Origin {
    /// Anybody may ask.
    pub fn start() -> Self {
        Self::with(None)
    }

    /// Only who says this user and password.
    pub fn with_login(login: &str) -> Self {
        Self::with(Some(format!("Basic {}", STANDARD.encode(login))))
    }

    fn with(login: Option<String>) -> Self {
        let folder = TempDir::new().expect("make a temporary folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind to any port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (on, over) = (AtomicBool::new(true), AtomicBool::new(false));
        let state = Arc::new(State { folder: folder.path().into(), on, over, login, asked: Mutex::default() });
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.over.load(Ordering::Acquire) {
                    return;
                }
                let (state, stream) = (shared.clone(), stream.expect("accept"));
                std::thread::spawn(move || drop(serve(&stream, &state)));
            }
        });
        Self { address, folder, state }
    }

    /// Where a file is.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// The same with user and password.
    pub fn url_for(&self, login: &str, name: &str) -> String {
        format!("http://{login}@{}/{name}", self.address)
    }

    /// A file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Takes nobody from now on, and drops whom it has.
    pub fn turn_off(&self) {
        self.state.on.store(false, Ordering::Release);
    }

    /// Takes everybody again.
    pub fn turn_on(&self) {
        self.state.on.store(true, Ordering::Release);
    }

    /// What was asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.state.asked.lock().expect("no thread panics").clone()
    }

    /// Lets ffmpeg write `media` for ever, as fast as it plays, with these options of its muxer; `~` is a space in a word.
    pub fn mux(&self, media: Media, options: &str) -> Process {
        self.write(&["-re", "-stream_loop", "-1"], media, options)
    }

    /// The same, once and as fast as it can.
    pub fn mux_once(&self, media: Media, options: &str) {
        let mut process = self.write(&[], media, options);
        process.wait(30);
    }

    fn write(&self, input: &[&str], media: Media, options: &str) -> Process {
        let mut ffmpeg = Command::new(tools::ffmpeg9());
        ffmpeg.current_dir(self.folder.path()).args(QUIET).args(input).arg("-i").arg(media.nut());
        ffmpeg
            .args(["-c", "copy", "-f", "hls", "-hls_time", "1"])
            .args(options.split(' ').map(|word| word.replace('~', " ")));
        Process::start(format!("ffmpeg writing {media}"), ffmpeg)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.turn_off();
        self.state.over.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

/// Answers one request after the other.
fn serve(stream: &TcpStream, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream).lines();
    loop {
        let Some(request) = lines.next().transpose()? else { return Ok(()) };
        let mut headers = Vec::new();
        for line in lines.by_ref() {
            let line = line?;
            if line.is_empty() {
                break;
            }
            headers.push(line);
        }
        if !state.on.load(Ordering::Acquire) {
            return Ok(());
        }
        let header = |name: &str| {
            headers.iter().find_map(|line| {
                let (own, value) = line.split_once(':')?;
                own.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let target = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        state.asked.lock().expect("no thread panics").push(target.clone());
        let range = header("range");
        let (status, more, body) = answer(state, &target, header("authorization").as_deref(), range.as_deref());
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{more}\r\n", body.len());
        (&mut &*stream).write_all(&[head.as_bytes(), &body].concat())?;
    }
}

fn answer(state: &State, target: &str, login: Option<&str>, range: Option<&str>) -> (&'static str, String, Vec<u8>) {
    let none = || (String::new(), Vec::new());
    if state.login.is_some() && state.login.as_deref() != login {
        let (more, body) = none();
        return ("401 Unauthorized", more, body);
    }
    let name = target.split('?').next().unwrap_or_default();
    if let Some(name) = name.strip_prefix("moved/") {
        return ("302 Found", format!("Location: /{name}\r\n"), Vec::new());
    }
    let Ok(file) = std::fs::read(state.folder.join(name)) else {
        let (more, body) = none();
        return ("404 Not Found", more, body);
    };
    let wanted = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let wanted = wanted.and_then(|(from, to)| Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()?)));
    match wanted.and_then(|(from, to)| file.get(from..(to + 1).min(file.len()))) {
        Some(part) => ("206 Partial Content", String::new(), part.to_vec()),
        None => ("200 OK", String::new(), file),
    }
}
