//! Data channels of a reader (RFC 8831): each track of data, such as KLV, is a channel of its own, each of its units a message.
//!
//! The browser begins (it makes a channel of its own, so that its offer has a section for them); once both ends are connected
//! this end opens its channels (RFC 8832). What the browser says is taken and not looked into.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rtc::datachannel::message::Message;
use rtc::datachannel::message::message_channel_ack::DataChannelAck;
use rtc::datachannel::message::message_channel_open::{ChannelType, DataChannelOpen};
use rtc::sctp::{
    Association, AssociationHandle, DatagramEvent, Endpoint, EndpointConfig, Event, Payload, PayloadProtocolIdentifier,
    ReliabilityType, ServerConfig, StreamEvent, StreamId,
};
use rtc::shared::TransportProtocol;
use rtc::shared::marshal::Marshal as _;
use weft_proto::media::TrackId;

/// The other end, which DTLS has found.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5000);

/// Bytes that may wait for a browser that takes nothing; what comes then is left out.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// Channels that a browser may open.
const STREAMS_MAX: u16 = 16;

/// What goes wrong ends the channels; pictures go on.
type Result<T> = core::result::Result<T, rtc::shared::error::Error>;

/// A session's channels.
pub(super) struct Channels {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    lines: Vec<Channel>,
    is_connected: bool,
}

struct Channel {
    track: TrackId,
    stream: StreamId,
    label: String,
}

impl Channels {
    /// Channels for these tracks. `is_client`: this end began with DTLS, and has the even numbers (RFC 8832 section 6).
    pub(super) fn new(tracks: impl IntoIterator<Item = (TrackId, String)>, is_client: bool) -> Self {
        let config = (Arc::new(EndpointConfig::default()), Some(Arc::new(server_config())));
        let endpoint = Endpoint::new(PEER, TransportProtocol::UDP, config.0, config.1);
        let channel = |(place, (track, label)): (usize, (TrackId, String))| Channel {
            track,
            stream: 2 * place as StreamId + StreamId::from(!is_client),
            label,
        };
        let lines = tracks.into_iter().enumerate().map(channel).collect();
        Self { endpoint, association: None, lines, is_connected: false }
    }

    /// Takes what has come over DTLS.
    pub(super) fn hear(&mut self, data: Bytes, now: Instant) -> Result<()> {
        match self.endpoint.handle(now, PEER, None, data) {
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                self.association.get_or_insert((handle, association));
            }
            Some((handle, DatagramEvent::AssociationEvent(event))) => {
                if let Some((known, association)) = &mut self.association
                    && *known == handle
                {
                    association.handle_event(event);
                }
            }
            _ => {}
        }
        self.act(now)
    }

    /// When [`Self::handle_timeout`] is due.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.association.as_ref()?.1.poll_timeout()
    }

    /// Sends again what was not taken.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<()> {
        if let Some((_, association)) = &mut self.association {
            association.handle_timeout(now);
        }
        self.act(now)
    }

    fn act(&mut self, now: Instant) -> Result<()> {
        let Some((_, association)) = &mut self.association else { return Ok(()) };
        while let Some(event) = association.poll() {
            match event {
                Event::Connected => {
                    self.is_connected = true;
                    for channel in &self.lines {
                        channel.open(association, now)?;
                    }
                }
                Event::Stream(StreamEvent::Readable { id }) => read(association, id, now)?,
                Event::HandshakeFailed { .. } | Event::AssociationLost { .. } => self.is_connected = false,
                _ => {}
            }
        }
        // Nobody asks for streams that the browser opens; they are not to pile up.
        while association.accept_stream().is_some() {}
        Ok(())
    }

    /// Sends a message of a track. One for a browser that takes nothing is left out.
    pub(super) fn send(&mut self, track: TrackId, message: &Bytes, now: Instant) -> Result<()> {
        let Some((_, association)) = self.association.as_mut().filter(|_| self.is_connected) else { return Ok(()) };
        let Some(channel) = self.lines.iter().find(|channel| channel.track == track) else { return Ok(()) };
        let mut stream = association.stream(channel.stream)?;
        if stream.buffered_amount()? + message.len() > WAITING_BYTES_MAX || message.is_empty() {
            return Ok(());
        }
        stream.write_chunk_with_ppi(now, message, PayloadProtocolIdentifier::Binary)?;
        Ok(())
    }

    /// The next packets that are to go over DTLS.
    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<Vec<Bytes>> {
        match self.association.as_mut()?.1.poll_transmit(now)?.message {
            Payload::RawEncode(packets) => Some(packets),
            _ => None,
        }
    }
}

impl Channel {
    fn open(&self, association: &mut Association, now: Instant) -> Result<()> {
        let open = Message::DataChannelOpen(DataChannelOpen {
            channel_type: ChannelType::Reliable,
            priority: 0,
            reliability_parameter: 0,
            label: self.label.clone().into_bytes(),
            protocol: Vec::new(),
        });
        let mut stream = association.open_stream(self.stream, PayloadProtocolIdentifier::Binary)?;
        stream.set_reliability_params(false, ReliabilityType::Reliable, 0)?;
        stream.write_chunk_with_ppi(now, &open.marshal()?.freeze(), PayloadProtocolIdentifier::Dcep)?;
        Ok(())
    }
}

/// Takes what the browser says; a channel that it opens is agreed to.
fn read(association: &mut Association, id: StreamId, now: Instant) -> Result<()> {
    let mut stream = association.stream(id)?;
    while let Some(chunks) = stream.read()? {
        let is_open = chunks.ppi == PayloadProtocolIdentifier::Dcep && chunks.len() > 1;
        if is_open {
            let ack = Message::DataChannelAck(DataChannelAck {}).marshal()?.freeze();
            stream.write_chunk_with_ppi(now, &ack, PayloadProtocolIdentifier::Dcep)?;
        }
    }
    Ok(())
}

fn server_config() -> ServerConfig {
    use rtc::sctp::TransportConfig;
    ServerConfig::new(
        TransportConfig::default()
            .with_max_num_inbound_streams(STREAMS_MAX)
            .with_max_num_outbound_streams(STREAMS_MAX)
            .with_max_receive_buffer_size(64 << 10),
    )
}
