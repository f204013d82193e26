use super::*;
use crate::hls::{FileKind, Found, Window, WindowLimits};
use crate::media::{Codec, OpusConfig, Track};
use crate::time::ClockRate;
use crate::wire::Frame;
use crate::wire::tests::is_as_kept;

fn tracks() -> Tracks {
    let opus = Track { codec: Codec::Opus(OpusConfig { channels: 2 }), clock_rate: ClockRate::new(48_000).unwrap() };
    Tracks::new(vec![opus]).unwrap()
}

fn segment(number: u64) -> Segment {
    let mark = SegmentMark { number, discontinuities: 1, discontinuity: false, independent: true, target_seconds: 2 };
    let part = |index: u32| Part {
        mark: PartMark { number: number * 2 + u64::from(index), index, independent: index == 0 },
        duration_micros: 500_000,
        bodies: vec![Body::Here(Bytes::from(vec![index as u8; 100])), Body::Nothing],
    };
    Segment {
        id: 0xabc,
        tail: (number == 7).then_some(0xdef),
        mark,
        place: Place::default(),
        start_micros: number as i64 * 1_000_000,
        duration_micros: Some(1_000_000),
        tracks: Some(tracks()),
        inits: vec![Some((42, Bytes::from_static(b"init"))), None],
        parts: vec![part(0), part(1)],
        streams: vec![],
        units: 50,
        broken: false,
        guessed: false,
        given_up: false,
        open_end: false,
    }
}

fn handover() -> Handover {
    Handover { segments: (3..9).map(segment).collect(), target_seconds: 2, part_target_micros: 500_000 }
}

const RENDITIONS: [Rendition; 2] = [Rendition::Main, Rendition::Audio(1)];

#[test]
fn a_window_and_its_segments_come_as_they_were_told() {
    let told = encode_window(&RENDITIONS, &handover());
    let (renditions, heads) = decode_window(&told).unwrap();
    assert_eq!(renditions, RENDITIONS);
    is_as_kept("window.bin", &told);
    is_as_kept("window-segment.bin", &encode_segment(&segment(7)).unwrap().concat());
    assert!(told.len() < 1000, "{} bytes: bodies are not in it", told.len());
    let mut window = Window::after(WindowLimits { listed: 7 }, renditions.len(), heads);
    assert_eq!(window.wanted().collect::<Vec<_>>(), [8, 7, 6, 5, 4, 3]);
    let file = |id| File { id, rendition: Rendition::Main, kind: FileKind::Segment(7) };
    assert_eq!(window.find(&file(0xdef), 0), Found::Away);
    for wanted in handover().segments {
        let answer = encode_segment(&wanted).unwrap().concat();
        let fetched = decode_segment(answer.into(), renditions.len()).unwrap();
        assert_eq!(fetched, wanted);
        window.fill(fetched);
    }
    assert_eq!(window.wanted().next(), None);
    assert_eq!(window.handover(), handover());
    assert!(matches!(window.find(&file(0xdef), 0), Found::Here(pieces) if pieces.len() == 2));
}

#[test]
fn what_is_not_here_is_not_told() {
    let mut segment = segment(3);
    segment.parts[1].bodies[0] = Body::Away(100);
    assert_eq!(encode_segment(&segment), None);
}

#[test]
fn questions_are_read_as_they_were_asked() {
    let path = PathName::new("cam/front").unwrap();
    let file = File { id: 5, rendition: Rendition::Audio(0), kind: FileKind::Part(9) };
    let variant = variant_number(Variant::Mpegts);
    let asks = [
        WindowAsk::Window(WindowWish { path: path.clone(), variant, begin: true }),
        WindowAsk::Segment(SegmentWish { path: path.clone(), variant, number: 9 }),
        file_wish(path, &file),
    ];
    for (n, ask) in asks.into_iter().enumerate() {
        is_as_kept(&format!("window-ask-{}-{n}.bin", ask.kind()), &ask.encode());
        let frame = Frame::read(ask.encode().into(), 1 << 20).unwrap();
        assert_eq!(WindowAsk::decode(&frame), Ok(Some(ask)));
    }
}

#[test]
fn lies_are_no_window_and_no_segment() {
    let refused = |change: fn(&mut Handover)| {
        let mut lie = handover();
        change(&mut lie);
        assert_eq!(decode_window(&encode_window(&RENDITIONS, &lie)), None);
    };
    refused(|lie| drop(lie.segments.remove(2)));
    refused(|lie| lie.segments[0].start_micros = i64::MAX);
    refused(|lie| lie.segments[0].duration_micros = Some(-1));
    refused(|lie| lie.segments[0].mark.number = u64::MAX);
    refused(|lie| (lie.segments[0].mark.discontinuities, lie.segments[0].mark.discontinuity) = (0, true));
    refused(|lie| lie.segments[1].parts[0].bodies.push(Body::Nothing));
    refused(|lie| lie.segments[1].inits.truncate(1));
    assert_eq!(decode_window(&encode_window(&[], &handover())), None);
    let answer = Bytes::from(encode_segment(&segment(3)).unwrap().concat());
    assert_eq!(decode_segment(answer.clone(), 3), None, "for other renditions");
    for end in 0..answer.len() {
        assert_eq!(decode_segment(answer.slice(..end), 2), None);
    }
    assert_eq!(decode_segment([&answer[..], b"x"].concat().into(), 2), None);
}
