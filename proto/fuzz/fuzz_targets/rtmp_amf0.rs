//! AMF0: what can be read can be written, and reads as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_proto::rtmp::amf0::{read_all, write_all};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(values) = read_all(bytes) {
        let written = write_all(&values);
        let again = write_all(&read_all(&written).expect("what was written can be read"));
        assert_eq!(again, written);
    }
});
