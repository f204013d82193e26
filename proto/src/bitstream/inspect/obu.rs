//! Units of AV1: frames are OBUs without size.

use bytes::Bytes;

use super::Look;
use super::sets::{Update, update};
use crate::bitstream::av1::{self, SequenceHeader, obu};
use crate::limits::UNIT_FRAMES_MAX;
use crate::media::{Av1Config, Frame, Payload, PayloadBuilder};

/// What one pass over a unit found.
#[derive(Default)]
struct Scan {
    /// An OBU of a frame was there.
    picture: bool,
    /// The first frame is a keyframe that is shown.
    keyframe: bool,
    drops: usize,
    headers: usize,
    /// The last sequence header that was new with this unit.
    fresh: Option<usize>,
}

pub(super) fn inspect(config: &mut Av1Config, payload: Payload, changed: &mut bool) -> Option<Look> {
    let payload = if payload.frames().any(|frame| frame.get(0).is_some_and(av1::has_size)) {
        without_sizes(&payload)
    } else {
        payload
    };
    let scan = Scan::of(config, &payload);
    *changed |= scan.fresh.is_some();
    if !scan.picture {
        return None;
    }
    let random_access = scan.keyframe && !config.sequence_header.is_empty();
    let payload = if random_access { lead_with_header(config, payload, &scan) } else { tidy(payload, &scan) };
    Some(Look { payload, random_access, discardable: false })
}

impl Scan {
    fn of(config: &mut Av1Config, payload: &Payload) -> Self {
        let mut scan = Self::default();
        for (index, frame) in payload.frames().enumerate() {
            match kind(frame) {
                obu::SEQUENCE_HEADER => {
                    scan.headers += 1;
                    if keep(config, &frame.to_bytes()) == Update::Changed {
                        scan.fresh = Some(index);
                    }
                }
                obu::FRAME | obu::FRAME_HEADER if !scan.picture => {
                    let mut head = [0; 3];
                    let len = frame.copy_prefix(&mut head);
                    scan.picture = true;
                    scan.keyframe = av1::is_shown_keyframe(&head[..len], av1::is_still(&config.sequence_header));
                }
                obu::FRAME | obu::FRAME_HEADER | obu::TILE_GROUP => scan.picture = true,
                kind if is_needless(kind) => scan.drops += 1,
                _ => {}
            }
        }
        scan
    }
}

fn lead_with_header(config: &Av1Config, payload: Payload, scan: &Scan) -> Payload {
    let header = &config.sequence_header;
    let leads = payload.frames().next().is_some_and(|frame| matches!(frame.slices(), [only] if only == header));
    if scan.drops == 0 && scan.headers == 1 && leads {
        return payload;
    }
    let mut builder = PayloadBuilder::default();
    builder.push_frame(header.clone());
    for frame in payload.frames().filter(|frame| kind(*frame) != obu::SEQUENCE_HEADER && !is_needless(kind(*frame))) {
        push(&mut builder, frame);
    }
    builder.finish()
}

fn tidy(payload: Payload, scan: &Scan) -> Payload {
    if scan.drops == 0 && scan.headers == usize::from(scan.fresh.is_some()) {
        return payload;
    }
    let mut builder = PayloadBuilder::default();
    for (index, frame) in payload.frames().enumerate() {
        match kind(frame) {
            obu::SEQUENCE_HEADER if scan.fresh != Some(index) => {}
            kind if is_needless(kind) => {}
            _ => push(&mut builder, frame),
        }
    }
    builder.finish()
}

/// Takes sizes out of OBUs that have them, and falls into their OBUs what came in one piece. What is broken is left out.
fn without_sizes(payload: &Payload) -> Payload {
    let mut builder = PayloadBuilder::default();
    for frame in payload.frames() {
        if !frame.get(0).is_some_and(av1::has_size) {
            push(&mut builder, frame);
            continue;
        }
        for unit in av1::split_obus(&frame.to_bytes()).flatten().take(UNIT_FRAMES_MAX) {
            builder.push_slice(unit.header);
            builder.push_slice(unit.body);
            builder.end_frame();
        }
    }
    builder.finish()
}

/// The config with a sequence header that is one: signalled ones may have a size.
pub(super) fn cleaned(config: Av1Config) -> Av1Config {
    let mut clean = Av1Config::default();
    let sized = without_sizes(&Payload::single(config.sequence_header));
    for frame in sized.frames().filter(|frame| kind(*frame) == obu::SEQUENCE_HEADER) {
        keep(&mut clean, &frame.to_bytes());
    }
    clean
}

/// One sequence header is in force: the last.
fn keep(config: &mut Av1Config, header: &Bytes) -> Update {
    let mut kept: Vec<Bytes> = Vec::new();
    if *header == config.sequence_header {
        return Update::Known;
    }
    let outcome = update(&mut kept, header, |header| SequenceHeader::parse(header).ok().map(|_| 0));
    if let Some(header) = kept.pop() {
        config.sequence_header = header;
    }
    outcome
}

fn kind(frame: Frame<'_>) -> u8 {
    frame.get(0).map_or(obu::PADDING, av1::obu_type)
}

const fn is_needless(kind: u8) -> bool {
    matches!(kind, obu::TEMPORAL_DELIMITER | obu::TILE_LIST | obu::PADDING)
}

fn push(builder: &mut PayloadBuilder, frame: Frame<'_>) {
    frame.slices().iter().for_each(|slice| builder.push_slice(slice.clone()));
    builder.end_frame();
}
