//! One track on its way in: packets to units. Pure composition of reorder, unpack, inspect and clocks.

use bytes::Bytes;
use core::time::Duration;

use super::rtcp::{self, ReportBlock, RtcpItem};
use super::unpack::{Format, Unpacked, Unpacker};
use super::{Ordered, Packet, ReceiverStats, Reorder, SenderClock, Timeline};
use crate::bitstream::Inspector;
use crate::media::{Codec, Payload, Track};
use crate::time::{ClockRate, Now, WallClock};

/// A unit with the publisher's own time.
#[derive(Clone, Debug)]
pub struct Received {
    /// Extended RTP timestamp, ticks of the track's clock.
    pub ticks: i64,
    /// The bytes.
    pub payload: Payload,
    /// Decoding may start here.
    pub random_access: bool,
    /// Nobody refers to it.
    pub discardable: bool,
    /// RTP marker of its last packet.
    pub marker: bool,
    /// The track's parameters changed with it.
    pub codec_changed: bool,
}

/// What came of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Taken.
    Taken,
    /// Not RTP at all.
    Malformed,
    /// Another source than the one that is being received.
    Foreign,
}

/// A source that sends nothing for so long may be followed by another SSRC (cameras change it when they restart).
const SOURCE_SILENCE: Duration = Duration::from_secs(2);

/// Receives one track.
#[derive(Debug)]
pub struct TrackReceiver {
    payload_type: u8,
    rate: ClockRate,
    source: Option<(u32, Now)>,
    reorder: Reorder,
    stats: ReceiverStats,
    timeline: Timeline,
    clock: SenderClock,
    unpacker: Unpacker,
    inspector: Inspector,
    dropped: u32,
    lost: u32,
    in_error: u64,
}

impl TrackReceiver {
    /// Receives `track`, whose packets bear `payload_type`. `wait`: how long to wait for packets out of order.
    pub fn new(track: &Track, payload_type: u8, format: &Format, wait: Duration) -> Self {
        Self {
            payload_type,
            rate: track.clock_rate,
            source: None,
            reorder: Reorder::new(wait),
            stats: ReceiverStats::new(track.clock_rate),
            timeline: Timeline::new(),
            clock: SenderClock::new(),
            unpacker: Unpacker::new(&track.codec, track.clock_rate, format),
            inspector: Inspector::new(track.codec.clone()),
            dropped: 0,
            lost: 0,
            in_error: 0,
        }
    }

    /// The same, holding so many packets behind one that is missing; see [`Reorder::holding`].
    #[must_use]
    pub fn holding(mut self, packets: usize) -> Self {
        self.reorder = self.reorder.holding(packets);
        self
    }

    /// Takes an RTP packet; complete units go to `out`.
    pub fn rtp(&mut self, datagram: Bytes, now: Now, out: &mut impl FnMut(Received)) -> Verdict {
        let Ok(packet) = Packet::parse(datagram) else {
            self.in_error += 1;
            return Verdict::Malformed;
        };
        // Retransmissions and redundancy come under payload types of their own.
        if packet.payload_type != self.payload_type {
            return Verdict::Foreign;
        }
        let restarted = match &mut self.source {
            Some((ssrc, seen)) if *ssrc == packet.ssrc => {
                *seen = now;
                false
            }
            Some((_, seen)) if now.since(*seen) < SOURCE_SILENCE => return Verdict::Foreign,
            source => {
                let restarted = source.is_some();
                *source = Some((packet.ssrc, now));
                restarted
            }
        };
        self.stats.on_packet(&packet, now);
        let mut chain = Chain {
            timeline: &mut self.timeline,
            unpacker: &mut self.unpacker,
            inspector: &mut self.inspector,
            in_error: &mut self.in_error,
            lost: &mut self.lost,
        };
        if restarted {
            self.reorder.restart(&mut |ordered| chain.push(&ordered, out));
        }
        self.reorder.push(packet, now, &mut |ordered| chain.push(&ordered, out));
        self.dropped += self.unpacker.take_dropped();
        Verdict::Taken
    }

    /// When [`Self::handle_timeout`] is due.
    pub const fn next_timeout(&self) -> Option<Now> {
        self.reorder.next_timeout()
    }

    /// Gives up waiting for packets that did not come in time.
    pub fn handle_timeout(&mut self, now: Now, out: &mut impl FnMut(Received)) {
        let mut chain = Chain {
            timeline: &mut self.timeline,
            unpacker: &mut self.unpacker,
            inspector: &mut self.inspector,
            in_error: &mut self.in_error,
            lost: &mut self.lost,
        };
        self.reorder.handle_timeout(now, &mut |ordered| chain.push(&ordered, out));
        self.dropped += self.unpacker.take_dropped();
    }

    /// Takes an RTCP datagram; says whether the source left.
    pub fn rtcp(&mut self, datagram: &[u8], now: Now) -> bool {
        let mut left = false;
        for item in rtcp::parse(datagram) {
            match item {
                RtcpItem::SenderReport { info, .. } if self.is_source(info.ssrc) => {
                    let ticks = self.timeline.peek(info.rtp_timestamp);
                    self.clock.report(info.ntp, ticks);
                    self.stats.on_sender_report(info.ntp, now);
                }
                RtcpItem::Bye { ssrc, .. } => left |= self.source.is_some_and(|(known, _)| known == ssrc),
                _ => {}
            }
        }
        left
    }

    /// The report about the source for the next receiver report.
    pub fn report(&mut self, now: Now) -> Option<ReportBlock> {
        self.stats.report(now)
    }

    /// The synchronisation source that is received.
    pub fn ssrc(&self) -> Option<u32> {
        self.source.map(|(ssrc, _)| ssrc)
    }

    /// When a unit was captured, where sender reports tell.
    pub fn captured(&self, ticks: i64) -> Option<WallClock> {
        self.clock.wall(ticks, self.rate)
    }

    /// Codec with the parameters last seen.
    pub const fn codec(&self) -> &Codec {
        self.inspector.codec()
    }

    /// The track's clock.
    pub const fn rate(&self) -> ClockRate {
        self.rate
    }

    /// Statistics.
    pub const fn stats(&self) -> &ReceiverStats {
        &self.stats
    }

    /// Packets that were no RTP or did not follow their payload format.
    pub const fn in_error(&self) -> u64 {
        self.in_error
    }

    /// Units lost since the last call.
    pub const fn take_dropped(&mut self) -> u32 {
        core::mem::replace(&mut self.dropped, 0)
    }

    /// Packets that were passed over since the last call: nobody knows what was in them.
    pub const fn take_lost(&mut self) -> u32 {
        core::mem::replace(&mut self.lost, 0)
    }

    fn is_source(&self, ssrc: u32) -> bool {
        self.source.is_none_or(|(known, _)| known == ssrc)
    }
}

/// The stages after reordering, borrowed apart from it.
struct Chain<'a> {
    timeline: &'a mut Timeline,
    unpacker: &'a mut Unpacker,
    inspector: &'a mut Inspector,
    in_error: &'a mut u64,
    lost: &'a mut u32,
}

impl Chain<'_> {
    fn push(&mut self, ordered: &Ordered, out: &mut impl FnMut(Received)) {
        *self.lost = self.lost.saturating_add(ordered.lost_before);
        let ticks = self.timeline.extend(ordered.packet.timestamp);
        let inspector = &mut *self.inspector;
        let pushed = self.unpacker.push(ordered, ticks, &mut |unpacked: Unpacked| {
            let Unpacked { ticks, payload, marker } = unpacked;
            if let Some(inspected) = inspector.inspect(payload) {
                out(Received {
                    ticks,
                    payload: inspected.payload,
                    random_access: inspected.random_access,
                    discardable: inspected.discardable,
                    marker,
                    codec_changed: inspected.codec_changed,
                });
            }
        });
        *self.in_error += u64::from(pushed.is_err());
    }
}
