//! Holds what readers get of paths that a node pulls against what their source was made of.

use crate::clients::Client::{Ffmpeg, Ffmpeg9};
use crate::clients::Way::Tcp;
use crate::clients::contents;
use crate::compare::{Tolerance, compare};
use crate::media::{Media, Video};
use crate::server::Server;

/// What RTSP itself may lose of times.
pub const WITHIN: Tolerance = Tolerance { track: 1_000, offset: 1_000 };

/// Seconds that each reader records.
const SECONDS: u32 = 5;

/// Reads these paths at once, each of which shows `media`; waits for them first. Panics with all that differ by more than what
/// is said of them.
pub fn assert_unaltered(node: &Server, media: Media, paths: &[(&str, Tolerance)]) {
    paths.iter().for_each(|(path, _)| node.wait_ready(path));
    let original = contents(&media.nut());
    // Before version 7 ffmpeg does not read AV1 over RTSP.
    let client = if media.video == Video::Av1 { Ffmpeg9 } else { Ffmpeg };
    let captures = paths.iter().map(|(path, within)| (path, within, client.capture(node, Tcp, path, media)));
    let captures: Vec<_> = captures.collect();
    let differences: Vec<String> = captures
        .into_iter()
        .filter_map(|(path, within, capture)| {
            let found = compare(media, &original, &capture.finish(SECONDS), *within);
            found.err().map(|difference| format!("{path}: {difference}"))
        })
        .collect();
    assert!(differences.is_empty(), "{}\nthe node said:\n{}", differences.join("\n"), node.process.log());
}
