//! What a server's machine says to the application, and what it is told.

use bytes::Bytes;

use super::super::auth::Credentials;
use super::super::{Method, Request, RequestUri, Response, Status, Transport};

/// Where a session stands (RFC 2326 appendix A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No session yet.
    Init,
    /// A reader with at least one track set up.
    ReadyToPlay,
    /// A publisher whose description was taken.
    ReadyToRecord,
    /// Media goes to the client.
    Playing,
    /// Media comes from the client.
    Recording,
}

/// A request that waits for the application's decision.
#[derive(Debug)]
pub struct Pending {
    pub(super) method: Method,
    pub(super) uri: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) cseq: Option<String>,
    /// The track of a SETUP.
    pub(super) track: usize,
}

/// What to do about a request.
#[derive(Debug)]
pub enum Action {
    /// Send this; nothing else.
    Respond(Response),
    /// Send this, then end the session and close the connection.
    Teardown(Response),
    /// A reader asks for the description. Answer [`Outcome::Described`] or [`Outcome::Refused`].
    Describe {
        /// To be answered.
        pending: Pending,
        /// The stream's path as it was asked for, decoded, not yet proven to be a legal name.
        path: String,
        /// The query as it was sent.
        query: String,
        /// Who asks.
        authorization: Option<Credentials>,
    },
    /// A publisher describes what it is to send. Answer [`Outcome::Announced`] or [`Outcome::Refused`].
    Announce {
        /// To be answered.
        pending: Pending,
        /// The stream's path.
        path: String,
        /// The query.
        query: String,
        /// Who asks.
        authorization: Option<Credentials>,
        /// The description.
        sdp: Bytes,
    },
    /// A transport for a track. Answer [`Outcome::SetUp`] or [`Outcome::Refused`].
    Setup {
        /// To be answered.
        pending: Pending,
        /// The stream's path.
        path: String,
        /// The query.
        query: String,
        /// Who asks.
        authorization: Option<Credentials>,
        /// The index that the control names. `None` means the only track, index 0; refuse it with
        /// [`Status::AGGREGATE_NOT_ALLOWED`] when the stream has several.
        track: Option<usize>,
        /// The first transport we can serve, with channels or server ports filled in. SSRC, multicast group and
        /// addresses are the application's to add.
        transport: Transport,
        /// Whether the client is to send.
        record: bool,
    },
    /// Start, or go on, sending. Answer [`Outcome::Playing`] or [`Outcome::Refused`].
    Play {
        /// To be answered.
        pending: Pending,
        /// The query.
        query: String,
        /// Who asks.
        authorization: Option<Credentials>,
        /// The `Range` header.
        range: Option<String>,
        /// Whether the session was playing already: nothing is to be started, the request is a sign of life.
        again: bool,
    },
    /// Start receiving. Answer [`Outcome::Accepted`] or [`Outcome::Refused`].
    Record {
        /// To be answered.
        pending: Pending,
        /// The query.
        query: String,
        /// Who asks.
        authorization: Option<Credentials>,
    },
    /// Stop for a while. Answer [`Outcome::Accepted`] or [`Outcome::Refused`].
    Pause {
        /// To be answered.
        pending: Pending,
    },
}

/// What the application decided.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The description of the stream.
    Described {
        /// Its text.
        sdp: String,
    },
    /// The publisher's description was taken.
    Announced {
        /// The control of each track, empty where it has none. Numbers in them are the publisher's, not our indices.
        controls: Vec<String>,
    },
    /// The track's final transport.
    SetUp {
        /// As proposed, with what the application adds.
        transport: Transport,
    },
    /// Media will follow.
    Playing {
        /// Where each track begins, for `RTP-Info`.
        rtp_info: Vec<RtpInfo>,
        /// The `Range` header of the response.
        range: Option<String>,
    },
    /// Yes.
    Accepted,
    /// No, with header fields such as `WWW-Authenticate` or `Location`.
    Refused {
        /// Why.
        status: Status,
        /// More header fields.
        headers: Vec<(&'static str, String)>,
    },
}

/// Where a track stands when PLAY is answered (RFC 2326 section 12.33).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpInfo {
    /// Index of the track.
    pub track: usize,
    /// The sequence number of its next packet, where that is certain.
    pub sequence: Option<u16>,
    /// Its RTP timestamp at an instant that all tracks have in common.
    pub timestamp: u32,
}

impl Outcome {
    /// A refusal without further header fields.
    pub const fn refused(status: Status) -> Self {
        Self::Refused { status, headers: Vec::new() }
    }
}

impl Pending {
    pub(super) fn new(request: &Request, uri: &RequestUri) -> Self {
        Self {
            method: request.method.clone(),
            uri: request.uri.clone(),
            path: uri.path.clone(),
            query: uri.query.clone(),
            cseq: request.headers.get("CSeq").map(str::to_owned),
            track: 0,
        }
    }
}
