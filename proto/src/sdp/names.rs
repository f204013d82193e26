//! Names of encodings: the static payload types, and what people call what we carry unopened.

use crate::media::Kind;

/// The `rtpmap` of a static payload type (RFC 3551 section 6, tables 4 and 5).
pub(super) const fn static_rtpmap(payload_type: u8) -> Option<&'static str> {
    Some(match payload_type {
        0 => "PCMU/8000",
        3 => "GSM/8000",
        4 => "G723/8000",
        5 => "DVI4/8000",
        6 => "DVI4/16000",
        7 => "LPC/8000",
        8 => "PCMA/8000",
        9 => "G722/8000",
        10 => "L16/44100/2",
        11 => "L16/44100/1",
        12 => "QCELP/8000",
        13 => "CN/8000",
        14 => "MPA/90000",
        15 => "G728/8000",
        16 => "DVI4/11025",
        17 => "DVI4/22050",
        18 => "G729/8000",
        25 => "CelB/90000",
        26 => "JPEG/90000",
        28 => "nv/90000",
        31 => "H261/90000",
        32 => "MPV/90000",
        33 => "MP2T/90000",
        34 => "H263/90000",
        _ => return None,
    })
}

/// What people call an encoding that we carry unopened; the names of MediaMTX's API.
pub(super) fn label(encoding: &str) -> &'static str {
    let upper = encoding.to_ascii_uppercase();
    match upper.as_str() {
        "JPEG" => "M-JPEG",
        "MP2T" => "MPEG-TS",
        "MP4V-ES" => "MPEG-4 Video",
        "MPV" => "MPEG-1/2 Video",
        "MP4A-LATM" => "MPEG-4 Audio LATM",
        "MULTIOPUS" => "Opus",
        "G722" => "G722",
        "G723" => "G723",
        "VORBIS" => "Vorbis",
        "SPEEX" => "Speex",
        "SMPTE336M" => "KLV",
        name if name.starts_with("G726-") || name.starts_with("AAL2-G726-") => "G726",
        _ => "Generic",
    }
}

/// The name with this text; what this release does not know is generic.
pub(crate) fn label_named(text: &str) -> &'static str {
    const LABELS: [&str; 11] = [
        "M-JPEG",
        "MPEG-TS",
        "MPEG-4 Video",
        "MPEG-1/2 Video",
        "MPEG-4 Audio LATM",
        "Opus",
        "G722",
        "G723",
        "Vorbis",
        "Speex",
        "KLV",
    ];
    match LABELS.iter().find(|label| **label == text) {
        Some(label) => label,
        None if text == "G726" => "G726",
        None => "Generic",
    }
}

/// What a section carries: by its `m=` line, but for transport streams, which pose as video.
pub(super) fn kind(media: &str, label: &str) -> Kind {
    match media.to_ascii_lowercase().as_str() {
        "video" if label != MPEG_TS => Kind::Video,
        "audio" => Kind::Audio,
        _ => Kind::Data,
    }
}

/// The `m=` word of a track.
pub(super) fn media_word(kind: Kind, label: &str) -> &'static str {
    match kind {
        Kind::Video => "video",
        Kind::Audio => "audio",
        Kind::Data if label == MPEG_TS => "video",
        Kind::Data => "application",
    }
}

/// Whether a format only helps another one: retransmission, redundancy, tones, silence.
pub(super) fn is_helper(encoding: &str) -> bool {
    const HELPERS: [&str; 7] = ["rtx", "red", "ulpfec", "flexfec-03", "parityfec", "telephone-event", "CN"];
    HELPERS.iter().any(|helper| helper.eq_ignore_ascii_case(encoding))
}

const MPEG_TS: &str = "MPEG-TS";
