//! What a source's playlist puts together from different pieces comes out as one stream, whatever protocol it is read by: times
//! go forward, and players go on.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use weft_proto::media::Kind;
use weft_tests::deadline::Deadline;
use weft_tests::hls::{Contents, Viewer};
use weft_tests::media::{Audio, FRAME_RATE, Media, QUIET, Video};
use weft_tests::origin::Origin;
use weft_tests::process::Process;
use weft_tests::rtsp::Arrival;
use weft_tests::server::Server;
use weft_tests::{rtmp, rtsp, tools, wait};

const FILM: Media = Media::new(Video::H264, Audio::Aac);

/// Another size, and so other parameters.
const LARGE: Media = FILM.with_kilobits(2_000);

/// An advertisement with another codec.
const OTHER_VIDEO: Media = Media::new(Video::H265, Audio::Aac);

const OTHER_AUDIO: Media = Media::new(Video::H264, Audio::Mp3);

/// A part of a file: its seconds from and to. A segment is a second long.
type Piece = (Media, u32, u32);

/// Makes a playlist of pieces, with a discontinuity between each two.
fn write(origin: &Origin, pieces: &[Piece], is_fragmented: bool) {
    let mut playlist = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n#EXT-X-PLAYLIST-TYPE:VOD\n".to_owned();
    for (number, (media, from, to)) in pieces.iter().enumerate() {
        let folder = media.to_string();
        let (ending, more) = if is_fragmented {
            ("m4s", "-hls_segment_type fmp4 -hls_fmp4_init_filename init.mp4 ")
        } else {
            ("ts", "")
        };
        if !origin.file(&folder).is_dir() {
            std::fs::create_dir(origin.file(&folder)).expect("make a folder");
            let kind = "-t 20 -hls_playlist_type vod";
            origin.mux_once(
                *media,
                &format!("{kind} {more}-hls_segment_filename {folder}/%d.{ending} {folder}/own.m3u8"),
            );
        }
        if number > 0 {
            playlist += "#EXT-X-DISCONTINUITY\n";
        }
        if is_fragmented {
            playlist += &format!("#EXT-X-MAP:URI=\"{folder}/init.mp4\"\n");
        }
        (*from..*to).for_each(|number| playlist += &format!("#EXTINF:1.0,\n{folder}/{number}.{ending}\n"));
    }
    std::fs::write(origin.file("index.m3u8"), playlist + "#EXT-X-ENDLIST\n").expect("write the playlist");
}

/// A node that pulls it while somebody reads.
fn node(origin: &Origin) -> Server {
    let keys = "sourceOnDemand: yes, sourceOnDemandCloseAfter: 500ms";
    Server::with_paths("", &format!("  film: {{source: '{}', {keys}}}\n", origin.url("index.m3u8")))
}

/// What a reader saw.
struct Seen {
    who: &'static str,
    video: Vec<Arrival>,
    audio: Vec<Arrival>,
}

impl Seen {
    /// Takes units for so long.
    fn of(who: &'static str, seconds: u32, mut next: impl FnMut(Instant) -> Option<Arrival>) -> Self {
        let mut seen = Self { who, video: Vec::new(), audio: Vec::new() };
        let end = Instant::now() + Duration::from_secs(seconds.into());
        while let Some(unit) = next(end) {
            if unit.kind == Kind::Video { &mut seen.video } else { &mut seen.audio }.push(unit);
        }
        seen
    }

    /// Times go forward, by no more than this; and what a second has comes.
    fn check(&self, pieces: &[(&[Arrival], u32, i64)]) {
        for (units, seconds, most) in pieces {
            let steps = units.windows(2).map(|pair| pair[1].micros - pair[0].micros);
            let (least, longest) = (steps.clone().min().unwrap_or(0), steps.max().unwrap_or(0));
            assert!(least > 0 && longest <= *most, "{}: steps from {least} to {longest} µs", self.who);
            let all = (seconds * FRAME_RATE) as usize;
            assert!(units.len() >= all * 9 / 10, "{}: {} units of {all}", self.who, units.len());
        }
    }
}

/// ffmpeg, which decodes what it reads: each picture is a line of this file.
struct Decoder {
    process: Process,
    folder: TempDir,
}

impl Decoder {
    fn start(options: &[&str], url: &str) -> Self {
        let folder = TempDir::new().expect("make a temporary folder");
        let mut ffmpeg = Command::new(tools::ffmpeg9());
        ffmpeg.args(QUIET).args(options).args(["-i", url, "-map", "0:v:0", "-fps_mode", "passthrough"]);
        ffmpeg.args(["-vf", "scale=320:240", "-flush_packets", "1", "-f", "framecrc"]).arg(folder.path().join("seen"));
        Self { process: Process::start(format!("ffmpeg decoding {url}"), ffmpeg), folder }
    }

    /// Waits for so many pictures, which are all different and have times that go forward.
    fn check(&self, seconds: u32) {
        let wanted = (seconds * FRAME_RATE) as usize;
        let what = || format!("{wanted} pictures, not {}:\n{}", times(self.folder.path()).0.len(), self.process.log());
        wait::until(std::fmt::from_fn(|f| f.write_str(&what())), 40, || {
            (times(self.folder.path()).0.len() >= wanted).then_some(())
        });
        let (times, pictures) = times(self.folder.path());
        // The first ones are squeezed into a moment, and times are rounded to those of the frame rate.
        assert!(times.windows(2).all(|pair| pair[1] >= pair[0]), "{times:?}");
        let later = &times[FRAME_RATE as usize..];
        assert!(later.windows(2).all(|pair| pair[1] > pair[0]), "{later:?}");
        assert!(pictures.len() * 10 >= times.len() * 9, "{} of {} pictures differ", pictures.len(), times.len());
    }
}

/// Times and checksums of pictures.
fn times(folder: &Path) -> (Vec<i64>, BTreeSet<String>) {
    let text = std::fs::read_to_string(folder.join("seen")).unwrap_or_default();
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = complete.lines().filter(|line| !line.starts_with('#'));
    let fields = lines.map(|line| line.split(',').map(|field| field.trim().to_owned()).collect::<Vec<_>>());
    fields.filter_map(|fields| Some((fields.get(2)?.parse::<i64>().ok()?, fields.get(5)?.clone()))).unzip()
}

/// Lets readers of all kinds read for so long; says what they saw, and how many discontinuities a viewer of HLS.
fn read(node: &Server, seconds: u32) -> ([Seen; 2], usize) {
    std::thread::scope(|scope| {
        let over_rtsp = scope.spawn(|| {
            let mut player = rtsp::Player::start(node.rtsp_address(), &node.rtsp("film"));
            Seen::of("RTSP", seconds, |limit| player.next(limit).expect("connected"))
        });
        let over_rtmp = scope.spawn(|| {
            let mut player = rtmp::Player::start(node.rtmp_address(), "film");
            Seen::of("RTMP", seconds, |limit| player.next(limit).expect("connected"))
        });
        let mut viewer = Viewer::join(node.hls_address(), "film", &Contents::default());
        let end = Instant::now() + Duration::from_secs(seconds.into());
        while Instant::now() < end {
            viewer.step();
        }
        let seen = [over_rtsp, over_rtmp].map(|reader| reader.join().expect("a reader of a path that goes on"));
        (seen, viewer.discontinuities)
    })
}

/// Times jump, parameters and sizes change.
const CUTS: &[Piece] = &[(FILM, 0, 6), (FILM, 10, 13), (LARGE, 0, 3), (FILM, 13, 17)];

fn cuts_are_crossed(is_fragmented: bool) {
    let origin = Origin::start();
    write(&origin, CUTS, is_fragmented);
    let node = node(&origin);
    let decoders = [
        Decoder::start(&["-rtsp_transport", "tcp"], &node.rtsp("film")),
        Decoder::start(&[], &node.rtmp("film")),
        Decoder::start(&[], &node.hls("film")),
    ];
    let (seen, discontinuities) = read(&node, 15);
    for seen in &seen {
        seen.check(&[(&seen.video, 13, 100_000), (&seen.audio, 13, 200_000)]);
    }
    assert!(discontinuities >= 2, "{discontinuities} discontinuities, of two changes of parameters");
    decoders.iter().for_each(|decoder| decoder.check(12));
}

#[test]
fn cuts_in_transport_streams_are_crossed() {
    let _limit = Deadline::seconds(120);
    cuts_are_crossed(false);
}

#[test]
fn cuts_in_fragmented_mp4_are_crossed() {
    let _limit = Deadline::seconds(120);
    cuts_are_crossed(true);
}

#[test]
fn advertisements_of_other_codecs_are_crossed() {
    let _limit = Deadline::seconds(120);
    for is_fragmented in [false, true] {
        let origin = Origin::start();
        let pieces = [(FILM, 0, 6), (OTHER_VIDEO, 0, 3), (FILM, 6, 10), (OTHER_AUDIO, 14, 17), (FILM, 10, 14)];
        write(&origin, &pieces, is_fragmented);
        let node = node(&origin);
        let decoder = Decoder::start(&["-rtsp_transport", "tcp"], &node.rtsp("film"));
        let (seen, discontinuities) = read(&node, 18);
        for seen in &seen {
            // What a reader was not told of is left out: pictures of one, sound of the other.
            seen.check(&[(&seen.video, 13, 4_000_000), (&seen.audio, 13, 4_000_000)]);
        }
        assert!(discontinuities >= 4, "{discontinuities} discontinuities, of four changes of codecs");
        decoder.check(12);
    }
}
