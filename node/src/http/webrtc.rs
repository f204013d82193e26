//! WebRTC sessions as the API shows them: today's names, then the older ones.

use std::net::SocketAddr;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::shapes::Timestamp;

/// What a WebRTC session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WebrtcState {
    /// It reads.
    Read,
    /// It publishes.
    Publish,
}

/// A WebRTC session.
#[derive(Clone, Debug, PartialEq)]
pub struct WebrtcSessionInfo {
    /// Its id.
    pub id: Uuid,
    /// When its offer came.
    pub created: Timestamp,
    /// The client, as it asked over HTTP.
    pub remote_addr: SocketAddr,
    /// Whether media can go.
    pub established: bool,
    /// This end of the way: `host/udp/<address>/<port>`; empty while there is none.
    pub local_candidate: String,
    /// The other end of it.
    pub remote_candidate: String,
    /// What it does.
    pub state: WebrtcState,
    /// The path.
    pub path: String,
    /// What followed `?` in the URL.
    pub query: String,
    /// Who was let in, empty for nobody in particular.
    pub user: String,
    /// What the client says it is.
    pub user_agent: String,
    /// Bytes received.
    pub inbound_bytes: u64,
    /// RTP packets received.
    pub inbound_rtp_packets: u64,
    /// RTP packets that never came.
    pub inbound_rtp_packets_lost: u64,
    /// Interarrival jitter in ticks, the mean of the tracks.
    pub inbound_rtp_packets_jitter: f64,
    /// RTCP packets received.
    pub inbound_rtcp_packets: u64,
    /// Bytes sent.
    pub outbound_bytes: u64,
    /// RTP packets sent.
    pub outbound_rtp_packets: u64,
    /// Of these, those that the client asked for again.
    pub outbound_rtp_packets_repeated: u64,
    /// RTCP packets sent.
    pub outbound_rtcp_packets: u64,
    /// Units not sent because the client was too slow.
    pub outbound_frames_discarded: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    id: Uuid,
    created: Timestamp,
    remote_addr: SocketAddr,
    peer_connection_established: bool,
    local_candidate: &'a str,
    remote_candidate: &'a str,
    state: WebrtcState,
    path: &'a str,
    query: &'a str,
    user: &'a str,
    user_agent: &'a str,
    #[serde(flatten)]
    counters: Counters,
}

#[derive(Serialize)]
struct Counters {
    #[serde(rename = "inboundBytes")]
    inbound_bytes: u64,
    #[serde(rename = "inboundRTPPackets")]
    inbound_rtp_packets: u64,
    #[serde(rename = "inboundRTPPacketsLost")]
    inbound_rtp_packets_lost: u64,
    #[serde(rename = "inboundRTPPacketsJitter")]
    inbound_rtp_packets_jitter: f64,
    #[serde(rename = "inboundRTCPPackets")]
    inbound_rtcp_packets: u64,
    #[serde(rename = "outboundBytes")]
    outbound_bytes: u64,
    #[serde(rename = "outboundRTPPackets")]
    outbound_rtp_packets: u64,
    #[serde(rename = "outboundRTPPacketsRepeated")]
    outbound_rtp_packets_repeated: u64,
    #[serde(rename = "outboundRTCPPackets")]
    outbound_rtcp_packets: u64,
    #[serde(rename = "outboundFramesDiscarded")]
    outbound_frames_discarded: u64,
    #[serde(rename = "bytesReceived")]
    bytes_received: u64,
    #[serde(rename = "bytesSent")]
    bytes_sent: u64,
    #[serde(rename = "rtpPacketsReceived")]
    rtp_packets_received: u64,
    #[serde(rename = "rtpPacketsSent")]
    rtp_packets_sent: u64,
    #[serde(rename = "rtpPacketsLost")]
    rtp_packets_lost: u64,
    #[serde(rename = "rtpPacketsJitter")]
    rtp_packets_jitter: f64,
    #[serde(rename = "rtcpPacketsReceived")]
    rtcp_packets_received: u64,
    #[serde(rename = "rtcpPacketsSent")]
    rtcp_packets_sent: u64,
}

impl Serialize for WebrtcSessionInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Body {
            id: self.id,
            created: self.created,
            remote_addr: self.remote_addr,
            peer_connection_established: self.established,
            local_candidate: &self.local_candidate,
            remote_candidate: &self.remote_candidate,
            state: self.state,
            path: &self.path,
            query: &self.query,
            user: &self.user,
            user_agent: &self.user_agent,
            counters: self.counters(),
        }
        .serialize(serializer)
    }
}

impl WebrtcSessionInfo {
    const fn counters(&self) -> Counters {
        Counters {
            inbound_bytes: self.inbound_bytes,
            inbound_rtp_packets: self.inbound_rtp_packets,
            inbound_rtp_packets_lost: self.inbound_rtp_packets_lost,
            inbound_rtp_packets_jitter: self.inbound_rtp_packets_jitter,
            inbound_rtcp_packets: self.inbound_rtcp_packets,
            outbound_bytes: self.outbound_bytes,
            outbound_rtp_packets: self.outbound_rtp_packets,
            outbound_rtp_packets_repeated: self.outbound_rtp_packets_repeated,
            outbound_rtcp_packets: self.outbound_rtcp_packets,
            outbound_frames_discarded: self.outbound_frames_discarded,
            bytes_received: self.inbound_bytes,
            bytes_sent: self.outbound_bytes,
            rtp_packets_received: self.inbound_rtp_packets,
            rtp_packets_sent: self.outbound_rtp_packets,
            rtp_packets_lost: self.inbound_rtp_packets_lost,
            rtp_packets_jitter: self.inbound_rtp_packets_jitter,
            rtcp_packets_received: self.inbound_rtcp_packets,
            rtcp_packets_sent: self.outbound_rtcp_packets,
        }
    }
}
