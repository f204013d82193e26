//! Opaque tracks put together: payloads of RTP into access units, for containers that want them whole.
//!
//! Everything is bounded by [`OPAQUE_PENDING_BYTES_MAX`], and nothing is remembered but the access unit under construction.

mod collector;
mod latm;

pub use collector::Collector;
pub use latm::{Assembler, codec};

use crate::media::OpaqueConfig;

/// The value of a parameter of an fmtp line; names are compared without case, as RFC 4855 wants it.
fn parameter<'a>(opaque: &'a OpaqueConfig, name: &str) -> Option<&'a str> {
    opaque.fmtp.as_deref()?.split(';').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// The `config` of an fmtp line, out of hexadecimal: what a decoder wants before the first access unit.
pub fn config(opaque: &OpaqueConfig) -> Option<Vec<u8>> {
    let value = parameter(opaque, "config")?;
    let digits: Vec<u8> = value.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod testing;
