//! Anything as a description or a fragment of WebRTC: no panic, and no more than its bytes can say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_proto::webrtc::{description, fragment};

fuzz_target!(|text: &[u8]| {
    if let Ok(read) = description::parse(text) {
        assert!(read.sections.len() <= description::SECTIONS_MAX);
        for section in &read.sections {
            assert!(section.payloads.len() + section.sources.len() + section.layers.len() <= text.len());
        }
    }
    if let Some(read) = fragment::parse(text) {
        assert!(read.candidates <= text.len());
    }
});
