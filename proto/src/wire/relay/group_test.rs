use super::*;
use crate::media::marks::{PartMark, SegmentMark};
use crate::media::{Codec, H264Config, OpusConfig, Payload, Track};
use crate::time::ClockRate;

fn tracks() -> Tracks {
    let video = Track { codec: Codec::H264(H264Config::default()), clock_rate: ClockRate::VIDEO };
    let opus = Codec::Opus(OpusConfig { channels: 2 });
    Tracks::new(vec![video, Track { codec: opus, clock_rate: ClockRate::new(48_000).unwrap() }]).unwrap()
}

fn unit(dts: i64, frames: &[&'static [u8]]) -> Unit {
    Unit {
        track: TrackId(0),
        pts: dts + 7200,
        dts,
        captured: Some(WallClock::from_unix_micros(1_764_000_000_000_000 + dts)),
        random_access: dts == 0,
        discardable: dts != 0,
        marker: false,
        payload: Payload::from_frames(frames.iter().map(|frame| Bytes::from_static(frame))),
    }
}

fn marks() -> Marks {
    let segment =
        SegmentMark { number: 7, discontinuities: 1, discontinuity: true, independent: true, target_seconds: 2 };
    Marks { segment: Some(segment), part: Some(PartMark { number: 70, index: 0, independent: true }) }
}

const HEAD: GroupHead =
    GroupHead { subscription: 4, epoch: Epoch(1_700_000_000_000_042), publication: 2, group: 300, track: 0 };

fn written() -> (Vec<u8>, Vec<Relayed>) {
    let (list, mut writer) = (tracks(), UnitWriter::new(HEAD.group));
    let first = unit(0, &[b"sps", b"a picture"]);
    let second = unit(3600, &[b"another picture"]);
    let mut bytes = HEAD.encode().to_vec();
    let mut add = |head: Bytes, unit: &Unit| {
        bytes.extend_from_slice(&head);
        unit.payload.frames().for_each(|frame| bytes.extend_from_slice(&frame.to_bytes()));
    };
    let placed = |seq, marks, group_start, missed| Placed { seq, marks, group_start, missed };
    add(writer.write(placed(300, Some(marks()), true, false), &first, &list, []), &first);
    add(writer.write(placed(303, None, false, true), &second, &list, [(TrackId(1), 302)]), &second);
    let whole = |placed: Placed, unit, after| {
        let Placed { seq, marks, group_start, missed } = placed;
        Relayed { seq, unit, marks, group_start, missed, tracks: list.clone(), after }
    };
    let units = vec![
        whole(placed(300, Some(marks()), true, false), first, vec![]),
        whole(placed(303, None, false, true), second, vec![(TrackId(1), 302)]),
    ];
    (bytes, units)
}

fn read(bytes: &[u8], step: usize) -> Result<Vec<Relayed>, RelayedError> {
    let mut reader = GroupReader::new();
    let mut units = Vec::new();
    for chunk in bytes.chunks(step) {
        reader.push(Bytes::copy_from_slice(chunk));
        while let Some(unit) = reader.next()? {
            units.push(unit);
        }
    }
    Ok(units)
}

fn joined(units: Vec<Relayed>) -> Vec<(Relayed, Vec<Bytes>)> {
    units
        .into_iter()
        .map(|mut unit| {
            let frames = unit.unit.payload.frames().map(|frame| frame.to_bytes()).collect();
            unit.unit.payload = Payload::default();
            (unit, frames)
        })
        .collect()
}

#[test]
fn units_are_read_as_they_were_written_however_they_are_cut() {
    let (bytes, units) = written();
    for step in [1, 2, 7, 100, bytes.len()] {
        assert_eq!(joined(read(&bytes, step).unwrap()), joined(units.clone()), "in pieces of {step}");
    }
}

#[test]
fn equal_tracks_stay_one_list() {
    let (bytes, _) = written();
    let known = tracks();
    let mut reader = GroupReader::new();
    reader.push(bytes.into());
    assert_eq!(reader.head(), Ok(Some(HEAD)));
    reader.expect(&known);
    assert!(reader.next().unwrap().unwrap().tracks.is_same_list(&known));
    assert!(reader.next().unwrap().unwrap().tracks.is_same_list(&known));
    assert_eq!(reader.next(), Ok(None));
    assert!(reader.is_between_units());
}

#[test]
fn a_head_stays_small() {
    let (list, mut writer) = (tracks(), UnitWriter::new(HEAD.group));
    writer.write(Placed { seq: 300, group_start: true, ..Placed::default() }, &unit(0, &[b"x"]), &list, []);
    let head = writer.write(Placed { seq: 303, ..Placed::default() }, &unit(3600, &[b"x"]), &list, [(TrackId(1), 302)]);
    assert!(head.len() <= 32, "{} bytes", head.len());
}

#[test]
fn lies_are_found_before_memory_is_asked_for() {
    let lie = |head: UnitHead| {
        let mut bytes = HEAD.encode().to_vec();
        bytes.extend_from_slice(&with_length(&to_bytes(&head)));
        read(&bytes, bytes.len())
    };
    let tracks = Some(encode_tracks(&tracks()));
    let sound = UnitHead { tracks, ..UnitHead::default() };
    assert_eq!(lie(sound.clone()).map(|units| units.len()), Ok(1));
    let frames = |frames| UnitHead { frames, ..sound.clone() };
    assert_eq!(lie(frames(vec![UNIT_BYTES_MAX as u32 + 1])), Err(RelayedError::TooLarge));
    assert_eq!(lie(frames(vec![1; UNIT_FRAMES_MAX + 1])), Err(RelayedError::TooLarge));
    assert_eq!(lie(frames(vec![0])), Err(RelayedError::Range));
    assert_eq!(lie(UnitHead { seq_step: u64::MAX, ..sound.clone() }), Err(RelayedError::Range));
    assert_eq!(lie(UnitHead { dts_step: i64::MIN, ..sound.clone() }), Err(RelayedError::Range));
    assert_eq!(lie(UnitHead { shift: -1, ..sound.clone() }), Err(RelayedError::Range));
    assert_eq!(lie(UnitHead { after: vec![(9, 1)], ..sound.clone() }), Err(RelayedError::Range));
    assert_eq!(lie(UnitHead { after: vec![(1, 301)], ..sound.clone() }), Err(RelayedError::Range));
    assert_eq!(lie(UnitHead { tracks: None, ..sound }), Err(RelayedError::Range));
    assert_eq!(read(&[255, 255, 255, 255, 255], 5), Err(RelayedError::TooLarge));
    assert_eq!(read(&[3, 251, 1, 1, 1], 5), Err(RelayedError::Head));
}
