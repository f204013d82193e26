//! Choosing a transport for a track (RFC 2326 section 12.39).

use core::time::Duration;

use super::super::{Channels, Delivery, LowerTransport, Ports, Profile, RequestUri, Transport};

/// What a server can do on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The UDP ports of RTP and RTCP, if UDP is open.
    pub udp: Option<Ports>,
    /// Whether media may go inside the connection.
    pub tcp: bool,
    /// Whether readers may ask for multicast.
    pub multicast: bool,
    /// Whether the connection is encrypted. Media outside of it must be, too, then.
    pub encrypted: bool,
    /// How long a session lives without a sign of life.
    pub session_timeout: Duration,
}

/// A track with its transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetUpTrack {
    /// Index of the track.
    pub track: usize,
    /// What was agreed.
    pub transport: Transport,
    /// The URI it was set up by, for `RTP-Info`.
    pub(super) uri: String,
}

/// The first of `offers` that we can serve, filled in as far as the machine knows; `None` when there is none.
pub(super) fn choose(
    offers: Vec<Transport>,
    capabilities: &Capabilities,
    tracks: &[SetUpTrack],
    record: bool,
) -> Option<Transport> {
    offers
        .into_iter()
        .filter(|offer| supported(offer, capabilities, record))
        // All tracks of a session go one way.
        .filter(|offer| tracks.iter().all(|track| same_way(&track.transport, offer)))
        .find_map(|offer| fill_in(&offer, capabilities, tracks))
}

/// The announced track that a publisher's SETUP means, and the stream's part of the URI's path.
///
/// Publishers name tracks as they like: FFmpeg from `streamid=0`, GStreamer from `stream=0`, others from `trackID=1` or
/// by words. The number in a control says nothing, the place of the control in the description does.
pub(super) fn announced_track(controls: &[String], uri: &str, path: &str) -> Option<usize> {
    let (before_query, _) = uri.split_once('?').unwrap_or((uri, ""));
    let names = |control: &str| {
        let control = control.trim_matches('/');
        let ends = |text: &str| {
            let stem = text.trim_end_matches('/').strip_suffix(control).and_then(|stem| stem.strip_suffix('/'));
            // `rtsp://h/cam/a/b` is track `b` of `cam/a`, not track `a/b` of `cam`, if that was announced.
            stem.is_some_and(|stem| {
                let stem = RequestUri::parse(stem).map(|uri| uri.path).unwrap_or_default();
                stem == path
            })
        };
        !control.is_empty()
            && control != "*"
            && (uri.trim_end_matches('/') == control || ends(before_query) || ends(uri))
    };
    controls.iter().position(|control| names(control))
}

/// Whether two tracks of a session may be transported so.
pub(super) fn same_way(a: &Transport, b: &Transport) -> bool {
    (a.lower, a.delivery, a.profile) == (b.lower, b.delivery, b.profile)
}

/// Whether no track uses one of the channels.
pub(super) fn channels_free(tracks: &[SetUpTrack], wanted: Channels) -> bool {
    let mut used = tracks.iter().filter_map(|track| track.transport.interleaved);
    !used.any(|Channels { rtp, rtcp }| [rtp, rtcp].iter().any(|used| [wanted.rtp, wanted.rtcp].contains(used)))
}

fn supported(offer: &Transport, capabilities: &Capabilities, record: bool) -> bool {
    let secure = offer.profile == Profile::Savp;
    match (offer.lower, offer.delivery) {
        (LowerTransport::Tcp, Delivery::Unicast) => capabilities.tcp && (!secure || capabilities.encrypted),
        (LowerTransport::Tcp, Delivery::Multicast) => false,
        (LowerTransport::Udp, Delivery::Unicast) => {
            capabilities.udp.is_some() && offer.client_port.is_some() && secure == capabilities.encrypted
        }
        (LowerTransport::Udp, Delivery::Multicast) => {
            capabilities.multicast && !record && secure == capabilities.encrypted
        }
    }
}

/// Leaves out what the client has no say in (addresses, SSRC) and puts in what the server decides.
fn fill_in(offer: &Transport, capabilities: &Capabilities, tracks: &[SetUpTrack]) -> Option<Transport> {
    let mut chosen = Transport {
        profile: offer.profile,
        lower: offer.lower,
        delivery: offer.delivery,
        mode: offer.mode,
        ..Transport::default()
    };
    match (offer.lower, offer.delivery) {
        (LowerTransport::Tcp, _) => chosen.interleaved = Some(channels(offer.interleaved, tracks)?),
        (LowerTransport::Udp, Delivery::Unicast) => {
            chosen.client_port = offer.client_port;
            chosen.server_port = capabilities.udp;
        }
        // Group and ports are the application's to say.
        (LowerTransport::Udp, Delivery::Multicast) => {}
    }
    Some(chosen)
}

/// The client's pair when it is an even channel and the next and both are free; else the lowest free pair.
fn channels(wanted: Option<Channels>, tracks: &[SetUpTrack]) -> Option<Channels> {
    let is_pair = |pair: &Channels| pair.rtp.is_multiple_of(2) && pair.rtcp == pair.rtp + 1;
    wanted.filter(|pair| is_pair(pair) && channels_free(tracks, *pair)).or_else(|| {
        let mut pairs = (0..=u8::MAX - 1).step_by(2).map(|rtp| Channels { rtp, rtcp: rtp + 1 });
        pairs.find(|pair| channels_free(tracks, *pair))
    })
}
