//! What this end says in RTCP. Each of the feedback packets may stand alone, without a report in front of it, where both ends
//! allow reduced size (RFC 5506); a compound begins with [`write_receiver_report`].

use super::*;

/// Appends a sender report with a canonical name (RFC 3550 sections 6.4.1 and 6.5). The first 31 reports are written.
pub fn write_sender_report(out: &mut Vec<u8>, info: &SenderInfo, reports: &[ReportBlock], cname: &str) {
    let reports = &reports[..reports.len().min(REPORTS_MAX)];
    put_head(out, reports.len() as u8, SENDER_REPORT, 6 + 6 * reports.len());
    let ntp = info.ntp.0;
    put(out, &[info.ssrc, (ntp >> 32) as u32, ntp as u32, info.rtp_timestamp, info.packets, info.octets]);
    reports.iter().for_each(|report| put_report(out, report));
    put_sdes(out, info.ssrc, cname);
}

/// Appends a receiver report with a canonical name (RFC 3550 sections 6.4.2 and 6.5). The first 31 reports are written.
pub fn write_receiver_report(out: &mut Vec<u8>, ssrc: u32, reports: &[ReportBlock], cname: &str) {
    put_receiver_report(out, ssrc, reports);
    put_sdes(out, ssrc, cname);
}

/// Appends a goodbye (RFC 3550 section 6.6), behind the empty receiver report that a compound has to begin with.
pub fn write_bye(out: &mut Vec<u8>, ssrc: u32) {
    put_receiver_report(out, ssrc, &[]);
    put_head(out, 1, BYE, 1);
    put(out, &[ssrc]);
}

/// Appends a request for packets (RFC 4585 section 6.2.1). `lost` is in order, the oldest first; what is said twice is asked for
/// once. Nothing is written when it is empty.
pub fn write_nack(out: &mut Vec<u8>, sender: u32, media: u32, lost: &[u16]) {
    let Some(first) = lost.first() else { return };
    let begin = out.len();
    put_head(out, NACK, TRANSPORT_FEEDBACK, 0);
    put(out, &[sender, media]);
    let (mut base, mut mask) = (*first, 0u16);
    for sequence in &lost[1..] {
        match sequence.wrapping_sub(base) {
            0 => {}
            bit @ 1..=16 => mask |= 1 << (bit - 1),
            _ => {
                put(out, &[u32::from(base) << 16 | u32::from(mask)]);
                (base, mask) = (*sequence, 0);
            }
        }
    }
    put(out, &[u32::from(base) << 16 | u32::from(mask)]);
    set_length(out, begin);
}

/// Appends a request for a random access point (PLI, RFC 4585 section 6.3.1).
pub fn write_picture_loss(out: &mut Vec<u8>, sender: u32, media: u32) {
    put_head(out, PLI, PAYLOAD_FEEDBACK, 2);
    put(out, &[sender, media]);
}

/// Appends the same with a number, which grows with each new request and stays when one is said again (FIR, RFC 5104
/// section 4.3.1).
pub fn write_full_intra_request(out: &mut Vec<u8>, sender: u32, media: u32, sequence: u8) {
    put_head(out, FIR, PAYLOAD_FEEDBACK, 4);
    // The media source stands in the entry; that of the head is not used (RFC 5104 section 4.3.1.2).
    put(out, &[sender, 0, media, u32::from(sequence) << 24]);
}

/// Appends what this end believes that the way carries (REMB, draft-alvestrand-rmcat-remb-03 section 2.2): `bits` per second, of
/// the first 255 of `media` together. Of the rate 18 bits are said, rounded down.
pub fn write_receiver_estimate(out: &mut Vec<u8>, sender: u32, bits: u64, media: &[u32]) {
    let media = &media[..media.len().min(255)];
    let exponent = (u64::BITS - bits.leading_zeros()).saturating_sub(18);
    let rate = exponent << 18 | (bits >> exponent) as u32;
    put_head(out, AFB, PAYLOAD_FEEDBACK, 4 + media.len());
    put(out, &[sender, 0, REMB, (media.len() as u32) << 24 | rate]);
    put(out, media);
}

fn put_receiver_report(out: &mut Vec<u8>, ssrc: u32, reports: &[ReportBlock]) {
    let reports = &reports[..reports.len().min(REPORTS_MAX)];
    put_head(out, reports.len() as u8, RECEIVER_REPORT, 1 + 6 * reports.len());
    put(out, &[ssrc]);
    reports.iter().for_each(|report| put_report(out, report));
}

fn put_sdes(out: &mut Vec<u8>, ssrc: u32, cname: &str) {
    let cname = &cname.as_bytes()[..cname.len().min(255)];
    // The item, then at least one zero byte, up to a multiple of four.
    let words = (2 + cname.len()) / 4 + 1;
    put_head(out, 1, SDES, 1 + words);
    put(out, &[ssrc]);
    let end = out.len() + 4 * words;
    out.extend_from_slice(&[CNAME, cname.len() as u8]);
    out.extend_from_slice(cname);
    out.resize(end, 0);
}

fn put_report(out: &mut Vec<u8>, report: &ReportBlock) {
    let ReportBlock { ssrc, fraction_lost, lost, highest_sequence, jitter, last_report, delay } = *report;
    let lost = lost as u32 & 0x00ff_ffff | u32::from(fraction_lost) << 24;
    put(out, &[ssrc, lost, highest_sequence, jitter, last_report, delay]);
}

/// The length of the packet that begins at `begin` and ends with what is written. It is whole words.
pub(super) fn set_length(out: &mut [u8], begin: usize) {
    let words = (out.len() - begin) / 4 - 1;
    out[begin + 2..begin + 4].copy_from_slice(&(words as u16).to_be_bytes());
}

pub(super) fn put_head(out: &mut Vec<u8>, count: u8, packet_type: u8, words: usize) {
    let [high, low] = (words as u16).to_be_bytes();
    out.extend_from_slice(&[2 << 6 | count, packet_type, high, low]);
}

pub(super) fn put(out: &mut Vec<u8>, words: &[u32]) {
    words.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
}
