//! Units as a transport stream wants their bytes, codec by codec.

use bytes::Bytes;

use super::latm;
use super::tables::registration;
use crate::bitstream::aac::{Adts, AudioSpecificConfig};
use crate::bitstream::latm::LABEL;
use crate::media::{Codec, OpaqueConfig, Payload, Track, Unit};
use crate::opaque::{self, Collector, config, put_frame};

/// How a track stands in the program map and in its PES packets.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) stream_type: u8,
    pub(super) stream_id: u8,
    pub(super) descriptors: Vec<u8>,
}

const VIDEO: u8 = 0xe0;
const AUDIO: u8 = 0xc0;
const PRIVATE: u8 = 0xbd;

/// What a codec is in a transport stream; `None` when it is nothing there.
pub(super) fn kind(codec: &Codec) -> Option<Kind> {
    let plain = |stream_type, stream_id| Kind { stream_type, stream_id, descriptors: Vec::new() };
    Some(match codec {
        Codec::H264(_) => plain(0x1b, VIDEO),
        Codec::H265(_) => Kind { descriptors: registration(b"HEVC"), ..plain(0x24, VIDEO) },
        Codec::Aac(aac) if fits_adts(&aac.asc) => plain(0x0f, AUDIO),
        Codec::Aac(_) => plain(0x11, AUDIO),
        // MPEG-2 halves the rates of MPEG-1 (ISO/IEC 13818-3).
        Codec::MpegAudio(audio) => plain(if matches!(audio.sample_rate, 1..=31_999) { 0x04 } else { 0x03 }, AUDIO),
        // ATSC A/52 Annex A; HLS wants it so, too.
        Codec::Ac3(_) => Kind { descriptors: registration(b"AC-3"), ..plain(0x81, PRIVATE) },
        // Opus in transport streams (ETSI TS 103 591): the extension descriptor 0x80 says the channels.
        Codec::Opus(opus) => {
            let descriptors = [registration(b"Opus"), vec![0x7f, 2, 0x80, opus.channels]].concat();
            Kind { descriptors, ..plain(0x06, PRIVATE) }
        }
        Codec::Opaque(opaque) => match opaque.label {
            // MISB ST 1402: asynchronous metadata.
            "KLV" => Kind { descriptors: registration(b"KLVA"), ..plain(0x06, PRIVATE) },
            "MPEG-4 Video" => plain(0x10, VIDEO),
            "MPEG-1/2 Video" => plain(0x02, VIDEO),
            // Once its configuration is known: each element is to bring it.
            LABEL => opaque::codec(opaque).map(|_| plain(0x11, AUDIO))?,
            _ => return None,
        },
        _ => return None,
    })
}

/// Whether ADTS can describe the stream: it has two bits for the object type.
fn fits_adts(asc: &[u8]) -> bool {
    AudioSpecificConfig::parse(asc).is_ok_and(|parsed| (1..=4).contains(&parsed.object_type))
}

/// Puts together what comes in RTP payloads and writes access units into a buffer.
#[derive(Clone, Debug)]
pub(super) struct Assembler {
    collector: Collector,
    /// AAC inside LATM, and its configuration.
    latm: Option<(opaque::Assembler, Bytes)>,
}

impl Assembler {
    pub(super) fn new(track: &Track) -> Self {
        let latm = || {
            let Codec::Opaque(config) = &track.codec else { return None };
            let Codec::Aac(aac) = opaque::codec(config)? else { return None };
            Some((opaque::Assembler::new(track)?, aac.asc))
        };
        Self { collector: Collector::default(), latm: latm() }
    }

    /// Writes the access unit that ends with `unit` into `out`; says whether there is one.
    pub(super) fn write(&mut self, codec: &Codec, unit: &Unit, out: &mut Vec<u8>) -> bool {
        match codec {
            Codec::H264(_) => annex_b(&[0, 0, 0, 1, 9, 0xf0], unit, out),
            Codec::H265(_) => annex_b(&[0, 0, 0, 1, 0x46, 1, 0x50], unit, out),
            Codec::Aac(aac) => return put_aac(aac.asc.as_ref(), unit, out),
            Codec::Opus(_) => put_opus(unit, out),
            Codec::MpegAudio(_) | Codec::Ac3(_) => put_plain(&unit.payload, out),
            Codec::Opaque(opaque) => return self.collect(opaque, unit, out),
            _ => return false,
        }
        true
    }

    fn collect(&mut self, opaque: &OpaqueConfig, unit: &Unit, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        if let Some((assembler, asc)) = &mut self.latm {
            assembler.push(unit, |unit| out.extend(put_latm(asc, &unit).into_iter().flatten()));
            return out.len() > start;
        }
        let Some(payloads) = self.collector.push(unit) else { return false };
        put_frame(opaque, &payloads, out);
        if opaque.label == "MPEG-4 Video" && is_intra_without_config(&out[start..]) {
            out.splice(start..start, config(opaque).unwrap_or_default());
        }
        out.len() > start
    }
}

fn put_plain(payload: &Payload, out: &mut Vec<u8>) {
    payload.frames().flat_map(|frame| frame.slices()).for_each(|slice| out.extend_from_slice(slice));
}

/// NAL units behind start codes, a delimiter in front (H.222.0 section 2.14.1 wants one).
fn annex_b(delimiter: &[u8], unit: &Unit, out: &mut Vec<u8>) {
    out.extend_from_slice(delimiter);
    for frame in unit.payload.frames() {
        out.extend_from_slice(&[0, 0, 0, 1]);
        frame.slices().iter().for_each(|slice| out.extend_from_slice(slice));
    }
}

fn put_aac(asc: &[u8], unit: &Unit, out: &mut Vec<u8>) -> bool {
    let Ok(config) = AudioSpecificConfig::parse(asc) else { return false };
    match Adts::build(config.object_type, config.sample_rate, config.channels, unit.payload.len()) {
        Some(header) => {
            out.extend_from_slice(&header);
            put_plain(&unit.payload, out);
        }
        None => {
            let Some(element) = put_latm(asc, unit) else { return false };
            out.extend_from_slice(&element);
        }
    }
    true
}

fn put_latm(asc: &[u8], unit: &Unit) -> Option<Vec<u8>> {
    let mut raw = Vec::with_capacity(unit.payload.len());
    put_plain(&unit.payload, &mut raw);
    latm::element(asc, &raw)
}

/// The control header without trimming: prefix, flags, and the size in steps of 255.
fn put_opus(unit: &Unit, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x7f, 0xe0]);
    let mut left = unit.payload.len();
    while left >= 255 {
        out.push(255);
        left -= 255;
    }
    out.push(left as u8);
    put_plain(&unit.payload, out);
}

/// Whether an access unit begins with an intra VOP that has no visual object sequence before it (ISO/IEC 14496-2).
fn is_intra_without_config(unit: &[u8]) -> bool {
    unit.starts_with(&[0, 0, 1, 0xb6]) && unit.get(4).is_some_and(|next| next >> 6 == 0)
}
