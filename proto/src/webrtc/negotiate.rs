//! What is agreed of an offer: which codec goes under which payload type in which section (RFC 8829 section 5.3, RFC 3264).
//!
//! One codec is agreed for each section, the most wanted one that fits, and with it its repetition format. So it is known
//! before the first packet what comes.

use super::answer::{WrittenMedia, WrittenSection};
use super::codecs::{chosen_for, taken_as};
use super::description::{Description, Extension, Payload, Section, SectionKind};
use crate::media::{Kind, Track, TrackId, Tracks};
use crate::rtp::extension::{MID, PLAYOUT_DELAY, REPAIRED_RID, RID, TRANSPORT_SEQUENCE};

/// What is understood of what receivers say.
const FEEDBACK: [&str; 5] = ["nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"];

/// Layers of one picture that are taken: more than any browser sends.
const LAYERS_MAX: usize = 4;

/// What is agreed with a reader.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The sections of the answer; what this end sends in them has no source yet.
    pub sections: Vec<WrittenSection>,
    /// The tracks that are sent.
    pub lines: Vec<ReadLine>,
    /// Tracks for which the offer has no section, or no codec.
    pub left_out: Vec<TrackId>,
    /// Tracks that are sent over data channels, where those are offered: metadata.
    pub data: Vec<TrackId>,
}

/// A track that a reader gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadLine {
    /// The track.
    pub track: TrackId,
    /// Its section.
    pub section: usize,
    /// How it is sent.
    pub format: Format,
}

/// What is agreed with a publisher.
#[derive(Clone, Debug)]
pub struct Publishing {
    /// The sections of the answer.
    pub sections: Vec<WrittenSection>,
    /// The tracks that come, the layers of a picture each as its own.
    pub lines: Vec<PublishLine>,
}

/// A track that a publisher sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishLine {
    /// The track, as far as the offer tells.
    pub track: Track,
    /// Its section.
    pub section: usize,
    /// How it is sent.
    pub format: Format,
    /// The name of the layer, where a picture comes in several.
    pub layer: Option<String>,
    /// Its source, where the offer names it.
    pub source: Option<u32>,
    /// The source of its repetitions, where the offer names it.
    pub repeat: Option<u32>,
}

/// Numbers under which a track is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Format {
    /// The payload type.
    pub payload_type: u8,
    /// The payload type of repeated packets (RFC 4588).
    pub repeat_type: Option<u8>,
    /// The receiver asks for packets again (RFC 4585 section 6.2.1).
    pub nack: bool,
    /// The receiver asks for keyframes.
    pub pli: bool,
    /// The receiver reports on the whole way.
    pub transport_cc: bool,
    /// Header extensions.
    pub extensions: Extensions,
    /// The name of the section.
    pub mid: String,
}

/// Numbers of header extensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// [`TRANSPORT_SEQUENCE`].
    pub transport_sequence: Option<u8>,
    /// [`MID`].
    pub mid: Option<u8>,
    /// [`RID`].
    pub rid: Option<u8>,
    /// [`REPAIRED_RID`].
    pub repaired_rid: Option<u8>,
    /// [`PLAYOUT_DELAY`].
    pub playout_delay: Option<u8>,
}

/// Agrees with a reader who is to get these tracks.
pub fn reading(offer: &Description, tracks: &Tracks) -> Reading {
    let mut left: Vec<TrackId> = tracks.iter().map(|(id, _)| id).collect();
    let mut agreed = Reading { sections: Vec::new(), lines: Vec::new(), left_out: Vec::new(), data: Vec::new() };
    for (place, section) in offer.sections.iter().enumerate() {
        let found = is_wanted(section, section.receives).then(|| {
            left.iter().enumerate().find_map(|(at, id)| {
                let track = tracks.get(*id).filter(|track| is_of(section, track))?;
                Some((at, *id, chosen_for(&track.codec, track.clock_rate, &section.payloads)?))
            })
        });
        let mut media = found.flatten().map(|(at, track, payload)| {
            left.remove(at);
            let (media, format) = agree(section, payload, &[TRANSPORT_SEQUENCE, MID, PLAYOUT_DELAY]);
            agreed.lines.push(ReadLine { track, section: place, format });
            WrittenMedia { sends: true, ..media }
        });
        media = media.or_else(|| kept(section, place));
        if section.kind == SectionKind::Data && !section.is_refused {
            let (data, others) = left.into_iter().partition(|id| tracks.get(*id).is_some_and(is_metadata));
            left = others;
            agreed.data.extend::<Vec<TrackId>>(data);
            media = (!agreed.data.is_empty()).then(WrittenMedia::default);
        }
        agreed.sections.push(WrittenSection { mid: section.mid.clone(), kind: section.kind, media });
    }
    agreed.left_out = left;
    agreed
}

/// Agrees with a publisher.
pub fn publishing(offer: &Description) -> Publishing {
    let mut agreed = Publishing { sections: Vec::new(), lines: Vec::new() };
    for (place, section) in offer.sections.iter().enumerate() {
        let found = is_wanted(section, section.sends).then(|| taken_as(section)).flatten();
        let media = found.map(|(track, payload)| {
            let (media, format) = agree(section, payload, &[TRANSPORT_SEQUENCE, MID, RID, REPAIRED_RID]);
            let layers: Vec<String> = section.layers.iter().take(LAYERS_MAX).cloned().collect();
            let line = PublishLine { track, section: place, format, layer: None, source: None, repeat: None };
            if layers.is_empty() {
                let source = section.sources.first().copied();
                let repeat = section.repeats.iter().find(|(media, _)| Some(*media) == source);
                agreed.lines.push(PublishLine { source, repeat: repeat.map(|(_, repeat)| *repeat), ..line });
            } else {
                agreed
                    .lines
                    .extend(layers.iter().map(|layer| PublishLine { layer: Some(layer.clone()), ..line.clone() }));
            }
            WrittenMedia { receives: true, layers, ..media }
        });
        let media = media.or_else(|| kept(section, place));
        agreed.sections.push(WrittenSection { mid: section.mid.clone(), kind: section.kind, media });
    }
    agreed
}

/// What comes by an answer of which packets of these payload types have come: an answer may name several codecs, and sections in
/// which nothing is sent.
pub fn receiving(answer: &Description, heard: &[u8]) -> Vec<PublishLine> {
    let mut answer = answer.clone();
    for section in &mut answer.sections {
        match section.payloads.iter().position(|payload| heard.contains(&payload.payload_type)) {
            Some(at) => section.payloads[..=at].rotate_right(1),
            None => section.sends = false,
        }
    }
    publishing(&answer).lines
}

fn is_wanted(section: &Section, goes_that_way: bool) -> bool {
    !section.is_refused && goes_that_way && matches!(section.kind, SectionKind::Audio | SectionKind::Video)
}

/// KLV and its like: each unit means something by itself.
fn is_metadata(track: &Track) -> bool {
    track.kind() == Kind::Data && track.codec.label() == "KLV"
}

/// The answer of a first section with which nothing can be done. All sections go the way of the first (RFC 8843 section 7.2.1):
/// it is kept idle, for Chromium takes no answer that refuses it and wants another one.
fn kept(section: &Section, place: usize) -> Option<WrittenMedia> {
    let is_media = matches!(section.kind, SectionKind::Audio | SectionKind::Video);
    let payload = section.payloads.first().filter(|_| place == 0 && is_media && !section.is_refused)?;
    Some(agree(section, payload.clone(), &[]).0)
}

fn is_of(section: &Section, track: &Track) -> bool {
    match section.kind {
        SectionKind::Audio => track.kind() == Kind::Audio,
        SectionKind::Video => track.kind() == Kind::Video,
        SectionKind::Data | SectionKind::Other => false,
    }
}

/// The answer of a section with this codec.
fn agree(section: &Section, mut payload: Payload, wanted: &[&str]) -> (WrittenMedia, Format) {
    payload.feedback.retain(|words| FEEDBACK.iter().any(|known| known.eq_ignore_ascii_case(words)));
    let extensions: Vec<Extension> =
        section.extensions.iter().filter(|extension| wanted.contains(&extension.uri.as_str())).cloned().collect();
    let numbered = |uri: &str| extensions.iter().find(|extension| extension.uri == uri).map(|extension| extension.id);
    let again = section.payloads.iter().find(|other| other.repeats() == Some(payload.payload_type)).cloned();
    let format = Format {
        payload_type: payload.payload_type,
        repeat_type: again.as_ref().map(|again| again.payload_type),
        nack: payload.has_feedback("nack"),
        pli: payload.has_feedback("nack pli") || payload.has_feedback("ccm fir"),
        transport_cc: payload.has_feedback("transport-cc"),
        extensions: Extensions {
            transport_sequence: numbered(TRANSPORT_SEQUENCE),
            mid: numbered(MID),
            rid: numbered(RID),
            repaired_rid: numbered(REPAIRED_RID),
            playout_delay: numbered(PLAYOUT_DELAY),
        },
        mid: section.mid.clone(),
    };
    let payloads = core::iter::once(payload).chain(again).collect();
    (WrittenMedia { payloads, extensions, ..WrittenMedia::default() }, format)
}

#[cfg(test)]
#[path = "negotiate_tests.rs"]
mod tests;
