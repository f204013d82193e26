//! Readers coming in, so many a second.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::cli::{LoadArgs, View};
use crate::probe::ProbeError;
use crate::probe::clock::{now_ns, sleep_until};
use crate::probe::door;
use crate::probe::reader::{Entrance, ReaderThread, Ticket};

/// Handshakes under way at once. They mostly wait for the server.
const DOORS: u32 = 32;

/// Threads that join readers.
pub(super) struct Joining {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    args: LoadArgs,
    start_ns: u64,
    next: AtomicU32,
    joined: AtomicU32,
    /// Of which place, and why.
    failures: Mutex<Vec<(u16, ProbeError)>>,
    entrances: Vec<Entrance>,
}

impl Joining {
    pub(super) fn start(args: &LoadArgs, readers: &[ReaderThread]) -> Self {
        let shared = Arc::new(Shared {
            args: args.clone(),
            start_ns: now_ns(),
            next: AtomicU32::new(0),
            joined: AtomicU32::new(0),
            failures: Mutex::default(),
            entrances: readers.iter().map(ReaderThread::entrance).collect(),
        });
        let threads = (0..DOORS.min(args.readers)).map(|_| Arc::clone(&shared));
        let threads = threads.map(|shared| thread::spawn(move || while shared.join_next() {})).collect();
        Self { shared, threads }
    }

    /// How it stands, in words. None when nobody is missing.
    pub(super) fn progress(&self) -> Option<String> {
        let joined = self.shared.joined.load(Ordering::Relaxed);
        let failed = self.shared.failures.lock().map_or(0, |failures| failures.len());
        let wanted = self.shared.args.readers;
        let done = joined + failed as u32 >= wanted;
        (!done).then(|| format!("joined {joined}/{wanted}, failed {failed}"))
    }

    /// Waits for the rest and says who did not get in.
    pub(super) fn finish(self) -> Vec<(u16, ProbeError)> {
        for thread in self.threads {
            let _ = thread.join();
        }
        self.shared.failures.lock().map(|mut failures| std::mem::take(&mut *failures)).unwrap_or_default()
    }
}

impl Shared {
    fn join_next(&self) -> bool {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        if index >= self.args.readers {
            return false;
        }
        sleep_until(self.start_ns + (f64::from(index) / self.args.join_rate * 1e9) as u64);
        let View { place, path, turn, url } = self.args.view(index);
        match door::read(&url, self.args.read_transport()) {
            Ok(seat) => {
                self.entrances[index as usize % self.entrances.len()].add(seat, Ticket { place, path, turn });
                self.joined.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                if let Ok(mut failures) = self.failures.lock() {
                    failures.push((place, error));
                }
            }
        }
        true
    }
}
