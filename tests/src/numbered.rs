//! A publisher whose frames say who sent them and which they are, and a reader that checks what it gets.
//!
//! All publishers of a process count the frames of one clock, as encoders of one camera would: so a frame that nobody got can be
//! told from one that came from another publisher.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::publisher::{Refused, claim_with};
use crate::rtsp::{Arrival, Connection, Player};

/// H.264 of 320x180, constrained baseline; made by x264.
const SDP: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
     m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
     a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LADNkBQZ+fARAAAAMAEAAAAwMg8UKkgA==,aMuDyyA=\r\n\
     a=control:trackID=0\r\n";

/// Between two frames, and from one random access point to the next.
const EVERY: Duration = Duration::from_millis(40);
const GROUP: u32 = 25;

/// Bytes of a frame behind its head.
const PADDING: usize = 700;

/// When frame 0 was due.
static CLOCK: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Publishes until dropped, or until the server ends it.
#[derive(Debug)]
pub struct Numbered {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    stop: AtomicBool,
    silent: AtomicBool,
    ended: AtomicBool,
    /// The number after that of the last frame.
    next: AtomicU32,
}

impl Numbered {
    /// Publishes as number `who`, 0 to 127. `path` may have a query.
    pub fn start(server: SocketAddr, path: &str, who: u8) -> Result<Self, Refused> {
        let (connection, _) = claim_with(server, path, SDP)?;
        let state = Arc::new(State::default());
        let shared = state.clone();
        let thread = std::thread::spawn(move || {
            send(connection, &shared, who);
            shared.ended.store(true, Ordering::Release);
        });
        Ok(Self { state, thread: Some(thread) })
    }

    /// Sends nothing from now on, and stays connected.
    pub fn fall_silent(&self) {
        self.state.silent.store(true, Ordering::Release);
    }

    /// Sends again.
    pub fn wake_up(&self) {
        self.state.silent.store(false, Ordering::Release);
    }

    /// Whether the server still takes what is sent.
    pub fn is_going(&self) -> bool {
        !self.state.ended.load(Ordering::Acquire)
    }

    /// The number of the frame that comes next; 0 before the first one.
    pub fn next(&self) -> u32 {
        self.state.next.load(Ordering::Acquire)
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Seven bits a byte with the highest set: no start code can come about.
fn stamp(who: u8, number: u32) -> [u8; 6] {
    let part = |shift: u32| 0x80 | (number >> shift & 0x7f) as u8;
    [0x80 | who, part(28), part(21), part(14), part(7), part(0)]
}

fn send(mut connection: Connection, state: &State, who: u8) {
    let first = u32::try_from(CLOCK.elapsed().as_millis() / EVERY.as_millis()).expect("few frames") + 1;
    let mut next = *CLOCK + EVERY * first;
    for number in first.. {
        while Instant::now() < next {
            if state.stop.load(Ordering::Acquire) || connection.frame(next).is_err() {
                return;
            }
        }
        next += EVERY;
        if state.stop.load(Ordering::Acquire) {
            return;
        }
        // A silent one's clock goes on, as an encoder's does whose network is gone.
        if state.silent.load(Ordering::Acquire) {
            continue;
        }
        // First macroblock 0, slice type I or P, parameter set 0.
        let head: &[u8] =
            if (number - first).is_multiple_of(GROUP) { &[0x65, 0x88, 0x84] } else { &[0x41, 0x9a, 0x84] };
        let mut packet = vec![0x24, 0, 0, 0, 0x80, 0x80 | 96];
        packet.extend_from_slice(&((number - first) as u16).to_be_bytes());
        packet.extend_from_slice(&number.wrapping_mul(3600).to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 9]);
        packet.extend_from_slice(head);
        packet.extend_from_slice(&stamp(who, number));
        packet.resize(packet.len() + PADDING, 0x55);
        let length = u16::try_from(packet.len() - 4).expect("a small packet");
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        if connection.send_bytes(&packet).is_err() {
            return;
        }
        state.next.store(number + 1, Ordering::Release);
    }
}

/// When a frame was due to be sent.
pub fn due(number: u32) -> Instant {
    *CLOCK + EVERY * number
}

/// Who sent a frame, and which it is.
pub fn number(arrival: &Arrival) -> (u8, u32) {
    number_in(&arrival.bytes).expect("a frame of ours")
}

/// The same of a NAL unit with a slice of ours.
pub(crate) fn number_in(nal: &[u8]) -> Option<(u8, u32)> {
    let bytes = nal.get(3..9)?;
    let number = bytes[1..].iter().fold(0, |number, byte| number << 7 | u32::from(byte & 0x7f));
    Some((bytes[0] & 0x7f, number))
}

/// A reader that holds the server to what readers may rely on over changes of publishers: it is never cut off, time goes
/// forward, no two publishers are interleaved, and each begins with a random access point.
#[derive(Debug)]
pub struct Strict {
    player: Player,
    last: Option<(Arrival, u8, u32)>,
    /// Publishers of before: none of their frames may come again until they publish again.
    changes: Vec<(u8, Duration)>,
    /// The longest time without a frame.
    longest: Duration,
}

impl Strict {
    /// Begins to read.
    pub fn start(server: SocketAddr, path: &str) -> Self {
        let player = Player::start(server, &format!("rtsp://{server}/{path}"));
        Self { player, last: None, changes: Vec::new(), longest: Duration::ZERO }
    }

    /// Reads until so many frames of this publisher have come since the call, or fails after half a minute.
    pub fn read_from(&mut self, who: u8, frames: usize) -> Result<(), String> {
        let limit = Instant::now() + Duration::from_secs(30);
        let mut seen = 0;
        while seen < frames {
            let (sender, _) = self.next(limit)?;
            seen += usize::from(sender == who);
        }
        Ok(())
    }

    /// Reads for so long, for what must not come.
    pub fn read_for(&mut self, time: Duration) -> Result<(), String> {
        let limit = Instant::now() + time;
        while Instant::now() < limit {
            match self.player.next(limit) {
                Ok(Some(arrival)) => drop(self.take(arrival)?),
                Ok(None) => {}
                Err(error) => return Err(format!("the reader was cut off: {error}")),
            }
        }
        Ok(())
    }

    /// The changes of publishers since the last call: to whom, and how long the reader got nothing.
    pub fn take_changes(&mut self) -> Vec<(u8, Duration)> {
        std::mem::take(&mut self.changes)
    }

    /// The longest time without a frame since the last call.
    pub fn take_longest(&mut self) -> Duration {
        std::mem::take(&mut self.longest)
    }

    fn next(&mut self, limit: Instant) -> Result<(u8, u32), String> {
        match self.player.next(limit) {
            Ok(Some(arrival)) => self.take(arrival),
            Ok(None) => Err("the reader gets nothing any more".to_owned()),
            Err(error) => Err(format!("the reader was cut off: {error}")),
        }
    }

    fn take(&mut self, arrival: Arrival) -> Result<(u8, u32), String> {
        let (who, sequence) = number(&arrival);
        if let Some((before, sender, last)) = &self.last {
            let gap = arrival.at.duration_since(before.at);
            self.longest = self.longest.max(gap);
            if arrival.micros <= before.micros {
                return Err(format!("time went back from {} to {}", before.micros, arrival.micros));
            }
            if *sender != who {
                if !arrival.random_access {
                    return Err(format!("publisher {who} begins with frame {sequence}, which depends on others"));
                }
                self.changes.push((who, gap));
            } else if sequence <= *last {
                return Err(format!("frame {sequence} of publisher {who} came after {last}"));
            }
        }
        self.last = Some((arrival, who, sequence));
        Ok((who, sequence))
    }
}
