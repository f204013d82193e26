//! What ffmpeg publishes over RTMP with unusual rates, tracks and changes is what readers of RTMP and RTSP get.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use weft_proto::media::Kind;
use weft_tests::clients::packets;
use weft_tests::compare::{Timed, match_run};
use weft_tests::deadline::Deadline;
use weft_tests::process::Process;
use weft_tests::rtsp::Arrival;
use weft_tests::server::Server;
use weft_tests::{rtmp, rtsp, tools, wait};

const PATH: &str = "live/cam";

/// Milliseconds are rounded where ffmpeg sends and where Weft does.
const TOLERANCE_MICROS: i64 = 1_500;

const SOUND: &str = "-f lavfi -i anoisesrc=amplitude=0.2:seed=7:sample_rate=44100:duration=20 -c:a aac -b:a 64k";
const H264: &str = "-c:v libx264 -preset veryfast -sc_threshold 0 -pix_fmt yuv420p -b:v 300k";

/// A file that ffmpeg makes with these arguments.
fn make(folder: &Path, name: &str, arguments: &str) -> PathBuf {
    let file = folder.join(name);
    let mut ffmpeg = Command::new(tools::ffmpeg());
    ffmpeg.args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y"]).args(arguments.split(' ')).arg(&file);
    tools::run(&mut ffmpeg);
    file
}

fn publish(server: &Server, input: &[&str], file: &Path) -> Process {
    let mut ffmpeg = Command::new(tools::ffmpeg());
    ffmpeg.args(["-hide_banner", "-nostdin", "-loglevel", "warning", "-re"]).args(input).arg("-i").arg(file);
    ffmpeg.args(["-c", "copy", "-f", "flv"]).arg(server.rtmp(PATH));
    Process::start("ffmpeg publishing", ffmpeg)
}

/// Reads `count` units of a kind that follow the burst of the join, as they come.
fn read(kind: Kind, count: usize, mut next: impl FnMut(Instant) -> std::io::Result<Option<Arrival>>) -> Vec<Arrival> {
    let limit = Instant::now() + Duration::from_secs(30);
    let joined = Instant::now();
    let mut units = Vec::new();
    while units.len() < count {
        let unit = next(limit).expect("connected").expect("units in time");
        // What a join squeezes is over by then.
        if unit.kind == kind && joined.elapsed() > Duration::from_millis(1_500) {
            units.push(unit);
        }
    }
    units
}

/// Every unit is the one sent, none is missing, and its time is right against the first.
fn compare(kind: Kind, file: &Path, read: Vec<Arrival>) {
    let track = if kind == Kind::Video { "v" } else { "a" };
    let sent: Vec<Timed> = packets(file, kind).iter().map(|packet| Timed::of(track, packet)).collect();
    let read: Vec<Timed> =
        read.into_iter().map(|Arrival { bytes, micros, .. }| Timed { bytes: bytes.to_vec(), micros }).collect();
    if let Err(failure) = match_run(&sent, &read, TOLERANCE_MICROS) {
        panic!("{kind:?}: {failure}");
    }
}

fn check(arguments: &str, kinds: &[Kind], count: usize) {
    let folder = TempDir::new().unwrap();
    let file = make(folder.path(), "media.nut", arguments);
    for kind in kinds {
        let server = Server::start();
        let _publisher = publish(&server, &[], &file);
        server.wait_ready(PATH);
        let mut by_rtmp = rtmp::Player::start(server.rtmp_address(), PATH);
        let mut by_rtsp = rtsp::Player::start(server.rtsp_address(), &server.rtsp(PATH));
        let reader = std::thread::spawn({
            let kind = *kind;
            move || read(kind, count, |limit| by_rtsp.next(limit))
        });
        compare(*kind, &file, read(*kind, count, |limit| by_rtmp.next(limit)));
        compare(*kind, &file, reader.join().expect("the RTSP reader"));
    }
}

#[test]
fn sixty_frames_a_second_out_of_order() {
    let _limit = Deadline::seconds(120);
    let video = "-f lavfi -i testsrc2=size=320x240:rate=60:duration=20";
    check(&format!("{video} {SOUND} {H264} -bf 2 -g 60"), &[Kind::Video, Kind::Audio], 180);
}

#[test]
fn frames_at_irregular_times() {
    let _limit = Deadline::seconds(120);
    let video = "-f lavfi -i testsrc2=size=320x240:rate=30:duration=20,select=lt(random(1)\\,0.4)+eq(n\\,0)";
    check(&format!("{video} {SOUND} {H264} -bf 0 -g 10 -vsync vfr"), &[Kind::Video], 40);
}

#[test]
fn sound_alone() {
    let _limit = Deadline::seconds(120);
    check(SOUND, &[Kind::Audio], 150);
}

#[test]
fn pictures_alone() {
    let _limit = Deadline::seconds(120);
    let video = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=20";
    check(&format!("{video} {H264} -bf 2 -g 25"), &[Kind::Video], 75);
}

#[test]
fn another_resolution_in_the_middle() {
    let _limit = Deadline::seconds(120);
    let folder = TempDir::new().unwrap();
    let part = |name: &str, size: &str| {
        let video = format!("-f lavfi -i testsrc2=size={size}:rate=25:duration=6");
        make(folder.path(), name, &format!("{video} {H264} -bf 0 -g 25 -f mp4"))
    };
    part("small.mp4", "320x240");
    part("large.mp4", "640x480");
    let list = folder.path().join("list.txt");
    std::fs::write(&list, "file small.mp4\nfile large.mp4\n").unwrap();
    let server = Server::start();
    let _publisher = publish(&server, &["-f", "concat"], &list);
    server.wait_ready(PATH);
    let width = || server.path(PATH).map(|path| path["tracks2"][0]["codecProps"]["width"].clone());
    assert_eq!(width(), Some(320.into()));
    let readers: Vec<Process> = [(server.rtmp(PATH), &[][..]), (server.rtsp(PATH), &["-rtsp_transport", "tcp"][..])]
        .into_iter()
        .map(|(url, input)| {
            let mut ffmpeg = Command::new(tools::ffmpeg());
            ffmpeg.args(["-hide_banner", "-nostdin", "-loglevel", "info"]).args(input).args(["-i", &url]);
            ffmpeg.args(["-map", "0:v", "-vf", "showinfo", "-f", "null", "-"]);
            Process::start(format!("ffmpeg decoding {url}"), ffmpeg)
        })
        .collect();
    wait::until("the larger picture", 20, || (width() == Some(640.into())).then_some(()));
    for reader in readers {
        wait::until("both sizes to be decoded", 20, || {
            let log = reader.log();
            (log.matches(" s:320x240 ").count() > 25 && log.matches(" s:640x480 ").count() > 25).then_some(())
        });
        let log = reader.log();
        for word in ["error while decoding", "non-existing PPS", "no frame!"] {
            assert!(!log.contains(word), "{log}");
        }
    }
}

#[test]
fn high_dynamic_range_stays_what_it_is() {
    let _limit = Deadline::seconds(120);
    let server = Server::start();
    let mut ffmpeg = Command::new(tools::ffmpeg9());
    let arguments = "-hide_banner -nostdin -loglevel warning -re -f lavfi -i testsrc2=size=320x240:rate=25 \
        -c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=25 -pix_fmt yuv420p10le \
        -vf setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc -f flv";
    ffmpeg.args(arguments.split_ascii_whitespace()).arg(server.rtmp(PATH));
    let _publisher = Process::start("ffmpeg 9 publishing HDR", ffmpeg);
    server.wait_ready(PATH);
    let mut player = rtmp::Player::start(server.rtmp_address(), PATH);
    let mut said = Vec::new();
    for _ in 0..50 {
        player.video(10);
        said.extend(player.metadata());
    }
    let text = String::from_utf8_lossy(said.first().expect("metadata of the pictures")).into_owned();
    for word in ["colorInfo", "colorPrimaries", "transferCharacteristics"] {
        assert!(text.contains(word), "{text:?}");
    }
}
