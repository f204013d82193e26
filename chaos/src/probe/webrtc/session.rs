//! A session from the offer to the keys, and what goes on beside media: checks, reports under encryption, the end.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc::srtp::context::Context;

use super::super::ProbeError;
use super::super::clock::now_ns;
use super::super::door::Url;
use super::super::sys;
use super::Kind;
use super::dtls::{Association, Identity, Keys, Progress};
use super::http::{Asking, Resource};
use super::ice::{Agent, Heard, credentials};
use super::offer::{self, Answered, Direction};

/// From the answer to the keys, and from there to the first packet: a way is found at once or never, a publisher may be slow.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two checks while nobody answers (RFC 8445 section 14.2: not below 5 ms).
const PACE: Duration = Duration::from_millis(50);
/// Between two checks once somebody has, and without an answer for how long the way is lost (RFC 7675 section 5.1).
const CONSENT_NS: u64 = 5_000_000_000;
const CONSENT_LOST_NS: u64 = 30_000_000_000;
/// Datagrams of one group at once, with the kernel's overhead.
const RECV_BUFFER: usize = 4 << 20;
const DATAGRAM_MAX: usize = 2_048;

/// A session with keys.
pub(super) struct Session {
    /// Tied to the server's address.
    pub(super) socket: UdpSocket,
    inbound: Context,
    outbound: Context,
    agent: Agent,
    dtls: Association,
    resource: Option<Resource>,
    peer: SocketAddr,
    checked_ns: u64,
    proven_ns: u64,
    ended: bool,
}

/// What a datagram was, beside what the session deals with by itself.
#[derive(Debug)]
pub(super) enum Came {
    /// Nothing more is to be done.
    Done,
    /// A packet of media, still encrypted.
    Media,
    /// Reports, decrypted.
    Reports(BytesMut),
    /// The server has ended it.
    End,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("peer", &self.peer).field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// Asks for a session at `url`. Beside it: what the server has answered, and when it was asked.
pub(super) fn open(url: &Url, direction: Direction) -> Result<(Session, Answered, u64), ProbeError> {
    let asking = Asking::connect(url)?;
    let (local_http, ours) = (asking.local(), credentials());
    let socket = UdpSocket::bind((local_http.ip(), 0)).map_err(ProbeError::io("bind UDP"))?;
    let local = socket.local_addr().map_err(ProbeError::io("bind UDP"))?;
    // The kernel caps it at net.core.rmem_max; what it grants must do.
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECV_BUFFER);
    let identity = Identity::get().map_err(|what| ProbeError::Session { peer: local_http, what })?;
    let offer = offer::write(direction, &ours, identity.fingerprint, local);
    let endpoint = if direction == Direction::Receive { "whep" } else { "whip" };
    let asked_ns = now_ns();
    let answer = asking.post(url, endpoint, &offer)?;
    let wrong = |what| ProbeError::Session { peer: answer.peer, what };
    let answered = offer::read(&answer.sdp, answer.peer.ip()).map_err(wrong)?;
    let agent = Agent::new(ours, answered.description.transport.credentials.clone());
    let mut joining = Joining { socket, agent, end: Instant::now() + JOIN_TIMEOUT };
    let joined = joining.find_way(&answered.candidates).and_then(|peer| Ok((peer, joining.shake(peer, &answered)?)));
    let (peer, (dtls, keys)) = match joined {
        Ok(joined) => joined,
        Err(what) => {
            answer.resource.iter().for_each(Resource::delete);
            return Err(wrong(what));
        }
    };
    let Joining { socket, agent, .. } = joining;
    let (Keys { inbound, outbound }, resource, now) = (keys, answer.resource, now_ns());
    let session = Session {
        socket,
        inbound,
        outbound,
        agent,
        dtls,
        resource,
        peer,
        checked_ns: now,
        proven_ns: now,
        ended: false,
    };
    Ok((session, answered, asked_ns))
}

/// The part that blocks.
struct Joining {
    socket: UdpSocket,
    agent: Agent,
    end: Instant,
}

impl Joining {
    /// Checks all candidates until one answers, and ties the socket to that.
    fn find_way(&mut self, candidates: &[SocketAddr]) -> Result<SocketAddr, String> {
        let mut buffer = [0; DATAGRAM_MAX];
        let mut refusal = None;
        while Instant::now() < self.end {
            for candidate in candidates {
                // Of another interface, or nobody's: the next one then.
                let _ = self.socket.send_to(&self.agent.check(), candidate);
            }
            let next = Instant::now() + PACE;
            while let Some((length, from)) = receive(&self.socket, &mut buffer, next)? {
                match self.agent.hear(&buffer[..length], from) {
                    Heard::Proof => {
                        self.socket.connect(from).map_err(|error| format!("connect UDP: {error}"))?;
                        return Ok(from);
                    }
                    Heard::Check(answer) => drop(self.socket.send_to(&answer, from)),
                    Heard::Refusal(code) => refusal = Some(code),
                    Heard::Nothing => {}
                }
            }
        }
        Err(match refusal {
            Some(code) => format!("the server refuses our checks with {code}"),
            None => format!("none of its addresses answers: {candidates:?}"),
        })
    }

    /// DTLS, up to the keys.
    fn shake(&mut self, peer: SocketAddr, answered: &Answered) -> Result<(Association, Keys), String> {
        let local = self.socket.local_addr().map_err(|error| error.to_string())?;
        let mut dtls = Association::new(local, peer, answered.is_client())?;
        let mut buffer = [0; DATAGRAM_MAX];
        while Instant::now() < self.end {
            dtls.tick()?;
            flush(&mut dtls, &self.socket);
            let Some((length, from)) = receive(&self.socket, &mut buffer, Instant::now() + PACE)? else { continue };
            let datagram = &buffer[..length];
            let progress = match Kind::of(datagram) {
                Kind::Dtls => dtls.read(datagram)?,
                Kind::Stun => {
                    if let Heard::Check(answer) = self.agent.hear(datagram, from) {
                        let _ = self.socket.send(&answer);
                    }
                    continue;
                }
                // Media that has overtaken the last flight.
                _ => continue,
            };
            flush(&mut dtls, &self.socket);
            match progress {
                Progress::Waiting => {}
                Progress::Closed => return Err("the server has ended DTLS".into()),
                Progress::Done => {
                    let keys = dtls.keys(answered.description.transport.fingerprint)?;
                    return Ok((dtls, keys));
                }
            }
        }
        Err("DTLS comes to no end".into())
    }
}

fn flush(dtls: &mut Association, socket: &UdpSocket) {
    while let Some(datagram) = dtls.next_out() {
        let _ = socket.send(&datagram);
    }
}

/// The next datagram, if one comes in time.
fn receive(socket: &UdpSocket, buffer: &mut [u8], until: Instant) -> Result<Option<(usize, SocketAddr)>, String> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Ok(None);
    }
    socket.set_read_timeout(Some(left)).map_err(|error| error.to_string())?;
    match socket.recv_from(buffer) {
        Ok(got) => Ok(Some(got)),
        Err(error) if is_passing(&error) => Ok(None),
        Err(error) => Err(format!("receive: {error}")),
    }
}

/// Nothing is there, or ICMP says of an earlier datagram that nobody listened.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), ConnectionRefused | Interrupted | TimedOut | WouldBlock)
}

impl Session {
    /// Waits for the first packet of media, which stays where it is.
    pub(super) fn wait_for_media(&mut self) -> Result<(), ProbeError> {
        let end = Instant::now() + JOIN_TIMEOUT;
        let mut buffer = [0; DATAGRAM_MAX];
        let failed = ProbeError::io("wait for media");
        if let Err(error) = self.socket.set_read_timeout(Some(PACE)) {
            return Err(failed(error));
        }
        while Instant::now() < end && !self.ended {
            match self.socket.peek(&mut buffer) {
                Ok(length) if Kind::of(&buffer[..length]) == Kind::Rtp => return Ok(()),
                Ok(_) => {
                    let length = self.socket.recv(&mut buffer).unwrap_or(0);
                    let _ = self.hear(&buffer[..length], now_ns());
                }
                Err(_) => {}
            }
        }
        let what = if self.ended { "the server has ended the session" } else { "there is a session, but no media" };
        Err(ProbeError::Protocol { peer: self.peer, what })
    }

    /// A datagram has come.
    pub(super) fn hear(&mut self, datagram: &[u8], now_ns: u64) -> Came {
        match Kind::of(datagram) {
            Kind::Rtp => return Came::Media,
            Kind::Rtcp => return self.inbound.decrypt_rtcp(datagram).map_or(Came::Done, Came::Reports),
            Kind::Stun => match self.agent.hear(datagram, self.peer) {
                Heard::Proof => self.proven_ns = now_ns,
                Heard::Check(answer) => drop(self.socket.send(&answer)),
                Heard::Refusal(_) | Heard::Nothing => {}
            },
            Kind::Dtls => {
                let progress = self.dtls.read(datagram);
                flush(&mut self.dtls, &self.socket);
                if !matches!(progress, Ok(Progress::Waiting | Progress::Done)) {
                    self.ended = true;
                    return Came::End;
                }
            }
            Kind::Other => {}
        }
        Came::Done
    }

    /// What a packet of media holds, header and all; `None` if somebody else has written it.
    pub(super) fn decrypt(&mut self, packet: &[u8]) -> Option<BytesMut> {
        self.inbound.decrypt_rtp(packet).ok()
    }

    /// Who is at the other end.
    pub(super) const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The next datagram, if one is there.
    pub(super) fn try_receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match sys::recv(self.socket.as_fd(), buffer) {
            Ok(length) => Ok(Some(length)),
            Err(error) if is_passing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a datagram. That nobody listens is seen by checks that are not answered.
    pub(super) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self.socket.send(datagram) {
            Err(error) if !is_passing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// A packet of media as it goes out.
    pub(super) fn encrypt(&mut self, packet: &[u8]) -> io::Result<BytesMut> {
        self.outbound.encrypt_rtp(packet).map_err(io::Error::other)
    }

    /// Sends reports.
    pub(super) fn send_reports(&mut self, reports: &[u8]) -> io::Result<()> {
        let sealed = self.outbound.encrypt_rtcp(reports).map_err(io::Error::other)?;
        self.send(&sealed)
    }

    /// About once a second: keeps the way open. False when nobody is at its other end any more.
    pub(super) fn tend(&mut self, now_ns: u64) -> bool {
        if now_ns >= self.checked_ns + CONSENT_NS {
            self.checked_ns = now_ns;
            let _ = self.socket.send(&self.agent.check());
        }
        self.ended |= now_ns > self.proven_ns + CONSENT_LOST_NS;
        !self.ended
    }
}

/// Whoever goes says so, as a browser does whose page is closed, and ends what it has asked for.
impl Drop for Session {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.dtls.close();
        flush(&mut self.dtls, &self.socket);
        self.resource.iter().for_each(Resource::delete);
    }
}
