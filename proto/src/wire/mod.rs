//! What nodes say to each other, and what they agree on: the messages, their frames, their versions.
//!
//! A frame is a version byte, a kind, a length and a body in bincode's standard encoding (`bincode` 2, whose format is
//! written down: integers of variable length, little endian; an enum's variant as an integer). Whoever reads skips kinds
//! that it does not know, so that a newer node may say more. What must hold for that:
//!
//! - A kind's number is never used again for anything else, and a body that has been released is never edited: what must
//!   change is a new kind with a new number, said only to nodes whose hello allows it.
//! - Entries of the log ([`entry::Entry`]) cannot be skipped, for all nodes must make the same of them. A new variant goes
//!   to the end, and is proposed only when every member knows it.
//! - Bytes of each release are kept in `golden/` and must be read by the next one, and be written the same.
//!
//! Nothing here trusts a length: a body is bounded by its frame, and what is in it by the body.

pub mod control;
pub mod entry;
#[cfg(test)]
mod first_words_test;
mod frame;
pub mod hello;
pub mod join;
pub mod raft;
pub mod relay;
#[cfg(test)]
mod tests;
pub mod token;
pub mod window;

pub use frame::{FRAME_HEAD_BYTES, Frame, FrameError, FrameHead, VERSION};

use bincode::config::{Configuration, Limit, LittleEndian, Varint};

/// Bytes that a decoder may ask for in all, whatever lengths the input claims.
const BODY_MEMORY_MAX: usize = 64 << 20;

const ENCODING: Configuration<LittleEndian, Varint, Limit<BODY_MEMORY_MAX>> =
    bincode::config::standard().with_limit::<BODY_MEMORY_MAX>();

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of kind {kind} cannot be read")]
pub struct BadBody {
    /// Which kind.
    pub kind: u16,
}

/// Writes a value as it stands in bodies and in the log.
pub fn to_bytes(value: &impl bincode::Encode) -> Vec<u8> {
    // Encoding into memory fails only for types that refuse it (a poisoned lock, a time before 1970): there are none here.
    bincode::encode_to_vec(value, ENCODING).unwrap_or_default()
}

/// Reads a value as it stands in bodies and in the log. What follows it is a newer program's and is left alone.
pub fn from_bytes<T: bincode::Decode<()>>(bytes: &[u8]) -> Option<T> {
    bincode::decode_from_slice(bytes, ENCODING).ok().map(|(value, _)| value)
}

/// The lowest and the highest level that this program speaks.
pub const LEVELS: (u32, u32) = (1, if cfg!(feature = "next-level") { 2 } else { 1 });

/// A word of a kind that no other release knows: said, where a newer node may say more, to those that skip it.
#[cfg(feature = "next-level")]
pub fn word_of_the_next_level() -> Vec<u8> {
    Frame::write(0x7fff, &"said by the next release".to_owned())
}

/// Makes an enum whose variants are messages with numbers that stay.
macro_rules! messages {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $number:literal => $variant:ident($body:ty),)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name { $($(#[$variant_doc])* $variant($body),)* }

        impl $name {
            /// Its number on the wire.
            pub const fn kind(&self) -> u16 {
                match self { $(Self::$variant(_) => $number,)* }
            }

            /// As a whole frame.
            pub fn encode(&self) -> Vec<u8> {
                match self { $(Self::$variant(body) => $crate::wire::Frame::write($number, body),)* }
            }

            /// From a frame; `None` when the kind is not known.
            pub fn decode(frame: &$crate::wire::Frame) -> Result<Option<Self>, $crate::wire::BadBody> {
                match frame.kind {
                    $($number => {
                        let body = $crate::wire::from_bytes(&frame.body);
                        body.map(|body| Some(Self::$variant(body))).ok_or($crate::wire::BadBody { kind: frame.kind })
                    })*
                    _ => Ok(None),
                }
            }
        }
    };
}
pub(crate) use messages;
