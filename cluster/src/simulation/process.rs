//! A process: all tasks of one node, which can be stopped, resumed and killed together.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::task::{JoinHandle, LocalSet, spawn_local};

/// A running process. Dropping it kills it.
pub(super) struct Process {
    task: JoinHandle<()>,
    gate: Rc<RefCell<Gate>>,
}

#[derive(Default)]
struct Gate {
    stopped: bool,
    waker: Option<Waker>,
}

struct Gated {
    local: LocalSet,
    gate: Rc<RefCell<Gate>>,
}

impl Process {
    /// Runs a future, and all that it spawns, as a process.
    pub(super) fn start(main: impl Future<Output = ()> + 'static) -> Self {
        let local = LocalSet::new();
        local.spawn_local(main);
        let gate = Rc::new(RefCell::new(Gate::default()));
        let task = spawn_local(Gated { local, gate: gate.clone() });
        Self { task, gate }
    }

    /// SIGSTOP.
    pub(super) fn stop(&self) {
        self.gate.borrow_mut().stopped = true;
    }

    /// SIGCONT.
    pub(super) fn resume(&self) {
        let mut gate = self.gate.borrow_mut();
        gate.stopped = false;
        if let Some(waker) = gate.waker.take() {
            waker.wake();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Future for Gated {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let stopped = {
            let mut gate = self.gate.borrow_mut();
            gate.waker = Some(context.waker().clone());
            gate.stopped
        };
        if stopped { Poll::Pending } else { Pin::new(&mut self.local).poll(context) }
    }
}
