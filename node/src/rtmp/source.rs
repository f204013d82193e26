//! RTMP and RTMPS sources: streams that this node plays from another server.
//!
//! The handshake and the writing of chunks are `rml_rtmp`'s; what the server says is read by `proto`, as what clients say is.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use tracing::{info, warn};
use url::Url;
use weft_cluster::path::PublisherEvent;
use weft_proto::rtmp::message::kind;
use weft_proto::rtmp::{ChunkReader, ClientEvent, ClientMachine, Outgoing};
use weft_proto::time::Now;

use super::colors::Colors;
use super::publish::{Failure, Publishing};
use crate::config::SourceProtocol;
use crate::egress::chunks::{CHUNK_BYTES, chunked};
use crate::limits::PUBLISHER_CHUNK_BYTES;
use crate::source::{Pull, SourceEnd, connect, labels};
use crate::worker::tcp::{Outbox, Wire};

/// How often it is looked how long a server has been silent.
const TICK: Duration = Duration::from_secs(1);

/// The size of chunks before another is set (RTMP 1.0 section 5.4.1).
const CHUNK_BYTES_AT_FIRST: u32 = 128;

/// What sources share with this node's RTMP server.
#[derive(Clone)]
pub struct Sources(Arc<Colors>);

impl Sources {
    /// Of the server.
    pub fn of(shared: &super::Shared) -> Self {
        Self(shared.colors.clone())
    }
}

/// Pulls until it ends; says why it did.
pub async fn pull(pull: &Pull, sources: &Sources) -> SourceEnd {
    let begun = pull.step("no answer to play", Client::begin(pull)).await;
    match begun {
        Ok(mut client) => client.receive(pull, &sources.0).await,
        Err(end) => end,
    }
}

/// One connection that plays one stream.
struct Client {
    wire: Wire,
    reader: ChunkReader,
    outbox: Outbox,
    machine: ClientMachine,
    received: u64,
    events: Vec<ClientEvent>,
}

/// The pieces of a URL: app, `tcUrl`, key.
#[derive(Debug, PartialEq, Eq)]
struct Pieces {
    app: String,
    tc_url: String,
    key: String,
}

/// `rtmp://host/app/key`: the key is what stands behind the last slash, with the query.
fn pieces(url: &Url) -> Option<Pieces> {
    let host = url.host_str()?;
    let path = url.path().trim_matches('/');
    let (app, name) = path.rsplit_once('/').unwrap_or((path, ""));
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let tc_url = format!("{}://{host}{port}/{app}", url.scheme());
    Some(Pieces { app: app.to_owned(), tc_url, key: format!("{name}{query}") })
}

impl Client {
    /// Everything up to the first media.
    async fn begin(pull: &Pull) -> Result<Self, SourceEnd> {
        let url = Url::parse(&pull.url).ok();
        let found = url.as_ref().and_then(|url| Some((url, pieces(url)?)));
        let (url, Pieces { app, tc_url, key }) =
            found.ok_or_else(|| SourceEnd::Server("the URL makes no sense".into()))?;
        let encrypted = pull.config.protocol == SourceProtocol::Rtmps;
        let wire = connect(pull, url, if encrypted { 1936 } else { 1935 }, encrypted).await?;
        let mut client = Self {
            wire,
            reader: ChunkReader::new(),
            outbox: Outbox::default(),
            machine: ClientMachine::new(&app, &tc_url, &key, false, true),
            received: 0,
            events: Vec::new(),
        };
        // A server that somebody has named may send pictures at once.
        client.reader.allow_media();
        client.shake_hands().await?;
        client.send(Outgoing::number(kind::SET_CHUNK_SIZE, CHUNK_BYTES), CHUNK_BYTES_AT_FIRST);
        let connect = client.machine.connect();
        client.send(connect, CHUNK_BYTES);
        loop {
            client.take()?;
            let mut events = std::mem::take(&mut client.events).into_iter();
            while let Some(event) = events.next() {
                if let ClientEvent::Begun { .. } = event {
                    // The first media may have come with the answer.
                    client.events = events.collect();
                    return Ok(client);
                }
                client.act(event)?;
            }
            client.exchange().await?;
        }
    }

    async fn shake_hands(&mut self) -> Result<(), SourceEnd> {
        let failed = |_| SourceEnd::Server("the server's handshake makes no sense".into());
        let mut handshake = Handshake::new(PeerType::Client);
        self.outbox.push(handshake.generate_outbound_p0_and_p1().map_err(failed)?.into());
        loop {
            self.exchange().await?;
            let bytes = self.reader.buffer().split();
            match handshake.process_bytes(&bytes).map_err(failed)? {
                HandshakeProcessResult::InProgress { response_bytes } => self.outbox.push(response_bytes.into()),
                HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
                    self.outbox.push(response_bytes.into());
                    self.received = remaining_bytes.len() as u64;
                    self.reader.buffer().extend_from_slice(&remaining_bytes);
                    return Ok(());
                }
            }
        }
    }

    fn send(&mut self, message: Outgoing, chunk_bytes: u32) {
        self.outbox.push(chunked(message, 0, chunk_bytes));
    }

    /// Writes what waits and reads what is there, until something was read.
    async fn exchange(&mut self) -> Result<(), SourceEnd> {
        let (outbox, wire, reader) = (&mut self.outbox, &mut self.wire, &mut self.reader);
        let read = poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = outbox.poll_drain(wire, cx) {
                return Poll::Ready(Err(error));
            }
            wire.poll_read(cx, reader.buffer(), PUBLISHER_CHUNK_BYTES)
        });
        match read.await? {
            0 => Err(SourceEnd::Closed),
            count => {
                self.received += count as u64;
                Ok(())
            }
        }
    }

    /// Understands what has come.
    fn take(&mut self) -> Result<(), SourceEnd> {
        let protocol = |error: String| SourceEnd::Server(format!("protocol error: {error}"));
        while let Some(message) = self.reader.next().map_err(|error| protocol(error.to_string()))? {
            self.machine.message(message, &mut self.events).map_err(|error| protocol(error.to_string()))?;
        }
        self.machine.received(self.received, &mut self.events);
        Ok(())
    }

    /// What is no media.
    fn act(&mut self, event: ClientEvent) -> Result<(), SourceEnd> {
        match event {
            ClientEvent::Send(message) => self.send(message, CHUNK_BYTES),
            ClientEvent::Ended { code, description } => {
                return Err(SourceEnd::Server(format!("the server ends the stream: {code} {description}")));
            }
            // The next attempt connects again, to the URL that is configured.
            ClientEvent::Reconnect { .. } => return Err(SourceEnd::Closed),
            ClientEvent::Begun { .. } | ClientEvent::Media(_) => {}
        }
        Ok(())
    }

    async fn receive(&mut self, pull: &Pull, colors: &Arc<Colors>) -> SourceEnd {
        let clock = pull.fabric.clock();
        let mut publishing = Publishing::pulled(pull.path.clone(), pull.info(), colors, clock.now());
        let mut heard_at = clock.now();
        loop {
            if let Err(end) = self.feed(pull, &mut publishing, clock.now()).await {
                return end;
            }
            let tick = clock.now().after(TICK);
            let due = publishing.next_timeout().map_or(tick, |due| due.min(tick));
            let due = tokio::time::Instant::now() + due.since(clock.now());
            let event = async {
                match publishing.publication() {
                    Some(publication) => publication.event().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = pull.stop.stopped() => return SourceEnd::Stopped,
                event = event => {
                    if let PublisherEvent::Ended(reason) = event {
                        return SourceEnd::Fabric(reason);
                    }
                }
                exchanged = self.exchange() => {
                    if let Err(end) = exchanged {
                        return end;
                    }
                    heard_at = clock.now();
                }
                () = tokio::time::sleep_until(due) => {
                    if clock.now().since(heard_at) > pull.read_timeout {
                        return SourceEnd::TimedOut("no media");
                    }
                }
            }
        }
    }

    /// Hands on what has come.
    async fn feed(&mut self, pull: &Pull, publishing: &mut Publishing, now: Now) -> Result<(), SourceEnd> {
        self.take()?;
        for event in std::mem::take(&mut self.events) {
            match event {
                ClientEvent::Media(media) => publishing.media(media, now).map_err(ended)?,
                event => self.act(event)?,
            }
        }
        while let Some(codec) = publishing.take_foreign() {
            warn!(path = %pull.path, source = "rtmpSource", codec, "a track is left out, its codec is not supported");
        }
        if let Some(tracks) = publishing.advance(&pull.fabric, now).await.map_err(ended)? {
            info!(path = %pull.path, source = "rtmpSource", tracks = labels(&tracks), "source ready");
        }
        Ok(())
    }
}

fn ended(failure: Failure) -> SourceEnd {
    match failure {
        Failure::Media(error) => SourceEnd::Server(error.to_string()),
        Failure::Refused(error) => SourceEnd::Refused(error),
        Failure::Replaced => SourceEnd::Fabric(weft_cluster::path::EndReason::Replaced),
        Failure::Restless => SourceEnd::Server("the server's tracks change all the time".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_what_stands_behind_the_last_slash() {
        let of = |url: &str| pieces(&Url::parse(url).unwrap()).unwrap();
        let expected =
            |app: &str, tc_url: &str, key: &str| Pieces { app: app.into(), tc_url: tc_url.into(), key: key.into() };
        assert_eq!(of("rtmp://h/live/cam?user=a"), expected("live", "rtmp://h/live", "cam?user=a"));
        assert_eq!(of("rtmps://h:1937/a/b/c"), expected("a/b", "rtmps://h:1937/a/b", "c"));
        assert_eq!(of("rtmp://h/cam"), expected("cam", "rtmp://h/cam", ""));
    }
}
