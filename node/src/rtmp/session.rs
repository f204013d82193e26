//! One RTMP connection from accept to end: handshake, chunks, its machine, and what comes out of that.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use tokio::time::Sleep;
use tracing::{debug, info, warn};
use weft_cluster::path::{EndReason, PublisherEvent};
use weft_proto::rtmp::{Action, ChunkReader, Outgoing, Refusal, ServerMachine};
use weft_proto::time::Now;

use super::door::Door;
use super::play::Playing;
use super::publish::{Failure, Publishing};
use super::stats::{Connection, Registered, State};
use crate::egress::chunks::{CHUNK_BYTES, chunked};
use crate::limits::{HANDSHAKE_TIMEOUT, PUBLISHER_CHUNK_BYTES, REQUEST_CHUNK_BYTES};
use crate::worker::admission::Admitted;
use crate::worker::tcp::{Outbox, Wire};

/// How often timeouts are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Time for the last bytes to leave.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The size of chunks before another is set (RTMP 1.0 section 5.4.1).
const CHUNK_BYTES_AT_FIRST: u32 = 128;

/// One connection.
pub(super) struct Session {
    pub(super) door: Rc<Door>,
    wire: Wire,
    pub(super) peer: SocketAddr,
    pub(super) secure: bool,
    admitted: Admitted,
    /// Until it is done.
    handshake: Option<Box<Handshake>>,
    pub(super) reader: ChunkReader,
    pub(super) machine: ServerMachine,
    pub(super) outbox: Outbox,
    chunk_bytes: u32,
    pub(super) registered: Registered,
    pub(super) activity: Activity,
    timer: Pin<Box<Sleep>>,
    timer_at: Now,
    tick_at: Now,
    opened_at: Now,
    /// Last bytes from the client.
    pub(super) heard_at: Now,
    /// The connection has taken nothing since then.
    blocked_since: Option<Now>,
    counted: (u64, u64),
    read_bytes: u64,
    warned_skips: u64,
}

/// What a connection does with media.
pub(super) enum Activity {
    /// Nothing.
    Idle,
    /// Reads.
    Playing(Box<Playing>),
    /// Publishes.
    Publishing(Box<Publishing>),
}

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The client closed it.
    Closed,
    /// It broke.
    Broken(io::Error),
    /// The client does not speak RTMP.
    Protocol(String),
    /// Nothing came for too long.
    TimedOut(&'static str),
    /// The client was told no.
    Refused,
    /// The fabric ended it.
    Fabric(EndReason),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by the client"),
            Self::Broken(error) => write!(f, "connection failed: {error}"),
            Self::Protocol(error) => write!(f, "protocol error: {error}"),
            Self::TimedOut(what) => write!(f, "timed out: {what}"),
            Self::Refused => f.write_str("refused"),
            Self::Fabric(reason) => f.write_str(reason.as_str()),
        }
    }
}

/// What a session woke for.
enum Wake {
    Read(usize),
    Pump,
    Publisher(PublisherEvent),
    Kicked,
    Timer,
}

impl Session {
    pub(super) fn new(door: Rc<Door>, wire: Wire, peer: SocketAddr, secure: bool, admitted: Admitted) -> Self {
        let registered = door.shared.connections.add(Connection::new(peer, secure));
        let now = door.shared.fabric.clock().now();
        Self {
            door,
            wire,
            peer,
            secure,
            admitted,
            handshake: Some(Box::new(Handshake::new(PeerType::Server))),
            reader: ChunkReader::new(),
            machine: ServerMachine::new(),
            outbox: Outbox::default(),
            chunk_bytes: CHUNK_BYTES_AT_FIRST,
            registered,
            activity: Activity::Idle,
            timer: Box::pin(tokio::time::sleep(TICK)),
            timer_at: now.after(TICK),
            tick_at: now.after(TICK),
            opened_at: now,
            heard_at: now,
            blocked_since: None,
            counted: (0, 0),
            read_bytes: 0,
            warned_skips: 0,
        }
    }

    /// Runs until the end, says why it ended, cleans up.
    pub(super) async fn run(mut self) {
        debug!(peer = %self.peer, "RTMP connection opened");
        let end = match self.serve().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        self.log_end(&end);
        self.say_goodbye(&end).await;
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, End> {
        loop {
            match self.wait().await? {
                Wake::Read(0) => return Err(End::Closed),
                Wake::Read(bytes) => self.on_read(bytes).await?,
                Wake::Pump => self.on_pump()?,
                Wake::Publisher(event) => self.on_publisher(event)?,
                Wake::Kicked => return Err(End::Fabric(EndReason::Kicked)),
                Wake::Timer => self.on_timer().await?,
            }
        }
    }

    async fn wait(&mut self) -> Result<Wake, End> {
        self.arm();
        poll_fn(|cx| self.poll_wake(cx)).await
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Result<Wake, End>> {
        let drained = self.poll_drained(cx)?;
        match &mut self.activity {
            Activity::Playing(playing) if drained && !playing.paused && playing.bell.poll(cx) => {
                return Poll::Ready(Ok(Wake::Pump));
            }
            Activity::Publishing(publishing) => {
                if let Some(publication) = publishing.publication()
                    && let Poll::Ready(event) = publication.poll_event(cx)
                {
                    return Poll::Ready(Ok(Wake::Publisher(event)));
                }
            }
            _ => {}
        }
        if self.registered.connection.poll_kicked(cx).is_ready() {
            return Poll::Ready(Ok(Wake::Kicked));
        }
        let publishes = matches!(self.activity, Activity::Publishing(_));
        let chunk = if publishes { PUBLISHER_CHUNK_BYTES } else { REQUEST_CHUNK_BYTES };
        // Who does not take our answers gets no more of them.
        if (drained || publishes)
            && let Poll::Ready(read) = self.wire.poll_read(cx, self.reader.buffer(), chunk)
        {
            return Poll::Ready(read.map(Wake::Read).map_err(End::Broken));
        }
        self.timer.as_mut().poll(cx).map(|()| Ok(Wake::Timer))
    }

    /// Writes what waits. Whether nothing is left, so that more may be taken from the log.
    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        if self.outbox.is_empty() && self.blocked_since.is_none() {
            return Ok(true);
        }
        let before = self.outbox.written();
        match self.outbox.poll_drain(&mut self.wire, cx) {
            Poll::Ready(result) => {
                result.map_err(End::Broken)?;
                self.blocked_since = None;
                Ok(true)
            }
            Poll::Pending => {
                if self.blocked_since.is_none() || self.outbox.written() > before {
                    self.blocked_since = Some(self.now());
                }
                Ok(false)
            }
        }
    }

    async fn on_read(&mut self, bytes: usize) -> Result<(), End> {
        self.read_bytes += bytes as u64;
        self.heard_at = self.now();
        if self.handshake.is_some() && !self.shake_hands()? {
            return Ok(());
        }
        let mut actions = Vec::new();
        self.machine.received(self.read_bytes, &mut actions);
        loop {
            let message = self.reader.next().map_err(|error| End::Protocol(error.to_string()))?;
            let Some(message) = message else { break };
            let understood = self.machine.message(message, &mut actions);
            self.act(&mut actions).await?;
            understood.map_err(|error| End::Protocol(error.to_string()))?;
        }
        self.act(&mut actions).await?;
        self.advance().await
    }

    /// Goes on with the handshake; whether it is done.
    fn shake_hands(&mut self) -> Result<bool, End> {
        let Some(handshake) = &mut self.handshake else { return Ok(true) };
        let arrived = self.reader.buffer().split();
        let (response, rest) = match handshake.process_bytes(&arrived) {
            Ok(HandshakeProcessResult::InProgress { response_bytes }) => (response_bytes, None),
            Ok(HandshakeProcessResult::Completed { response_bytes, remaining_bytes }) => {
                (response_bytes, Some(remaining_bytes))
            }
            Err(error) => return Err(End::Protocol(format!("handshake: {error}"))),
        };
        self.outbox.push(response.into());
        let Some(rest) = rest else { return Ok(false) };
        self.handshake = None;
        self.reader.buffer().extend_from_slice(&rest);
        Ok(true)
    }

    async fn act(&mut self, actions: &mut Vec<Action>) -> Result<(), End> {
        for action in actions.drain(..) {
            match action {
                Action::Send(message) => self.send(message),
                Action::SetChunkSize => {
                    self.send(Outgoing::number(weft_proto::rtmp::message::kind::SET_CHUNK_SIZE, CHUNK_BYTES));
                    self.chunk_bytes = CHUNK_BYTES;
                }
                Action::Publish { pending, path, query } => self.publish(&pending, &path, &query)?,
                Action::Play { pending, path, query } => self.play(&pending, &path, &query).await?,
                Action::Media(media) => {
                    let now = self.heard_at;
                    if let Activity::Publishing(publishing) = &mut self.activity {
                        let taken = publishing.media(media, now);
                        taken.map_err(|failure| self.failed(failure))?;
                    }
                }
                Action::Pause(on) => {
                    if let Activity::Playing(playing) = &mut self.activity {
                        playing.paused = on;
                        playing.bell.ring();
                    }
                }
                Action::Stop => {
                    // What came before it counts.
                    self.advance().await?;
                    self.stop();
                }
            }
        }
        Ok(())
    }

    /// Publishes what is ready.
    async fn advance(&mut self) -> Result<(), End> {
        let now = self.now();
        let protocol = self.protocol();
        let Activity::Publishing(publishing) = &mut self.activity else { return Ok(()) };
        while let Some(codec) = publishing.take_foreign() {
            warn!(path = %publishing.path(), peer = %self.peer, codec, "a track is left out, its codec is not supported");
        }
        match publishing.advance(&self.door.shared.fabric, now).await {
            Ok(Some(tracks)) => {
                info!(path = %publishing.path(), peer = %self.peer, protocol, tracks = %super::request::labels(&tracks), "publisher joined");
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(failure) => Err(self.failed(failure)),
        }
    }

    /// Tells a publisher why it ends.
    fn failed(&mut self, failure: Failure) -> End {
        let mut actions = Vec::new();
        let end = match failure {
            Failure::Media(error) => End::Protocol(error.to_string()),
            Failure::Refused(error) => {
                info!(peer = %self.peer, protocol = self.protocol(), "publisher refused: {error}");
                self.machine.end(Some(super::request::refuse_publisher(error)), &mut actions);
                End::Refused
            }
            Failure::Replaced => End::Fabric(EndReason::Replaced),
            Failure::Restless => End::Protocol("the tracks change all the time".to_owned()),
        };
        self.send_all(actions);
        end
    }

    fn on_pump(&mut self) -> Result<(), End> {
        let Activity::Playing(playing) = &mut self.activity else { return Ok(()) };
        let more = playing.pump(&mut self.outbox);
        if let Some(reason) = playing.ended() {
            return Err(End::Fabric(reason));
        }
        if more {
            playing.bell.ring();
        }
        if playing.take_drain() {
            self.ask_to_reconnect("reader");
        }
        Ok(())
    }

    fn on_publisher(&mut self, event: PublisherEvent) -> Result<(), End> {
        match event {
            PublisherEvent::Ended(reason) => Err(End::Fabric(reason)),
            PublisherEvent::Drain => {
                self.ask_to_reconnect("publisher");
                Ok(())
            }
            // RTMP has no way to ask for a keyframe.
            PublisherEvent::KeyframeWanted | PublisherEvent::DemandGone => Ok(()),
        }
    }

    /// The node is being drained: the client is told, if it said that it understands that.
    fn ask_to_reconnect(&mut self, who: &str) {
        let mut actions = Vec::new();
        let elsewhere = self.door.shared.fabric.elsewhere();
        if self.machine.ask_to_reconnect(elsewhere.as_deref(), &mut actions) {
            info!(peer = %self.peer, protocol = self.protocol(), "{who} asked to reconnect");
        }
        self.send_all(actions);
    }

    async fn on_timer(&mut self) -> Result<(), End> {
        let now = self.now();
        self.advance().await?;
        if self.tick_at <= now {
            self.tick_at = now.after(TICK);
            self.count();
            self.warn_of_skips();
            self.check_timeouts(now)?;
        }
        Ok(())
    }

    fn check_timeouts(&mut self, now: Now) -> Result<(), End> {
        let config = self.door.shared.config();
        if !self.admitted.is_established() && now.since(self.opened_at) > HANDSHAKE_TIMEOUT {
            return Err(End::TimedOut("nothing was asked that is allowed"));
        }
        if self.blocked_since.is_some_and(|since| now.since(since) > config.write_timeout) {
            return Err(End::TimedOut("the client takes nothing"));
        }
        let silent = now.since(self.heard_at) > config.read_timeout;
        match &self.activity {
            Activity::Publishing(_) if silent => Err(End::TimedOut("the publisher sends nothing")),
            Activity::Publishing(publishing)
                if publishing.waits_since().is_some_and(|since| now.since(since) > config.read_timeout) =>
            {
                info!(path = %publishing.path(), peer = %self.peer, protocol = self.protocol(), "publisher refused: none of its tracks can be read");
                let mut actions = Vec::new();
                self.machine.end(Some(Refusal::NoTracks), &mut actions);
                self.send_all(actions);
                Err(End::Refused)
            }
            Activity::Idle if now.since(self.heard_at) > IDLE_TIMEOUT => Err(End::TimedOut("no request")),
            _ => Ok(()),
        }
    }

    /// Sets the timer to the next thing that is due.
    fn arm(&mut self) {
        let precise = match &self.activity {
            Activity::Publishing(publishing) => publishing.next_timeout(),
            _ => None,
        };
        let at = precise.into_iter().fold(self.tick_at, Now::min);
        if at != self.timer_at {
            self.timer_at = at;
            let instant = self.door.shared.fabric.clock().instant(at);
            self.timer.as_mut().reset(instant.into());
        }
    }

    /// Brings the API's figures up to date.
    fn count(&mut self) {
        let connection = &self.registered.connection;
        let (read, written) = (self.read_bytes, self.outbox.written());
        connection.inbound_bytes.fetch_add(read - self.counted.0, Ordering::Relaxed);
        connection.outbound_bytes.fetch_add(written - self.counted.1, Ordering::Relaxed);
        self.counted = (read, written);
    }

    fn warn_of_skips(&mut self) {
        let Activity::Playing(playing) = &self.activity else { return };
        let skipped = playing.skipped - self.warned_skips;
        if skipped > 0 {
            self.warned_skips = playing.skipped;
            let connection = &self.registered.connection;
            connection.outbound_discarded.fetch_add(skipped, Ordering::Relaxed);
            let path = connection.facts.lock().path.clone();
            warn!(%path, peer = %self.peer, skipped, "reader is too slow, units skipped");
        }
    }

    /// The protocol's name, for people.
    pub(super) const fn protocol(&self) -> &'static str {
        if self.secure { "RTMPS" } else { "RTMP" }
    }

    pub(super) fn now(&self) -> Now {
        self.door.shared.fabric.clock().now()
    }

    /// The client has shown that it may be here.
    pub(super) fn establish(&mut self) {
        self.admitted.establish();
    }

    pub(super) fn send(&mut self, message: Outgoing) {
        self.outbox.push(chunked(message, 0, self.chunk_bytes));
    }

    pub(super) fn send_all(&mut self, actions: Vec<Action>) {
        for action in actions {
            if let Action::Send(message) = action {
                self.send(message);
            }
        }
    }

    /// Publishes or reads no more; the client may begin anew.
    fn stop(&mut self) {
        if !matches!(self.activity, Activity::Idle) {
            self.log_end(&End::Closed);
        }
        self.activity = Activity::Idle;
        self.registered.connection.facts.lock().state = State::Idle;
    }

    fn log_end(&self, end: &End) {
        let (peer, path) = (self.peer, self.registered.connection.facts.lock().path.clone());
        match &self.activity {
            Activity::Playing(_) => info!(%path, %peer, protocol = self.protocol(), "reader left: {end}"),
            Activity::Publishing(_) => info!(%path, %peer, protocol = self.protocol(), "publisher left: {end}"),
            Activity::Idle => debug!(%peer, "RTMP connection ended: {end}"),
        }
    }

    /// Tells the client in its protocol, if it still listens, and lets go of everything.
    async fn say_goodbye(mut self, end: &End) {
        if let End::Fabric(_) = end {
            let mut actions = Vec::new();
            self.machine.end(None, &mut actions);
            self.send_all(actions);
        }
        self.activity = Activity::Idle;
        if matches!(end, End::Closed | End::Broken(_)) {
            return;
        }
        let (outbox, wire) = (&mut self.outbox, &mut self.wire);
        let last_words = poll_fn(|cx| outbox.poll_drain(wire, cx));
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
    }
}

/// A connection that has published or read may stay so long without doing it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
