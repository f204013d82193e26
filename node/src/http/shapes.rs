//! Paths, connections and sessions as the API shows them.
//!
//! The structs hold each fact once. Their JSON has it under today's name and under the older ones that MediaMTX still
//! sends; names and order are MediaMTX's.

use std::fmt;
use std::net::SocketAddr;
use std::time::SystemTime;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::clock::rfc3339;

/// A time of day, RFC 3339 in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub SystemTime);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&rfc3339(self.0))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(self.0))
    }
}

/// A publisher of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeerRef {
    /// What it is: `rtspSession`, `webRTCSession`, …
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its id, empty for those that have none.
    pub id: String,
}

/// A reader of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReaderRef {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// The name of the node that it is on.
    pub node: String,
}

/// A publisher that waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StandbyRef {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// The name of the node that it is on.
    pub node: String,
    /// The lower the sooner its turn comes; 0 for one that came to be the active publisher.
    pub rank: u8,
    /// It could take over now.
    pub ready: bool,
}

/// A path on its way from one node to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RelayRef {
    /// The name of the node that sends.
    pub from: String,
    /// The name of the node that takes it.
    pub to: String,
}

/// A track of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackInfo {
    /// The codec's label, see `weft_proto::media::Codec::label`.
    pub codec: &'static str,
    /// What is known of it.
    pub codec_props: Option<CodecProps>,
}

/// Properties of a codec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "the fields are the words of the codecs' standards")]
pub enum CodecProps {
    /// AV1.
    Av1 { width: u32, height: u32, profile: u8, level: u8, tier: u8 },
    /// VP9.
    Vp9 { profile: u8 },
    /// H.264 and H.265; profile and level as people write them: `High`, `4.1`.
    H26x { width: u32, height: u32, profile: String, level: String },
    /// Opus.
    Opus { channel_count: u8 },
    /// MPEG-4 audio and AC-3.
    Audio { sample_rate: u32, channel_count: u8 },
    /// G.711.
    G711 { mu_law: bool, sample_rate: u32, channel_count: u8 },
    /// Linear PCM.
    Lpcm { bit_depth: u8, sample_rate: u32, channel_count: u8 },
}

/// A path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathInfo {
    /// Its name.
    pub name: String,
    /// The name of its configuration.
    pub conf_name: String,
    /// Since when it can be read, if it can.
    pub available: Option<Timestamp>,
    /// Since when its publisher or source is there, if it is.
    pub online: Option<Timestamp>,
    /// Who feeds it.
    pub source: Option<PeerRef>,
    /// Its tracks.
    pub tracks: Vec<TrackInfo>,
    /// Who reads it on this node.
    pub readers: Vec<ReaderRef>,
    /// To which nodes this one passes it on.
    pub relays: Vec<RelayRef>,
    /// Who waits on this node to publish it.
    pub standbys: Vec<StandbyRef>,
    /// How often a standby has taken over on this node.
    pub takeovers: u64,
    /// Bytes received.
    pub inbound_bytes: u64,
    /// Bytes sent to readers by this node.
    pub outbound_bytes: u64,
    /// Frames that came damaged.
    pub inbound_frames_in_error: u64,
    /// The name of the node that owns it.
    pub node: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PathBody<'a> {
    name: &'a str,
    conf_name: &'a str,
    ready: bool,
    ready_time: Option<Timestamp>,
    available: bool,
    available_time: Option<Timestamp>,
    online: bool,
    online_time: Option<Timestamp>,
    source: Option<&'a PeerRef>,
    tracks: Vec<&'static str>,
    tracks2: &'a [TrackInfo],
    readers: &'a [ReaderRef],
    inbound_bytes: u64,
    outbound_bytes: u64,
    inbound_frames_in_error: u64,
    bytes_received: u64,
    bytes_sent: u64,
    node: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    relays: &'a [RelayRef],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    standbys: &'a [StandbyRef],
    #[serde(skip_serializing_if = "is_zero")]
    takeovers: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Serialize for PathInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PathBody {
            name: &self.name,
            conf_name: &self.conf_name,
            ready: self.available.is_some(),
            ready_time: self.available,
            available: self.available.is_some(),
            available_time: self.available,
            online: self.online.is_some(),
            online_time: self.online,
            source: self.source.as_ref(),
            tracks: self.tracks.iter().map(|track| track.codec).collect(),
            tracks2: &self.tracks,
            readers: &self.readers,
            inbound_bytes: self.inbound_bytes,
            outbound_bytes: self.outbound_bytes,
            inbound_frames_in_error: self.inbound_frames_in_error,
            bytes_received: self.inbound_bytes,
            bytes_sent: self.outbound_bytes,
            node: &self.node,
            relays: &self.relays,
            standbys: &self.standbys,
            takeovers: self.takeovers,
        }
        .serialize(serializer)
    }
}

/// How RTSP reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tunnel {
    /// Directly.
    None,
    /// Inside two HTTP requests.
    Http,
    /// Inside a WebSocket.
    Websocket,
}

/// An RTSP connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtspConnInfo {
    /// Its id.
    pub id: Uuid,
    /// When it was accepted.
    pub created: Timestamp,
    /// The client.
    pub remote_addr: SocketAddr,
    /// The session it carries, if any.
    pub session: Option<Uuid>,
    /// How it reached us.
    pub tunnel: Tunnel,
    /// Bytes received.
    pub inbound_bytes: u64,
    /// Bytes sent.
    pub outbound_bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RtspConnBody {
    id: Uuid,
    created: Timestamp,
    remote_addr: SocketAddr,
    session: Option<Uuid>,
    tunnel: Tunnel,
    inbound_bytes: u64,
    outbound_bytes: u64,
    bytes_received: u64,
    bytes_sent: u64,
}

impl Serialize for RtspConnInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RtspConnBody {
            id: self.id,
            created: self.created,
            remote_addr: self.remote_addr,
            session: self.session,
            tunnel: self.tunnel,
            inbound_bytes: self.inbound_bytes,
            outbound_bytes: self.outbound_bytes,
            bytes_received: self.inbound_bytes,
            bytes_sent: self.outbound_bytes,
        }
        .serialize(serializer)
    }
}

/// What an RTSP session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RtspState {
    /// Nothing yet.
    Idle,
    /// It reads.
    Read,
    /// It publishes.
    Publish,
}

/// An RTSP session.
#[derive(Clone, Debug, PartialEq)]
pub struct RtspSessionInfo {
    /// Its id.
    pub id: Uuid,
    /// When it was set up.
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
    /// `UDP`, `UDP-multicast` or `TCP`, once it is known.
    pub transport: Option<&'static str>,
    /// `AVP` or `SAVP`, once it is known.
    pub profile: Option<&'static str>,
    /// Its connections.
    pub conns: Vec<Uuid>,
    /// Bytes received.
    pub inbound_bytes: u64,
    /// RTP packets received.
    pub inbound_rtp_packets: u64,
    /// RTP packets that never came.
    pub inbound_rtp_packets_lost: u64,
    /// RTP packets that came damaged.
    pub inbound_rtp_packets_in_error: u64,
    /// Mean of the tracks' jitter, in units of their clocks.
    pub inbound_rtp_packets_jitter: f64,
    /// RTCP packets received.
    pub inbound_rtcp_packets: u64,
    /// RTCP packets that came damaged.
    pub inbound_rtcp_packets_in_error: u64,
    /// Bytes sent.
    pub outbound_bytes: u64,
    /// RTP packets sent.
    pub outbound_rtp_packets: u64,
    /// RTP packets that the client says it missed.
    pub outbound_rtp_packets_reported_lost: u64,
    /// RTP packets not sent because the client was too slow.
    pub outbound_rtp_packets_discarded: u64,
    /// RTCP packets sent.
    pub outbound_rtcp_packets: u64,
}
