//! Waking workers: a publication wakes each worker that reads it at most once per batch, whatever the number of readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

/// Names a stream to a worker. Never reused within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey(pub u64);

/// A worker's bell: streams ring it, the worker's pump answers.
#[derive(Debug, Default)]
pub struct WakeGate {
    dirty: Mutex<Vec<Arc<Line>>>,
    notify: Notify,
}

/// The wire between one stream and one worker.
#[derive(Debug)]
struct Line {
    key: StreamKey,
    gate: Arc<WakeGate>,
    rung: AtomicBool,
}

impl WakeGate {
    /// A gate that nobody rings yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Waits until a stream rings, then fills `keys` with all that have rung since the last call.
    pub async fn rung(&self, keys: &mut Vec<StreamKey>) {
        loop {
            self.notify.notified().await;
            let mut dirty = self.dirty.lock();
            keys.extend(dirty.drain(..).map(|line| {
                // From here on a new unit rings again; what is there already will be read by this round.
                line.rung.store(false, Ordering::Release);
                line.key
            }));
            if !keys.is_empty() {
                return;
            }
        }
    }
}

/// The workers that read one stream.
#[derive(Debug)]
pub(crate) struct Bells {
    key: StreamKey,
    lines: RwLock<Vec<(Arc<Line>, usize)>>,
}

impl Bells {
    pub(crate) const fn new(key: StreamKey) -> Self {
        Self { key, lines: RwLock::new(Vec::new()) }
    }

    /// Counts one more reader on the gate's worker.
    pub(crate) fn add(&self, gate: &Arc<WakeGate>) {
        let mut lines = self.lines.write();
        if let Some((_, readers)) = lines.iter_mut().find(|(line, _)| Arc::ptr_eq(&line.gate, gate)) {
            *readers += 1;
            return;
        }
        let line = Line { key: self.key, gate: gate.clone(), rung: AtomicBool::new(false) };
        lines.push((Arc::new(line), 1));
    }

    /// Counts one reader less.
    pub(crate) fn remove(&self, gate: &Arc<WakeGate>) {
        self.lines.write().retain_mut(|(line, readers)| {
            *readers -= usize::from(Arc::ptr_eq(&line.gate, gate));
            *readers > 0
        });
    }

    /// Rings every worker that has readers and was not yet rung.
    pub(crate) fn ring(&self) {
        for (line, _) in self.lines.read().iter() {
            if !line.rung.swap(true, Ordering::AcqRel) {
                line.gate.dirty.lock().push(line.clone());
                line.gate.notify.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_gate_is_rung_once_however_many_readers_and_units() {
        let gate = WakeGate::new();
        let bells = Bells::new(StreamKey(7));
        (0..100).for_each(|_| bells.add(&gate));
        (0..5).for_each(|_| bells.ring());
        let mut keys = Vec::new();
        gate.rung(&mut keys).await;
        assert_eq!(keys, [StreamKey(7)]);
        bells.ring();
        keys.clear();
        gate.rung(&mut keys).await;
        assert_eq!(keys, [StreamKey(7)]);
    }

    #[tokio::test]
    async fn a_worker_without_readers_is_not_rung() {
        let (gate, other) = (WakeGate::new(), WakeGate::new());
        let bells = Bells::new(StreamKey(1));
        bells.add(&gate);
        bells.add(&other);
        bells.remove(&gate);
        bells.ring();
        assert!(gate.dirty.lock().is_empty());
        assert_eq!(other.dirty.lock().len(), 1);
    }
}
