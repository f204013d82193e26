//! Whatever a publisher or camera describes; what is understood must survive being written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_proto::media::Tracks;
use weft_proto::sdp::{WriteDelivery, WriteParams, parse, write};

fuzz_target!(|bytes: &[u8]| {
    let Ok(session) = parse(bytes) else { return };
    let tracks = session.media.into_iter().map(|media| media.track).collect();
    let tracks = Tracks::new(tracks).expect("within bounds");
    let delivery = WriteDelivery::Unicast("0.0.0.0".parse().expect("an address"));
    let text = write(&WriteParams { title: &session.title, tracks: &tracks, delivery });
    // Base64 and hexadecimal may come out longer than they went in, up to the bound of a body.
    if let Ok(again) = parse(text.as_bytes()) {
        assert_eq!(again.media.len(), tracks.len());
    }
});
