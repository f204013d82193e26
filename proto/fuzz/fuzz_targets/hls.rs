//! Whatever a viewer asks for: names of files and the words of a reload, against a window with something in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_proto::hls::{File, Reload, Window, WindowLimits};

fuzz_target!(|text: &str| {
    let window = Window::new(WindowLimits { listed: 7 }, 1);
    if let Some(file) = File::parse(text) {
        assert_eq!(File::parse(&file.to_string()), Some(file));
        window.find(&file, 0);
    }
    if let Ok(reload) = Reload::parse(text) {
        window.verdict(reload);
    }
});
