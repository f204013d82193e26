//! How a worker's pump tells a session that its stream has more, without atomics: both live on one thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

/// Rung by the pump, answered by one session.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Bell {
    /// A bell that has not rung.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Rings, and wakes the session that waits.
    pub fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Takes the ring; when there was none, wakes `cx` at the next.
    pub fn poll(&self, cx: &Context<'_>) -> bool {
        if self.rung.take() {
            return true;
        }
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
        false
    }
}
