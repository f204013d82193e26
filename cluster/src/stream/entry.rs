//! One entry of a stream log: a unit with what the owner gave it.

use weft_proto::id::Position;
use weft_proto::media::{Marks, Tracks, Unit};
use weft_proto::time::Now;

/// A unit in its place. Immutable and shared by all readers.
#[derive(Debug)]
pub struct Entry {
    /// The unit's place in the path, the same on every node.
    pub position: Position,
    /// The unit, its times in path time.
    pub unit: Unit,
    /// Decoding time in path time, microseconds.
    pub dts_micros: i64,
    /// When it was pushed.
    pub arrived: Now,
    /// What is stamped before it.
    pub marks: Option<Marks>,
    /// A group begins with it.
    pub group_start: bool,
    /// The number of its group's first unit. A publisher's first unit begins one, wherever decoding can.
    pub group: u64,
    /// Counts the publications of the path on this node; a change tells a reader that the publisher changed.
    pub generation: u32,
    /// The same as the owner counts them; with the epoch it names the publisher on every node.
    pub publication: u32,
    /// Units before it are missing here that others have: what is made of both may not be given away under their name.
    pub missed: bool,
    /// The tracks in force from this unit on.
    pub tracks: Tracks,
}

/// Fixed cost of an entry in the log beside its payload: the entry itself, its reference counts, its handles.
const ENTRY_OVERHEAD_BYTES: usize = size_of::<Entry>() + 64;

impl Entry {
    /// What the entry weighs in the log's and the node's budgets.
    pub fn weight(&self) -> usize {
        self.unit.payload.len() + ENTRY_OVERHEAD_BYTES
    }
}
