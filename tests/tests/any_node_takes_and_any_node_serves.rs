//! What is published to one node over one protocol is read from another over another one, byte for byte and at the same
//! times, and travels between the two once, whoever reads it there.

use std::process::Command;

use serde_json::Value;
use weft_tests::clients::Client::{Ffmpeg, Ffmpeg9, GStreamer};
use weft_tests::clients::Way::{Rtmp, Tcp, Udp};
use weft_tests::clients::{Client, Way, contents};
use weft_tests::cluster::{Cluster, Setup};
use weft_tests::compare::{Tolerance, compare};
use weft_tests::deadline::Deadline;
use weft_tests::media::{Audio, Media, Video};
use weft_tests::process::Process;
use weft_tests::tools;
use weft_tests::urls::Urls as _;

/// RTMP has an application and a stream in it.
const PATH: &str = "live/case";

/// Seconds that each reader records.
const RECORDED_SECONDS: u32 = 6;

/// RTMP rounds times to milliseconds; GStreamer sets them against a clock of its own.
const WITHIN: Tolerance = Tolerance { track: 1_500, offset: 5_000 };

fn three() -> Cluster {
    Cluster::with(&["a", "b", "c"].map(|name| Setup::new(name).with_all_doors()))
}

/// Publishes at the first node and reads at the third.
fn carry(publisher: Client, way: Way, video: Video) {
    let _limit = Deadline::seconds(150);
    let media = Media::new(video, Audio::Aac);
    let original = contents(&media.nut());
    let cluster = three();
    let (near, far) = (&cluster.nodes[0], &cluster.nodes[2]);
    let mut publishing = publisher.publish(near, way, PATH, media);
    cluster.wait("the path to be ready", |cluster| {
        cluster.nodes[2].get(&format!("/v3/paths/get/{PATH}")).is_some_and(|path| path["ready"] == true)
    });
    if !way.is_rtmp() {
        cluster.wait("the tracks to stand on one time axis", |cluster| {
            cluster.nodes[0].log().contains("sender reports tie all tracks together")
        });
    }
    let captures = [(Ffmpeg, Tcp), (Ffmpeg9, Udp), (GStreamer, Tcp), (Ffmpeg, Rtmp)];
    let captures =
        captures.map(|(reader, by)| (format!("{reader:?} over {by:?}"), reader.capture(far, by, PATH, media)));
    let over_hls = ("Ffmpeg9 over HLS".to_owned(), Ffmpeg9.capture_hls(far, PATH));
    let mut failures = Vec::new();
    for (who, capture) in captures.into_iter().chain([over_hls]) {
        let read = capture.finish(RECORDED_SECONDS);
        if let Err(failure) = compare(media, &original, &read, WITHIN) {
            failures.push(format!("{who}: {failure}"));
        }
    }
    publishing.assert_running();
    assert!(failures.is_empty(), "{publisher:?} over {way:?}:\n{}", failures.join("\n"));
}

#[test]
fn from_rtsp_over_tcp_to_everything() {
    carry(Ffmpeg9, Tcp, Video::H264Reordered);
}

#[test]
fn from_rtsp_over_udp_to_everything() {
    carry(Ffmpeg, Udp, Video::H264);
}

#[test]
fn from_rtmp_to_everything() {
    carry(Ffmpeg, Rtmp, Video::H264Reordered);
}

/// Two nodes of another zone: the path crosses once, and goes on from there.
#[test]
fn over_two_hops_to_everything() {
    let _limit = Deadline::seconds(150);
    let media = Media::new(Video::H264Reordered, Audio::Aac);
    let original = contents(&media.nut());
    let zones = [("a", "x"), ("b", "y"), ("c", "y")];
    let cluster = Cluster::with(&zones.map(|(name, zone)| Setup::new(name).with_all_doors().in_zone(zone)));
    let mut publishing = Ffmpeg.publish(&cluster.nodes[0], Rtmp, PATH, media);
    cluster.wait("the path to be ready", |cluster| path(cluster, 1).is_some_and(|path| path["ready"] == true));
    let mut captures = Vec::new();
    for node in &cluster.nodes[1..] {
        for (reader, by) in [(Ffmpeg, Tcp), (Ffmpeg9, Udp), (Ffmpeg, Rtmp)] {
            let who = format!("{reader:?} over {by:?} from {}", node.name);
            captures.push((who, reader.capture(node, by, PATH, media)));
        }
        captures.push((format!("Ffmpeg9 over HLS from {}", node.name), Ffmpeg9.capture_hls(node, PATH)));
    }
    cluster.wait("one of the two to take it from the other", |cluster| {
        let relays = path(cluster, 0).map(|path| path["relays"].clone()).unwrap_or_default();
        let hops: Vec<(&str, &str)> = relays.as_array().map_or_else(Vec::new, |relays| {
            relays.iter().filter_map(|hop| Some((hop["from"].as_str()?, hop["to"].as_str()?))).collect()
        });
        matches!(hops[..], [("a", "b"), ("b", "c")] | [("a", "c"), ("c", "b")])
    });
    let mut failures = Vec::new();
    for (who, capture) in captures {
        if let Err(failure) = compare(media, &original, &capture.finish(RECORDED_SECONDS), WITHIN) {
            failures.push(format!("{who}: {failure}"));
        }
    }
    publishing.assert_running();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What a node says of the path.
fn path(cluster: &Cluster, at: usize) -> Option<Value> {
    cluster.nodes[at].get(&format!("/v3/paths/get/{PATH}"))
}

#[test]
fn many_readers_of_three_protocols_make_one_upstream() {
    const READERS: usize = 51;
    let _limit = Deadline::seconds(120);
    let cluster = three();
    let (near, far) = (&cluster.nodes[0], &cluster.nodes[2]);
    let mut chaos = Command::new(tools::chaos());
    chaos.args(["load", "--publish", &near.rtsp(PATH), "--readers", &READERS.to_string(), "--no-audio", "--quiet"]);
    for url in [far.rtsp(PATH), far.rtmp(PATH), far.hls(PATH)] {
        chaos.args(["--read", &url]);
    }
    chaos.args(["--bitrate", "500k", "--duration", "5s", "--json"]);
    let mut chaos = Process::start("weft-chaos", chaos);
    let relays = serde_json::json!([{"from": "a", "to": "c"}]);
    cluster.wait("all readers to be there", |cluster| {
        [0, 1, 2].iter().all(|at| {
            path(cluster, *at).is_some_and(|path| {
                let readers = path["readers"].as_array().map_or(&[][..], Vec::as_slice);
                let far = readers.iter().filter(|reader| reader["node"] == "c").count();
                (far, readers.len(), &path["node"], &path["relays"]) == (READERS, READERS, &"a".into(), &relays)
            })
        })
    });
    // Of which the owner itself knows none.
    let own = near.get(&format!("/v3/paths/get/{PATH}?local=1")).expect("a path");
    assert_eq!((&own["readers"], &own["relays"]), (&serde_json::json!([]), &relays));
    let why = cluster.nodes[1].get(&format!("/cluster/why/{PATH}")).expect("a reason");
    assert!(why["why"].as_str().is_some_and(|why| why.ends_with("Relayed from a to c.")), "{why}");
    assert!(chaos.wait(60).success(), "{}", chaos.log());
}
