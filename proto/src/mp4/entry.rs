//! Sample entries: what a track is, codec by codec.

use bytes::BufMut;

use super::boxes::{put_box, put_descriptor, put_full};
use super::codecs::{vp9_depth, vp9_level};
use crate::bitstream::{ac3, av1, h264, h265, opus};
use crate::media::{Ac3Config, Codec, G711Law, Vp9Config};

/// Whether a track of this codec can be written. Parameters may still be missing, see [`super::init()`].
pub const fn carries(codec: &Codec) -> bool {
    match codec {
        Codec::H264(_) | Codec::H265(_) | Codec::Av1(_) | Codec::Vp8(_) | Codec::Vp9(_) => true,
        Codec::Aac(_) | Codec::Opus(_) | Codec::MpegAudio(_) | Codec::Ac3(_) | Codec::Flac(_) => true,
        Codec::G711(..) | Codec::Lpcm(_) => true,
        Codec::Opaque(_) => false,
    }
}

/// Width and height in pixels of a picture.
pub(super) fn size(codec: &Codec) -> Option<(u16, u16)> {
    let (width, height) = match codec {
        Codec::H264(config) => {
            let sps = h264::Sps::parse(config.sps.first()?).ok()?;
            (sps.width, sps.height)
        }
        Codec::H265(config) => {
            let sps = h265::Sps::parse(config.sps.first()?).ok()?;
            (sps.width, sps.height)
        }
        Codec::Av1(config) => {
            let sequence = av1::SequenceHeader::parse(&config.sequence_header).ok()?;
            (sequence.width, sequence.height)
        }
        Codec::Vp8(config) => (config.width.into(), config.height.into()),
        Codec::Vp9(config) => (config.width, config.height),
        _ => return None,
    };
    Some((u16::try_from(width).ok()?, u16::try_from(height).ok()?)).filter(|size| *size != (0, 0))
}

/// Writes the sample entry; `None` while the parameters that it needs are not known.
pub(super) fn put(out: &mut Vec<u8>, codec: &Codec) -> Option<()> {
    match codec {
        Codec::H264(config) => video(out, b"avc1", codec, b"avcC", &h264::build_avcc(config)?),
        Codec::H265(config) => video(out, b"hvc1", codec, b"hvcC", &h265::build_hvcc(config)?),
        Codec::Av1(config) => video(out, b"av01", codec, b"av1C", &av1::build_av1c(config)?),
        Codec::Vp8(_) => video(out, b"vp08", codec, b"vpcC", &vpcc(Vp9Config::default())),
        Codec::Vp9(config) => video(out, b"vp09", codec, b"vpcC", &vpcc(*config)),
        Codec::Aac(aac) => audio(out, b"mp4a", aac.channels, aac.sample_rate, 16, |out| {
            esds(out, 0x40, &aac.asc);
        }),
        Codec::MpegAudio(config) if config.sample_rate > 0 => {
            // ISO/IEC 14496-1 table 5: MPEG-2 audio, MPEG-1 audio.
            let object_type = if config.sample_rate < 32_000 { 0x69 } else { 0x6b };
            audio(out, b"mp4a", config.channels, config.sample_rate, 16, |out| esds(out, object_type, &[]));
            Some(())
        }
        Codec::Opus(config) => {
            let head = opus::OpusHead::new(config.channels).build_mp4();
            audio(out, b"Opus", config.channels, opus::SAMPLE_RATE, 16, |out| {
                put_box(out, b"dOps", |out| out.put_slice(&head));
            })
        }
        Codec::Ac3(config) => audio(out, b"ac-3", config.channels, config.sample_rate, 16, |out| {
            put_box(out, b"dac3", |out| out.put_slice(&dac3(*config)));
        }),
        Codec::Flac(config) => audio(out, b"fLaC", config.channels, config.sample_rate, 16, |out| {
            // FLAC in ISOBMFF: metadata blocks, of which STREAMINFO is the first and last.
            put_full(out, b"dfLa", 0, 0, |out| {
                out.put_u32(0x8000_0000 | config.stream_info.len() as u32);
                out.put_slice(&config.stream_info);
            });
        }),
        // What a sample of either law means is a sample of 16 bits.
        Codec::G711(G711Law::A | G711Law::Mu, layout) => pcm(out, layout.channels, layout.sample_rate, 16),
        Codec::Lpcm(config) => pcm(out, config.channels, config.sample_rate, config.bit_depth),
        Codec::MpegAudio(_) | Codec::Opaque(_) => None,
    }
}

fn video(out: &mut Vec<u8>, kind: &[u8; 4], codec: &Codec, record_kind: &[u8; 4], record: &[u8]) -> Option<()> {
    let (width, height) = size(codec)?;
    put_box(out, kind, |out| {
        // Reserved, then the index of the data reference (section 8.5.2), then the visual entry (section 12.1.3).
        out.put_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
        out.put_bytes(0, 16);
        out.put_u16(width);
        out.put_u16(height);
        out.put_u32(0x0048_0000);
        out.put_u32(0x0048_0000);
        out.put_u32(0);
        out.put_u16(1);
        out.put_bytes(0, 32);
        out.put_u16(24);
        out.put_u16(0xffff);
        put_box(out, record_kind, |out| out.put_slice(record));
    });
    Some(())
}

fn audio(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    channels: u8,
    rate: u32,
    bits: u16,
    fill: impl FnOnce(&mut Vec<u8>),
) -> Option<()> {
    put_box(out, kind, |out| {
        out.put_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
        out.put_u64(0);
        out.put_u16(u16::from(channels));
        out.put_u16(bits);
        out.put_u32(0);
        // 16.16; a rate that does not fit is said by the codec's own box.
        out.put_u32(u16::try_from(rate).map_or(0, |rate| u32::from(rate) << 16));
        fill(out);
    });
    Some(())
}

/// ISO/IEC 23003-5.
fn pcm(out: &mut Vec<u8>, channels: u8, rate: u32, bits: u8) -> Option<()> {
    audio(out, b"ipcm", channels, rate, u16::from(bits), |out| {
        // Big endian.
        put_full(out, b"pcmC", 0, 0, |out| out.put_slice(&[0, bits]));
    })
}

/// ISO/IEC 14496-14 section 5.6. The bit rates are not known.
fn esds(out: &mut Vec<u8>, object_type: u8, specific: &[u8]) {
    let mut config = vec![object_type, 0x15];
    config.put_bytes(0, 3 + 4 + 4);
    if !specific.is_empty() {
        put_descriptor(&mut config, 5, specific);
    }
    let mut stream = vec![0, 0, 0];
    put_descriptor(&mut stream, 4, &config);
    put_descriptor(&mut stream, 6, &[2]);
    put_full(out, b"esds", 0, 0, |out| put_descriptor(out, 3, &stream));
}

/// VP codec ISO media file format binding, section "VP Codec Configuration Box", version 1. Colours are unspecified.
fn vpcc(config: Vp9Config) -> Vec<u8> {
    let chroma = if config.profile & 1 == 1 { 3 } else { 1 };
    vec![1, 0, 0, 0, config.profile, vp9_level(config), vp9_depth(config) << 4 | chroma << 1, 2, 2, 2, 0, 0]
}

/// ETSI TS 102 366 Annex F.4. Only the rate and the channels are known here; the bit rate is left at its least.
fn dac3(config: Ac3Config) -> [u8; 3] {
    let rate_code: u32 = match config.sample_rate {
        44_100 => 1,
        32_000 => 2,
        _ => 0,
    };
    let (layout, low_frequency): (u32, u32) = match config.channels {
        1 => (1, 0),
        2 => (2, 0),
        3 => (3, 0),
        4 => (6, 0),
        5 => (7, 0),
        _ => (7, 1),
    };
    let bits = rate_code << 22 | ac3::BITSTREAM_ID << 17 | layout << 11 | low_frequency << 10;
    let [_, a, b, c] = bits.to_be_bytes();
    [a, b, c]
}
