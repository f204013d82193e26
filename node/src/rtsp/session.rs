//! One RTSP connection from accept to end: reads, feeds its machine, acts on what comes out.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use tokio::time::Sleep;
use tracing::{debug, info};
use weft_cluster::Attendance;
use weft_cluster::path::{EndReason, PublisherEvent};
use weft_proto::rtsp::machine::{ServerMachine, State};
use weft_proto::rtsp::{Incoming, Reader, Response, write_interleaved_header};
use weft_proto::sdp::MediaDescription;
use weft_proto::time::Now;

use super::door::Door;
use super::multicast::Group;
use super::play::{CNAME, Playing};
use super::record::Recording;
use super::stats::{Facts, Registered, SessionCounters, SessionRecord};
use crate::limits::{HANDSHAKE_TIMEOUT, PUBLISHER_CHUNK_BYTES, REQUEST_CHUNK_BYTES, RTSP_SESSION_TIMEOUT};
use crate::worker::admission::Admitted;
use crate::worker::tcp::{Outbox, Wire};
use crate::worker::udp::{Datagram, Inbox, Port};

/// How often sender and receiver reports go out (RFC 3550 section 6.2: 5 s).
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// When the first reports follow the burst of a join, which takes 100 ms or a little more.
const FIRST_REPORT: Duration = Duration::from_millis(250);

/// How often timeouts are looked at.
const TICK: Duration = Duration::from_secs(1);

/// One connection.
pub(super) struct Session {
    pub(super) door: Rc<Door>,
    pub(super) wire: Wire,
    pub(super) peer: SocketAddr,
    pub(super) secure: bool,
    admitted: Admitted,
    reader: Reader,
    pub(super) machine: ServerMachine,
    pub(super) outbox: Outbox,
    pub(super) registered: Registered,
    pub(super) nonce: String,
    pub(super) media: Vec<MediaDescription>,
    pub(super) activity: Activity,
    pub(super) inbox: Arc<Inbox>,
    pub(super) routes: Vec<(Port, SocketAddr)>,
    pub(super) group: Option<Arc<Group>>,
    timer: Pin<Box<Sleep>>,
    timer_at: Now,
    tick_at: Now,
    report_at: Now,
    opened_at: Now,
    /// Last request or datagram: the session lives.
    alive_at: Now,
    /// The connection has taken nothing since then.
    blocked_since: Option<Now>,
    counted: (u64, u64),
    read_bytes: u64,
    warned_skips: u64,
}

/// What a session does with media.
pub(super) enum Activity {
    /// Nothing.
    Idle,
    /// Reads.
    Playing(Box<Playing>),
    /// Is served by the sender of a multicast group.
    Attending(Attendance),
    /// Publishes.
    Recording(Box<Recording>),
}

/// Why a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// The client said so.
    Teardown,
    /// The client closed the connection.
    Closed,
    /// The connection broke.
    Broken(io::Error),
    /// The client does not speak RTSP.
    Protocol(String),
    /// Nothing came for too long.
    TimedOut(&'static str),
    /// The fabric ended it.
    Fabric(EndReason),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Teardown => f.write_str("torn down by the client"),
            Self::Closed => f.write_str("closed by the client"),
            Self::Broken(error) => write!(f, "connection failed: {error}"),
            Self::Protocol(error) => write!(f, "protocol error: {error}"),
            Self::TimedOut(what) => write!(f, "timed out: {what}"),
            Self::Fabric(reason) => f.write_str(reason.as_str()),
        }
    }
}

/// What a session woke for.
enum Wake {
    Read(usize),
    Pump,
    Datagrams(Vec<Datagram>),
    Publisher(PublisherEvent),
    Timer,
}

impl Session {
    pub(super) fn new(door: Rc<Door>, wire: Wire, peer: SocketAddr, secure: bool, admitted: Admitted) -> Self {
        let id = uuid::Uuid::new_v4().to_string();
        // What clients must show is another secret than what the API lists.
        let session_id = uuid::Uuid::new_v4().simple().to_string();
        let machine = ServerMachine::new(session_id, door.capabilities(secure));
        let facts = Facts {
            state: State::Init,
            path: String::new(),
            query: String::new(),
            user: String::new(),
            user_agent: String::new(),
            transport: None,
        };
        let registered = door.shared.sessions.add(SessionRecord {
            connection_id: uuid::Uuid::new_v4().to_string(),
            id,
            created: SystemTime::now(),
            peer,
            secure,
            facts: parking_lot::Mutex::new(facts),
            counters: Arc::default(),
        });
        let now = door.shared.fabric.clock().now();
        Self {
            door,
            wire,
            peer,
            secure,
            admitted,
            reader: Reader::new(),
            machine,
            outbox: Outbox::default(),
            registered,
            nonce: uuid::Uuid::new_v4().simple().to_string(),
            media: Vec::new(),
            activity: Activity::Idle,
            inbox: Arc::default(),
            routes: Vec::new(),
            group: None,
            timer: Box::pin(tokio::time::sleep(TICK)),
            timer_at: now.after(TICK),
            tick_at: now.after(TICK),
            report_at: now.after(REPORT_INTERVAL),
            opened_at: now,
            alive_at: now,
            blocked_since: None,
            counted: (0, 0),
            read_bytes: 0,
            warned_skips: 0,
        }
    }

    /// Runs until the end, says why it ended, cleans up.
    pub(super) async fn run(mut self) {
        debug!(peer = %self.peer, "RTSP connection opened");
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
                Wake::Datagrams(datagrams) => self.on_datagrams(datagrams)?,
                Wake::Publisher(event) => self.on_publisher(event)?,
                Wake::Timer => self.on_timer()?,
            }
        }
    }

    async fn wait(&mut self) -> Result<Wake, End> {
        self.arm();
        poll_fn(|cx| self.poll_wake(cx)).await
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Result<Wake, End>> {
        let drained = self.poll_drained(cx)?;
        let mut datagrams = Vec::new();
        if let Activity::Playing(playing) = &mut self.activity {
            let paced = playing.resume_at.is_some();
            if drained && !paced && playing.bell.poll(cx) {
                return Poll::Ready(Ok(Wake::Pump));
            }
        }
        if let Activity::Recording(recording) = &mut self.activity
            && let Poll::Ready(event) = recording.publication().poll_event(cx)
        {
            return Poll::Ready(Ok(Wake::Publisher(event)));
        }
        let chunk =
            if matches!(self.activity, Activity::Recording(_)) { PUBLISHER_CHUNK_BYTES } else { REQUEST_CHUNK_BYTES };
        if let Poll::Ready(read) = self.wire.poll_read(cx, self.reader.buffer(), chunk) {
            return Poll::Ready(read.map(Wake::Read).map_err(End::Broken));
        }
        // Without ports of its own nothing can come in.
        if !self.routes.is_empty() && self.inbox.poll(cx, &mut datagrams).is_ready() {
            return Poll::Ready(Ok(Wake::Datagrams(datagrams)));
        }
        self.timer.as_mut().poll(cx).map(|()| Ok(Wake::Timer))
    }

    /// Writes what waits. Whether nothing is left, so that more may be taken from the log.
    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        if self.outbox.is_empty() && self.blocked_since.is_none() && !self.has_udp_pending() {
            return Ok(true);
        }
        let before = self.outbox.written();
        let stream = self.outbox.poll_drain(&mut self.wire, cx).map_err(End::Broken);
        let udp = match &mut self.activity {
            Activity::Playing(playing) => playing.poll_ready(cx).map_err(End::Broken),
            _ => Poll::Ready(Ok(())),
        };
        match (stream, udp) {
            (Poll::Ready(stream), Poll::Ready(udp)) => {
                stream.and(udp)?;
                self.blocked_since = None;
                Ok(true)
            }
            (Poll::Ready(Err(end)), _) | (_, Poll::Ready(Err(end))) => Err(end),
            _ => {
                if self.blocked_since.is_none() || self.outbox.written() > before {
                    self.blocked_since = Some(self.now());
                }
                Ok(false)
            }
        }
    }

    fn has_udp_pending(&self) -> bool {
        matches!(&self.activity, Activity::Playing(playing) if playing.is_blocked())
    }

    async fn on_read(&mut self, bytes: usize) -> Result<(), End> {
        self.read_bytes += bytes as u64;
        let now = self.now();
        loop {
            match self.reader.next() {
                Ok(None) => break,
                Ok(Some(Incoming::Interleaved { channel, data })) => self.on_interleaved(channel, data, now),
                Ok(Some(Incoming::Request(request))) => {
                    self.alive_at = now;
                    self.on_request(request).await?;
                }
                Ok(Some(Incoming::Response(_))) => {}
                Err(error) => {
                    self.send(&Response::new(error.status()));
                    return Err(End::Protocol(error.to_string()));
                }
            }
        }
        self.flush(now)
    }

    fn on_interleaved(&mut self, channel: u8, data: bytes::Bytes, now: Now) {
        let Some((track, is_rtcp)) = self.machine.track_of_channel(channel) else { return };
        match &mut self.activity {
            Activity::Recording(recording) => recording.packet(track, is_rtcp, data, now),
            Activity::Playing(_) if is_rtcp => self.on_receiver_report(&data),
            _ => {}
        }
    }

    fn on_datagrams(&mut self, datagrams: Vec<Datagram>) -> Result<(), End> {
        let now = self.now();
        self.alive_at = now;
        for Datagram { tag, port, bytes } in datagrams {
            SessionCounters::add(&self.record().counters.inbound_bytes, bytes.len());
            match &mut self.activity {
                Activity::Recording(recording) => {
                    recording.packet(usize::from(tag), port == Port::Rtcp, bytes, now);
                }
                Activity::Playing(_) if port == Port::Rtcp => self.on_receiver_report(&bytes),
                _ => {}
            }
        }
        self.flush(now)
    }

    fn on_receiver_report(&self, packet: &[u8]) {
        use weft_proto::rtp::{RtcpItem, rtcp};
        let counters = &self.record().counters;
        let mut items = 0;
        for item in rtcp::parse(packet) {
            items += 1;
            if let RtcpItem::ReceiverReport { reports, .. } = item {
                let lost: i64 = reports.iter().map(|block| i64::from(block.lost)).sum();
                counters.outbound_reported_lost.store(lost.max(0) as u64, std::sync::atomic::Ordering::Relaxed);
            }
        }
        counters.saw_rtcp(items);
    }

    fn flush(&mut self, now: Now) -> Result<(), End> {
        match &mut self.activity {
            Activity::Recording(recording) => recording.flush(now).map_err(|_| End::Fabric(EndReason::Replaced)),
            _ => Ok(()),
        }
    }

    fn on_pump(&mut self) -> Result<(), End> {
        let record = self.registered.record.clone();
        let Activity::Playing(playing) = &mut self.activity else { return Ok(()) };
        let more = playing.pump(&mut self.outbox, &record.counters).map_err(End::Broken)?;
        if let Some(reason) = playing.ended() {
            return Err(End::Fabric(reason));
        }
        if more {
            playing.bell.ring();
        }
        if playing.take_drain() {
            self.ask_to_go("reader");
        }
        Ok(())
    }

    fn on_publisher(&mut self, event: PublisherEvent) -> Result<(), End> {
        match event {
            PublisherEvent::Ended(reason) => Err(End::Fabric(reason)),
            PublisherEvent::Drain => {
                self.ask_to_go("publisher");
                Ok(())
            }
            // Cameras and encoders that push RTSP honour no request for a keyframe.
            PublisherEvent::KeyframeWanted | PublisherEvent::DemandGone => Ok(()),
        }
    }

    fn on_timer(&mut self) -> Result<(), End> {
        let now = self.now();
        match &mut self.activity {
            Activity::Recording(recording) => {
                recording.handle_timeout(now).map_err(|_| End::Fabric(EndReason::Replaced))?;
            }
            Activity::Playing(playing) if playing.resume_at.is_some_and(|at| at <= now) => {
                playing.resume_at = None;
                playing.bell.ring();
            }
            _ => {}
        }
        if self.report_at <= now {
            self.report_at = now.after(REPORT_INTERVAL);
            self.send_reports(now)?;
        }
        if self.tick_at <= now {
            self.tick_at = now.after(TICK);
            self.count();
            self.warn_of_skips();
            self.check_timeouts(now)?;
        }
        Ok(())
    }

    fn send_reports(&mut self, now: Now) -> Result<(), End> {
        let record = self.registered.record.clone();
        match &mut self.activity {
            // Nothing is added for a reader that takes nothing.
            Activity::Playing(playing) if self.blocked_since.is_none() => {
                playing.send_reports(&mut self.outbox, &record.counters).map_err(End::Broken)
            }
            Activity::Recording(recording) => {
                let reports = recording.reports(now, CNAME);
                reports.into_iter().for_each(|(track, packet)| self.send_receiver_report(track, &packet));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn send_receiver_report(&mut self, track: usize, packet: &[u8]) {
        let set_up = self.machine.tracks().iter().find(|set_up| set_up.track == track);
        let Some(transport) = set_up.map(|set_up| &set_up.transport) else { return };
        SessionCounters::add(&self.registered.record.counters.outbound_rtcp, 1);
        match (transport.interleaved, transport.client_port, &self.door.udp) {
            (Some(channels), ..) => {
                if let Some(header) = write_interleaved_header(channels.rtcp, packet.len()) {
                    self.outbox.push([&header[..], packet].concat().into());
                }
            }
            (None, Some(ports), Some(udp)) => {
                // A report that does not leave now is worth nothing later.
                let _ = udp.rtcp.try_send(SocketAddr::new(self.peer.ip(), ports.rtcp), packet, None);
            }
            _ => {}
        }
    }

    fn check_timeouts(&self, now: Now) -> Result<(), End> {
        let config = self.door.shared.config();
        if !self.admitted.is_established() && now.since(self.opened_at) > HANDSHAKE_TIMEOUT {
            return Err(End::TimedOut("nothing was asked that is allowed"));
        }
        if self.blocked_since.is_some_and(|since| now.since(since) > config.write_timeout) {
            return Err(End::TimedOut("the client takes nothing"));
        }
        match &self.activity {
            Activity::Attending(attendance) if let Some(reason) = attendance.ended() => Err(End::Fabric(reason)),
            Activity::Attending(_) if self.is_silent(now) => Err(End::TimedOut("no request and no report")),
            Activity::Recording(recording) if now.since(recording.last_media()) > config.read_timeout => {
                Err(End::TimedOut("the publisher sends nothing"))
            }
            // Who reads over TCP shows that it lives by taking what is written.
            Activity::Playing(playing) if !playing.is_interleaved() && self.is_silent(now) => {
                Err(End::TimedOut("no request and no report"))
            }
            Activity::Idle if self.is_silent(now) => Err(End::TimedOut("no request")),
            _ => Ok(()),
        }
    }

    fn is_silent(&self, now: Now) -> bool {
        now.since(self.alive_at) > RTSP_SESSION_TIMEOUT
    }

    /// Sets the timer to the next thing that is due.
    fn arm(&mut self) {
        let precise = match &self.activity {
            Activity::Playing(playing) => playing.resume_at,
            Activity::Recording(recording) => recording.next_timeout(),
            Activity::Idle | Activity::Attending(_) => None,
        };
        let at = precise.into_iter().chain([self.report_at]).fold(self.tick_at, Now::min);
        if at != self.timer_at {
            self.timer_at = at;
            let instant = self.door.shared.fabric.clock().instant(at);
            self.timer.as_mut().reset(instant.into());
        }
    }

    /// Brings the API's figures up to date.
    pub(super) fn count(&mut self) {
        let counters = &self.registered.record.counters;
        let (read, written) = (self.read_bytes, self.outbox.written());
        SessionCounters::add(&counters.inbound_bytes, (read - self.counted.0) as usize);
        SessionCounters::add(&counters.outbound_bytes, (written - self.counted.1) as usize);
        self.counted = (read, written);
        if let Activity::Recording(recording) = &self.activity {
            recording.count();
        }
    }

    fn warn_of_skips(&mut self) {
        let Activity::Playing(playing) = &self.activity else { return };
        let skipped = playing.skipped - self.warned_skips;
        if skipped > 0 {
            self.warned_skips = playing.skipped;
            SessionCounters::add(&self.record().counters.outbound_discarded, skipped as usize);
            let path = self.machine.path();
            tracing::warn!(%path, peer = %self.peer, skipped, "reader is too slow, units skipped");
        }
    }

    /// The protocol's name, for people.
    pub(super) const fn protocol(&self) -> &'static str {
        if self.secure { "RTSPS" } else { "RTSP" }
    }

    pub(super) fn now(&self) -> Now {
        self.door.shared.fabric.clock().now()
    }

    pub(super) fn record(&self) -> &SessionRecord {
        &self.registered.record
    }

    /// Players that were given squeezed times learn the true relation of the tracks soon, not after a whole interval.
    pub(super) fn report_soon(&mut self) {
        self.report_at = self.now().after(FIRST_REPORT);
    }

    /// The client has shown that it may be here.
    pub(super) fn establish(&mut self) {
        self.admitted.establish();
    }

    pub(super) fn send(&mut self, response: &Response) {
        let mut bytes = Vec::with_capacity(512);
        response.write(&mut bytes);
        self.send_bytes(bytes);
    }

    pub(super) fn send_bytes(&mut self, bytes: Vec<u8>) {
        self.outbox.push(bytes.into());
    }

    fn log_end(&self, end: &End) {
        let (peer, path) = (self.peer, self.record().facts.lock().path.clone());
        match &self.activity {
            Activity::Playing(_) | Activity::Attending(_) => {
                info!(%path, %peer, protocol = self.protocol(), "reader left: {end}");
            }
            Activity::Recording(_) => info!(%path, %peer, protocol = self.protocol(), "publisher left: {end}"),
            Activity::Idle => debug!(%peer, "RTSP connection ended: {end}"),
        }
    }

    /// Tells the client in its protocol, if it still listens, and lets go of everything.
    async fn say_goodbye(mut self, end: &End) {
        for (port, address) in core::mem::take(&mut self.routes) {
            self.door.shared.routes.remove(port, address);
        }
        if let (Activity::Playing(playing), End::Fabric(_)) = (&mut self.activity, end) {
            let _ = playing.send_byes(&mut self.outbox);
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

/// Time for the last bytes to leave.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// An unguessable number.
pub(super) fn random_u32() -> u32 {
    uuid::Uuid::new_v4().as_u128() as u32
}
