//! Multicast: one sender per path and node, kept by the readers that joined its group.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{info, warn};
use weft_cluster::path::{Identity, SessionInfo};
use weft_cluster::stream::{Join, Start, Times};
use weft_cluster::{SubscribeError, Subscription};
use weft_proto::id::PathName;
use weft_proto::rtsp::machine::RtpInfo;
use weft_proto::sdp::payload_type;
use weft_proto::time::ClockRate;

use super::door::Door;
use super::play::{Carrier, Playing, UdpTarget};
use super::stats::SessionCounters;
use crate::egress::rtp::{Line, RtpEgress};
use crate::egress::rtp_reader::{ReaderTrack, RtpReader};
use crate::worker::Bell;
use crate::worker::tcp::Outbox;

/// The groups of a node.
#[derive(Debug, Default)]
pub struct Groups {
    groups: Mutex<HashMap<PathName, Weak<Group>>>,
}

/// A group that a path is sent to, as long as somebody holds it.
#[derive(Debug)]
pub(super) struct Group {
    /// The group's address.
    pub(super) address: Ipv4Addr,
    /// RTP port of track 0; each track has the next two.
    pub(super) rtp_port: u16,
    /// Clock and timestamp at zero of path time, by track.
    clocks: Vec<(ClockRate, u32)>,
    /// Tells the sender of new members, and ends it when dropped; the sender lets go of its end when it ends first.
    members: watch::Sender<()>,
}

impl Group {
    /// Whether nothing is sent any more.
    pub(super) fn has_ended(&self) -> bool {
        self.members.is_closed()
    }

    /// Somebody has joined and wants to know how the tracks stand to each other: reports follow soon.
    pub(super) fn welcome(&self) {
        self.members.send_replace(());
    }

    /// Where all tracks stand at `path_micros`. Members join between two reports, so this is how they tie the tracks
    /// together at first.
    pub(super) fn rtp_info(&self, path_micros: i64) -> Vec<RtpInfo> {
        let at = |(rate, offset): &(ClockRate, u32)| (rate.from_micros(path_micros) as u32).wrapping_add(*offset);
        let info = |(track, clock)| RtpInfo { track, sequence: None, timestamp: at(clock) };
        self.clocks.iter().enumerate().map(info).collect()
    }

    /// Where a track is sent.
    pub(super) fn target(&self, track: usize) -> UdpTarget {
        let rtp = self.rtp_port.wrapping_add(2 * track as u16);
        let at = |port| SocketAddr::from((self.address, port));
        UdpTarget { rtp: at(rtp), rtcp: at(rtp.wrapping_add(1)) }
    }
}

impl Groups {
    /// The group of a path, and its sender on this worker if there is none yet.
    pub(super) async fn join(&self, door: &Rc<Door>, path: &PathName) -> Result<Arc<Group>, SubscribeError> {
        if let Some(group) = self.find(path) {
            return Ok(group);
        }
        let shared = &door.shared;
        let info = SessionInfo {
            kind: "hidden",
            id: uuid::Uuid::new_v4().to_string(),
            identity: Identity { user: String::new(), address: None },
        };
        // A group has readers at different times: it starts live.
        let join = Join { from: Start::Live, times: Times::True, pace: None };
        let subscription = shared.fabric.subscribe_internal(path.clone(), info, join, door.worker.gate()).await?;
        if let Some(group) = self.find(path) {
            return Ok(group);
        }
        let mut groups = self.groups.lock();
        groups.retain(|_, group| group.strong_count() > 0);
        let used: Vec<Ipv4Addr> = groups.values().filter_map(Weak::upgrade).map(|group| group.address).collect();
        let address = free_address(shared.config().multicast_groups, &used).ok_or(SubscribeError::Unavailable)?;
        let (members, news) = watch::channel(());
        let tracks = subscription.tracks().clone();
        let egress = shared.egresses.of(subscription.stream(), &tracks, shared.config().packet_bytes_max);
        let lines = egress.lines_of(&tracks);
        let clocks =
            tracks.iter().zip(&lines).map(|((_, track), line)| (track.clock_rate, line.map_or(0, |l| l.offset)));
        let rtp_port = shared.config().multicast_rtp_port;
        let group = Arc::new(Group { address, rtp_port, clocks: clocks.collect(), members });
        groups.insert(path.clone(), Arc::downgrade(&group));
        drop(groups);
        let sender = sender(door, &group, subscription, (egress, lines));
        actix_rt::spawn(send(sender, path.clone(), address, news));
        Ok(group)
    }

    fn find(&self, path: &PathName) -> Option<Arc<Group>> {
        self.groups.lock().get(path).and_then(Weak::upgrade).filter(|group| !group.has_ended())
    }
}

fn free_address(range: crate::config::value::Ipv4Range, used: &[Ipv4Addr]) -> Option<Ipv4Addr> {
    range.addresses().find(|address| !used.contains(address))
}

fn sender(
    door: &Rc<Door>,
    group: &Group,
    subscription: Subscription,
    (egress, lines): (Arc<RtpEgress>, Vec<Option<Line>>),
) -> Option<Playing> {
    let udp = door.udp.clone()?;
    let tracks = subscription.tracks().clone();
    let stream = subscription.stream();
    let set_up = tracks.iter().zip(lines).map(|((id, track), line)| {
        Some(ReaderTrack {
            channel: id.0.wrapping_mul(2),
            payload_type: payload_type(id, track),
            rate: track.clock_rate,
            line: line?,
            next_sequence: None,
            packets: 0,
            octets: 0,
        })
    });
    let reader = RtpReader::new(egress, tracks.clone(), set_up.collect(), stream.born_wall());
    let targets = (0..tracks.len()).map(|track| Some(group.target(track))).collect();
    let bell = Bell::new();
    let listening = door.worker.listen(subscription.key(), &bell);
    let carrier = Carrier::Udp { sockets: udp, targets, pending: Default::default() };
    Some(Playing::new(subscription, listening, bell, reader, carrier))
}

/// When reports follow a member's join: its sockets are open by then.
const WELCOME: std::time::Duration = std::time::Duration::from_millis(250);

/// Sends until the last reader leaves the group or the stream ends.
async fn send(playing: Option<Playing>, path: PathName, address: Ipv4Addr, mut news: watch::Receiver<()>) {
    let Some(mut playing) = playing else { return };
    info!(%path, %address, "multicast started");
    let (mut outbox, counters) = (Outbox::default(), SessionCounters::default());
    let mut reports = tokio::time::interval(super::session::REPORT_INTERVAL);
    let bell = playing.bell.clone();
    loop {
        let rung =
            std::future::poll_fn(
                |cx| {
                    if bell.poll(cx) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
                },
            );
        let result = tokio::select! {
            joined = news.changed() => match joined {
                Ok(()) => {
                    reports.reset_after(WELCOME);
                    Ok(())
                }
                Err(_) => break,
            },
            _ = reports.tick() => playing.send_reports(&mut outbox, &counters),
            () = rung => pump_all(&mut playing, &mut outbox, &counters),
        };
        if let Err(error) = result {
            warn!(%path, %address, "multicast: {error}");
        }
        if playing.ended().is_some() {
            let _ = playing.send_byes(&mut outbox);
            break;
        }
        if playing.is_blocked() {
            let _ = std::future::poll_fn(|cx| playing.poll_ready(cx)).await;
            // What was left in the log while the socket was full.
            playing.bell.ring();
        }
    }
    info!(%path, %address, "multicast ended");
}

fn pump_all(playing: &mut Playing, outbox: &mut Outbox, counters: &SessionCounters) -> std::io::Result<()> {
    while !playing.is_blocked() && playing.pump(outbox, counters)? {}
    Ok(())
}
