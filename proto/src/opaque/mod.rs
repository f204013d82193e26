//! Opaque tracks put together: payloads of RTP into access units, for containers that want them whole.
//!
//! Everything is bounded by [`OPAQUE_PENDING_BYTES_MAX`](crate::limits::OPAQUE_PENDING_BYTES_MAX), and nothing is
//! remembered but the access unit under construction and the configuration.

mod collector;
mod huffman;
mod jpeg;
mod latm;
mod video;

pub use collector::Collector;
pub use latm::codec;
pub(crate) use video::with_config;
pub use video::{Picture, is_picture, picture, put_frame};

use crate::media::{Codec, OpaqueConfig, Track, Unit};

/// Puts the units of an opaque track together into those that MP4 has samples of.
#[derive(Clone, Debug)]
pub struct Assembler {
    form: Form,
    collector: Collector,
}

#[derive(Clone, Debug)]
enum Form {
    Latm(Box<latm::Taker>),
    Video(Box<video::Joiner>),
    Jpeg(Box<jpeg::Painter>),
}

impl Assembler {
    /// `None` for tracks that are not to be put together: all that are not opaque, LATM whose configuration is not
    /// known yet, and those that MP4 does not know.
    pub fn new(track: &Track) -> Option<Self> {
        let latm = || latm::Taker::new(track).map(|taker| Form::Latm(taker.into()));
        let video = || video::Joiner::new(track).map(|joiner| Form::Video(joiner.into()));
        let jpeg = || jpeg::Painter::new(track).map(|painter| Form::Jpeg(painter.into()));
        Some(Self { form: latm().or_else(video).or_else(jpeg)?, collector: Collector::default() })
    }

    /// Takes the next unit and gives out the access units that are complete with it. Broken ones are left out.
    pub fn push(&mut self, unit: &Unit, out: impl FnMut(Unit)) {
        let Some(payloads) = self.collector.push(unit) else { return };
        match &mut self.form {
            Form::Latm(taker) => taker.take(unit, &payloads, out),
            Form::Video(joiner) => joiner.join(unit, &payloads, out),
            Form::Jpeg(painter) => painter.paint(unit, &payloads, out),
        }
    }

    /// The track as it is known now. What a picture's headers say, who writes a file needs beforehand, and an SDP often
    /// leaves out: it stands in the `config` of the format parameters then.
    pub fn track(&self, track: &Track) -> Track {
        let Codec::Opaque(opaque) = &track.codec else { return track.clone() };
        let known = match &self.form {
            Form::Latm(_) => opaque.clone(),
            Form::Video(joiner) => joiner.known(opaque),
            Form::Jpeg(painter) => painter.known(opaque),
        };
        Track { codec: Codec::Opaque(known), clock_rate: track.clock_rate }
    }
}

/// The `config` of an fmtp line, out of hexadecimal: what a decoder wants before the first access unit.
pub fn config(opaque: &OpaqueConfig) -> Option<Vec<u8>> {
    let value = opaque.parameter("config")?;
    let digits: Vec<u8> = value.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod testing;
