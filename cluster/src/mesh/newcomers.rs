//! Those who have not said yet who they are: how many there may be.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::limits::{NEWCOMERS_MAX, NEWCOMERS_PER_ADDRESS_MAX};

/// What an address says about a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing.
    Stranger,
    /// A member has this address, with another port: strangers elsewhere must not shut it out.
    Neighbour,
    /// It is a member's, and proven.
    Member,
}

/// Counts them. Clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Newcomers(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    all: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// The place of one, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    newcomers: Newcomers,
    address: IpAddr,
}

impl Newcomers {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.lock().all
    }

    /// A place for one, if there is any.
    pub(super) fn enter(&self, address: IpAddr, standing: Standing) -> Option<Place> {
        let mut counted = self.0.lock();
        let here = counted.by_address.get(&address).copied().unwrap_or(0);
        let is_full = match standing {
            Standing::Stranger => counted.all >= NEWCOMERS_MAX || here >= NEWCOMERS_PER_ADDRESS_MAX,
            Standing::Neighbour => here >= NEWCOMERS_PER_ADDRESS_MAX,
            Standing::Member => false,
        };
        if is_full {
            return None;
        }
        counted.all += 1;
        counted.by_address.insert(address, here + 1);
        Some(Place { newcomers: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counted = self.newcomers.0.lock();
        counted.all = counted.all.saturating_sub(1);
        if let Some(here) = counted.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                counted.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_bounded_by_address_and_in_all_and_members_are_not_shut_out() {
        let newcomers = Newcomers::default();
        let address = |n: u8| IpAddr::from([10, 0, 0, n]);
        let enter = |n: u8, standing| newcomers.enter(address(n), standing);
        let mut places: Vec<_> = (0..100).filter_map(|_| enter(1, Standing::Stranger)).collect();
        assert_eq!(places.len(), NEWCOMERS_PER_ADDRESS_MAX);
        assert!(enter(1, Standing::Neighbour).is_none());
        assert!(enter(1, Standing::Member).is_some());
        places.extend((2..50).flat_map(|n| (0..100).filter_map(move |_| enter(n, Standing::Stranger))));
        assert_eq!(places.len(), NEWCOMERS_MAX);
        assert!(enter(200, Standing::Stranger).is_none());
        assert!(enter(200, Standing::Neighbour).is_some());
        drop(places);
        assert_eq!((newcomers.len(), newcomers.0.lock().by_address.len()), (0, 0));
    }
}
