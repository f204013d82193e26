//! Frames of sound out of PES packets, which may begin and end anywhere in them.

use bytes::Bytes;

use super::form::Output;
use crate::bitstream::aac::{Adts, build_asc, config_from_asc};
use crate::bitstream::latm::{StreamMuxConfig, access_units};
use crate::bitstream::samples::samples_of;
use crate::bitstream::{Elementary, ac3, mpeg_audio};
use crate::media::{Ac3Config, Codec, MpegAudioConfig, Payload, Track, TrackId};
use crate::time::ClockRate;

/// How frames are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// AAC behind ADTS headers.
    Adts,
    /// AAC in LATM elements behind a length (ISO/IEC 14496-3 section 1.7.2).
    Loas,
    /// MPEG-1 and MPEG-2 audio.
    Mpeg,
    /// AC-3.
    Ac3,
}

/// Bytes of the longest frame: free formats of MPEG audio aside, 13 bits say the length of all of them.
const FRAME_BYTES_MAX: usize = 1 << 13;

/// A stream of sound.
#[derive(Debug)]
pub(super) struct Sound {
    framing: Framing,
    /// Once a frame has said what it is.
    stream: Option<Elementary>,
    /// What the last frame said of itself.
    facts: Option<Facts>,
    /// What is known of LATM.
    mux: Option<StreamMuxConfig>,
    /// The beginning of a frame that goes on in the next packet.
    rest: Vec<u8>,
    /// When the next frame begins, in ticks of 90 kHz.
    at: Option<i64>,
}

/// Codec, samples a second and channels.
type Facts = (u8, u32, u8);

/// What stands at the beginning of some bytes.
enum Found {
    /// A frame of so many bytes.
    Frame(usize),
    /// The beginning of one.
    Cut,
    /// No frame.
    Noise,
}

impl Sound {
    pub(super) const fn new(framing: Framing) -> Self {
        Self { framing, stream: None, facts: None, mux: None, rest: Vec::new(), at: None }
    }

    pub(super) fn track(&self) -> Option<Track> {
        self.stream.as_ref()?.track()
    }

    /// What has begun will not be whole.
    pub(super) fn lose(&mut self) {
        self.rest.clear();
        self.at = None;
    }

    /// Takes a PES packet. Its time is that of the first frame that begins in it (section 2.4.3.7).
    pub(super) fn take(&mut self, track: TrackId, body: &Bytes, pts: Option<i64>, out: &mut impl FnMut(Output)) -> u32 {
        let begun = self.rest.len();
        let data = if begun == 0 {
            body.clone()
        } else {
            let mut joined = core::mem::take(&mut self.rest);
            joined.extend_from_slice(body);
            joined.into()
        };
        let (mut at, mut stamp, mut dropped, mut noise) = (0, pts, 0, false);
        while at < data.len() {
            let found = self.find(&data[at..]);
            if at >= begun && !matches!(found, Found::Noise) {
                self.at = stamp.take().or(self.at);
            }
            match found {
                Found::Frame(length) => {
                    dropped += u32::from(!self.frame(track, data.slice(at..at + length), out));
                    at += length;
                    noise = false;
                }
                Found::Cut => break,
                Found::Noise => {
                    dropped += u32::from(!noise && self.stream.is_some());
                    noise = true;
                    at += 1;
                }
            }
        }
        let rest = &data[at.min(data.len())..];
        if rest.len() <= FRAME_BYTES_MAX {
            self.rest.extend_from_slice(rest);
        }
        dropped
    }

    fn find(&self, bytes: &[u8]) -> Found {
        let length = match self.framing {
            Framing::Adts if bytes.len() < 7 => None,
            Framing::Adts => Adts::parse(bytes).ok().map(|header| header.frame_len),
            Framing::Loas if bytes.len() < 3 => None,
            Framing::Loas => loas_length(bytes),
            Framing::Mpeg if bytes.len() < mpeg_audio::HEADER => None,
            // Of the free format a packet is a frame.
            Framing::Mpeg => mpeg_audio::FrameHeader::parse(bytes).ok().map(|header| header.len.unwrap_or(bytes.len())),
            Framing::Ac3 if bytes.len() < ac3::HEAD => None,
            Framing::Ac3 => ac3::FrameHeader::parse(bytes).ok().map(|header| header.len),
        };
        match length {
            Some(0) => Found::Noise,
            Some(length) if length <= bytes.len() => Found::Frame(length),
            Some(_) => Found::Cut,
            None if self.may_begin(bytes) => Found::Cut,
            None => Found::Noise,
        }
    }

    /// Whether bytes that are too few for a header may become one.
    fn may_begin(&self, bytes: &[u8]) -> bool {
        let (header, sync): (usize, u8) = match self.framing {
            Framing::Adts => (7, 0xff),
            Framing::Loas => (3, 0x56),
            Framing::Mpeg => (mpeg_audio::HEADER, 0xff),
            Framing::Ac3 => (ac3::HEAD, 0x0b),
        };
        bytes.len() < header && bytes.first() == Some(&sync)
    }

    /// Whether something came of it.
    fn frame(&mut self, track: TrackId, frame: Bytes, out: &mut impl FnMut(Output)) -> bool {
        match self.framing {
            Framing::Adts => {
                let Ok(header) = Adts::parse(&frame) else { return false };
                let Adts { object_type, sample_rate, channels, header_len, .. } = header;
                let codec = || {
                    let asc = build_asc(object_type, sample_rate, channels)?;
                    config_from_asc(asc).ok().map(Codec::Aac)
                };
                self.follow((object_type, sample_rate, channels), codec, out)
                    && self.unit(track, frame.slice(header_len..), out)
            }
            Framing::Loas => {
                let Ok(units) = access_units(&mut self.mux, true, &frame.slice(3..)) else { return false };
                let Some(aac) = self.mux.as_ref().map(|mux| mux.aac.clone()) else { return false };
                // What the configuration says beside rate and channels is in its bytes.
                let digest = aac.asc.iter().fold(0u8, |sum, byte| sum.rotate_left(1) ^ byte);
                let facts = (digest, aac.sample_rate, aac.channels);
                self.follow(facts, || Some(Codec::Aac(aac)), out)
                    && units.into_iter().all(|unit| self.unit(track, unit, out))
            }
            Framing::Mpeg => {
                let Ok(header) = mpeg_audio::FrameHeader::parse(&frame) else { return false };
                let MpegAudioConfig { sample_rate, channels, layer } = header.config;
                self.follow((layer, sample_rate, channels), || Some(Codec::MpegAudio(header.config)), out)
                    && self.unit(track, frame, out)
            }
            Framing::Ac3 => {
                let Ok(header) = ac3::FrameHeader::parse(&frame) else { return false };
                let Ac3Config { sample_rate, channels } = header.config;
                self.follow((0, sample_rate, channels), || Some(Codec::Ac3(header.config)), out)
                    && self.unit(track, frame, out)
            }
        }
    }

    /// Takes up what a frame says of itself; whether there is a stream.
    fn follow(&mut self, facts: Facts, codec: impl FnOnce() -> Option<Codec>, out: &mut impl FnMut(Output)) -> bool {
        if self.facts != Some(facts) {
            let Some(codec) = codec() else { return false };
            if self.stream.replace(Elementary::new(codec)).is_some() {
                out(Output::Renewed);
            }
            self.facts = Some(facts);
        }
        true
    }

    fn unit(&mut self, track: TrackId, bytes: Bytes, out: &mut impl FnMut(Output)) -> bool {
        let (Some(stream), Some(time)) = (&mut self.stream, self.at) else { return false };
        let Some(taken) = stream.take(track, Payload::single(bytes), (time, None), ClockRate::VIDEO) else {
            return false;
        };
        let (_, rate) = crate::bitstream::samples::rates(stream.codec());
        let lasts = samples_of(stream.codec(), &taken.unit.payload).zip(rate);
        let ticks = lasts.map_or(0, |(samples, rate)| rate.convert(samples.into(), ClockRate::VIDEO));
        self.at = Some(time + ticks);
        out(Output::Unit(taken));
        true
    }
}

/// Bytes of an `AudioSyncStream` element with its head: 11 bits of sync, 13 of length.
fn loas_length(bytes: &[u8]) -> Option<usize> {
    let head: &[u8; 3] = bytes.first_chunk()?;
    let is_one = head[0] == 0x56 && head[1] & 0xe0 == 0xe0;
    is_one.then(|| 3 + (usize::from(head[1] & 0x1f) << 8 | usize::from(head[2])))
}
