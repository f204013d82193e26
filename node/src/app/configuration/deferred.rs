//! Who serves what the node owns, for the cluster thread.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::watch;
use weft_cluster::membership::Host;
use weft_cluster::ownership::NodeId;
use weft_proto::id::{Epoch, PathName};
use weft_proto::wire::relay::Reached;

/// Who serves what the node owns. The fabric is there a moment later than the cluster, and nothing is owned before.
///
/// A path may be given to the node by an entry that comes right behind the one that configures it, before that is in force
/// here. Such a path is taken, and looked at again when it is.
pub(in crate::app) struct LateHost {
    host: OnceLock<Arc<dyn Host>>,
    agreed: watch::Receiver<u64>,
    in_force: watch::Receiver<u64>,
    deferred: Mutex<Vec<(PathName, Epoch)>>,
}

impl LateHost {
    /// With the revision that is agreed, and the one that is in force.
    pub(in crate::app) fn new(agreed: watch::Receiver<u64>, in_force: watch::Receiver<u64>) -> Self {
        Self { host: OnceLock::new(), agreed, in_force, deferred: Mutex::default() }
    }

    pub(in crate::app) fn set(&self, host: Arc<dyn Host>) {
        // Set once, at the start.
        let _ = self.host.set(host);
    }

    /// Another revision is in force: paths that waited for it are served now. Those that still cannot be are returned.
    pub(in crate::app) fn look_again(&self) -> Vec<PathName> {
        // Locked throughout: a path that is lost meanwhile must not be given to the node afterwards.
        let mut deferred = self.deferred.lock();
        let is_unserved = |(path, epoch): &(PathName, Epoch)| !self.assign(path, *epoch);
        deferred.drain(..).filter(is_unserved).map(|(path, _)| path).collect()
    }

    fn assign(&self, path: &PathName, epoch: Epoch) -> bool {
        self.host.get().is_some_and(|host| host.assigned(path, epoch))
    }

    fn forget(&self, path: &PathName) {
        self.deferred.lock().retain(|(waits, _)| waits != path);
    }
}

impl Host for LateHost {
    fn lost(&self, path: &PathName, epoch: Epoch, owner: Option<NodeId>) {
        self.forget(path);
        if let Some(host) = self.host.get() {
            host.lost(path, epoch, owner);
        }
    }

    fn passed(&self, path: &PathName) {
        self.forget(path);
        if let Some(host) = self.host.get() {
            host.passed(path);
        }
    }

    fn renewed(&self, path: &PathName, epoch: Epoch) {
        if let Some(host) = self.host.get() {
            host.renewed(path, epoch);
        }
    }

    fn assigned(&self, path: &PathName, epoch: Epoch) -> bool {
        {
            // Locked while it is looked: what is deferred is seen by whoever looks again after this.
            let mut deferred = self.deferred.lock();
            if *self.in_force.borrow() < *self.agreed.borrow() {
                deferred.push((path.clone(), epoch));
                return true;
            }
        }
        self.assign(path, epoch)
    }

    fn sources(&self) -> Arc<[PathName]> {
        self.host.get().map(|host| host.sources()).unwrap_or_default()
    }

    fn unseen(&self, nodes: BTreeSet<NodeId>) {
        if let Some(host) = self.host.get() {
            host.unseen(nodes);
        }
    }

    fn quorum(&self, there: bool) {
        if let Some(host) = self.host.get() {
            host.quorum(there);
        }
    }

    fn reached(&self, path: &PathName) -> Option<Reached> {
        self.host.get()?.reached(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves one path.
    struct Serves(PathName, Mutex<Vec<PathName>>);

    impl Host for Serves {
        fn lost(&self, _: &PathName, _: Epoch, _: Option<NodeId>) {}
        fn passed(&self, _: &PathName) {}
        fn renewed(&self, _: &PathName, _: Epoch) {}
        fn assigned(&self, path: &PathName, _: Epoch) -> bool {
            self.1.lock().push(path.clone());
            *path == self.0
        }
        fn sources(&self) -> Arc<[PathName]> {
            Arc::default()
        }
        fn quorum(&self, _: bool) {}
        fn reached(&self, _: &PathName) -> Option<Reached> {
            None
        }
    }

    #[test]
    fn a_path_waits_for_the_configuration_that_it_is_in() {
        let [(agreed, agrees), (in_force, is_in_force)] = [watch::channel(4), watch::channel(3)];
        let [new, gone, lost] = ["new", "gone", "lost"].map(|name| PathName::new(name).unwrap());
        let serves = Arc::new(Serves(new.clone(), Mutex::default()));
        let host = LateHost::new(agrees, is_in_force);
        host.set(serves.clone());
        assert!([&new, &gone, &lost].into_iter().all(|path| host.assigned(path, Epoch(9))));
        host.lost(&lost, Epoch(10), None);
        assert_eq!(*serves.1.lock(), [], "nobody is asked before");
        in_force.send_replace(4);
        assert_eq!(host.look_again(), std::slice::from_ref(&gone));
        assert_eq!(*serves.1.lock(), [new, gone.clone()], "in their order");
        assert!(!host.assigned(&gone, Epoch(11)), "nothing is waited for any more");
        drop(agreed);
    }
}
