use super::*;
use crate::media::H264Config;
use crate::rtmp::{Action, ChunkReader, Outcome, ServerMachine};
use crate::time::ClockRate;

const NOW: Now = Now::from_micros(1_000_000);

/// What an encoder sent behind its handshake, through reader and machine.
fn replay(bytes: &[u8], portion: usize) -> (Receiver, String, String) {
    let (mut reader, mut machine, mut receiver) = (ChunkReader::new(), ServerMachine::new(), Receiver::new());
    reader.allow_media();
    let mut asked = (String::new(), String::new());
    for portion in bytes.chunks(portion) {
        reader.buffer().extend_from_slice(portion);
        while let Some(message) = reader.next().unwrap() {
            let mut actions = Vec::new();
            machine.message(message, &mut actions).unwrap();
            for action in actions {
                match action {
                    Action::Publish { pending, path, query } => {
                        asked = (path, query);
                        machine.answer(&pending, Outcome::Accepted, &mut Vec::new());
                    }
                    Action::Media(media) => receiver.media(media, NOW).unwrap(),
                    _ => {}
                }
            }
        }
    }
    (receiver, asked.0, asked.1)
}

fn labels(tracks: &Tracks) -> Vec<&'static str> {
    tracks.iter().map(|(_, track)| track.codec.label()).collect()
}

/// Units of a track: `(pts, dts, random access)`.
fn units(receiver: &mut Receiver, track: u8) -> Vec<(i64, i64, bool)> {
    let mut all = Vec::new();
    while let Some(Received { unit, .. }) = receiver.take() {
        if unit.track == TrackId(track) {
            all.push((unit.pts, unit.dts, unit.random_access));
        }
    }
    all
}

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../testdata/", $name, ".bin"))
    };
}

#[test]
fn ffmpeg_with_frames_out_of_order() {
    for portion in [1, 700, 100_000] {
        let (mut receiver, path, query) = replay(golden!("ffmpeg5_h264_aac"), portion);
        assert_eq!((path.as_str(), query.as_str()), ("live/cam", "user=me&pass=p%40ss"));
        assert!(receiver.is_ready(NOW));
        let tracks = receiver.begin().unwrap();
        assert_eq!(labels(&tracks), ["H264", "MPEG-4 Audio"]);
        let video = units(&mut receiver, 0);
        assert_eq!(video.len(), 15);
        assert!(video[0].2 && video.iter().filter(|unit| unit.2).count() == 2, "{video:?}");
        assert!(video.windows(2).all(|pair| pair[1].1 - pair[0].1 == 3600), "{video:?}");
        assert!(video.iter().any(|unit| unit.0 > unit.1 + 3600), "{video:?}");
        let mut shown: Vec<i64> = video.iter().map(|unit| unit.0).collect();
        shown.sort_unstable();
        assert!(shown.windows(2).all(|pair| pair[1] - pair[0] == 3600), "{shown:?}");
    }
}

#[test]
fn sound_has_exact_times() {
    let (mut receiver, ..) = replay(golden!("ffmpeg5_h264_aac"), 1000);
    let tracks = receiver.begin().unwrap();
    assert_eq!(tracks.get(TrackId(1)).unwrap().clock_rate, ClockRate::new(48_000).unwrap());
    let audio = units(&mut receiver, 1);
    assert!(audio.len() > 25 && audio.windows(2).all(|pair| pair[1].0 - pair[0].0 == 1024), "{audio:?}");
    let (mut receiver, path, _) = replay(golden!("ffmpeg5_mp3"), 1000);
    assert_eq!((path.as_str(), receiver.is_ready(NOW)), ("radio", true));
    assert_eq!(labels(&receiver.begin().unwrap()), ["MPEG-1/2 Audio"]);
    let audio = units(&mut receiver, 0);
    assert!(audio.windows(2).all(|pair| (2350..=2352).contains(&(pair[1].0 - pair[0].0))), "{audio:?}");
}

#[test]
fn enhanced_codecs_of_ffmpeg_9() {
    let (mut receiver, ..) = replay(golden!("ffmpeg9_hevc_opus"), 1000);
    assert!(receiver.is_ready(NOW));
    assert_eq!(labels(&receiver.begin().unwrap()), ["H265", "Opus"]);
    let video = units(&mut receiver, 0);
    assert!(video.len() == 15 && video[0].2 && video.iter().any(|unit| unit.0 > unit.1), "{video:?}");
    let (mut receiver, ..) = replay(golden!("ffmpeg9_av1_flac"), 1000);
    assert!(receiver.is_ready(NOW));
    let tracks = receiver.begin().unwrap();
    assert_eq!(labels(&tracks), ["AV1", "FLAC"]);
    assert!(matches!(&tracks.get(TrackId(1)).unwrap().codec, Codec::Flac(flac) if flac.bit_depth == 16));
    assert_eq!(units(&mut receiver, 0).len(), 15);
    let (mut receiver, ..) = replay(golden!("ffmpeg9_vp9_ac3"), 1000);
    assert_eq!(labels(&receiver.begin().unwrap()), ["VP9", "AC3"]);
    let audio = units(&mut receiver, 1);
    assert!(audio.windows(2).all(|pair| pair[1].0 - pair[0].0 == 1536), "{audio:?}");
}

#[test]
fn several_tracks_of_a_kind() {
    let (mut receiver, ..) = replay(golden!("ffmpeg9_multitrack"), 1000);
    let tracks = receiver.begin().unwrap();
    assert_eq!(labels(&tracks), ["H264", "H264", "MPEG-4 Audio", "MPEG-4 Audio"]);
    let rates: Vec<u32> = tracks.iter().map(|(_, track)| track.clock_rate.hertz()).collect();
    assert_eq!(rates, [90_000, 90_000, 48_000, 44_100]);
    let (mut first, mut second) = (0, 0);
    while let Some(Received { unit, .. }) = receiver.take() {
        first += u32::from(unit.track == TrackId(0));
        second += u32::from(unit.track == TrackId(1));
    }
    assert_eq!((first, second), (15, 15));
}

#[test]
fn gstreamer_is_understood() {
    let (mut receiver, path, _) = replay(golden!("gstreamer_h264_aac"), 1000);
    assert_eq!(path, "live/cam");
    assert!(receiver.is_ready(NOW));
    assert_eq!(labels(&receiver.begin().unwrap()), ["H264", "MPEG-4 Audio"]);
    assert_eq!(units(&mut receiver, 0).len(), 15);
}

#[test]
fn cut_and_flipped_captures_make_no_panic() {
    let bytes = golden!("ffmpeg9_multitrack");
    for at in (0..bytes.len()).step_by(37) {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1 << (at % 8);
        let (mut reader, mut machine, mut receiver) = (ChunkReader::new(), ServerMachine::new(), Receiver::new());
        reader.allow_media();
        reader.buffer().extend_from_slice(&damaged);
        while let Ok(Some(message)) = reader.next() {
            let mut actions = Vec::new();
            let _ = machine.message(message, &mut actions);
            for action in actions {
                match action {
                    Action::Publish { pending, .. } => machine.answer(&pending, Outcome::Accepted, &mut Vec::new()),
                    Action::Media(media) => _ = receiver.media(media, NOW),
                    _ => {}
                }
            }
        }
        receiver.begin();
        while receiver.take().is_some() {}
    }
}

fn g711(byte: u8) -> Body {
    Bytes::from(vec![0x72, byte, byte, byte]).into()
}

#[test]
fn without_metadata_tracks_are_waited_for() {
    let mut receiver = Receiver::new();
    receiver.media(Media::Audio(0, g711(1)), NOW).unwrap();
    assert!(!receiver.is_ready(NOW), "a video may come");
    assert_eq!(receiver.deadline(), Some(NOW.after(GATHER)));
    assert!(receiver.is_ready(NOW.after(GATHER)));
    assert_eq!(labels(&receiver.begin().unwrap()), ["G711"]);
}

#[test]
fn a_track_that_shows_up_late_asks_for_a_new_beginning() {
    let (mut receiver, ..) = replay(golden!("ffmpeg5_mp3"), 1000);
    receiver.begin().unwrap();
    while receiver.take().is_some() {}
    let config: Body = Bytes::from_static(&[0x17, 0, 0, 0, 0]).into();
    receiver.media(Media::Video(700, config), NOW).unwrap();
    assert!(!receiver.take_stale(), "nothing is known of it yet");
    let (other, ..) = replay(golden!("ffmpeg5_h264_aac"), 1000);
    let Some(Track { codec: Codec::H264(H264Config { sps, pps }), .. }) =
        other.lines.iter().find_map(|line| line.track())
    else {
        panic!("a video track")
    };
    let mut nals = vec![0x17, 1, 0, 0, 0];
    for nal in sps.iter().chain(&pps).map(|set| &set[..]).chain([&[0x65, 0x88, 0x84, 0][..]]) {
        nals.extend((nal.len() as u32).to_be_bytes());
        nals.extend(nal);
    }
    receiver.media(Media::Video(700, Bytes::from(nals).into()), NOW).unwrap();
    assert!(receiver.take_stale());
    assert!(receiver.take().is_none(), "units wait for the new beginning");
    assert!(receiver.is_ready(NOW));
    assert_eq!(labels(&receiver.begin().unwrap()), ["H264", "MPEG-1/2 Audio"]);
    assert_eq!(units(&mut receiver, 0).len(), 1);
}

#[test]
fn lying_lengths_cost_their_frame_only() {
    let (mut receiver, ..) = replay(golden!("ffmpeg5_h264_aac"), 1000);
    receiver.begin().unwrap();
    while receiver.take().is_some() {}
    let lying: Body = Bytes::from_static(&[0x27, 1, 0, 0, 0, 0, 0, 0x40, 0, 0x41, 1, 2]).into();
    receiver.media(Media::Video(700, lying), NOW).unwrap();
    assert_eq!((receiver.take_dropped(), receiver.take().is_none()), (1, true));
}

#[test]
fn foreign_codecs_are_named_once() {
    let mut receiver = Receiver::new();
    for _ in 0..3 {
        receiver.media(Media::Audio(0, Bytes::from_static(&[0xb2, 1, 2]).into()), NOW).unwrap();
    }
    assert_eq!((receiver.take_foreign(), receiver.take_foreign()), (Some(TagCodec::Old(11)), None));
}

#[test]
fn aggregates_are_taken_apart() {
    let mut receiver = Receiver::new();
    let part = |timestamp: u8, byte: u8| {
        [&[8, 0, 0, 4, 0, 0, timestamp, 0, 0, 0, 0][..], &[0x72, byte, byte, byte], &[0, 0, 0, 15]].concat()
    };
    let body = [part(10, 1), part(20, 2)].concat();
    receiver.media(Media::Aggregate(1000, Bytes::from(body).into()), NOW).unwrap();
    receiver.begin().unwrap();
    let micros: Vec<i64> = units(&mut receiver, 0).into_iter().map(|unit| unit.0 * 125).collect();
    assert_eq!(micros, [1_000_000, 1_010_000]);
}
