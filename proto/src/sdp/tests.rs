//! Descriptions of encoders and cameras, and tracks there and back.
//!
//! `ffmpeg-*.sdp` were written by FFmpeg 5.1, `gstreamer.sdp` by its rtspclientsink; those named after cameras and OBS are typed in their makers' known style.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::limits::TRACKS_MAX;
use crate::media::*;
use crate::time::ClockRate;

macro_rules! golden {
    ($name:literal) => {
        parse(include_bytes!(concat!("testdata/", $name, ".sdp"))).unwrap()
    };
}

/// Label, clock, payload type, control of each section.
fn summary(session: &Session) -> Vec<(&'static str, u32, u8, Option<&str>)> {
    let one = |m: &MediaDescription| (m.track.codec.label(), m.track.clock_rate.hertz(), m.payload_type);
    session.media.iter().map(|m| (one(m).0, one(m).1, one(m).2, m.control.as_deref())).collect()
}

#[test]
fn ffmpeg_is_understood() {
    let cases = [
        (golden!("ffmpeg-h264"), ("H264", 90_000, 96)),
        (golden!("ffmpeg-h265"), ("H265", 90_000, 96)),
        (golden!("ffmpeg-vp8"), ("VP8", 90_000, 96)),
        (golden!("ffmpeg-vp9"), ("VP9", 90_000, 96)),
        (golden!("ffmpeg-mjpeg"), ("M-JPEG", 90_000, 26)),
        (golden!("ffmpeg-mpeg4"), ("MPEG-4 Video", 90_000, 96)),
        (golden!("ffmpeg-aac"), ("MPEG-4 Audio", 48_000, 97)),
        (golden!("ffmpeg-opus"), ("Opus", 48_000, 97)),
        (golden!("ffmpeg-mp3"), ("MPEG-1/2 Audio", 90_000, 14)),
        (golden!("ffmpeg-pcmu"), ("G711", 8000, 0)),
        (golden!("ffmpeg-pcma16"), ("G711", 16_000, 97)),
        (golden!("ffmpeg-l16"), ("LPCM", 48_000, 97)),
        (golden!("ffmpeg-g722"), ("G722", 8000, 9)),
        (golden!("ffmpeg-g726"), ("G726", 8000, 97)),
        (golden!("ffmpeg-speex"), ("Speex", 16_000, 97)),
        (golden!("ffmpeg-vorbis"), ("Vorbis", 48_000, 97)),
    ];
    for (session, (label, clock, payload_type)) in cases {
        assert_eq!(summary(&session), [(label, clock, payload_type, None)]);
        assert_ne!(session.media[0].port, 0);
    }
}

#[test]
fn parameter_sets_and_configs_are_taken() {
    let session = golden!("obs");
    let [video, audio] = session.media.as_slice() else { panic!() };
    let Codec::H264(h264) = &video.track.codec else { panic!() };
    assert_eq!((h264.sps.len(), h264.sps[0][0], h264.pps.len(), h264.pps[0][0]), (1, 0x67, 1, 0x68));
    let Codec::Aac(aac) = &audio.track.codec else { panic!() };
    assert_eq!((aac.sample_rate, aac.channels, &aac.asc[..2]), (48_000, 2, &[0x11, 0x90][..]));
    assert_eq!((audio.control.as_deref(), audio.au_headers), (Some("streamid=1"), AuHeaderLengths::default()));
    let Codec::H265(h265) = golden!("ffmpeg-h265").media.remove(0).track.codec else { panic!() };
    assert_eq!((h265.vps[0][0], h265.sps[0][0], h265.pps[0][0]), (0x40, 0x42, 0x44));
    let Codec::Opus(opus) = golden!("ffmpeg-opus").media.remove(0).track.codec else { panic!() };
    assert_eq!(opus.channels, 2);
}

#[test]
fn cameras_are_understood() {
    let hikvision = golden!("hikvision");
    assert_eq!(hikvision.title, "Media Presentation");
    let base = "rtsp://192.168.1.64/Streaming/Channels/101";
    let controls = [1, 2].map(|track| format!("{base}/trackID={track}?transportmode=unicast"));
    assert_eq!(
        summary(&hikvision),
        [("H264", 90_000, 96, Some(controls[0].as_str())), ("G711", 8000, 8, Some(controls[1].as_str()))]
    );
    let dahua = golden!("dahua");
    assert_eq!(
        summary(&dahua),
        [
            ("H265", 90_000, 98, Some("trackID=0")),
            ("MPEG-4 Audio", 16_000, 97, Some("trackID=1")),
            ("Generic", 90_000, 107, Some("trackID=4")),
            ("G711", 8000, 8, Some("trackID=5"))
        ]
    );
    let back: Vec<bool> = dahua.media.iter().map(MediaDescription::is_back_channel).collect();
    assert_eq!(back, [false, false, false, true]);
    assert_eq!(dahua.media[2].track.kind(), Kind::Data);
    assert_eq!(golden!("axis").media.len(), 2);
    assert_eq!(summary(&golden!("gstreamer")), [("H264", 90_000, 96, Some("stream=0"))]);
    assert_eq!(summary(&golden!("reolink"))[1], ("MPEG-4 Audio", 16_000, 97, Some("trackID=2")));
}

#[test]
fn multicast_addresses_come_from_section_or_session() {
    let session = golden!("live555-multicast");
    let media = &session.media[0];
    assert_eq!((media.track.codec.label(), media.track.kind(), media.port), ("MPEG-TS", Kind::Data, 1234));
    assert_eq!(media.address.as_deref(), Some("232.44.1.9"));
}

#[test]
fn broken_lines_do_not_spoil_good_ones() {
    let session = golden!("broken");
    assert_eq!(
        summary(&session),
        [("H264", 90_000, 96, None), ("Generic", 90_000, 96, None), ("G711", 8000, 0, Some("trackID=2"))]
    );
    assert_eq!(session.media[0].address.as_deref(), Some("10.0.0.1"));
    assert_eq!(parse(b"v=0\r\n"), Err(SdpError::NoMedia));
    assert_eq!(parse("m=video 0 RTP/AVP 96\n".repeat(TRACKS_MAX + 1).as_bytes()), Err(SdpError::TooManyTracks));
}

#[test]
fn helpers_are_passed_over_and_names_may_replace_numbers() {
    let read = |text: &str| {
        let session = parse(text.as_bytes()).unwrap();
        let (label, clock, payload_type, _) = summary(&session)[0];
        (label, clock, payload_type)
    };
    assert_eq!(read("m=video 9 RTP/AVP 97 96\na=rtpmap:97 rtx/90000\na=rtpmap:96 VP8/90000\n"), ("VP8", 90_000, 96));
    assert_eq!(read("m=application 0 RTP/AVP meta\na=rtpmap:98 SMPTE336M/90000\n"), ("KLV", 90_000, 98));
    assert_eq!(read("m=audio 0 RTP/AVP 101\na=rtpmap:101 telephone-event/8000\n"), ("Generic", 8000, 101));
}

#[test]
fn what_is_written_for_players_is_stable() {
    let tracks = golden!("obs").media.into_iter().map(|media| media.track).collect();
    let tracks = Tracks::new(tracks).unwrap();
    let unicast = WriteDelivery::Unicast("0.0.0.0".parse().unwrap());
    let text = write(&WriteParams { title: "cam", tracks: &tracks, delivery: unicast });
    assert_eq!(
        text,
        "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=cam\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n\
         m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
         a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z2QADazZQUH7ARAAAAMAEAAAAwMg8UKZYA==,aOvjyyLA; \
         profile-level-id=64000D\r\na=control:trackID=0\r\n\
         m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/48000/2\r\n\
         a=fmtp:97 streamtype=5; profile-level-id=1; mode=AAC-hbr; sizelength=13; indexlength=3; indexdeltalength=3; \
         config=119056e500\r\na=control:trackID=1\r\n"
    );
    let group = WriteDelivery::Multicast { address: "224.1.0.2".parse().unwrap(), ttl: 16, ports: &[8002, 8004] };
    let text = write(&WriteParams { title: "a\r\nm=x", tracks: &tracks, delivery: group });
    assert!(text.contains("c=IN IP4 224.1.0.2/16\r\n") && text.contains("\r\nm=audio 8004 RTP/AVP 97\r\n"));
    assert_eq!(text.matches("\r\nm=").count(), 2);
}

fn any_track() -> impl Strategy<Value = Track> {
    let nal = |header: u8| {
        prop::collection::vec(any::<u8>(), 4..40).prop_map(move |rest| Bytes::from([&[header], &rest[..]].concat()))
    };
    let nals = move |header| prop::collection::vec(nal(header), 0..3);
    let audio = (1u8..3, prop::sample::select(vec![8000u32, 16_000, 44_100, 48_000]));
    let with = |codec: Codec, clock: u32| Track { codec, clock_rate: ClockRate::new(clock).unwrap() };
    let opaque = |kind, label, payload_type, rtpmap: Option<&str>, fmtp: Option<&str>| {
        Codec::Opaque(OpaqueConfig {
            kind,
            label,
            payload_type,
            rtpmap: rtpmap.map(str::to_owned),
            fmtp: fmtp.map(str::to_owned),
            in_band: None,
        })
    };
    prop_oneof![
        (nals(0x67), nals(0x68)).prop_map(move |(sps, pps)| with(Codec::H264(H264Config { sps, pps }), 90_000)),
        (nals(0x40), nals(0x42), nals(0x44))
            .prop_map(move |(vps, sps, pps)| with(Codec::H265(H265Config { vps, sps, pps }), 90_000)),
        Just(with(Codec::Av1(Av1Config::default()), 90_000)),
        Just(with(Codec::Vp8(Vp8Config::default()), 90_000)),
        (0u8..4).prop_map(move |profile| with(Codec::Vp9(Vp9Config { profile, ..Default::default() }), 90_000)),
        (1u8..3).prop_map(move |channels| with(Codec::Opus(OpusConfig { channels }), 48_000)),
        Just(with(Codec::MpegAudio(MpegAudioConfig::default()), 90_000)),
        Just(with(
            Codec::Aac(AacConfig { asc: Bytes::from_static(&[0x12, 0x10]), sample_rate: 44_100, channels: 2 }),
            44_100
        )),
        (1u8..7).prop_map(move |channels| with(Codec::Ac3(Ac3Config { sample_rate: 48_000, channels }), 48_000)),
        (audio.clone(), any::<bool>()).prop_map(move |((channels, sample_rate), a)| {
            let law = if a { G711Law::A } else { G711Law::Mu };
            with(Codec::G711(law, AudioLayout { sample_rate, channels }), sample_rate)
        }),
        (audio, prop::sample::select(vec![8u8, 16, 24])).prop_map(move |((channels, sample_rate), bit_depth)| {
            with(Codec::Lpcm(LpcmConfig { bit_depth, sample_rate, channels }), sample_rate)
        }),
        Just(with(opaque(Kind::Data, "MPEG-TS", 33, None, None), 90_000)),
        Just(with(opaque(Kind::Video, "M-JPEG", 26, Some("JPEG/90000"), None), 90_000)),
        Just(with(opaque(Kind::Data, "KLV", 96, Some("SMPTE336M/90000"), None), 90_000)),
        Just(with(opaque(Kind::Audio, "Opus", 96, Some("multiopus/48000/6"), Some("num_streams=4; x=0,4,1")), 48_000)),
        Just(with(opaque(Kind::Video, "Generic", 96, None, Some("a;;b=c")), 90_000)),
    ]
}

proptest! {
    #[test]
    fn tracks_come_back_as_they_were_written(tracks in prop::collection::vec(any_track(), 1..5)) {
        let tracks = Tracks::new(tracks).unwrap();
        let delivery = WriteDelivery::Unicast("::".parse().unwrap());
        let session = parse(write(&WriteParams { title: "", tracks: &tracks, delivery }).as_bytes()).unwrap();
        prop_assert_eq!(session.media.len(), tracks.len());
        for ((id, track), media) in tracks.iter().zip(session.media) {
            let mut wanted = track.clone();
            // A dynamic payload type is of the description, not of the track.
            if let Codec::Opaque(opaque) = &mut wanted.codec {
                opaque.payload_type = payload_type(id, track);
            }
            prop_assert_eq!(&media.track, &wanted);
            prop_assert_eq!(media.payload_type, payload_type(id, track));
            prop_assert_eq!(media.control, Some(format!("trackID={}", id.0)));
        }
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = parse(&bytes);
        let _ = parse(&[b"m=audio 0 RTP/AVP 96\r\na=rtpmap:96 ", &bytes[..]].concat());
    }

    #[test]
    fn mangled_descriptions_do_not_panic(at in 0usize..900, with in any::<u8>(), cut in 0usize..900) {
        let mut bytes = include_bytes!("testdata/dahua.sdp").to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = with;
        }
        bytes.truncate(cut.max(at));
        if let Ok(session) = parse(&bytes) {
            let tracks = Tracks::new(session.media.into_iter().map(|media| media.track).collect()).unwrap();
            let delivery = WriteDelivery::Unicast("0.0.0.0".parse().unwrap());
            let again = parse(write(&WriteParams { title: "", tracks: &tracks, delivery }).as_bytes());
            prop_assert!(again.is_ok());
        }
    }
}
