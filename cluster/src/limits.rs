//! Every bound of the fabric, and their sum.
//!
//! Memory that the network can make the fabric hold is `Budget` (25 % of the machine by default) for all stream logs
//! and what doors have made of them together, plus per path [`PATH_EVENTS_MAX`] control events of a few hundred bytes, plus [`READERS_PER_PATH_MAX`]
//! reader records of about 300 bytes: 100,000 readers are 30 MB.

/// Events waiting for one publisher; more are coalesced or dropped, the last one (an end) never is.
pub const PATH_EVENTS_MAX: usize = 16;

/// Readers of one path on one node; beyond, the path's own `maxReaders` notwithstanding, joins are refused.
pub const READERS_PER_PATH_MAX: usize = 100_000;

/// Paths alive on one node. Each costs at most 64 KB beyond its media.
pub const PATHS_MAX: usize = 100_000;

/// Units a reader takes in one batch, so that one reader that is far behind cannot hold up its worker's others.
pub const BATCH_UNITS_MAX: usize = 256;

/// Mailbox of a path actor. Callers wait when it is full; nothing is lost.
pub const PATH_MAILBOX: usize = 1024;

/// Members of a cluster. Every member is a peer of every other: 64 nodes have 2,016 connections.
pub const MEMBERS_MAX: usize = 64;

/// Answers to claims that are kept for each node. A claim is proposed again for `claimTimeout` (3 s) at most, in which a
/// node makes 3,000 claims a second where it makes as many as it can. Each is 40 bytes: 640 KB a node.
pub const CLAIMS_REMEMBERED: usize = 16 << 10;

/// Standbys of one path.
pub const STANDBYS_MAX: usize = 8;

/// Join tokens that have not been used.
pub const TOKENS_MAX: usize = 256;

/// Bytes of the configuration that all nodes share. 10,000 paths of ten keys are 3 MB.
pub const DOCUMENT_BYTES_MAX: usize = 4 << 20;

/// Configurations that are kept, to go back to.
pub const REVISIONS_KEPT: usize = 32;

/// Bytes of all configurations that are kept: four of the largest. They are part of every snapshot.
pub const REVISIONS_BYTES_MAX: usize = 16 << 20;

/// Bytes of a snapshot of what is agreed: 100,000 paths are 15 MB, and configurations 16 MB.
pub const SNAPSHOT_BYTES_MAX: usize = 48 << 20;

/// Bytes of a snapshot that are sent in one message.
pub const SNAPSHOT_PART_BYTES: usize = 256 << 10;
