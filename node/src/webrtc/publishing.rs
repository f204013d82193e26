//! Media that comes, from a publisher or a source: plain packets in, units into the fabric, and what is asked of the sender.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use weft_cluster::Publication;
use weft_cluster::stream::Replaced;
use weft_proto::limits::REPAIR_PACKETS_MAX;
use weft_proto::media::TrackId;
use weft_proto::rtp::extension::{extensions, transport_sequence};
use weft_proto::rtp::{Format as Packing, HEADER_BYTES, Header, RtcpItem, TrackReceiver, rtcp, rtx};
use weft_proto::time::Now;
use weft_proto::webrtc::arrivals::Arrivals;
use weft_proto::webrtc::missing::{Missing, WAIT};
use weft_proto::webrtc::negotiate::PublishLine;

use super::CNAME;
use super::stats::SessionCounters;
use crate::ingress::rtp::{Expected, RtpIngress};

/// Keyframes are asked for no more often: a round trip to the other side of the world, and the time to make one.
const KEYFRAME_EVERY_LEAST: Duration = Duration::from_millis(500);

/// A group gets no longer than that: whoever joins begins at once, and HLS has segments. Browsers make keyframes only when asked.
const KEYFRAME_EVERY_MOST: Duration = Duration::from_secs(2);

/// How often it is looked whether a keyframe is to be asked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Reports that are kept of sources that have sent nothing yet.
const EARLY_MAX: usize = 8;

/// A session that publishes.
pub(super) struct Publishing {
    ingress: RtpIngress,
    lines: Vec<Line>,
    /// When packets came, where the sender wants to know.
    arrivals: Option<Arrivals>,
    look_at: Now,
    last_media: Now,
    /// Reports of sources that have sent nothing yet: they come first, so that pictures and sound are tied together from the
    /// beginning.
    early: Vec<(u32, Bytes)>,
}

/// A track on its way in.
struct Line {
    agreed: PublishLine,
    /// The source of its packets, once one was seen.
    source: Option<u32>,
    /// The source of its repetitions, once one was seen.
    repeat: Option<u32>,
    is_video: bool,
    /// What is asked for again, where the publisher sends again.
    missing: Option<Missing>,
    keyframe_asked: Option<Now>,
    keyframe_came: Option<Now>,
}

impl Publishing {
    pub(super) fn new(publication: Publication, agreed: Vec<PublishLine>, now: Now) -> Self {
        let expected: Vec<Expected> = agreed
            .iter()
            .map(|line| Expected {
                track: line.track.clone(),
                payload_type: line.format.payload_type,
                format: Packing::default(),
            })
            .collect();
        let line = |agreed: PublishLine| Line {
            source: agreed.source,
            repeat: agreed.repeat,
            is_video: agreed.track.codec.has_dependent_units(),
            missing: agreed.format.nack.then(|| Missing::new(WAIT)),
            agreed,
            keyframe_asked: None,
            keyframe_came: None,
        };
        let reports = agreed.iter().any(|line| line.format.transport_cc);
        Self {
            ingress: RtpIngress::new(publication, &expected, (WAIT, REPAIR_PACKETS_MAX), now).skipping_losses(),
            lines: agreed.into_iter().map(line).collect(),
            arrivals: reports.then(Arrivals::new),
            look_at: now,
            last_media: now,
            early: Vec::new(),
        }
    }

    /// The handle into the fabric.
    pub(super) const fn publication(&mut self) -> &mut Publication {
        self.ingress.publication()
    }

    /// When the last packet came.
    pub(super) const fn last_media(&self) -> Now {
        self.last_media
    }

    /// Takes a plain RTP packet. Units wait for [`Self::flush`].
    pub(super) fn rtp(&mut self, packet: Bytes, now: Now, counters: &SessionCounters) {
        SessionCounters::add(&counters.inbound_packets, 1);
        let Some(head) = packet.first_chunk::<HEADER_BYTES>().map(Header::read) else { return };
        self.note_arrival(&packet, now);
        let Some((index, repeats)) = self.line_of(&head, &packet) else { return };
        self.last_media = now;
        let line = &mut self.lines[index];
        let packet = if repeats {
            line.repeat = Some(head.ssrc);
            let Some(source) = line.source else { return };
            let Some(original) = rtx::restore(packet, line.agreed.format.payload_type, source) else { return };
            if let (Some(missing), Some(head)) = (&mut line.missing, original.first_chunk::<HEADER_BYTES>()) {
                missing.restored(Header::read(head).sequence, now);
            }
            original
        } else {
            line.source = Some(head.ssrc);
            if let Some(missing) = &mut line.missing {
                missing.saw(head.sequence, now);
            }
            packet
        };
        let track = TrackId(index as u8);
        self.ingress.rtp(track, packet, now);
        self.take_early(track, now);
    }

    /// Takes the report of a source that has just begun.
    fn take_early(&mut self, track: TrackId, now: Now) {
        let source = self.ingress.receiver(track).and_then(TrackReceiver::ssrc);
        if let Some(at) = self.early.iter().position(|(early, _)| Some(*early) == source) {
            let (_, report) = self.early.swap_remove(at);
            self.ingress.rtcp(track, &report, now);
        }
    }

    /// Notes when a packet came, for the publisher's estimate of the way.
    fn note_arrival(&mut self, packet: &[u8], now: Now) {
        let Some(arrivals) = &mut self.arrivals else { return };
        // All sections of a bundle have the same numbers.
        let id = self.lines.iter().find_map(|line| line.agreed.format.extensions.transport_sequence);
        let number = extensions(packet).find(|(known, _)| Some(*known) == id);
        if let Some(number) = number.and_then(|(_, value)| transport_sequence(value)) {
            arrivals.saw(number, now);
        }
    }

    /// Whose a packet is, and whether it repeats another one.
    fn line_of(&mut self, head: &Header, packet: &[u8]) -> Option<(usize, bool)> {
        let known = self.lines.iter().position(|line| line.source == Some(head.ssrc));
        if let Some(index) = known.filter(|index| self.lines[*index].agreed.format.payload_type == head.payload_type) {
            return Some((index, false));
        }
        if let Some(index) = self.lines.iter().position(|line| line.repeat == Some(head.ssrc)) {
            return Some((index, true));
        }
        let carried = |id: Option<u8>| extensions(packet).find(|(known, _)| Some(*known) == id).map(|(_, value)| value);
        // Sections may share payload types; then packets say which one they are of.
        let is_elsewhere = |line: &Line| {
            let format = &line.agreed.format;
            carried(format.extensions.mid).is_some_and(|mid| mid != format.mid.as_bytes())
        };
        let is_of = |line: &Line| match &line.agreed.layer {
            Some(layer) => carried(line.agreed.format.extensions.rid) == Some(layer.as_bytes()),
            None => true,
        };
        let repeats = |line: &Line| match &line.agreed.layer {
            Some(layer) => carried(line.agreed.format.extensions.repaired_rid) == Some(layer.as_bytes()),
            None => line.source.is_some(),
        };
        let mut lines = self.lines.iter().enumerate().filter(|(_, line)| !is_elsewhere(line));
        lines.find_map(|(index, line)| {
            let format = &line.agreed.format;
            if format.payload_type == head.payload_type && is_of(line) {
                Some((index, false))
            } else if format.repeat_type == Some(head.payload_type) && repeats(line) {
                Some((index, true))
            } else {
                None
            }
        })
    }

    /// Takes plain RTCP; says whether a track's source left.
    pub(super) fn rtcp(&mut self, datagram: &Bytes, now: Now) -> bool {
        let mut left = false;
        let mut known: Vec<u32> = Vec::new();
        for track in self.tracks() {
            // A track whose source is not known yet would take another one's report for its own.
            if let Some(source) = self.ingress.receiver(track).and_then(TrackReceiver::ssrc) {
                known.push(source);
                left |= self.ingress.rtcp(track, datagram, now);
            }
        }
        for item in rtcp::parse(datagram) {
            if let RtcpItem::SenderReport { info, .. } = item
                && !known.contains(&info.ssrc)
            {
                self.early.retain(|(source, _)| *source != info.ssrc);
                if self.early.len() < EARLY_MAX {
                    self.early.push((info.ssrc, datagram.clone()));
                }
            }
        }
        left
    }

    /// Hands what is ready to the readers.
    pub(super) fn flush(&mut self, now: Now) -> Result<(), Replaced> {
        self.note_keyframes(now);
        self.ingress.flush(now)
    }

    fn note_keyframes(&mut self, now: Now) {
        for (index, line) in self.lines.iter_mut().enumerate() {
            if self.ingress.take_random_access(TrackId(index as u8)) {
                line.keyframe_came = Some(now);
            }
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub(super) fn next_timeout(&self) -> Option<Now> {
        let missing = self.lines.iter().filter_map(|line| line.missing.as_ref()?.next_timeout());
        let arrivals = self.arrivals.as_ref().and_then(Arrivals::next_timeout);
        self.ingress.next_timeout().into_iter().chain(missing).chain(arrivals).chain([self.look_at]).min()
    }

    /// Gives up waiting for what did not come, and says what is to be said of what did: plain RTCP, to be sealed and sent.
    pub(super) fn handle_timeout(&mut self, now: Now, send: &mut dyn FnMut(&[u8])) -> Result<(), Replaced> {
        if self.ingress.next_timeout().is_some_and(|at| at <= now) {
            self.ingress.handle_timeout(now)?;
            self.note_keyframes(now);
        }
        let mut packet = Vec::new();
        self.ask_again(now, &mut packet);
        if self.look_at <= now {
            self.look_at = now.after(LOOK_EVERY);
            self.ask_for_keyframes(now, &mut packet);
        }
        if !packet.is_empty() {
            send(&packet);
        }
        self.report_arrivals(now, send);
        Ok(())
    }

    /// Writes what is asked for again.
    fn ask_again(&mut self, now: Now, out: &mut Vec<u8>) {
        for (index, line) in self.lines.iter_mut().enumerate() {
            let (Some(missing), Some(source)) = (&mut line.missing, line.source) else { continue };
            let track = TrackId(index as u8);
            let lost = missing.due(now);
            if !lost.is_empty() {
                rtcp::write_nack(out, self.ingress.report_ssrc(track), source, &lost);
            }
            // What it was needed for is found to be lost by who puts packets in order.
            missing.take_given_up();
        }
    }

    /// Says when packets came.
    fn report_arrivals(&mut self, now: Now, send: &mut dyn FnMut(&[u8])) {
        let Some(arrivals) = &mut self.arrivals else { return };
        let source = self.lines.iter().find_map(|line| line.source.or(line.repeat)).unwrap_or_default();
        for packet in arrivals.feedback(now, source, self.ingress.report_ssrc(TrackId(0))) {
            send(&packet);
        }
    }

    fn tracks(&self) -> impl Iterator<Item = TrackId> + use<> {
        (0..self.lines.len()).map(|index| TrackId(index as u8))
    }

    /// Writes a wish for a keyframe of each track that needs one.
    fn ask_for_keyframes(&mut self, now: Now, out: &mut Vec<u8>) {
        let wanted = self.ingress.publication().take_keyframe_wanted();
        for (index, line) in self.lines.iter_mut().enumerate().filter(|(_, line)| line.is_video) {
            let track = TrackId(index as u8);
            let since = |at: Option<Now>| at.is_none_or(|at| now.since(at) >= KEYFRAME_EVERY_MOST);
            let is_needed = wanted || self.ingress.skips(track) || since(line.keyframe_came);
            let may = line.keyframe_asked.is_none_or(|at| now.since(at) >= KEYFRAME_EVERY_LEAST);
            if let (true, true, Some(source)) = (is_needed, may, line.source) {
                line.keyframe_asked = Some(now);
                rtcp::write_picture_loss(out, self.ingress.report_ssrc(track), source);
            }
        }
    }

    /// Sends receiver reports.
    pub(super) fn send_reports(&mut self, now: Now, send: &mut dyn FnMut(&[u8])) {
        for (_, packet) in self.ingress.reports(now, CNAME) {
            send(&packet);
        }
    }

    /// Brings the API's figures of reception up to date.
    pub(super) fn count(&self, counters: &SessionCounters) {
        counters.inbound_jitter.store(self.ingress.jitter().to_bits(), Ordering::Relaxed);
        counters.inbound_lost.store(self.ingress.lost(), Ordering::Relaxed);
    }
}
