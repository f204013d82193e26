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
        RtcpItem::ReceiverEstimate { media, .. } => assert!(media.iter().len() <= datagram.len() / 4),
        RtcpItem::TransportFeedback(feedback) => {
            assert!(feedback.arrivals().count() <= usize::from(feedback.count));
            // A status takes a bit at least, a run of what has no time none.
            assert!(feedback.arrivals().filter(|arrival| arrival.at.is_some()).count() <= datagram.len());
        }
        _ => {}
    });
    assert!(items.count() <= datagram.len() / 4);
});
