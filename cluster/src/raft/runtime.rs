//! The runtime on which Raft runs: tokio, all on one thread, with chance that a seed decides.
//!
//! In a node this is the cluster thread's `LocalSet`. In a simulation each node has a `LocalSet` of its own, so that a crash
//! ends all its tasks at once, and time is tokio's paused clock. The only chance in Raft is that of its timeouts; with a
//! seed for it, the same seed makes the same run.

use std::cell::RefCell;
use std::future::Future;
use std::time::Duration;

use openraft::OptionalSend;
use openraft::rt::AsyncRuntime;
use openraft_rt_tokio::{TokioMpsc, TokioMutex, TokioOneshot};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::task::{JoinError, JoinHandle, LocalSet};
use tokio::time::error::Elapsed;
use tokio::time::{Sleep, Timeout};

use super::clock::{RaftInstant, stretch};
use super::watch::OrderedWatch;

/// Draws the timeouts of Rafts that run on this thread from this seed, from now on.
pub fn seed(seed: u64) {
    CHANCE.set(SmallRng::seed_from_u64(seed));
}

thread_local! {
    static CHANCE: RefCell<SmallRng> = RefCell::new(SmallRng::from_rng(&mut rand::rng()));
}

/// The runtime as the library wants it.
#[derive(Debug)]
pub(crate) struct ControlRuntime {
    runtime: tokio::runtime::Runtime,
    local: LocalSet,
}

impl AsyncRuntime for ControlRuntime {
    type JoinError = JoinError;
    type JoinHandle<T: OptionalSend + 'static> = JoinHandle<T>;
    type Sleep = Sleep;
    type Instant = RaftInstant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = Timeout<T>;
    type ThreadLocalRng = SmallRng;
    type Mpsc = TokioMpsc;
    type Watch = OrderedWatch;
    type Oneshot = TokioOneshot;
    type Mutex<T: OptionalSend + 'static> = TokioMutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        tokio::task::spawn_local(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        tokio::time::sleep(stretch(duration))
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        tokio::time::sleep_until(deadline.in_the_world())
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        tokio::time::timeout(stretch(duration), future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F> {
        tokio::time::timeout_at(deadline.in_the_world(), future)
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        error.is_panic()
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        CHANCE.with_borrow_mut(SmallRng::from_rng)
    }

    /// For the library's own tests of our storage.
    fn new(_: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self { runtime: runtime.expect("a runtime for a test"), local: LocalSet::new() }
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.local.block_on(&self.runtime, future)
    }
}
