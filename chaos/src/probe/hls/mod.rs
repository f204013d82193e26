//! HLS with parts (RFC 8216bis), as much as a viewer of low latency needs: it asks for a playlist that waits for the next
//! part, then for the part, over one connection. Parts are looked into for stamps, and thrown away.

mod fragment;
mod viewing;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub(super) use viewing::Head;
pub use viewing::Viewing;

use super::ProbeError;
use super::clock::now_ns;
use super::door::{Media, Seat, Url};

/// A server may hold an answer until there is something to play.
const TIMEOUT: Duration = Duration::from_secs(40);
const HOPS_MAX: u32 = 5;
/// Largest answer to a viewer that joins.
const ANSWER_MAX: usize = 1 << 20;

/// Becomes a viewer of `url`.
pub fn watch(url: &Url) -> Result<Seat, ProbeError> {
    let connect = |source| ProbeError::Connect { addr: url.authority.clone(), source };
    let mut stream = TcpStream::connect(&url.authority).map_err(connect)?;
    let peer = stream.peer_addr().map_err(connect)?;
    let wrong = |what| ProbeError::Protocol { peer, what };
    stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(TIMEOUT))).map_err(connect)?;
    let asked_ns = now_ns();
    let folder = format!("/{}/", url.path);
    let mut file = format!("index.m3u8{}", url.query);
    for _ in 0..HOPS_MAX {
        let answer = ask(&mut stream, &url.authority, &format!("{folder}{file}"), &wrong)?;
        match answer.status {
            200 => {
                let text = String::from_utf8_lossy(&answer.body);
                let playlist = text.lines().find(|line| !line.starts_with('#') && !line.is_empty());
                let playlist = playlist.ok_or_else(|| wrong("no playlist is named"))?;
                let viewing = Viewing::new(&url.authority, &folder, playlist);
                let media = Media::Parts(Box::new(viewing));
                return Ok(Seat { asked_ns, joined_ns: now_ns(), control: Some(stream), keepalive: None, media });
            }
            301 | 302 | 307 | 308 => {
                let to = answer.location.ok_or_else(|| wrong("a redirection to nowhere"))?;
                file = to.rsplit_once('/').map_or(to.as_str(), |(_, file)| file).to_owned();
            }
            status => {
                let reason = String::from_utf8_lossy(&answer.body).trim().to_owned();
                return Err(ProbeError::Refused { method: "GET", url: url.to_string(), status, reason });
            }
        }
    }
    Err(wrong("too many redirections"))
}

struct Answer {
    status: u16,
    location: Option<String>,
    body: Vec<u8>,
}

fn ask(
    stream: &mut TcpStream,
    host: &str,
    path: &str,
    wrong: &impl Fn(&'static str) -> ProbeError,
) -> Result<Answer, ProbeError> {
    stream.write_all(viewing::request(host, path).as_bytes()).map_err(ProbeError::io("ask"))?;
    let (mut bytes, mut chunk) = (Vec::new(), [0; 16 << 10]);
    loop {
        if let Some(head) = Head::parse(&bytes)
            && let Some(body) = head.body(&bytes).map(|body| body.into_owned())
        {
            return Ok(Answer { status: head.status, location: head.location, body });
        }
        let count = stream.read(&mut chunk).map_err(ProbeError::io("wait for an answer"))?;
        if count == 0 || bytes.len() > ANSWER_MAX {
            return Err(wrong("the answer is not complete"));
        }
        bytes.extend_from_slice(&chunk[..count]);
    }
}
