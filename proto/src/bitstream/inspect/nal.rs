//! Units of H.264 and H.265: frames are NAL units.

use bytes::Bytes;
use smallvec::SmallVec;

use super::Look;
use super::sets::{Update, update};
use crate::bitstream::{h264, h265, nal as wire};
use crate::limits::UNIT_FRAMES_MAX;
use crate::media::{Codec, Frame, H264Config, H265Config, Payload, PayloadBuilder};

/// What a NAL unit is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Nobody needs it.
    Drop,
    /// A parameter set.
    Set(Set),
    /// Part of a picture.
    Slice { random: bool, referenced: bool },
    /// May hold a recovery point.
    Sei,
    /// Anything else that stays where it is.
    Keep,
}

/// Kinds of parameter sets, in the order in which they are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Video,
    Sequence,
    Picture,
}

/// What is remembered from unit to unit beside the codec.
#[derive(Clone, Debug, Default)]
pub(super) struct NalInspector {
    /// A recovery point came in a unit without a picture, as from devices that set the marker bit on every packet.
    recovery: bool,
}

/// What one pass over a unit found.
#[derive(Default)]
struct Scan {
    slices: bool,
    random: bool,
    recovery: bool,
    referenced: bool,
    /// NAL units that nobody needs.
    drops: usize,
    /// Parameter sets, all of them.
    sets: usize,
    /// Which frames are parameter sets that are new with this unit.
    fresh: SmallVec<[usize; 8]>,
}

impl NalInspector {
    pub(super) fn inspect(&mut self, codec: &mut Codec, payload: Payload, changed: &mut bool) -> Option<Look> {
        let payload =
            if payload.frames().any(|frame| hides_start_code(codec, frame)) { split(codec, &payload) } else { payload };
        let scan = Scan::of(codec, &payload);
        *changed |= !scan.fresh.is_empty();
        self.recovery |= scan.recovery;
        if !scan.slices {
            return None;
        }
        let recovery = core::mem::take(&mut self.recovery);
        let random_access = (scan.random || recovery) && is_complete(codec);
        let payload = if random_access { lead_with_sets(codec, payload, &scan) } else { tidy(codec, payload, &scan) };
        Some(Look { payload, random_access, discardable: !random_access && !scan.referenced })
    }
}

impl Scan {
    fn of(codec: &mut Codec, payload: &Payload) -> Self {
        let mut scan = Self::default();
        let highest_tid = highest_temporal_id(codec);
        for (index, frame) in payload.frames().enumerate() {
            match role(codec, header(frame), highest_tid) {
                Role::Drop => scan.drops += 1,
                Role::Keep => {}
                Role::Sei => {
                    // Only a picture that is no keyframe needs it, but the order within a unit is not ours to trust.
                    let message = frame.to_bytes();
                    scan.recovery |= message.get(header_len(codec)..).is_some_and(wire::has_recovery_point);
                }
                Role::Slice { random, referenced } => {
                    scan.slices = true;
                    scan.random |= random;
                    scan.referenced |= referenced;
                }
                Role::Set(kind) => {
                    scan.sets += 1;
                    match keep_set(codec, kind, &frame.to_bytes()) {
                        Update::Changed => scan.fresh.push(index),
                        Update::Known | Update::Refused => {}
                    }
                }
            }
        }
        scan
    }
}

/// The unit with all parameter sets in force in front, once, and without what nobody needs.
fn lead_with_sets(codec: &Codec, payload: Payload, scan: &Scan) -> Payload {
    let in_force = lists(codec).into_iter().flatten();
    let count = in_force.clone().count();
    let leads =
        payload.frames().zip(in_force.clone()).all(|(frame, set)| matches!(frame.slices(), [only] if only == set));
    if scan.drops == 0 && scan.sets == count && leads {
        return payload;
    }
    let mut builder = PayloadBuilder::default();
    in_force.for_each(|set| builder.push_frame(set.clone()));
    for frame in payload.frames() {
        if !matches!(role(codec, header(frame), 0), Role::Drop | Role::Set(_)) {
            push(&mut builder, frame);
        }
    }
    builder.finish()
}

/// The unit without what nobody needs: of its parameter sets only those that are new.
fn tidy(codec: &Codec, payload: Payload, scan: &Scan) -> Payload {
    if scan.drops == 0 && scan.sets == scan.fresh.len() {
        return payload;
    }
    let mut builder = PayloadBuilder::default();
    for (index, frame) in payload.frames().enumerate() {
        match role(codec, header(frame), 0) {
            Role::Drop => {}
            Role::Set(_) if !scan.fresh.contains(&index) => {}
            _ => push(&mut builder, frame),
        }
    }
    builder.finish()
}

/// Whether what should be one NAL unit holds start codes: cameras that put a piece of byte stream into RTP do so, and
/// each piece begins with a start code or with one of the small NAL units that stand before a picture.
fn hides_start_code(codec: &Codec, frame: Frame<'_>) -> bool {
    let mut head = [0; 4];
    let len = frame.copy_prefix(&mut head);
    if wire::begins_with_start_code(&head[..len]) {
        return true;
    }
    stands_before_picture(codec, head[0]) && wire::find_start_code(&frame.to_bytes()).is_some()
}

fn stands_before_picture(codec: &Codec, first: u8) -> bool {
    match codec {
        Codec::H265(_) => matches!(h265::nal_type(first), h265::nal::VPS..=h265::nal::AUD | h265::nal::PREFIX_SEI),
        _ => matches!(h264::nal_type(first), h264::nal::SEI..=h264::nal::AUD),
    }
}

fn split(codec: &Codec, payload: &Payload) -> Payload {
    let mut builder = PayloadBuilder::default();
    for frame in payload.frames() {
        if hides_start_code(codec, frame) {
            let room = UNIT_FRAMES_MAX.saturating_sub(builder.frames());
            wire::split_annex_b(&frame.to_bytes()).take(room).for_each(|nal| builder.push_frame(nal));
        } else {
            push(&mut builder, frame);
        }
    }
    builder.finish()
}

fn push(builder: &mut PayloadBuilder, frame: Frame<'_>) {
    frame.slices().iter().for_each(|slice| builder.push_slice(slice.clone()));
    builder.end_frame();
}

/// The codec with its parameter sets cleaned: some devices signal them with start codes, zeros behind them, or twice.
pub(super) fn cleaned(codec: Codec) -> Codec {
    let (signalled, mut clean) = match codec {
        Codec::H264(config) => ([Vec::new(), config.sps, config.pps], Codec::H264(H264Config::default())),
        Codec::H265(config) => ([config.vps, config.sps, config.pps], Codec::H265(H265Config::default())),
        other => return other,
    };
    for nal in signalled.iter().flatten().flat_map(wire::split_annex_b) {
        let header = [nal[0], nal.get(1).copied().unwrap_or_default()];
        if let Role::Set(kind) = role(&clean, header, 0) {
            keep_set(&mut clean, kind, &nal);
        }
    }
    clean
}

fn keep_set(codec: &mut Codec, kind: Set, set: &Bytes) -> Update {
    let set = wire::trimmed(set);
    match (codec, kind) {
        (Codec::H264(config), Set::Sequence) => update(&mut config.sps, set, h264::sps_id),
        (Codec::H264(config), Set::Picture) => update(&mut config.pps, set, h264::pps_id),
        (Codec::H265(config), Set::Video) => update(&mut config.vps, set, h265::vps_id),
        (Codec::H265(config), Set::Sequence) => update(&mut config.sps, set, h265::sps_id),
        (Codec::H265(config), Set::Picture) => update(&mut config.pps, set, h265::pps_id),
        _ => Update::Refused,
    }
}

/// Parameter sets in the order in which they are needed.
fn lists(codec: &Codec) -> [&[Bytes]; 3] {
    match codec {
        Codec::H264(config) => [&[], &config.sps, &config.pps],
        Codec::H265(config) => [&config.vps, &config.sps, &config.pps],
        _ => [&[]; 3],
    }
}

/// Whether a decoder could start with the parameter sets that are known.
fn is_complete(codec: &Codec) -> bool {
    let [video, sequence, picture] = lists(codec).map(|list| !list.is_empty());
    sequence && picture && (video || matches!(codec, Codec::H264(_)))
}

fn header(frame: Frame<'_>) -> [u8; 2] {
    [frame.get(0).unwrap_or_default(), frame.get(1).unwrap_or_default()]
}

fn header_len(codec: &Codec) -> usize {
    if matches!(codec, Codec::H265(_)) { 2 } else { 1 }
}

fn highest_temporal_id(codec: &Codec) -> Option<u8> {
    match codec {
        Codec::H265(config) => config.sps.iter().filter_map(|sps| h265::highest_temporal_id(sps)).max(),
        _ => None,
    }
}

fn role(codec: &Codec, header: [u8; 2], highest_tid: impl Into<Option<u8>>) -> Role {
    match codec {
        Codec::H265(_) => h265_role(header, highest_tid.into()),
        _ => h264_role(header[0]),
    }
}

fn h264_role(header: u8) -> Role {
    use h264::nal;
    match h264::nal_type(header) {
        nal::IDR => Role::Slice { random: true, referenced: true },
        nal::SLICE..=nal::PARTITION_C => Role::Slice { random: false, referenced: h264::is_referenced(header) },
        nal::SEI => Role::Sei,
        nal::SPS => Role::Set(Set::Sequence),
        nal::PPS => Role::Set(Set::Picture),
        0 | nal::RTP.. | nal::AUD | nal::END_OF_SEQUENCE | nal::END_OF_STREAM | nal::FILLER => Role::Drop,
        _ => Role::Keep,
    }
}

fn h265_role(header: [u8; 2], highest_tid: Option<u8>) -> Role {
    use h265::nal;
    // Layers above the base (multiview, scalability) are carried, not understood.
    let base = h265::layer_id(header) == 0;
    match h265::nal_type(header[0]) {
        nal::IRAP_FIRST..=nal::IRAP_LAST if base => Role::Slice { random: true, referenced: true },
        kind @ 0..=nal::SLICE_LAST if base => {
            // A sub-layer non-reference picture may still be referred to by pictures of higher sub-layers.
            let unreferenced = kind <= nal::SUB_LAYER_NON_REFERENCE_LAST
                && kind % 2 == 0
                && highest_tid.is_some_and(|highest| h265::temporal_id(header) >= highest);
            Role::Slice { random: false, referenced: !unreferenced }
        }
        nal::VPS if base => Role::Set(Set::Video),
        nal::SPS if base => Role::Set(Set::Sequence),
        nal::PPS if base => Role::Set(Set::Picture),
        nal::PREFIX_SEI if base => Role::Sei,
        nal::AUD..=nal::FILLER | nal::RTP.. => Role::Drop,
        _ => Role::Keep,
    }
}
