//! Fencing: media of an ownership that has passed is not taken any more.

use std::collections::BTreeMap;

use weft_proto::id::{Epoch, PathName};

/// The highest epoch of each path that a node knows, from what is agreed and from what it has received.
#[derive(Clone, Debug, Default)]
pub struct Fence {
    highest: BTreeMap<PathName, Epoch>,
}

impl Fence {
    /// Whether media of this epoch may be taken. Then nothing lower may any more.
    pub fn admit(&mut self, path: &PathName, epoch: Epoch) -> bool {
        let highest = self.highest.entry(path.clone()).or_insert(epoch);
        *highest = (*highest).max(epoch);
        epoch == *highest || crate::sabotage::NO_FENCING.is_on()
    }

    /// A path is not carried any more.
    pub fn forget(&mut self, path: &PathName) {
        self.highest.remove(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_an_epoch_is_known_nothing_lower_is_taken() {
        let (mut fence, path) = (Fence::default(), PathName::new("cam").unwrap());
        assert!(fence.admit(&path, Epoch(5)));
        assert!(fence.admit(&path, Epoch(5)));
        assert!(fence.admit(&path, Epoch(7)));
        assert!(!fence.admit(&path, Epoch(5)));
        assert!(fence.admit(&PathName::new("other").unwrap(), Epoch(1)));
    }
}
