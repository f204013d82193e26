//! Any datagram as an RTCP compound: no panic, and no more items than its bytes can hold.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_proto::rtp::{RtcpItem, rtcp};

fuzz_target!(|datagram: &[u8]| {
    let items = rtcp::parse(datagram).inspect(|item| match item {
        RtcpItem::SenderReport { reports, .. } | RtcpItem::ReceiverReport { reports, .. } => {
            assert!(reports.iter().count() <= 31);
        }
        RtcpItem::Nack { lost, .. } => assert!(lost.iter().count() <= 17 * datagram.len() / 4),
        _ => {}
    });
    assert!(items.count() <= datagram.len() / 4);
});
