//! Readers that go on for as long as they are let, one thread each, and are judged by what they get.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::fragment;
use super::judge::{Judge, Seen, Verdict};
use crate::cluster::Node;
use crate::hls::{Contents, Viewer};
use crate::numbered::{number, number_in};
use crate::rtmp;
use crate::rtsp::{Arrival, Player, UdpPlayer};

/// How a reader reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// RTSP, media inside the connection.
    RtspTcp,
    /// RTSP, media over UDP.
    RtspUdp,
    /// RTMP.
    Rtmp,
    /// HLS, whole segments.
    Hls,
    /// HLS, playlists that wait for parts.
    LowLatencyHls,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::RtspTcp, Self::RtspUdp, Self::Rtmp, Self::Hls, Self::LowLatencyHls];

    /// What a reader of it must have got to be well: over HLS units come by segments.
    pub const fn units(self) -> usize {
        match self {
            Self::Hls => 25,
            _ => 10,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::RtspTcp => "RTSP/TCP",
            Self::RtspUdp => "RTSP/UDP",
            Self::Rtmp => "RTMP",
            Self::Hls => "HLS",
            Self::LowLatencyHls => "LL-HLS",
        })
    }
}

/// A reader. Dropped, it ends when it looks next.
#[derive(Debug)]
pub struct Reader {
    /// How it reads.
    pub protocol: Protocol,
    /// The node's label.
    pub node: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    judge: Mutex<Judge>,
    ended: Mutex<Option<String>>,
}

/// Between two looks whether to go on.
const LOOK: Duration = Duration::from_millis(100);

/// Ticks of a second in what we write over HLS.
const HLS_RATE: u64 = 90_000;

impl Reader {
    /// Begins to read a path of a node, which is perhaps to be cut off. What viewers of HLS got by name is compared with what
    /// others got.
    pub fn start(node: &Node, protocol: Protocol, path: &str, contents: &Contents, cut_off: bool) -> Self {
        let shared = Arc::new(Shared::default());
        let server = match protocol {
            Protocol::RtspTcp | Protocol::RtspUdp => node.rtsp_address(),
            Protocol::Rtmp => node.rtmp_address(),
            Protocol::Hls | Protocol::LowLatencyHls => node.hls_address(),
        };
        let (inner, path, contents) = (shared.clone(), path.to_owned(), contents.clone());
        let work = move || {
            let join = || match Viewer::join(server, &path, &contents) {
                viewer if cut_off => viewer.with_gaps(),
                viewer => viewer,
            };
            let read = || read(protocol, server, &path, join, &inner);
            let ended = match catch_unwind(AssertUnwindSafe(read)) {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(panic) => Some(said(panic.as_ref())),
            };
            *inner.ended.lock().expect("nobody panics with it") = ended;
        };
        let name = format!("{protocol} at {}", node.name);
        let thread = std::thread::Builder::new().name(name).spawn(work).expect("a thread starts");
        Self { protocol, node: node.name.clone(), shared, thread: Some(thread) }
    }

    /// What it got is forgotten, but for its last unit.
    pub fn mark(&self) {
        self.judge().mark();
    }

    /// What it got since the last mark.
    pub fn verdict(&self) -> Verdict {
        self.judge().verdict().clone()
    }

    /// Whose unit came last.
    pub fn reads_from(&self) -> Option<u8> {
        self.judge().who()
    }

    /// Why it ended, if it has.
    pub fn ended(&self) -> Option<String> {
        self.shared.ended.lock().expect("nobody panics with it").clone()
    }

    /// Ends it, and waits.
    pub fn stop(mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn judge(&self) -> MutexGuard<'_, Judge> {
        self.shared.judge.lock().expect("nobody panics with it")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

impl Shared {
    fn is_going(&self) -> bool {
        !self.stop.load(Ordering::Acquire)
    }

    fn note(&self, seen: Seen) {
        self.judge.lock().expect("nobody panics with it").note(seen);
    }

    /// Notes units until it is to stop.
    fn follow(&self, mut next: impl FnMut(Instant) -> io::Result<Option<Arrival>>) -> io::Result<()> {
        while self.is_going() {
            if let Some(arrival) = next(Instant::now() + LOOK)? {
                let (who, number) = number(&arrival);
                let (at, micros, random_access) = (arrival.at, arrival.micros, Some(arrival.random_access));
                self.note(Seen { at, who, number, micros, random_access });
            }
        }
        Ok(())
    }

    /// The same of what a viewer loads.
    fn watch(&self, mut viewer: Viewer) {
        // What parts had comes again in their segment.
        let mut known: BTreeMap<u64, (u8, u32)> = BTreeMap::new();
        while self.is_going() {
            viewer.step();
            let at = Instant::now();
            for content in viewer.take_fresh() {
                for sample in fragment::samples(&content) {
                    let (who, number) = number_in(sample.slice).expect("a frame of ours");
                    if known.insert(sample.ticks, (who, number)) != Some((who, number)) {
                        let micros = (sample.ticks * 1_000_000 / HLS_RATE).cast_signed();
                        let random_access = Some(sample.slice[0] & 0x1f == 5);
                        self.note(Seen { at, who, number, micros, random_access });
                    }
                }
            }
        }
    }
}

fn read(
    protocol: Protocol,
    server: SocketAddr,
    path: &str,
    join: impl FnOnce() -> Viewer,
    shared: &Shared,
) -> io::Result<()> {
    let uri = format!("rtsp://{server}/{path}");
    match protocol {
        Protocol::RtspTcp => {
            let mut player = Player::start(server, &uri);
            shared.follow(|limit| player.next(limit))
        }
        Protocol::RtspUdp => {
            let mut player = UdpPlayer::start(server, &uri);
            shared.follow(|limit| player.next(limit))
        }
        Protocol::Rtmp => {
            let mut player = rtmp::Player::start(server, path);
            shared.follow(|limit| player.next(limit))
        }
        Protocol::Hls => {
            shared.watch(join().without_parts());
            Ok(())
        }
        Protocol::LowLatencyHls => {
            shared.watch(join());
            Ok(())
        }
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}
