//! The threads of the workers, and the pump that each of them runs.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use actix_rt::{Arbiter, ArbiterHandle};
use weft_cluster::stream::{StreamKey, WakeGate};

use super::Bell;

/// The workers of a node.
#[derive(Debug)]
pub struct Pool {
    arbiters: Vec<Arbiter>,
}

/// One worker, as its own sessions see it.
#[derive(Debug)]
pub struct Worker {
    index: usize,
    gate: Arc<WakeGate>,
    bells: RefCell<HashMap<StreamKey, Vec<Rc<Bell>>>>,
}

thread_local!(static WORKER: OnceCell<Rc<Worker>> = const { OnceCell::new() });

impl Pool {
    /// Starts `workers` threads. Must be called inside an actix system.
    pub fn start(workers: usize) -> Self {
        Self { arbiters: (0..workers.max(1)).map(|_| Arbiter::new()).collect() }
    }

    /// Number of workers.
    pub const fn len(&self) -> usize {
        self.arbiters.len()
    }

    /// Whether there is no worker; never.
    pub const fn is_empty(&self) -> bool {
        self.arbiters.is_empty()
    }

    /// Runs `run` once on each worker's thread, with one of `parts` each. It may spawn tasks there.
    pub fn run<T, F>(&self, parts: Vec<T>, run: F)
    where
        T: Send + 'static,
        F: Fn(Rc<Worker>, T) + Clone + Send + 'static,
    {
        for (index, (arbiter, part)) in self.arbiters.iter().zip(parts).enumerate() {
            let run = run.clone();
            arbiter.spawn_fn(move || run(Worker::of_this_thread(index), part));
        }
    }

    /// Ways to run something on one of them.
    pub fn handles(&self) -> Vec<ArbiterHandle> {
        self.arbiters.iter().map(Arbiter::handle).collect()
    }

    /// Ends the threads once their present tasks yield. One that waits for work that it has given away, such as a name that
    /// nobody answers for, is not waited for: it ends with the process.
    pub fn stop(self) {
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
        let (tell, ended) = mpsc::channel();
        let waiting = thread::Builder::new().name("stop".into()).spawn(move || {
            for arbiter in self.arbiters {
                let _ = arbiter.join();
            }
            let _ = tell.send(());
        });
        if waiting.is_err() || ended.recv_timeout(STOP_WITHIN).is_err() {
            tracing::debug!("a worker has not ended yet; not waiting for it");
        }
    }
}

/// Long for what is left to do once all sessions are closed, and short for who waits for the node's end.
const STOP_WITHIN: Duration = Duration::from_millis(500);

impl Worker {
    /// The worker of this thread, if it is one's.
    pub fn current() -> Option<Rc<Self>> {
        WORKER.with(|worker| worker.get().cloned())
    }

    /// The worker of this thread, started when it is asked for first.
    fn of_this_thread(index: usize) -> Rc<Self> {
        WORKER.with(|worker| worker.get_or_init(|| Self::start(index)).clone())
    }

    fn start(index: usize) -> Rc<Self> {
        let worker = Rc::new(Self { index, gate: WakeGate::new(), bells: RefCell::default() });
        actix_rt::spawn(worker.clone().pump());
        worker
    }

    /// Counts from 0.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// What streams ring when they have more for this worker's sessions.
    pub const fn gate(&self) -> &Arc<WakeGate> {
        &self.gate
    }

    /// Rings `bell` whenever the stream has more, until the returned guard is dropped.
    pub fn listen(self: &Rc<Self>, key: StreamKey, bell: &Rc<Bell>) -> Listening {
        self.bells.borrow_mut().entry(key).or_default().push(bell.clone());
        Listening { worker: self.clone(), key, bell: bell.clone() }
    }

    /// Passes what streams ring on to the sessions that read them.
    async fn pump(self: Rc<Self>) {
        let mut keys = Vec::new();
        loop {
            self.gate.rung(&mut keys).await;
            let bells = self.bells.borrow();
            for key in keys.drain(..) {
                for bell in bells.get(&key).into_iter().flatten() {
                    bell.ring();
                }
            }
        }
    }
}

/// Keeps a bell on a stream.
#[derive(Debug)]
pub struct Listening {
    worker: Rc<Worker>,
    key: StreamKey,
    bell: Rc<Bell>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut bells = self.worker.bells.borrow_mut();
        if let Some(list) = bells.get_mut(&self.key) {
            if let Some(at) = list.iter().position(|bell| Rc::ptr_eq(bell, &self.bell)) {
                list.swap_remove(at);
            }
            if list.is_empty() {
                bells.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_end_does_not_wait_for_a_name_that_nobody_answers_for() {
        actix_rt::System::new().block_on(async {
            let pool = Pool::start(2);
            let (begun, has_begun) = mpsc::channel();
            pool.run(vec![begun.clone(), begun], |_, begun| {
                // Names are looked up like this: on a thread that waits.
                actix_rt::task::spawn_blocking(move || {
                    begun.send(()).unwrap();
                    thread::sleep(Duration::from_secs(10));
                });
            });
            (0..2).for_each(|_| has_begun.recv().unwrap());
            let asked = Instant::now();
            pool.stop();
            assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        });
    }
}
