//! RTMP (Adobe's RTMP 1.0) with Enhanced RTMP v2 (veovera.org): chunks, AMF0, tags, the machines of both ends.
//!
//! The way in: [`ChunkReader`] cuts bytes into [`Message`]s; a machine ([`ServerMachine`], [`ClientMachine`]) understands
//! commands and passes media on; [`Receiver`] makes tracks and units of it. The way out: [`tag`] writes units as the
//! bodies of messages. The handshake and the writing of chunks are the node's, for they want chance and speed.

pub mod amf0;
mod body;
mod chunk;
mod machine;
pub mod message;
mod receiver;
pub mod tag;

pub use body::Body;
pub use chunk::{ChunkError, ChunkReader};
pub use machine::{
    Action, Capabilities, Client, ClientEvent, ClientMachine, MachineError, Media, Outcome, Pending, Refusal,
    ServerMachine, query_value,
};
pub use message::{Message, Outgoing};
pub use receiver::{GATHER, Received, Receiver, ReceiverError};
