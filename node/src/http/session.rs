//! The JSON of an RTSP session: today's names, then the older ones.

use std::net::SocketAddr;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::shapes::{RtspSessionInfo, RtspState, Timestamp};

#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    about: About<'a>,
    #[serde(flatten)]
    counters: Counters,
    #[serde(flatten)]
    old: OldCounters,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct About<'a> {
    id: Uuid,
    created: Timestamp,
    remote_addr: SocketAddr,
    state: RtspState,
    path: &'a str,
    query: &'a str,
    user: &'a str,
    user_agent: &'a str,
    transport: Option<&'static str>,
    profile: Option<&'static str>,
    conns: &'a [Uuid],
}

#[derive(Serialize)]
struct Counters {
    #[serde(rename = "inboundBytes")]
    inbound_bytes: u64,
    #[serde(rename = "inboundRTPPackets")]
    inbound_rtp_packets: u64,
    #[serde(rename = "inboundRTPPacketsLost")]
    inbound_rtp_packets_lost: u64,
    #[serde(rename = "inboundRTPPacketsInError")]
    inbound_rtp_packets_in_error: u64,
    #[serde(rename = "inboundRTPPacketsJitter")]
    inbound_rtp_packets_jitter: f64,
    #[serde(rename = "inboundRTCPPackets")]
    inbound_rtcp_packets: u64,
    #[serde(rename = "inboundRTCPPacketsInError")]
    inbound_rtcp_packets_in_error: u64,
    #[serde(rename = "outboundBytes")]
    outbound_bytes: u64,
    #[serde(rename = "outboundRTPPackets")]
    outbound_rtp_packets: u64,
    #[serde(rename = "outboundRTPPacketsReportedLost")]
    outbound_rtp_packets_reported_lost: u64,
    #[serde(rename = "outboundRTPPacketsDiscarded")]
    outbound_rtp_packets_discarded: u64,
    #[serde(rename = "outboundRTCPPackets")]
    outbound_rtcp_packets: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OldCounters {
    bytes_received: u64,
    bytes_sent: u64,
    rtp_packets_received: u64,
    rtp_packets_sent: u64,
    rtp_packets_lost: u64,
    rtp_packets_in_error: u64,
    rtp_packets_jitter: f64,
    rtcp_packets_received: u64,
    rtcp_packets_sent: u64,
    rtcp_packets_in_error: u64,
}

impl Serialize for RtspSessionInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Body { about: self.about(), counters: self.counters(), old: self.old_counters() }.serialize(serializer)
    }
}

impl RtspSessionInfo {
    fn about(&self) -> About<'_> {
        About {
            id: self.id,
            created: self.created,
            remote_addr: self.remote_addr,
            state: self.state,
            path: &self.path,
            query: &self.query,
            user: &self.user,
            user_agent: &self.user_agent,
            transport: self.transport,
            profile: self.profile,
            conns: &self.conns,
        }
    }

    fn counters(&self) -> Counters {
        Counters {
            inbound_bytes: self.inbound_bytes,
            inbound_rtp_packets: self.inbound_rtp_packets,
            inbound_rtp_packets_lost: self.inbound_rtp_packets_lost,
            inbound_rtp_packets_in_error: self.inbound_rtp_packets_in_error,
            inbound_rtp_packets_jitter: self.inbound_rtp_packets_jitter,
            inbound_rtcp_packets: self.inbound_rtcp_packets,
            inbound_rtcp_packets_in_error: self.inbound_rtcp_packets_in_error,
            outbound_bytes: self.outbound_bytes,
            outbound_rtp_packets: self.outbound_rtp_packets,
            outbound_rtp_packets_reported_lost: self.outbound_rtp_packets_reported_lost,
            outbound_rtp_packets_discarded: self.outbound_rtp_packets_discarded,
            outbound_rtcp_packets: self.outbound_rtcp_packets,
        }
    }

    fn old_counters(&self) -> OldCounters {
        OldCounters {
            bytes_received: self.inbound_bytes,
            bytes_sent: self.outbound_bytes,
            rtp_packets_received: self.inbound_rtp_packets,
            rtp_packets_sent: self.outbound_rtp_packets,
            rtp_packets_lost: self.inbound_rtp_packets_lost,
            rtp_packets_in_error: self.inbound_rtp_packets_in_error,
            rtp_packets_jitter: self.inbound_rtp_packets_jitter,
            rtcp_packets_received: self.inbound_rtcp_packets,
            rtcp_packets_sent: self.outbound_rtcp_packets,
            rtcp_packets_in_error: self.inbound_rtcp_packets_in_error,
        }
    }
}
