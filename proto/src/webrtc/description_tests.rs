use super::*;

/// What Chromium offers to publish a camera and a microphone, with fewer codecs.
pub(crate) const PUBLISHER: &str = "v=0\r\n\
o=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
a=group:BUNDLE 0 1\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS stream\r\n\
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
a=ice-ufrag:Wm+/\r\na=ice-pwd:t8Th5p2AVp+uRDYYWGbWN1Hj\r\na=ice-options:trickle\r\n\
a=fingerprint:sha-256 0A:1B:2C:3D:4E:5F:60:71:82:93:A4:B5:C6:D7:E8:F9:0A:1B:2C:3D:4E:5F:60:71:82:93:A4:B5:C6:D7:E8:F9\r\n\
a=setup:actpass\r\na=mid:0\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=sendonly\r\na=msid:stream track-a\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\na=ssrc:3570614608 cname:4TOk42mSjXCkVIa6\r\n\
a=ssrc:3570614608 msid:stream track-a\r\n\
m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
a=ice-ufrag:Wm+/\r\na=ice-pwd:t8Th5p2AVp+uRDYYWGbWN1Hj\r\n\
a=fingerprint:sha-256 0A:1B:2C:3D:4E:5F:60:71:82:93:A4:B5:C6:D7:E8:F9:0A:1B:2C:3D:4E:5F:60:71:82:93:A4:B5:C6:D7:E8:F9\r\n\
a=setup:actpass\r\na=mid:1\r\na=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
a=sendonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 goog-remb\r\na=rtcp-fb:96 transport-cc\r\n\
a=rtcp-fb:96 ccm fir\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
a=rtpmap:103 H264/90000\r\na=rtcp-fb:103 nack pli\r\n\
a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\na=rtpmap:104 rtx/90000\r\n\
a=fmtp:104 apt=103\r\na=ssrc-group:FID 2231627014 632943048\r\na=ssrc:2231627014 cname:4TOk42mSjXCkVIa6\r\n\
a=ssrc:632943048 cname:4TOk42mSjXCkVIa6\r\n";

/// What a reader offers that wants layers and data channels as well.
pub(crate) const OTHERS: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE v d\r\na=ice-lite\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\n\
a=setup:active\r\na=fingerprint:sha-1 AA:BB\r\n\
a=fingerprint:SHA-256 00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13:14:15:16:17:18:19:1a:1b:1c:1d:1e:1f\r\n\
m=video 0 UDP/TLS/RTP/SAVPF 100\r\na=bundle-only\r\na=mid:v\r\na=rtcp-mux\r\na=rtpmap:100 AV1/90000\r\na=rtcp-fb:* nack\r\n\
a=rid:h send\r\na=rid:l send\r\na=rid:back recv\r\na=simulcast:send h;l\r\n\
m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:d\r\na=sctp-port:5000\r\n\
m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:gone\r\n";

#[test]
fn the_offer_of_a_browser_is_read() {
    let offer = parse(PUBLISHER.as_bytes()).unwrap();
    let Transport { credentials, is_lite, fingerprint, setup } = &offer.transport;
    assert_eq!((credentials.ufrag.as_str(), credentials.password.as_str()), ("Wm+/", "t8Th5p2AVp+uRDYYWGbWN1Hj"));
    assert_eq!((*is_lite, *setup), (false, Setup::Either));
    assert!(PUBLISHER.contains(&fingerprint.to_string()), "{fingerprint}");
    let [audio, video] = &offer.sections[..] else { panic!("{offer:?}") };
    assert_eq!((audio.kind, audio.mid.as_str(), audio.sends, audio.receives), (SectionKind::Audio, "0", true, false));
    let names: Vec<_> =
        audio.payloads.iter().map(|payload| (payload.payload_type, payload.encoding.as_str())).collect();
    let all = [(111, "opus"), (63, "red"), (9, "G722"), (0, "PCMU"), (8, "PCMA"), (13, "CN"), (110, "telephone-event")];
    assert_eq!(names, all);
    let opus = &audio.payloads[0];
    assert_eq!((opus.clock_rate, opus.channels, opus.parameter("useinbandfec")), (48_000, 2, Some("1")));
    assert_eq!(audio.sources, [3_570_614_608]);
    assert_eq!(audio.extensions[1], Extension { id: 4, uri: "urn:ietf:params:rtp-hdrext:sdes:mid".into() });
    assert_eq!(video.repeats, [(2_231_627_014, 632_943_048)]);
    assert_eq!(video.payloads[1].repeats(), Some(96));
    assert_eq!(video.payloads[0].repeats(), None);
    assert!(video.payloads[0].has_feedback("nack pli") && !video.payloads[2].has_feedback("nack"));
    assert_eq!(video.payloads[2].parameter("profile-level-id"), Some("42e01f"));
}

#[test]
fn layers_data_channels_and_refused_sections_are_read() {
    let offer = parse(OTHERS.as_bytes()).unwrap();
    let Transport { is_lite, fingerprint, setup, .. } = offer.transport;
    assert_eq!((is_lite, setup, fingerprint.0[31]), (true, Setup::Active, 0x1f));
    let [video, data, gone] = &offer.sections[..] else { panic!("{:?}", offer.sections) };
    assert_eq!((video.layers.join(","), video.is_refused, video.sends), ("h,l".to_owned(), false, true));
    assert!(video.payloads[0].has_feedback("nack"), "for all of them");
    assert_eq!((data.kind, data.mid.as_str(), data.payloads.len()), (SectionKind::Data, "d", 0));
    assert!(gone.is_refused);
    assert_eq!(gone.payloads[0].encoding, "PCMU", "a static payload type needs no rtpmap");
}

#[test]
fn what_cannot_be_answered_is_refused_with_a_reason() {
    let without = |what: &str| {
        let kept = PUBLISHER.split_inclusive("\r\n").filter(|line| !line.starts_with(what));
        parse(kept.collect::<String>().as_bytes())
    };
    assert_eq!(without("a=ice-pwd"), Err(DescriptionError::NoIce));
    assert_eq!(without("a=fingerprint"), Err(DescriptionError::NoFingerprint));
    assert_eq!(without("a=group"), Err(DescriptionError::NotBundled("0".into())));
    assert_eq!(without("a=rtcp-mux"), Err(DescriptionError::NoMux("0".into())));
    assert_eq!(parse(b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"), Err(DescriptionError::Sections(0)));
    assert_eq!(parse(&vec![b'a'; DESCRIPTION_BYTES_MAX + 1]), Err(DescriptionError::TooLarge));
    assert!(matches!(parse(b"hello"), Err(DescriptionError::Syntax(_))));
    let sections = format!("{PUBLISHER}{}", "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n".repeat(SECTIONS_MAX));
    assert_eq!(parse(sections.as_bytes()), Err(DescriptionError::Sections(SECTIONS_MAX + 2)));
}

#[test]
fn many_words_do_not_become_more() {
    let long = format!("a=fmtp:* {}", "x".repeat(40_000));
    let many = "a=rtcp-fb:* nack\r\n".repeat(500);
    let types = "0 ".repeat(1_000);
    let head = OTHERS.split("m=").next().unwrap();
    let sdp = format!("{head}m=audio 9 UDP/TLS/RTP/SAVPF {types}\r\na=mid:v\r\na=rtcp-mux\r\n{long}\r\n{many}");
    let read = parse(sdp.as_bytes()).unwrap();
    let [payload] = &read.sections[0].payloads[..] else { panic!("{:?}", read.sections[0].payloads.len()) };
    assert_eq!((payload.fmtp.len(), payload.feedback.len()), (0, FEEDBACK_MAX));
}
