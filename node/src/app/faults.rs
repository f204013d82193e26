//! Faults for the API: who is meant, and what.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use weft_cluster::Clock;
use weft_cluster::membership::Cluster;
use weft_cluster::mesh::faults::{Bandwidth, Bursts, Fault, FaultLease, FaultRefused, Faults, Target, Way};
use weft_cluster::ownership::{NodeId, State};

use crate::http::{
    Direction, FaultBandwidth, FaultBursts, FaultError, FaultKind, FaultSource, FaultView, FaultWish, Plane,
};

/// The faults of this node.
pub(super) struct Injected {
    /// Between nodes.
    faults: Faults,
    /// Between WebRTC's clients and this node.
    webrtc: Faults,
    cluster: Cluster,
    clock: Clock,
}

impl Injected {
    pub(super) const fn new(faults: Faults, webrtc: Faults, cluster: Cluster, clock: Clock) -> Self {
        Self { faults, webrtc, cluster, clock }
    }

    const fn table(&self, plane: Plane) -> &Faults {
        match plane {
            Plane::Control => &self.faults,
            Plane::Webrtc => &self.webrtc,
        }
    }

    fn view(&self, plane: Plane, id: u64, lease: &FaultLease) -> FaultView {
        FaultView {
            id: id + first(plane),
            peer: match lease.target {
                Target::Everyone => "*".to_owned(),
                Target::Node(node) => node.to_string(),
                Target::Host(host) => host.to_string(),
                Target::Socket(address) => address.to_string(),
            },
            direction: match lease.way {
                Some(Way::In) => Direction::In,
                Some(Way::Out) => Direction::Out,
                None => Direction::Both,
            },
            plane,
            kind: kind(&lease.fault),
            seed: lease.seed.to_string(),
            remaining_seconds: lease.until.since(self.clock.now()).as_secs_f64(),
        }
    }

    fn put(&self, (target, fault, wish): &(Target, Fault, FaultWish)) -> Result<u64, FaultError> {
        let way = match wish.direction {
            Direction::In => Some(Way::In),
            Direction::Out => Some(Way::Out),
            Direction::Both => None,
        };
        let lasts = time("durationSeconds", wish.duration_seconds)?;
        let seed = wish.seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().1);
        let id = self.table(wish.plane).add(*target, way, fault.clone(), seed, lasts).map_err(refused)?;
        Ok(id + first(wish.plane))
    }
}

impl FaultSource for Injected {
    fn list(&self) -> Vec<FaultView> {
        let of = |plane| {
            let list = self.table(plane).list().into_iter();
            list.map(move |(id, lease)| self.view(plane, id, &lease))
        };
        PLANES.into_iter().flat_map(of).collect()
    }

    fn add(&self, wishes: Vec<FaultWish>) -> Result<Vec<FaultView>, FaultError> {
        let wishes: Vec<_> = {
            let state = self.cluster.state().read();
            let known = |wish: FaultWish| Ok((target(&state, &wish.peer)?, fault(&wish.kind)?, wish));
            wishes.into_iter().map(known).collect::<Result<_, FaultError>>()?
        };
        let mut added = Vec::new();
        for wish in &wishes {
            match self.put(wish) {
                Ok(id) => added.push(id),
                Err(error) => {
                    // All or none. One that has ended by itself meanwhile is as gone as it should be.
                    for id in added {
                        let _ = self.remove(id);
                    }
                    return Err(error);
                }
            }
        }
        Ok(self.list().into_iter().filter(|fault| added.contains(&fault.id)).collect())
    }

    fn remove(&self, id: u64) -> Result<(), FaultError> {
        let plane = if id < first(Plane::Webrtc) { Plane::Control } else { Plane::Webrtc };
        self.table(plane).remove(id - first(plane)).map_err(refused)
    }

    fn clear(&self) {
        PLANES.into_iter().for_each(|plane| self.table(plane).clear());
    }
}

const PLANES: [Plane; 2] = [Plane::Control, Plane::Webrtc];

/// The id of a plane's first fault, less one: so that ids of all planes differ.
const fn first(plane: Plane) -> u64 {
    match plane {
        Plane::Control => 0,
        Plane::Webrtc => 1 << 32,
    }
}

fn refused(error: FaultRefused) -> FaultError {
    let message = error.to_string();
    match error {
        FaultRefused::TooMany => FaultError::Conflict(message),
        FaultRefused::Unknown => FaultError::NotFound(message),
        _ => FaultError::BadRequest(message),
    }
}

fn target(state: &State, peer: &str) -> Result<Target, FaultError> {
    if peer == "*" {
        return Ok(Target::Everyone);
    }
    let known = state.members().iter();
    let named: Vec<NodeId> = known
        .filter(|(node, member)| node.to_string() == peer || member.facts.name == peer)
        .map(|(node, _)| node)
        .collect();
    match named.as_slice() {
        [node] => Ok(Target::Node(*node)),
        [] => {
            let address = peer.parse::<SocketAddr>().map(Target::Socket);
            let target = address.or_else(|_| peer.parse::<IpAddr>().map(Target::Host));
            target.map_err(|_| FaultError::NotFound(format!("{peer:?} is no node and no address")))
        }
        _ => Err(FaultError::Conflict(format!("several nodes are called {peer}; name one by its id"))),
    }
}

fn time(name: &str, seconds: f64) -> Result<Duration, FaultError> {
    Duration::try_from_secs_f64(seconds).map_err(|error| FaultError::BadRequest(format!("{name}: {error}")))
}

fn fault(kind: &FaultKind) -> Result<Fault, FaultError> {
    let millis = |name, value: f64| time(name, value / 1e3);
    let FaultKind { partition, jitter_correlation, loss, loss_correlation, duplicate, reorder, corrupt, .. } = *kind;
    Ok(Fault {
        partition,
        delay: millis("delayMs", kind.delay_ms)?,
        jitter: millis("jitterMs", kind.jitter_ms)?,
        jitter_correlation,
        loss,
        loss_correlation,
        bursts: kind.bursts.map(|FaultBursts { begin, end, loss }| Bursts { begin, end, loss }),
        duplicate,
        reorder,
        reorder_by: millis("reorderByMs", kind.reorder_by_ms)?,
        corrupt,
        bandwidth: kind
            .bandwidth
            .map(|FaultBandwidth { bits_per_second, queue_bytes }| Bandwidth { bits_per_second, queue_bytes }),
    })
}

fn kind(fault: &Fault) -> FaultKind {
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let Fault { partition, jitter_correlation, loss, loss_correlation, duplicate, reorder, corrupt, .. } = *fault;
    FaultKind {
        partition,
        delay_ms: millis(fault.delay),
        jitter_ms: millis(fault.jitter),
        jitter_correlation,
        loss,
        loss_correlation,
        bursts: fault.bursts.map(|Bursts { begin, end, loss }| FaultBursts { begin, end, loss }),
        duplicate,
        reorder,
        reorder_by_ms: millis(fault.reorder_by),
        corrupt,
        bandwidth: fault
            .bandwidth
            .map(|Bandwidth { bits_per_second, queue_bytes }| FaultBandwidth { bits_per_second, queue_bytes }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weft_cluster::mesh::faults::{Bandwidth, Bursts, Fault};

    use super::{fault, kind};
    use crate::http::{FaultError, FaultKind};

    #[test]
    fn what_is_asked_for_is_what_is_shown() {
        let all = Fault {
            partition: true,
            delay: Duration::from_millis(20),
            jitter: Duration::from_micros(1500),
            jitter_correlation: 0.25,
            loss: 0.1,
            loss_correlation: 0.2,
            bursts: Some(Bursts { begin: 0.01, end: 0.2, loss: 1.0 }),
            duplicate: 0.3,
            reorder: 0.4,
            reorder_by: Duration::from_millis(7),
            corrupt: 0.5,
            bandwidth: Some(Bandwidth { bits_per_second: 1_000_000, queue_bytes: 64_000 }),
        };
        assert_eq!(fault(&kind(&all)), Ok(all));
        assert_eq!(fault(&FaultKind::default()), Ok(Fault::default()));
    }

    #[test]
    fn times_that_are_none_are_refused() {
        for delay_ms in [-1.0, f64::NAN, f64::INFINITY] {
            let refused = fault(&FaultKind { delay_ms, ..FaultKind::default() });
            assert!(matches!(refused, Err(FaultError::BadRequest(error)) if error.starts_with("delayMs")));
        }
    }
}
