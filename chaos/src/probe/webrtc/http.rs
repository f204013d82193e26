//! The two requests of WHEP and WHIP: POST an offer, DELETE the session (RFC 9725 section 4).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::super::ProbeError;
use super::super::door::Url;
use super::super::hls::Head;
use super::super::rtsp::base64;

/// A server may hold an answer until there is something to play.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Nobody waits for the end of a session.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(300);
/// Largest answer.
const ANSWER_MAX: usize = 128 << 10;

/// A session as the server knows it.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    peer: SocketAddr,
    authority: String,
    authorization: String,
    path: String,
}

/// What the server said.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its description.
    pub(super) sdp: Vec<u8>,
    /// What ends the session, where it has told that.
    pub(super) resource: Option<Resource>,
    /// Where it is.
    pub(super) peer: SocketAddr,
}

/// A connection over which an offer is going to be sent: from it one learns by which address the server is reached.
pub(super) struct Asking {
    stream: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
}

impl Asking {
    pub(super) fn connect(url: &Url) -> Result<Self, ProbeError> {
        let failed = |source| ProbeError::Connect { addr: url.authority.clone(), source };
        let peer = url.authority.to_socket_addrs().map_err(failed)?.next();
        let peer = peer.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
        let stream = TcpStream::connect_timeout(&peer, TIMEOUT).map_err(failed)?;
        stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(TIMEOUT))).map_err(failed)?;
        let local = stream.local_addr().map_err(failed)?;
        Ok(Self { stream, peer, local })
    }

    pub(super) const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sends the offer to `endpoint`, `whep` or `whip`, of the URL's path, and waits for the answer.
    pub(super) fn post(mut self, url: &Url, endpoint: &str, offer: &str) -> Result<Answer, ProbeError> {
        let authorization =
            url.user.as_ref().map(|user| format!("Authorization: Basic {}\r\n", base64(user.as_bytes())));
        let authorization = authorization.unwrap_or_default();
        let request = format!(
            "POST /{}/{endpoint}{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: weft-chaos\r\nAccept: application/sdp\r\n\
             {authorization}Content-Type: application/sdp\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{offer}",
            url.path,
            url.query,
            url.authority,
            offer.len()
        );
        self.stream.write_all(request.as_bytes()).map_err(ProbeError::io("write offer"))?;
        let (head, body) = self.answer()?;
        if head.status != 201 {
            let reason = String::from_utf8_lossy(&body).trim().chars().take(200).collect();
            return Err(ProbeError::Refused { method: "POST", url: url.to_string(), status: head.status, reason });
        }
        let resource = head.location.as_deref().map(|location| Resource {
            peer: self.peer,
            authority: url.authority.clone(),
            authorization,
            path: path_of(location, &format!("/{}/", url.path)),
        });
        Ok(Answer { sdp: body, resource, peer: self.peer })
    }

    fn answer(&mut self) -> Result<(Head, Vec<u8>), ProbeError> {
        let (mut bytes, mut chunk) = (Vec::new(), [0; 16 << 10]);
        loop {
            if let Some(head) = Head::parse(&bytes)
                && let Some(body) = head.body(&bytes).map(|body| body.into_owned())
            {
                return Ok((head, body));
            }
            let count = self.stream.read(&mut chunk).map_err(ProbeError::io("wait for an answer"))?;
            if count == 0 || bytes.len() > ANSWER_MAX {
                return Err(ProbeError::Protocol { peer: self.peer, what: "the answer is not complete" });
            }
            bytes.extend_from_slice(&chunk[..count]);
        }
    }
}

impl Resource {
    /// Tells the server that the session is over, and does not wait for what it says.
    pub(super) fn delete(&self) {
        let Self { peer, authority, authorization, path } = self;
        let Ok(mut stream) = TcpStream::connect_timeout(peer, LEAVE_TIMEOUT) else { return };
        let request =
            format!("DELETE {path} HTTP/1.1\r\nHost: {authority}\r\n{authorization}Connection: close\r\n\r\n");
        let _ = stream.write_all(request.as_bytes());
        // An answer that meets a closed socket may take the request with it.
        let _ = stream.set_read_timeout(Some(LEAVE_TIMEOUT));
        let _ = stream.read(&mut [0; 512]);
    }
}

/// The path of a `Location`: absolute, or of this server, or relative to the folder (RFC 9110 section 10.2.2).
fn path_of(location: &str, folder: &str) -> String {
    let rest = location.split_once("://").map_or(location, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
    if rest.starts_with('/') { rest.to_owned() } else { format!("{folder}{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_where_the_server_says() {
        let found = |location| path_of(location, "/cam/front/");
        assert_eq!(found("/cam/front/whep/1234"), "/cam/front/whep/1234");
        assert_eq!(found("http://a:8889/cam/front/whep/1234"), "/cam/front/whep/1234");
        assert_eq!(found("whep/1234"), "/cam/front/whep/1234");
    }
}
