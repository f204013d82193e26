//! Packets that are not there yet, in the order in which they arrive.

use std::collections::BinaryHeap;
use std::net::{IpAddr, SocketAddr};

use quinn::udp::EcnCodepoint;
use weft_proto::time::Now;

use super::link::Arrival;
use crate::limits::FAULT_QUEUE_BYTES_MAX;

/// A packet and where it goes to or comes from.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) peer: SocketAddr,
    /// Of this node.
    pub(super) local: Option<IpAddr>,
    pub(super) ecn: Option<EcnCodepoint>,
    pub(super) bytes: Vec<u8>,
}

/// Holds back packets; bounded in bytes, beyond which they are lost.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BinaryHeap<Waiting>,
    bytes: usize,
    number: u64,
}

#[derive(Debug)]
struct Waiting {
    at: Now,
    number: u64,
    packet: Packet,
}

impl Queue {
    pub(super) fn push(&mut self, arrival: Arrival, mut packet: Packet) {
        if self.bytes + packet.bytes.len() > FAULT_QUEUE_BYTES_MAX {
            return;
        }
        if let Some(bit) = arrival.turned
            && let Some(byte) = packet.bytes.get_mut(bit / 8)
        {
            *byte ^= 1 << (bit % 8);
        }
        self.bytes += packet.bytes.len();
        self.number += 1;
        self.waiting.push(Waiting { at: arrival.at, number: self.number, packet });
    }

    /// When the next one arrives.
    pub(super) fn next(&self) -> Option<Now> {
        self.waiting.peek().map(|first| first.at)
    }

    /// The next one, if it has arrived.
    pub(super) fn pop(&mut self, now: Now) -> Option<Packet> {
        if self.next()? > now {
            return None;
        }
        let packet = self.waiting.pop()?.packet;
        self.bytes -= packet.bytes.len();
        Some(packet)
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // The heap gives the greatest first: that is the earliest.
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(byte: u8, length: usize) -> Packet {
        Packet { peer: ([127, 0, 0, 1], 1).into(), local: None, ecn: None, bytes: vec![byte; length] }
    }

    #[test]
    fn packets_come_out_at_their_time_and_those_of_one_time_in_their_order() {
        let mut queue = Queue::default();
        for (at, byte) in [(30, 3), (10, 1), (20, 2), (10, 4)] {
            queue.push(Arrival { at: Now::from_micros(at), turned: None }, packet(byte, 1));
        }
        queue.push(Arrival { at: Now::from_micros(40), turned: Some(9) }, packet(0, 2));
        let mut pop = |at| queue.pop(Now::from_micros(at)).map(|packet| packet.bytes);
        assert_eq!(pop(9), None);
        assert_eq!([pop(10), pop(15), pop(15)], [Some(vec![1]), Some(vec![4]), None]);
        assert_eq!([pop(50), pop(50), pop(50), pop(50)], [Some(vec![2]), Some(vec![3]), Some(vec![0, 2]), None]);
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn no_more_waits_than_may() {
        let mut queue = Queue::default();
        for _ in 0..20_000 {
            queue.push(Arrival { at: Now::from_micros(1), turned: None }, packet(0, 1200));
        }
        assert!(queue.bytes <= FAULT_QUEUE_BYTES_MAX && queue.bytes > FAULT_QUEUE_BYTES_MAX - 1200);
    }
}
