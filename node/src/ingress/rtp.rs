//! The tracks of a publisher that sends RTP, whichever door its packets come through: packets in, units into the fabric.

use std::time::Duration;

use bytes::Bytes;
use tracing::debug;
use weft_cluster::Publication;
use weft_cluster::stream::Replaced;
use weft_proto::bitstream::DtsEstimator;
use weft_proto::media::{Track, TrackId, Unit};
use weft_proto::rtp::{Aligner, Format, Received, TrackReceiver, Verdict, rtcp};
use weft_proto::time::{Now, WallClock};

use crate::limits::ALIGN_UNITS_MAX;

/// A track that is to be received.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The track.
    pub track: Track,
    /// The payload type that its packets bear.
    pub payload_type: u8,
    /// How it is packed, where its codec has several ways.
    pub format: Format,
}

/// A publisher's tracks.
#[derive(Debug)]
pub struct RtpIngress {
    publication: Publication,
    lines: Vec<Line>,
    aligner: Aligner,
    held: Vec<Held>,
    /// After a loss a track's units are left out until decoding may start again.
    skips_losses: bool,
    last_media: Now,
}

/// A unit that waits until the tracks stand on one time axis.
#[derive(Debug)]
struct Held {
    track: TrackId,
    received: Received,
    arrived: Now,
    /// Something of its track was lost just before it.
    lost_before: bool,
}

/// One track on its way in.
#[derive(Debug)]
struct Line {
    receiver: TrackReceiver,
    dts: DtsEstimator,
    report_ssrc: u32,
    /// After a loss nothing is taken until decoding may start again.
    skips: bool,
    /// Something was lost before the next unit.
    lost_next: bool,
    /// A random access point has come since it was asked.
    random_access: bool,
}

impl RtpIngress {
    /// Begins. `wait`: how long packets that come out of order are waited for, and how many may come meanwhile
    /// (see [`TrackReceiver::holding`]).
    pub fn new(publication: Publication, tracks: &[Expected], (wait, packets): (Duration, usize), now: Now) -> Self {
        let line = |expected: &Expected| Line {
            receiver: TrackReceiver::new(&expected.track, expected.payload_type, &expected.format, wait)
                .holding(packets),
            dts: DtsEstimator::new(&expected.track.codec),
            report_ssrc: uuid::Uuid::new_v4().as_u128() as u32,
            skips: false,
            lost_next: false,
            random_access: false,
        };
        let lines: Vec<Line> = tracks.iter().map(line).collect();
        let aligner = Aligner::new(lines.iter().map(|line| line.receiver.rate()));
        Self { publication, lines, aligner, held: Vec::new(), skips_losses: false, last_media: now }
    }

    /// The same, leaving out what refers to what was lost.
    #[must_use]
    pub const fn skipping_losses(mut self) -> Self {
        self.skips_losses = true;
        self
    }

    /// The handle into the fabric.
    pub const fn publication(&mut self) -> &mut Publication {
        &mut self.publication
    }

    /// When the last packet came.
    pub const fn last_media(&self) -> Now {
        self.last_media
    }

    /// What receives a track.
    pub fn receiver(&self, track: TrackId) -> Option<&TrackReceiver> {
        Some(&self.lines.get(usize::from(track.0))?.receiver)
    }

    /// The source that reports on a track are sent as.
    pub fn report_ssrc(&self, track: TrackId) -> u32 {
        self.lines.get(usize::from(track.0)).map_or(0, |line| line.report_ssrc)
    }

    /// Takes an RTP packet of a track. Units wait for [`Self::flush`].
    pub fn rtp(&mut self, track: TrackId, bytes: Bytes, now: Now) -> Verdict {
        let Some(line) = self.lines.get_mut(usize::from(track.0)) else { return Verdict::Foreign };
        self.last_media = now;
        let (first, held) = (self.held.len(), &mut self.held);
        let hold = &mut |received| held.push(Held { track, received, arrived: now, lost_before: false });
        let verdict = line.receiver.rtp(bytes, now, hold);
        self.settle(track, first);
        verdict
    }

    /// Takes RTCP about a track; says whether its source left.
    pub fn rtcp(&mut self, track: TrackId, datagram: &[u8], now: Now) -> bool {
        self.last_media = now;
        self.lines.get_mut(usize::from(track.0)).is_some_and(|line| line.receiver.rtcp(datagram, now))
    }

    /// Whether a track's units are left out.
    pub fn skips(&self, track: TrackId) -> bool {
        self.lines.get(usize::from(track.0)).is_some_and(|line| line.skips)
    }

    /// Whether a random access point of a track has come since the last call.
    pub fn take_random_access(&mut self, track: TrackId) -> bool {
        self.lines.get_mut(usize::from(track.0)).is_some_and(|line| core::mem::take(&mut line.random_access))
    }

    /// Hands what is ready to the readers.
    pub fn flush(&mut self, now: Now) -> Result<(), Replaced> {
        if self.held.is_empty() {
            return Ok(());
        }
        if !self.aligner.is_ready(now, self.publication.is_read()) && self.held.len() < ALIGN_UNITS_MAX {
            return self.tell_parameters();
        }
        let mut held = core::mem::take(&mut self.held);
        let mut before = now;
        for Held { track, received, arrived, lost_before } in held.drain(..) {
            if arrived != before {
                self.publication.flush_arrived(before)?;
                before = arrived;
            }
            self.push(track, received, lost_before)?;
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
    pub fn next_timeout(&self) -> Option<Now> {
        let reorder = self.lines.iter().filter_map(|line| line.receiver.next_timeout()).min();
        let waiting = !self.held.is_empty() && !self.aligner.is_settled();
        let align = waiting.then(|| self.aligner.deadline(self.publication.is_read())).flatten();
        reorder.into_iter().chain(align).min()
    }

    /// Gives up waiting for what did not come.
    pub fn handle_timeout(&mut self, now: Now) -> Result<(), Replaced> {
        for index in 0..self.lines.len() {
            let (track, first, held) = (TrackId(index as u8), self.held.len(), &mut self.held);
            let hold = &mut |received| held.push(Held { track, received, arrived: now, lost_before: false });
            self.lines[index].receiver.handle_timeout(now, hold);
            self.settle(track, first);
        }
        self.flush(now)
    }

    /// Receiver reports for the publisher: track and packet.
    pub fn reports(&mut self, now: Now, cname: &str) -> Vec<(TrackId, Bytes)> {
        let report = |(index, line): (usize, &mut Line)| {
            let block = line.receiver.report(now)?;
            let mut packet = Vec::new();
            rtcp::write_receiver_report(&mut packet, line.report_ssrc, &[block], cname);
            Some((TrackId(index as u8), packet.into()))
        };
        self.lines.iter_mut().enumerate().filter_map(report).collect()
    }

    /// Jitter of all tracks, the mean, in ticks.
    pub fn jitter(&self) -> f64 {
        let sum: f64 = self.lines.iter().map(|line| f64::from(line.receiver.stats().jitter())).sum();
        sum / self.lines.len().max(1) as f64
    }

    /// Packets of all tracks that did not come.
    pub fn lost(&self) -> u64 {
        self.lines.iter().map(|line| line.receiver.stats().lost().max(0)).sum::<i64>() as u64
    }

    /// Notes where new units stand in time, before they are aligned, and what was lost before them. `first`: the first of the units
    /// that came with what was lost.
    fn settle(&mut self, id: TrackId, first: usize) {
        let line = &mut self.lines[usize::from(id.0)];
        let receiver = &mut line.receiver;
        let tied = self.aligner.is_tied();
        for Held { received, arrived, .. } in self.held.iter().filter(|held| held.track == id) {
            line.random_access |= received.random_access;
            self.aligner.saw(id, received.ticks, *arrived, receiver.captured(received.ticks));
        }
        if !tied && self.aligner.is_tied() {
            debug!(path = %self.publication.path(), "sender reports tie all tracks together");
        }
        if let Some(next) = self.held.get_mut(first)
            && core::mem::take(&mut line.lost_next)
        {
            next.lost_before = true;
        }
        let dropped = receiver.take_dropped();
        if dropped > 0 {
            self.publication.lose(dropped);
        }
        // Of units that are missing whole nothing is known but their packets.
        if receiver.take_lost() > 0 || dropped > 0 {
            // What came in order had come before: all of this follows the loss.
            match self.held.get_mut(first) {
                Some(next) => next.lost_before = true,
                None => line.lost_next = true,
            }
        }
    }

    fn push(&mut self, id: TrackId, received: Received, lost_before: bool) -> Result<(), Replaced> {
        let skips_losses = self.skips_losses;
        let line = &mut self.lines[usize::from(id.0)];
        if received.codec_changed {
            self.publication.set_codec(id, line.receiver.codec().clone())?;
        }
        if lost_before && skips_losses {
            line.skips = line.receiver.codec().has_dependent_units();
        }
        if line.skips && !received.random_access {
            self.publication.lose(1);
            return Ok(());
        }
        line.skips = false;
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
