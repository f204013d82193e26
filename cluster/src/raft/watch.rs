//! A value that others watch. Like tokio's, but whoever waits is woken in the order in which it began to: tokio's picks by
//! chance, so that the same seed would not make the same run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use openraft::rt::watch::{RecvError, SendError, Watch, WatchReceiver, WatchSender};
use openraft::{OptionalSend, OptionalSync};
use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::Notify;

/// The kind of channel, as the library wants it.
#[derive(Debug)]
pub(crate) struct OrderedWatch;

#[derive(Debug)]
struct Channel<T> {
    value: RwLock<T>,
    version: AtomicU64,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    changed: Notify,
}

/// Sets the value.
#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Channel<T>>);

/// Sees the value, and that it changes.
#[derive(Debug)]
pub(crate) struct Receiver<T> {
    channel: Arc<Channel<T>>,
    seen: u64,
}

/// A channel with this value.
pub(crate) fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel {
        value: RwLock::new(value),
        version: AtomicU64::new(0),
        senders: AtomicUsize::new(1),
        receivers: AtomicUsize::new(1),
        changed: Notify::new(),
    });
    (Sender(channel.clone()), Receiver { channel, seen: 0 })
}

impl<T> Sender<T> {
    fn modify(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let mut value = self.0.value.write();
        let modified = modify(&mut value);
        if modified {
            // While it is locked: whoever sees the version sees the value.
            self.0.version.fetch_add(1, Ordering::Release);
        }
        drop(value);
        if modified {
            self.0.changed.notify_waiters();
        }
        modified
    }

    /// Sets the value, whether somebody watches or not.
    pub(crate) fn set(&self, value: T) {
        self.modify(|current| {
            *current = value;
            true
        });
    }

    /// The value.
    pub(crate) fn get(&self) -> RwLockReadGuard<'_, T> {
        self.0.value.read()
    }

    /// Somebody else who watches from now on.
    pub(crate) fn receiver(&self) -> Receiver<T> {
        self.0.receivers.fetch_add(1, Ordering::Relaxed);
        Receiver { channel: self.0.clone(), seen: self.0.version.load(Ordering::Acquire) }
    }
}

impl<T> Receiver<T> {
    /// Waits for a value that has not been seen; false when there can be none any more.
    pub(crate) async fn next(&mut self) -> bool {
        loop {
            let changed = self.channel.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // Before looking: what changes from here on wakes it.
            changed.as_mut().enable();
            let version = self.channel.version.load(Ordering::Acquire);
            if version != self.seen {
                self.seen = version;
                return true;
            }
            if self.channel.senders.load(Ordering::Acquire) == 0 {
                return false;
            }
            changed.await;
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.changed.notify_waiters();
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.channel.receivers.fetch_add(1, Ordering::Relaxed);
        Self { channel: self.channel.clone(), seen: self.seen }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.channel.receivers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watch for OrderedWatch {
    type Sender<T: OptionalSend + OptionalSync> = Sender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = Receiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = RwLockReadGuard<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(value: T) -> (Sender<T>, Receiver<T>) {
        channel(value)
    }
}

impl<T: OptionalSend + OptionalSync> WatchSender<OrderedWatch, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.0.receivers.load(Ordering::Acquire) == 0 {
            return Err(SendError(value));
        }
        self.set(value);
        Ok(())
    }

    fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
        self.modify(modify)
    }

    fn borrow_watched(&self) -> RwLockReadGuard<'_, T> {
        self.get()
    }

    fn subscribe(&self) -> Receiver<T> {
        self.receiver()
    }
}

impl<T: OptionalSend + OptionalSync> WatchReceiver<OrderedWatch, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        if self.next().await { Ok(()) } else { Err(RecvError(())) }
    }

    fn borrow_watched(&self) -> RwLockReadGuard<'_, T> {
        self.channel.value.read()
    }

    fn borrow_and_update(&mut self) -> RwLockReadGuard<'_, T> {
        let value = self.channel.value.read();
        self.seen = self.channel.version.load(Ordering::Acquire);
        value
    }
}
