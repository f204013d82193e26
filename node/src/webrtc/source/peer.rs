//! One peer connection of the crate `webrtc`, as far as a source needs it: a way to the server, keys, and packets both ways.
//!
//! The crate's own interceptors are not used. What comes is taken as it comes, RTP and RTCP, by a [`Tap`] in their place, so that
//! losses, repetitions, clocks and reports are dealt with as those of a publisher, by [`Publishing`](super::super::publishing).

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::{Interceptor, Packet, Slot, StreamInfo, TaggedPacket};
use rtc::rtcp::raw_packet::RawPacket;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::sansio::Protocol;
use rtc::shared::marshal::Marshal;
use tokio::sync::{mpsc, watch};
use webrtc::error::Error;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder, RTCIceGatheringState,
    RTCIceServer, RTCPeerConnectionState, RTCSessionDescription, Registry, SettingEngineBuilder,
};

use super::codecs;
use weft_proto::webrtc::link::IceServer;

/// Packets that wait for the task of the source: a second of 20 Mbit/s. What comes beyond is lost, as in a full socket.
const WAITING_MAX: usize = 2048;

/// Packets that are taken at once at most, so that timers are looked at in between.
const TAKEN_MAX: usize = 256;

/// Addresses of this node that are offered: a machine with more has them for something else.
const ADDRESSES_MAX: usize = 16;

/// A server that answers no checks for so long is doubted, and for so long again is gone (RFC 7675 has 30 s; who waits for a
/// picture has not).
const SILENT: Duration = Duration::from_secs(5);

/// Between two checks of a way that is found.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// One connection. Dropped, it ends without a word.
pub(super) struct Peer {
    connection: Arc<dyn PeerConnection>,
    /// A track that has begun to come: reports on all of them are sent as its.
    track: watch::Receiver<Option<Arc<dyn TrackRemote>>>,
    state: watch::Receiver<RTCPeerConnectionState>,
    is_gathered: watch::Receiver<bool>,
    came: mpsc::Receiver<Bytes>,
}

impl Peer {
    /// A connection that is to receive a track of pictures and one of sound. `local`: the address that the server was asked from.
    pub(super) async fn new(local: Option<IpAddr>, servers: Vec<IceServer>) -> Result<Self, Error> {
        let (state_told, state) = watch::channel(RTCPeerConnectionState::New);
        let (gathered, is_gathered) = watch::channel(false);
        let (begun, track) = watch::channel(None);
        let (tap, came) = mpsc::channel(WAITING_MAX);
        let servers = servers.into_iter().map(|IceServer { url, username, credential }| RTCIceServer {
            urls: vec![url],
            username,
            credential,
        });
        let settings = SettingEngineBuilder::new()
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .with_ice_timeouts(Some(SILENT), Some(SILENT), Some(CHECK_EVERY))
            .build();
        let connection = PeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().with_ice_servers(servers.collect()).build())
            .with_media_engine(codecs::offered()?)
            .with_setting_engine(settings)
            .with_interceptor_registry(Registry::new().with(Slot::SenderReport, Tap::new(tap)))
            .with_handler(Arc::new(Handler { state: state_told, gathered, begun }))
            .with_udp_addrs(addresses(local))
            .build()
            .await?;
        let connection: Arc<dyn PeerConnection> = Arc::new(connection);
        for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
            let init = RTCRtpTransceiverInit {
                direction: RTCRtpTransceiverDirection::Recvonly,
                ..RTCRtpTransceiverInit::default()
            };
            connection.add_transceiver_from_kind(kind, Some(init)).await?;
        }
        Ok(Self { connection, track, state, is_gathered, came })
    }

    /// The offer, with all addresses that are known within this time.
    pub(super) async fn offer(&mut self, within: Duration) -> Result<String, Error> {
        let offer = self.connection.create_offer(None).await?;
        self.connection.set_local_description(offer).await?;
        // Whose STUN server does not answer is found by its other addresses.
        let _ = tokio::time::timeout(within, self.is_gathered.wait_for(|is| *is)).await;
        let description = self.connection.local_description().await;
        Ok(description.ok_or_else(|| Error::Other("there is no offer".to_owned()))?.sdp)
    }

    /// Takes the server's answer.
    pub(super) async fn answer(&self, sdp: String) -> Result<(), Error> {
        self.connection.set_remote_description(RTCSessionDescription::answer(sdp)?).await
    }

    /// Waits until keys are agreed; false when they will not be.
    pub(super) async fn connected(&mut self) -> bool {
        use RTCPeerConnectionState::{Closed, Connected, Failed};
        let decided = self.state.wait_for(|state| matches!(state, Connected | Failed | Closed)).await;
        decided.is_ok_and(|state| *state == Connected)
    }

    /// Waits until the connection is over.
    async fn over(state: &mut watch::Receiver<RTCPeerConnectionState>) {
        use RTCPeerConnectionState::{Closed, Failed};
        // Whoever could have said so is gone: that says it too.
        let _ = state.wait_for(|state| matches!(state, Failed | Closed)).await;
    }

    /// Waits for packets, RTP and RTCP, and adds all that are there; false when none will come. May be given up at any point.
    pub(super) async fn hear(&mut self, heard: &mut Vec<Bytes>) -> bool {
        tokio::select! {
            biased;
            taken = self.came.recv_many(heard, TAKEN_MAX) => taken > 0,
            () = Self::over(&mut self.state) => false,
        }
    }

    /// Sends RTCP.
    pub(super) async fn send(&self, packets: Vec<Bytes>) {
        let Some(track) = self.track.borrow().clone() else { return };
        for packet in packets {
            // Who is gone is noticed elsewhere.
            let _ = track.write_rtcp(vec![Box::new(RawPacket(packet))]).await;
        }
    }

    /// Tells the server that it is over.
    pub(super) async fn close(&self) {
        // It is over in any case.
        let _ = self.connection.close().await;
    }
}

/// The addresses that media may come to: those of all interfaces, and the one that the server was asked from. Ports are the
/// system's choice.
fn addresses(local: Option<IpAddr>) -> Vec<SocketAddr> {
    let mut found: Vec<IpAddr> = local.into_iter().collect();
    let usable = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    // Where interfaces cannot be listed there is the one address.
    for interface in if_addrs::get_if_addrs().unwrap_or_default() {
        let ip = interface.ip();
        if usable(&ip) && !found.contains(&ip) && found.len() < ADDRESSES_MAX {
            found.push(ip);
        }
    }
    found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect()
}

/// Passes on what the connection's own task notices.
struct Handler {
    state: watch::Sender<RTCPeerConnectionState>,
    gathered: watch::Sender<bool>,
    begun: watch::Sender<Option<Arc<dyn TrackRemote>>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.gathered.send_replace(true);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        self.begun.send_replace(Some(track));
    }
}

/// Takes all packets that come out of the connection; lets through what goes in.
struct Tap {
    came: mpsc::Sender<Bytes>,
    going: VecDeque<TaggedPacket>,
}

impl Tap {
    const fn new(came: mpsc::Sender<Bytes>) -> Self {
        Self { came, going: VecDeque::new() }
    }
}

/// The packets as they were, for our own readers.
fn written(packet: Packet) -> Option<Bytes> {
    match packet {
        Packet::Rtp(mut packet) => {
            // It is gone already.
            packet.header.padding = false;
            packet.marshal().ok().map(BytesMut::freeze)
        }
        Packet::Rtcp(packets) => rtc::rtcp::packet::marshal(&packets).ok().map(BytesMut::freeze),
        _ => None,
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Tap {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Some(bytes) = written(packet.message.packet) {
            // What there is no room for is lost, and asked for again.
            let _ = self.came.try_send(bytes);
        }
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        None
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.going.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.going.pop_front()
    }
}

impl Interceptor for Tap {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
