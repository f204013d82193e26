//! RTCP: compound packets read leniently and written strictly (RFC 3550 section 6, RFC 4585 section 6, RFC 5104).
//!
//! Reading borrows from the datagram and allocates nothing; what is malformed ends the walk, it is never an error, for
//! media must not stop over a camera's bad report. `write` appends; [`transport`] is the feedback about all packets of a
//! transport, both ways.

pub mod transport;
mod write;

use crate::time::NtpTime;

pub use transport::{Arrival, FeedbackHead, TransportFeedback, write_transport_feedback};
pub use write::{
    write_bye, write_full_intra_request, write_nack, write_picture_loss, write_receiver_estimate,
    write_receiver_report, write_sender_report,
};

/// One RTCP packet of a compound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RtcpItem<'a> {
    /// What a sender says about its clocks and counts (RFC 3550 section 6.4.1).
    SenderReport {
        /// The facts.
        info: SenderInfo,
        /// What it received from others.
        reports: Reports<'a>,
    },
    /// What a receiver got (RFC 3550 section 6.4.2).
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
        /// One block a source.
        reports: Reports<'a>,
    },
    /// The first chunk that has a canonical name (RFC 3550 section 6.5.1).
    Sdes {
        /// Whose name.
        ssrc: u32,
        /// The canonical name, most often but not surely UTF-8.
        cname: &'a [u8],
    },
    /// The first source that leaves (RFC 3550 section 6.6).
    Bye {
        /// Who leaves.
        ssrc: u32,
        /// Why, often empty.
        reason: &'a [u8],
    },
    /// Application-defined (RFC 3550 section 6.7).
    App {
        /// Who sends.
        ssrc: u32,
        /// Four ASCII characters.
        name: [u8; 4],
        /// The rest.
        data: &'a [u8],
    },
    /// A receiver asks for a random access point (RFC 4585 section 6.3.1).
    PictureLoss {
        /// Whose media.
        media: u32,
    },
    /// The same with retransmission numbers (RFC 5104 section 4.3.1): the first entry.
    FullIntraRequest {
        /// Whose media.
        media: u32,
        /// Grows with each new request.
        sequence: u8,
    },
    /// Packets asked for again (RFC 4585 section 6.2.1).
    Nack {
        /// Whose media.
        media: u32,
        /// Which packets.
        lost: Nacks<'a>,
    },
    /// When each packet of a transport came (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).
    TransportFeedback(TransportFeedback<'a>),
    /// What a receiver believes that the way carries (REMB, draft-alvestrand-rmcat-remb-03 section 2.2).
    ReceiverEstimate {
        /// Bits per second, everything above IP counted, of all the sources together.
        bits: u64,
        /// Whose media.
        media: Sources<'a>,
    },
    /// Something else.
    Unknown {
        /// The packet type.
        packet_type: u8,
        /// The five bits after version and padding: a count or a subtype.
        count: u8,
    },
}

/// The facts of a sender report (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// Who sends.
    pub ssrc: u32,
    /// The wall clock; zero where the sender has none.
    pub ntp: NtpTime,
    /// The same instant in the track's clock.
    pub rtp_timestamp: u32,
    /// Packets sent, modulo 2^32.
    pub packets: u32,
    /// Payload bytes sent, modulo 2^32.
    pub octets: u32,
}

/// What was received from one source (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source.
    pub ssrc: u32,
    /// Lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Lost since the beginning, a signed number of 24 bits.
    pub lost: i32,
    /// Highest sequence number with the count of wraps above it.
    pub highest_sequence: u32,
    /// Interarrival jitter in ticks of the track's clock.
    pub jitter: u32,
    /// Middle 32 bits of the last sender report's NTP time; zero if none came.
    pub last_report: u32,
    /// Time since that report came, in 1/65536 seconds.
    pub delay: u32,
}

/// The report blocks of a packet, at most 31.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reports<'a>(&'a [u8]);

impl Reports<'_> {
    /// The blocks in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ReportBlock> {
        self.0.as_chunks::<REPORT_BYTES>().0.iter().map(ReportBlock::read)
    }
}

/// The sequence numbers of a NACK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nacks<'a>(&'a [u8]);

impl Nacks<'_> {
    /// The sequence numbers asked for: 17 at most for each 4 bytes.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.as_chunks::<4>().0.iter().flat_map(|entry| {
            let first = u16::from_be_bytes([entry[0], entry[1]]);
            let mask = u32::from(u16::from_be_bytes([entry[2], entry[3]])) << 1 | 1;
            (0..17u16).filter(move |bit| mask >> bit & 1 == 1).map(move |bit| first.wrapping_add(bit))
        })
    }
}

/// Synchronisation sources, at most 255.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources<'a>(&'a [u8]);

impl Sources<'_> {
    /// The sources in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u32> {
        self.0.as_chunks().0.iter().map(|ssrc| u32::from_be_bytes(*ssrc))
    }
}

/// Walks the packets of a compound. A length beyond the datagram is cut to it; the walk ends at what is not RTCP.
pub const fn parse(datagram: &[u8]) -> RtcpItems<'_> {
    RtcpItems { rest: datagram }
}

/// See [`parse`].
#[derive(Clone, Debug)]
pub struct RtcpItems<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for RtcpItems<'a> {
    type Item = RtcpItem<'a>;

    fn next(&mut self) -> Option<RtcpItem<'a>> {
        let head: &[u8; 4] = self.rest.first_chunk()?;
        let (flags, packet_type) = (head[0], head[1]);
        if flags >> 6 != 2 {
            self.rest = &[];
            return None;
        }
        let words = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let end = (4 + 4 * words).min(self.rest.len());
        let (packet, rest) = self.rest.split_at(end);
        self.rest = rest;
        let body = without_padding(flags, &packet[4..]);
        let count = flags & 0x1f;
        Some(read_item(packet_type, count, body).unwrap_or(RtcpItem::Unknown { packet_type, count }))
    }
}

fn without_padding(flags: u8, body: &[u8]) -> &[u8] {
    match body.last() {
        Some(count) if flags & 0x20 != 0 && usize::from(*count) <= body.len() => {
            &body[..body.len() - usize::from(*count)]
        }
        _ => body,
    }
}

fn read_item(packet_type: u8, count: u8, body: &[u8]) -> Option<RtcpItem<'_>> {
    let (ssrc, rest) = body.split_first_chunk().map(|(ssrc, rest)| (u32::from_be_bytes(*ssrc), rest))?;
    match (packet_type, count) {
        (SENDER_REPORT, _) => {
            let (info, rest) = read_sender_info(ssrc, rest)?;
            Some(RtcpItem::SenderReport { info, reports: read_reports(count, rest) })
        }
        (RECEIVER_REPORT, _) => Some(RtcpItem::ReceiverReport { ssrc, reports: read_reports(count, rest) }),
        (SDES, _) => read_sdes(count, body),
        (BYE, 1..) => {
            let after = rest.get(4 * (usize::from(count) - 1)..).unwrap_or_default();
            Some(RtcpItem::Bye { ssrc, reason: text(after).unwrap_or_default() })
        }
        (APP, _) => {
            let (name, data) = rest.split_first_chunk()?;
            Some(RtcpItem::App { ssrc, name: *name, data })
        }
        (TRANSPORT_FEEDBACK, NACK) => Some(RtcpItem::Nack { media: word(rest, 0)?, lost: Nacks(&rest[4..]) }),
        (PAYLOAD_FEEDBACK, PLI) => Some(RtcpItem::PictureLoss { media: word(rest, 0)? }),
        (PAYLOAD_FEEDBACK, FIR) => {
            // The media source stands in the entry, not in the head (RFC 5104 section 4.3.1.2).
            Some(RtcpItem::FullIntraRequest { media: word(rest, 4)?, sequence: *rest.get(8)? })
        }
        (TRANSPORT_FEEDBACK, ARRIVALS) => {
            let media = word(rest, 0)?;
            Some(RtcpItem::TransportFeedback(TransportFeedback::read(ssrc, media, &rest[4..])?))
        }
        (PAYLOAD_FEEDBACK, AFB) => read_receiver_estimate(rest),
        _ => None,
    }
}

fn read_sender_info(ssrc: u32, rest: &[u8]) -> Option<(SenderInfo, &[u8])> {
    let ntp = NtpTime(u64::from(word(rest, 0)?) << 32 | u64::from(word(rest, 4)?));
    let (rtp_timestamp, packets, octets) = (word(rest, 8)?, word(rest, 12)?, word(rest, 16)?);
    Some((SenderInfo { ssrc, ntp, rtp_timestamp, packets, octets }, &rest[20..]))
}

fn read_reports(count: u8, rest: &[u8]) -> Reports<'_> {
    let whole = usize::from(count).min(rest.len() / REPORT_BYTES);
    Reports(&rest[..whole * REPORT_BYTES])
}

fn read_sdes(count: u8, mut body: &[u8]) -> Option<RtcpItem<'_>> {
    for _ in 0..count {
        let ssrc = word(body, 0)?;
        let mut at = 4;
        while let Some(kind @ 1..) = body.get(at) {
            let value = text(&body[at + 1..])?;
            if *kind == CNAME {
                return Some(RtcpItem::Sdes { ssrc, cname: value });
            }
            at += 2 + value.len();
        }
        // A chunk ends with one to four zero bytes, at a multiple of four.
        body = body.get(at / 4 * 4 + 4..)?;
    }
    None
}

/// ```text
/// |         unused (0)            | "REMB" | n | exponent (6) mantissa (18) | n sources |
/// ```
fn read_receiver_estimate(rest: &[u8]) -> Option<RtcpItem<'_>> {
    if word(rest, 4)? != REMB {
        return None;
    }
    let rate = word(rest, 8)?;
    let (exponent, mantissa) = (rate >> 18 & 0x3f, u64::from(rate & 0x3_ffff));
    // What does not fit is more than any way carries.
    let bits = if exponent > mantissa.leading_zeros() { u64::MAX } else { mantissa << exponent };
    let whole = usize::from(rest[8]).min(rest.len() / 4 - 3);
    Some(RtcpItem::ReceiverEstimate { bits, media: Sources(&rest[12..12 + 4 * whole]) })
}

/// A string behind a byte with its length.
fn text(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first()?;
    rest.get(..usize::from(*length))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

impl ReportBlock {
    fn read(bytes: &[u8; REPORT_BYTES]) -> Self {
        let word = |i: usize| u32::from_be_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        Self {
            ssrc: word(0),
            fraction_lost: bytes[4],
            // Shifting up and down again extends the sign of the 24 bits.
            lost: (word(4) << 8) as i32 >> 8,
            highest_sequence: word(8),
            jitter: word(12),
            last_report: word(16),
            delay: word(20),
        }
    }
}

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SDES: u8 = 202;
const BYE: u8 = 203;
const APP: u8 = 204;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// Formats of feedback about the transport: lost packets, arrivals.
const NACK: u8 = 1;
const ARRIVALS: u8 = 15;

/// Formats of feedback about payloads: lost pictures, requests for one, the application's own.
const PLI: u8 = 1;
const FIR: u8 = 4;
const AFB: u8 = 15;

/// The unique identifier of an estimate among the application's own feedback.
const REMB: u32 = u32::from_be_bytes(*b"REMB");

/// The SDES item of the canonical name (RFC 3550 section 6.5.1).
const CNAME: u8 = 1;

const REPORT_BYTES: usize = 24;

/// The count field has five bits.
const REPORTS_MAX: usize = 31;

#[cfg(test)]
mod tests;
