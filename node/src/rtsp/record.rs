//! The publishing half of a session: packets in, units into the fabric.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use weft_cluster::Publication;
use weft_cluster::stream::Replaced;
use weft_proto::limits::REORDER_PACKETS_MAX;
use weft_proto::media::{Track, TrackId, Tracks};
use weft_proto::rtp::{Format, Verdict, rtcp};
use weft_proto::sdp::MediaDescription;
use weft_proto::time::Now;

use super::stats::SessionCounters;
use crate::ingress::rtp::{Expected, RtpIngress};

/// How long packets that come out of order over UDP are waited for.
const REORDER_WAIT: Duration = Duration::from_millis(100);

/// A session that publishes.
pub(super) struct Recording {
    ingress: RtpIngress,
    /// The media section of each track.
    sections: Vec<usize>,
    counters: Arc<SessionCounters>,
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
        let known: Vec<usize> = sections.iter().copied().filter(|section| *section < media.len()).collect();
        let expected: Vec<Expected> = known.iter().map(|section| expected(&media[*section])).collect();
        Self {
            ingress: RtpIngress::new(publication, &expected, (wait, REORDER_PACKETS_MAX), now),
            sections: known,
            counters,
        }
    }

    /// The handle into the fabric.
    pub(super) const fn publication(&mut self) -> &mut Publication {
        self.ingress.publication()
    }

    /// When the last packet came.
    pub(super) const fn last_media(&self) -> Now {
        self.ingress.last_media()
    }

    /// Takes a packet of the media section. Units wait for [`Self::flush`].
    pub(super) fn packet(&mut self, section: usize, is_rtcp: bool, bytes: Bytes, now: Now) {
        let Some(index) = self.sections.iter().position(|known| *known == section) else { return };
        let (track, counters) = (TrackId(index as u8), &self.counters);
        if is_rtcp {
            counters.saw_rtcp(rtcp::parse(&bytes).count());
            self.ingress.rtcp(track, &bytes, now);
            return;
        }
        let verdict = self.ingress.rtp(track, bytes, now);
        let counter = if verdict == Verdict::Taken { &counters.inbound_packets } else { &counters.inbound_in_error };
        SessionCounters::add(counter, 1);
    }

    /// Hands what is ready to the readers.
    pub(super) fn flush(&mut self, now: Now) -> Result<(), Replaced> {
        self.ingress.flush(now)
    }

    /// When [`Self::handle_timeout`] is due.
    pub(super) fn next_timeout(&self) -> Option<Now> {
        self.ingress.next_timeout()
    }

    /// Gives up waiting for what did not come.
    pub(super) fn handle_timeout(&mut self, now: Now) -> Result<(), Replaced> {
        self.ingress.handle_timeout(now)
    }

    /// Receiver reports for the publisher: `(media section, packet)`.
    pub(super) fn reports(&mut self, now: Now, cname: &str) -> Vec<(usize, Bytes)> {
        let reports = self.ingress.reports(now, cname).into_iter();
        reports.map(|(track, packet)| (self.sections[usize::from(track.0)], packet)).collect()
    }

    /// Brings the API's figures of reception up to date.
    pub(super) fn count(&self) {
        self.counters.inbound_jitter.store(self.ingress.jitter().to_bits(), Ordering::Relaxed);
        self.counters.inbound_lost.store(self.ingress.lost(), Ordering::Relaxed);
    }
}

fn expected(media: &MediaDescription) -> Expected {
    let lengths = media.au_headers;
    let format =
        Format { size_length: lengths.size, index_length: lengths.index, index_delta_length: lengths.index_delta };
    Expected { track: media.track.clone(), payload_type: media.payload_type, format }
}

/// The announced tracks as the fabric takes them.
pub(super) fn announced(media: &[MediaDescription], sections: &[usize]) -> Option<Tracks> {
    Tracks::new(tracks_of(media, sections)).ok()
}
