//! Over which shard's connection a path comes from its parent. Pure.
//!
//! Each shard has a connection of its own to a parent, and each connection finds out by itself what the way carries. On a
//! narrow way two of them fight, and one may get next to nothing for many seconds. So all paths of a parent come over one
//! connection, in which the carrier at its other end serves them in turn. Only when that one carries about what one core can
//! take, the next shard is used as well: a way of that width is no narrow one.

use std::collections::HashMap;

use weft_proto::id::PathName;
use weft_proto::wire::entry::NodeId;

use crate::limits::RELAY_SHARD_BITS;
use crate::placement::mix;

/// Where paths of other nodes are carried, and how much comes from where.
#[derive(Debug, Default)]
pub(super) struct Spread {
    shards: usize,
    places: HashMap<PathName, Place>,
    loads: HashMap<(NodeId, usize), Load>,
}

/// A path's place.
#[derive(Debug)]
struct Place {
    parent: NodeId,
    shard: usize,
    /// Wishes for the path that its shard has not come to an end with.
    wishes: u32,
    /// Nobody reads it since the last wish.
    is_forgotten: bool,
}

/// What comes from one parent over one shard's connection.
#[derive(Debug, Default)]
struct Load {
    /// Bits of the last second.
    bits: u64,
    /// Paths that were placed there since that was measured, and in the second before: they are not in it, or not wholly.
    placed: [u64; 2],
}

/// What a path counts for until it is measured: a camera's usual rate.
const BITS_EXPECTED: u64 = 2_000_000;

impl Spread {
    /// Another shard is there; gives its number.
    pub(super) fn open(&mut self) -> usize {
        self.shards += 1;
        self.shards - 1
    }

    /// Somebody reads a path that is to come from `parent`. Gives the shard that is to carry it: the one that carries it
    /// already, if one does. `None` without shards.
    pub(super) fn want(&mut self, path: &PathName, parent: NodeId) -> Option<usize> {
        if !self.places.contains_key(path) {
            let shard = self.choose(parent)?;
            self.places.insert(path.clone(), Place { parent, shard, wishes: 0, is_forgotten: false });
        }
        let place = self.places.get_mut(path)?;
        place.wishes += 1;
        place.is_forgotten = false;
        Some(place.shard)
    }

    /// Nobody reads it any more. Gives the shard that carries it.
    pub(super) fn forget(&mut self, path: &PathName) -> Option<usize> {
        let place = self.places.get_mut(path)?;
        place.is_forgotten = true;
        Some(place.shard)
    }

    /// The shard that carries a path.
    #[cfg(test)]
    pub(super) fn shard_of(&self, path: &PathName) -> Option<usize> {
        self.places.get(path).map(|place| place.shard)
    }

    /// A shard has come to an end with one wish for the path.
    pub(super) fn done(&mut self, path: &PathName) {
        if let Some(place) = self.places.get_mut(path) {
            place.wishes = place.wishes.saturating_sub(1);
            if place.wishes == 0 {
                self.places.remove(path);
            }
        }
    }

    /// Whether the path must leave this shard now that it comes from this parent: it does when another shard is connected
    /// to that one, for it would have a second connection there.
    pub(super) fn must_move(&mut self, path: &PathName, parent: NodeId) -> bool {
        let Some((before, shard)) = self.places.get(path).map(|place| (place.parent, place.shard)) else {
            return false;
        };
        if before == parent {
            return false;
        }
        let moves = self.choose_from(parent).is_some_and(|other| other != shard);
        if !moves {
            self.settle(path, parent, shard);
        }
        moves
    }

    /// Moves the path to where those of the parent are carried. `None` when nobody reads it.
    pub(super) fn move_to(&mut self, path: &PathName, parent: NodeId) -> Option<usize> {
        if self.places.get(path).is_none_or(|place| place.is_forgotten) {
            return None;
        }
        let shard = self.choose_from(parent)?;
        self.settle(path, parent, shard);
        Some(shard)
    }

    /// What has come over a shard's connections in the last second, in bits.
    pub(super) fn measured(&mut self, shard: usize, received: &HashMap<NodeId, u64>) {
        for ((parent, _), load) in self.loads.iter_mut().filter(|((_, at), _)| *at == shard) {
            load.bits = received.get(parent).copied().unwrap_or(0);
            load.placed = [0, load.placed[0]];
        }
        for (parent, bits) in received {
            self.loads.entry((*parent, shard)).or_default().bits = *bits;
        }
        self.loads.retain(|(parent, at), load| *at != shard || received.contains_key(parent) || load.placed != [0, 0]);
    }

    fn choose(&mut self, parent: NodeId) -> Option<usize> {
        let shard = self.choose_from(parent)?;
        self.loads.entry((parent, shard)).or_default().placed[0] += 1;
        Some(shard)
    }

    /// The first from the parent's own one on that is not full; when all are, the one with the least.
    pub(super) fn choose_from(&self, parent: NodeId) -> Option<usize> {
        let first = mix("", parent) as usize % self.shards.max(1);
        let mut order = (0..self.shards).map(|n| (first + n) % self.shards);
        let load = |shard: &usize| self.loads.get(&(parent, *shard)).map_or(0, Load::bits);
        order.clone().find(|shard| load(shard) < RELAY_SHARD_BITS).or_else(|| order.by_ref().min_by_key(load))
    }

    fn settle(&mut self, path: &PathName, parent: NodeId, shard: usize) {
        self.loads.entry((parent, shard)).or_default().placed[0] += 1;
        if let Some(place) = self.places.get_mut(path) {
            (place.parent, place.shard) = (parent, shard);
        }
    }
}

impl Load {
    fn bits(&self) -> u64 {
        self.bits + self.placed.iter().sum::<u64>() * BITS_EXPECTED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(n: usize) -> PathName {
        PathName::new(&format!("cam/{n}")).unwrap()
    }

    fn spread(shards: usize) -> Spread {
        let mut spread = Spread::default();
        (0..shards).for_each(|shard| assert_eq!(spread.open(), shard));
        spread
    }

    /// The shards of these paths, in turn.
    fn placed(spread: &mut Spread, parent: u64, paths: std::ops::Range<usize>) -> Vec<usize> {
        paths.map(|n| spread.want(&path(n), NodeId(parent)).unwrap()).collect()
    }

    #[test]
    fn the_paths_of_a_parent_come_over_one_connection() {
        let mut spread = spread(8);
        let shards = placed(&mut spread, 1, 0..100);
        assert!(shards.iter().all(|shard| *shard == shards[0]), "{shards:?}");
    }

    #[test]
    fn several_parents_use_several_shards() {
        let mut spread = spread(4);
        let mut shards: Vec<usize> =
            (1..40).map(|parent| placed(&mut spread, parent, parent as usize..parent as usize + 1)[0]).collect();
        shards.sort_unstable();
        shards.dedup();
        assert_eq!(shards, [0, 1, 2, 3]);
    }

    #[test]
    fn a_full_connection_is_followed_by_the_next() {
        let mut spread = spread(3);
        let first = placed(&mut spread, 1, 0..1)[0];
        spread.measured(first, &HashMap::from([(NodeId(1), RELAY_SHARD_BITS)]));
        let next = (first + 1) % 3;
        assert_eq!(placed(&mut spread, 1, 0..3), [first, next, next], "those that are carried stay");
        // One that is less full again takes what is new.
        spread.measured(first, &HashMap::from([(NodeId(1), RELAY_SHARD_BITS / 2)]));
        assert_eq!(placed(&mut spread, 1, 3..4), [first]);
    }

    #[test]
    fn many_paths_at_once_are_spread_before_they_are_measured() {
        let mut spread = spread(2);
        let paths = (RELAY_SHARD_BITS / BITS_EXPECTED) as usize;
        let shards = placed(&mut spread, 1, 0..paths * 4);
        let first = shards.iter().filter(|shard| **shard == shards[0]).count();
        assert_eq!(first, paths * 2, "when all are full they are filled evenly");
        // Measured, they are what they are.
        for _ in 0..2 {
            (0..2).for_each(|shard| spread.measured(shard, &HashMap::from([(NodeId(1), 1_000_000)])));
        }
        assert_eq!(placed(&mut spread, 1, paths * 4..paths * 4 + 1), [shards[0]]);
    }

    #[test]
    fn a_path_is_forgotten_where_it_is_carried() {
        let mut spread = spread(4);
        let shard = placed(&mut spread, 1, 0..1)[0];
        assert_eq!(spread.forget(&path(0)), Some(shard));
        // Wanted again before its shard has come to an end with it, from wherever.
        assert_eq!(spread.want(&path(0), NodeId(2)), Some(shard));
        spread.done(&path(0));
        assert_eq!(spread.forget(&path(0)), Some(shard));
        spread.done(&path(0));
        assert_eq!(spread.forget(&path(0)), None);
        assert!(spread.places.is_empty());
    }

    #[test]
    fn a_path_goes_to_the_connection_of_its_new_parent() {
        let mut spread = spread(4);
        let shards: Vec<usize> = (1..5).map(|parent| spread.choose_from(NodeId(parent)).unwrap()).collect();
        let other = (2..5).find(|parent| shards[*parent as usize - 1] != shards[0]).map(NodeId).unwrap();
        spread.want(&path(0), NodeId(1));
        assert!(!spread.must_move(&path(0), NodeId(1)));
        assert!(spread.must_move(&path(0), other));
        let shard = spread.move_to(&path(0), other).unwrap();
        assert_eq!((shard, spread.forget(&path(0))), (shards[other.0 as usize - 1], Some(shard)));
        assert_eq!(spread.move_to(&path(0), NodeId(1)), None, "nobody reads it");
    }

    #[test]
    fn a_connection_that_has_ended_leaves_nothing() {
        let mut spread = spread(2);
        let shard = placed(&mut spread, 1, 0..1)[0];
        spread.measured(shard, &HashMap::from([(NodeId(1), 5)]));
        spread.measured(shard, &HashMap::new());
        spread.measured(shard, &HashMap::new());
        assert!(spread.loads.is_empty());
    }

    #[test]
    fn without_shards_nothing_is_carried() {
        assert_eq!(Spread::default().want(&path(0), NodeId(1)), None);
    }
}
