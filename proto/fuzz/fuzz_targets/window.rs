//! Whatever another node says of its HLS window: what is read can be listed, gone on with, and told again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use weft_proto::hls::{MediaPlaylist, Variant, Window, WindowLimits, media_playlist, multivariant_playlist};
use weft_proto::time::WallClock;
use weft_proto::wire::window::{decode_segment, decode_window, encode_segment, encode_window};

fuzz_target!(|input: (bool, u8, Vec<u8>)| {
    let (is_window, count, bytes) = input;
    if is_window {
        window(&bytes);
    } else if let Some(segment) = decode_segment(Bytes::from(bytes), usize::from(count)) {
        let told = encode_segment(&segment).expect("all of it is here").concat();
        assert_eq!(decode_segment(told.into(), usize::from(count)), Some(segment));
    }
});

fn window(bytes: &[u8]) {
    let Some((renditions, handover)) = decode_window(bytes) else { return };
    assert_eq!(decode_window(&encode_window(&renditions, &handover)), Some((renditions.clone(), handover.clone())));
    let mut window = Window::after(WindowLimits { listed: 7 }, renditions.len(), handover);
    for variant in [Variant::Mpegts, Variant::Fmp4, Variant::LowLatency] {
        let born = WallClock::from_unix_micros(1_795_473_000_123_456);
        for (index, skip) in (0..renditions.len()).flat_map(|index| [(index, false), (index, true)]) {
            let renditions = &renditions[..];
            media_playlist(&MediaPlaylist { window: &window, renditions, index, variant, born, skip });
        }
        multivariant_playlist(&window, &renditions, variant);
    }
    while let Some(number) = { window.wanted().next() } {
        window.give_up(number);
    }
}
