//! An offer becomes a session and its answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc;
use tracing::info;
use uuid::Uuid;
use weft_cluster::path::{Identity, PublishError, STANDBY_RANK, SessionInfo, SubscribeError};
use weft_cluster::stream::{Join, Start, Times};
use weft_cluster::{Fabric, Publication, Subscription};
use weft_proto::id::PathName;
use weft_proto::media::{TrackId, Tracks};
use weft_proto::query::{StandbyWish, parameter};
use weft_proto::webrtc::answer::{Source, Written, WrittenSection};
use weft_proto::webrtc::description::{Description, Setup};
use weft_proto::webrtc::ice::LiteAgent;
use weft_proto::webrtc::negotiate::{self, PublishLine, ReadLine};

use super::CNAME;
use super::door::Door;
use super::playing::{Playing, Reordered, repeat_ssrc};
use super::request::Asking;
use super::respond::Failure;
use super::secure::Secure;
use super::session::{Begin, Parts, Session, new_credentials, tracks_of};
use super::stats::{Role, SessionRecord};
use crate::egress::rtp_reader::{ReaderTrack, RtpReader};
use crate::worker::Bell;

/// Bytes of an RTP packet before it is protected: what browsers send themselves, and what passes every tunnel.
const PACKET_BYTES: usize = 1_200;

/// Bytes a second of the burst that a reader begins with.
const BURST_BYTES_PER_SECOND: u32 = 8 << 20;

/// What is to be published once there is a way.
pub(super) struct Wanted {
    path: PathName,
    standby: Option<std::num::NonZeroU8>,
    pub(super) lines: Vec<PublishLine>,
}

impl Wanted {
    /// Publishes.
    pub(super) async fn publish(&self, fabric: &Fabric, record: &SessionRecord) -> Result<Publication, PublishError> {
        let tracks = tracks_of(self.lines.iter().map(|line| &line.track)).ok_or(PublishError::Unavailable)?;
        fabric.publish_as(self.path.clone(), info_of(record), tracks, self.standby).await
    }
}

fn info_of(record: &SessionRecord) -> SessionInfo {
    let identity = Identity { user: record.user.clone(), address: Some(record.peer.ip().to_canonical()) };
    SessionInfo { kind: "webRTCSession", id: record.id.to_string(), identity }
}

/// A publisher's offer: the session and its answer.
pub(super) fn publish(
    door: &Rc<Door>,
    asking: &Asking,
    path: PathName,
    user: String,
    offer: &Description,
) -> Result<(Arc<SessionRecord>, String), Failure> {
    let wish = StandbyWish::of(&asking.query).map_err(|error| Failure::Bad(error.to_string()))?;
    let standby = wish.map(|wish| wish.rank.unwrap_or(STANDBY_RANK));
    let identity = Identity { user: user.clone(), address: Some(asking.peer.ip().to_canonical()) };
    door.shared.fabric.may_publish(&path, &identity, standby.is_some()).map_err(refuse_publisher)?;
    let agreed = negotiate::publishing(offer);
    if agreed.lines.is_empty() {
        return Err(Failure::Unusable(
            "the offer has no codec that can be taken: H.264, H.265, AV1, VP8, VP9, Opus, G.711, G.722 or L16".into(),
        ));
    }
    let wanted = Box::new(Wanted { path: path.clone(), standby, lines: agreed.lines });
    open(door, asking, (path, user, Role::Publisher), offer, &agreed.sections, |_| Begin::Publishing(wanted))
}

/// A reader's offer: the session and its answer.
pub(super) async fn read(
    door: &Rc<Door>,
    asking: &Asking,
    path: PathName,
    user: String,
    offer: &Description,
) -> Result<(Arc<SessionRecord>, String), Failure> {
    let fabric = &door.shared.fabric;
    let id = Uuid::new_v4();
    let identity = Identity { user: user.clone(), address: Some(asking.peer.ip().to_canonical()) };
    let info = SessionInfo { kind: "webRTCSession", id: id.to_string(), identity };
    let join = Join { from: Start::NewestGroup, times: Times::Squeezed, pace: Some(BURST_BYTES_PER_SECOND) };
    let subscribed = fabric.subscribe(path.clone(), info, join, door.worker.gate()).await;
    let subscription = subscribed.map_err(refuse_reader)?;
    let tracks = subscription.tracks().clone();
    let mut agreed = negotiate::reading(offer, &tracks);
    if agreed.lines.is_empty() && agreed.data.is_empty() {
        return Err(Failure::Unusable(format!(
            "the client offers no codec that the stream has: {}",
            labels(&tracks, tracks.iter().map(|(id, _)| id))
        )));
    }
    let reordered = reordered(&subscription, &agreed.lines, &asking.query)?;
    if !agreed.left_out.is_empty() {
        let left = labels(&tracks, agreed.left_out.iter().copied());
        info!(%path, peer = %asking.peer, protocol = "WebRTC", "tracks left out, the client cannot take them: {left}");
    }
    let reader = reader(door, &subscription, &tracks, &agreed.lines);
    name_sources(&mut agreed.sections, &agreed.lines, &reader);
    let bell = Bell::new();
    let listening = door.worker.listen(subscription.key(), &bell);
    let playing = Playing::new(subscription, listening, bell, reader, (&agreed.lines, &agreed.data), reordered);
    let label = |id: &TrackId| Some((*id, tracks.get(*id)?.codec.label().to_lowercase()));
    let data = agreed.data.iter().filter_map(label).collect();
    let (sections, playing) = (agreed.sections, Box::new(playing));
    open_as(door, asking, (id, path, user, Role::Reader), offer, &sections, |_| Begin::Reading(playing, data))
}

fn labels(tracks: &Tracks, ids: impl Iterator<Item = TrackId>) -> String {
    ids.filter_map(|id| tracks.get(id)).map(|track| track.codec.label()).collect::<Vec<_>>().join(", ")
}

/// Browsers show pictures in the order in which they are decoded.
fn reordered(subscription: &Subscription, agreed: &[ReadLine], query: &str) -> Result<Reordered, Failure> {
    if parameter(query, "reordered") == Some("1") {
        return Ok(Reordered::Taken);
    }
    let (mut kept, mut state) = (Vec::new(), Reordered::Refused(Vec::new()));
    subscription.peek(&mut kept);
    for delivery in kept.iter().filter(|delivery| agreed.iter().any(|line| line.track == delivery.entry.unit.track)) {
        state.note(delivery).ok_or_else(|| {
            Failure::Unusable(
                "the stream has B-frames, which browsers cannot play over WebRTC; encode without them (x264: bframes=0, \
                 tune zerolatency), or say ?reordered=1 if this client can"
                    .into(),
            )
        })?;
    }
    Ok(Reordered::Refused(Vec::new()))
}

fn reader(door: &Rc<Door>, subscription: &Subscription, tracks: &Tracks, agreed: &[ReadLine]) -> RtpReader {
    let egress = door.shared.egresses.of(subscription.stream(), tracks, PACKET_BYTES);
    let lines = egress.lines_of(tracks);
    let track = |((id, track), line): ((TrackId, &weft_proto::media::Track), Option<crate::egress::rtp::Line>)| {
        let agreed = agreed.iter().find(|line| line.track == id)?;
        Some(ReaderTrack {
            channel: 0,
            payload_type: agreed.format.payload_type,
            rate: track.clock_rate,
            line: line?,
            next_sequence: None,
            packets: 0,
            octets: 0,
        })
    };
    let reader_tracks = tracks.iter().zip(lines).map(track).collect();
    RtpReader::new(egress, tracks.clone(), reader_tracks, subscription.stream().born_wall())
}

/// Says in the answer what is sent.
fn name_sources(sections: &mut [WrittenSection], agreed: &[ReadLine], reader: &RtpReader) {
    for (id, track) in reader.tracks() {
        let Some(line) = agreed.iter().find(|line| line.track == id) else { continue };
        let Some(media) = sections.get_mut(line.section).and_then(|section| section.media.as_mut()) else { continue };
        let repeat = line.format.repeat_type.map(|_| repeat_ssrc(track.line.ssrc));
        let track_name = format!("track{}", id.0);
        media.source = Some(Source { ssrc: track.line.ssrc, repeat, cname: CNAME.into(), track: track_name });
    }
}

fn open(
    door: &Rc<Door>,
    asking: &Asking,
    (path, user, role): (PathName, String, Role),
    offer: &Description,
    sections: &[WrittenSection],
    begin: impl FnOnce(&SessionRecord) -> Begin,
) -> Result<(Arc<SessionRecord>, String), Failure> {
    open_as(door, asking, (Uuid::new_v4(), path, user, role), offer, sections, begin)
}

/// Starts the session on this worker and writes its answer.
fn open_as(
    door: &Rc<Door>,
    asking: &Asking,
    (id, path, user, role): (Uuid, PathName, String, Role),
    offer: &Description,
    sections: &[WrittenSection],
    begin: impl FnOnce(&SessionRecord) -> Begin,
) -> Result<(Arc<SessionRecord>, String), Failure> {
    let shared = &door.shared;
    let config = shared.config();
    if config.candidates.is_empty() {
        return Err(Failure::Later("the node has no address for WebRTC's media".into()));
    }
    let (local, remote) = (new_credentials(), offer.transport.credentials.clone());
    let is_client = offer.transport.setup == Setup::Passive;
    let answer = Written {
        session: Uuid::new_v4().as_u64_pair().1 >> 1,
        credentials: &local,
        is_lite: true,
        fingerprint: shared.certificate.fingerprint(),
        setup: if is_client { Setup::Active } else { Setup::Passive },
        candidates: &config.candidates,
        sections,
    }
    .to_string();
    let (orders, ordered) = mpsc::unbounded_channel();
    let registered = shared.sessions.add(SessionRecord {
        id,
        secret: Uuid::new_v4(),
        created: SystemTime::now(),
        peer: asking.peer,
        role,
        path: path.to_string(),
        query: asking.query.clone(),
        user,
        user_agent: asking.user_agent.chars().take(USER_AGENT_CHARS_MAX).collect(),
        way: Default::default(),
        established: Default::default(),
        remote: parking_lot::Mutex::new(remote.clone()),
        counters: Arc::default(),
        orders,
    });
    let record = registered.record.clone();
    let session = Session::new(Parts {
        door: door.clone(),
        port: door.udp.clone(),
        begin: begin(&record),
        registered,
        ice: LiteAgent::new(local, Some(remote)),
        secure: Secure::new(shared.certificate.clone(), offer.transport.fingerprint, is_client),
        orders: ordered,
    });
    actix_rt::spawn(session.run());
    Ok((record, answer))
}

/// Characters of a user agent that are kept.
const USER_AGENT_CHARS_MAX: usize = 128;

fn refuse_reader(error: SubscribeError) -> Failure {
    match error {
        SubscribeError::NoStream => Failure::NotFound("no one is publishing to this path"),
        SubscribeError::NotConfigured => Failure::NotFound("the path is not configured"),
        other => Failure::Later(other.to_string()),
    }
}

fn refuse_publisher(error: PublishError) -> Failure {
    match error {
        PublishError::NotConfigured => Failure::NotFound("the path is not configured"),
        PublishError::AlreadyPublished | PublishError::PublishedElsewhere | PublishError::Pulled => {
            Failure::Taken(error.to_string())
        }
        PublishError::NoRandomAccess(_) => Failure::Unusable(error.to_string()),
        other => Failure::Later(other.to_string()),
    }
}
