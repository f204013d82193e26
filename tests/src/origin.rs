//! An HTTP server that stands in for any origin of HLS: it serves a folder that ffmpeg's muxer writes into.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::media::{Media, QUIET};
use crate::process::Process;
use crate::standin::{Guests, StandIn};
use crate::{http, tools};

/// The server and its folder. Dropped, both are gone. A connection is a guest of what it asks for first: of its playlist.
#[derive(Debug)]
pub struct Origin {
    server: StandIn,
    folder: TempDir,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    folder: PathBuf,
    /// The header that requests must have; anybody may ask where there is none.
    login: Option<String>,
    /// Where everything is taken from, instead of the folder.
    behind: Option<SocketAddr>,
    /// Names with this in them are not found.
    denied: Mutex<Option<String>>,
    /// What was asked for, in order.
    asked: Mutex<Vec<String>>,
}

impl Deref for Origin {
    type Target = StandIn;

    fn deref(&self) -> &StandIn {
        &self.server
    }
}

impl Origin {
    /// Anybody may ask.
    pub fn start() -> Self {
        Self::with(None, None)
    }

    /// One that passes on what this server has.
    pub fn in_front_of(server: SocketAddr) -> Self {
        Self::with(None, Some(server))
    }

    /// Only who says this user and password.
    pub fn with_login(login: &str) -> Self {
        Self::with(Some(format!("Basic {}", STANDARD.encode(login))), None)
    }

    fn with(login: Option<String>, behind: Option<SocketAddr>) -> Self {
        let folder = TempDir::new().expect("make a temporary folder");
        let state = Arc::new(State {
            folder: folder.path().into(),
            login,
            behind,
            denied: Mutex::default(),
            asked: Mutex::default(),
        });
        let shared = state.clone();
        let server = StandIn::start(move |stream, guests| serve(&stream, &shared, guests));
        Self { server, folder, state }
    }

    /// Where a file is.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address())
    }

    /// The same with user and password.
    pub fn url_for(&self, login: &str, name: &str) -> String {
        format!("http://{login}@{}/{name}", self.address())
    }

    /// A file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// From now on whatever has this in its name is not found.
    pub fn deny(&self, part: &str) {
        *self.state.denied.lock().expect("no thread panics") = Some(part.to_owned());
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

/// Answers one request after the other.
fn serve(stream: &TcpStream, state: &State, guests: &Arc<Guests>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream).lines();
    let mut stay = None;
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
        if !guests.is_on() {
            return Ok(());
        }
        let header = |name: &str| {
            headers.iter().find_map(|line| {
                let (own, value) = line.split_once(':')?;
                own.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let target = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        stay.get_or_insert_with(|| guests.come(&target));
        state.asked.lock().expect("no thread panics").push(target.clone());
        let range = header("range");
        let (status, more, body) = answer(state, &target, header("authorization").as_deref(), range.as_deref());
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{more}\r\n", body.len());
        (&mut &*stream).write_all(&[head.as_bytes(), &body].concat())?;
    }
}

fn answer(state: &State, target: &str, login: Option<&str>, range: Option<&str>) -> (String, String, Vec<u8>) {
    let bare = |status: &str| (status.to_owned(), String::new(), Vec::new());
    if state.login.is_some() && state.login.as_deref() != login {
        return bare("401 Unauthorized");
    }
    let name = target.split('?').next().unwrap_or_default();
    if state.denied.lock().expect("no thread panics").as_ref().is_some_and(|denied| name.contains(denied)) {
        return bare("404 Not Found");
    }
    if let Some(name) = name.strip_prefix("moved/") {
        return ("302 Found".into(), format!("Location: /{name}\r\n"), Vec::new());
    }
    if let Some(behind) = state.behind {
        return pass_on(behind, target).unwrap_or_else(|_| bare("502 Bad Gateway"));
    }
    let Ok(file) = std::fs::read(state.folder.join(name)) else { return bare("404 Not Found") };
    let wanted = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let wanted = wanted.and_then(|(from, to)| Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()?)));
    match wanted.and_then(|(from, to)| file.get(from..(to + 1).min(file.len()))) {
        Some(part) => ("206 Partial Content".into(), String::new(), part.to_vec()),
        None => ("200 OK".into(), String::new(), file),
    }
}

/// What another server answers, with what leads on to it.
fn pass_on(server: SocketAddr, target: &str) -> io::Result<(String, String, Vec<u8>)> {
    let answer = http::fetch(server, "GET", &format!("/{target}"), "", 30)?;
    let location = answer.header("location").map(|to| format!("Location: {to}\r\n")).unwrap_or_default();
    Ok((format!("{} Passed On", answer.status), location, answer.body))
}
