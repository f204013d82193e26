//! Anything as a description, a fragment or a link of WebRTC: no panic, and no more than its bytes can say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_proto::webrtc::{description, fragment, link, negotiate};

fuzz_target!(|text: &[u8]| {
    if let Ok(read) = description::parse(text) {
        assert!(read.sections.len() <= description::SECTIONS_MAX);
        let heard: Vec<u8> = (0..128).collect();
        assert!(negotiate::receiving(&read, &heard).len() <= 4 * read.sections.len());
        for section in &read.sections {
            assert!(section.payloads.len() + section.sources.len() + section.layers.len() <= text.len());
        }
    }
    if let Ok(text) = std::str::from_utf8(text) {
        assert!(link::ice_servers(text).len() <= text.len());
    }
    if let Some(read) = fragment::parse(text) {
        assert!(read.candidates <= text.len());
    }
});
