//! What ffmpeg and GStreamer publish is what ffmpeg and GStreamer read, byte for byte and at the same times.
//!
//! Each test publishes one file with one client and lets three clients record it at once, each over another transport.
//! Together they go through every publisher, reader, transport and codec; `CLIENTS.md` is their table.

use weft_tests::clients::Client::{Ffmpeg, Ffmpeg9, GStreamer};
use weft_tests::clients::Way::{Rtmp, Rtmps, Tcp, Tls, Udp};
use weft_tests::clients::{Client, Way, contents};
use weft_tests::compare::{Tolerance, compare};
use weft_tests::deadline::Deadline;
use weft_tests::media::{Audio, Media, Video};
use weft_tests::server::Server;

/// One stream and its readers.
struct Case {
    publisher: (Client, Way),
    video: Video,
    audio: Audio,
    readers: &'static [(Client, Way)],
}

/// Seconds that each reader records.
const RECORDED_SECONDS: u32 = 6;

macro_rules! cases {
    ($($name:ident: $client:ident over $way:ident, $video:ident + $audio:ident => $($reader:ident $by:ident),+;)+) => {
        const CASES: &[(&str, Case)] = &[$((stringify!($name), Case {
            publisher: ($client, $way),
            video: Video::$video,
            audio: Audio::$audio,
            readers: &[$(($reader, $by)),+],
        })),+];
        $(#[test] fn $name() { run(stringify!($name)); })+
    };
}

cases! {
    h264_and_aac: Ffmpeg over Tls, H264 + Aac => Ffmpeg Udp, Ffmpeg9 Tcp, GStreamer Tls;
    h264_out_of_order_and_aac: Ffmpeg over Tcp, H264Reordered + Aac => Ffmpeg Tcp, Ffmpeg9 Udp, GStreamer Tcp;
    h264_out_of_order_and_aac_from_ffmpeg_9: Ffmpeg9 over Udp, H264Reordered + Aac => Ffmpeg Tls, Ffmpeg9 Tls, GStreamer Udp;
    h264_out_of_order_and_aac_from_gstreamer: GStreamer over Tls, H264Reordered + Aac => Ffmpeg Tcp, Ffmpeg9 Tls, GStreamer Tcp;
    h265_and_opus: Ffmpeg over Udp, H265 + Opus => Ffmpeg Tls, Ffmpeg9 Udp, GStreamer Tcp;
    h265_and_opus_from_ffmpeg_9: Ffmpeg9 over Tls, H265 + Opus => Ffmpeg Udp, Ffmpeg9 Tcp, GStreamer Tls;
    h265_and_opus_from_gstreamer: GStreamer over Udp, H265 + Opus => Ffmpeg Tcp, Ffmpeg9 Tls, GStreamer Udp;
    vp8_and_g711_u_law: Ffmpeg over Tcp, Vp8 + Pcmu => Ffmpeg Udp, Ffmpeg9 Tcp, GStreamer Tls;
    vp8_and_ac3_from_gstreamer: GStreamer over Tcp, Vp8 + Ac3 => Ffmpeg Tls, Ffmpeg9 Udp, GStreamer Tcp;
    vp9_and_g711_a_law: Ffmpeg9 over Tcp, Vp9 + Pcma => Ffmpeg Tcp, Ffmpeg9 Tls, GStreamer Udp;
    vp9_and_opus: Ffmpeg over Udp, Vp9 + Opus => Ffmpeg Udp, Ffmpeg9 Udp, GStreamer Tls;
    av1_and_opus: Ffmpeg9 over Tcp, Av1 + Opus => Ffmpeg9 Tcp, Ffmpeg9 Udp, Ffmpeg9 Tls;
    av1_and_aac: Ffmpeg9 over Udp, Av1 + Aac => Ffmpeg9 Udp;
    h264_and_mp3: Ffmpeg over Udp, H264 + Mp3 => Ffmpeg Tcp, Ffmpeg9 Udp, GStreamer Tcp;
    h264_and_mp3_from_gstreamer: GStreamer over Tcp, H264 + Mp3 => Ffmpeg Udp, Ffmpeg9 Tcp, GStreamer Udp;
    h264_and_latm: Ffmpeg over Tcp, H264 + Latm => Ffmpeg Udp, Ffmpeg9 Tcp, GStreamer Tls;
    h264_and_latm_from_gstreamer: GStreamer over Udp, H264 + Latm => Ffmpeg Tcp, Ffmpeg9 Udp, GStreamer Tcp;
    h264_and_ac3_from_gstreamer: GStreamer over Udp, H264 + Ac3 => Ffmpeg Udp, Ffmpeg9 Tls, GStreamer Tls;
    rtmp_h264_out_of_order_and_aac: Ffmpeg over Rtmp, H264Reordered + Aac => Ffmpeg Rtmp, Ffmpeg9 Tcp, GStreamer Rtmp;
    rtmp_h264_out_of_order_and_aac_from_ffmpeg_9: Ffmpeg9 over Rtmps, H264Reordered + Aac => Ffmpeg Rtmps, Ffmpeg9 Rtmp, GStreamer Udp;
    rtmp_h264_and_aac_from_gstreamer: GStreamer over Rtmp, H264 + Aac => Ffmpeg Rtmp, Ffmpeg9 Rtmps, GStreamer Tcp;
    rtmp_h264_and_g711_u_law: Ffmpeg over Rtmps, H264 + Pcmu => Ffmpeg Rtmp, Ffmpeg9 Udp, GStreamer Rtmps;
    rtmp_h265_and_opus: Ffmpeg9 over Rtmp, H265 + Opus => Ffmpeg9 Rtmp, Ffmpeg Tcp, GStreamer Udp;
    rtmp_h265_and_aac: Ffmpeg9 over Rtmps, H265 + Aac => Ffmpeg9 Rtmps, Ffmpeg9 Udp;
    rtmp_av1_and_opus: Ffmpeg9 over Rtmp, Av1 + Opus => Ffmpeg9 Rtmps, Ffmpeg9 Tcp;
    rtmp_av1_and_flac: Ffmpeg9 over Rtmp, Av1 + Flac => Ffmpeg9 Rtmp;
    rtmp_vp9_and_ac3: Ffmpeg9 over Rtmp, Vp9 + Ac3 => Ffmpeg9 Rtmp, Ffmpeg9 Udp;
    rtmp_vp9_and_opus: Ffmpeg9 over Rtmps, Vp9 + Opus => Ffmpeg9 Rtmp, Ffmpeg Tls, GStreamer Tcp;
    h264_out_of_order_and_aac_to_rtmp: Ffmpeg over Udp, H264Reordered + Aac => Ffmpeg Rtmp, Ffmpeg9 Rtmps, GStreamer Rtmp;
    h264_and_g711_a_law_to_rtmp: Ffmpeg9 over Tcp, H264 + Pcma => Ffmpeg Rtmps, Ffmpeg9 Rtmp;
    h264_and_mp3_to_rtmp: Ffmpeg over Tcp, H264 + Mp3 => Ffmpeg Rtmp, GStreamer Rtmp;
    h265_and_opus_to_rtmp: Ffmpeg9 over Udp, H265 + Opus => Ffmpeg9 Rtmp;
    av1_and_opus_to_rtmp: Ffmpeg9 over Tcp, Av1 + Opus => Ffmpeg9 Rtmp, Ffmpeg9 Rtmps;
    vp9_and_ac3_from_gstreamer_to_rtmp: GStreamer over Tcp, Vp9 + Ac3 => Ffmpeg9 Rtmp;
}

/// Of two parts, because GStreamer's RTMP wants an app and a key.
const PATH: &str = "live/case";

fn run(name: &str) {
    let _deadline = Deadline::seconds(120);
    let (_, case) = CASES.iter().find(|(own, _)| *own == name).expect("made by the same macro");
    let media = Media::new(case.video, case.audio);
    let (client, way) = case.publisher;
    let original = contents(&if client == GStreamer { media.matroska() } else { media.nut() });

    let server = Server::start();
    let mut publisher = client.publish(&server, way, PATH, media);
    server.wait_ready(PATH);
    if !way.is_rtmp() {
        server.wait_log(&["sender reports tie all tracks together"]);
    }
    let captures: Vec<_> =
        case.readers.iter().map(|(reader, by)| (*reader, *by, reader.capture(&server, *by, PATH, media))).collect();
    let mut failures = Vec::new();
    for (reader, by, capture) in captures {
        let read = capture.finish(RECORDED_SECONDS);
        if let Err(failure) = compare(media, &original, &read, tolerance((client, way), (reader, by))) {
            failures.push(format!("{reader:?} over {by:?}: {failure}"));
        }
    }
    publisher.assert_running();
    assert!(failures.is_empty(), "{client:?} over {way:?}:\n{}", failures.join("\n"));
}

/// ffmpeg keeps times to the tick. GStreamer sets both ends against a clock of its own: as a publisher it times the
/// reports that tie the tracks together when they happen to be sent, and as a reader it applies them when they come. RTMP
/// rounds to milliseconds.
fn tolerance(publisher: (Client, Way), reader: (Client, Way)) -> Tolerance {
    let ends = [publisher, reader];
    if ends.iter().all(|(client, way)| *client != GStreamer || way.is_rtmp())
        && ends.iter().any(|(_, way)| way.is_rtmp())
    {
        return Tolerance { track: 1_500, offset: 1_500 };
    }
    let loose = publisher.0 == GStreamer || reader.0 == GStreamer;
    if loose { Tolerance { track: 1_500, offset: 5_000 } } else { Tolerance { track: 1_000, offset: 1_000 } }
}

/// The table for people, made of the cases.
fn table() -> String {
    let mut text = String::from(
        "<!-- Checked by tests/tests/clients_carry_every_codec_unaltered.rs; made by the same with WEFT_WRITE_CLIENTS=1. -->\n\n\
         # What was proven with which client\n\n\
         Each row is a test: one client publishes a file, the readers record it at once. In steady state every NAL unit, OBU\n\
         and audio frame read is the one sent, in order and with none missing, at the same time after the first (1 ms; 1.5 ms\n\
         with GStreamer and RTMP), and sound stays with the picture (1 ms; 5 ms with GStreamer). *ffmpeg* is the distribution's, \n\
         5.1 or newer; *ffmpeg 9* comes with `imageio-ffmpeg`.\n\n\
         | Test | Video | Audio | Published by | Read by |\n|---|---|---|---|---|\n"
    )
    .replace(", \n", ",\n");
    for (name, case) in CASES {
        let readers: Vec<String> = case.readers.iter().map(|(client, way)| pair(*client, *way)).collect();
        let (video, audio) = (format!("{:?}", case.video), format!("{:?}", case.audio));
        let video = video
            .replace("H264Reordered", "H264, frames out of order")
            .to_uppercase()
            .replace("FRAMES OUT OF ORDER", "frames out of order");
        text += &format!(
            "| `{name}` | {video} | {} | {} | {} |\n",
            audio.to_uppercase(),
            pair(case.publisher.0, case.publisher.1),
            readers.join(", ")
        );
    }
    text + "\nAV1 goes through ffmpeg 9 only: ffmpeg before 8 has no RTP for it, and GStreamer only in its Rust plugins. ffmpeg \
            has no\nRTP for sending AC-3. All three read H.264 and AAC by multicast, in `clients_read_by_multicast`.\n\
            TCP, UDP and TLS are those of RTSP. RTMP carries what is newer than AAC in the way of Enhanced RTMP v2, which \
            GStreamer's\nC plugins and ffmpeg before 6 do not know.\n"
        + WEBRTC
}

/// Clients of WebRTC encode for the way that they find: what they show is counted, not compared.
const WEBRTC: &str = "
## WebRTC

Pictures that are decoded and not black, and sound that is not silence, counted where they are played. The tests are those of
`webrtc_plays_in_a_browser.rs` and `webrtc_clients_publish_and_play.rs`; *page* is the one that the node serves.

| Published by | Video | Audio | Read by |
|---|---|---|---|
| Chromium 156, page, its camera | H264 | OPUS | at another node: Chromium, page; ffmpeg 9 TCP, RTMP, HLS |
| Chromium 156, `publisher.js`, a canvas with the time | VP8 | OPUS | at another node: Chromium, page |
| ffmpeg TCP | H264 | OPUS | Chromium, page |
| ffmpeg RTMP | H264 | AAC | Chromium, page, without sound |
| aiortc 1.16, WHIP | H264 | OPUS | aiortc, WHEP; ffmpeg 9 TCP |
| aiortc 1.16, WHIP | VP8 | PCMU | aiortc, WHEP; ffmpeg 9 TCP |
| ffmpeg 9, WHIP | H264 | OPUS | aiortc, WHEP; ffmpeg 9 TCP |
| ffmpeg 9 TCP | VP8 | OPUS | aiortc, WHEP |

The canvas was shown 26 ms after it was drawn, over two nodes (median). Pictures stood still for 1.2 s when the node of a page was
killed, for 1.9 s when it was stopped, and for 1.5 s when the publisher's was killed; all on one busy machine with two cores.
";

fn pair(client: Client, way: Way) -> String {
    let name = match client {
        Ffmpeg => "ffmpeg",
        Ffmpeg9 => "ffmpeg 9",
        GStreamer => "GStreamer",
    };
    format!("{name} {}", format!("{way:?}").to_uppercase())
}

#[test]
fn the_table_says_what_is_tested() {
    let file = weft_tests::rust_files::root().join("tests/CLIENTS.md");
    if std::env::var_os("WEFT_WRITE_CLIENTS").is_some() {
        std::fs::write(&file, table()).expect("write the table");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(written, table(), "tests/CLIENTS.md is old: run this test with WEFT_WRITE_CLIENTS=1");
    for client in [Ffmpeg, Ffmpeg9, GStreamer] {
        for way in [Tcp, Udp, Tls, Rtmp] {
            let publishes = CASES.iter().any(|(_, case)| case.publisher == (client, way));
            let reads = CASES.iter().any(|(_, case)| case.readers.contains(&(client, way)));
            assert!(publishes && reads, "{client:?} over {way:?} is not tested both ways");
        }
    }
}
