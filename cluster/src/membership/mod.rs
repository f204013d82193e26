//! A node's life in its cluster: who belongs, who lives, who votes, who owns what.
//!
//! [`Member`] is the shell: it hears and is heard, ticks, and does what the pure parts say. `Beats` is what is known of the
//! others by their heartbeats, `Steward` what the leader has to do, `voters` who should vote, `Holdings` what this node
//! serves and what must happen when the cluster sees that differently.

mod beats;
mod claims;
mod config;
mod distance;
mod follow;
mod history;
mod holdings;
mod leaving;
mod link;
mod member;
mod placer;
mod reached;
mod resign;
mod review;
mod seat;
mod status;
mod steward;
mod thread;
mod up;
mod voters;
mod wake;

pub use beats::{Beats, LinkClock};
pub use config::{Incarnations, MemberConfig, MemberTimings};
pub use distance::Distance;
pub use follow::Follow;
pub use history::{History, Reason, Story};
pub use holdings::Host;
pub use link::Link;
pub use member::{Ended, Member};
pub use seat::{SeatConfig, SeatError, StoredIncarnations, Way};
pub use status::{MemberStatus, NodeStatus};
pub use steward::{Duty, Steward};
pub use thread::{Cluster, ClusterConfig, Joining};
pub use voters::{Change, Electorate, VOTERS_MAX};
pub use weft_proto::wire::LEVELS;
