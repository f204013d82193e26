use proptest::prelude::*;

use super::super::{RtcpItem, parse};
use super::*;
use crate::rtp::golden::hex;

const HEAD: FeedbackHead = FeedbackHead { sender: 1, media: 2, base: 65_530, number: 3 };

fn read(bytes: &[u8]) -> Option<TransportFeedback<'_>> {
    let mut items = parse(bytes);
    match (items.next(), items.next()) {
        (Some(RtcpItem::TransportFeedback(feedback)), None) => Some(feedback),
        _ => None,
    }
}

fn arrivals(bytes: &[u8]) -> Vec<(u16, Option<i64>)> {
    read(bytes).expect("a feedback").arrivals().map(|Arrival { sequence, at }| (sequence, at)).collect()
}

/// A feedback with these chunks and differences, whose base is 100 and whose clock stands at 64 ms.
fn feedback(count: u16, chunks: &[u16], differences: &[u8]) -> Vec<u8> {
    let chunks: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.to_be_bytes()).collect();
    let [high, low] = count.to_be_bytes();
    let head = [0x8f, 205, 0, 255, 0, 0, 0, 1, 0, 0, 0, 2, 0, 100, high, low, 0, 0, 1, 0];
    [&head[..], &chunks, differences].concat()
}

/// Writes all of them, in as many feedbacks as it takes.
fn write(arrivals: &[Arrival]) -> Vec<Vec<u8>> {
    let (mut rest, mut head, mut all) = (arrivals, HEAD, Vec::new());
    while !rest.is_empty() {
        let mut bytes = Vec::new();
        let taken = write_transport_feedback(&mut bytes, &head, rest);
        assert!(taken > 0 && bytes.len() <= FEEDBACK_BYTES_MAX + 3 && bytes.len() % 4 == 0);
        let sequence = rest[taken - 1].sequence;
        (head.base, head.number) = (sequence.wrapping_add(1), head.number.wrapping_add(1));
        rest = &rest[taken..];
        all.push(bytes);
    }
    all
}

#[test]
fn feedback_of_a_browser_about_one_packet_is_read() {
    let bytes = hex("afcd0005fa17fa1743032fa0009900013de8021720019401");
    let read = read(&bytes).unwrap();
    assert_eq!((read.sender, read.media, read.number), (0xfa17_fa17, 0x4303_2fa0, 23));
    assert_eq!((read.base, read.count, read.reference), (153, 1, 0x3d_e802));
    assert_eq!(arrivals(&bytes), [(153, Some(0x3d_e802 * 64_000 + 148 * 250))]);
}

#[test]
fn a_reserved_status_says_that_a_packet_came_but_not_when() {
    // Two bits each: small, reserved, missing, small.
    assert_eq!(arrivals(&feedback(4, &[0xdc40], &[4, 4])), [(100, Some(65_000)), (101, None), (103, Some(66_000))]);
}

#[test]
fn all_kinds_of_chunks_are_read() {
    // Two missing; one bit each: 1 0 1; two bits each: small, large, missing, small.
    let bytes = feedback(20, &[0x0002, 0xa800, 0xd840], &[4, 8, 4, 0xff, 0xf8, 4]);
    let expected = [(102, 65_000), (104, 67_000), (116, 68_000), (117, 66_000), (119, 67_000)];
    assert_eq!(arrivals(&bytes), expected.map(|(sequence, at)| (sequence, Some(at))));
    let runs = feedback(8002, &[0x1f40, 0x4002], &[0, 4, 0, 8]);
    assert_eq!(arrivals(&runs), [(8100, Some(65_000)), (8101, Some(67_000))]);
}

#[test]
fn more_than_the_count_is_not_read() {
    assert_eq!(arrivals(&feedback(1, &[0x2005], &[4])), [(100, Some(65_000))]);
    assert_eq!(arrivals(&feedback(0, &[], &[])), []);
}

#[test]
fn feedback_that_ends_early_is_no_feedback() {
    assert_eq!(read(&feedback(2, &[0x2002], &[4])), None, "a difference is missing");
    assert_eq!(read(&feedback(3, &[0x2002], &[4, 4])), None, "a chunk is missing");
    assert_eq!(read(&feedback(1, &[], &[])), None);
}

#[test]
fn hostile_counts_cost_no_more_than_their_bytes() {
    let bytes = feedback(u16::MAX, &[0x1fff; 9], &[]);
    assert_eq!(arrivals(&bytes), []);
    let nothing = feedback(u16::MAX, &[0; 700], &[]);
    assert_eq!(read(&nothing), None, "runs of no length end nowhere");
}

#[test]
fn the_clock_of_a_feedback_may_stand_before_zero() {
    let mut bytes = feedback(1, &[0x2001], &[4]);
    bytes[16..19].copy_from_slice(&[0xff; 3]);
    assert_eq!(arrivals(&bytes), [(100, Some(CLOCK_MICROS - 63_000))]);
}

#[test]
fn chunks_are_as_few_as_they_can_be() {
    let chunks = |statuses: &[(u16, i64)]| {
        let arrivals: Vec<Arrival> =
            statuses.iter().map(|(n, at)| Arrival { sequence: HEAD.base.wrapping_add(*n), at: Some(*at) }).collect();
        let all = write(&arrivals);
        read(&all[0]).unwrap().chunks.to_vec()
    };
    let row: Vec<_> = (0..100).map(|n| (n, i64::from(n) * 1000)).collect();
    assert_eq!(chunks(&row), [0x20, 100], "one run");
    let odd: Vec<_> = (0..14).filter(|n| n % 2 == 1).map(|n| (n, i64::from(n) * 1000)).collect();
    assert_eq!(chunks(&odd), [0x95, 0x55], "one bit each");
    assert_eq!(chunks(&[(1, 0), (2, 900_000)]), [0xc6, 0x00], "two bits each");
}

#[test]
fn what_does_not_fit_is_told_by_the_next_one() {
    let far = [(0, 0), (1, 60_000_000), (2, 60_000_000)];
    let sequences = |bytes: &Vec<u8>| arrivals(bytes).iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>();
    let arrival = |(n, at): (u16, i64)| Arrival { sequence: HEAD.base.wrapping_add(n), at: Some(at) };
    let all = write(&far.map(arrival));
    assert_eq!(all.iter().map(sequences).collect::<Vec<_>>(), [vec![65_530], vec![65_531, 65_532]]);
    let many: Vec<Arrival> = (0..5000).map(|n| arrival((n, 70_000 * i64::from(n)))).collect();
    let all = write(&many);
    assert!(all.len() > 8);
    assert_eq!(all.iter().flat_map(sequences).collect::<Vec<_>>(), many.iter().map(|a| a.sequence).collect::<Vec<_>>());
    let beyond = write(&[arrival((u16::MAX, 0))]);
    assert_eq!(beyond.iter().flat_map(sequences).collect::<Vec<_>>(), [65_529]);
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        start in 0i64..CLOCK_MICROS / 250,
        steps in prop::collection::vec((1u16..30, prop_oneof![9 => 0i64..300, 1 => -40_000i64..40_000]), 1..600),
    ) {
        let (mut sequence, mut at, mut all) = (HEAD.base, start * 250, Vec::new());
        for (ahead, later) in steps {
            (sequence, at) = (sequence.wrapping_add(ahead), (at + later * 250).max(0));
            all.push(Arrival { sequence, at: Some(at) });
        }
        let written = write(&all);
        let told: Vec<_> = written.iter().flat_map(|bytes| arrivals(bytes)).collect();
        let expected: Vec<_> = all.iter().map(|a| (a.sequence, a.at.map(|at| at % CLOCK_MICROS))).collect();
        prop_assert_eq!(told, expected);
        let counts: usize = written.iter().map(|bytes| usize::from(read(bytes).unwrap().count)).sum();
        prop_assert_eq!(counts as u16, sequence.wrapping_sub(HEAD.base).wrapping_add(1), "each number is told of once");
    }

    #[test]
    fn no_bytes_make_it_panic(body: Vec<u8>, count: u16) {
        let mut bytes = feedback(count, &[], &body);
        if let Some(feedback) = read(&bytes) {
            prop_assert!(feedback.arrivals().count() <= usize::from(count));
        }
        bytes[0] |= 0x20;
        let _ = read(&bytes).map(|feedback| feedback.arrivals().count());
    }
}
