//! The reading half of a session: deliveries of the fabric to protected packets.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use weft_cluster::Subscription;
use weft_cluster::path::EndReason;
use weft_cluster::stream::Delivery;
use weft_proto::media::{Codec, TrackId};
use weft_proto::rtp::extension::Block;
use weft_proto::rtp::{HEADER_BYTES, Header, RtcpItem, rtcp, rtx};
use weft_proto::time::Now;
use weft_proto::webrtc::estimate::{Estimator, START};
use weft_proto::webrtc::negotiate::{Format, ReadLine};

use super::CNAME;
use super::outgoing::Outgoing;
use super::secure::Secure;
use super::stats::SessionCounters;
use crate::egress::rtp::Packed;
use crate::egress::rtp_reader::{Numbered, RtpReader};
use crate::worker::{Bell, Listening};

/// Units whose packets may be asked for again; what the stream's history has forgotten is not sent in any case.
const SENT_UNITS_MAX: usize = 256;

/// Numbers behind the newest that may be asked for again.
const SENT_NUMBERS_MAX: u16 = 1 << 14;

/// Bytes that may be sent again before anything new is sent, and at most: half of what is sent goes to it.
const REPEAT_BYTES_MAX: usize = 256 << 10;

/// How long a player may keep a picture: it is to show it as soon as it can, and never to fall far behind.
const PLAYOUT_MOST: Duration = Duration::from_millis(300);

/// Bytes of a message of metadata; browsers take 256 KB.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// How much may be under way at the estimated rate: a large picture of a stream that fits, and what jitter adds.
const AHEAD_MAX: Duration = Duration::from_millis(300);

/// The longest that a reader gets nothing because its way is full.
const SILENT_MAX: Duration = Duration::from_secs(1);

/// A session that reads.
pub(super) struct Playing {
    subscription: Subscription,
    _listening: Listening,
    pub(super) bell: Rc<Bell>,
    reader: RtpReader,
    /// By joined track.
    lines: Vec<Option<Line>>,
    /// Tracks that go over data channels, each with what has come of its next message.
    data: Vec<(TrackId, BytesMut)>,
    /// Messages that are to go there.
    messages: Vec<(TrackId, Bytes)>,
    /// Numbers of packets over all tracks.
    transport_sequence: u16,
    batch: Vec<Delivery>,
    packet: Vec<u8>,
    started: bool,
    reordered: Reordered,
    /// Read again at this time: the burst is paced.
    pub(super) resume_at: Option<Now>,
    pub(super) skipped: u64,
    repeat_bytes: usize,
    /// What the way to the reader carries, where the reader reports on it.
    estimator: Option<Box<Estimator>>,
    /// Something was heard of the way.
    is_estimated: bool,
    /// When what was sent so far has left at the estimated rate.
    busy_until: Now,
}

/// Pictures that are shown in another order than they are decoded in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reordered {
    /// The receiver takes them.
    Taken,
    /// The session ends when one comes; the newest time of a picture of each track so far.
    Refused(Vec<(TrackId, i64)>),
}

/// A track that is sent.
struct Line {
    format: Format,
    /// The sources of its packets and of those that are asked for again.
    ssrc: u32,
    repeat_ssrc: u32,
    repeat_sequence: u16,
    sent: VecDeque<Sent>,
}

/// The packets of a unit as this reader was sent them.
struct Sent {
    sequence: u16,
    shift: u32,
    /// Number of the first packet over all tracks.
    transport_sequence: u16,
    random_access: bool,
    packed: Weak<Packed>,
}

/// How packets of a unit are numbered and marked.
#[derive(Clone, Copy)]
struct Marks {
    sequence: u16,
    shift: u32,
    transport_sequence: u16,
    random_access: bool,
}

impl Playing {
    pub(super) fn new(
        subscription: Subscription,
        listening: Listening,
        bell: Rc<Bell>,
        reader: RtpReader,
        (agreed, data): (&[ReadLine], &[TrackId]),
        reordered: Reordered,
    ) -> Self {
        let mut lines: Vec<Option<Line>> = (0..subscription.tracks().len()).map(|_| None).collect();
        for (id, track) in reader.tracks() {
            let found = agreed.iter().find(|line| line.track == id);
            lines[usize::from(id.0)] = found.map(|line| Line {
                format: line.format.clone(),
                ssrc: track.line.ssrc,
                repeat_ssrc: repeat_ssrc(track.line.ssrc),
                repeat_sequence: track.line.offset as u16,
                sent: VecDeque::new(),
            });
        }
        let reports = agreed.iter().any(|line| line.format.transport_cc);
        Self {
            subscription,
            _listening: listening,
            bell,
            reader,
            lines,
            data: data.iter().map(|track| (*track, BytesMut::new())).collect(),
            messages: Vec::new(),
            transport_sequence: 0,
            batch: Vec::new(),
            packet: Vec::new(),
            started: false,
            reordered,
            resume_at: None,
            skipped: 0,
            repeat_bytes: REPEAT_BYTES_MAX,
            estimator: reports.then(|| Box::new(Estimator::new(START))),
            is_estimated: false,
            busy_until: Now::from_micros(0),
        }
    }

    /// Why it is over, if it is.
    pub(super) fn ended(&self) -> Option<EndReason> {
        self.subscription.ended()
    }

    /// Whether the reader is to be sent away; once.
    pub(super) fn take_drain(&self) -> bool {
        self.subscription.take_drain()
    }

    /// Takes the next batch from the log. Whether there is more at once; `None` when this receiver cannot show what comes.
    pub(super) fn pump(
        &mut self,
        secure: &mut Secure,
        out: &mut Outgoing,
        counters: &SessionCounters,
        now: Now,
    ) -> Option<bool> {
        let mut batch = core::mem::take(&mut self.batch);
        let state = self.subscription.read(&mut batch);
        let skipped = self.subscription.take_skipped();
        if skipped > 0 {
            self.skipped += skipped;
            // Half of a message is none.
            self.data.iter_mut().for_each(|(_, message)| message.clear());
        }
        for delivery in batch.drain(..) {
            if !self.data.is_empty() && self.take_data(&delivery) {
                continue;
            }
            let Some(numbered) = self.reader.number(&delivery) else { continue };
            self.reordered.note(&delivery)?;
            if !core::mem::replace(&mut self.started, true) {
                // Players need both clocks before the first packet, or lips go out of sync.
                self.send_reports(secure, out, counters);
            }
            let bytes = self.send(&numbered, delivery.entry.unit.random_access, (secure, now), out);
            self.subscription.count_sent(bytes);
            SessionCounters::add(&counters.outbound_packets, usize::from(numbered.packed.count()));
        }
        // A burst's room is given back: thousands of readers must not keep theirs.
        self.batch = if batch.capacity() > BATCH_KEPT { Vec::new() } else { batch };
        self.resume_at = state.resume_at.max(self.held_until(now));
        Some(state.more)
    }

    /// Puts a unit of metadata into its message, which ends with the marker (RFC 6597 section 4.2). Whether it is one.
    fn take_data(&mut self, delivery: &Delivery) -> bool {
        let unit = &delivery.entry.unit;
        let current = self.subscription.map_tracks(&delivery.entry.tracks);
        let joined = current.get(usize::from(unit.track.0)).copied().flatten();
        let Some((track, message)) = self.data.iter_mut().find(|(track, _)| Some(*track) == joined) else {
            return false;
        };
        for frame in unit.payload.frames() {
            frame.slices().iter().for_each(|slice| message.extend_from_slice(slice));
        }
        if unit.marker || message.len() > MESSAGE_BYTES_MAX {
            self.messages.push((*track, message.split().freeze()));
        }
        true
    }

    /// Messages for data channels, since the last call.
    pub(super) fn take_messages(&mut self) -> Vec<(TrackId, Bytes)> {
        core::mem::take(&mut self.messages)
    }

    /// When more may be sent, where the way is known to be full. What waits too long in the log meanwhile is skipped there, up to
    /// the next random access point: so nothing queues on the way.
    fn held_until(&self, now: Now) -> Option<Now> {
        let is_full = self.is_estimated && self.busy_until > now.after(AHEAD_MAX);
        is_full.then(|| Now::from_micros(self.busy_until.micros() - AHEAD_MAX.as_micros() as u64))
    }

    fn send(
        &mut self,
        numbered: &Numbered,
        random_access: bool,
        (secure, now): (&mut Secure, Now),
        out: &mut Outgoing,
    ) -> usize {
        let Numbered { track, packed, sequence, shift } = numbered;
        let Some(line) = self.lines.get_mut(usize::from(track.0)).and_then(Option::as_mut) else { return 0 };
        let (sequence, shift) = (*sequence, *shift);
        let marks = Marks { sequence, shift, transport_sequence: self.transport_sequence, random_access };
        let mut bytes = 0;
        for (at, packet) in packed.packets().enumerate() {
            line.write(packet, at as u16, marks, &mut self.packet);
            let Some(sealed) = secure.seal_rtp(&self.packet) else { continue };
            bytes += sealed.len();
            out.push(&sealed);
            if let Some(estimator) = &mut self.estimator {
                estimator.sent(marks.transport_sequence.wrapping_add(at as u16), sealed.len(), now);
            }
        }
        if let Some(estimator) = self.estimator.as_ref().filter(|_| self.is_estimated) {
            let takes = Duration::from_micros(bytes as u64 * 8_000_000 / estimator.estimate().max(1));
            // However little is believed in: something has to go, or nothing is ever heard of it.
            self.busy_until = self.busy_until.max(now).after(takes).min(now.after(AHEAD_MAX + SILENT_MAX));
        }
        self.transport_sequence = self.transport_sequence.wrapping_add(packed.count());
        self.repeat_bytes = (self.repeat_bytes + bytes / 2).min(REPEAT_BYTES_MAX);
        if line.format.nack {
            let packed = Arc::downgrade(packed);
            let transport_sequence = marks.transport_sequence;
            line.sent.push_back(Sent { sequence, shift, transport_sequence, random_access, packed });
            // Numbers wrap: what is further behind than that could be taken for what is ahead.
            let is_old = |sent: &Sent| sequence.wrapping_sub(sent.sequence) > SENT_NUMBERS_MAX;
            while line.sent.len() > SENT_UNITS_MAX || line.sent.front().is_some_and(is_old) {
                line.sent.pop_front();
            }
        }
        bytes
    }

    /// Takes RTCP of the reader.
    pub(super) fn hear(
        &mut self,
        datagram: &[u8],
        secure: &mut Secure,
        out: &mut Outgoing,
        counters: &SessionCounters,
        now: Now,
    ) {
        for item in rtcp::parse(datagram) {
            match item {
                RtcpItem::Nack { media, lost } => {
                    for sequence in lost.iter() {
                        self.repeat(media, sequence, secure, out, counters);
                    }
                }
                RtcpItem::TransportFeedback(feedback) => {
                    if let Some(estimator) = &mut self.estimator {
                        estimator.feedback(&feedback, now);
                        self.is_estimated = true;
                    }
                }
                RtcpItem::ReceiverEstimate { bits, .. } => {
                    if let Some(estimator) = &mut self.estimator {
                        estimator.remb(bits);
                        self.is_estimated = true;
                    }
                }
                RtcpItem::PictureLoss { .. } | RtcpItem::FullIntraRequest { .. } => self.subscription.want_keyframe(),
                _ => {}
            }
        }
    }

    /// Sends a packet again, if it is still known.
    fn repeat(
        &mut self,
        media: u32,
        sequence: u16,
        secure: &mut Secure,
        out: &mut Outgoing,
        counters: &SessionCounters,
    ) -> Option<()> {
        let line = self.lines.iter_mut().flatten().find(|line| line.ssrc == media)?;
        let place = line.sent.partition_point(|sent| (sequence.wrapping_sub(sent.sequence) as i16) >= 0);
        let sent = line.sent.get(place.checked_sub(1)?)?;
        let (at, packed) = (sequence.wrapping_sub(sent.sequence), sent.packed.upgrade()?);
        let plain = packed.packets().nth(usize::from(at))?;
        self.repeat_bytes = self.repeat_bytes.checked_sub(plain.len())?;
        let Sent { sequence, shift, transport_sequence, random_access, .. } = *sent;
        // Exactly as it was: SRTP with the same number must protect nothing else.
        line.write(plain, at, Marks { sequence, shift, transport_sequence, random_access }, &mut self.packet);
        if let Some(payload_type) = line.format.repeat_type {
            let repaired = rtx::repair(&self.packet, payload_type, line.repeat_ssrc, line.repeat_sequence)?;
            line.repeat_sequence = line.repeat_sequence.wrapping_add(1);
            out.push(&secure.seal_rtp(&repaired)?);
        } else {
            out.push(&secure.seal_rtp(&self.packet)?);
        }
        SessionCounters::add(&counters.outbound_packets, 1);
        SessionCounters::add(&counters.outbound_repeated, 1);
        Some(())
    }

    /// Sends a sender report for each track.
    pub(super) fn send_reports(&mut self, secure: &mut Secure, out: &mut Outgoing, counters: &SessionCounters) {
        for (_, track) in self.reader.tracks() {
            let Some(info) = self.reader.sender_info(track) else { continue };
            let mut packet = Vec::with_capacity(64);
            rtcp::write_sender_report(&mut packet, &info, &[], CNAME);
            out.push_rtcp(&packet, secure, counters);
        }
    }

    /// Says that the stream is over.
    pub(super) fn send_byes(&self, secure: &mut Secure, out: &mut Outgoing) {
        for line in self.lines.iter().flatten() {
            let mut packet = Vec::new();
            rtcp::write_bye(&mut packet, line.ssrc);
            if let Some(sealed) = secure.seal_rtcp(&packet) {
                out.push(&sealed);
            }
        }
    }
}

/// Deliveries whose room is kept between batches.
const BATCH_KEPT: usize = 8;

impl Line {
    /// Writes packet number `at` of a unit as this reader gets it: `[header | extensions | payload]`.
    fn write(&self, plain: &[u8], at: u16, marks: Marks, out: &mut Vec<u8>) {
        out.clear();
        let Some((head, payload)) = plain.split_first_chunk::<HEADER_BYTES>() else { return };
        let mut head = *head;
        Header::set_payload_type(&mut head, self.format.payload_type);
        Header::set_sequence(&mut head, marks.sequence.wrapping_add(at));
        let timestamp = Header::read(&head).timestamp.wrapping_add(marks.shift);
        Header::set_timestamp(&mut head, timestamp);
        Header::set_ssrc(&mut head, self.ssrc);
        let mut block = Block::new();
        if let Some(id) = self.format.extensions.transport_sequence {
            block.transport_sequence(id, marks.transport_sequence.wrapping_add(at));
        }
        if let Some(id) = self.format.extensions.playout_delay.filter(|_| marks.random_access) {
            block.playout_delay(id, Duration::ZERO, PLAYOUT_MOST);
        }
        let block = block.finish();
        if !block.is_empty() {
            Header::set_extension(&mut head);
        }
        out.extend_from_slice(&head);
        out.extend_from_slice(block);
        out.extend_from_slice(payload);
    }
}

/// The source of what is asked for again, beside a track's own.
pub(super) const fn repeat_ssrc(ssrc: u32) -> u32 {
    ssrc ^ 0x5a5a_0001
}

impl Reordered {
    /// Notes a unit; `None` when it comes after one that is shown later.
    pub(super) fn note(&mut self, delivery: &Delivery) -> Option<()> {
        let Self::Refused(newest) = self else { return Some(()) };
        let unit = &delivery.entry.unit;
        let codec = delivery.entry.tracks.get(unit.track).map(|track| &track.codec);
        if !matches!(codec, Some(Codec::H264(_) | Codec::H265(_))) {
            return Some(());
        }
        let Some((_, last)) = newest.iter_mut().find(|(track, _)| *track == unit.track) else {
            newest.push((unit.track, unit.pts));
            return Some(());
        };
        if !unit.random_access && unit.pts < *last {
            return None;
        }
        *last = if unit.random_access { unit.pts } else { unit.pts.max(*last) };
        Some(())
    }
}
