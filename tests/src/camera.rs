//! A server of RTSP over TCP that stands in for any number of cameras, one a path, and notes who reads from which and when.
//!
//! Each camera sends a little sound, so that a test can have hundreds.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use weft_proto::rtsp::auth::{Algorithm, Credentials, digest_challenge};
use weft_proto::rtsp::machine::{Action, Capabilities, Outcome, ServerMachine};
use weft_proto::rtsp::{Incoming, Method, Reader, Response, Status};

/// The cameras. Dropped, they are gone.
#[derive(Debug)]
pub struct Cameras {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    visits: Mutex<Vec<Visit>>,
    /// Who is off takes nobody, and has dropped whom it had.
    on: AtomicBool,
    over: AtomicBool,
    /// Who may read; anybody where there is none.
    login: Option<(String, String)>,
}

/// Somebody who read from a camera, from PLAY on.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Which camera.
    pub path: String,
    /// Since when.
    pub from: Instant,
    /// Until when, if it is over.
    pub until: Option<Instant>,
}

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

    fn with(login: Option<(String, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind to any port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (on, over) = (AtomicBool::new(true), AtomicBool::new(false));
        let state = Arc::new(State { visits: Mutex::default(), on, over, login });
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.over.load(Ordering::Acquire) {
                    return;
                }
                let (state, stream) = (shared.clone(), stream.expect("accept"));
                std::thread::spawn(move || drop(Seat::new(stream, state).serve()));
            }
        });
        Self { address, state }
    }

    /// Where they are.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of one of them.
    pub fn url(&self, path: &str) -> String {
        format!("rtsp://{}/{path}", self.address)
    }

    /// All who have read so far.
    pub fn visits(&self) -> Vec<Visit> {
        self.state.visits.lock().expect("no seat panics").clone()
    }

    /// Who has read from one of them.
    pub fn visits_of(&self, path: &str) -> Vec<Visit> {
        self.visits().into_iter().filter(|visit| visit.path == path).collect()
    }

    /// How many read from one of them now.
    pub fn readers(&self, path: &str) -> usize {
        self.visits_of(path).iter().filter(|visit| visit.until.is_none()).count()
    }

    /// The longest time for which two have read from the same camera.
    pub fn longest_overlap(&self) -> Duration {
        let (visits, now) = (self.visits(), Instant::now());
        let overlap = |(at, one): (usize, &Visit)| {
            let others = visits[..at].iter().filter(|other| other.path == one.path);
            let both = |other: &Visit| {
                let until = one.until.unwrap_or(now).min(other.until.unwrap_or(now));
                until.saturating_duration_since(one.from.max(other.from))
            };
            others.map(both).max().unwrap_or_default()
        };
        visits.iter().enumerate().map(overlap).max().unwrap_or_default()
    }

    /// Drops all readers and takes none.
    pub fn turn_off(&self) {
        self.state.on.store(false, Ordering::Release);
    }

    /// Takes readers again.
    pub fn turn_on(&self) {
        self.state.on.store(true, Ordering::Release);
    }
}

impl Drop for Cameras {
    fn drop(&mut self) {
        self.turn_off();
        self.state.over.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

/// One connection.
struct Seat {
    stream: TcpStream,
    state: Arc<State>,
    reader: Reader,
    machine: ServerMachine,
    /// Its place among the visits, while it reads.
    visit: Option<usize>,
    sent: u32,
    send_at: Instant,
}

impl Seat {
    fn new(stream: TcpStream, state: Arc<State>) -> Self {
        let capabilities = Capabilities {
            udp: None,
            tcp: true,
            multicast: false,
            encrypted: false,
            session_timeout: Duration::from_secs(60),
        };
        Self {
            stream,
            state,
            reader: Reader::new(),
            machine: ServerMachine::new("c0ffee".into(), capabilities),
            visit: None,
            sent: 0,
            send_at: Instant::now(),
        }
    }

    fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let end = self.talk();
        if let Some(visit) = self.visit {
            self.state.visits.lock().expect("no seat panics")[visit].until = Some(Instant::now());
        }
        end
    }

    fn talk(&mut self) -> io::Result<()> {
        let mut chunk = [0; 4096];
        while self.state.on.load(Ordering::Acquire) {
            if self.visit.is_some() && Instant::now() >= self.send_at {
                self.send_sound()?;
            }
            let wait = if self.visit.is_some() { EVERY.min(self.send_at - Instant::now()) } else { LOOK };
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
        let is_known = self.state.login.as_ref().is_none_or(|(user, password)| match shown {
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
        let visit = Visit { path: self.machine.path().to_owned(), from: Instant::now(), until: None };
        let mut visits = self.state.visits.lock().expect("no seat panics");
        visits.push(visit);
        self.visit = Some(visits.len() - 1);
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
