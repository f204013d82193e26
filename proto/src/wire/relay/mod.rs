//! What nodes say to each other about media: a child subscribes to a path at its parent, and the parent sends it.
//!
//! A subscription is a bidirectional stream of a relay connection, opened by the child: frames go both ways on it for as long
//! as it lasts. Media comes on unidirectional streams of the parent, one for each track of each group: a [`GroupHead`], then
//! units, each a head and its bytes ([`UnitWriter`], [`GroupReader`]). So a lost packet holds up one track of one group, and
//! a group that has become too old is given up by resetting its streams.
//!
//! A child may also ask for what is not units ([`ToParent::Ask`]), each time on a stream of its own.
//!
//! Units are put back into the order of their positions at the other end. Each says which units of other tracks come before
//! it ([`UnitHead::after`]).

mod group;
mod tracks;

use bincode::{Decode, Encode};

pub use group::{GroupHead, GroupReader, Placed, Relayed, RelayedError, UnitHead, UnitWriter};
pub use tracks::{decode_tracks, encode_tracks};

use super::entry::NodeId;
use super::messages;
use crate::id::{Epoch, PathName, Position};
use crate::media::marks::Numbers;

messages! {
    /// What a child says on its subscription's stream.
    ToParent {
        /// The first word.
        1 => Subscribe(Subscribe),
        /// A reader waits for a random access point.
        2 => KeyframeWanted(()),
        /// The first and last word of a stream that is no subscription: a question that those above the fabric understand.
        3 => Ask(Vec<u8>),
    }
}

messages! {
    /// What a parent says on a subscription's stream.
    ToChild {
        /// Media follows.
        1 => Accepted(Accepted),
        /// None does. The last word.
        2 => Refused(RelayRefusal),
        /// The rest of a track's group is not sent any more.
        3 => Dropped(Dropped),
        /// Nobody publishes at the parent any more. The last word.
        4 => Ended(()),
        /// What was asked is known: the answer's bytes follow, up to the end of the stream. Otherwise the stream ends without.
        5 => Answered(()),
        /// How far the path has come at the parent. Follows [`Self::Accepted`], where there is media at all.
        6 => Live(Live),
    }
}

/// A wish for a path.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Subscribe {
    /// Which path.
    pub path: PathName,
    /// Where to begin.
    pub from: From,
    /// The ownership that the child knows: a parent that carries an older one has nothing for it.
    pub epoch: Epoch,
    /// The child, and those that get the path through it: none of them may be above it.
    pub hops: Vec<NodeId>,
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum From {
    /// With the newest group.
    NewestGroup,
    /// After a unit that the child has, or with the newest group where the parent does not have it any more.
    After(Position),
    /// With all that the parent keeps.
    Everything,
}

/// Media follows.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Accepted {
    /// The ownership whose media it is.
    pub epoch: Epoch,
    /// The tracks in force, as [`encode_tracks`] writes them.
    pub tracks: Vec<u8>,
    /// The nodes between the owner and the parent, the owner first, the parent last.
    pub above: Vec<NodeId>,
    /// The last unit that the parent has: when the child has that one it has caught up.
    pub newest: Option<Position>,
}

/// The live edge of a path at a parent: to there a child brings its readers, although what lies before it is still on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Live {
    /// Decoding time, microseconds of path time.
    pub micros: i64,
    /// The last unit before it.
    pub newest: Position,
}

/// Why no media follows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Encode, Decode)]
#[non_exhaustive]
pub enum RelayRefusal {
    /// Nobody publishes there, or not under the epoch that the child knows.
    #[error("the node does not have the path")]
    NoStream,
    /// The parent gets the path through the child, or would.
    #[error("the path would go in a circle, or over too many nodes")]
    Loop,
    /// The parent serves as many as it wants to; these have the path as well.
    #[error("the node has enough subscribers")]
    Busy(Vec<NodeId>),
}

/// Units that do not come any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Dropped {
    /// Of which ownership.
    pub epoch: Epoch,
    /// Of which group, named by its first unit's number.
    pub group: u64,
    /// Of which track.
    pub track: u8,
}

/// How far a node has come with a path: from there another one goes on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Reached {
    /// The ownership of the last unit that it has.
    pub epoch: Epoch,
    /// The latest path time, microseconds.
    pub path_micros: i64,
    /// Segments, parts and discontinuities so far.
    pub numbers: Numbers,
}
