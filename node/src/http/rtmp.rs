//! RTMP connections as the API shows them.

use std::net::SocketAddr;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::shapes::{RtspState, Timestamp};

/// Which of the two RTMP servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtmpServer {
    /// RTMP.
    Plain,
    /// RTMPS.
    Secure,
}

/// An RTMP connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtmpConnInfo {
    /// Its id.
    pub id: Uuid,
    /// When it was accepted.
    pub created: Timestamp,
    /// The client.
    pub remote_addr: SocketAddr,
    /// What it does.
    pub state: RtspState,
    /// The path, empty while it has none.
    pub path: String,
    /// What followed `?` in the URL.
    pub query: String,
    /// Who was let in, empty for nobody in particular.
    pub user: String,
    /// What the client says it is.
    pub user_agent: String,
    /// Bytes received.
    pub inbound_bytes: u64,
    /// Bytes sent.
    pub outbound_bytes: u64,
    /// Units not sent because the client was too slow.
    pub outbound_frames_discarded: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    id: Uuid,
    created: Timestamp,
    remote_addr: SocketAddr,
    state: RtspState,
    path: &'a str,
    query: &'a str,
    user: &'a str,
    user_agent: &'a str,
    inbound_bytes: u64,
    outbound_bytes: u64,
    outbound_frames_discarded: u64,
    bytes_received: u64,
    bytes_sent: u64,
}

impl Serialize for RtmpConnInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Body {
            id: self.id,
            created: self.created,
            remote_addr: self.remote_addr,
            state: self.state,
            path: &self.path,
            query: &self.query,
            user: &self.user,
            user_agent: &self.user_agent,
            inbound_bytes: self.inbound_bytes,
            outbound_bytes: self.outbound_bytes,
            outbound_frames_discarded: self.outbound_frames_discarded,
            bytes_received: self.inbound_bytes,
            bytes_sent: self.outbound_bytes,
        }
        .serialize(serializer)
    }
}
