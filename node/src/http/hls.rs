//! Muxers and viewers of HLS as the API shows them.

use std::net::SocketAddr;

use serde::Serialize;
use uuid::Uuid;

use super::shapes::Timestamp;

/// What makes HLS segments of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HlsMuxerInfo {
    /// The path.
    pub path: String,
    /// When it was started.
    pub created: Timestamp,
    /// When it was last asked for something.
    pub last_request: Timestamp,
    /// Bytes sent to viewers.
    pub outbound_bytes: u64,
    /// Frames that it was too slow for.
    pub outbound_frames_discarded: u64,
}

/// A viewer of HLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HlsSessionInfo {
    /// Its id.
    pub id: Uuid,
    /// When it began.
    pub created: Timestamp,
    /// The client.
    pub remote_addr: SocketAddr,
    /// What it watches.
    pub path: String,
    /// What followed `?` in the URL.
    pub query: String,
    /// Who was let in, empty for nobody in particular.
    pub user: String,
    /// What the client says it is.
    pub user_agent: String,
    /// Whether it is a content delivery network.
    #[serde(rename = "isCDN")]
    pub is_cdn: bool,
    /// Bytes sent.
    pub outbound_bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MuxerBody<'a> {
    path: &'a str,
    created: Timestamp,
    last_request: Timestamp,
    outbound_bytes: u64,
    outbound_frames_discarded: u64,
    bytes_sent: u64,
}

impl Serialize for HlsMuxerInfo {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        MuxerBody {
            path: &self.path,
            created: self.created,
            last_request: self.last_request,
            outbound_bytes: self.outbound_bytes,
            outbound_frames_discarded: self.outbound_frames_discarded,
            bytes_sent: self.outbound_bytes,
        }
        .serialize(serializer)
    }
}
