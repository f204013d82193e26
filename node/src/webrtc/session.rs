//! One browser from its offer to its end: finds the way, agrees on keys, and acts on what comes.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::Sleep;
use tracing::{debug, info, warn};
use weft_cluster::path::{EndReason, PublisherEvent};
use weft_proto::media::{Track, TrackId, Tracks};
use weft_proto::rtp::header::is_rtcp;
use weft_proto::time::Now;
use weft_proto::webrtc::description::Credentials;
use weft_proto::webrtc::ice::{From as Local, Heard, LiteAgent, Way};
use weft_proto::webrtc::stun::{self, TransactionId};

use super::data::Channels;
use super::door::Door;
use super::end::End;
use super::mux::{Datagram, Inbox};
use super::offer::Wanted;
use super::outgoing::Outgoing;
use super::playing::Playing;
use super::publishing::Publishing;
use super::secure::{self, Secure};
use super::stats::{Registered, Role, SessionCounters};
use crate::worker::udp::UdpPort;

/// How often sender and receiver reports go out. Browsers send theirs so often.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// When the first reports follow the burst of a join, which takes 100 ms or a little more.
const FIRST_REPORT: Duration = Duration::from_millis(250);

/// How often timeouts are looked at.
const TICK: Duration = Duration::from_secs(1);

/// What is wanted of a session by others than its browser's packets.
#[derive(Debug)]
pub(super) enum Order {
    /// ICE begins anew with these credentials of the browser; the answer is this end's.
    Restart(Credentials, oneshot::Sender<Credentials>),
    /// The browser ends it.
    End,
    /// An operator ends it.
    Kick,
}

/// What a session does with media.
enum Activity {
    /// Reads, once there is a way.
    Playing(Box<Playing>),
    /// Will publish, once there is a way.
    Waiting(Box<Wanted>),
    /// Publishes.
    Publishing(Box<Publishing>),
}

/// What a session begins with.
pub(super) enum Begin {
    /// It reads; which of the tracks go over data channels, under which names.
    Reading(Box<Playing>, Vec<(TrackId, String)>),
    /// It is to publish.
    Publishing(Box<Wanted>),
}

/// What a session woke for.
enum Wake {
    Order(Order),
    Pump,
    Datagrams,
    Publisher(PublisherEvent),
    Timer,
}

/// One session.
pub(super) struct Session {
    door: Rc<Door>,
    registered: Registered,
    ice: LiteAgent,
    secure: Secure,
    activity: Activity,
    inbox: Arc<Inbox>,
    datagrams: Vec<Datagram>,
    orders: UnboundedReceiver<Order>,
    /// Data channels, where there is something for them.
    channels: Option<Box<Channels>>,
    out: Outgoing,
    /// Addresses under which the mux knows it.
    known: Vec<Way>,
    timer: Pin<Box<Sleep>>,
    timer_at: Now,
    tick_at: Now,
    report_at: Now,
    opened_at: Now,
    blocked_since: Option<Now>,
    warned_skips: u64,
}

/// What a session is made of.
pub(super) struct Parts {
    pub(super) door: Rc<Door>,
    /// None where media goes over TCP only.
    pub(super) port: Option<Rc<UdpPort>>,
    pub(super) registered: Registered,
    pub(super) ice: LiteAgent,
    pub(super) secure: Secure,
    pub(super) begin: Begin,
    pub(super) orders: UnboundedReceiver<Order>,
}

impl Session {
    /// A session that the mux finds from now on.
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { door, port, registered, ice, secure, begin, orders } = parts;
        let now = door.shared.fabric.clock().now();
        let inbox = Arc::<Inbox>::default();
        let door_mux = door.shared.mux.clone();
        door.shared.mux.add_name(&ice.local().ufrag, &inbox);
        let (activity, data) = match begin {
            Begin::Reading(playing, data) => (Activity::Playing(playing), data),
            Begin::Publishing(wanted) => (Activity::Waiting(wanted), Vec::new()),
        };
        let channels = (!data.is_empty()).then(|| Box::new(Channels::new(data, secure.is_client())));
        Self {
            door,
            registered,
            ice,
            secure,
            activity,
            inbox,
            datagrams: Vec::new(),
            orders,
            channels,
            out: Outgoing::new(port, door_mux),
            known: Vec::new(),
            timer: Box::pin(tokio::time::sleep(TICK)),
            timer_at: now.after(TICK),
            tick_at: now.after(TICK),
            report_at: now.after(REPORT_INTERVAL),
            opened_at: now,
            blocked_since: None,
            warned_skips: 0,
        }
    }

    /// Runs until the end, says why it ended, cleans up.
    pub(super) async fn run(mut self) {
        let end = match self.serve().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        self.say_goodbye(&end);
    }

    async fn serve(&mut self) -> Result<Infallible, End> {
        loop {
            self.arm();
            match poll_fn(|cx| self.poll_wake(cx)).await? {
                Wake::Order(order) => self.on_order(order)?,
                Wake::Pump => self.on_pump()?,
                Wake::Datagrams => {
                    self.on_datagrams().await?;
                    // Other sessions of the worker get their turn, however much there is for this one.
                    tokio::task::yield_now().await;
                }
                Wake::Publisher(event) => self.on_publisher(event)?,
                Wake::Timer => self.on_timer()?,
            }
            self.flush();
        }
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Result<Wake, End>> {
        if let Poll::Ready(Some(order)) = self.orders.poll_recv(cx) {
            return Poll::Ready(Ok(Wake::Order(order)));
        }
        let drained = self.poll_drained(cx)?;
        match &mut self.activity {
            Activity::Playing(playing)
                if drained && self.secure.is_established() && playing.resume_at.is_none() && playing.bell.poll(cx) =>
            {
                return Poll::Ready(Ok(Wake::Pump));
            }
            Activity::Publishing(publishing) => {
                if let Poll::Ready(event) = publishing.publication().poll_event(cx) {
                    return Poll::Ready(Ok(Wake::Publisher(event)));
                }
            }
            _ => {}
        }
        // First: whoever is flooded with datagrams must notice that time passes.
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(Wake::Timer));
        }
        if self.inbox.poll(cx, &mut self.datagrams).is_ready() {
            return Poll::Ready(Ok(Wake::Datagrams));
        }
        Poll::Pending
    }

    /// Sends what waits. Whether nothing is left, so that more may be taken from the log.
    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        match self.out.poll_drain(cx) {
            Poll::Ready(Ok(())) => self.blocked_since = None,
            Poll::Ready(Err(error)) => return Err(End::Broken(error)),
            Poll::Pending => {
                self.blocked_since.get_or_insert(self.door.shared.fabric.clock().now());
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn on_order(&mut self, order: Order) -> Result<(), End> {
        match order {
            Order::End => Err(End::Deleted),
            Order::Kick => Err(End::Fabric(EndReason::Kicked)),
            Order::Restart(remote, answer) => {
                let local = new_credentials();
                let mux = &self.door.shared.mux;
                mux.remove_name(&self.ice.local().ufrag);
                mux.add_name(&local.ufrag, &self.inbox);
                self.ice.restart(local.clone(), remote);
                let _ = answer.send(local);
                Ok(())
            }
        }
    }

    async fn on_datagrams(&mut self) -> Result<(), End> {
        let now = self.now();
        let mut datagrams = core::mem::take(&mut self.datagrams);
        for Datagram { way, bytes } in datagrams.drain(..) {
            SessionCounters::add(&self.counters().inbound_bytes, bytes.len());
            match bytes.first() {
                Some(0..=3) => self.on_check(&bytes, way, now)?,
                Some(20..=63) if self.ice.is_proven(way) => self.on_dtls(&bytes, now).await?,
                Some(128..=191) if self.secure.is_established() => self.on_media(&bytes, now),
                _ => {}
            }
        }
        self.datagrams = datagrams;
        match &mut self.activity {
            Activity::Publishing(publishing) => publishing.flush(now).map_err(|_| End::Fabric(EndReason::Replaced)),
            _ => Ok(()),
        }
    }

    /// A connectivity check.
    fn on_check(&mut self, bytes: &Bytes, way: Way, now: Now) -> Result<(), End> {
        let Some(message) = stun::Message::parse(bytes) else { return Ok(()) };
        match self.ice.hear(&message, way, now) {
            Heard::Nothing => return Ok(()),
            Heard::Answer(answer) => self.out.send(way, &answer),
            Heard::Selected(answer) => {
                self.out.send(way, &answer);
                self.tell_way(way);
            }
            Heard::Wanted(answer) => {
                self.out.send(way, &answer);
                let transaction = new_transaction();
                if let Some(question) = self.ice.ask(way, transaction) {
                    self.out.send(way, &question);
                }
            }
            Heard::Moved => self.tell_way(way),
        }
        self.know(way);
        if self.ice.selected().is_some() {
            self.secure.begin(self.instant(now))?;
            self.send_dtls();
        }
        Ok(())
    }

    /// What comes on a proven way is this session's; on those that are proven no more it is not.
    fn know(&mut self, way: Way) {
        let (mux, inbox, ice) = (&self.door.shared.mux, &self.inbox, &self.ice);
        if ice.is_proven(way) && matches!(way.from, Local::Udp(_)) {
            // Again with each check: another session may have had the address meanwhile.
            mux.add_address(way.to, inbox);
        }
        if ice.is_proven(way) && !self.known.contains(&way) {
            self.known.push(way);
        }
        self.known.retain(|known| {
            let is_proven = ice.is_proven(*known);
            if !is_proven {
                mux.remove_address(known.to, inbox);
            }
            is_proven
        });
    }

    fn tell_way(&self, way: Way) {
        let ip = match way.from {
            Local::Udp(Some(ip)) => ip.to_string(),
            Local::Udp(None) | Local::Tcp(_) => String::new(),
        };
        let transport = if matches!(way.from, Local::Tcp(_)) { "tcp" } else { "udp" };
        let port = self.out.port.as_ref().and_then(|port| port.local_addr().ok()).map_or(0, |address| address.port());
        let local = format!("host/{transport}/{ip}/{port}");
        let remote = format!("prflx/{transport}/{}/{}", way.to.ip(), way.to.port());
        *self.registered.record.way.lock() = Some((local, remote));
    }

    async fn on_dtls(&mut self, bytes: &[u8], now: Now) -> Result<(), End> {
        let heard = self.secure.hear(bytes, self.instant(now));
        self.send_dtls();
        for heard in heard? {
            match heard {
                secure::Heard::Established => self.on_established(now).await?,
                secure::Heard::Application(data) => self.with_channels(now, |channels, at| channels.hear(data, at)),
            }
        }
        Ok(())
    }

    /// Does something with the data channels, and sends what they say. What goes wrong there ends them only.
    fn with_channels(
        &mut self,
        now: Now,
        work: impl FnOnce(&mut Channels, Instant) -> Result<(), rtc::shared::error::Error>,
    ) {
        let instant = self.instant(now);
        let Some(channels) = &mut self.channels else { return };
        let mut done = work(channels, instant);
        while let Some(packets) = channels.poll_transmit(instant) {
            for packet in packets {
                done = done.and(self.secure.write(&packet, instant).map_err(|error| {
                    debug!(%error, "data channels: nothing can be sent");
                    rtc::shared::error::Error::ErrConnClosed
                }));
            }
        }
        if let Err(error) = done {
            debug!(peer = %self.registered.record.peer, %error, "data channels ended");
            self.channels = None;
        }
        self.send_dtls();
    }

    fn send_dtls(&mut self) {
        // The way that is selected, or the one that works so far.
        let Some(way) = self.ice.selected().or_else(|| self.known.last().copied()) else { return };
        while let Some(datagram) = self.secure.poll_transmit() {
            self.out.send(way, &datagram);
        }
    }

    /// Keys are agreed: media goes.
    async fn on_established(&mut self, now: Now) -> Result<(), End> {
        debug!(peer = %self.registered.record.peer, "WebRTC session established");
        self.registered.record.established.store(true, Ordering::Relaxed);
        self.inbox.prove();
        match &mut self.activity {
            Activity::Playing(playing) => {
                playing.bell.ring();
                self.report_at = now.after(FIRST_REPORT);
                let record = &self.registered.record;
                info!(path = record.path, peer = %record.peer, protocol = "WebRTC", "reader joined");
            }
            Activity::Waiting(wanted) => {
                let within = self.door.shared.config().handshake_timeout;
                let published = wanted.publish(&self.door.shared.fabric, &self.registered.record);
                let published = tokio::time::timeout(within, published).await;
                let published = published.map_err(|_| End::TimedOut("the path is not given"))?;
                let publication = published.map_err(|error| End::Refused(error.to_string()))?;
                let waits = !publication.is_active();
                let (record, lines) = (&self.registered.record, core::mem::take(&mut wanted.lines));
                let tracks = labels(lines.iter().map(|line| &line.track));
                info!(path = record.path, peer = %record.peer, protocol = "WebRTC", tracks, "{} joined", if waits { "standby" } else { "publisher" });
                let now = self.now();
                self.activity = Activity::Publishing(Box::new(Publishing::new(publication, lines, now)));
            }
            Activity::Publishing(_) => {}
        }
        Ok(())
    }

    fn on_media(&mut self, bytes: &[u8], now: Now) {
        let counters = self.registered.record.counters.clone();
        if is_rtcp(bytes) {
            let Some(plain) = self.secure.open_rtcp(bytes) else { return };
            match &mut self.activity {
                Activity::Playing(playing) => playing.hear(&plain, &mut self.secure, &mut self.out, &counters, now),
                Activity::Publishing(publishing) => {
                    publishing.rtcp(&plain, now);
                }
                Activity::Waiting(_) => {}
            }
            SessionCounters::add(&counters.inbound_rtcp, 1);
            return;
        }
        if let Activity::Publishing(publishing) = &mut self.activity
            && let Some(plain) = self.secure.open_rtp(bytes)
        {
            publishing.rtp(plain, now, &counters);
        }
    }

    fn on_pump(&mut self) -> Result<(), End> {
        let now = self.now();
        let counters = self.registered.record.counters.clone();
        let Activity::Playing(playing) = &mut self.activity else { return Ok(()) };
        let more = playing.pump(&mut self.secure, &mut self.out, &counters, now).ok_or(End::Reordered)?;
        if let Some(reason) = playing.ended() {
            return Err(End::Fabric(reason));
        }
        // There is no word for it: a browser that is sent away asks again, and is told where.
        if playing.take_drain() {
            return Err(End::Fabric(EndReason::Drained));
        }
        if more {
            playing.bell.ring();
        }
        let messages = playing.take_messages();
        if !messages.is_empty() {
            self.with_channels(now, |channels, at| {
                messages.iter().try_for_each(|(track, message)| channels.send(*track, message, at))
            });
        }
        Ok(())
    }

    fn on_publisher(&mut self, event: PublisherEvent) -> Result<(), End> {
        match event {
            PublisherEvent::Ended(reason) => Err(End::Fabric(reason)),
            PublisherEvent::Drain => Err(End::Fabric(EndReason::Drained)),
            PublisherEvent::KeyframeWanted | PublisherEvent::DemandGone => Ok(()),
        }
    }

    fn on_timer(&mut self) -> Result<(), End> {
        let now = self.now();
        let instant = self.instant(now);
        if self.secure.next_timeout().is_some_and(|at| at <= instant) {
            self.secure.handle_timeout(instant)?;
            self.send_dtls();
        }
        if self.channels.as_ref().and_then(|channels| channels.next_timeout()).is_some_and(|at| at <= instant) {
            self.with_channels(now, Channels::handle_timeout);
        }
        let counters = self.registered.record.counters.clone();
        match &mut self.activity {
            Activity::Publishing(publishing) => {
                let (secure, out) = (&mut self.secure, &mut self.out);
                let spoken = publishing.handle_timeout(now, &mut |packet| out.push_rtcp(packet, secure, &counters));
                spoken.map_err(|_| End::Fabric(EndReason::Replaced))?;
            }
            Activity::Playing(playing) if playing.resume_at.is_some_and(|at| at <= now) => {
                playing.resume_at = None;
                playing.bell.ring();
            }
            _ => {}
        }
        if self.report_at <= now {
            self.report_at = now.after(REPORT_INTERVAL);
            self.send_reports(now);
        }
        if self.tick_at <= now {
            self.tick_at = now.after(TICK);
            // A reader whose way is full is not asked for more, and must hear that it is over all the same.
            if let Activity::Playing(playing) = &self.activity
                && let Some(reason) = playing.ended()
            {
                return Err(End::Fabric(reason));
            }
            self.warn_of_skips();
            self.check_timeouts(now)?;
        }
        Ok(())
    }

    fn send_reports(&mut self, now: Now) {
        let counters = self.registered.record.counters.clone();
        match &mut self.activity {
            // Nothing is added for a reader that takes nothing.
            Activity::Playing(playing) if self.secure.is_established() && self.blocked_since.is_none() => {
                playing.send_reports(&mut self.secure, &mut self.out, &counters);
            }
            Activity::Publishing(publishing) => {
                let (secure, out) = (&mut self.secure, &mut self.out);
                publishing.send_reports(now, &mut |packet| out.push_rtcp(packet, secure, &counters));
                publishing.count(&counters);
            }
            _ => {}
        }
    }

    fn check_timeouts(&mut self, now: Now) -> Result<(), End> {
        let config = self.door.shared.config();
        if !self.secure.is_established() && now.since(self.opened_at) > config.handshake_timeout {
            return Err(if self.known.is_empty() { End::NoWay } else { End::NoKeys });
        }
        if !self.ice.expire(now) {
            return Err(End::TimedOut("the client answers no more"));
        }
        if self.blocked_since.is_some_and(|since| now.since(since) > config.write_timeout) {
            return Err(End::TimedOut("nothing can be sent to the client"));
        }
        match &self.activity {
            Activity::Publishing(publishing) if now.since(publishing.last_media()) > config.read_timeout => {
                Err(End::TimedOut("the publisher sends nothing"))
            }
            _ => Ok(()),
        }
    }

    /// Sets the timer to the next thing that is due.
    fn arm(&mut self) {
        let clock = self.door.shared.fabric.clock();
        let precise = match &self.activity {
            Activity::Playing(playing) => playing.resume_at,
            Activity::Publishing(publishing) => publishing.next_timeout(),
            Activity::Waiting(_) => None,
        };
        let now = clock.now();
        let channels = self.channels.as_ref().and_then(|channels| channels.next_timeout());
        let handshake = self.secure.next_timeout().into_iter().chain(channels).map(|at| {
            let left = at.saturating_duration_since(clock.instant(now));
            now.after(left)
        });
        let at = precise.into_iter().chain(handshake).chain([self.report_at]).fold(self.tick_at, Now::min);
        if at != self.timer_at {
            self.timer_at = at;
            self.timer.as_mut().reset(clock.instant(at).into());
        }
    }

    fn flush(&mut self) {
        let Some(way) = self.ice.selected().or_else(|| self.known.last().copied()) else { return };
        let sent = self.out.flush(way);
        SessionCounters::add(&self.counters().outbound_bytes, sent);
    }

    fn warn_of_skips(&mut self) {
        let Activity::Playing(playing) = &self.activity else { return };
        let skipped = playing.skipped - self.warned_skips;
        if skipped > 0 {
            self.warned_skips = playing.skipped;
            let record = &self.registered.record;
            SessionCounters::add(&record.counters.outbound_discarded, skipped as usize);
            warn!(path = record.path, peer = %record.peer, skipped, "reader is too slow, units skipped");
        }
    }

    /// Tells the client, if it still listens, and lets go of everything.
    fn say_goodbye(mut self, end: &End) {
        let record = self.registered.record.clone();
        let (path, peer) = (&record.path, record.peer);
        match (&self.activity, record.role) {
            (Activity::Playing(_), _) => info!(path, %peer, protocol = "WebRTC", "reader left: {end}"),
            (_, Role::Publisher) => info!(path, %peer, protocol = "WebRTC", "publisher left: {end}"),
            (_, Role::Reader) => {}
        }
        if let Activity::Playing(playing) = &self.activity
            && self.secure.is_established()
        {
            playing.send_byes(&mut self.secure, &mut self.out);
        }
        self.secure.close(self.instant(self.now()));
        self.flush();
        self.send_dtls();
        let mux = &self.door.shared.mux;
        mux.remove_name(&self.ice.local().ufrag);
        self.inbox.close();
        self.known.iter().for_each(|way| mux.remove_address(way.to, &self.inbox));
    }

    fn counters(&self) -> &SessionCounters {
        &self.registered.record.counters
    }

    fn now(&self) -> Now {
        self.door.shared.fabric.clock().now()
    }

    fn instant(&self, now: Now) -> Instant {
        self.door.shared.fabric.clock().instant(now)
    }
}

/// Names of tracks, for people.
fn labels<'a>(tracks: impl Iterator<Item = &'a Track>) -> String {
    tracks.map(|track| track.codec.label()).collect::<Vec<_>>().join(", ")
}

/// What is published, as the fabric takes it.
pub(super) fn tracks_of<'a>(tracks: impl Iterator<Item = &'a Track>) -> Option<Tracks> {
    Tracks::new(tracks.cloned().collect()).ok()
}

fn new_transaction() -> TransactionId {
    let mut transaction = TransactionId::default();
    transaction.copy_from_slice(&uuid::Uuid::new_v4().into_bytes()[..12]);
    transaction
}

/// Names that nobody guesses (RFC 8445 section 5.3 wants 24 and 128 bits).
pub(super) fn new_credentials() -> Credentials {
    let word = || uuid::Uuid::new_v4().simple().to_string();
    Credentials { ufrag: word()[..16].to_owned(), password: word() }
}
