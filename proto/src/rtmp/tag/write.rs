//! Units as the bodies of messages.

use bytes::{BufMut, BytesMut};

use super::{FourCc, audio, video};
use crate::bitstream::{av1, flac, h264, h265, opus::OpusHead};
use crate::media::{Codec, G711Law, Kind, Unit};

/// How a codec can be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carriage {
    /// As every client since Flash understands it.
    pub plain: bool,
    /// Its name in Enhanced RTMP, if it has one.
    pub four_cc: Option<FourCc>,
}

/// Which form a track's tags have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// The only track of its kind, or the first: in FLV's form where the codec has one, else in that of Enhanced RTMP.
    First,
    /// One of several tracks of its kind, by its number: in a multitrack packet of its own.
    Numbered(u8),
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes before the media itself.
    pub head_bytes: usize,
    /// Where in the head the composition time stands, three bytes, if there is one.
    pub composition_at: Option<usize>,
}

/// How a codec can be carried; `None` when RTMP has no place for it.
pub fn carriage(codec: &Codec) -> Option<Carriage> {
    let (plain, four_cc) = match codec {
        Codec::H264(_) => (true, Some(FourCc::AVC)),
        Codec::H265(_) => (false, Some(FourCc::HEVC)),
        Codec::Av1(_) => (false, Some(FourCc::AV1)),
        Codec::Vp8(_) => (false, Some(FourCc::VP8)),
        Codec::Vp9(_) => (false, Some(FourCc::VP9)),
        Codec::Aac(_) => (true, Some(FourCc::AAC)),
        Codec::Opus(_) => (false, Some(FourCc::OPUS)),
        Codec::Flac(_) => (false, Some(FourCc::FLAC)),
        Codec::Ac3(_) => (false, Some(FourCc::AC3)),
        // The layer is 0 until the first frame is seen; what comes as layer III by name is nearly always that.
        Codec::MpegAudio(config) if matches!(config.layer, 0 | 3) => (true, Some(FourCc::MP3)),
        Codec::G711(_, layout) if layout.sample_rate == 8_000 && layout.channels <= 2 => (true, None),
        Codec::Lpcm(config) if config.bit_depth == 16 && config.channels <= 2 => {
            (audio::RATES.contains(&config.sample_rate), None)
        }
        _ => (false, None),
    };
    (plain || four_cc.is_some()).then_some(Carriage { plain, four_cc })
}

/// Writes the message that must precede a track's frames. `false` when the codec needs none, or it is not known yet.
pub fn write_config(codec: &Codec, form: Form, out: &mut BytesMut) -> bool {
    let record = match codec {
        Codec::H264(config) => h264::build_avcc(config),
        Codec::H265(config) => h265::build_hvcc(config),
        Codec::Av1(config) => av1::build_av1c(config),
        // Version and flags, profile, level (unknown), 8 bits 4:2:0, BT.709, no initialisation data (VP9 in ISOBMFF).
        Codec::Vp9(config) => {
            let bit_depth = if config.profile < 2 { 8u8 } else { 10 };
            let sampling = bit_depth << 4 | 1 << 1;
            Some(vec![1, 0, 0, 0, config.profile, 0, sampling, 1, 1, 1, 0, 0].into())
        }
        Codec::Vp8(_) => Some(vec![1, 0, 0, 0, 0, 0, 8 << 4 | 1 << 1, 1, 1, 1, 0, 0].into()),
        Codec::Aac(config) => Some(config.asc.clone()),
        Codec::Opus(config) => Some(OpusHead::new(config.channels).build_ogg()),
        Codec::Flac(config) => Some(flac::build_header(config)),
        _ => None,
    };
    let Some(record) = record.filter(|record| !record.is_empty()) else { return false };
    if write_head(codec, form, video::frame::KEY, video::packet::SEQUENCE_START, 0, out).is_none() {
        return false;
    }
    out.put_slice(&record);
    true
}

/// Writes a unit's message. `composition_millis`: presentation minus decoding time. `None` when RTMP has no place for it.
pub fn write_unit(
    codec: &Codec,
    form: Form,
    unit: &Unit,
    composition_millis: i32,
    out: &mut BytesMut,
) -> Option<Written> {
    let start = out.len();
    let frame_type = if unit.random_access { video::frame::KEY } else { video::frame::INTER };
    let composition_at = write_head(codec, form, frame_type, video::packet::CODED_FRAMES, composition_millis, out)?;
    let head_bytes = out.len() - start;
    let whole = |out: &mut BytesMut| {
        unit.payload.frames().for_each(|frame| frame.slices().iter().for_each(|slice| out.put_slice(slice)));
    };
    match codec {
        Codec::H264(_) | Codec::H265(_) => write_nals(codec, unit, out),
        Codec::Av1(_) => write_obus(unit, out),
        Codec::Lpcm(_) => {
            let samples_at = out.len();
            whole(out);
            // FLV's samples are little-endian.
            out[samples_at..].chunks_exact_mut(2).for_each(|sample| sample.swap(0, 1));
        }
        _ => whole(out),
    }
    Some(Written { head_bytes, composition_at })
}

/// Lengths of four bytes. Parameter sets are left out: they stand in the configuration, which goes before.
fn write_nals(codec: &Codec, unit: &Unit, out: &mut BytesMut) {
    for frame in unit.payload.frames() {
        let header = frame.get(0).unwrap_or(0);
        let is_set = match codec {
            Codec::H264(_) => matches!(h264::nal_type(header), h264::nal::SPS | h264::nal::PPS),
            _ => matches!(h265::nal_type(header), h265::nal::VPS | h265::nal::SPS | h265::nal::PPS),
        };
        if !is_set {
            out.put_u32(frame.len() as u32);
            frame.slices().iter().for_each(|slice| out.put_slice(slice));
        }
    }
}

/// OBUs with their sizes ("low-overhead format", AV1 section 5.2).
fn write_obus(unit: &Unit, out: &mut BytesMut) {
    for frame in unit.payload.frames() {
        let header = frame.get(0).unwrap_or(0);
        let header_len = av1::header_len(header).min(frame.len());
        let mut head = [0; 2];
        frame.copy_prefix(&mut head[..header_len]);
        head[0] |= OBU_HAS_SIZE;
        out.put_slice(&head[..header_len]);
        out.put_slice(av1::write_leb128((frame.len() - header_len) as u32, &mut [0; 5]));
        let mut skip = header_len;
        for slice in frame.slices() {
            let from = skip.min(slice.len());
            skip -= from;
            out.put_slice(&slice[from..]);
        }
    }
}

/// `obu_has_size_field` (AV1 section 5.3.2).
const OBU_HAS_SIZE: u8 = 2;

/// Writes what stands before the media; gives where the composition time is. `packet_type` is one that audio and video
/// share.
fn write_head(
    codec: &Codec,
    form: Form,
    frame_type: u8,
    packet_type: u8,
    composition_millis: i32,
    out: &mut BytesMut,
) -> Option<Option<usize>> {
    let start = out.len();
    let carriage = carriage(codec)?;
    let is_video = codec.kind() == Kind::Video;
    let has_composition = matches!(codec, Codec::H264(_) | Codec::H265(_));
    let timed = match (form, carriage.plain) {
        (Form::First, true) => {
            write_plain_head(codec, frame_type, packet_type, out);
            // In FLV's form a configuration has a composition time, too.
            has_composition
        }
        (Form::First, false) => {
            let four_cc = carriage.four_cc?;
            out.put_u8(if is_video {
                video::EX_HEADER | frame_type << 4 | packet_type
            } else {
                audio::format::EX_HEADER << 4 | packet_type
            });
            out.put_slice(&four_cc.0);
            has_composition && packet_type == video::packet::CODED_FRAMES
        }
        (Form::Numbered(track), _) => {
            let four_cc = carriage.four_cc?;
            out.put_u8(if is_video {
                video::EX_HEADER | frame_type << 4 | video::packet::MULTITRACK
            } else {
                audio::format::EX_HEADER << 4 | audio::packet::MULTITRACK
            });
            // One track; its packet type.
            out.put_u8(packet_type);
            out.put_slice(&four_cc.0);
            out.put_u8(track);
            has_composition && packet_type == video::packet::CODED_FRAMES
        }
    };
    Some(timed.then(|| {
        let at = out.len() - start;
        out.put_slice(&composition_millis.to_be_bytes()[1..]);
        at
    }))
}

fn write_plain_head(codec: &Codec, frame_type: u8, packet_type: u8, out: &mut BytesMut) {
    // Rate, size and channels; players of AAC look into its configuration instead.
    let sound = |format: u8, rate: u32, channels: u8| {
        let rate = audio::RATES.iter().position(|known| *known == rate).unwrap_or(3) as u8;
        format << 4 | rate << 2 | 2 | u8::from(channels > 1)
    };
    match codec {
        Codec::H264(_) => out.put_slice(&[frame_type << 4 | video::codec::AVC, packet_type]),
        Codec::Aac(_) => out.put_slice(&[audio::format::AAC << 4 | 0x0f, packet_type]),
        Codec::MpegAudio(config) if config.sample_rate == 8_000 => {
            out.put_u8(sound(audio::format::MP3_8K, config.sample_rate, config.channels));
        }
        Codec::MpegAudio(config) => out.put_u8(sound(audio::format::MP3, config.sample_rate, config.channels)),
        Codec::G711(law, layout) => {
            let format = if *law == G711Law::A { audio::format::G711_A } else { audio::format::G711_MU };
            out.put_u8(sound(format, layout.sample_rate, layout.channels));
        }
        Codec::Lpcm(config) => {
            out.put_u8(sound(audio::format::LPCM_LITTLE_ENDIAN, config.sample_rate, config.channels));
        }
        _ => {}
    }
}
