use super::super::tests::{Feed, video};
use super::super::{UnpackReason, Unpacker};
use crate::media::{Codec, H264Config};
use crate::rtp::golden::Golden;

const SPS: &[u8] = &[0x67, 1, 2];
const PPS: &[u8] = &[0x68, 3];
const FIRST: &[u8] = &[0x65, 0x88, 4];
const SECOND: &[u8] = &[0x65, 0x40, 5];

fn unpacker() -> Unpacker {
    video(&Codec::H264(H264Config::default()))
}

fn feed() -> Feed {
    Feed::new(unpacker())
}

/// `(ticks, frames)` as [`Feed::take`] gives them.
fn unit(ticks: i64, frames: &[&[u8]]) -> (i64, Vec<Vec<u8>>) {
    (ticks, frames.iter().map(|frame| frame.to_vec()).collect())
}

#[test]
fn real_senders_are_unpacked_to_the_frames_of_their_file() {
    for text in [
        include_str!("../testdata/h264_ffmpeg.hex"),
        include_str!("../testdata/h264_slices_ffmpeg.hex"),
        include_str!("../testdata/h264_gstreamer.hex"),
        include_str!("../testdata/h264_aggregate_gstreamer.hex"),
    ] {
        Golden::parse(text).check(&mut unpacker());
        Golden::parse(text).check_each_loss(unpacker, |nal| nal[0] & 0x1f > 5);
    }
}

#[test]
fn a_camera_that_never_sets_the_marker_ends_units_by_their_timestamp() {
    for text in [include_str!("../testdata/h264_ffmpeg.hex"), include_str!("../testdata/h264_slices_ffmpeg.hex")] {
        let mut golden = Golden::parse(text);
        golden.packets.iter_mut().for_each(|packet| packet.marker = false);
        let mut last = golden.packets.last().unwrap().clone();
        (last.sequence, last.timestamp) = (last.sequence.wrapping_add(1), last.timestamp.wrapping_add(3600));
        golden.packets.push(last);
        golden.check(&mut unpacker());
    }
}

#[test]
fn parameter_sets_with_their_own_marker_go_out_with_the_picture() {
    let mut feed = feed();
    feed.push(1, 0, true, SPS);
    feed.push(2, 0, true, PPS);
    feed.push(3, 0, true, FIRST);
    assert_eq!(feed.take(), [unit(0, &[SPS, PPS, FIRST])]);
    feed.push(4, 90, true, SPS);
    feed.push(5, 180, true, FIRST);
    assert_eq!(feed.take(), [unit(90, &[SPS]), unit(180, &[FIRST])], "another timestamp: they go out alone");
}

#[test]
fn a_camera_that_marks_every_slice_costs_one_picture_until_it_is_known() {
    let mut feed = feed();
    for (sequence, ticks) in [(1, 0), (3, 90), (5, 180)] {
        feed.push(sequence, ticks, true, FIRST);
        feed.push(sequence + 1, ticks, true, SECOND);
    }
    feed.push(7, 270, true, FIRST);
    assert_eq!(feed.take(), [unit(0, &[FIRST]), unit(90, &[FIRST, SECOND]), unit(180, &[FIRST, SECOND])]);
    assert_eq!((feed.unpacker.take_dropped(), feed.errors.len()), (1, 0));
}

#[test]
fn loss_inside_a_unit_costs_the_unit_and_loss_between_units_costs_nothing() {
    let mut feed = feed();
    feed.push(1, 0, false, FIRST);
    feed.push(3, 0, true, SECOND);
    feed.push(4, 90, true, FIRST);
    feed.push(9, 180, false, FIRST);
    feed.push(10, 180, true, SECOND);
    assert_eq!(feed.take(), [unit(90, &[FIRST]), unit(180, &[FIRST, SECOND])]);
    assert_eq!(feed.unpacker.take_dropped(), 1);
    feed.push(12, 270, true, SECOND);
    assert_eq!((feed.take(), feed.unpacker.take_dropped()), (vec![], 1), "its first slice is missing");
    feed.push(13, 360, false, FIRST);
    feed.push(15, 450, true, FIRST);
    assert_eq!((feed.take(), feed.unpacker.take_dropped()), (vec![unit(450, &[FIRST])], 1), "its marker is missing");
}

#[test]
fn a_stream_joined_in_the_middle_of_a_picture_begins_with_the_next() {
    let mut feed = feed();
    feed.push(1, 0, false, &[0x7c, 0x05, 1]);
    feed.push(2, 0, true, &[0x7c, 0x45, 2]);
    feed.push(3, 90, true, FIRST);
    assert_eq!((feed.take(), feed.errors.len()), (vec![unit(90, &[FIRST])], 0));
}

#[test]
fn a_fragmented_nal_unit_gets_its_header_back() {
    let mut feed = feed();
    feed.push(1, 0, false, &[0x7c, 0x85, 0x88, 1]);
    feed.push(2, 0, false, &[0x7c, 0x05]);
    feed.push(3, 0, true, &[0x7c, 0x45, 2]);
    feed.push(4, 90, true, &[0x7d, 0xc5, 9, 9, 0x88, 3]);
    assert_eq!(feed.take(), [unit(0, &[&[0x65, 0x88, 1, 2]]), unit(90, &[&[0x65, 0x88, 3]])], "FU-A, FU-B");
}

#[test]
fn a_fragment_start_without_end_is_ended_by_what_follows() {
    let mut feed = feed();
    feed.push(1, 0, false, &[0x7c, 0x85, 0x88, 1]);
    feed.push(2, 0, false, &[0x7c, 0x05, 2]);
    feed.push(3, 0, true, SECOND);
    feed.push(4, 90, false, &[0x7c, 0x85, 0x88, 1]);
    feed.push(5, 90, true, &[0x7c, 0x05, 2]);
    let fragmented: &[u8] = &[0x65, 0x88, 1, 2];
    assert_eq!(feed.take(), [unit(0, &[fragmented, SECOND]), unit(90, &[fragmented])]);
    feed.push(6, 180, false, &[0x7c, 0x85, 0x88, 1]);
    feed.push(7, 270, true, FIRST);
    assert_eq!(feed.take(), [unit(270, &[FIRST])], "neither end nor marker: given up");
    assert_eq!(feed.unpacker.take_dropped(), 1);
}

#[test]
fn a_fragment_without_start_is_refused() {
    let mut feed = feed();
    feed.push(1, 0, true, FIRST);
    feed.push(2, 90, false, &[0x7c, 0x05, 1]);
    feed.push(3, 90, true, &[0x7c, 0x45, 2]);
    feed.push(4, 180, true, FIRST);
    assert_eq!(feed.take(), [unit(0, &[FIRST]), unit(180, &[FIRST])]);
    assert_eq!(feed.errors, [UnpackReason::FragmentWithoutStart]);
}

#[test]
fn aggregates_with_zeros_behind_them_are_read() {
    for zeros in 0..5 {
        let mut feed = feed();
        let stap = [&[0x78, 0, 3][..], SPS, &[0, 2], PPS, &[0, 3], FIRST, &[0; 4][..zeros]].concat();
        feed.push(1, 0, true, &stap);
        assert_eq!((feed.take(), feed.errors.len()), (vec![unit(0, &[SPS, PPS, FIRST])], 0));
    }
    let mut feed = feed();
    feed.push(1, 0, true, &[&[0x79, 9, 9, 0, 3][..], FIRST].concat());
    assert_eq!(feed.take(), [unit(0, &[FIRST])], "STAP-B");
}

#[test]
fn malformed_and_unsupported_packets_cost_their_unit() {
    let mut feed = feed();
    let bad: [&[u8]; 6] = [&[0x78, 0, 9, 1], &[0x79, 0], &[0x7c], &[0x7c, 0x85], &[0x7a, 1, 2], &[0x7c, 0x80 | 24, 1]];
    for (n, payload) in (1..).zip(bad) {
        feed.push(n, i64::from(n), true, payload);
    }
    let early = [UnpackReason::Truncated; 4];
    assert_eq!(feed.errors, [&early[..], &[26, 24].map(UnpackReason::Unsupported)].concat());
    assert_eq!((feed.take().len(), feed.unpacker.take_dropped()), (0, 6));
    feed.push(7, 7, true, &[&[0x78, 0, 2, 0x78, 1, 0, 1, 31, 0, 3][..], FIRST].concat());
    assert_eq!(feed.take(), [unit(7, &[FIRST])], "reserved types in an aggregate are ignored");
}

#[test]
fn a_camera_that_sends_start_codes_is_understood() {
    let mut feed = feed();
    let start: &[u8] = &[0, 0, 0, 1];
    feed.push(1, 0, true, &[start, SPS, start, PPS, &start[1..], FIRST].concat());
    assert_eq!(feed.take(), [unit(0, &[SPS, PPS, FIRST])]);
}

#[test]
fn empty_packets_between_units_change_nothing() {
    let mut feed = feed();
    feed.push(1, 0, true, FIRST);
    feed.push(2, 0, false, b"");
    feed.push(4, 90, true, FIRST);
    assert_eq!((feed.take().len(), feed.unpacker.take_dropped()), (2, 0));
}
