//! Any datagram as an RTP packet: no panic; its extensions are within it, and a repair of it is restored to it.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use weft_proto::rtp::{Packet, extension, rtx};

fuzz_target!(|datagram: &[u8]| {
    let bytes: usize = extension::extensions(datagram).map(|(_, value)| 1 + value.len()).sum();
    assert!(bytes <= datagram.len());
    let _ = rtx::restore(Bytes::copy_from_slice(datagram), 96, 1);
    if let Ok(packet) = Packet::parse(Bytes::copy_from_slice(datagram)) {
        let repair = rtx::repair(datagram, 97, 2, 3).expect("it is a packet");
        let restored = rtx::restore(repair, packet.payload_type, packet.ssrc).expect("it is a repair");
        let again = Packet::parse(restored).expect("it was a packet");
        assert_eq!(again, packet);
    }
});
