//! Rendezvous hashing, weighted by load and by zone.
//!
//! Every node gives every path a number that depends on both names alone; the highest takes it. So nodes that come or go
//! move only the paths that they take or leave, and nobody keeps a table. A busier node's numbers are scaled down
//! (Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005), and so are those of other zones than the
//! source's own.

use std::collections::BTreeMap;

use weft_proto::id::PathName;

use crate::ownership::NodeId;

/// A node that may take sources.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Which.
    pub node: NodeId,
    /// Its zone; empty for none.
    pub zone: String,
    /// How much it does of what it can, from 0 to 1.
    pub load: f64,
}

/// A source that somebody must pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// For which path.
    pub path: PathName,
    /// Where it is best pulled from; empty where that is all the same.
    pub zone: String,
}

/// How much less a node of another zone is wanted.
const OTHER_ZONE: f64 = 1.0 / 16.0;

/// The least weight: a full node takes a source that nobody else can.
const WEIGHT_MIN: f64 = 0.001;

/// Who is to pull a source; `None` where nobody can.
pub fn place(source: &Source, candidates: &[Candidate]) -> Option<NodeId> {
    place_with(source, candidates, &BTreeMap::new(), 0.0)
}

/// Who is to pull each of these sources, in their order. Each one that is placed adds `cost` to its node's load, so that
/// the sources of a dead node spread over all others although none has reported its load meanwhile.
pub fn spread(sources: &[Source], candidates: &[Candidate], cost: f64) -> Vec<Option<NodeId>> {
    let mut placed = BTreeMap::new();
    let mut place_one = |source| {
        let node = place_with(source, candidates, &placed, cost)?;
        *placed.entry(node).or_insert(0u32) += 1;
        Some(node)
    };
    sources.iter().map(&mut place_one).collect()
}

fn place_with(source: &Source, candidates: &[Candidate], placed: &BTreeMap<NodeId, u32>, cost: f64) -> Option<NodeId> {
    let score = |candidate: &Candidate| {
        let more = placed.get(&candidate.node).map_or(0.0, |count| f64::from(*count) * cost);
        let free = (1.0 - candidate.load.clamp(0.0, 1.0) - more).max(WEIGHT_MIN);
        let near = source.zone.is_empty() || source.zone == candidate.zone;
        let weight = if near { free } else { free * OTHER_ZONE };
        -weight / unit(mix(source.path.as_str(), candidate.node)).ln()
    };
    let scored = candidates.iter().map(|candidate| (score(candidate), candidate.node));
    // Equal scores are next to impossible; then the id decides, as everywhere the same.
    scored.max_by(|(a, node_a), (b, node_b)| a.total_cmp(b).then(node_a.cmp(node_b))).map(|(_, node)| node)
}

/// A number between 0 and 1, neither of them.
fn unit(hash: u64) -> f64 {
    ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

/// A hash that is the same on every node and in every version: FNV-1a, finished by the mixer of SplitMix64.
pub(crate) fn mix(path: &str, NodeId(node): NodeId) -> u64 {
    let bytes = path.bytes().chain(node.to_le_bytes());
    let fnv = bytes
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let hash = (fnv ^ fnv >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(loads: &[f64]) -> Vec<Candidate> {
        let node = |(id, load): (u64, &f64)| Candidate { node: NodeId(id), zone: String::new(), load: *load };
        (1..).zip(loads).map(node).collect()
    }

    fn sources(count: usize) -> Vec<Source> {
        let name = |n| PathName::new(&format!("cam/{n}")).unwrap();
        (0..count).map(|n| Source { path: name(n), zone: String::new() }).collect()
    }

    fn shares(sources: &[Source], candidates: &[Candidate]) -> BTreeMap<NodeId, usize> {
        let mut shares = BTreeMap::new();
        sources
            .iter()
            .filter_map(|source| place(source, candidates))
            .for_each(|node| *shares.entry(node).or_default() += 1);
        shares
    }

    #[test]
    fn equal_nodes_take_equal_shares_and_busier_ones_less() {
        let even = shares(&sources(3000), &nodes(&[0.5, 0.5, 0.5]));
        assert!(even.values().all(|share| (900..1100).contains(share)), "{even:?}");
        let uneven = shares(&sources(3000), &nodes(&[0.0, 0.5, 0.5]));
        assert!((1400..1600).contains(&uneven[&NodeId(1)]), "{uneven:?}");
    }

    #[test]
    fn a_node_that_goes_moves_only_its_own() {
        let sources = sources(1000);
        let before = nodes(&[0.2, 0.2, 0.2]);
        let after: Vec<Candidate> = before.iter().filter(|candidate| candidate.node != NodeId(2)).cloned().collect();
        for source in &sources {
            let (old, new) = (place(source, &before), place(source, &after));
            assert!(old == Some(NodeId(2)) || old == new);
        }
    }

    #[test]
    fn the_sources_of_a_dead_node_spread_although_no_load_is_reported() {
        let placed = spread(&sources(200), &nodes(&[0.0, 0.9]), 0.01);
        let second = placed.iter().filter(|node| **node == Some(NodeId(2))).count();
        assert!(second > 50, "the first node was filled with {} of 200", 200 - second);
    }

    #[test]
    fn a_source_stays_in_its_zone_while_a_node_there_has_room() {
        let zone = |name: &str, node, load| Candidate { node: NodeId(node), zone: name.into(), load };
        let here = Source { zone: "a".into(), ..sources(1).remove(0) };
        let all: Vec<Source> = sources(400).into_iter().map(|source| Source { zone: "a".into(), ..source }).collect();
        let at_home = shares(&all, &[zone("a", 1, 0.3), zone("b", 2, 0.3)])[&NodeId(1)];
        assert!(at_home > 360, "{at_home} of 400");
        assert_eq!(place(&here, &[zone("b", 2, 1.0)]), Some(NodeId(2)), "better far and full than nowhere");
        assert_eq!(place(&here, &[]), None);
    }

    #[test]
    fn the_hash_is_what_it_always_was() {
        // Nodes of two versions must agree: these numbers never change.
        assert_eq!(mix("cam/front", NodeId(1)), 0xeb4e_8d2a_3ecc_f185);
    }
}
