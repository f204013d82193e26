//! The publishing half of a session: packets in, units into the fabric.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tracing::debug;
use weft_cluster::Publication;
use weft_cluster::stream::Replaced;
use weft_proto::bitstream::DtsEstimator;
use weft_proto::media::{Track, TrackId, Tracks, Unit};
use weft_proto::rtp::{Aligner, Format, Received, TrackReceiver, Verdict, rtcp};
use weft_proto::sdp::MediaDescription;
use weft_proto::time::{Now, WallClock};

use super::stats::SessionCounters;
use crate::limits::ALIGN_UNITS_MAX;

/// How long packets that come out of order over UDP are waited for.
const REORDER_WAIT: Duration = Duration::from_millis(100);

/// A session that publishes.
pub(super) struct Recording {
    publication: Publication,
    lines: Vec<Line>,
    aligner: Aligner,
    held: Vec<Held>,
    counters: Arc<SessionCounters>,
    last_media: Now,
}

/// A unit that waits until the tracks stand on one time axis.
struct Held {
    track: TrackId,
    received: Received,
    arrived: Now,
}

/// One track on its way in.
struct Line {
    /// Index of the media section in the announced description.
    section: usize,
    receiver: TrackReceiver,
    dts: DtsEstimator,
    report_ssrc: u32,
}

/// The announced tracks that were set up, in the order of the description.
pub(super) fn tracks_of(media: &[MediaDescription], sections: &[usize]) -> Vec<Track> {
    sections.iter().filter_map(|section| media.get(*section)).map(|media| media.track.clone()).collect()
}

impl Recording {
    /// Begins. `sections`: the media sections that were set up, ascending.
    pub(super) fn new(
        publication: Publication,
        media: &[MediaDescription],
        sections: &[usize],
        ordered: bool,
        counters: Arc<SessionCounters>,
        now: Now,
    ) -> Self {
        let wait = if ordered { Duration::ZERO } else { REORDER_WAIT };
        let line = |section: &usize| {
            let media = media.get(*section)?;
            let lengths = media.au_headers;
            let format = Format {
                size_length: lengths.size,
                index_length: lengths.index,
                index_delta_length: lengths.index_delta,
            };
            Some(Line {
                section: *section,
                receiver: TrackReceiver::new(&media.track, media.payload_type, &format, wait),
                dts: DtsEstimator::new(&media.track.codec),
                report_ssrc: super::session::random_u32(),
            })
        };
        let lines: Vec<Line> = sections.iter().filter_map(line).collect();
        let aligner = Aligner::new(lines.iter().map(|line| line.receiver.rate()));
        Self { publication, lines, aligner, held: Vec::new(), counters, last_media: now }
    }

    /// The handle into the fabric.
    pub(super) const fn publication(&mut self) -> &mut Publication {
        &mut self.publication
    }

    /// When the last packet came.
    pub(super) const fn last_media(&self) -> Now {
        self.last_media
    }

    /// Takes a packet of the media section. Units wait for [`Self::flush`].
    pub(super) fn packet(&mut self, section: usize, is_rtcp: bool, bytes: Bytes, now: Now) {
        let Some(index) = self.lines.iter().position(|line| line.section == section) else { return };
        let line = &mut self.lines[index];
        let counters = &self.counters;
        self.last_media = now;
        if is_rtcp {
            counters.saw_rtcp(rtcp::parse(&bytes).count());
            line.receiver.rtcp(&bytes, now);
            return;
        }
        let (track, held) = (TrackId(index as u8), &mut self.held);
        let hold = &mut |received| held.push(Held { track, received, arrived: now });
        let verdict = line.receiver.rtp(bytes, now, hold);
        let counter = if verdict == Verdict::Taken { &counters.inbound_packets } else { &counters.inbound_in_error };
        SessionCounters::add(counter, 1);
        self.settle(index);
    }

    /// Hands what is ready to the readers.
    pub(super) fn flush(&mut self, now: Now) -> Result<(), Replaced> {
        if self.held.is_empty() {
            return Ok(());
        }
        if !self.aligner.is_ready(now, self.publication.is_read()) && self.held.len() < ALIGN_UNITS_MAX {
            return self.tell_parameters();
        }
        let mut held = core::mem::take(&mut self.held);
        let mut before = now;
        for Held { track, received, arrived } in held.drain(..) {
            if arrived != before {
                self.publication.flush_arrived(before)?;
                before = arrived;
            }
            self.push(track, received)?;
        }
        self.held = held;
        self.publication.flush_arrived(before)
    }

    /// What is known of the tracks is not held back: readers ask before they read.
    fn tell_parameters(&mut self) -> Result<(), Replaced> {
        for Held { track, received, .. } in &mut self.held {
            if core::mem::take(&mut received.codec_changed) {
                self.publication.set_codec(*track, self.lines[usize::from(track.0)].receiver.codec().clone())?;
            }
        }
        Ok(())
    }

    /// When [`Self::handle_timeout`] is due.
    pub(super) fn next_timeout(&self) -> Option<Now> {
        let reorder = self.lines.iter().filter_map(|line| line.receiver.next_timeout()).min();
        let waiting = !self.held.is_empty() && !self.aligner.is_settled();
        let align = waiting.then(|| self.aligner.deadline(self.publication.is_read())).flatten();
        reorder.into_iter().chain(align).min()
    }

    /// Gives up waiting for what did not come.
    pub(super) fn handle_timeout(&mut self, now: Now) -> Result<(), Replaced> {
        for index in 0..self.lines.len() {
            let (track, held) = (TrackId(index as u8), &mut self.held);
            let hold = &mut |received| held.push(Held { track, received, arrived: now });
            self.lines[index].receiver.handle_timeout(now, hold);
            self.settle(index);
        }
        self.flush(now)
    }

    /// Receiver reports for the publisher: `(media section, packet)`.
    pub(super) fn reports(&mut self, now: Now, cname: &str) -> Vec<(usize, Bytes)> {
        self.lines
            .iter_mut()
            .filter_map(|line| {
                let block = line.receiver.report(now)?;
                let mut packet = Vec::new();
                rtcp::write_receiver_report(&mut packet, line.report_ssrc, &[block], cname);
                Some((line.section, packet.into()))
            })
            .collect()
    }

    /// Brings the API's figures of reception up to date.
    pub(super) fn count(&self) {
        let jitter: f64 = self.lines.iter().map(|line| f64::from(line.receiver.stats().jitter())).sum();
        let mean = jitter / self.lines.len().max(1) as f64;
        self.counters.inbound_jitter.store(mean.to_bits(), Ordering::Relaxed);
        let lost: i64 = self.lines.iter().map(|line| line.receiver.stats().lost().max(0)).sum();
        self.counters.inbound_lost.store(lost as u64, Ordering::Relaxed);
    }

    /// Notes where new units stand in time, before they are aligned, and what was lost before them.
    fn settle(&mut self, index: usize) {
        let id = TrackId(index as u8);
        let receiver = &mut self.lines[index].receiver;
        let tied = self.aligner.is_tied();
        for Held { received, arrived, .. } in self.held.iter().filter(|held| held.track == id) {
            self.aligner.saw(id, received.ticks, *arrived, receiver.captured(received.ticks));
        }
        if !tied && self.aligner.is_tied() {
            debug!(path = %self.publication.path(), "sender reports tie all tracks together");
        }
        let dropped = receiver.take_dropped();
        if dropped > 0 {
            self.publication.lose(dropped);
        }
    }

    fn push(&mut self, id: TrackId, received: Received) -> Result<(), Replaced> {
        let line = &mut self.lines[usize::from(id.0)];
        if received.codec_changed {
            self.publication.set_codec(id, line.receiver.codec().clone())?;
        }
        let captured: Option<WallClock> = line.receiver.captured(received.ticks);
        let pts = self.aligner.align(id, received.ticks);
        let dts = line.dts.dts(pts, received.random_access, line.receiver.codec());
        self.publication.push(Unit {
            track: id,
            pts,
            dts,
            captured,
            random_access: received.random_access,
            discardable: received.discardable,
            marker: received.marker,
            payload: received.payload,
        });
        Ok(())
    }
}

/// The announced tracks as the fabric takes them.
pub(super) fn announced(media: &[MediaDescription], sections: &[usize]) -> Option<Tracks> {
    Tracks::new(tracks_of(media, sections)).ok()
}
