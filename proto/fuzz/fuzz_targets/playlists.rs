//! Any bytes as a playlist of another server, and what follows from it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_proto::hls::{Follower, Next, RemotePlaylist};
use weft_proto::time::Now;

fuzz_target!(|bytes: &[u8]| {
    let whole = [b"#EXTM3U\n", bytes].concat();
    match RemotePlaylist::parse(&whole) {
        Ok(RemotePlaylist::Media(media)) => {
            let mut follower = Follower::default();
            let parts = media.segments.iter().chain(media.open.as_deref()).map(|segment| segment.parts.len()).sum::<usize>();
            let segments = media.segments.len() + parts;
            follower.take(media, Now::from_micros(1), Now::from_micros(2));
            let taken = std::iter::from_fn(|| matches!(follower.step(), Next::Segment { .. }).then_some(()));
            assert!(taken.take(segments + 1).count() <= segments);
            follower.ahead();
        }
        Ok(RemotePlaylist::Multivariant(multivariant)) => {
            if let Some(best) = multivariant.best() {
                multivariant.audio_of(best).for_each(drop);
            }
        }
        Err(_) => {}
    }
});
