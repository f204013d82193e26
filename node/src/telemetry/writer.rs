//! A thread that writes lines, so that a slow terminal or disk never holds up a worker.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use crate::clock::rfc3339_millis;

/// Where lines go.
pub(super) enum Sink {
    /// Standard output.
    Stdout,
    /// A file, at its end.
    File(File),
    /// For tests.
    #[cfg(test)]
    Memory(Arc<parking_lot::Mutex<Vec<u8>>>),
}

enum Message {
    Line(String),
    /// Answered once everything before it is written.
    Flush(SyncSender<()>),
}

/// Hands lines over; cheap to clone.
#[derive(Clone)]
pub(super) struct Lines {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl Lines {
    /// Starts the thread.
    pub(super) fn start(sinks: Vec<Sink>) -> std::io::Result<Self> {
        let (queue, messages) = sync_channel(LINES_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let count = lost.clone();
        std::thread::Builder::new().name("log".into()).spawn(move || write_all(&messages, sinks, &count))?;
        Ok(Self { queue, lost })
    }

    /// Queues a line; when the queue is full it is lost, and counted.
    pub(super) fn send(&self, line: String) {
        if self.queue.try_send(Message::Line(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what was sent is written, or [`FLUSH_MAX`] is over.
    pub(super) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        let mut message = Message::Flush(done);
        for _ in 0..10 {
            match self.queue.try_send(message) {
                Ok(()) => {
                    let _ = wait.recv_timeout(FLUSH_MAX);
                    return;
                }
                Err(TrySendError::Full(back)) => message = back,
                Err(TrySendError::Disconnected(_)) => return,
            }
            std::thread::sleep(FLUSH_MAX / 10);
        }
    }
}

fn write_all(messages: &Receiver<Message>, mut sinks: Vec<Sink>, lost: &AtomicU64) {
    while let Ok(message) = messages.recv() {
        match message {
            Message::Line(line) => write(&mut sinks, &line),
            Message::Flush(done) => {
                let _ = done.try_send(());
            }
        }
        let count = lost.swap(0, Ordering::Relaxed);
        if count > 0 {
            let time = rfc3339_millis(SystemTime::now());
            write(&mut sinks, &format!("{time} WAR {count} log lines were lost: the destination is too slow\n"));
        }
    }
}

/// A destination that fails loses the line: there is nowhere left to say so.
fn write(sinks: &mut [Sink], line: &str) {
    for sink in sinks {
        let _ = match sink {
            Sink::Stdout => std::io::stdout().lock().write_all(line.as_bytes()),
            Sink::File(file) => file.write_all(line.as_bytes()),
            #[cfg(test)]
            Sink::Memory(memory) => memory.lock().write_all(line.as_bytes()),
        };
    }
}

/// Lines that wait to be written: a burst of one second at 4,000 lines.
const LINES_MAX: usize = 4096;

/// How long an ending node waits for its last lines.
const FLUSH_MAX: Duration = Duration::from_secs(1);
