//! What a server's machine says to the application, and what it is told.

use super::super::{Body, Outgoing};

/// What to do about a message.
#[derive(Debug)]
pub enum Action {
    /// Send this.
    Send(Outgoing),
    /// Tell the client the size of our chunks, and use it from then on.
    SetChunkSize,
    /// A publisher begins. Answer [`Outcome::Accepted`] or [`Outcome::Refused`].
    Publish {
        /// To be answered.
        pending: Pending,
        /// The path as it was asked for, app and key joined; not yet proven to be a legal name.
        path: String,
        /// All that stood behind question marks.
        query: String,
    },
    /// A reader begins. Answer [`Outcome::Accepted`] or [`Outcome::Refused`].
    Play {
        /// To be answered.
        pending: Pending,
        /// The path.
        path: String,
        /// The query.
        query: String,
    },
    /// The publisher's media.
    Media(Media),
    /// The reader wants a pause, or to go on.
    Pause(bool),
    /// The client publishes or reads no more, and may begin anew.
    Stop,
}

/// Media that arrived.
#[derive(Debug)]
pub enum Media {
    /// The body of an audio message.
    Audio(u32, Body),
    /// The body of a video message.
    Video(u32, Body),
    /// The body of a data message, AMF0.
    Data(u32, Body),
    /// Audio and video messages in one, behind each other.
    Aggregate(u32, Body),
}

/// A request that waits for the application's decision.
#[derive(Debug)]
pub struct Pending {
    pub(super) publish: bool,
    pub(super) stream_id: u32,
    pub(super) key: String,
}

impl Pending {
    /// The message stream on which it goes on.
    pub const fn stream_id(&self) -> u32 {
        self.stream_id
    }
}

/// What the application decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Yes.
    Accepted,
    /// No. The connection is to be closed once the answer is sent.
    Refused(Refusal),
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Credentials are missing or wrong, or not good enough.
    Denied,
    /// Nobody publishes the path.
    NotFound,
    /// Somebody else publishes the path.
    Taken,
    /// The name cannot be a path.
    BadName,
    /// Too many readers.
    Full,
    /// None of the tracks can be carried to this client.
    NoTracks,
    /// The server cannot, for now.
    Unavailable,
}

impl Refusal {
    /// The code of the status message, as clients know them, and a sentence.
    pub(super) const fn status(self, publish: bool) -> (&'static str, &'static str) {
        match (self, publish) {
            (Self::Denied, true) => ("NetStream.Publish.Denied", "authentication failed"),
            (Self::Denied, false) => ("NetStream.Play.Failed", "authentication failed"),
            (Self::Taken, _) => ("NetStream.Publish.BadName", "someone is already publishing to this path"),
            (Self::BadName, true) => ("NetStream.Publish.BadName", "this name cannot be a path"),
            (Self::BadName, false) => ("NetStream.Play.StreamNotFound", "this name cannot be a path"),
            (Self::NotFound, true) => ("NetStream.Publish.BadName", "the path is not configured"),
            (Self::NotFound, false) => ("NetStream.Play.StreamNotFound", "no one is publishing to this path"),
            (Self::Full, _) => ("NetStream.Play.InsufficientBW", "the path has reached its maximum number of readers"),
            (Self::NoTracks, true) => ("NetStream.Publish.Failed", "none of the tracks can be carried"),
            (Self::NoTracks, false) => {
                ("NetStream.Play.NoSupportedTrackFound", "the client understands none of the stream's codecs")
            }
            (Self::Unavailable, true) => ("NetStream.Publish.Failed", "the server cannot take publishers right now"),
            (Self::Unavailable, false) => ("NetStream.Play.Failed", "the server cannot take readers right now"),
        }
    }
}
