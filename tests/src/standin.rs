//! A TCP server that stands in for servers of others: it can be turned off and on again, and notes who takes what and when.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The server. Dropped, it is gone.
#[derive(Debug)]
pub struct StandIn {
    address: SocketAddr,
    guests: Arc<Guests>,
    over: Arc<AtomicBool>,
}

/// Who is and was there, as each connection's thread sees it.
#[derive(Debug)]
pub struct Guests {
    visits: Mutex<Vec<Visit>>,
    on: AtomicBool,
}

/// Somebody who took something.
#[derive(Clone, Debug)]
pub struct Visit {
    /// What.
    pub path: String,
    /// Since when.
    pub from: Instant,
    /// Until when, if it is over.
    pub until: Option<Instant>,
}

/// A visit that goes on until this is dropped.
#[derive(Debug)]
pub struct Stay {
    guests: Arc<Guests>,
    place: usize,
}

impl StandIn {
    /// Serves each connection with this, in a thread of its own.
    pub fn start(serve: impl Fn(TcpStream, &Arc<Guests>) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind to any port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let guests = Arc::new(Guests { visits: Mutex::default(), on: AtomicBool::new(true) });
        let (over, serve) = (Arc::new(AtomicBool::new(false)), Arc::new(serve));
        let (all, ends) = (guests.clone(), over.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::Acquire) {
                    return;
                }
                let (serve, guests, stream) = (serve.clone(), all.clone(), stream.expect("accept"));
                // Who hangs up in the middle is no failure of a test.
                std::thread::spawn(move || drop(serve(stream, &guests)));
            }
        });
        Self { address, guests, over }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All who have come so far.
    pub fn visits(&self) -> Vec<Visit> {
        self.guests.visits.lock().expect("no thread panics").clone()
    }

    /// Who has taken one thing.
    pub fn visits_of(&self, path: &str) -> Vec<Visit> {
        self.visits().into_iter().filter(|visit| visit.path == path).collect()
    }

    /// How many take it now.
    pub fn readers(&self, path: &str) -> usize {
        self.visits_of(path).iter().filter(|visit| visit.until.is_none()).count()
    }

    /// The longest time for which two have taken the same thing.
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

    /// Drops all and takes nobody.
    pub fn turn_off(&self) {
        self.guests.on.store(false, Ordering::Release);
    }

    /// Takes everybody again.
    pub fn turn_on(&self) {
        self.guests.on.store(true, Ordering::Release);
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.turn_off();
        self.over.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

impl Guests {
    /// Whether anybody is served.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// Somebody begins to take this.
    pub fn come(self: &Arc<Self>, path: &str) -> Stay {
        let mut visits = self.visits.lock().expect("no thread panics");
        visits.push(Visit { path: path.to_owned(), from: Instant::now(), until: None });
        Stay { guests: self.clone(), place: visits.len() - 1 }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Ok(mut visits) = self.guests.visits.lock() {
            visits[self.place].until = Some(Instant::now());
        }
    }
}
