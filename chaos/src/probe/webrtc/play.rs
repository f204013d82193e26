//! A reader by WHEP.

use std::net::UdpSocket;

use weft_proto::rtp::rtcp::{self, ReportBlock, RtcpItem};
use weft_proto::webrtc::description::SectionKind;

use super::super::ProbeError;
use super::super::clock::now_ns;
use super::super::door::{Media, Seat, Url};
use super::super::reader::{Gauge, Meter, Order};
use super::super::rtp::Header;
use super::offer::{Answered, Direction};
use super::session::{self, Came, Session};

/// Packets at the beginning of a unit that are looked into for its stamp: parameter sets may come before it.
const LOOK: u8 = 3;
const CNAME: &str = "weft-chaos";

/// Becomes a reader of `url`: returns when the first packet is there.
pub fn play(url: &Url) -> Result<Seat, ProbeError> {
    let (mut session, answered, asked_ns) = session::open(url, Direction::Receive)?;
    session.wait_for_media()?;
    let media = Media::Sealed(Box::new(Reading::new(session, &answered)));
    Ok(Seat { asked_ns, joined_ns: now_ns(), control: None, keepalive: None, media })
}

/// Takes the datagrams of one reader.
#[derive(Debug)]
pub struct Reading {
    session: Session,
    /// Who we are in reports.
    ssrc: u32,
    video: Track,
    audio: Track,
    /// The timestamp of the unit under way, and how many of its packets are still looked into.
    unit: Option<u32>,
    look: u8,
}

/// What is known of one source.
#[derive(Debug, Default)]
struct Track {
    types: Vec<u8>,
    ssrc: Option<u32>,
    first: u32,
    /// Expected and lost at the last report of ours.
    told: (u32, u32),
    /// Middle bits of the last sender report, and when it came.
    heard: Option<(u32, u64)>,
}

impl Reading {
    fn new(session: Session, answered: &Answered) -> Self {
        let track = |kind| Track { types: answered.types(kind), ..Track::default() };
        Self {
            session,
            ssrc: rand::random(),
            video: track(SectionKind::Video),
            audio: track(SectionKind::Audio),
            unit: None,
            look: LOOK,
        }
    }

    /// The one socket.
    pub const fn socket(&self) -> &UdpSocket {
        &self.session.socket
    }

    /// A whole datagram has come. False when the server has ended the session.
    pub fn datagram(&mut self, datagram: &[u8], now_ns: u64, gauge: &mut Gauge, meter: &mut Meter) -> bool {
        match self.session.hear(datagram, now_ns) {
            Came::Media => self.packet(datagram, now_ns, gauge, meter),
            Came::Reports(reports) => self.note_reports(&reports, now_ns),
            Came::Done => {}
            Came::End => return false,
        }
        true
    }

    fn packet(&mut self, packet: &[u8], now_ns: u64, gauge: &mut Gauge, meter: &mut Meter) {
        let (Some(header), [_, second, ..]) = (Header::parse(packet), packet) else { return };
        let (payload_type, ssrc) = (second & 0x7f, header.ssrc);
        if self.audio.takes(payload_type, ssrc, header.seq) {
            if gauge.verifies() && self.session.decrypt(packet).is_none() {
                gauge.corrupt += 1;
            }
            return gauge.opus_packet(packet, now_ns, meter);
        }
        if !self.video.takes(payload_type, ssrc, header.seq) {
            return;
        }
        if self.unit != Some(header.timestamp) {
            (self.unit, self.look) = (Some(header.timestamp), LOOK);
        }
        if self.look == 0 && !gauge.verifies() {
            return gauge.video_packet(packet.get(..header.payload).unwrap_or(packet), now_ns, meter);
        }
        let Some(plain) = self.session.decrypt(packet) else {
            gauge.corrupt += 1;
            return;
        };
        gauge.video_packet(&plain, now_ns, meter);
        self.look = if gauge.has_stamp() { 0 } else { self.look.saturating_sub(1) };
    }

    fn note_reports(&mut self, reports: &[u8], now_ns: u64) {
        for item in rtcp::parse(reports) {
            if let RtcpItem::SenderReport { info, .. } = item {
                let tracks = [&mut self.video, &mut self.audio].into_iter();
                for track in tracks.filter(|track| track.ssrc == Some(info.ssrc)) {
                    track.heard = Some(((info.ntp.0 >> 16) as u32, now_ns));
                }
            }
        }
    }

    /// About once a second: reports what arrived. False when nobody is there any more.
    pub fn tend(&mut self, now_ns: u64, gauge: &Gauge) -> bool {
        let blocks = [self.video.report(&gauge.video, now_ns), self.audio.report(&gauge.audio, now_ns)];
        let blocks: Vec<ReportBlock> = blocks.into_iter().flatten().collect();
        let mut out = Vec::with_capacity(128);
        rtcp::write_receiver_report(&mut out, self.ssrc, &blocks, CNAME);
        // What ICMP says of a server that is gone is believed when it does not answer checks either.
        let _ = self.session.send_reports(&out);
        self.session.tend(now_ns)
    }
}

impl Track {
    /// Whether a packet is of this track. It has one source, the first: what others send under the same type is no stream of
    /// ours.
    fn takes(&mut self, payload_type: u8, ssrc: u32, seq: u16) -> bool {
        if self.ssrc.is_none() && self.types.contains(&payload_type) {
            (self.ssrc, self.first) = (Some(ssrc), u32::from(seq));
        }
        self.ssrc == Some(ssrc)
    }

    /// What has arrived since the last report (RFC 3550 section 6.4.1 and appendix A.3).
    fn report(&mut self, order: &Order, now_ns: u64) -> Option<ReportBlock> {
        let (ssrc, highest_sequence) = (self.ssrc?, order.highest()?);
        let expected = highest_sequence.wrapping_sub(self.first).wrapping_add(1);
        let lost = order.missing as u32;
        let (expected_before, lost_before) = std::mem::replace(&mut self.told, (expected, lost));
        let new = expected.wrapping_sub(expected_before).max(1);
        let fraction = u64::from(lost.saturating_sub(lost_before)) * 256 / u64::from(new);
        let (last_report, delay) = self.heard.map_or((0, 0), |(middle, at_ns)| {
            (middle, (u128::from(now_ns.saturating_sub(at_ns)) * 65_536 / 1_000_000_000) as u32)
        });
        Some(ReportBlock {
            ssrc,
            fraction_lost: fraction.min(255) as u8,
            lost: lost as i32,
            highest_sequence,
            jitter: 0,
            last_report,
            delay,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_say_what_is_missing_since_the_last() {
        let (mut track, mut order) = (Track { types: vec![96], ..Track::default() }, Order::default());
        assert!(track.takes(96, 7, 65_530) && !track.takes(96, 8, 1) && track.takes(96, 7, 65_531));
        track.heard = Some((9, 1_000_000_000));
        let mut note = |from: u32, to: u32, hole: u32| {
            for seq in (from..to).filter(|seq| *seq != hole) {
                order.note_u16(seq as u16);
            }
            track.report(&order, 1_500_000_000).unwrap()
        };
        let first = note(65_530, 65_540, 65_535);
        assert_eq!((first.ssrc, first.lost, first.fraction_lost, first.highest_sequence), (7, 1, 25, 65_539));
        assert_eq!((first.last_report, first.delay), (9, 32_768));
        let second = note(65_540, 65_550, 0);
        assert_eq!((second.lost, second.fraction_lost, second.highest_sequence), (1, 0, 65_549));
    }
}
