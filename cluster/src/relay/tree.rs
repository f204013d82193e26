//! From whom a node takes a path. Pure: the same on every node that knows the same.
//!
//! A path crosses into each zone once: one node of the zone, found by rendezvous hashing of the path, takes it from the
//! owner, the others of the zone take it from that one. In the owner's own zone everybody takes it from the owner.

use weft_proto::id::PathName;
use weft_proto::wire::entry::NodeId;

use crate::limits::{RELAY_CHILDREN_MAX, RELAY_DEPTH_MAX};
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

/// From whom a child may take a path instead of a node that has as many children as it wants; `None` when it is to have it
/// from this one. `children`: those that take the path here, the new one among them; `below`: the new one and those that get
/// the path through it.
pub(super) fn hand_on(path: &PathName, below: &[NodeId], children: &[NodeId]) -> Option<Vec<NodeId>> {
    let child = *below.first()?;
    let is_again = children.iter().filter(|other| **other == child).count() > 1;
    if children.len() <= RELAY_CHILDREN_MAX || is_again {
        return None;
    }
    let mut others: Vec<NodeId> = children.iter().filter(|other| !below.contains(other)).copied().collect();
    // Each child has another order, or all would go to the first.
    others.sort_by_key(|other| (mix(path.as_str(), NodeId(other.0 ^ child.0)), *other));
    others.dedup();
    (!others.is_empty()).then_some(others)
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

    #[test]
    fn a_node_with_many_children_sends_others_to_them() {
        let path = PathName::new("cam").unwrap();
        let children: Vec<NodeId> = (10..=10 + RELAY_CHILDREN_MAX as u64).map(NodeId).collect();
        let (new, few) = (children[RELAY_CHILDREN_MAX], &children[1..]);
        assert_eq!(hand_on(&path, &[new], few), None, "there is a place");
        let others = hand_on(&path, &[new, children[3]], &children).unwrap();
        assert_eq!(others.len(), RELAY_CHILDREN_MAX - 1, "not to itself, nor to those below it");
        assert!(!others.contains(&new) && !others.contains(&children[3]));
        let again: Vec<NodeId> = children.iter().chain([&new]).copied().collect();
        assert_eq!(hand_on(&path, &[new], &again), None, "it is one of them already");
    }

    #[test]
    fn those_that_are_handed_on_are_spread() {
        let path = PathName::new("cam").unwrap();
        let children: Vec<NodeId> = (10..10 + RELAY_CHILDREN_MAX as u64).map(NodeId).collect();
        let first = |child: u64| {
            let all: Vec<NodeId> = children.iter().copied().chain([NodeId(child)]).collect();
            hand_on(&path, &[NodeId(child)], &all).unwrap()[0]
        };
        let firsts: std::collections::BTreeSet<NodeId> = (100..200).map(first).collect();
        assert!(firsts.len() > RELAY_CHILDREN_MAX / 2, "{firsts:?}");
    }
}
