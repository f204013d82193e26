//! What ffmpeg and GStreamer publish is what ffmpeg reads over HLS, byte for byte and at the same times, in each kind of
//! segments. Errors in transport streams are failures: ffmpeg is told to explode.

use weft_tests::clients::Client::{Ffmpeg, Ffmpeg9, GStreamer};
use weft_tests::clients::Way::{Rtmp, Tcp};
use weft_tests::clients::{Client, Way, contents};
use weft_tests::compare::{Tolerance, compare};
use weft_tests::deadline::Deadline;
use weft_tests::media::{Audio, Media, Video};
use weft_tests::server::Server;

/// RTMP has an application and a stream in it.
const PATH: &str = "live/case";

/// Seconds that each reader records.
const RECORDED_SECONDS: u32 = 6;

fn run(publisher: Client, video: Video, audio: Audio, variants: &[&str], readers: &[Client]) {
    run_over(Tcp, publisher, video, audio, variants, readers);
}

/// `way`: how the publisher's media comes.
fn run_over(way: Way, publisher: Client, video: Video, audio: Audio, variants: &[&str], readers: &[Client]) {
    let _deadline = Deadline::seconds(60 + 60 * variants.len() as u64);
    let media = Media::new(video, audio);
    let original = contents(&if publisher == GStreamer { media.matroska() } else { media.nut() });
    for variant in variants {
        let server = Server::with(&format!("hlsVariant: {variant}"));
        let mut publishing = publisher.publish(&server, way, PATH, media);
        server.wait_ready(PATH);
        if way == Tcp {
            server.wait_log(&["sender reports tie all tracks together"]);
        }
        let captures: Vec<_> = readers.iter().map(|reader| (*reader, reader.capture_hls(&server, PATH))).collect();
        for (reader, capture) in captures {
            let read = capture.finish(RECORDED_SECONDS);
            let offset = if publisher == GStreamer { 5_000 } else { 1_000 };
            if let Err(failure) = compare(media, &original, &read, Tolerance { track: 1_500, offset }) {
                panic!("{publisher:?} to {reader:?} as {variant}: {failure}");
            }
        }
        publishing.assert_running();
    }
}

const ALL: &[&str] = &["mpegts", "fmp4", "lowLatency"];
const MP4: &[&str] = &["fmp4", "lowLatency"];

#[test]
fn h264_and_aac_over_hls() {
    run(Ffmpeg, Video::H264, Audio::Aac, ALL, &[Ffmpeg, Ffmpeg9]);
}

#[test]
fn h264_out_of_order_over_hls() {
    run(Ffmpeg9, Video::H264Reordered, Audio::Aac, ALL, &[Ffmpeg, Ffmpeg9]);
}

#[test]
fn h264_out_of_order_from_gstreamer_over_hls() {
    run(GStreamer, Video::H264Reordered, Audio::Aac, &["mpegts", "lowLatency"], &[Ffmpeg9]);
}

#[test]
fn h265_and_opus_over_hls() {
    run(Ffmpeg, Video::H265, Audio::Opus, ALL, &[Ffmpeg9]);
}

#[test]
fn h264_and_latm_over_hls() {
    run(Ffmpeg, Video::H264, Audio::Latm, MP4, &[Ffmpeg, Ffmpeg9]);
}

#[test]
fn h264_and_latm_from_gstreamer_over_hls() {
    run(GStreamer, Video::H264, Audio::Latm, MP4, &[Ffmpeg9]);
}

#[test]
fn h264_and_mp3_over_hls() {
    run(Ffmpeg, Video::H264, Audio::Mp3, ALL, &[Ffmpeg9]);
}

#[test]
fn h264_and_ac3_over_hls() {
    run(GStreamer, Video::H264, Audio::Ac3, ALL, &[Ffmpeg9]);
}

#[test]
fn vp9_and_opus_over_hls() {
    run(Ffmpeg, Video::Vp9, Audio::Opus, MP4, &[Ffmpeg9]);
}

#[test]
fn av1_and_opus_over_hls() {
    run(Ffmpeg9, Video::Av1, Audio::Opus, MP4, &[Ffmpeg9]);
}

#[test]
fn h264_and_aac_from_rtmp_over_hls() {
    run_over(Rtmp, Ffmpeg, Video::H264Reordered, Audio::Aac, ALL, &[Ffmpeg, Ffmpeg9]);
}

#[test]
fn h264_and_aac_from_gstreamers_rtmp_over_hls() {
    run_over(Rtmp, GStreamer, Video::H264, Audio::Aac, &["lowLatency"], &[Ffmpeg9]);
}

#[test]
fn h265_and_opus_from_enhanced_rtmp_over_hls() {
    run_over(Rtmp, Ffmpeg9, Video::H265, Audio::Opus, MP4, &[Ffmpeg9]);
}

#[test]
fn av1_and_opus_from_enhanced_rtmp_over_hls() {
    run_over(Rtmp, Ffmpeg9, Video::Av1, Audio::Opus, &["lowLatency"], &[Ffmpeg9]);
}
