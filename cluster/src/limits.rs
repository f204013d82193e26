//! Every bound of the fabric, and their sum.
//!
//! Memory that the network can make the fabric hold is `Budget` (25 % of the machine by default) for all stream logs
//! together, plus per path [`PATH_EVENTS_MAX`] control events of a few hundred bytes, plus [`READERS_PER_PATH_MAX`]
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
