use super::super::UnpackReason;
use super::super::Unpacker;
use super::super::tests::Feed;
use super::*;
use crate::media::Codec;
use crate::rtp::golden::Golden;

fn unpacker_at(asc: &'static [u8], sample_rate: u32, format: Format) -> Unpacker {
    let codec = Codec::Aac(AacConfig { asc: Bytes::from_static(asc), sample_rate, channels: 2 });
    Unpacker::new(&codec, ClockRate::new(48_000).unwrap(), &format)
}

fn unpacker() -> Unpacker {
    unpacker_at(&[0x11, 0x90], 48_000, Format::default())
}

/// Header section and data of units in one packet, each with its index delta.
fn packet(units: &[(&[u8], u16)]) -> Vec<u8> {
    let mut bytes = (units.len() as u16 * 16).to_be_bytes().to_vec();
    units.iter().for_each(|(unit, delta)| bytes.extend(((unit.len() as u16) << 3 | delta).to_be_bytes()));
    units.iter().for_each(|(unit, _)| bytes.extend_from_slice(unit));
    bytes
}

#[test]
fn real_senders_are_unpacked_to_the_units_of_their_file() {
    for text in [
        include_str!("../testdata/aac_ffmpeg.hex"),
        include_str!("../testdata/aac_gstreamer.hex"),
        include_str!("../testdata/aac_fragments_gstreamer.hex"),
    ] {
        let units = Golden::parse(text).check(&mut unpacker());
        assert!(units.windows(2).all(|pair| (1023..=1025).contains(&(pair[1].ticks - pair[0].ticks))));
        Golden::parse(text).check_each_loss(unpacker, |_| false);
    }
}

#[test]
fn later_units_are_later_by_their_duration_in_the_tracks_clock() {
    for (asc, rate, ticks) in [
        (&[0x11, 0x90][..], 48_000, 1024),
        (&[0x2b, 0x09, 0x88, 0x00], 24_000, 2048), // HE-AAC: the clock is that of the output
        (&[0x11, 0x94], 48_000, 960),
        (&[0xb9, 0x90], 48_000, 512),
    ] {
        let mut feed = Feed::new(unpacker_at(asc, rate, Format::default()));
        feed.push(1, 7, true, &packet(&[(b"a", 0), (b"b", 0), (b"c", 1)]));
        let times: Vec<i64> = feed.take().iter().map(|(ticks, _)| *ticks).collect();
        assert_eq!(times, [7, 7 + ticks, 7 + 3 * ticks]);
    }
}

#[test]
fn field_lengths_of_low_bit_rate_mode_are_read() {
    let format = Format { size_length: 6, index_length: 2, index_delta_length: 2 };
    let mut feed = Feed::new(unpacker_at(&[0x11, 0x90], 48_000, format));
    feed.push(1, 0, true, &[0, 16, 1 << 2, 2 << 2, b'a', b'b', b'c']);
    assert_eq!(feed.take(), [(0, vec![b"a".to_vec()]), (1024, vec![b"bc".to_vec()])]);
    let format = Format { size_length: 0, index_length: 0, index_delta_length: 0 };
    let mut feed = Feed::new(unpacker_at(&[0x11, 0x90], 48_000, format));
    feed.push(1, 0, true, b"abc");
    assert_eq!(feed.take(), [(0, vec![b"abc".to_vec()])]);
}

#[test]
fn an_adts_header_is_taken_off() {
    let mut feed = Feed::new(unpacker());
    let adts = [0xff, 0xf1, 0x4c, 0x80, 0x01, 0x3f, 0xfc, b'a', b'b'];
    feed.push(1, 0, true, &packet(&[(&adts, 0)]));
    let other = [0xff, 0xf1, 0x4c, 0x80, 0x02, 0x3f, 0xfc, b'a', b'b'];
    feed.push(2, 1024, true, &packet(&[(&other, 0)]));
    assert_eq!(feed.take(), [(0, vec![b"ab".to_vec()]), (1024, vec![other.to_vec()])], "only with its true length");
}

#[test]
fn fragments_make_a_unit_only_when_all_are_there() {
    let fragment = |data: &[u8]| [&[0, 16, 0, 6 << 3][..], data].concat();
    let mut feed = Feed::new(unpacker());
    feed.push(1, 0, false, &fragment(b"ab"));
    feed.push(2, 0, false, &fragment(b"cd"));
    feed.push(3, 0, true, &fragment(b"ef"));
    assert_eq!(feed.take(), [(0, vec![b"abcdef".to_vec()])]);
    feed.push(5, 1024, false, &fragment(b"cd"));
    feed.push(6, 1024, true, &fragment(b"ef"));
    feed.push(7, 2048, false, &fragment(b"ab"));
    feed.push(9, 2048, true, &fragment(b"ef"));
    assert_eq!((feed.take(), feed.unpacker.take_dropped()), (vec![], 2));
    feed.push(10, 3072, false, &fragment(b"abcde"));
    feed.push(11, 3072, true, &fragment(b"fgh"));
    assert_eq!((feed.take(), feed.unpacker.take_dropped()), (vec![], 1));
    assert_eq!(feed.errors, [UnpackReason::FragmentMismatch]);
}

#[test]
fn sizes_beyond_the_packet_are_refused() {
    let mut feed = Feed::new(unpacker());
    feed.push(1, 0, true, &[0]);
    feed.push(2, 1, true, &[0xff, 0xff, 1, 2]);
    feed.push(3, 2, true, &[0, 32, 0, 1 << 3, 0, 9 << 3, b'a', b'b']);
    feed.push(4, 3, true, &[0, 8, 1 << 3, b'a']);
    assert_eq!(feed.errors, [UnpackReason::Truncated; 4], "the last has half a header");
    assert_eq!(feed.take(), [(2, vec![b"a".to_vec()])]);
}
