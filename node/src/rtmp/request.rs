//! What a connection does about publish and play.

use tracing::info;
use weft_cluster::path::{Identity, STANDBY_RANK, SessionInfo};
use weft_cluster::stream::{Join, Start, Times};
use weft_cluster::{PublishError, SubscribeError};
use weft_proto::id::PathName;
use weft_proto::media::{TrackId, Tracks};
use weft_proto::query::StandbyWish;
use weft_proto::rtmp::{Outcome, Pending, Refusal};

use super::play::{Playing, choose};
use super::publish::Publishing;
use super::session::{Activity, End, Session};
use super::stats::State;
use crate::auth::Action;
use crate::worker::Bell;

/// Characters of a user agent that are kept.
const USER_AGENT_CHARS_MAX: usize = 128;

impl Session {
    /// Lets a publisher begin, or tells it why not.
    pub(super) fn publish(&mut self, pending: &Pending, path: &str, query: &str) -> Result<(), End> {
        let path = match self.allow(Action::Publish, path, query) {
            Ok(path) => path,
            Err(refusal) => return self.refuse(pending, refusal),
        };
        let standby = match StandbyWish::of(query) {
            Ok(wish) => wish.map(|wish| wish.rank.unwrap_or(STANDBY_RANK)),
            Err(error) => {
                info!(%path, peer = %self.peer, protocol = self.protocol(), "publisher refused: {error}");
                return self.refuse(pending, Refusal::BadName);
            }
        };
        let info = self.info();
        if let Err(error) = self.door.shared.fabric.may_publish(&path, &info.identity, standby.is_some()) {
            info!(%path, peer = %self.peer, protocol = self.protocol(), "publisher refused: {error}");
            return self.refuse(pending, refuse_publisher(error));
        }
        self.reader.allow_media();
        self.accept(pending, State::Publish, &path);
        let now = self.now();
        self.activity =
            Activity::Publishing(Box::new(Publishing::new(path, info, standby, &self.door.shared.colors, now)));
        Ok(())
    }

    /// Lets a reader begin, or tells it why not.
    pub(super) async fn play(&mut self, pending: &Pending, path: &str, query: &str) -> Result<(), End> {
        let path = match self.allow(Action::Read, path, query) {
            Ok(path) => path,
            Err(refusal) => return self.refuse(pending, refusal),
        };
        let join = Join { from: Start::NewestGroup, times: Times::Squeezed, pace: None };
        let shared = self.door.shared.clone();
        let subscribed = shared.fabric.subscribe(path.clone(), self.info(), join, self.door.worker.gate()).await;
        let subscription = match subscribed {
            Ok(subscription) => subscription,
            Err(error) => {
                info!(%path, peer = %self.peer, protocol = self.protocol(), "reader refused: {error}");
                return self.refuse(pending, refuse_reader(error));
            }
        };
        let capabilities = self.machine.client().map(|client| client.capabilities.clone()).unwrap_or_default();
        let tracks = subscription.tracks().clone();
        let lines = choose(&tracks, &capabilities);
        let left_out = labels_of(tracks.iter().zip(&lines).filter(|(_, line)| line.is_none()).map(|(track, _)| track));
        if lines.iter().all(Option::is_none) {
            info!(%path, peer = %self.peer, protocol = self.protocol(), tracks = left_out, "reader refused: it understands none of the codecs");
            return self.refuse(pending, Refusal::NoTracks);
        }
        self.accept(pending, State::Read, &path);
        let egress = shared.egresses.of(subscription.stream());
        let bell = Bell::new();
        let listening = self.door.worker.listen(subscription.key(), &bell);
        let playing = Playing::new(subscription, listening, bell, egress, lines, pending.stream_id());
        let playing = if capabilities.is_enhanced() { playing.with_colors(&shared.colors) } else { playing };
        playing.send_metadata(&mut self.outbox);
        self.activity = Activity::Playing(Box::new(playing));
        info!(%path, peer = %self.peer, protocol = self.protocol(), "reader joined");
        if !left_out.is_empty() {
            info!(%path, peer = %self.peer, tracks = left_out, "the reader does not get all tracks");
        }
        Ok(())
    }

    fn allow(&mut self, action: Action, path: &str, query: &str) -> Result<PathName, Refusal> {
        let agent: String = self
            .machine
            .client()
            .map_or_else(String::new, |client| client.version.chars().take(USER_AGENT_CHARS_MAX).collect());
        let name = PathName::new(path).map_err(|error| {
            info!(peer = %self.peer, "refused: {error}");
            Refusal::BadName
        })?;
        let granted = self.door.permission(action, &name, query, self.peer, self.secure);
        let mut facts = self.registered.connection.facts.lock();
        facts.user_agent = agent;
        let Some(user) = granted else {
            info!(path = %name, peer = %self.peer, "refused: authentication failed");
            return Err(Refusal::Denied);
        };
        facts.user = user;
        query.clone_into(&mut facts.query);
        path.clone_into(&mut facts.path);
        Ok(name)
    }

    fn accept(&mut self, pending: &Pending, state: State, path: &PathName) {
        self.establish();
        let mut facts = self.registered.connection.facts.lock();
        facts.state = state;
        facts.path = path.to_string();
        drop(facts);
        self.answer(pending, Outcome::Accepted);
    }

    fn refuse(&mut self, pending: &Pending, refusal: Refusal) -> Result<(), End> {
        self.answer(pending, Outcome::Refused(refusal));
        Err(End::Refused)
    }

    fn answer(&mut self, pending: &Pending, outcome: Outcome) {
        let mut actions = Vec::new();
        self.machine.answer(pending, outcome, &mut actions);
        self.send_all(actions);
    }

    fn info(&self) -> SessionInfo {
        let connection = &self.registered.connection;
        let user = connection.facts.lock().user.clone();
        SessionInfo {
            kind: if self.secure { "rtmpsConn" } else { "rtmpConn" },
            id: connection.id.clone(),
            identity: Identity { user, address: Some(self.peer.ip().to_canonical()) },
        }
    }
}

/// How a publisher is told that the fabric does not take it.
pub(super) const fn refuse_publisher(error: PublishError) -> Refusal {
    match error {
        PublishError::AlreadyPublished | PublishError::Pulled => Refusal::Taken,
        PublishError::NotConfigured => Refusal::NotFound,
        PublishError::NoRandomAccess(_) => Refusal::NoTracks,
        _ => Refusal::Unavailable,
    }
}

const fn refuse_reader(error: SubscribeError) -> Refusal {
    match error {
        SubscribeError::NoStream | SubscribeError::NotConfigured => Refusal::NotFound,
        SubscribeError::TooManyReaders => Refusal::Full,
        _ => Refusal::Unavailable,
    }
}

/// The codecs of these tracks, for people.
pub(super) fn labels(tracks: &Tracks) -> String {
    labels_of(tracks.iter())
}

fn labels_of<'a>(tracks: impl Iterator<Item = (TrackId, &'a weft_proto::media::Track)>) -> String {
    tracks.map(|(_, track)| track.codec.label()).collect::<Vec<_>>().join(", ")
}
