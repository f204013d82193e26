//! A server of RTSP over TCP that stands in for any number of cameras, one a path, and notes who reads from which and when.
//!
//! Each camera sends a little sound, so that a test can have hundreds.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weft_proto::rtsp::auth::{Algorithm, Credentials, digest_challenge};
use weft_proto::rtsp::machine::{Action, Capabilities, Outcome, ServerMachine};
use weft_proto::rtsp::{Incoming, Method, Reader, Response, Status};

use crate::standin::{Guests, StandIn, Stay};

/// The cameras: who reads from them from PLAY on is a guest.
#[derive(Debug)]
pub struct Cameras(StandIn);

/// User and password of who may read; anybody where there is none.
type Login = Option<(String, String)>;

const SDP: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
     m=audio 0 RTP/AVP 0\r\na=control:trackID=0\r\n";

/// Between two packets; each has so much sound.
const EVERY: Duration = Duration::from_millis(100);
const SAMPLES: usize = 800;

/// How often a camera looks whether it is off.
const LOOK: Duration = Duration::from_millis(20);

const REALM: &str = "camera";
const NONCE: &str = "a0b1c2d3";

impl Cameras {
    /// Anybody may read.
    pub fn start() -> Self {
        Self::with(None)
    }

    /// Only who proves, by Digest, to be this user.
    pub fn with_login(user: &str, password: &str) -> Self {
        Self::with(Some((user.to_owned(), password.to_owned())))
    }

    fn with(login: Login) -> Self {
        let login = Arc::new(login);
        Self(StandIn::start(move |stream, guests| Seat::new(stream, login.clone(), guests.clone()).serve()))
    }

    /// The URL of one of them.
    pub fn url(&self, path: &str) -> String {
        format!("rtsp://{}/{path}", self.address())
    }
}

impl Deref for Cameras {
    type Target = StandIn;

    fn deref(&self) -> &StandIn {
        &self.0
    }
}

/// One connection.
struct Seat {
    stream: TcpStream,
    login: Arc<Login>,
    guests: Arc<Guests>,
    reader: Reader,
    machine: ServerMachine,
    /// While it reads.
    stay: Option<Stay>,
    sent: u32,
    send_at: Instant,
}

impl Seat {
    fn new(stream: TcpStream, login: Arc<Login>, guests: Arc<Guests>) -> Self {
        let capabilities = Capabilities {
            udp: None,
            tcp: true,
            multicast: false,
            encrypted: false,
            session_timeout: Duration::from_secs(60),
        };
        Self {
            stream,
            login,
            guests,
            reader: Reader::new(),
            machine: ServerMachine::new("c0ffee".into(), capabilities),
            stay: None,
            sent: 0,
            send_at: Instant::now(),
        }
    }

    fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        self.talk()
    }

    fn talk(&mut self) -> io::Result<()> {
        let mut chunk = [0; 4096];
        while self.guests.is_on() {
            if self.stay.is_some() && Instant::now() >= self.send_at {
                self.send_sound()?;
            }
            let wait = if self.stay.is_some() { EVERY.min(self.send_at - Instant::now()) } else { LOOK };
            self.stream.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => self.reader.buffer().extend_from_slice(&chunk[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(error) => return Err(error),
            }
            while let Some(incoming) = self.reader.next().map_err(io::Error::other)? {
                if let Incoming::Request(request) = incoming
                    && !self.answer(&request)?
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether the connection goes on.
    fn answer(&mut self, request: &weft_proto::rtsp::Request) -> io::Result<bool> {
        let (pending, outcome) = match self.machine.request(request) {
            Action::Respond(response) => return self.write(&response).map(|()| true),
            Action::Teardown(response) => return self.write(&response).map(|()| false),
            Action::Describe { pending, authorization, .. } => (pending, self.describe(authorization.as_ref())),
            Action::Setup { pending, transport, .. } => (pending, Outcome::SetUp { transport }),
            Action::Play { pending, again, .. } => {
                if !again {
                    self.begin();
                }
                (pending, Outcome::Playing { rtp_info: Vec::new(), range: None })
            }
            Action::Pause { pending } => (pending, Outcome::Accepted),
            Action::Announce { pending, .. } | Action::Record { pending, .. } => {
                (pending, Outcome::refused(Status::NOT_IMPLEMENTED))
            }
        };
        let response = self.machine.answer(pending, outcome);
        self.write(&response)?;
        Ok(true)
    }

    fn describe(&self, shown: Option<&Credentials>) -> Outcome {
        let is_known = self.login.as_ref().as_ref().is_none_or(|(user, password)| match shown {
            Some(Credentials::Digest(digest)) => digest.verify(&Method::Describe, user, password, REALM, NONCE),
            _ => false,
        });
        if is_known {
            return Outcome::Described { sdp: SDP.to_owned() };
        }
        let challenge = digest_challenge(REALM, NONCE, Algorithm::Md5);
        Outcome::Refused { status: Status::UNAUTHORIZED, headers: vec![("WWW-Authenticate", challenge)] }
    }

    fn begin(&mut self) {
        self.stay = Some(self.guests.come(self.machine.path()));
        self.send_at = Instant::now();
    }

    fn send_sound(&mut self) -> io::Result<()> {
        let mut packet = vec![0x24, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        packet.resize(16 + SAMPLES, 0xff);
        let length = u16::try_from(packet.len() - 4).expect("a small packet");
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet[6..8].copy_from_slice(&(self.sent as u16).to_be_bytes());
        packet[8..12].copy_from_slice(&self.sent.wrapping_mul(SAMPLES as u32).to_be_bytes());
        self.sent += 1;
        self.send_at = Instant::now() + EVERY;
        self.stream.write_all(&packet)
    }

    fn write(&mut self, response: &Response) -> io::Result<()> {
        let mut bytes = Vec::new();
        response.write(&mut bytes);
        self.stream.write_all(&bytes)
    }
}
