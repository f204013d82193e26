//! What happens between the moment in which a claim is agreed on and that in which its publisher is let in.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::tests::{JOIN, fabric_of, info, push, seqs, until};
use super::*;
use crate::ownership::{ClaimError, Claiming, OwnedBy, Standing};
use crate::stream::testing::tracks;

/// Longer than some looks.
const WHILE: Duration = Duration::from_millis(200);

/// A cluster in which another node's publisher waits for the path, and answers take a while.
#[derive(Default)]
struct Slow {
    owned: parking_lot::Mutex<OwnedBy>,
    /// A claim is agreed on, and whoever asked does not know it yet.
    answering: AtomicBool,
    handed_over_meanwhile: AtomicUsize,
    /// The path is given to another node, which lets it go, while the first publisher is let in.
    robs: AtomicBool,
    epoch: AtomicU64,
}

impl Claimant for Arc<Slow> {
    fn claim(&self, _: &PathName, _: bool) -> Claiming {
        let this = self.clone();
        *this.owned.lock() = OwnedBy::This;
        this.answering.store(true, Ordering::Relaxed);
        Box::pin(async move {
            tokio::time::sleep(WHILE).await;
            this.answering.store(false, Ordering::Relaxed);
            if this.robs.swap(false, Ordering::Relaxed) {
                *this.owned.lock() = OwnedBy::Nobody;
            }
            Ok::<_, ClaimError>(Epoch(this.epoch.fetch_add(1, Ordering::Relaxed)))
        })
    }

    fn held(&self, _: &PathName) -> Claiming {
        let held = (*self.owned.lock() == OwnedBy::This).then_some(Epoch(self.epoch.load(Ordering::Relaxed)));
        Box::pin(std::future::ready(held.ok_or(ClaimError::NotServing)))
    }

    fn let_go(&self, _: &PathName) {
        *self.owned.lock() = OwnedBy::Nobody;
    }

    fn standing(&self, _: &PathName) -> Standing {
        let owner = *self.owned.lock();
        Standing {
            owner,
            epoch: Epoch(self.epoch.load(Ordering::Relaxed)),
            best_elsewhere: Some(100),
            ..Standing::default()
        }
    }

    fn awaited(&self) -> Vec<PathName> {
        vec![PathName::new("cam").unwrap()]
    }

    fn hand_over(&self, _: &PathName) {
        if self.answering.load(Ordering::Relaxed) {
            self.handed_over_meanwhile.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn owner(&self, _: &PathName) -> Option<(String, Epoch)> {
        None
    }
}

fn cam() -> PathName {
    PathName::new("cam").unwrap()
}

#[actix::test]
async fn a_path_is_handed_to_nobody_while_its_publisher_is_let_in() {
    let claimant = Arc::new(Slow::default());
    let fabric = fabric_of(claimant.clone());
    // Nobody knows the path, and then it has a reader.
    let first = fabric.publish(cam(), info("p"), tracks()).await.unwrap();
    let gate = WakeGate::new();
    let reader = fabric.subscribe(cam(), info("r"), JOIN, &gate).await.unwrap();
    drop(first);
    let mut second = fabric.publish(cam(), info("q"), tracks()).await.unwrap();
    push(&mut second, 0..1);
    assert_eq!(claimant.handed_over_meanwhile.load(Ordering::Relaxed), 0);
    drop(reader);
}

#[actix::test]
async fn a_path_that_was_lost_while_its_publisher_was_let_in_is_claimed_again() {
    let claimant = Arc::new(Slow::default());
    claimant.robs.store(true, Ordering::Relaxed);
    let fabric = fabric_of(claimant.clone());
    let mut publication = fabric.publish(cam(), info("p"), tracks()).await.unwrap();
    assert_eq!(*claimant.owned.lock(), OwnedBy::Nobody);
    until(|| fabric.inner.directory.find(&cam()).is_some_and(|shared| shared.stream.epoch() == Epoch(1))).await;
    assert_eq!(*claimant.owned.lock(), OwnedBy::This);
    let gate = WakeGate::new();
    let mut reader = fabric.subscribe(cam(), info("r"), JOIN, &gate).await.unwrap();
    push(&mut publication, 0..1);
    assert_eq!(seqs(&mut reader).len(), 1);
}
