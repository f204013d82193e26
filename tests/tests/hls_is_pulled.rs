//! What a node pulls over HLS is what the origin has, whatever way its playlists and segments are written.

use std::time::Duration;

use weft_tests::clients::Client::Ffmpeg;
use weft_tests::clients::Way::Tcp;
use weft_tests::deadline::Deadline;
use weft_tests::media::{Audio, Media, Video};
use weft_tests::origin::Origin;
use weft_tests::pulled::{WITHIN, assert_unaltered};
use weft_tests::server::Server;
use weft_tests::wait;

/// Ways of ffmpeg's muxer to write the same media: name, options. A playlist of one file is to list all of it: when it is
/// cut ffmpeg does not count on the number of the first segment.
type Ways<'a> = &'a [(&'a str, &'a str)];

/// Pulls what each way writes, and holds what readers get against the original.
fn comes_unaltered(media: Media, ways: Ways<'_>) {
    let origin = Origin::start();
    std::fs::write(origin.file("key"), [7; 16]).expect("write a key");
    std::fs::write(origin.file("key.info"), "../key\nkey\n").expect("write what the muxer wants to know of it");
    let mut paths = String::new();
    let _muxers: Vec<_> = ways
        .iter()
        .map(|(name, options)| {
            std::fs::create_dir(origin.file(name)).expect("make a folder");
            let options = options.replace("{}", name);
            paths += &format!("  {name}: {{source: '{}'}}\n", origin.url(&format!("{name}/index.m3u8")));
            origin.mux(media, &options)
        })
        .collect();
    for (name, _) in ways {
        let segments = origin.file(name).join("index.m3u8");
        wait::until(format_args!("{name} to be there"), 30, || segments.is_file().then_some(()));
    }
    let node = Server::with_paths("", &paths);
    assert_unaltered(&node, media, &ways.iter().map(|(name, _)| (*name, WITHIN)).collect::<Vec<_>>());
    let (name, _) = ways[0];
    let path = node.path(name).expect("it lives");
    assert_eq!((&path["source"]["type"], &path["source"]["id"]), (&"hlsSource".into(), &"".into()));
}

#[test]
fn transport_streams_come_unaltered() {
    let _limit = Deadline::seconds(120);
    comes_unaltered(
        Media::new(Video::H264, Audio::Aac),
        &[
            ("plain", "-hls_segment_filename {}/%d.ts -hls_flags delete_segments {}/index.m3u8"),
            ("ranges", "-hls_list_size 0 -hls_flags single_file -hls_segment_filename {}/all.ts {}/index.m3u8"),
            (
                "apart",
                "-map 0:v -map 0:a -b:v 300k -b:a 64k -var_stream_map v:0,agroup:a~a:0,agroup:a -master_pl_name index.m3u8 -hls_flags delete_segments -hls_segment_filename {}/%v_%d.ts {}/%v.m3u8",
            ),
            ("secret", "-hls_key_info_file key.info -hls_segment_filename {}/%d.ts {}/index.m3u8"),
        ],
    );
}

#[test]
fn pictures_out_of_order_keep_their_times() {
    let _limit = Deadline::seconds(120);
    let options = "-hls_segment_filename {}/%d.ts -hls_flags delete_segments+program_date_time {}/index.m3u8";
    comes_unaltered(Media::new(Video::H264Reordered, Audio::Mp3), &[("reordered", options)]);
}

#[test]
fn fragmented_mp4_comes_unaltered() {
    let _limit = Deadline::seconds(120);
    comes_unaltered(
        Media::new(Video::H264, Audio::Aac),
        &[
            (
                "plain",
                "-hls_segment_type fmp4 -hls_segment_filename {}/%d.m4s -hls_flags delete_segments {}/index.m3u8",
            ),
            (
                "ranges",
                "-hls_segment_type fmp4 -hls_list_size 0 -hls_flags single_file -hls_segment_filename {}/all.mp4 {}/index.m3u8",
            ),
            (
                "apart",
                "-map 0:v -map 0:a -b:v 300k -b:a 64k -var_stream_map v:0,agroup:a~a:0,agroup:a -master_pl_name index.m3u8 -hls_segment_type fmp4 -hls_flags delete_segments -hls_segment_filename {}/%v_%d.m4s -hls_fmp4_init_filename init_%v.mp4 {}/%v.m3u8",
            ),
        ],
    );
}

#[test]
fn other_codecs_come_unaltered_in_fragmented_mp4() {
    let _limit = Deadline::seconds(180);
    let options = "-hls_segment_type fmp4 -hls_segment_filename {}/%d.m4s -hls_flags delete_segments {}/index.m3u8";
    for (video, audio) in [
        (Video::H265, Audio::Opus),
        (Video::H264Reordered, Audio::Aac),
        (Video::Vp9, Audio::Opus),
        (Video::Av1, Audio::Opus),
    ] {
        let name = format!("{video:?}");
        comes_unaltered(Media::new(video, audio), &[(&name, options)]);
    }
}

#[test]
fn our_own_playlists_are_pulled() {
    let _limit = Deadline::seconds(120);
    let media = Media::new(Video::H264, Audio::Aac);
    for variant in ["lowLatency", "fmp4"] {
        let origin = Server::with(&format!("hlsVariant: {variant}\n"));
        let _publisher = Ffmpeg.publish_for_ever(&origin, Tcp, "live/cam", media);
        origin.wait_ready("live/cam");
        let node = Server::with_paths("", &format!("  cam: {{source: '{}'}}\n", origin.hls("live/cam")));
        assert_unaltered(&node, media, &[("cam", WITHIN)]);
    }
}

#[test]
fn our_own_transport_streams_are_pulled_encrypted() {
    let _limit = Deadline::seconds(120);
    let media = Media::new(Video::H264, Audio::Aac);
    let origin = Server::with("hlsVariant: mpegts\nhlsEncryption: yes\n");
    let _publisher = Ffmpeg.publish_for_ever(&origin, Tcp, "live/cam", media);
    origin.wait_ready("live/cam");
    let url = origin.hls("live/cam").replace("http:", "https:");
    let (print, other) = (origin.fingerprint(), "0".repeat(64));
    let node = Server::with_paths(
        "",
        &format!(
            "  cam: {{source: '{url}', sourceFingerprint: {print}}}\n\
             \x20 other: {{source: '{url}', sourceFingerprint: {other}}}\n"
        ),
    );
    assert_unaltered(&node, media, &[("cam", WITHIN)]);
    assert!(node.process.log().contains("which `sourceFingerprint` does not say"));
    assert_eq!(node.path("other").expect("it is listed")["ready"], false);
}

#[test]
fn an_origin_that_went_away_is_pulled_again() {
    let _limit = Deadline::seconds(120);
    let media = Media::new(Video::H264, Audio::Aac);
    let origin = Origin::with_login("me:p@ss");
    let _muxer = origin.mux(media, "-hls_flags delete_segments -hls_segment_filename %d.ts index.m3u8");
    wait::until("a playlist", 30, || origin.file("index.m3u8").is_file().then_some(()));
    let node = Server::with_paths(
        "readTimeout: 2s\n",
        &format!(
            "  cam: {{source: '{}'}}\n  wrong: {{source: '{}'}}\n  none: {{source: '{}'}}\n",
            origin.url_for("me:p%40ss", "moved/index.m3u8?a=b"),
            origin.url_for("me:guess", "index.m3u8"),
            origin.url_for("me:p%40ss", "nothing.m3u8"),
        ),
    );
    node.wait_ready("cam");
    node.wait_log(&["401 Unauthorized", "wrong user or password"]);
    node.wait_log(&["404 Not Found"]);
    assert!(origin.asked().iter().any(|asked| asked == "moved/index.m3u8?a=b"));
    origin.turn_off();
    wait::until("the path not to be online", 40, || {
        let path = node.path("cam")?;
        (path["online"] == false && path["source"]["type"] == "hlsSource").then_some(())
    });
    origin.turn_on();
    wait::until("it to be online again", 20, || (node.path("cam")?["online"] == true).then_some(()));
    let log = node.process.log();
    assert!(!log.contains("p%40ss") && !log.contains("guess"), "passwords stay out of the log");
}

#[test]
fn a_playlist_that_ends_is_played_at_its_own_pace() {
    let _limit = Deadline::seconds(120);
    let media = Media::new(Video::H264, Audio::Aac);
    let origin = Origin::start();
    origin.mux_once(media, "-t 4 -hls_playlist_type vod -hls_segment_filename %d.ts index.m3u8");
    let node = Server::with_paths("", &format!("  film: {{source: '{}'}}\n", origin.url("index.m3u8")));
    node.wait_ready("film");
    let begun = std::time::Instant::now();
    node.wait_log(&["the playlist has ended"]);
    let lasted = begun.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(8)).contains(&lasted), "{lasted:?}");
    wait::until("it to be pulled again", 20, || (node.path("film")?["online"] == true).then_some(()));
}
