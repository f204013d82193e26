//! Any datagram as a STUN message: no panic, and nobody is believed who does not know the password.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_proto::webrtc::stun::Message;

fuzz_target!(|datagram: &[u8]| {
    let Some(message) = Message::parse(datagram) else { return };
    let _ = (message.class(), message.transaction(), message.username(), message.nominates());
    let _ = (message.priority(), message.role(), message.error(), message.mapped_address());
    assert!(message.unknown().count() * 4 <= datagram.len());
    assert!(!message.is_authentic("a password that nobody guesses"));
});
