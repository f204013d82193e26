//! Faults where a door's UDP port meets the network: packets that are lost, late, doubled or turned, for experiments.
//!
//! Where faults are not enabled none of it is in the way; where none is in force it is one look.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use weft_cluster::Clock;
use weft_cluster::mesh::faults::{Arrival, Faults, Way};

/// A datagram with its sender and the address of this machine that it was sent to.
pub(super) type Received = (SocketAddr, Option<IpAddr>, Bytes);

/// What happens to a port's packets.
#[derive(Debug)]
pub(super) struct Faulty {
    faults: Faults,
    clock: Clock,
    late: UnboundedSender<Received>,
    /// Taken by whoever receives.
    arrives: Mutex<UnboundedReceiver<Received>>,
}

impl Faulty {
    pub(super) fn new(faults: Faults, clock: Clock) -> Self {
        let (late, arrives) = unbounded_channel();
        Self { faults, clock, late, arrives: Mutex::new(arrives) }
    }

    /// Whether anything may happen.
    pub(super) fn is_any(&self) -> bool {
        self.faults.is_any()
    }

    /// Sends what is not lost, now or later.
    pub(super) fn send(&self, to: SocketAddr, packet: &[u8], send: impl Fn(&[u8]) + Clone + 'static) {
        for arrival in self.faults.pass(to, Way::Out, packet.len()) {
            let (bytes, send) = (turned(packet, arrival), send.clone());
            match self.wait(arrival) {
                None => send(&bytes),
                Some(wait) => drop(actix_rt::spawn(async move {
                    tokio::time::sleep(wait).await;
                    send(&bytes);
                })),
            }
        }
    }

    /// Gives on what is not lost, at once or, through [`Self::arrival`], later.
    pub(super) fn receive(
        &self,
        (from, to, packet): Received,
        take: &mut impl FnMut(SocketAddr, Option<IpAddr>, Bytes),
    ) {
        for arrival in self.faults.pass(from, Way::In, packet.len()) {
            let bytes = turned(&packet, arrival);
            match self.wait(arrival) {
                None => take(from, to, bytes),
                Some(wait) => {
                    let late = self.late.clone();
                    drop(actix_rt::spawn(async move {
                        tokio::time::sleep(wait).await;
                        let _ = late.send((from, to, bytes));
                    }));
                }
            }
        }
    }

    /// Waits for a datagram that was late.
    pub(super) async fn arrival(self: Rc<Self>) -> Received {
        match self.arrives.lock().await.recv().await {
            Some(received) => received,
            // This end is held here.
            None => std::future::pending().await,
        }
    }

    fn wait(&self, arrival: Arrival) -> Option<Duration> {
        let wait = arrival.at.since(self.clock.now());
        (wait > Duration::ZERO).then_some(wait)
    }
}

fn turned(packet: &[u8], arrival: Arrival) -> Bytes {
    let mut bytes = packet.to_vec();
    if let Some(bit) = arrival.turned
        && let Some(byte) = bytes.get_mut(bit / 8)
    {
        *byte ^= 1 << (bit % 8);
    }
    bytes.into()
}
