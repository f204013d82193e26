use super::super::description::{self, SectionKind};
use super::*;

fn h264() -> Payload {
    Payload {
        payload_type: 103,
        encoding: "H264".into(),
        clock_rate: 90_000,
        channels: 1,
        fmtp: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f".into(),
        feedback: vec!["nack".into(), "nack pli".into(), "transport-cc".into()],
    }
}

fn opus() -> Payload {
    Payload {
        payload_type: 111,
        encoding: "opus".into(),
        clock_rate: 48_000,
        channels: 2,
        fmtp: String::new(),
        feedback: Vec::new(),
    }
}

fn sections() -> Vec<WrittenSection> {
    let source = Source { ssrc: 7, repeat: Some(8), cname: "cam".into(), track: "video".into() };
    let rtx = Payload { payload_type: 104, encoding: "rtx".into(), fmtp: "apt=103".into(), feedback: vec![], ..h264() };
    let extension = Extension { id: 3, uri: "urn:ietf:params:rtp-hdrext:sdes:mid".into() };
    let video = WrittenMedia {
        sends: true,
        payloads: vec![h264(), rtx],
        extensions: vec![extension],
        source: Some(source),
        ..WrittenMedia::default()
    };
    let layered = WrittenMedia {
        receives: true,
        payloads: vec![opus()],
        layers: vec!["h".into(), "l".into()],
        ..WrittenMedia::default()
    };
    [("g", SectionKind::Audio, None), ("v", SectionKind::Video, Some(video)), ("a", SectionKind::Audio, Some(layered))]
        .into_iter()
        .map(|(mid, kind, media)| WrittenSection { mid: mid.into(), kind, media })
        .chain([WrittenSection { mid: "d".into(), kind: SectionKind::Data, media: Some(WrittenMedia::default()) }])
        .collect()
}

fn written(sections: &[WrittenSection]) -> String {
    let credentials = Credentials { ufrag: "abcd".into(), password: "0123456789012345678901".into() };
    let candidates = [
        Candidate::udp("192.0.2.1:8189".parse().unwrap()),
        Candidate {
            base: Some("192.0.2.1:8189".parse().unwrap()),
            ..Candidate::udp("198.51.100.1:9000".parse().unwrap())
        },
        Candidate::tcp("[2001:db8::1]:8189".parse().unwrap()),
    ];
    let description = Written {
        session: 42,
        credentials: &credentials,
        is_lite: true,
        fingerprint: Fingerprint([0xab; 32]),
        setup: Setup::Passive,
        candidates: &candidates,
        sections,
    };
    description.to_string()
}

#[test]
fn what_is_written_is_read() {
    let text = written(&sections());
    let read = description::parse(text.as_bytes()).unwrap();
    let transport = &read.transport;
    assert!(transport.is_lite && transport.setup == Setup::Passive && transport.fingerprint.0 == [0xab; 32], "{text}");
    assert_eq!(transport.credentials.ufrag, "abcd");
    let [refused, video, audio, data] = &read.sections[..] else { panic!("{text}") };
    assert!(refused.is_refused && !video.is_refused && data.kind == SectionKind::Data, "{text}");
    assert_eq!((video.sends, video.receives, audio.sends, audio.receives), (true, false, false, true));
    assert_eq!(video.payloads[0], h264());
    assert_eq!(
        (video.payloads[1].repeats(), &video.repeats[..], &video.sources[..]),
        (Some(103), &[(7, 8)][..], &[7, 8][..])
    );
    assert_eq!(audio.payloads, [opus()]);
    assert_eq!(video.extensions.len(), 1);
    assert!(text.contains("a=simulcast:recv h;l\r\n") && text.contains("a=group:BUNDLE v a d\r\n"), "{text}");
}

#[test]
fn candidates_stand_once_and_the_best_ones_first() {
    let text = written(&sections());
    let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("a=candidate:")).collect();
    assert_eq!(
        lines,
        [
            "1 1 udp 2130706431 192.0.2.1 8189 typ host",
            "2 1 udp 1694498559 198.51.100.1 9000 typ srflx raddr 192.0.2.1 rport 8189",
            "3 1 tcp 1526726143 2001:db8::1 8189 typ host tcptype passive",
        ]
    );
    assert_eq!(text.matches("a=end-of-candidates").count(), 1);
    let candidates = text.find("a=candidate").unwrap();
    assert!(text.find("m=video").unwrap() < candidates && candidates < text.rfind("m=audio").unwrap(), "{text}");
}
