use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::bitstream::testdata::*;
use crate::bitstream::{aac, flac, h264};
use crate::media::{
    AacConfig, Ac3Config, AudioLayout, Av1Config, Codec, H264Config, H265Config, Kind, LpcmConfig, MpegAudioConfig,
    OpusConfig, Payload, Track, TrackId, Unit, Vp8Config, Vp9Config,
};
use crate::rtmp::{Media, Receiver};
use crate::time::{ClockRate, Now};

fn aac() -> AacConfig {
    aac::config_from_asc(aac::build_asc(2, 48_000, 2).unwrap()).unwrap()
}

/// Every codec with a unit of it, as it comes out of the inspector.
fn codecs() -> Vec<(Codec, Vec<Bytes>)> {
    let plain = |codec| (codec, vec![Bytes::from_static(&[1, 2, 3, 4])]);
    let h264 = H264Config { sps: vec![hex(H264_SPS_HIGH)], pps: vec![hex(H264_PPS_HIGH)] };
    let h265 =
        H265Config { vps: vec![hex(H265_VPS_MAIN)], sps: vec![hex(H265_SPS_MAIN)], pps: vec![hex(H265_PPS_MAIN)] };
    let stream_info = hex("1200120000000a0000230ac442f000000000000000000000000000000000000000000000").slice(..34);
    vec![
        (
            Codec::H264(h264.clone()),
            vec![h264.sps[0].clone(), h264.pps[0].clone(), Bytes::from_static(&[0x65, 0x88, 1])],
        ),
        (
            Codec::H265(h265.clone()),
            vec![h265.vps[0].clone(), h265.sps[0].clone(), h265.pps[0].clone(), Bytes::from_static(&[0x26, 1, 0xaf])],
        ),
        (
            Codec::Av1(Av1Config { sequence_header: hex(AV1_SEQUENCE_HEADER) }),
            vec![hex(AV1_SEQUENCE_HEADER), Bytes::from_static(&[0x30, 0x10, 0xaa])],
        ),
        (Codec::Vp9(Vp9Config { width: 640, height: 360, profile: 0 }), vec![hex(VP9_KEY)]),
        (Codec::Vp8(Vp8Config { width: 640, height: 360 }), vec![hex(VP8_KEY)]),
        plain(Codec::Aac(aac())),
        plain(Codec::Opus(OpusConfig { channels: 2 })),
        plain(Codec::Flac(flac::config_from_stream_info(&stream_info).unwrap())),
        (Codec::Ac3(Ac3Config { sample_rate: 48_000, channels: 6 }), vec![hex("0b77b50b1e40ebf8")]),
        (
            Codec::MpegAudio(MpegAudioConfig { sample_rate: 48_000, channels: 2, layer: 3 }),
            vec![Bytes::from_static(&[0xff, 0xfb, 0x54, 0x00, 9])],
        ),
        plain(Codec::G711(G711Law::A, AudioLayout { sample_rate: 8_000, channels: 1 })),
        plain(Codec::G711(G711Law::Mu, AudioLayout { sample_rate: 8_000, channels: 2 })),
        plain(Codec::Lpcm(LpcmConfig { bit_depth: 16, sample_rate: 44_100, channels: 2 })),
    ]
}

fn unit(frames: Vec<Bytes>) -> Unit {
    Unit {
        track: TrackId(0),
        pts: 0,
        dts: 0,
        captured: None,
        random_access: true,
        discardable: false,
        marker: false,
        payload: Payload::from_frames(frames),
    }
}

fn media(codec: &Codec, timestamp: u32, body: BytesMut) -> Media {
    let body = body.freeze().into();
    if codec.kind() == Kind::Video { Media::Video(timestamp, body) } else { Media::Audio(timestamp, body) }
}

#[test]
fn every_codec_comes_back_as_it_was_written_in_every_form() {
    for (codec, frames) in codecs() {
        let carriage = carriage(&codec).unwrap();
        for form in [Form::First, Form::Numbered(3)] {
            if form != Form::First && carriage.four_cc.is_none() {
                continue;
            }
            let mut receiver = Receiver::new();
            let now = Now::from_micros(0);
            let mut config = BytesMut::new();
            if write_config(&codec, form, &mut config) {
                receiver.media(media(&codec, 0, config), now).unwrap();
            }
            let mut body = BytesMut::new();
            let written = write_unit(&codec, form, &unit(frames.clone()), 80, &mut body).unwrap();
            if let Some(at) = written.composition_at {
                assert_eq!(body[at..at + 3], [0, 0, 80], "{codec:?} {form:?}");
            }
            receiver.media(media(&codec, 500, body), now).unwrap();
            let tracks = receiver.begin().unwrap_or_else(|| panic!("{codec:?} {form:?}"));
            assert_eq!(tracks.get(TrackId(0)).unwrap().codec, codec, "{form:?}");
            let received = receiver.take().unwrap().unit;
            assert_eq!(received.payload.frames().map(|frame| frame.to_bytes()).collect::<Vec<_>>(), frames, "{form:?}");
            assert!(received.random_access);
            let rate = tracks.get(TrackId(0)).unwrap().clock_rate;
            assert_eq!(rate.to_micros(received.dts), 500_000);
            let composition = if written.composition_at.is_some() { 80_000 } else { 0 };
            assert_eq!(rate.to_micros(received.pts), 500_000 + composition);
        }
    }
}

#[test]
fn old_tags_read_as_ffmpeg_writes_them() {
    let avcc = hex(AVCC);
    let tag = [&[0x17, 0, 0, 0, 0][..], &avcc].concat();
    let tags = read_video(Bytes::from(tag).into()).unwrap();
    let Packet::Config(record) = &tags[0].packet else { panic!("{tags:?}") };
    assert_eq!(h264::parse_avcc(&record.to_bytes()).unwrap().length_size, 4);
    let tags = read_video(Bytes::from_static(&[0x27, 1, 0xff, 0xff, 0xd8, 9]).into()).unwrap();
    assert!(matches!(tags[0].packet, Packet::Frame { composition_millis: -40, .. }));
    assert!(read_video(Bytes::new().into()).unwrap().is_empty());
    assert!(read_video(Bytes::from_static(&[0x57, 0]).into()).unwrap().is_empty(), "a command to the player");
    assert!(matches!(read_audio(Bytes::from_static(&[0xb6, 1]).into()).unwrap()[0].codec, TagCodec::Old(11)));
}

#[test]
fn modifiers_add_nanoseconds() {
    // ModEx with three bytes of nanoseconds, then coded frames of AV1.
    let tag = [&[0x97, 2, 0x00, 0x03, 0xe8, 0x01][..], b"av01", &[7]].concat();
    let tags = read_video(Bytes::from(tag).into()).unwrap();
    assert_eq!((tags[0].nanos, tags[0].codec), (1000, TagCodec::Av1));
    assert!(matches!(&tags[0].packet, Packet::Frame { data, .. } if data.len() == 1));
    // One of 300 bytes, whose type we don't know, then one without end.
    let long = [&[0x97, 0xff, 0x01, 0x2b][..], &[0; 300], &[0x51], b"av01", &[7]].concat();
    assert_eq!(read_video(Bytes::from(long).into()).unwrap()[0].nanos, 0);
    let endless = [&[0x97][..], &[0, 0, 7].repeat(100)].concat();
    assert!(read_video(Bytes::from(endless).into()).is_err());
}

#[test]
fn tracks_of_one_message_are_told_apart() {
    // Many tracks of one codec, then of several.
    let many = [&[0x95, 0x11][..], b"Opus", &[0, 0, 0, 2, 1, 2, 5, 0, 0, 1, 9]].concat();
    let tags = read_audio(Bytes::from(many).into()).unwrap();
    assert_eq!(tags.iter().map(|tag| tag.track).collect::<Vec<_>>(), [0, 5]);
    let mixed = [&[0x95, 0x21][..], b"Opus", &[0, 0, 0, 1, 7], b"mp4a", &[1, 0, 0, 2, 8, 9]].concat();
    let tags = read_audio(Bytes::from(mixed).into()).unwrap();
    assert_eq!(tags.iter().map(|tag| tag.codec).collect::<Vec<_>>(), [TagCodec::Opus, TagCodec::Aac]);
    let lying = [&[0x95, 0x11][..], b"Opus", &[0, 0, 1, 0, 1, 2]].concat();
    assert_eq!(read_audio(Bytes::from(lying).into()).unwrap_err(), TagError::Ended);
    let nested = [&[0x95, 0x15][..], b"Opus", &[0]].concat();
    assert!(read_audio(Bytes::from(nested).into()).is_err());
    let crowd = [&[0x95, 0x11][..], b"Opus", &[0, 0, 0, 0].repeat(40)].concat();
    assert_eq!(read_audio(Bytes::from(crowd).into()).unwrap_err(), TagError::TooMany);
}

#[test]
fn hdr_metadata_is_read() {
    let values = [Value::String("colorInfo".into()), Value::object([("hdrMdcv", Value::Null)])];
    let tag = [&[0xd4][..], b"hvc1", &crate::rtmp::amf0::write_all(&values)].concat();
    let tags = read_video(Bytes::from(tag).into()).unwrap();
    assert!(matches!(&tags[0].packet, Packet::Metadata(read) if read[..] == values));
}

#[test]
fn hdr_metadata_comes_back_as_it_was_written() {
    let (codec, frames) = codecs().swap_remove(1);
    let values = crate::rtmp::amf0::write_all(&[Value::String("colorInfo".into()), Value::object([])]);
    for form in [Form::First, Form::Numbered(2)] {
        let (mut receiver, now) = (Receiver::new(), Now::from_micros(0));
        let (mut config, mut body, mut metadata) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
        assert!(write_config(&codec, form, &mut config));
        assert!(write_metadata(&codec, form, &values, &mut metadata));
        write_unit(&codec, form, &unit(frames.clone()), 0, &mut body).unwrap();
        for part in [config, metadata, body] {
            receiver.media(media(&codec, 0, part), now).unwrap();
        }
        assert_eq!(receiver.take_metadata(), None, "not before the tracks are known");
        receiver.begin().unwrap();
        assert_eq!(receiver.take_metadata(), Some(vec![(TrackId(0), values.clone())]), "{form:?}");
        assert_eq!(receiver.take_metadata(), None);
    }
}

#[test]
fn metadata_announces_what_it_describes() {
    let video = Track { codec: codecs()[0].0.clone(), clock_rate: ClockRate::VIDEO };
    let audio = Track { codec: Codec::Aac(aac()), clock_rate: ClockRate::new(48_000).unwrap() };
    let bytes = on_metadata([(Form::First, &video), (Form::First, &audio), (Form::Numbered(1), &audio)]);
    let values = crate::rtmp::amf0::read_all(&bytes).unwrap();
    assert_eq!(values[1].as_object().unwrap().get("width"), Some(&Value::Number(640.0)));
    assert_eq!(announced(&values[1..])[..], [(Kind::Video, 0), (Kind::Audio, 0), (Kind::Audio, 1)]);
    assert!(announced(&[Value::object([("videocodecid", Value::Number(0.0))])]).is_empty());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        let _ = read_video(bytes.clone().into());
        let _ = read_audio(bytes.into());
    }
}
