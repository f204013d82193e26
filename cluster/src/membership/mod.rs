//! A node's life in its cluster: who belongs, who lives, who votes, who owns what.
//!
//! [`Member`] is the shell: it hears and is heard, ticks, and does what the pure parts say. `Beats` is what is known of the
//! others by their heartbeats, `Steward` what the leader has to do, `voters` who should vote, `Holdings` what this node
//! serves and what must happen when the cluster sees that differently.

mod beats;
mod holdings;
mod member;
mod steward;
mod up;
mod voters;

pub use beats::{Beats, LinkClock};
pub use holdings::{ClaimError, Host};
pub use member::{Ended, Incarnations, Member, MemberConfig, MemberStatus, MemberTimings, NodeStatus};
pub use steward::{Duty, Steward};
pub use voters::{Change, Electorate, VOTERS_MAX};
