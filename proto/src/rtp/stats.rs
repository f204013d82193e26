//! What a receiver counts and reports about one source (RFC 3550 sections 6.4.1, A.3 and A.8).

use super::{Packet, ReportBlock};
use crate::time::{ClockRate, Now, NtpTime};

/// Statistics of one source, fed with every packet as it arrives, before it is put in order.
#[derive(Clone, Debug)]
pub struct ReceiverStats {
    rate: ClockRate,
    source: Option<Source>,
    /// The middle of the last sender report's NTP time, and when it came.
    sender_report: Option<(u32, Now)>,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    ssrc: u32,
    /// First sequence number, as an extended one.
    first: u64,
    /// Highest sequence number, extended by the wraps counted in the upper bits.
    highest: u64,
    received: u64,
    /// Expected and received at the last report.
    reported: (u64, u64),
    /// Arrival minus timestamp of the last packet, in ticks modulo 2^32.
    transit: u32,
    /// Jitter in 1/16 ticks.
    jitter: u32,
    /// What a second jump in a row must continue.
    jumped_to: Option<u16>,
}

impl ReceiverStats {
    /// Nothing received yet. `rate` is the track's clock, the unit of the jitter.
    pub const fn new(rate: ClockRate) -> Self {
        Self { rate, source: None, sender_report: None }
    }

    /// Counts a packet. Another SSRC starts over.
    pub fn on_packet(&mut self, packet: &Packet, now: Now) {
        let transit = arrival_ticks(now, self.rate).wrapping_sub(packet.timestamp);
        match &mut self.source {
            Some(source) if source.ssrc == packet.ssrc => source.count(packet.sequence, transit),
            _ => {
                self.source = Some(Source::new(packet, transit));
                self.sender_report = None;
            }
        }
    }

    /// Takes the NTP time of a sender report of the same source; the next reports refer to it (LSR, DLSR).
    pub const fn on_sender_report(&mut self, ntp: NtpTime, now: Now) {
        self.sender_report = Some((ntp.middle(), now));
    }

    /// The report about the source, if a packet came; begins a new interval for the fraction lost.
    pub fn report(&mut self, now: Now) -> Option<ReportBlock> {
        let source = self.source.as_mut()?;
        let (last_report, delay) = match self.sender_report {
            Some((middle, at)) => (middle, delay_units(at, now)),
            None => (0, 0),
        };
        Some(ReportBlock {
            ssrc: source.ssrc,
            fraction_lost: source.take_fraction_lost(),
            lost: source.lost().clamp(-(1 << 23), (1 << 23) - 1) as i32,
            highest_sequence: source.highest as u32,
            jitter: source.jitter >> 4,
            last_report,
            delay,
        })
    }

    /// Packets received, duplicates included.
    pub fn received(&self) -> u64 {
        self.source.map_or(0, |source| source.received)
    }

    /// Packets expected by the sequence numbers seen.
    pub fn expected(&self) -> u64 {
        self.source.map_or(0, |source| source.expected())
    }

    /// Packets lost so far; below zero when there are duplicates.
    pub fn lost(&self) -> i64 {
        self.source.map_or(0, |source| source.lost())
    }

    /// Interarrival jitter in ticks.
    pub fn jitter(&self) -> u32 {
        self.source.map_or(0, |source| source.jitter >> 4)
    }
}

impl Source {
    fn new(packet: &Packet, transit: u32) -> Self {
        let first = u64::from(packet.sequence);
        let (ssrc, highest) = (packet.ssrc, first);
        Self { ssrc, first, highest, received: 1, reported: (0, 0), transit, jitter: 0, jumped_to: None }
    }

    fn count(&mut self, sequence: u16, transit: u32) {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if ahead < DROPOUT_MAX {
            self.highest += u64::from(ahead);
            self.jumped_to = None;
        } else if ahead.wrapping_neg() > MISORDER_MAX {
            if self.jumped_to != Some(sequence) {
                self.jumped_to = Some(sequence.wrapping_add(1));
                return;
            }
            self.restart(sequence);
        }
        self.received += 1;
        self.measure(transit);
    }

    /// The source began again at another number (RFC 3550 appendix A.1): go on counting from there.
    fn restart(&mut self, sequence: u16) {
        let expected = self.expected();
        self.highest = (self.highest & !0xffff) + 0x1_0000 + u64::from(sequence);
        self.first = (self.highest + 1).saturating_sub(expected + 1);
        self.jumped_to = None;
    }

    /// RFC 3550 appendix A.8, with the estimate kept in sixteenths.
    fn measure(&mut self, transit: u32) {
        let difference = (transit.wrapping_sub(self.transit) as i32).unsigned_abs();
        self.transit = transit;
        // More than a minute at any rate is a step of the sender's clock, not jitter.
        if difference < JITTER_TICKS_MAX {
            self.jitter = self.jitter + difference - ((self.jitter + 8) >> 4);
        }
    }

    const fn expected(&self) -> u64 {
        self.highest - self.first + 1
    }

    const fn lost(&self) -> i64 {
        self.expected() as i64 - self.received as i64
    }

    /// Lost since the last report in 1/256 of expected, zero when duplicates outweigh (RFC 3550 appendix A.3).
    fn take_fraction_lost(&mut self) -> u8 {
        let now = (self.expected(), self.received);
        let expected = now.0.saturating_sub(self.reported.0);
        let lost = expected.saturating_sub(now.1 - self.reported.1);
        self.reported = now;
        (lost * 256).checked_div(expected).unwrap_or(0).min(255) as u8
    }
}

/// The arrival instant in ticks, modulo 2^32; only differences matter.
const fn arrival_ticks(now: Now, rate: ClockRate) -> u32 {
    let (seconds, micros) = (now.micros() / 1_000_000, now.micros() % 1_000_000);
    let hertz = rate.hertz() as u64;
    seconds.wrapping_mul(hertz).wrapping_add(micros * hertz / 1_000_000) as u32
}

/// Time since a sender report in 1/65536 seconds (RFC 3550 section 6.4.1, DLSR).
fn delay_units(at: Now, now: Now) -> u32 {
    let units = (now.since(at).as_micros() << 16) / 1_000_000;
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// RFC 3550 appendix A.1, MAX_DROPOUT and MAX_MISORDER.
const DROPOUT_MAX: u16 = 3000;
const MISORDER_MAX: u16 = 100;

/// Keeps sixteenths of the jitter inside 32 bits; 2^27 ticks are 24 minutes at 90 kHz.
const JITTER_TICKS_MAX: u32 = 1 << 27;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn feed(stats: &mut ReceiverStats, packets: &[(u16, u32, u64)]) {
        for (sequence, timestamp, millis) in packets {
            let packet = Packet {
                marker: false,
                payload_type: 0,
                sequence: *sequence,
                timestamp: *timestamp,
                ssrc: 7,
                payload: Bytes::new(),
            };
            stats.on_packet(&packet, Now::from_micros(millis * 1000));
        }
    }

    fn stats(packets: &[(u16, u32, u64)]) -> ReceiverStats {
        let mut stats = ReceiverStats::new(ClockRate::new(8000).unwrap());
        feed(&mut stats, packets);
        stats
    }

    #[test]
    fn nothing_received_nothing_reported() {
        assert_eq!(stats(&[]).report(Now::from_micros(0)), None);
    }

    #[test]
    fn loss_is_counted_across_the_wrap_and_by_interval() {
        let mut stats = stats(&[(65534, 0, 0), (65535, 0, 0), (2, 0, 0), (3, 0, 0)]);
        let first = stats.report(Now::from_micros(0)).unwrap();
        assert_eq!((first.lost, first.fraction_lost, first.highest_sequence), (2, 85, 0x1_0003));
        feed(&mut stats, &[(4, 0, 0)]);
        let second = stats.report(Now::from_micros(0)).unwrap();
        assert_eq!((second.lost, second.fraction_lost), (2, 0));
    }

    #[test]
    fn duplicates_make_loss_negative_and_late_packets_heal_it() {
        assert_eq!(stats(&[(1, 0, 0), (1, 0, 0), (1, 0, 0)]).lost(), -2);
        assert_eq!(stats(&[(1, 0, 0), (3, 0, 0), (2, 0, 0)]).lost(), 0);
    }

    #[test]
    fn a_steady_source_has_no_jitter_and_a_late_packet_makes_some() {
        let mut stats = stats(&[(1, 0, 0), (2, 160, 20), (3, 320, 40)]);
        assert_eq!(stats.jitter(), 0);
        feed(&mut stats, &[(4, 480, 80)]);
        assert_eq!(stats.jitter(), 10, "20 ms are 160 ticks, a sixteenth of it is 10");
    }

    #[test]
    fn a_report_refers_to_the_last_sender_report() {
        let mut stats = stats(&[(1, 0, 0)]);
        stats.on_sender_report(NtpTime(0x1122_3344_5566_7788), Now::from_micros(1_000_000));
        let report = stats.report(Now::from_micros(2_500_000)).unwrap();
        assert_eq!((report.last_report, report.delay), (0x3344_5566, 98_304));
    }

    #[test]
    fn a_restarted_source_does_not_count_as_loss() {
        let stats = stats(&[(1, 0, 0), (2, 0, 0), (40_000, 0, 0), (40_001, 0, 0), (40_002, 0, 0)]);
        assert_eq!((stats.received(), stats.lost()), (4, 0));
    }

    proptest! {
        #[test]
        fn any_sequence_is_counted_without_overflow(packets: Vec<(u16, u32, u32)>) {
            let mut stats = stats(&[]);
            for (sequence, timestamp, millis) in packets {
                feed(&mut stats, &[(sequence, timestamp, u64::from(millis))]);
                let _ = stats.report(Now::from_micros(u64::from(millis)));
            }
        }
    }
}
