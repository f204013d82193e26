//! Requests and answers on one connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use super::super::ProbeError;
use super::super::door::{Keepalive, Url};
use super::sdp;

/// No answer of a healthy server takes longer; the largest waits for a publisher to appear.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Headers, body and interleaved packets before the answer. A group's burst may come first.
const ANSWER_MAX: usize = 64 << 20;
/// RFC 2326 section 12.37.
const SESSION_TIMEOUT_S: u64 = 60;
/// Datagrams of one group at once, with the kernel's overhead.
const UDP_RECV_BUFFER: usize = 4 << 20;

/// One connection to a server.
pub(super) struct Client {
    stream: TcpStream,
    peer: SocketAddr,
    url: String,
    authorization: String,
    cseq: u32,
    session: Option<String>,
    timeout_s: u64,
    buffer: Vec<u8>,
    early: Vec<u8>,
}

/// An answer of the server.
pub(super) struct Answer {
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// A parameter of the Transport header.
    pub(super) fn transport(&self, name: &str) -> Option<(u16, u16)> {
        let fields = self.header("transport")?.split(';');
        let value = fields.filter_map(|field| field.split_once('=')).find(|(key, _)| key.trim() == name)?.1;
        let (first, second) = value.split_once('-').unwrap_or((value, ""));
        let first = first.parse().ok()?;
        Some((first, second.parse().unwrap_or(first + 1)))
    }
}

impl Client {
    pub(super) fn connect(url: &Url) -> Result<Self, ProbeError> {
        let failed = |source| ProbeError::Connect { addr: url.authority.clone(), source };
        let peer = url.authority.to_socket_addrs().map_err(failed)?.next();
        let peer = peer.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
        let stream = TcpStream::connect_timeout(&peer, ANSWER_TIMEOUT).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(failed)?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT)).map_err(failed)?;
        let authorization = match &url.user {
            Some(user) => format!("Authorization: Basic {}\r\n", sdp::base64(user.as_bytes())),
            None => String::new(),
        };
        Ok(Self {
            stream,
            peer,
            url: url.to_string(),
            authorization,
            cseq: 0,
            session: None,
            timeout_s: SESSION_TIMEOUT_S,
            buffer: Vec::new(),
            early: Vec::new(),
        })
    }

    pub(super) const fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) const fn wrong(&self, what: &'static str) -> ProbeError {
        ProbeError::Protocol { peer: self.peer, what }
    }

    /// Sends a request and waits for its answer. `headers` end each with CRLF. Anything but 200 is an error.
    pub(super) fn request(
        &mut self,
        method: &'static str,
        url: &str,
        headers: &str,
        body: &str,
    ) -> Result<Answer, ProbeError> {
        self.cseq += 1;
        let session = self.session.as_ref().map(|id| format!("Session: {id}\r\n")).unwrap_or_default();
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let text = format!(
            "{method} {url} RTSP/1.0\r\nCSeq: {}\r\nUser-Agent: weft-chaos\r\n{}{session}{headers}{length}\r\n{body}",
            self.cseq, self.authorization
        );
        self.stream.write_all(text.as_bytes()).map_err(ProbeError::io("write request"))?;
        let (status, reason, answer) = self.answer()?;
        if status != 200 {
            return Err(ProbeError::Refused { method, url: url.to_owned(), status, reason });
        }
        if let Some(session) = answer.header("session") {
            let (id, rest) = session.split_once(';').unwrap_or((session, ""));
            self.session = Some(id.trim().to_owned());
            let timeout = rest.split(';').find_map(|field| field.trim().strip_prefix("timeout="));
            self.timeout_s = timeout.and_then(|text| text.parse().ok()).unwrap_or(SESSION_TIMEOUT_S);
        }
        Ok(answer)
    }

    fn answer(&mut self) -> Result<(u16, String, Answer), ProbeError> {
        loop {
            while let [b'$', _, high, low, ..] = self.buffer[..] {
                let end = 4 + usize::from(u16::from_be_bytes([high, low]));
                if self.buffer.len() < end {
                    break;
                }
                self.early.extend(self.buffer.drain(..end));
            }
            if self.buffer.first().is_some_and(|&byte| byte != b'$') {
                let text = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
                if let Some(end) = text {
                    return self.parse(end + 4);
                }
            }
            self.fill()?;
        }
    }

    fn parse(&mut self, head: usize) -> Result<(u16, String, Answer), ProbeError> {
        let text = String::from_utf8_lossy(&self.buffer[..head]).into_owned();
        let mut lines = text.split("\r\n");
        let mut first = lines.next().unwrap_or_default().splitn(3, ' ');
        let status = first.nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| self.wrong("no RTSP status line"))?;
        let reason = first.next().unwrap_or_default().to_owned();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect();
        let mut answer = Answer { headers, body: String::new() };
        let length = answer.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0usize);
        while self.buffer.len() < head + length.min(ANSWER_MAX) {
            self.fill()?;
        }
        answer.body = String::from_utf8_lossy(&self.buffer[head..head + length]).into_owned();
        self.buffer.drain(..head + length);
        Ok((status, reason, answer))
    }

    fn fill(&mut self) -> Result<(), ProbeError> {
        if self.buffer.len() + self.early.len() > ANSWER_MAX {
            return Err(self.wrong("answer is too large"));
        }
        let mut chunk = [0; 16 << 10];
        match self.stream.read(&mut chunk).map_err(ProbeError::io("read answer"))? {
            0 => Err(self.wrong("connection closed before the answer")),
            count => {
                self.buffer.extend_from_slice(&chunk[..count]);
                Ok(())
            }
        }
    }

    /// A socket pair on the connection's own address: even port for packets, the next for reports (RFC 3550 section 11).
    pub(super) fn udp_pair(&self) -> Result<(UdpSocket, UdpSocket), ProbeError> {
        let failed = ProbeError::io("bind a pair of UDP ports");
        let ip = match self.stream.local_addr() {
            Ok(addr) => addr.ip(),
            Err(error) => return Err(failed(error)),
        };
        for _ in 0..100 {
            let Ok(first) = UdpSocket::bind((ip, 0)) else { continue };
            let port = first.local_addr().map_or(1, |addr| addr.port());
            if port % 2 != 0 {
                continue;
            }
            if let Ok(second) = UdpSocket::bind((ip, port + 1)) {
                // The kernel caps it at net.core.rmem_max; what it grants must do.
                let _ = socket2::SockRef::from(&first).set_recv_buffer_size(UDP_RECV_BUFFER);
                return Ok((first, second));
            }
        }
        Err(failed(std::io::ErrorKind::AddrInUse.into()))
    }

    /// Gives up the connection: what keeps the session open, and what has arrived beyond the last answer.
    pub(super) fn into_parts(mut self) -> (TcpStream, Keepalive, Vec<u8>) {
        let session = self.session.as_deref().unwrap_or_default();
        let request =
            format!("GET_PARAMETER {} RTSP/1.0\r\n{}Session: {session}\r\n", self.url, self.authorization).into();
        let every_ns = self.timeout_s.clamp(2, 60) * 1_000_000_000 / 2;
        self.early.append(&mut self.buffer);
        (self.stream, Keepalive { request, number: self.cseq, every_ns }, self.early)
    }
}
