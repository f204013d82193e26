use super::super::description::{self, Description};
use super::*;
use crate::media::{AacConfig, Codec, H264Config, OpusConfig, Vp9Config};
use crate::time::ClockRate;

const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\n\
a=fingerprint:sha-256 0A:1B:2C:3D:4E:5F:60:71:82:93:A4:B5:C6:D7:E8:F9:0A:1B:2C:3D:4E:5F:60:71:82:93:A4:B5:C6:D7:E8:F9\r\n";

const VIDEO: &str = "m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 102 103\r\na=mid:0\r\na=rtcp-mux\r\na=recvonly\r\n\
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\na=extmap:9 urn:nobody:knows\r\n\
a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 ccm fir\r\na=rtcp-fb:96 something\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
a=rtpmap:98 H264/90000\r\na=fmtp:98 packetization-mode=0;profile-level-id=640c1f\r\n\
a=rtpmap:99 H264/90000\r\na=fmtp:99 packetization-mode=1;profile-level-id=42e01f\r\n\
a=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=1;profile-level-id=640c1f\r\na=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\n";

const AUDIO: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 111 9 8 120\r\na=mid:1\r\na=rtcp-mux\r\na=recvonly\r\n\
a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:120 multiopus/48000/6\r\n\
a=fmtp:120 channel_mapping=0,4,1,2,3,5;coupled_streams=2;num_streams=4\r\n";

fn offer(sections: &[&str]) -> Description {
    description::parse([&[HEAD], sections].concat().concat().as_bytes()).unwrap()
}

fn h264(profile: u8) -> Track {
    let sps = vec![bytes::Bytes::from(vec![0x67, profile, 0, 31])];
    Track { codec: Codec::H264(H264Config { sps, pps: Vec::new() }), clock_rate: ClockRate::VIDEO }
}

fn sound(codec: Codec) -> Track {
    Track { codec, clock_rate: ClockRate::new(48_000).unwrap() }
}

fn opus(channels: u8) -> Track {
    sound(Codec::Opus(OpusConfig { channels }))
}

fn aac() -> Track {
    sound(Codec::Aac(AacConfig { asc: bytes::Bytes::new(), sample_rate: 48_000, channels: 2 }))
}

fn read(sections: &[&str], tracks: Vec<Track>) -> Reading {
    reading(&offer(sections), &Tracks::new(tracks).unwrap())
}

#[test]
fn a_reader_gets_each_track_under_its_own_numbers() {
    let agreed = read(&[VIDEO, AUDIO], vec![opus(2), h264(0x64)]);
    let [video, audio] = &agreed.lines[..] else { panic!("{agreed:?}") };
    assert_eq!((video.track, video.section, audio.track, audio.section), (TrackId(1), 0, TrackId(0), 1));
    assert_eq!((video.format.payload_type, video.format.repeat_type), (102, Some(103)), "the stream's own profile");
    assert_eq!(video.format.extensions.transport_sequence, Some(3));
    let media = agreed.sections[1].media.as_ref().unwrap();
    assert_eq!(media.payloads[0].fmtp, "minptime=10;stereo=1;sprop-stereo=1");
    assert!(media.sends && !media.receives && agreed.left_out.is_empty());
    assert_eq!(agreed.sections[0].media.as_ref().unwrap().extensions.len(), 1, "what is not known is left out");
}

#[test]
fn any_profile_is_better_than_none_but_not_another_mode() {
    let agreed = read(&[VIDEO], vec![h264(0x4d)]);
    assert_eq!(agreed.lines[0].format.payload_type, 99);
    let single = VIDEO.replace("packetization-mode=1", "packetization-mode=0");
    assert!(read(&[&single], vec![h264(0x4d)]).lines.is_empty());
}

#[test]
fn what_the_other_end_cannot_play_is_left_out() {
    let agreed = read(&[VIDEO, AUDIO], vec![h264(0x42), aac()]);
    assert_eq!((agreed.lines.len(), agreed.left_out), (1, vec![TrackId(1)]));
    assert_eq!(agreed.sections[1].media, None);
    let vp9 =
        Track { codec: Codec::Vp9(Vp9Config { profile: 2, ..Vp9Config::default() }), clock_rate: ClockRate::VIDEO };
    assert!(read(&[VIDEO], vec![vp9]).lines.is_empty());
}

#[test]
fn the_section_whose_way_all_others_go_is_kept_idle() {
    let agreed = read(&[VIDEO, AUDIO], vec![opus(2)]);
    assert_eq!(agreed.lines.iter().map(|line| line.section).collect::<Vec<_>>(), [1]);
    let media = agreed.sections[0].media.as_ref().unwrap();
    assert!(!media.sends && !media.receives, "{media:?}");
    assert_eq!(media.payloads[0].payload_type, 96, "what is named must have been offered");
    let refused = VIDEO.replace("m=video 9", "m=video 0");
    assert_eq!(read(&[&refused, AUDIO], vec![opus(2)]).sections[0].media, None);
}

#[test]
fn two_pictures_need_two_sections() {
    let second = VIDEO.replace("mid:0", "mid:2");
    let agreed = read(&[VIDEO, AUDIO, &second], vec![h264(0x42), h264(0x64)]);
    let places: Vec<_> = agreed.lines.iter().map(|line| (line.track.0, line.section)).collect();
    assert_eq!(places, [(0, 0), (1, 2)]);
}

#[test]
fn more_channels_are_matched_by_how_they_are_laid_out() {
    let carried = |fmtp: &str| {
        let track = crate::sdp::track_of(Kind::Audio, 96, "multiopus/48000/6", Some(fmtp));
        read(&[AUDIO], vec![track]).lines.first().map(|line| line.format.payload_type)
    };
    assert_eq!(carried("num_streams=4;coupled_streams=2;channel_mapping=0,4,1,2,3,5"), Some(120));
    assert_eq!(carried("num_streams=6;coupled_streams=0;channel_mapping=0,1,2,3,4,5"), None);
}

#[test]
fn a_publisher_sends_the_codec_that_it_wants_most() {
    let agreed = publishing(&description::parse(description::tests::PUBLISHER.as_bytes()).unwrap());
    let [audio, video] = &agreed.lines[..] else { panic!("{agreed:?}") };
    assert_eq!((audio.track.codec.label(), video.track.codec.label()), ("Opus", "VP8"));
    assert_eq!((video.source, video.repeat), (Some(2_231_627_014), Some(632_943_048)));
    assert!(video.format.nack && video.format.pli && video.format.transport_cc);
    let payloads = &agreed.sections[1].media.as_ref().unwrap().payloads;
    assert_eq!(payloads.iter().map(|payload| payload.payload_type).collect::<Vec<_>>(), [96, 97]);
}

#[test]
fn layers_are_tracks_of_their_own() {
    let agreed = publishing(&description::parse(description::tests::OTHERS.as_bytes()).unwrap());
    let layers: Vec<_> = agreed.lines.iter().map(|line| line.layer.as_deref()).collect();
    assert_eq!(layers, [Some("h"), Some("l")]);
    assert_eq!(agreed.sections[0].media.as_ref().unwrap().layers, ["h", "l"]);
    assert!(agreed.sections[1].media.is_none() && agreed.sections[2].media.is_none());
}

#[test]
fn metadata_goes_over_data_channels() {
    let klv = crate::sdp::track_of(Kind::Data, 97, "smpte336m/90000", None);
    let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\na=sctp-port:5000\r\n";
    let agreed = read(&[VIDEO, AUDIO, data], vec![klv.clone(), h264(0x42)]);
    assert_eq!((agreed.data, agreed.left_out.len()), (vec![TrackId(0)], 0));
    assert!(agreed.sections[2].media.is_some());
    let without = read(&[VIDEO, AUDIO, data], vec![h264(0x42)]);
    assert!(without.sections[2].media.is_none(), "nobody needs it");
    assert_eq!(read(&[VIDEO], vec![klv, h264(0x42)]).left_out, [TrackId(0)]);
}

#[test]
fn of_an_answer_counts_what_was_heard() {
    let answer = offer(&[&VIDEO.replace("recvonly", "sendonly"), &AUDIO.replace("recvonly", "sendonly")]);
    let came = |heard: &[u8]| -> Vec<(usize, u8)> {
        receiving(&answer, heard).iter().map(|line| (line.section, line.format.payload_type)).collect()
    };
    assert_eq!(came(&[8, 102]), [(0, 102), (1, 8)]);
    assert_eq!(came(&[99]), [(0, 99)], "no sound comes");
    assert_eq!(came(&[77]), []);
    assert_eq!(receiving(&answer, &[102])[0].format.repeat_type, Some(103));
}
