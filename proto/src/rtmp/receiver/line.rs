//! One track on its way in: packets to units.

use bytes::{Bytes, BytesMut};

use crate::bitstream::{
    Inspector, aac, ac3, av1, flac, h264, h265, mpeg_audio,
    opus::OpusHead,
    samples::{SampleClock, rates, samples_of},
};
use crate::limits::{PARAMETER_SET_BYTES_MAX, UNIT_FRAMES_MAX, UNIT_SLICES_MAX};
use crate::media::{
    AudioLayout, Av1Config, Codec, H264Config, H265Config, Kind, LpcmConfig, OpusConfig, Payload, PayloadBuilder,
    Track, TrackId, Vp8Config, Vp9Config,
};
use crate::rtmp::Body;
use crate::rtmp::tag::TagCodec;
use crate::time::ClockRate;

/// One track of a publisher.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) kind: Kind,
    /// Its number in Enhanced RTMP; 0 is the first.
    pub(super) number: u8,
    pub(super) tag_codec: TagCodec,
    /// What it is published as.
    pub(super) id: Option<TrackId>,
    inspector: Option<Inspector>,
    clock_rate: ClockRate,
    samples: Option<SampleClock>,
    /// Bytes of the length before each NAL unit.
    length_size: u8,
    /// Parameter sets that go before the next frame: the configuration changed.
    fresh: Vec<Bytes>,
    channels: Option<u8>,
    /// HDR and what else the publisher says of the pictures, AMF0.
    pub(super) metadata: Option<Bytes>,
    /// What changed makes it another track.
    pub(super) replaced: bool,
}

/// A frame as a unit without its place in time.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) payload: Payload,
    pub(super) random_access: bool,
    pub(super) discardable: bool,
    pub(super) codec: Option<Codec>,
}

impl Line {
    pub(super) const fn new(kind: Kind, number: u8, tag_codec: TagCodec) -> Self {
        Self {
            kind,
            number,
            tag_codec,
            id: None,
            inspector: None,
            clock_rate: ClockRate::VIDEO,
            samples: None,
            length_size: 4,
            fresh: Vec::new(),
            channels: None,
            metadata: None,
            replaced: false,
        }
    }

    /// The track, once all is known that a reader must know.
    pub(super) fn track(&self) -> Option<Track> {
        let codec = self.inspector.as_ref()?.codec();
        codec.has_parameters().then(|| Track { codec: codec.clone(), clock_rate: self.clock_rate })
    }

    /// Takes a configuration record. What cannot be read changes nothing; whether it could.
    pub(super) fn configure(&mut self, record: &Body) -> bool {
        if record.len() > CONFIG_BYTES_MAX {
            return false;
        }
        let record = record.copied();
        let configured = match self.tag_codec {
            TagCodec::Avc => h264::parse_avcc(&record).ok().map(|record| {
                self.length_size = record.length_size;
                Codec::H264(record.config)
            }),
            TagCodec::Hevc => h265::parse_hvcc(&record).ok().map(|record| {
                self.length_size = record.length_size;
                Codec::H265(record.config)
            }),
            TagCodec::Av1 => av1::parse_av1c(&record).ok().map(Codec::Av1),
            TagCodec::Aac => aac::config_from_asc(record).ok().map(Codec::Aac),
            TagCodec::Flac => flac::parse_header(&record).ok().map(Codec::Flac),
            TagCodec::Opus => {
                // An empty one: mono or stereo, as the packets say.
                let channels = OpusHead::parse_ogg(&record).ok().map(|head| head.channels).or(self.channels);
                channels.map(|channels| Codec::Opus(OpusConfig { channels }))
            }
            // Nothing in there that the frames do not say.
            _ => return true,
        };
        // Only Opus may leave its head empty.
        let Some(codec) = configured else { return self.tag_codec == TagCodec::Opus };
        self.follow(codec);
        true
    }

    /// The number of channels, from a message of its own.
    pub(super) const fn set_channels(&mut self, channels: u8) {
        self.channels = Some(channels);
    }

    /// Takes up a codec that was signalled.
    fn follow(&mut self, codec: Codec) {
        let Some(inspector) = &self.inspector else { return self.begin(codec) };
        match (&codec, inspector.codec()) {
            // In-band, the inspector finds what changed.
            (Codec::H264(new), Codec::H264(old)) if new != old => {
                self.fresh = new.sps.iter().chain(&new.pps).cloned().collect();
            }
            (Codec::H265(new), Codec::H265(old)) if new != old => {
                self.fresh = new.vps.iter().chain(&new.sps).chain(&new.pps).cloned().collect();
            }
            (Codec::Av1(new), Codec::Av1(old)) if new != old && !new.sequence_header.is_empty() => {
                self.fresh = vec![new.sequence_header.clone()];
            }
            (new, old) if new == old => {}
            (Codec::H264(_) | Codec::H265(_) | Codec::Av1(_), _) => {}
            _ => {
                self.replaced = self.id.is_some();
                self.begin(codec);
            }
        }
    }

    fn begin(&mut self, codec: Codec) {
        let (clock_rate, sample_rate) = rates(&codec);
        self.clock_rate = clock_rate;
        self.samples = sample_rate.map(SampleClock::new);
        self.inspector = Some(Inspector::new(codec));
    }

    /// Takes a frame. `None`: it is unusable, or nothing is left of it.
    pub(super) fn frame(&mut self, data: Body) -> Option<Taken> {
        if data.is_empty() {
            return None;
        }
        if self.inspector.is_none() {
            let codec = self.guess(&data)?;
            self.begin(codec);
        }
        let payload = self.payload(data)?;
        let inspector = self.inspector.as_mut()?;
        let inspected = inspector.inspect(payload)?;
        let codec = inspected.codec_changed.then(|| inspector.codec().clone());
        Some(Taken {
            payload: inspected.payload,
            random_access: inspected.random_access,
            discardable: inspected.discardable,
            codec,
        })
    }

    /// What the codec is, from its first frame, where no configuration came before.
    fn guess(&self, data: &Body) -> Option<Codec> {
        let head = data.peek::<1>()?;
        Some(match self.tag_codec {
            TagCodec::Avc => Codec::H264(H264Config::default()),
            TagCodec::Hevc => Codec::H265(H265Config::default()),
            TagCodec::Av1 => Codec::Av1(Av1Config::default()),
            TagCodec::Vp8 => Codec::Vp8(Vp8Config::default()),
            TagCodec::Vp9 => Codec::Vp9(Vp9Config::default()),
            TagCodec::Mp3 => {
                let head = data.peek::<{ mpeg_audio::HEADER }>()?;
                Codec::MpegAudio(mpeg_audio::FrameHeader::parse(&head).ok()?.config)
            }
            TagCodec::Ac3 => Codec::Ac3(ac3::FrameHeader::parse(&data.peek::<{ ac3::HEAD }>()?).ok()?.config),
            // RFC 6716 section 3.1: the bit that says stereo.
            TagCodec::Opus => {
                let channels = self.channels.unwrap_or(1 + (head[0] >> 2 & 1));
                Codec::Opus(OpusConfig { channels })
            }
            TagCodec::G711(law, plain) => {
                Codec::G711(law, AudioLayout { sample_rate: plain.sample_rate, channels: plain.channels })
            }
            TagCodec::Lpcm(plain) => Codec::Lpcm(LpcmConfig {
                bit_depth: plain.bit_depth,
                sample_rate: plain.sample_rate,
                channels: plain.channels,
            }),
            TagCodec::Aac | TagCodec::Flac | TagCodec::Foreign(_) | TagCodec::Old(_) => return None,
        })
    }

    fn payload(&mut self, data: Body) -> Option<Payload> {
        let mut builder = PayloadBuilder::default();
        core::mem::take(&mut self.fresh).into_iter().for_each(|set| builder.push_frame(set));
        match self.tag_codec {
            TagCodec::Avc | TagCodec::Hevc => split_nals(data, self.length_size, &mut builder)?,
            TagCodec::Lpcm(plain) if plain.bit_depth == 16 => {
                let mut samples = BytesMut::from(&data.to_bytes()[..]);
                samples.chunks_exact_mut(2).for_each(|sample| sample.swap(0, 1));
                builder.push_frame(samples.freeze());
            }
            // Their inspectors want whole OBUs: in one piece is what they nearly always are.
            TagCodec::Av1 => builder.push_frame(data.to_bytes()),
            _ => {
                data.slices().iter().for_each(|slice| builder.push_slice(slice.clone()));
                builder.end_frame();
            }
        }
        Some(builder.finish())
    }

    /// Presentation and decoding time in ticks.
    pub(super) fn times(&mut self, micros: i64, composition_micros: i64, payload: &Payload) -> (i64, i64) {
        let samples = self.inspector.as_ref().and_then(|inspector| samples_of(inspector.codec(), payload));
        if let Some(clock) = &mut self.samples {
            let ticks = clock.ticks(micros, samples, self.clock_rate);
            return (ticks, ticks);
        }
        let pts = self.clock_rate.from_micros(micros.saturating_add(composition_micros));
        (pts, self.clock_rate.from_micros(micros).min(pts))
    }
}

/// NAL units behind their lengths. `None` when a length lies.
fn split_nals(mut data: Body, length_size: u8, builder: &mut PayloadBuilder) -> Option<()> {
    while !data.is_empty() {
        let length = match length_size {
            1 => u32::from(data.byte()?),
            2 => u32::from(u16::from_be_bytes(data.array()?)),
            _ => u32::from_be_bytes(data.array()?),
        };
        let nal = data.split_to(length as usize)?;
        if builder.frames() == UNIT_FRAMES_MAX {
            return None;
        }
        nal.slices().iter().for_each(|slice| builder.push_slice(slice.clone()));
        if builder.open_slices() > UNIT_SLICES_MAX {
            return None;
        }
        builder.end_frame();
    }
    Some(())
}

/// Bytes of a configuration record: a few parameter sets.
const CONFIG_BYTES_MAX: usize = 8 * PARAMETER_SET_BYTES_MAX;
