use proptest::prelude::*;

use super::*;

const BLOCK: ReportBlock = ReportBlock {
    ssrc: 9,
    fraction_lost: 128,
    lost: -3,
    highest_sequence: 0x1_0005,
    jitter: 77,
    last_report: 0x1234_5678,
    delay: 65_536,
};

const INFO: SenderInfo =
    SenderInfo { ssrc: 7, ntp: NtpTime(0x1122_3344_5566_7788), rtp_timestamp: 90_000, packets: 10, octets: 12_000 };

fn items(bytes: &[u8]) -> Vec<RtcpItem<'_>> {
    parse(bytes).collect()
}

#[test]
fn a_sender_report_with_name_is_read_as_written() {
    for cname in ["", "a", "ab", "abc", "weft@node"] {
        let mut bytes = Vec::new();
        write_sender_report(&mut bytes, &INFO, &[BLOCK, BLOCK], cname);
        assert_eq!(bytes.len() % 4, 0);
        let items = items(&bytes);
        let [RtcpItem::SenderReport { info, reports }, RtcpItem::Sdes { ssrc: 7, cname: read }] = items[..] else {
            panic!("{items:?}")
        };
        assert_eq!((info, read), (INFO, cname.as_bytes()));
        assert_eq!(reports.iter().collect::<Vec<_>>(), [BLOCK, BLOCK]);
    }
}

#[test]
fn receiver_report_and_goodbye_are_read_as_written() {
    let mut bytes = Vec::new();
    write_receiver_report(&mut bytes, 5, &[BLOCK; 40], "weft");
    write_bye(&mut bytes, 5);
    let items = items(&bytes);
    let [RtcpItem::ReceiverReport { ssrc: 5, reports }, RtcpItem::Sdes { .. }, RtcpItem::ReceiverReport { .. }, bye] =
        items[..]
    else {
        panic!("{items:?}")
    };
    assert_eq!(reports.iter().len(), 31, "the count has five bits");
    assert_eq!(bye, RtcpItem::Bye { ssrc: 5, reason: b"" });
}

#[test]
fn ffmpegs_first_sender_report_is_read() {
    let bytes = crate::rtp::golden::hex("80c800060ff12a0deeaf4c887fbe76c82e9709f90000000000000000");
    let [RtcpItem::SenderReport { info, reports }] = items(&bytes)[..] else { panic!() };
    assert_eq!((info.ssrc, info.rtp_timestamp, info.packets), (0x0ff1_2a0d, 0x2e97_09f9, 0));
    assert_eq!(info.ntp, NtpTime(0xeeaf_4c88_7fbe_76c8));
    assert_eq!(reports.iter().len(), 0);
}

#[test]
fn a_camera_without_a_clock_sends_ntp_zero() {
    let mut bytes = Vec::new();
    write_sender_report(&mut bytes, &SenderInfo { ntp: NtpTime(0), ..INFO }, &[], "cam");
    assert!(matches!(parse(&bytes).next(), Some(RtcpItem::SenderReport { info, .. }) if info.ntp == NtpTime(0)));
}

#[test]
fn a_length_beyond_the_datagram_is_cut_to_it() {
    let mut bytes = Vec::new();
    write_sender_report(&mut bytes, &INFO, &[], "");
    bytes[2] = 0xff;
    assert!(matches!(items(&bytes)[..], [RtcpItem::SenderReport { info: INFO, .. }]));
}

#[test]
fn feedback_of_webrtc_readers_is_read() {
    let pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    let fir = [0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 9, 0, 0, 0];
    let nack = [0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0x80, 0x01];
    let bytes = [&pli[..], &fir, &nack].concat();
    let items = items(&bytes);
    assert_eq!(items[0], RtcpItem::PictureLoss { media: 2 });
    assert_eq!(items[1], RtcpItem::FullIntraRequest { media: 2, sequence: 9 });
    let RtcpItem::Nack { media: 2, lost } = items[2] else { panic!("{items:?}") };
    assert_eq!(lost.iter().collect::<Vec<_>>(), [65535, 0, 15]);
}

#[test]
fn other_packets_are_named_or_passed_over() {
    let app = [0x80, 204, 0, 3, 0, 0, 0, 1, b'w', b'e', b'f', b't', 1, 2, 3, 4];
    let xr = [0x80, 207, 0, 1, 0, 0, 0, 1];
    let bye = [0x82, 203, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 4, b'd', b'o', b'n', b'e', 0, 0, 0];
    let bytes = [&app[..], &xr, &bye, b"no rtcp"].concat();
    let expected = [
        RtcpItem::App { ssrc: 1, name: *b"weft", data: &[1, 2, 3, 4] },
        RtcpItem::Unknown { packet_type: 207, count: 0 },
        RtcpItem::Bye { ssrc: 1, reason: b"done" },
    ];
    assert_eq!(items(&bytes), expected);
}

#[test]
fn the_name_is_found_behind_other_items_and_chunks() {
    let bytes = [
        0x82, 202, 0, 6, 0, 0, 0, 1, 2, 1, b'x', 0, // NAME of source 1, no CNAME
        0, 0, 0, 2, 3, 1, b'e', 1, 2, b'm', b'e', 0, // EMAIL, then CNAME of source 2
    ];
    assert_eq!(items(&bytes), [RtcpItem::Sdes { ssrc: 2, cname: b"me" }]);
}

#[test]
fn lost_packets_are_asked_for_in_as_few_entries_as_possible() {
    let mut bytes = Vec::new();
    write_nack(&mut bytes, 1, 2, &[65_534, 65_535, 65_535, 0, 14, 15, 32]);
    // 65534 and the 16 after it reach 14; 15 has an entry of its own, 32 is 17 behind it.
    let expected = [0x81, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xfe, 0x80, 0x03, 0, 15, 0, 0, 0, 32, 0, 0];
    assert_eq!(bytes, expected);
    write_nack(&mut bytes, 1, 2, &[]);
    assert_eq!(bytes, expected, "nothing to ask for");
}

#[test]
fn pictures_are_asked_for_as_the_standards_draw_it() {
    let mut bytes = Vec::new();
    write_picture_loss(&mut bytes, 1, 2);
    write_full_intra_request(&mut bytes, 1, 2, 9);
    let pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    let fir = [0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 9, 0, 0, 0];
    assert_eq!(bytes, [&pli[..], &fir].concat());
}

#[test]
fn the_estimate_of_a_receiver_is_read() {
    // As Chrome says it: 8,927,168 bits per second of one source.
    let bytes = [0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 26, 32, 223, 72, 116, 237, 22];
    let [RtcpItem::ReceiverEstimate { bits: 8_927_168, media }] = items(&bytes)[..] else {
        panic!("{:?}", items(&bytes))
    };
    assert_eq!(media.iter().collect::<Vec<_>>(), [1_215_622_422]);
    let mut written = Vec::new();
    write_receiver_estimate(&mut written, 1, 8_927_168, &[1_215_622_422]);
    assert_eq!(written, bytes);
}

#[test]
fn hostile_estimates_are_read_for_what_they_are() {
    let estimate = |count: u8, rate: [u8; 3], rest: &[u8]| {
        let head = [0x8f, 206, 0, 255, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', count];
        [&head[..], &rate, rest].concat()
    };
    let bytes = estimate(255, [0xff; 3], &[0, 0, 0, 7, 1]);
    let [RtcpItem::ReceiverEstimate { bits: u64::MAX, media }] = items(&bytes)[..] else { panic!() };
    assert_eq!(media.iter().collect::<Vec<_>>(), [7], "no more than there is");
    let none = estimate(0, [0xfc, 0, 0], &[]);
    assert!(matches!(items(&none)[..], [RtcpItem::ReceiverEstimate { bits: 0, .. }]));
    let unknown = RtcpItem::Unknown { packet_type: 206, count: 15 };
    assert_eq!(items(&none[..16]), [unknown]);
    assert_eq!(items(&[&none[..12], b"APPL", &[0; 4]].concat()), [unknown], "of another application");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut bytes: Vec<u8>, packet_type in 199u8..208, count in 0u8..32, padding: bool) {
        let head = [0x80 | u8::from(padding) << 5 | count, packet_type, 0, (bytes.len() / 4) as u8];
        bytes.splice(0..0, head);
        for item in parse(&bytes) {
            match item {
                RtcpItem::SenderReport { reports, .. } | RtcpItem::ReceiverReport { reports, .. } => {
                    prop_assert!(reports.iter().count() <= REPORTS_MAX);
                }
                RtcpItem::ReceiverEstimate { media, .. } => prop_assert!(media.iter().len() <= bytes.len() / 4),
                RtcpItem::TransportFeedback(feedback) => {
                    prop_assert!(feedback.arrivals().count() <= 7 * bytes.len().max(usize::from(feedback.count)));
                }
                RtcpItem::Nack { lost, .. } => prop_assert!(lost.iter().count() <= bytes.len() * 17),
                _ => {}
            }
        }
    }

    #[test]
    fn what_is_asked_for_is_read_again(first: u16, steps in prop::collection::vec(1u16..40, 0..200)) {
        let mut lost = vec![first];
        steps.iter().for_each(|step| lost.push(lost[lost.len() - 1].wrapping_add(*step)));
        let mut bytes = Vec::new();
        write_nack(&mut bytes, 1, 2, &lost);
        let items = items(&bytes);
        let [RtcpItem::Nack { media: 2, lost: read }] = items[..] else { panic!("{items:?}") };
        prop_assert_eq!(read.iter().collect::<Vec<_>>(), lost);
    }

    #[test]
    fn an_estimate_is_said_to_18_bits(bits in 0u64..1 << 60) {
        let mut bytes = Vec::new();
        write_receiver_estimate(&mut bytes, 1, bits, &[2, 3]);
        let items = items(&bytes);
        let [RtcpItem::ReceiverEstimate { bits: read, .. }] = items[..] else { panic!("{items:?}") };
        prop_assert!(read <= bits && bits - read <= bits >> 17);
    }
}
