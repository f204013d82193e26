//! Disks: what is written is durable a while later, in order; a crash loses what was not.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::raft::{Disk, Done, Image, Write};

/// A node's disk. It outlives the node's processes. Clones are the same disk.
#[derive(Clone)]
pub(super) struct SimDisk {
    inner: Arc<Mutex<Inner>>,
    written: Arc<Notify>,
}

struct Inner {
    chance: SmallRng,
    durable: Image,
    incarnation: u64,
    pending: VecDeque<(Write, Option<Done>)>,
    /// An fsync takes up to so long.
    latency: Duration,
    full: bool,
    /// Writes are acknowledged before they are durable.
    lies: bool,
}

impl SimDisk {
    pub(super) fn new(seed: u64, lies: bool) -> Self {
        let inner = Inner {
            chance: SmallRng::seed_from_u64(seed),
            durable: Image::default(),
            incarnation: 0,
            pending: VecDeque::new(),
            latency: Duration::from_millis(2),
            full: false,
            lies,
        };
        Self { inner: Arc::new(Mutex::new(inner)), written: Arc::default() }
    }

    /// Writes from now on take up to so long.
    pub(super) fn set_latency(&self, latency: Duration) {
        self.inner.lock().latency = latency;
    }

    /// Writes fail from now on, or do not any more.
    pub(super) fn set_full(&self, full: bool) {
        self.inner.lock().full = full;
    }

    /// The next incarnation, durable at once.
    pub(super) fn next_incarnation(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.incarnation += 1;
        inner.incarnation
    }

    /// The process is gone. Of what was not durable yet, a beginning is; says whether something was lost.
    pub(super) fn crash(&self, lose: bool) -> bool {
        let mut inner = self.inner.lock();
        let count = inner.pending.len();
        let kept = if lose { inner.chance.random_range(0..=count) } else { count };
        let survivors: Vec<Write> = inner.pending.drain(..).take(kept).map(|(write, _)| write).collect();
        survivors.into_iter().for_each(|write| inner.durable.apply(write));
        kept < count
    }

    /// Everything on it is gone.
    pub(super) fn wipe(&self) {
        let mut inner = self.inner.lock();
        inner.durable = Image::default();
        inner.pending.clear();
        inner.incarnation = 0;
    }

    /// Makes writes durable. Runs with the process.
    pub(super) async fn run(self) {
        loop {
            let latency = {
                let mut inner = self.inner.lock();
                let most = inner.latency.as_micros() as u64;
                let some = inner.chance.random_range(100..=most.max(101));
                (!inner.pending.is_empty()).then_some((inner.pending.len(), Duration::from_micros(some)))
            };
            let Some((count, latency)) = latency else {
                self.written.notified().await;
                continue;
            };
            sleep(latency).await;
            for done in self.sync(count) {
                done(Ok(()));
            }
        }
    }

    fn sync(&self, count: usize) -> Vec<Done> {
        let mut inner = self.inner.lock();
        let batch: Vec<(Write, Option<Done>)> = inner.pending.drain(..count).collect();
        batch
            .into_iter()
            .filter_map(|(write, done)| {
                inner.durable.apply(write);
                done
            })
            .collect()
    }
}

impl Disk for SimDisk {
    fn load(&self) -> io::Result<Image> {
        Ok(self.inner.lock().durable.clone())
    }

    fn write(&self, write: Write, done: Done) {
        let mut inner = self.inner.lock();
        if inner.full {
            drop(inner);
            return done(Err(io::Error::from(io::ErrorKind::StorageFull)));
        }
        if inner.lies {
            inner.pending.push_back((write, None));
            drop(inner);
            done(Ok(()));
        } else {
            inner.pending.push_back((write, Some(done)));
        }
        self.written.notify_one();
    }
}
