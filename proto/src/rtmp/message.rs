//! RTMP messages, and the numbers of their kinds (Adobe's RTMP 1.0, sections 5.4 and 7.1).

use bytes::Bytes;

use super::Body;

/// Message type ids.
pub mod kind {
    /// The sender's chunks have another size from now on (section 5.4.1).
    pub const SET_CHUNK_SIZE: u8 = 1;
    /// A message begun on a chunk stream will not be finished (section 5.4.2).
    pub const ABORT: u8 = 2;
    /// So many bytes have arrived (section 5.4.3).
    pub const ACKNOWLEDGEMENT: u8 = 3;
    /// Events of streams (section 6.2).
    pub const USER_CONTROL: u8 = 4;
    /// How often the sender wants to be told what has arrived (section 5.4.4).
    pub const WINDOW_ACKNOWLEDGEMENT_SIZE: u8 = 5;
    /// How much may be under way (section 5.4.5).
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    /// Sound (section 7.1.4).
    pub const AUDIO: u8 = 8;
    /// Pictures (section 7.1.5).
    pub const VIDEO: u8 = 9;
    /// Metadata, AMF3 (section 7.1.2). In practice a zero byte, then AMF0.
    pub const DATA_AMF3: u8 = 15;
    /// A command, AMF3 (section 7.1.1). In practice a zero byte, then AMF0.
    pub const COMMAND_AMF3: u8 = 17;
    /// Metadata (section 7.1.2).
    pub const DATA: u8 = 18;
    /// A command (section 7.1.1).
    pub const COMMAND: u8 = 20;
    /// Several audio and video messages in one (section 7.1.6).
    pub const AGGREGATE: u8 = 22;
}

/// Events of streams (section 6.2): type numbers of [`kind::USER_CONTROL`].
pub mod event {
    /// A stream begins to be usable.
    pub const STREAM_BEGIN: u16 = 0;
    /// Playback of a stream is over.
    pub const STREAM_END: u16 = 1;
    /// How many milliseconds the client buffers.
    pub const SET_BUFFER_LENGTH: u16 = 3;
    /// Is somebody there?
    pub const PING_REQUEST: u16 = 6;
    /// The answer to it.
    pub const PING_RESPONSE: u16 = 7;
}

/// A message that arrived.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// See [`kind`].
    pub kind: u8,
    /// The message stream it belongs to; 0 is the connection itself.
    pub stream_id: u32,
    /// Milliseconds, wrapping at 2^32.
    pub timestamp: u32,
    /// Its bytes.
    pub body: Body,
}

/// A message to be sent, at timestamp 0. Media has its own way, see [`super::tag`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// See [`kind`].
    pub kind: u8,
    /// The message stream it belongs to; 0 is the connection itself.
    pub stream_id: u32,
    /// Its bytes, never empty.
    pub payload: Bytes,
}

impl Outgoing {
    /// A control message of one number: acknowledgement or window.
    pub fn number(kind: u8, value: u32) -> Self {
        Self { kind, stream_id: 0, payload: value.to_be_bytes().to_vec().into() }
    }

    /// How much the peer may have under way before it must be acknowledged, "dynamic" (section 5.4.5).
    pub fn peer_bandwidth(bytes: u32) -> Self {
        let [a, b, c, d] = bytes.to_be_bytes();
        Self { kind: kind::SET_PEER_BANDWIDTH, stream_id: 0, payload: vec![a, b, c, d, 2].into() }
    }

    /// An event with one number.
    pub fn event(event: u16, value: u32) -> Self {
        let payload = [&event.to_be_bytes()[..], &value.to_be_bytes()].concat();
        Self { kind: kind::USER_CONTROL, stream_id: 0, payload: payload.into() }
    }

    /// The client's buffer of a stream, in milliseconds.
    pub fn buffer_length(stream_id: u32, millis: u32) -> Self {
        let payload =
            [&event::SET_BUFFER_LENGTH.to_be_bytes()[..], &stream_id.to_be_bytes(), &millis.to_be_bytes()].concat();
        Self { kind: kind::USER_CONTROL, stream_id: 0, payload: payload.into() }
    }
}
