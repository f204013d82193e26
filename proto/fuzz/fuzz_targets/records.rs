//! Any bytes as parameter set, frame header or config record; what a record says survives being written.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use weft_proto::bitstream::{aac, ac3, av1, h264, h265, mpeg_audio, nal, opus, vp8, vp9};

fuzz_target!(|bytes: &[u8]| run(bytes));

fn run(bytes: &[u8]) {
    let shared = Bytes::copy_from_slice(bytes);
    let _ = (h264::Sps::parse(bytes), h264::sps_id(bytes), h264::pps_id(bytes));
    let _ = (h265::Sps::parse(bytes), h265::sps_id(bytes), h265::pps_id(bytes), h265::vps_id(bytes));
    let _ = (av1::SequenceHeader::parse(bytes), av1::split_obus(&shared).count());
    let _ = (aac::AudioSpecificConfig::parse(bytes), aac::Adts::parse(bytes));
    let _ = (mpeg_audio::FrameHeader::parse(bytes), ac3::FrameHeader::parse(bytes));
    let _ = (vp8::keyframe(bytes), vp9::FrameHeader::parse(bytes), opus::packet_samples(bytes));
    let _ = (nal::has_recovery_point(bytes), nal::split_annex_b(&shared).count());
    assert_eq!(nal::unescape(&nal::escape(bytes)), bytes);
    round_trips(&shared);
}

fn round_trips(bytes: &Bytes) {
    if let Ok(record) = h264::parse_avcc(bytes)
        && let Some(built) = h264::build_avcc(&record.config)
    {
        assert_eq!(h264::parse_avcc(&built).map(|again| again.config), Ok(record.config));
    }
    if let Ok(record) = h265::parse_hvcc(bytes)
        && let Some(built) = h265::build_hvcc(&record.config)
    {
        assert_eq!(h265::parse_hvcc(&built).map(|again| again.config), Ok(record.config));
    }
    if let Ok(config) = av1::parse_av1c(bytes)
        && let Some(built) = av1::build_av1c(&config)
    {
        assert_eq!(av1::parse_av1c(&built), Ok(config));
    }
    if let Ok(head) = opus::OpusHead::parse_mp4(bytes) {
        assert_eq!(opus::OpusHead::parse_ogg(&head.build_ogg()), Ok(head));
    }
}
