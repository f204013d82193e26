//! Who may connect: bounds on connections that have not proven anything yet, and on all together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::limits::{CONNECTIONS_MAX, HALF_OPEN_ADDRESS_MAX, HALF_OPEN_NODE_MAX};

/// Counts the connections of a node.
#[derive(Debug, Default)]
pub struct Admission {
    half_open: Mutex<HalfOpen>,
    all: AtomicU32,
}

#[derive(Debug, Default)]
struct HalfOpen {
    total: u32,
    by_address: HashMap<IpAddr, u32>,
}

/// An admitted connection; counts until dropped.
#[derive(Debug)]
pub struct Admitted {
    admission: Arc<Admission>,
    /// The address, while nothing is proven.
    half_open: Option<IpAddr>,
}

impl Admission {
    /// Admits a connection that has proven nothing yet, if the bounds allow it.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admitted> {
        let mut half_open = self.half_open.lock();
        let of_address = half_open.by_address.get(&address).copied().unwrap_or(0);
        let full = half_open.total >= HALF_OPEN_NODE_MAX
            || of_address >= HALF_OPEN_ADDRESS_MAX
            || self.all.load(Ordering::Relaxed) >= CONNECTIONS_MAX;
        if full {
            return None;
        }
        half_open.total += 1;
        half_open.by_address.insert(address, of_address + 1);
        self.all.fetch_add(1, Ordering::Relaxed);
        Some(Admitted { admission: self.clone(), half_open: Some(address) })
    }
}

impl Admitted {
    /// The connection got past handshake and authentication: it no longer counts against its address.
    pub fn establish(&mut self) {
        let Some(address) = self.half_open.take() else { return };
        let mut half_open = self.admission.half_open.lock();
        half_open.total -= 1;
        if let Some(count) = half_open.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                half_open.by_address.remove(&address);
            }
        }
    }

    /// Whether it got that far.
    pub const fn is_established(&self) -> bool {
        self.half_open.is_none()
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.establish();
        self.admission.all.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_the_place_of_others() {
        let admission = Arc::new(Admission::default());
        let (greedy, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut held: Vec<Admitted> = (0..HALF_OPEN_ADDRESS_MAX).filter_map(|_| admission.admit(greedy)).collect();
        assert_eq!(held.len() as u32, HALF_OPEN_ADDRESS_MAX);
        assert!(admission.admit(greedy).is_none());
        assert!(admission.admit(other).is_some());
        held[0].establish();
        held.push(admission.admit(greedy).unwrap());
        drop(held);
        assert_eq!(admission.half_open.lock().total, 0);
        assert_eq!(admission.all.load(Ordering::Relaxed), 0);
    }
}
