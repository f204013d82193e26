use std::time::Duration;

use super::*;
use crate::path::{Identity, PathPolicy, PathSettings, PublisherEvent};
use crate::stream::testing::{tracks, unit};
use crate::stream::{Delivery, LogLimits, Start, StartLimits, StreamSettings, Times};

/// Allows every path, until it is changed.
struct Everything(parking_lot::Mutex<Option<PathSettings>>);

impl Policy for Everything {
    fn path(&self, _: &PathName) -> Option<PathPolicy> {
        Some(PathPolicy {
            conf_name: "all_others".into(),
            life: self.0.lock().clone()?,
            stream: StreamSettings { log: LogLimits::default(), cadence: Default::default() },
            start: StartLimits::default(),
            source: None,
        })
    }
}

fn fabric(settings: PathSettings) -> Fabric {
    fabric_with(Arc::new(Everything(Some(settings).into())))
}

fn fabric_with(policy: Arc<Everything>) -> Fabric {
    let claimant = Arc::new(crate::ownership::Alone::default());
    Fabric::start(FabricConfig { node: "a".into(), claimant, budget_bytes: 64 << 20, policy, clock: Clock::start() })
}

pub(super) fn fabric_of(claimant: impl Claimant) -> Fabric {
    let (policy, claimant) = (Arc::new(Everything(Some(PathSettings::default()).into())), Arc::new(claimant));
    Fabric::start(FabricConfig { node: "a".into(), claimant, budget_bytes: 64 << 20, policy, clock: Clock::start() })
}

pub(super) fn info(id: &str) -> SessionInfo {
    SessionInfo { kind: "test", id: id.into(), identity: Identity { user: String::new(), address: None } }
}

fn cam() -> PathName {
    PathName::new("cam").unwrap()
}

pub(super) const JOIN: Join = Join { from: Start::NewestGroup, times: Times::Squeezed, pace: None };

async fn publish(fabric: &Fabric, id: &str) -> Publication {
    fabric.publish(cam(), info(id), tracks()).await.unwrap()
}

pub(super) fn push(publication: &mut Publication, frames: std::ops::Range<i64>) {
    for n in frames {
        publication.push(unit(0, n * 3600, n % 25 == 0, 100));
    }
    publication.flush().unwrap();
}

pub(super) fn seqs(subscription: &mut Subscription) -> Vec<u64> {
    let mut out: Vec<Delivery> = Vec::new();
    subscription.read(&mut out);
    out.iter().map(|delivery| delivery.entry.position.seq).collect()
}

/// Waits until `condition` holds: states, never times.
pub(super) async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[actix::test]
async fn what_is_published_is_read_and_the_gate_rings_once() {
    let fabric = fabric(PathSettings::default());
    let mut publication = publish(&fabric, "p").await;
    push(&mut publication, 0..30);
    let gate = WakeGate::new();
    let mut subscription = fabric.subscribe(cam(), info("r"), JOIN, &gate).await.unwrap();
    assert_eq!(seqs(&mut subscription), [25, 26, 27, 28, 29]);
    push(&mut publication, 30..32);
    let mut keys = Vec::new();
    gate.rung(&mut keys).await;
    assert_eq!(keys, [subscription.key()]);
    assert_eq!(seqs(&mut subscription), [30, 31]);
}

#[actix::test]
async fn readers_outlive_a_publisher_that_is_replaced() {
    let fabric = fabric(PathSettings::default());
    let mut first = publish(&fabric, "p1").await;
    push(&mut first, 0..2);
    let gate = WakeGate::new();
    let mut subscription = fabric.subscribe(cam(), info("r"), JOIN, &gate).await.unwrap();
    assert_eq!(seqs(&mut subscription), [0, 1]);
    let mut second = publish(&fabric, "p2").await;
    assert_eq!(first.event().await, PublisherEvent::Ended(EndReason::Replaced));
    first.push(unit(0, 0, true, 1));
    assert!(first.flush().is_err());
    drop(first);
    push(&mut second, 0..2);
    let mut out = Vec::new();
    subscription.read(&mut out);
    assert_eq!(out.iter().map(|delivery| delivery.entry.generation).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(subscription.ended(), None);
    assert_eq!(fabric.describe(&cam()).unwrap().publisher.unwrap().id, "p2");
}

#[actix::test]
async fn a_path_without_publisher_and_readers_is_forgotten() {
    let fabric = fabric(PathSettings::default());
    let publication = publish(&fabric, "p").await;
    assert_eq!(fabric.list().len(), 1);
    drop(publication);
    until(|| fabric.list().is_empty()).await;
    let refused = fabric.subscribe(cam(), info("r"), JOIN, &WakeGate::new()).await;
    assert_eq!(refused.err(), Some(SubscribeError::NoStream));
    until(|| fabric.list().is_empty()).await;
}

#[actix::test]
async fn held_readers_are_told_when_nobody_returns() {
    let fabric = fabric(PathSettings { reader_hold: Duration::from_millis(20), ..PathSettings::default() });
    let mut publication = publish(&fabric, "p").await;
    push(&mut publication, 0..1);
    let gate = WakeGate::new();
    let subscription = fabric.subscribe(cam(), info("r"), JOIN, &gate).await.unwrap();
    drop(publication);
    until(|| subscription.ended() == Some(EndReason::PublisherGone)).await;
    drop(subscription);
    until(|| fabric.list().is_empty()).await;
}

#[actix::test]
async fn a_lost_actor_is_rebuilt_and_nobody_notices() {
    let fabric = fabric(PathSettings { override_publisher: false, ..PathSettings::default() });
    let mut publication = publish(&fabric, "p").await;
    push(&mut publication, 0..1);
    let gate = WakeGate::new();
    let mut subscription = fabric.subscribe(cam(), info("r"), JOIN, &gate).await.unwrap();
    fabric.panic_next(&cam());
    let other = fabric.subscribe(cam(), info("r2"), JOIN, &gate).await.unwrap();
    // The rebuilt actor still knows the publisher: a second one is refused. It is somebody else, for on a busy machine the panic
    // takes longer than a publisher may be silent before it can come back.
    let identity = Identity { user: "somebody else".into(), address: None };
    let refused = fabric.publish(cam(), SessionInfo { identity, ..info("p2") }, tracks()).await;
    assert_eq!(refused.err(), Some(PublishError::AlreadyPublished));
    push(&mut publication, 1..2);
    assert_eq!(seqs(&mut subscription), [0, 1]);
    // And it ends like any other.
    fabric.panic_next(&cam());
    drop((publication, subscription, other));
    until(|| fabric.list().is_empty()).await;
}

#[actix::test]
async fn sessions_can_be_kicked_and_a_draining_node_takes_nobody() {
    let fabric = fabric(PathSettings::default());
    let mut publication = publish(&fabric, "p").await;
    push(&mut publication, 0..1);
    let gate = WakeGate::new();
    let subscription = fabric.subscribe(cam(), info("r"), JOIN, &gate).await.unwrap();
    assert!(!fabric.kick("nobody"));
    assert!(fabric.kick("r"));
    assert_eq!(subscription.ended(), Some(EndReason::Kicked));
    assert!(fabric.kick("p"));
    assert_eq!(publication.event().await, PublisherEvent::Ended(EndReason::Kicked));
    fabric.drain();
    assert_eq!(fabric.publish(cam(), info("p"), tracks()).await.err(), Some(PublishError::Draining));
    fabric.undrain();
    assert!(fabric.why(&cam()).contains("epoch 1001"));
}

#[actix::test]
async fn who_is_there_when_a_node_is_drained_is_asked_once_and_stays() {
    let fabric = fabric(PathSettings::default());
    let mut publication = publish(&fabric, "p").await;
    push(&mut publication, 0..1);
    let gate = WakeGate::new();
    let mut reader = fabric.subscribe(cam(), info("r"), JOIN, &gate).await.unwrap();
    let viewer = fabric.attend(cam(), info("v")).await.unwrap();
    assert!(!reader.take_drain());
    fabric.drain();
    fabric.drain();
    assert_eq!(publication.event().await, PublisherEvent::Drain);
    assert_eq!([reader.take_drain(), reader.take_drain()], [true, false]);
    // Who was not asked before the drain was called off is not asked.
    fabric.undrain();
    assert!(!viewer.take_drain());
    push(&mut publication, 1..2);
    assert_eq!(seqs(&mut reader), [0, 1]);
    assert_eq!((reader.ended(), viewer.ended()), (None, None));
    fabric.drain();
    assert!(reader.take_drain() && viewer.take_drain(), "another drain asks again");
}

#[actix::test]
async fn a_changed_policy_reaches_live_paths_and_disturbs_nobody() {
    let policy = Arc::new(Everything(Some(PathSettings::default()).into()));
    let fabric = fabric_with(policy.clone());
    let _publication = publish(&fabric, "p").await;
    let gate = WakeGate::new();
    let first = fabric.subscribe(cam(), info("r"), JOIN, &gate).await.unwrap();
    *policy.0.lock() = Some(PathSettings { max_readers: 1, ..PathSettings::default() });
    fabric.reconfigured();
    let second = fabric.subscribe(cam(), info("r2"), JOIN, &gate).await;
    assert_eq!(second.err(), Some(SubscribeError::TooManyReaders));
    assert_eq!(first.ended(), None);
}

#[actix::test]
async fn a_path_that_is_not_allowed_any_more_ends() {
    let policy = Arc::new(Everything(Some(PathSettings::default()).into()));
    let fabric = fabric_with(policy.clone());
    let mut publication = publish(&fabric, "p").await;
    let gate = WakeGate::new();
    let reader = fabric.subscribe(cam(), info("r"), JOIN, &gate).await.unwrap();
    *policy.0.lock() = None;
    fabric.reconfigured();
    assert_eq!(publication.event().await, PublisherEvent::Ended(EndReason::NotConfigured));
    until(|| reader.ended() == Some(EndReason::NotConfigured)).await;
}

#[actix::test]
async fn a_path_that_may_not_be_taken_over_is_let_go_when_its_publisher_leaves() {
    for override_publisher in [true, false] {
        let claimant = Arc::new(crate::ownership::Alone::default());
        let fabric = Fabric::start(FabricConfig {
            node: "a".into(),
            claimant: claimant.clone(),
            budget_bytes: 64 << 20,
            policy: Arc::new(Everything(Some(PathSettings { override_publisher, ..PathSettings::default() }).into())),
            clock: Clock::start(),
        });
        let mut publication = publish(&fabric, "p").await;
        push(&mut publication, 0..1);
        let gate = WakeGate::new();
        let _reader = fabric.subscribe(cam(), info("r"), JOIN, &gate).await.unwrap();
        let first = fabric.describe(&cam()).unwrap().epoch;
        drop(publication);
        until(|| fabric.describe(&cam()).unwrap().publisher.is_none()).await;
        if !override_publisher {
            until(|| claimant.owner(&cam()).is_none()).await;
        }
        let _publication = publish(&fabric, "p").await;
        let second = fabric.describe(&cam()).unwrap().epoch;
        assert_eq!(second > first, !override_publisher, "{first:?} {second:?}");
    }
}

#[actix::test]
async fn what_another_node_sends_for_a_path_that_was_closed_meanwhile_is_refused() {
    let fabric = fabric(PathSettings::default());
    let publication = publish(&fabric, "p").await;
    let former = fabric.inner.directory.find(&cam()).unwrap();
    drop(publication);
    until(|| fabric.inner.directory.find(&cam()).is_none()).await;
    // Others make it anew.
    let _publication = publish(&fabric, "q").await;
    let relayed = fabric.inner.relay(former, info("r"), tracks()).await;
    assert_eq!(relayed.err(), Some(PublishError::Unavailable));
    let present = fabric.describe(&cam()).unwrap();
    assert_eq!(present.publisher.map(|publisher| publisher.id).as_deref(), Some("q"));
}

async fn stand_by(fabric: &Fabric, id: &str, rank: u8) -> Publication {
    fabric.publish_as(cam(), info(id), tracks(), NonZeroU8::new(rank)).await.unwrap()
}

#[actix::test]
async fn a_standby_takes_over_when_the_publisher_leaves_and_no_reader_sees_what_it_sent_before_its_group() {
    let fabric = fabric(PathSettings::default());
    let mut first = publish(&fabric, "p").await;
    push(&mut first, 0..5);
    let gate = WakeGate::new();
    let mut subscription = fabric.subscribe(cam(), info("r"), JOIN, &gate).await.unwrap();
    let mut second = stand_by(&fabric, "s", 1).await;
    assert!(first.is_active() && !second.is_active());
    push(&mut second, 0..30);
    assert_eq!(seqs(&mut subscription), [0, 1, 2, 3, 4], "what waits is read by nobody");
    let path = fabric.describe(&cam()).unwrap();
    assert_eq!((path.publisher.unwrap().id.as_str(), path.takeovers), ("p", 0));
    assert!(matches!(&path.standbys[..], [one] if one.session.id == "s" && one.rank == 1 && one.ready));
    drop(first);
    until(|| second.is_active()).await;
    push(&mut second, 30..32);
    let mut out = Vec::new();
    subscription.read(&mut out);
    let pts: Vec<i64> = out.iter().map(|delivery| delivery.entry.unit.pts).collect();
    assert_eq!(out.len(), 7, "the group from frame 25 on, then live");
    assert!(pts.windows(2).all(|pair| pair[1] - pair[0] == 3600), "{pts:?}");
    assert!(out.iter().all(|delivery| delivery.entry.generation == 2));
    assert_eq!(subscription.ended(), None);
    let path = fabric.describe(&cam()).unwrap();
    assert_eq!((path.publisher.unwrap().id.as_str(), path.takeovers, path.standbys.len()), ("s", 1, 0));
}

#[actix::test]
async fn a_publisher_that_stalls_changes_places_with_its_standby_and_stands_by_when_it_wakes_up() {
    let fabric = fabric(PathSettings::default());
    let mut first = publish(&fabric, "p").await;
    push(&mut first, 0..5);
    let mut second = stand_by(&fabric, "s", 1).await;
    let mut frame = 0;
    while !second.is_active() {
        push(&mut second, frame..frame + 1);
        frame += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!first.is_active());
    // Nothing of it reaches the path any more, and it is not told to end.
    let before = fabric.describe(&cam()).unwrap().inbound_bytes;
    push(&mut first, 25..30);
    let path = fabric.describe(&cam()).unwrap();
    assert_eq!((path.inbound_bytes, path.publisher.unwrap().id.as_str()), (before, "s"));
    assert!(matches!(&path.standbys[..], [one] if one.session.id == "p" && one.rank == 0 && one.ready));
    drop(second);
    until(|| first.is_active()).await;
    drop(first);
    until(|| fabric.list().is_empty()).await;
}

#[actix::test]
async fn where_the_path_says_so_every_second_publisher_stands_by_and_a_lost_actor_knows_them_again() {
    let fabric = fabric(PathSettings { standby: true, override_publisher: false, ..PathSettings::default() });
    let mut first = publish(&fabric, "p").await;
    push(&mut first, 0..5);
    let mut second = publish(&fabric, "s").await;
    push(&mut second, 0..5);
    assert!(first.is_active() && !second.is_active());
    assert!(fabric.may_publish(&cam(), &info("t").identity, false).is_ok());
    fabric.panic_next(&cam());
    drop(first);
    let mut frame = 5;
    while !second.is_active() {
        push(&mut second, frame..frame + 1);
        frame += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fabric.kick("s");
    assert_eq!(second.event().await, PublisherEvent::Ended(EndReason::Kicked));
}

#[actix::test]
async fn who_waits_in_vain_ends_like_anybody() {
    let fabric = fabric(PathSettings::default());
    let first = publish(&fabric, "p").await;
    let mut second = stand_by(&fabric, "s", 1).await;
    assert!(fabric.kick("s"));
    assert_eq!(second.event().await, PublisherEvent::Ended(EndReason::Kicked));
    let mut third = stand_by(&fabric, "t", 1).await;
    fabric.drain();
    assert_eq!(third.event().await, PublisherEvent::Drain);
    drop((first, second, third));
    until(|| fabric.list().is_empty()).await;
}

#[actix::test]
async fn what_is_not_parsed_cannot_stand_by() {
    use weft_proto::media::{Codec, Kind, OpaqueConfig, Track};
    let opaque = |kind| {
        let config = OpaqueConfig { kind, label: "M-JPEG", payload_type: 26, rtpmap: None, fmtp: None, in_band: None };
        Track { codec: Codec::Opaque(config), clock_rate: weft_proto::time::ClockRate::VIDEO }
    };
    let fabric = fabric(PathSettings::default());
    let with = |extra: Track| {
        let all = tracks().iter().map(|(_, track)| track.clone()).chain([extra]).collect();
        fabric.publish_as(cam(), info("s"), Tracks::new(all).unwrap(), NonZeroU8::new(1))
    };
    let refused = with(opaque(Kind::Video)).await.err();
    assert_eq!(refused, Some(PublishError::NoRandomAccess("M-JPEG")));
    assert!(with(opaque(Kind::Data)).await.is_ok(), "what describes a picture goes along with it");
}
