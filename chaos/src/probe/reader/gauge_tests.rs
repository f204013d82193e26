use super::*;
use crate::probe::h264::Synth;
use crate::probe::rtp::{Packer, PacketBuf};

const FRAME_NS: u64 = 33_333_333;

/// The packets of `count` units, sent one frame apart from second 1 on.
fn units(count: u64) -> Vec<Vec<Vec<u8>>> {
    let (mut synth, mut packer, mut out) =
        (Synth::new(0, 1_000_000, 30, 30), Packer::new(96, 1, 0), PacketBuf::new(None));
    (0..count)
        .map(|seq| {
            out.clear();
            packer.video(synth.unit(1_000_000_000 + seq * FRAME_NS).nals(), (seq * 3_000) as u32, &mut out);
            out.packets().map(<[u8]>::to_vec).collect()
        })
        .collect()
}

fn measure(units: &[Vec<Vec<u8>>], latency_ns: u64) -> (Gauge, Meter) {
    let (mut gauge, mut meter) = (Gauge::new(0, 1, 2, true), Meter::new(500_000_000));
    meter.measuring = true;
    for (at, unit) in units.iter().enumerate() {
        for packet in unit {
            gauge.video_packet(packet, 1_000_000_000 + at as u64 * FRAME_NS + latency_ns, &mut meter);
        }
    }
    (gauge, meter)
}

#[test]
fn a_clean_stream_has_no_faults() {
    let (gauge, meter) = measure(&units(90), 4_000_000);
    assert_eq!((gauge.units_lost(), gauge.corrupt, gauge.late, meter.units), (0, 0, 0, 90));
    assert_eq!(gauge.first_frame_ns, Some(1_004_000_000));
    assert!(gauge.behind_ns.unwrap().abs_diff(4_000_000) < 1_000);
    assert!(gauge.gap_ns.abs_diff(FRAME_NS) < 2);
    assert!(meter.latency.max().abs_diff(4_000) < 8);
}

#[test]
fn a_missing_unit_and_a_missing_packet_are_two_losses() {
    let mut units = units(60);
    units[7].clear();
    units[9].remove(1);
    let (gauge, meter) = measure(&units, 0);
    assert_eq!((gauge.units.missing, gauge.incomplete, meter.units, meter.lost), (1, 1, 58, 2));
    assert!(gauge.video.missing > 2);
}

#[test]
fn a_unit_that_comes_twice_counts_once() {
    let mut units = units(10);
    let mut copy = units[4].clone();
    for (index, packet) in copy.iter_mut().enumerate() {
        packet[2..4].copy_from_slice(&(9_000 + index as u16).to_be_bytes());
    }
    units.truncate(5);
    units.push(copy);
    let (gauge, meter) = measure(&units, 0);
    assert_eq!((gauge.units.duplicates, meter.units), (1, 5));
}

#[test]
fn changed_bytes_are_noticed() {
    let mut units = units(10);
    units[3][1][700] ^= 1;
    assert_eq!(measure(&units, 0).0.corrupt, 1);
}

#[test]
fn a_group_played_in_true_time_stays_behind() {
    let units = units(90);
    let (mut gauge, mut meter) = (Gauge::new(0, 1, 1_900_000_000, false), Meter::new(500_000_000));
    for (at, unit) in units.iter().enumerate() {
        let now = (1_000_000_000 + at as u64 * FRAME_NS).max(1_900_000_000);
        unit.iter().for_each(|packet| gauge.video_packet(packet, now, &mut meter));
    }
    assert!(gauge.behind_ns.unwrap().abs_diff(900_000_000) < 1_000_000);
    assert_eq!(gauge.late, 0);
}

#[test]
fn audio_is_counted_by_number_and_by_time() {
    let (mut packer, mut out) = (Packer::new(97, 1, 0), PacketBuf::new(None));
    let (mut gauge, meter) = (Gauge::new(0, 0, 0, false), Meter::new(1));
    for frame in 0..100u32 {
        out.clear();
        if frame == 50 {
            continue;
        }
        packer.audio(&aac::SILENCE, frame * aac::FRAME_SAMPLES, &mut out);
        if frame != 60 {
            out.packets().for_each(|packet| gauge.audio_packet(packet, 4_000_000_000, &meter));
        }
    }
    assert_eq!((gauge.audio_frames, gauge.audio.missing, gauge.audio_holes, gauge.audio_lost()), (98, 1, 2, 2));
}

#[test]
fn a_reader_is_small() {
    assert!(size_of::<Gauge>() < 512, "{}", size_of::<Gauge>());
}

#[test]
fn where_pictures_and_sound_stand_still_is_said() {
    let mut units = units(90);
    units.drain(30..60);
    let (mut gauge, mut meter) = (Gauge::new(0, 1, 2, false), Meter::new(500_000_000));
    meter.measuring = true;
    let at = |index: usize| 1_000_000_000 + index as u64 * FRAME_NS;
    for (index, unit) in units.iter().enumerate() {
        let index = if index < 30 { index } else { index + 30 };
        unit.iter().for_each(|packet| gauge.video_packet(packet, at(index), &mut meter));
    }
    let (mut packer, mut out) = (Packer::new(97, 1, 0), PacketBuf::new(None));
    for (frame, now_ns) in [(0, at(0)), (1, at(2)), (2, at(20))] {
        out.clear();
        packer.audio(&aac::SILENCE, frame * aac::FRAME_SAMPLES, &mut out);
        out.packets().for_each(|packet| gauge.audio_packet(packet, now_ns, &meter));
    }
    gauge.end_window(at(60));
    let stall = |is_sound, from: usize, to: usize| Stall { is_sound, from_ns: at(from), to_ns: at(to) };
    assert_eq!(gauge.stalls, [stall(false, 29, 60), stall(true, 2, 20), stall(true, 20, 60)]);
}
