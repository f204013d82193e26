//! Threads that read many connections at once and look at little of what they read, so that a reader costs a small
//! part of what it costs the server.

mod gauge;
mod order;
mod seat;
mod wire;

pub use gauge::{Gauge, Meter, Stall};
pub use order::{Arrival, Order};

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::ProbeError;
use super::clock::{cpu_of, now_ns};
use super::door::Seat;
use super::sys::{self, Epoll};
use seat::{Connection, Scratch};

/// Token of the event descriptor; all others are a connection's index and a lane.
const WAKE: u64 = u64::MAX;
/// A reader in so many compares every byte of padding.
const VERIFY_ONE_IN: usize = 32;
const TEND_NS: u64 = 1_000_000_000;

/// A thread with its readers.
#[derive(Debug)]
pub struct ReaderThread {
    shared: Arc<Shared>,
    thread: JoinHandle<Harvest>,
}

/// Which reader it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticket {
    /// Where it reads, by its number.
    pub place: u16,
    /// Which publisher's stream it should get.
    pub path: u16,
    /// How many came to that place before it.
    pub turn: usize,
}

/// The way into a [`ReaderThread`].
#[derive(Clone, Debug)]
pub struct Entrance {
    shared: Arc<Shared>,
}

impl Entrance {
    /// Brings a reader.
    pub fn add(&self, seat: Seat, ticket: Ticket) {
        let connection = Connection::new(seat, ticket, ticket.turn.is_multiple_of(VERIFY_ONE_IN));
        if let Ok(mut inbox) = self.shared.inbox.lock() {
            inbox.push(connection);
        }
        sys::wake(&self.shared.event);
    }
}

/// What a thread tells while it runs.
#[derive(Debug)]
struct Shared {
    inbox: Mutex<Vec<Connection>>,
    event: OwnedFd,
    measuring: AtomicBool,
    stop: AtomicBool,
    bytes: AtomicU64,
    units: AtomicU64,
    lost: AtomicU64,
    ended: AtomicU64,
}

/// Counts of a running thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes out of the sockets.
    pub bytes: u64,
    /// Complete video units.
    pub units: u64,
    /// Video units lost.
    pub lost: u64,
    /// Connections that ended.
    pub ended: u64,
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            bytes: self.bytes + other.bytes,
            units: self.units + other.units,
            lost: self.lost + other.lost,
            ended: self.ended + other.ended,
        }
    }
}

/// What a thread has measured in the end.
#[derive(Debug)]
pub struct Harvest {
    /// Each reader's own.
    pub gauges: Vec<Gauge>,
    /// What those of a place share.
    pub meters: Vec<Meter>,
}

impl ReaderThread {
    /// Starts a thread without readers, who may come from so many places. A live unit that needs more than `late` counts as
    /// late.
    pub fn start(late: Duration, places: usize) -> Result<Self, ProbeError> {
        sys::raise_descriptor_limit();
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            event: sys::event_fd().map_err(ProbeError::io("create event"))?,
            measuring: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            units: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        });
        let epoll = Epoll::new().map_err(ProbeError::io("create epoll"))?;
        epoll.add(shared.event.as_fd(), WAKE).map_err(ProbeError::io("watch event"))?;
        let (inner, late_ns) = (Arc::clone(&shared), late.as_nanos() as u64);
        let thread = thread::Builder::new().name("read".into()).spawn(move || run(&inner, &epoll, late_ns, places));
        Ok(Self { shared, thread: thread.map_err(ProbeError::io("start thread"))? })
    }

    /// By which other threads bring readers.
    pub fn entrance(&self) -> Entrance {
        Entrance { shared: Arc::clone(&self.shared) }
    }

    /// Begins or ends the measured window.
    pub fn measure(&self, on: bool) {
        self.shared.measuring.store(on, Ordering::Relaxed);
    }

    /// What has been counted so far.
    pub fn counts(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared { bytes, units, lost, ended, .. } = &*self.shared;
        Counts { bytes: load(bytes), units: load(units), lost: load(lost), ended: load(ended) }
    }

    /// CPU time it has used so far.
    pub fn cpu(&self) -> Duration {
        cpu_of(&self.thread)
    }

    /// Ends it. A thread that panicked gives nothing.
    pub fn stop(self) -> Option<Harvest> {
        self.shared.stop.store(true, Ordering::Relaxed);
        sys::wake(&self.shared.event);
        self.thread.join().ok()
    }
}

fn run(shared: &Shared, epoll: &Epoll, late_ns: u64, places: usize) -> Harvest {
    let (mut connections, mut tokens) = (Vec::<Connection>::new(), Vec::new());
    let mut scratch = Scratch::new();
    let mut meters: Vec<Meter> = (0..places.max(1)).map(|_| Meter::new(late_ns)).collect();
    let mut was_measuring = false;
    let (mut bytes, mut ended, mut tended_ns) = (0, 0, now_ns());
    while !shared.stop.load(Ordering::Relaxed) {
        if epoll.wait(&mut tokens, 250).is_err() {
            break;
        }
        let measuring = shared.measuring.load(Ordering::Relaxed);
        if was_measuring && !measuring {
            connections.iter_mut().for_each(|connection| connection.gauge.end_window(now_ns()));
        }
        was_measuring = measuring;
        meters.iter_mut().for_each(|meter| meter.measuring = measuring);
        for &token in &tokens {
            if token == WAKE {
                sys::quiet(&shared.event);
                let arrived = shared.inbox.lock().map(|mut inbox| std::mem::take(&mut *inbox)).unwrap_or_default();
                for mut connection in arrived {
                    let meter = &mut meters[usize::from(connection.gauge.place)];
                    bytes += connection.enter(epoll, connections.len() as u64, meter);
                    connections.push(connection);
                }
                continue;
            }
            let connection = &mut connections[(token >> seat::LANE_BITS) as usize];
            let was_ended = connection.gauge.ended;
            let meter = &mut meters[usize::from(connection.gauge.place)];
            let got = connection.read(token, &mut scratch, meter);
            bytes += got;
            meter.bytes += if measuring { got } else { 0 };
            ended += u64::from(!was_ended && connection.gauge.ended);
        }
        let now = now_ns();
        if now > tended_ns + TEND_NS {
            tended_ns = now;
            connections.iter_mut().for_each(|connection| connection.tend(now));
        }
        shared.bytes.store(bytes, Ordering::Relaxed);
        shared.units.store(meters.iter().map(|meter| meter.units).sum(), Ordering::Relaxed);
        shared.lost.store(meters.iter().map(|meter| meter.lost).sum(), Ordering::Relaxed);
        shared.ended.store(ended, Ordering::Relaxed);
    }
    Harvest { gauges: connections.into_iter().map(|connection| connection.gauge).collect(), meters }
}
