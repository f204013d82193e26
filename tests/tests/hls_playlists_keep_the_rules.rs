//! Every playlist and everything that it names, over changes of publishers, held against RFC 8216bis by a viewer that was
//! written from the document; and two viewers who start at different times see the same bytes under the same names.
//!
//! The short form takes 30 s for each kind of segments. The long one runs as long as it is told:
//!
//! ```sh
//! WEFT_HLS_MINUTES=10 cargo test -p weft-tests --test hls_playlists_keep_the_rules
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use weft_tests::clients::Client::{Ffmpeg, Ffmpeg9};
use weft_tests::clients::Way::Tcp;
use weft_tests::deadline::Deadline;
use weft_tests::hls::{Contents, Viewer};
use weft_tests::media::{Audio, Media, Video};
use weft_tests::process::Process;
use weft_tests::server::Server;
use weft_tests::{ffmpeg, wait};

/// How long each kind of segments is watched.
fn length() -> Duration {
    let minutes = std::env::var("WEFT_HLS_MINUTES").ok().and_then(|minutes| minutes.parse::<f64>().ok());
    Duration::from_secs_f64(minutes.map_or(24.0, |minutes| minutes * 60.0))
}

/// Publishers come one after the other: killed, replaced while they run, with other codecs and sizes.
fn publishers(server: &Server, variant: &str, until: Instant, stop: &AtomicBool) {
    let second = if variant == "mpegts" { Video::H264Reordered } else { Video::H265 };
    let all =
        [(Ffmpeg, Video::H264, Audio::Aac), (Ffmpeg9, second, Audio::Opus), (Ffmpeg, Video::H264Reordered, Audio::Aac)];
    let each = length() / 4;
    let mut running: Option<Process> = None;
    for (index, (client, video, audio)) in all.into_iter().cycle().enumerate() {
        if Instant::now() + Duration::from_secs(3) > until && index >= all.len() {
            break;
        }
        // Every other one takes over from one that still runs.
        if index % 2 == 1 {
            running = None;
        }
        let next = client.publish_for_ever(server, Tcp, "cam", Media::new(video, audio));
        let end = Instant::now() + each.min(Duration::from_secs(150));
        while Instant::now() < end && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(running.replace(next));
    }
    // The last one stays while anybody watches.
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn watch(server: &Server, contents: &Contents, until: Instant) -> (usize, usize, usize) {
    let mut viewer = Viewer::join(server.hls_address(), "cam", contents);
    while Instant::now() < until {
        viewer.step();
        viewer.check_delta();
    }
    (viewer.segments, viewer.parts, viewer.discontinuities)
}

fn run(variant: &str) {
    let _deadline = Deadline::seconds(length().as_secs() + 120);
    let server = Server::with(&format!("hlsVariant: {variant}"));
    let (until, stop, contents) = (Instant::now() + length(), AtomicBool::new(false), Contents::default());
    // Unwinding out of the scope would wait for the publishers.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    std::thread::scope(|scope| {
        scope.spawn(|| publishers(&server, variant, until, &stop));
        let _stop = Stop(&stop);
        server.wait_ready("cam");
        let late = scope.spawn(|| {
            let begin = Instant::now() + length() / 3;
            wait::until("a third of the time", 3_600, || (Instant::now() > begin).then_some(()));
            watch(&server, &contents, until)
        });
        let (segments, parts, discontinuities) = watch(&server, &contents, until);
        let (late_segments, ..) = late.join().expect("the second viewer has seen nothing wrong");
        assert!(segments as u64 >= length().as_secs() / 2, "only {segments} segments");
        // Each looks for the last time by itself, and one segment may come between.
        assert!(late_segments > 4 && late_segments <= segments + 1, "{late_segments} of {segments}");
        assert!(discontinuities >= 2, "only {discontinuities} changes of the publisher");
        assert_eq!(parts > 0, variant == "lowLatency");
    });
}

/// The keyframes of a publisher are 12 s apart all at once: the target duration stays what it was.
fn run_growing(variant: &str) {
    let _deadline = Deadline::seconds(120);
    let server = Server::with(&format!("hlsVariant: {variant}"));
    let _publisher = ffmpeg::publish_growing(&server, "cam", 8);
    server.wait_ready("cam");
    let begin = Instant::now();
    let mut viewer = Viewer::join(server.hls_address(), "cam", &Contents::default());
    while begin.elapsed() < Duration::from_secs(32) {
        viewer.step();
        viewer.check_delta();
    }
    assert!(viewer.segments >= 14, "only {} segments: long groups were not cut", viewer.segments);
    assert!(variant != "lowLatency" || viewer.dependent > 4, "only {} cuts in groups", viewer.dependent);
    assert_eq!(viewer.discontinuities, 0);
}

#[test]
fn of_low_latency_when_groups_grow() {
    run_growing("lowLatency");
}

#[test]
fn of_transport_streams_when_groups_grow() {
    run_growing("mpegts");
}

#[test]
fn of_low_latency() {
    run("lowLatency");
}

#[test]
fn of_fragmented_mp4() {
    run("fmp4");
}

#[test]
fn of_transport_streams() {
    run("mpegts");
}
