//! What comes from the server to units in the fabric: first it is waited for all tracks, then their packets are taken as those of
//! a publisher.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tracing::info;
use weft_cluster::path::{EndReason, PublisherEvent};
use weft_proto::rtp::header::is_rtcp;
use weft_proto::rtp::{HEADER_BYTES, Header};
use weft_proto::time::Now;
use weft_proto::webrtc::description::Description;
use weft_proto::webrtc::negotiate::{PublishLine, receiving};

use super::super::publishing::Publishing;
use super::super::session::{REPORT_INTERVAL, tracks_of};
use super::super::stats::SessionCounters;
use super::peer::Peer;
use crate::source::{Pull, SourceEnd, labels};

/// Packets that are held while tracks are waited for: two seconds of 8 Mbit/s. Then it is not waited any longer.
const HELD_MAX: usize = 2048;

/// How often it is looked how long the server has been silent.
const TICK: Duration = Duration::from_secs(1);

/// Tracks of which something has come, and what that was.
pub(super) struct Gathered {
    lines: Vec<PublishLine>,
    held: Vec<Bytes>,
}

/// Waits until something of each track has come that the answer names. Those that send nothing are left out.
pub(super) async fn gather(pull: &Pull, peer: &mut Peer, answer: &Description) -> Result<Gathered, SourceEnd> {
    let wanted = answer.sections.iter().filter(|section| section.sends && !section.payloads.is_empty()).count();
    if wanted == 0 {
        return Err(SourceEnd::Server("the server sends no track that this node can take".into()));
    }
    let until = Instant::now() + pull.config.whep.track_timeout;
    let (mut held, mut types): (Vec<Bytes>, Vec<u8>) = (Vec::new(), Vec::new());
    let (mut lines, mut looked) = (Vec::new(), 0);
    while lines.len() < wanted && held.len() < HELD_MAX {
        tokio::select! {
            biased;
            () = pull.stop.stopped() => return Err(SourceEnd::Stopped),
            comes = peer.hear(&mut held) => if !comes { return Err(SourceEnd::Closed) },
            () = tokio::time::sleep_until(until) => break,
        }
        let heard = held[looked..].iter().filter_map(|packet| payload_type(packet));
        let before = types.len();
        for payload_type in heard {
            if !types.contains(&payload_type) {
                types.push(payload_type);
            }
        }
        looked = held.len();
        if types.len() > before {
            lines = receiving(answer, &types);
        }
    }
    if lines.is_empty() {
        return Err(SourceEnd::TimedOut("the server sends nothing that this node can take"));
    }
    Ok(Gathered { lines, held })
}

fn payload_type(packet: &[u8]) -> Option<u8> {
    let is_media = !is_rtcp(packet);
    packet.first_chunk::<HEADER_BYTES>().filter(|_| is_media).map(|head| Header::read(head).payload_type)
}

/// Publishes what comes until it ends; says why it did.
pub(super) async fn publish(pull: &Pull, peer: &mut Peer, gathered: Gathered) -> Result<Infallible, SourceEnd> {
    let Gathered { lines, mut held } = gathered;
    let tracks = tracks_of(lines.iter().map(|line| &line.track))
        .ok_or_else(|| SourceEnd::Server("the server sends too many tracks".into()))?;
    let names = labels(&tracks);
    let published = pull.fabric.publish_source(pull.path.clone(), pull.info(), tracks).await;
    let publication = published.map_err(SourceEnd::Refused)?;
    info!(path = %pull.path, source = pull.config.protocol.kind(), tracks = names, "source ready");
    let clock = pull.fabric.clock();
    let mut intake =
        Intake { publishing: Publishing::new(publication, lines, clock.now()), counters: SessionCounters::default() };
    intake.take(&mut held, clock.now())?;
    intake.run(pull, peer, held).await
}

struct Intake {
    publishing: Publishing,
    counters: SessionCounters,
}

impl Intake {
    async fn run(&mut self, pull: &Pull, peer: &mut Peer, mut heard: Vec<Bytes>) -> Result<Infallible, SourceEnd> {
        let clock = pull.fabric.clock();
        let mut report_at = clock.now().after(REPORT_INTERVAL);
        let mut tick_at = clock.now().after(TICK);
        let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
        let mut timer_at = Now::from_micros(0);
        let mut answers: Vec<Bytes> = Vec::new();
        loop {
            let due = self.publishing.next_timeout().into_iter().chain([report_at]).fold(tick_at, Now::min);
            if due != timer_at {
                timer.as_mut().reset(clock.instant(due).into());
                timer_at = due;
            }
            tokio::select! {
                biased;
                () = pull.stop.stopped() => return Err(SourceEnd::Stopped),
                event = self.publishing.publication().event() => {
                    if let PublisherEvent::Ended(reason) = event {
                        return Err(SourceEnd::Fabric(reason));
                    }
                }
                comes = peer.hear(&mut heard) => {
                    if !comes {
                        return Err(SourceEnd::Closed);
                    }
                    self.take(&mut heard, clock.now())?;
                }
                () = &mut timer => {
                    let now = clock.now();
                    timer_at = Now::from_micros(0);
                    let send = &mut |packet: &[u8]| answers.push(Bytes::copy_from_slice(packet));
                    self.publishing.handle_timeout(now, send).map_err(|_| replaced())?;
                    if now >= report_at {
                        report_at = now.after(REPORT_INTERVAL);
                        self.publishing.send_reports(now, send);
                    }
                    if now >= tick_at {
                        tick_at = now.after(TICK);
                        if now.since(self.publishing.last_media()) > pull.read_timeout {
                            return Err(SourceEnd::TimedOut("no media"));
                        }
                    }
                    peer.send(core::mem::take(&mut answers)).await;
                }
            }
        }
    }

    /// Takes packets that have come.
    fn take(&mut self, heard: &mut Vec<Bytes>, now: Now) -> Result<(), SourceEnd> {
        let mut left = false;
        for packet in heard.drain(..) {
            if is_rtcp(&packet) {
                left |= self.publishing.rtcp(&packet, now);
            } else {
                self.publishing.rtp(packet, now, &self.counters);
            }
        }
        self.publishing.flush(now).map_err(|_| replaced())?;
        if left { Err(SourceEnd::Closed) } else { Ok(()) }
    }
}

const fn replaced() -> SourceEnd {
    SourceEnd::Fabric(EndReason::Replaced)
}
