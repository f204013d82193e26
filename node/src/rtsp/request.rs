//! What a session does about the requests that its machine passes on.

use std::net::SocketAddr;
use std::sync::Arc;

use tracing::info;
use weft_cluster::path::{Identity, STANDBY_RANK, SessionInfo};
use weft_cluster::stream::{Join, Start, Times};
use weft_cluster::{PublishError, SubscribeError};
use weft_proto::id::PathName;
use weft_proto::media::{TrackId, Tracks};
use weft_proto::query::StandbyWish;
use weft_proto::rtsp::auth::Credentials;
use weft_proto::rtsp::machine::{Action, Outcome, Pending};
use weft_proto::rtsp::{Delivery, Request, Status, Transport};
use weft_proto::sdp::{self, WriteDelivery, WriteParams, payload_type};

use super::door::{Permission, Question, unspecified};
use super::multicast::Group;
use super::play::{Carrier, Playing, UdpTarget};
use super::record::{Recording, announced};
use super::session::{Activity, End, Session};
use crate::auth;
use crate::egress::rtp::{Line, RtpEgress};
use crate::egress::rtp_reader::{ReaderTrack, RtpReader};
use crate::worker::Bell;
use crate::worker::bind::MULTICAST_TTL;
use crate::worker::udp::Port;

/// Pace of a join burst over UDP. A default socket buffer holds about 90 packets; at 8 MB/s 24 packets come every 4 ms,
/// which any player has read by then, and a group of 2 MB takes 250 ms.
const UDP_BURST_BYTES_PER_SECOND: u32 = 8 << 20;

impl Session {
    /// Handles one request and queues its response.
    pub(super) async fn on_request(&mut self, request: Request) -> Result<(), End> {
        if let Some(agent) = request.headers.get("User-Agent") {
            let mut facts = self.record().facts.lock();
            if facts.user_agent.is_empty() {
                facts.user_agent = agent.chars().take(USER_AGENT_CHARS_MAX).collect();
            }
        }
        let action = self.machine.request(&request);
        let (pending, outcome) = match action {
            Action::Respond(response) => {
                self.send(&response);
                return Ok(());
            }
            Action::Teardown(response) => {
                self.send(&response);
                return Err(End::Teardown);
            }
            Action::Describe { pending, path, query, authorization } => {
                let outcome = self.describe(&request, &path, &query, authorization.as_ref()).await;
                (pending, outcome)
            }
            Action::Announce { pending, path, query, authorization, sdp } => {
                let outcome = self.announce(&request, &path, &query, authorization.as_ref(), &sdp);
                (pending, outcome)
            }
            Action::Setup { pending, path, query, authorization, track, transport, record } => {
                let asked = Asked { path: &path, query: &query, shown: authorization.as_ref() };
                let outcome = self.set_up(&request, &asked, track, transport, record).await;
                (pending, outcome)
            }
            Action::Play { pending, again: true, .. } => (pending, playing_outcome()),
            Action::Play { pending, .. } => {
                let outcome = self.play().await;
                (pending, outcome)
            }
            Action::Record { pending, .. } => {
                let again = matches!(self.activity, Activity::Recording(_));
                let outcome = if again { Outcome::Accepted } else { self.start_recording().await };
                (pending, outcome)
            }
            Action::Pause { pending } => {
                self.activity = Activity::Idle;
                (pending, Outcome::Accepted)
            }
        };
        self.reply(pending, outcome);
        Ok(())
    }

    fn reply(&mut self, pending: Pending, outcome: Outcome) {
        if !matches!(outcome, Outcome::Refused { .. }) {
            self.establish();
        }
        let response = self.machine.answer(pending, outcome);
        self.send(&response);
        let mut facts = self.registered.record.facts.lock();
        facts.state = self.machine.state();
        if facts.path.is_empty() {
            facts.path = self.machine.path().to_owned();
        }
        drop(facts);
        if let Activity::Playing(playing) = &self.activity {
            // The response stands before the first packet.
            playing.bell.ring();
        }
    }

    fn allow(
        &mut self,
        request: &Request,
        action: auth::Action,
        path: &str,
        query: &str,
        shown: Option<&Credentials>,
    ) -> Result<PathName, Outcome> {
        let path = PathName::new(path).map_err(|_| Outcome::refused(Status::BAD_REQUEST))?;
        let (peer, secure) = (self.peer, self.secure);
        let (method, nonce) = (&request.method, self.nonce.as_str());
        let question = Question { action, path: &path, query, peer, secure, method, shown, nonce };
        match self.door.permission(&question) {
            Permission::Granted { user } => {
                let mut facts = self.record().facts.lock();
                facts.user = user;
                query.clone_into(&mut facts.query);
                drop(facts);
                Ok(path)
            }
            Permission::Challenge(headers) => Err(Outcome::Refused { status: Status::UNAUTHORIZED, headers }),
            Permission::Denied => Err(Outcome::refused(Status::FORBIDDEN)),
        }
    }

    async fn describe(&mut self, request: &Request, path: &str, query: &str, shown: Option<&Credentials>) -> Outcome {
        let path = match self.allow(request, auth::Action::Read, path, query, shown) {
            Ok(path) => path,
            Err(refused) => return refused,
        };
        match self.live_tracks(&path).await {
            Ok(tracks) if !tracks.iter().any(|(_, track)| sdp::is_described(&track.codec)) => {
                info!(%path, peer = %self.peer, protocol = self.protocol(), tracks = %labels(&tracks), "reader refused: RTSP can carry none of the tracks");
                Outcome::refused(Status::UNSUPPORTED_MEDIA_TYPE)
            }
            Ok(tracks) => {
                let delivery = WriteDelivery::Unicast(unspecified(self.peer.ip()));
                let sdp = sdp::write(&WriteParams { title: path.as_str(), tracks: &tracks, delivery });
                Outcome::Described { sdp }
            }
            Err(refused) => refused,
        }
    }

    async fn live_tracks(&self, path: &PathName) -> Result<Tracks, Outcome> {
        let tracks = self.door.shared.fabric.tracks(path, self.info()).await;
        tracks.map_err(refuse_reader)
    }

    fn announce(
        &mut self,
        request: &Request,
        path: &str,
        query: &str,
        shown: Option<&Credentials>,
        body: &[u8],
    ) -> Outcome {
        if let Err(refused) = self.allow(request, auth::Action::Publish, path, query, shown) {
            return refused;
        }
        match sdp::parse(body) {
            Ok(session) => {
                self.media = session.media;
                let controls = self.media.iter().map(|media| media.control.clone().unwrap_or_default());
                Outcome::Announced { controls: controls.collect() }
            }
            Err(error) => {
                info!(peer = %self.peer, "description refused: {error}");
                Outcome::refused(Status::BAD_REQUEST)
            }
        }
    }

    async fn set_up(
        &mut self,
        request: &Request,
        asked: &Asked<'_>,
        track: Option<usize>,
        mut transport: Transport,
        record: bool,
    ) -> Outcome {
        let track = if record {
            match self.announced_section(track) {
                Ok(section) => section,
                Err(refused) => return refused,
            }
        } else {
            let path = match self.allow(request, auth::Action::Read, asked.path, asked.query, asked.shown) {
                Ok(path) => path,
                Err(refused) => return refused,
            };
            let tracks = match self.live_tracks(&path).await {
                Ok(tracks) => tracks,
                Err(refused) => return refused,
            };
            let index = match track {
                Some(index) if index < tracks.len() => index,
                None if tracks.len() == 1 => 0,
                None => return Outcome::refused(Status::AGGREGATE_NOT_ALLOWED),
                Some(_) => return Outcome::refused(Status::NOT_FOUND),
            };
            if transport.delivery == Delivery::Multicast
                && let Err(refused) = self.join_group(&path, index, &mut transport).await
            {
                return refused;
            }
            index
        };
        if let Err(refused) = self.open_routes(track, &mut transport, record) {
            return refused;
        }
        self.record().facts.lock().transport = Some(match (transport.interleaved, transport.delivery) {
            (Some(_), _) => "TCP",
            (None, Delivery::Multicast) => "UDP-multicast",
            (None, Delivery::Unicast) => "UDP",
        });
        Outcome::SetUp { transport }
    }

    /// The media section that a publisher sets up.
    fn announced_section(&self, track: Option<usize>) -> Result<usize, Outcome> {
        let section = track.or_else(|| (self.media.len() == 1).then_some(0));
        section
            .filter(|section| *section < self.media.len())
            .ok_or_else(|| Outcome::refused(Status::AGGREGATE_NOT_ALLOWED))
    }

    async fn join_group(&mut self, path: &PathName, track: usize, transport: &mut Transport) -> Result<(), Outcome> {
        let shared = self.door.shared.clone();
        let group = shared.groups.join(&self.door, path).await.map_err(refuse_reader)?;
        let target = group.target(track);
        transport.destination = Some(group.address.to_string());
        transport.port = Some(weft_proto::rtsp::Ports { rtp: target.rtp.port(), rtcp: target.rtcp.port() });
        transport.ttl = Some(MULTICAST_TTL as u8);
        self.group = Some(group);
        Ok(())
    }

    /// Takes the client's UDP ports. Media never goes to another address than the connection's.
    fn open_routes(&mut self, track: usize, transport: &mut Transport, record: bool) -> Result<(), Outcome> {
        let Some(ports) = transport.client_port.filter(|_| transport.delivery == Delivery::Unicast) else {
            return Ok(());
        };
        let mut wanted = vec![(Port::Rtcp, SocketAddr::new(self.peer.ip(), ports.rtcp))];
        if record {
            wanted.push((Port::Rtp, SocketAddr::new(self.peer.ip(), ports.rtp)));
        }
        for (port, address) in wanted {
            if !self.door.shared.routes.add(port, address, &self.inbox, track as u16) {
                return Err(Outcome::refused(Status::BAD_REQUEST));
            }
            self.routes.push((port, address));
        }
        Ok(())
    }

    async fn start_recording(&mut self) -> Outcome {
        let mut sections: Vec<usize> = self.machine.tracks().iter().map(|track| track.track).collect();
        sections.sort_unstable();
        let (Some(tracks), Ok(path)) = (announced(&self.media, &sections), PathName::new(self.machine.path())) else {
            return Outcome::refused(Status::BAD_REQUEST);
        };
        let query = self.record().facts.lock().query.clone();
        let standby = match StandbyWish::of(&query) {
            Ok(wish) => wish.map(|wish| wish.rank.unwrap_or(STANDBY_RANK)),
            Err(error) => {
                info!(%path, peer = %self.peer, protocol = self.protocol(), "publisher refused: {error}");
                return Outcome::refused(Status::BAD_REQUEST);
            }
        };
        let fabric = &self.door.shared.fabric;
        let published = fabric.publish_as(path.clone(), self.info(), tracks.clone(), standby).await;
        match published {
            Ok(publication) => {
                let waits = !publication.is_active();
                let ordered = self.machine.tracks().iter().all(|track| track.transport.interleaved.is_some());
                let counters = self.registered.record.counters.clone();
                let recording = Recording::new(publication, &self.media, &sections, ordered, counters, self.now());
                self.activity = Activity::Recording(Box::new(recording));
                info!(%path, peer = %self.peer, protocol = self.protocol(), tracks = %labels(&tracks), transport = self.transport(), "{} joined", if waits { "standby" } else { "publisher" });
                Outcome::Accepted
            }
            Err(error) => {
                info!(%path, peer = %self.peer, protocol = self.protocol(), "publisher refused: {error}");
                Outcome::refused(match error {
                    PublishError::NotConfigured => Status::NOT_FOUND,
                    PublishError::AlreadyPublished | PublishError::Pulled => Status::FORBIDDEN,
                    PublishError::NoRandomAccess(_) => Status::UNSUPPORTED_MEDIA_TYPE,
                    _ => Status::SERVICE_UNAVAILABLE,
                })
            }
        }
    }

    async fn play(&mut self) -> Outcome {
        let Ok(path) = PathName::new(self.machine.path()) else { return Outcome::refused(Status::BAD_REQUEST) };
        if let Some(group) = self.group.clone() {
            return self.attend(path, &group).await;
        }
        let udp = self.machine.tracks().iter().any(|track| track.transport.interleaved.is_none());
        let pace = udp.then_some(UDP_BURST_BYTES_PER_SECOND);
        let join = Join { from: Start::NewestGroup, times: Times::Squeezed, pace };
        let shared = self.door.shared.clone();
        let subscribed = shared.fabric.subscribe(path.clone(), self.info(), join, self.door.worker.gate()).await;
        let subscription = match subscribed {
            Ok(subscription) => subscription,
            Err(error) => return self.refuse_reader(&path, error),
        };
        let tracks = subscription.tracks().clone();
        let egress = shared.egresses.of(subscription.stream(), &tracks, shared.config().packet_bytes_max);
        let reader_tracks = self.reader_tracks(&tracks, &egress);
        let reader = RtpReader::new(egress, tracks, reader_tracks, subscription.stream().born_wall());
        let Some(carrier) = self.carrier(subscription.tracks().len(), udp) else {
            return Outcome::refused(Status::UNSUPPORTED_TRANSPORT);
        };
        let bell = Bell::new();
        let listening = self.door.worker.listen(subscription.key(), &bell);
        let playing = Playing::new(subscription, listening, bell, reader, carrier);
        self.activity = Activity::Playing(Box::new(playing));
        self.report_soon();
        info!(%path, peer = %self.peer, protocol = self.protocol(), transport = self.transport(), "reader joined");
        playing_outcome()
    }

    /// Becomes a reader of a multicast group, which has a sender already.
    async fn attend(&mut self, path: PathName, group: &Group) -> Outcome {
        match self.door.shared.fabric.attend(path.clone(), self.info()).await {
            Ok(attendance) => {
                let age = self.now().since(attendance.stream().born());
                let path_micros = i64::try_from(age.as_micros()).unwrap_or(0);
                let rtp_info = group.rtp_info(path_micros);
                self.activity = Activity::Attending(attendance);
                group.welcome();
                info!(%path, peer = %self.peer, protocol = self.protocol(), group = %group.address, transport = self.transport(), "reader joined");
                Outcome::Playing { rtp_info, range: None }
            }
            Err(error) => self.refuse_reader(&path, error),
        }
    }

    fn refuse_reader(&self, path: &PathName, error: SubscribeError) -> Outcome {
        info!(%path, peer = %self.peer, protocol = self.protocol(), "reader refused: {error}");
        refuse_reader(error)
    }

    fn reader_tracks(&self, tracks: &Tracks, egress: &Arc<RtpEgress>) -> Vec<Option<ReaderTrack>> {
        let lines = egress.lines_of(tracks);
        tracks
            .iter()
            .zip(lines)
            .map(|((id, track), line)| {
                let set_up = self.machine.tracks().iter().find(|set_up| set_up.track == usize::from(id.0))?;
                Some(ReaderTrack {
                    channel: set_up.transport.interleaved.map_or(0, |channels| channels.rtp),
                    payload_type: payload_type(id, track),
                    rate: track.clock_rate,
                    line: line.unwrap_or(Line { ssrc: 0, payload_type: 0, offset: 0 }),
                    next_sequence: None,
                    packets: 0,
                    octets: 0,
                })
            })
            .collect()
    }

    fn carrier(&self, tracks: usize, udp: bool) -> Option<Carrier> {
        if !udp {
            return Some(Carrier::Interleaved);
        }
        let target = |track: usize| {
            let set_up = self.machine.tracks().iter().find(|set_up| set_up.track == track)?;
            let ports = set_up.transport.client_port?;
            let at = |port| SocketAddr::new(self.peer.ip(), port);
            Some(UdpTarget { rtp: at(ports.rtp), rtcp: at(ports.rtcp) })
        };
        let sockets = self.door.udp.clone()?;
        Some(Carrier::Udp { sockets, targets: (0..tracks).map(target).collect(), pending: Default::default() })
    }

    fn info(&self) -> SessionInfo {
        let user = self.record().facts.lock().user.clone();
        SessionInfo {
            kind: if self.secure { "rtspsSession" } else { "rtspSession" },
            id: self.record().id.clone(),
            identity: Identity { user, address: Some(self.peer.ip().to_canonical()) },
        }
    }

    fn transport(&self) -> &'static str {
        self.record().facts.lock().transport.unwrap_or("none")
    }
}

/// The URL of a request in its parts, and what came with it.
struct Asked<'a> {
    path: &'a str,
    query: &'a str,
    shown: Option<&'a Credentials>,
}

/// Characters of a user agent that are kept.
const USER_AGENT_CHARS_MAX: usize = 128;

/// No `RTP-Info` but for groups: what comes first is decided when it is sent, and sender reports precede it.
const fn playing_outcome() -> Outcome {
    Outcome::Playing { rtp_info: Vec::new(), range: None }
}

fn refuse_reader(error: SubscribeError) -> Outcome {
    Outcome::refused(match error {
        SubscribeError::NoStream | SubscribeError::NotConfigured => Status::NOT_FOUND,
        SubscribeError::TooManyReaders => Status::NOT_ENOUGH_BANDWIDTH,
        _ => Status::SERVICE_UNAVAILABLE,
    })
}

fn labels(tracks: &Tracks) -> String {
    let labels: Vec<&str> = tracks.iter().map(|(_, track): (TrackId, _)| track.codec.label()).collect();
    labels.join(", ")
}
