//! From whom a node takes a path. Pure: the same on every node that knows the same.
//!
//! A path crosses into each zone once: one node of the zone, found by rendezvous hashing of the path, takes it from the
//! owner, the others of the zone take it from that one. In the owner's own zone everybody takes it from the owner.

use weft_proto::id::PathName;
use weft_proto::wire::entry::NodeId;

use crate::limits::RELAY_DEPTH_MAX;
use crate::placement::mix;

/// A node that could pass a path on.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) node: NodeId,
    pub(super) zone: &'a str,
}

/// From whom `me` takes a path of `owner`. `candidates`: the nodes that serve, `me` and the owner among them.
pub(super) fn parent<'a>(
    path: &PathName,
    me: NodeId,
    owner: NodeId,
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
) -> NodeId {
    let zone_of = |node| candidates.clone().find(|candidate| candidate.node == node).map(|candidate| candidate.zone);
    let (Some(mine), Some(owners)) = (zone_of(me), zone_of(owner)) else { return owner };
    if mine == owners {
        return owner;
    }
    let entry = candidates
        .filter(|candidate| candidate.zone == mine)
        .map(|candidate| candidate.node)
        .max_by_key(|node| (mix(path.as_str(), *node), *node));
    entry.filter(|entry| *entry != me).unwrap_or(owner)
}

/// Whether a node that gets a path through `above` (the owner first, itself last) may pass it on to a child through which
/// `below` get it (the nearest first).
pub(super) fn may_pass(above: &[NodeId], below: &[NodeId]) -> bool {
    above.len() + below.len() <= RELAY_DEPTH_MAX + 1 && !above.iter().any(|node| below.contains(node))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONES: [(u64, &str); 6] = [(1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "b"), (6, "c")];

    fn parent_of(path: &str, me: u64, owner: u64) -> u64 {
        let candidates = ZONES.iter().map(|(node, zone)| Candidate { node: NodeId(*node), zone });
        parent(&PathName::new(path).unwrap(), NodeId(me), NodeId(owner), candidates).0
    }

    #[test]
    fn in_the_owners_zone_everybody_asks_the_owner() {
        assert_eq!(parent_of("cam", 2, 1), 1);
        assert_eq!(parent_of("cam", 6, 1), 1, "alone in its zone");
    }

    #[test]
    fn a_path_crosses_into_a_zone_once() {
        for n in 0..50 {
            let path = format!("cam/{n}");
            let parents = [3, 4, 5].map(|me| parent_of(&path, me, 1));
            let crossing = parents.iter().filter(|parent| **parent == 1).count();
            assert_eq!(crossing, 1, "{path}: {parents:?}");
            let entry = [3, 4, 5][parents.iter().position(|parent| *parent == 1).unwrap()];
            assert!(parents.iter().all(|parent| [1, entry].contains(parent)));
        }
    }

    #[test]
    fn entries_are_spread_over_a_zones_nodes() {
        let entries = |node| (0..300).filter(|n| parent_of(&format!("cam/{n}"), node, 1) == 1).count();
        assert!([3, 4, 5].iter().all(|node| (60..140).contains(&entries(*node))));
    }

    #[test]
    fn nobody_gets_a_path_through_itself_or_over_too_many() {
        let nodes = |list: &[u64]| list.iter().map(|id| NodeId(*id)).collect::<Vec<_>>();
        assert!(may_pass(&nodes(&[1]), &nodes(&[2])));
        assert!(!may_pass(&nodes(&[1, 2]), &nodes(&[3, 1])));
        assert!(may_pass(&nodes(&[1, 2, 3]), &nodes(&[4, 5])));
        assert!(!may_pass(&nodes(&[1, 2, 3]), &nodes(&[4, 5, 6])));
    }
}
