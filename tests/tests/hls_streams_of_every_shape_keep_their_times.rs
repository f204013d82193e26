//! What ffmpeg publishes with unusual rates, tracks and changes is what it reads over HLS, in each kind of segments.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use weft_tests::clients::record_track;
use weft_tests::compare::{Timed, match_run};
use weft_tests::deadline::Deadline;
use weft_tests::media::QUIET;
use weft_tests::process::Process;
use weft_tests::server::Server;
use weft_tests::{recording, tools, wait};

/// Transport streams round to 90 kHz, playlists to milliseconds.
const TOLERANCE_MICROS: i64 = 1_500;

const ALL: &[&str] = &["mpegts", "fmp4", "lowLatency"];
const H264: &str = "-c:v libx264 -preset veryfast -sc_threshold 0 -pix_fmt yuv420p -b:v 300k";

/// Noise that is another with each seed.
fn sound(seed: u32) -> String {
    format!("-f lavfi -i anoisesrc=amplitude=0.2:seed={seed}:sample_rate=48000:duration=30")
}

/// A file that ffmpeg makes with these arguments.
fn make(folder: &Path, name: &str, arguments: &str) -> PathBuf {
    let file = folder.join(name);
    tools::run(Command::new(tools::ffmpeg()).args(QUIET).args(arguments.split(' ')).arg(&file));
    file
}

fn publish(server: &Server, file: &Path) -> Process {
    let mut ffmpeg = Command::new(tools::ffmpeg());
    ffmpeg.args(QUIET).arg("-re").arg("-i").arg(file).args(["-map", "0", "-c", "copy"]);
    ffmpeg.args(["-f", "rtsp", "-rtsp_transport", "tcp"]).arg(server.rtsp("cam"));
    Process::start("ffmpeg publishing", ffmpeg)
}

/// Publishes `file`; of each of `tracks` (as ffmpeg names them) so many packets read over HLS must be a run of those sent.
fn check(file: &Path, variants: &[&str], tracks: &[&str], count: usize) {
    for variant in variants {
        let server = Server::with(&format!("hlsVariant: {variant}"));
        let mut publisher = publish(&server, file);
        server.wait_ready("cam");
        let folder = TempDir::new().unwrap();
        let mut ffmpeg = Command::new(tools::ffmpeg());
        ffmpeg.args(QUIET).args(["-err_detect", "explode", "-i"]).arg(server.hls("cam"));
        for track in tracks {
            record_track(&mut ffmpeg, folder.path(), track);
        }
        let mut reader = Process::start(format!("ffmpeg reading {variant}"), ffmpeg);
        let read = |track: &str| recording::track(folder.path(), track);
        wait::until(format!("{count} packets of {tracks:?} as {variant}"), 40, || {
            reader.assert_running();
            tracks.iter().all(|track| read(track).len() > count).then_some(())
        });
        for track in tracks {
            let read: Vec<Timed> = read(track).iter().map(|packet| Timed::of(track, packet)).collect();
            let folder = TempDir::new().unwrap();
            let mut ffmpeg = Command::new(tools::ffmpeg());
            record_track(ffmpeg.args(QUIET).arg("-i").arg(file), folder.path(), track);
            tools::run(&mut ffmpeg);
            let sent: Vec<Timed> =
                recording::track(folder.path(), track).iter().map(|packet| Timed::of(track, packet)).collect();
            if let Err(failure) = match_run(&sent, &read[..count], TOLERANCE_MICROS) {
                panic!("{track} as {variant}: {failure}");
            }
        }
        publisher.assert_running();
    }
}

fn check_made(arguments: &str, variants: &[&str], tracks: &[&str], count: usize) {
    let _limit = Deadline::seconds(200);
    let folder = TempDir::new().unwrap();
    check(&make(folder.path(), "media.nut", arguments), variants, tracks, count);
}

#[test]
fn several_sounds() {
    let video = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=30";
    let maps = "-map 0 -map 1 -map 2 -c:a aac -b:a 64k";
    let arguments = format!("{video} {} {} {maps} {H264} -bf 0 -g 25", sound(7), sound(8));
    check_made(&arguments, &["fmp4", "lowLatency"], &["v", "a:0", "a:1"], 120);
}

#[test]
fn sound_alone() {
    check_made(&format!("{} -c:a aac -b:a 64k", sound(7)), ALL, &["a:0"], 200);
}

#[test]
fn pictures_alone_and_out_of_order() {
    let video = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=30";
    check_made(&format!("{video} {H264} -bf 2 -g 25"), ALL, &["v"], 120);
}

#[test]
fn sixty_frames_a_second_out_of_order() {
    let video = "-f lavfi -i testsrc2=size=320x240:rate=60:duration=30";
    let arguments = format!("{video} {} -c:a aac -b:a 64k {H264} -bf 2 -g 60", sound(7));
    check_made(&arguments, ALL, &["v", "a:0"], 240);
}

#[test]
fn frames_at_irregular_times() {
    let video = "-f lavfi -i testsrc2=size=320x240:rate=30:duration=30,select=lt(random(1)\\,0.4)+eq(n\\,0)";
    let arguments = format!("{video} {} -c:a aac -b:a 64k {H264} -bf 0 -g 10 -vsync vfr", sound(7));
    check_made(&arguments, ALL, &["v", "a:0"], 60);
}

#[test]
fn another_resolution_in_the_middle() {
    let _limit = Deadline::seconds(200);
    let folder = TempDir::new().unwrap();
    let part = |name: &str, size: &str| {
        let video = format!("-f lavfi -i testsrc2=size={size}:rate=25:duration=8");
        make(folder.path(), name, &format!("{video} {H264} -bf 0 -g 25 -f mpegts"));
    };
    part("small.ts", "320x240");
    part("large.ts", "640x480");
    part("small-again.ts", "320x240");
    let list = folder.path().join("list.txt");
    std::fs::write(&list, "file small.ts\nfile large.ts\nfile small-again.ts\n").unwrap();
    let joined = make(folder.path(), "joined.nut", &format!("-f concat -i {} -c copy", list.display()));
    // 8 s are 200 frames: some of each size are among those read.
    check(&joined, ALL, &["v"], 330);
}
