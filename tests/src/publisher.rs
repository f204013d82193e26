//! A publisher of a little sound over RTSP, so cheap that a test can have a thousand.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use weft_proto::rtsp::machine::ClientMachine;
use weft_proto::rtsp::{Channels, LowerTransport, Mode, Transport};

use crate::rtsp::Connection;

/// Publishes until dropped, or until the server ends it.
#[derive(Debug)]
pub struct Publisher {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    stop: AtomicBool,
    ended: AtomicBool,
}

/// One track of G.711.
const SDP: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
     m=audio 0 RTP/AVP 0\r\na=control:trackID=0\r\n";

/// Between two packets; each has so much sound.
const EVERY: Duration = Duration::from_millis(20);
const SAMPLES: usize = 160;

/// Why a publisher is not taken.
#[derive(Debug)]
pub enum Refused {
    /// The server says so.
    Status(u16),
    /// The connection.
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Publisher {
    /// Asks to publish, and does so when the server agrees.
    pub fn start(server: SocketAddr, path: &str) -> Result<Self, Refused> {
        let connection = claim(server, path)?;
        let state = Arc::new(State::default());
        let shared = state.clone();
        let thread = std::thread::spawn(move || {
            send(connection, &shared.stop);
            shared.ended.store(true, Ordering::Release);
        });
        Ok(Self { state, thread: Some(thread) })
    }

    /// Whether the server still takes what is sent.
    pub fn is_going(&self) -> bool {
        !self.state.ended.load(Ordering::Acquire)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Everything up to the first packet. The connection, dropped, lets go of the path.
pub fn claim(server: SocketAddr, path: &str) -> Result<Connection, Refused> {
    claim_timed(server, path).map(|(connection, _)| connection)
}

/// The same, and how long the last step took, at which the path is claimed.
pub fn claim_timed(server: SocketAddr, path: &str) -> Result<(Connection, Duration), Refused> {
    claim_with(server, path, SDP)
}

/// The same for the one track that a description has.
pub(crate) fn claim_with(server: SocketAddr, path: &str, sdp: &'static str) -> Result<(Connection, Duration), Refused> {
    let uri = format!("rtsp://{server}/{path}");
    let mut connection = Connection::open(server, &uri, None)?;
    let offer = Transport {
        lower: LowerTransport::Tcp,
        interleaved: Some(Channels { rtp: 0, rtcp: 1 }),
        mode: Some(Mode::Record),
        ..Transport::default()
    };
    let mut asked = Instant::now();
    for step in 0..3 {
        asked = Instant::now();
        let response = connection.ask(|machine| match step {
            0 => machine.announce(sdp),
            1 => machine.setup("trackID=0", &offer),
            _ => ClientMachine::record(machine),
        })?;
        if !response.status.is_success() {
            return Err(Refused::Status(response.status.code()));
        }
    }
    Ok((connection, asked.elapsed()))
}

fn send(mut connection: Connection, stop: &AtomicBool) {
    let mut packet = vec![0x24, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    packet.resize(16 + SAMPLES, 0xff);
    let length = u16::try_from(packet.len() - 4).expect("a small packet");
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    for number in 0_u32.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let sequence = u16::try_from(number & 0xffff).expect("masked");
        packet[6..8].copy_from_slice(&sequence.to_be_bytes());
        packet[8..12].copy_from_slice(&number.wrapping_mul(SAMPLES as u32).to_be_bytes());
        // What the server says meanwhile is read while waiting for the next packet's time; its end is an error.
        if connection.send_bytes(&packet).is_err() || connection.frame(Instant::now() + EVERY).is_err() {
            return;
        }
    }
}
