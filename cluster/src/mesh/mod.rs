//! The connections between nodes.

mod transport;

pub use transport::{CallError, Incoming, Nobody, PeerAddress, Transport};
