//! Packets of a source to units in the fabric, by the same [`Recording`] as those of a publisher.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tracing::info;
use weft_cluster::path::PublisherEvent;
use weft_proto::sdp::MediaDescription;
use weft_proto::time::Now;

use super::super::play::CNAME;
use super::super::record::{Recording, announced};
use super::super::session::REPORT_INTERVAL;
use super::super::stats::SessionCounters;
use crate::source::{Pull, SourceEnd};

/// A packet of a media section.
pub(super) struct Heard {
    pub(super) section: usize,
    pub(super) is_rtcp: bool,
    pub(super) bytes: Bytes,
}

/// Where packets come from.
pub(super) trait Feed {
    /// Waits for packets and adds all that are there. May be given up at any point and asked again.
    async fn hear(&mut self, heard: &mut Vec<Heard>) -> Result<(), SourceEnd>;

    /// Sends receiver reports: media section and packet.
    fn report(&mut self, reports: Vec<(usize, Bytes)>);

    /// Tells the server that it is over.
    async fn say_goodbye(&mut self);
}

/// How often it is looked how long a server has been silent.
const TICK: Duration = Duration::from_secs(1);

/// What a session carries.
pub(super) struct Tracks<'a> {
    pub(super) media: &'a [MediaDescription],
    pub(super) sections: &'a [usize],
    /// Whether packets come in order.
    pub(super) ordered: bool,
}

/// Publishes what comes until it ends; says why it did.
pub(super) async fn receive(pull: &Pull, tracks: Tracks<'_>, feed: &mut impl Feed) -> SourceEnd {
    let Tracks { media, sections, ordered } = tracks;
    let Some(published) = announced(media, sections) else {
        return SourceEnd::Server("the server describes too many tracks".into());
    };
    let labels = crate::source::labels(&published);
    let publication = match pull.fabric.publish_source(pull.path.clone(), pull.info(), published).await {
        Ok(publication) => publication,
        Err(error) => return SourceEnd::Refused(error),
    };
    info!(path = %pull.path, source = pull.config.protocol.kind(), tracks = labels, "source ready");
    let clock = pull.fabric.clock();
    let counters = Arc::new(SessionCounters::default());
    let mut recording = Recording::new(publication, media, sections, ordered, counters, clock.now());
    let end = run(pull, &mut recording, feed).await;
    if !matches!(end, SourceEnd::Broken(_) | SourceEnd::Closed) {
        let _ = tokio::time::timeout(LAST_WORDS, feed.say_goodbye()).await;
    }
    end
}

/// Time for the last request.
const LAST_WORDS: Duration = Duration::from_millis(300);

async fn run(pull: &Pull, recording: &mut Recording, feed: &mut impl Feed) -> SourceEnd {
    let clock = pull.fabric.clock();
    let mut heard = Vec::new();
    let mut report_at = clock.now().after(REPORT_INTERVAL);
    let mut tick_at = clock.now().after(TICK);
    let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
    let mut timer_at = Now::from_micros(0);
    loop {
        let due = [tick_at, report_at].into_iter().chain(recording.next_timeout()).min().unwrap_or(tick_at);
        if due != timer_at {
            timer.as_mut().reset(tokio::time::Instant::now() + due.since(clock.now()));
            timer_at = due;
        }
        tokio::select! {
            biased;
            () = pull.stop.stopped() => return SourceEnd::Stopped,
            event = recording.publication().event() => {
                if let PublisherEvent::Ended(reason) = event {
                    return SourceEnd::Fabric(reason);
                }
            }
            got = feed.hear(&mut heard) => {
                if let Err(end) = got {
                    return end;
                }
                let now = clock.now();
                for Heard { section, is_rtcp, bytes } in heard.drain(..) {
                    recording.packet(section, is_rtcp, bytes, now);
                }
                if recording.flush(now).is_err() {
                    return SourceEnd::Fabric(weft_cluster::path::EndReason::Replaced);
                }
            }
            () = &mut timer => {
                let now = clock.now();
                timer_at = Now::from_micros(0);
                if recording.handle_timeout(now).is_err() {
                    return SourceEnd::Fabric(weft_cluster::path::EndReason::Replaced);
                }
                if now >= report_at {
                    feed.report(recording.reports(now, CNAME));
                    report_at = now.after(REPORT_INTERVAL);
                }
                if now >= tick_at {
                    tick_at = now.after(TICK);
                    if now.since(recording.last_media()) > pull.read_timeout {
                        return SourceEnd::TimedOut("no media");
                    }
                }
            }
        }
    }
}
