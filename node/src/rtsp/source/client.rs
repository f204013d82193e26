//! Our own client: drives the machine over a connection, plain or encrypted, and takes media from it or over UDP.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use url::Url;
use weft_proto::rtsp::machine::{ClientEvent, ClientMachine};
use weft_proto::rtsp::{
    Channels, Delivery, Incoming, LowerTransport, Method, Reader, Request, Response, Status, Transport,
    write_interleaved_header,
};

use super::datagrams::Datagrams;
use super::group::Group;
use super::intake::{self, Feed, Heard, Tracks};
use super::{Failed, Over, Pulled, described, refused};
use crate::config::SourceProtocol;
use crate::limits::PUBLISHER_CHUNK_BYTES;
use crate::source::{Pull, SourceEnd, connect};
use crate::worker::tcp::{Outbox, Wire};

/// Packets that come between two requests while a session is set up; more is dropped.
const EARLY_MAX: usize = 1024;

/// Pulls until it ends.
pub(super) async fn pull(pull: &Pull, url: &Url, over: Over) -> Pulled {
    let encrypted = pull.config.protocol == SourceProtocol::Rtsps;
    let port = if encrypted { 322 } else { 554 };
    let wire = pull.step("no connection", connect(pull, url, port, encrypted)).await?;
    let mut client = Client::new(&pull.url, wire);
    let options = client.machine.options();
    let answer = pull.step("no answer to OPTIONS", client.ask(options)).await?;
    client.keeps_alive_by_parameter =
        answer.headers.list("Public").any(|method| method.eq_ignore_ascii_case("GET_PARAMETER"));
    let describe = client.machine.describe();
    let answer = pull.step("no answer to DESCRIBE", client.ask(describe)).await?;
    let (media, sections) = described(&answer.body)?;
    let mut datagrams = (over != Over::Connection).then(|| Datagrams::new(pull.config.rtsp_any_port));
    for section in &sections {
        let control = media[*section].control.clone().unwrap_or_default();
        let set_up = async {
            match &mut datagrams {
                None => client.set_up(*section, &control).await,
                Some(datagrams) if over == Over::Group => client.set_up_group(*section, &control, datagrams).await,
                Some(datagrams) => client.set_up_ports(pull, *section, &control, datagrams).await,
            }
        };
        pull.step("no answer to SETUP", set_up).await?;
    }
    let play = client.machine.play_from(pull.config.rtsp_range.as_deref(), pull.config.rtsp_scale.as_deref());
    pull.step("no answer to PLAY", client.ask(play)).await?;
    client.keep_alive_at = Instant::now() + client.keep_alive_every();
    if let Some(datagrams) = &datagrams {
        datagrams.open_ways().await;
    }
    let tracks = Tracks { media: &media, sections: &sections, ordered: datagrams.is_none() };
    let mut feed = Playing { client, datagrams };
    Err(intake::receive(pull, tracks, &mut feed).await.into())
}

/// One connection with its session.
struct Client {
    machine: ClientMachine,
    wire: Wire,
    reader: Reader,
    outbox: Outbox,
    /// The section of each channel for RTP; RTCP has the next.
    channels: Vec<(Channels, usize)>,
    early: VecDeque<Heard>,
    keeps_alive_by_parameter: bool,
    keep_alive_at: Instant,
}

impl Client {
    fn new(url: &str, wire: Wire) -> Self {
        Self {
            machine: ClientMachine::new(url, uuid::Uuid::new_v4().simple().to_string()),
            wire,
            reader: Reader::new(),
            outbox: Outbox::default(),
            channels: Vec::new(),
            early: VecDeque::new(),
            keeps_alive_by_parameter: false,
            keep_alive_at: Instant::now(),
        }
    }

    /// Half of the time that the server waits for a sign of life.
    fn keep_alive_every(&self) -> Duration {
        self.machine.session_timeout().max(Duration::from_secs(2)) / 2
    }

    fn send(&mut self, request: &Request) {
        let mut bytes = Vec::new();
        request.write(&mut bytes);
        self.outbox.push(bytes.into());
    }

    /// Asks, with credentials where the server wants them. Anything but success is an error.
    async fn ask(&mut self, request: Request) -> Result<Response, Failed> {
        self.send(&request);
        loop {
            while let Some(incoming) = self.next()? {
                match incoming {
                    Incoming::Interleaved { channel, data } => {
                        let heard = self.heard(channel, data);
                        self.early.extend(heard.filter(|_| self.early.len() < EARLY_MAX));
                    }
                    Incoming::Request(request) => self.answer(&request),
                    Incoming::Response(response) => match self.machine.response(response) {
                        ClientEvent::Retry(again) => self.send(&again),
                        ClientEvent::Stray => {}
                        ClientEvent::Done(_, response) if response.status.is_success() => return Ok(response),
                        ClientEvent::Done(method, response) => {
                            return Err(refused(method.name(), response.status.code(), &response.reason));
                        }
                    },
                }
            }
            self.exchange().await?;
        }
    }

    fn next(&mut self) -> Result<Option<Incoming>, SourceEnd> {
        self.reader.next().map_err(|error| SourceEnd::Server(error.to_string()))
    }

    /// Writes what waits and reads what is there, until something was read.
    async fn exchange(&mut self) -> Result<(), SourceEnd> {
        let (outbox, wire, reader) = (&mut self.outbox, &mut self.wire, &mut self.reader);
        let read = poll_fn(|cx| {
            if let std::task::Poll::Ready(Err(error)) = outbox.poll_drain(wire, cx) {
                return std::task::Poll::Ready(Err(error));
            }
            wire.poll_read(cx, reader.buffer(), PUBLISHER_CHUNK_BYTES)
        });
        if read.await? == 0 { Err(SourceEnd::Closed) } else { Ok(()) }
    }

    /// Servers may ask as well, and want to hear something (RFC 2326 section 10).
    fn answer(&mut self, request: &Request) {
        let known = matches!(request.method, Method::Options | Method::GetParameter | Method::SetParameter);
        let mut response = Response::new(if known { Status::OK } else { Status::NOT_IMPLEMENTED });
        if let Some(cseq) = request.headers.get("CSeq") {
            response = response.with("CSeq", cseq);
        }
        let mut bytes = Vec::new();
        response.write(&mut bytes);
        self.outbox.push(bytes.into());
    }

    fn heard(&self, channel: u8, bytes: Bytes) -> Option<Heard> {
        let is_its = |(channels, _): &&(Channels, usize)| channels.rtp == channel || channels.rtcp == channel;
        let (channels, section) = self.channels.iter().find(is_its)?;
        Some(Heard { section: *section, is_rtcp: channels.rtcp == channel, bytes })
    }

    /// Sets a track up inside the connection.
    async fn set_up(&mut self, section: usize, control: &str) -> Result<(), Failed> {
        let first = u8::try_from(self.channels.len() * 2).unwrap_or(u8::MAX - 1);
        let wanted = Channels { rtp: first, rtcp: first + 1 };
        let offer = Transport { lower: LowerTransport::Tcp, interleaved: Some(wanted), ..Transport::default() };
        let setup = self.machine.setup(control, &offer);
        let answer = self.ask(setup).await?;
        // RFC 2326 section 12.39 lets the server choose others.
        let given = transport(&answer)?.interleaved.unwrap_or(wanted);
        self.channels.push((given, section));
        Ok(())
    }

    /// Sets a track up with a pair of ports of its own.
    async fn set_up_ports(
        &mut self,
        pull: &Pull,
        section: usize,
        control: &str,
        datagrams: &mut Datagrams,
    ) -> Result<(), Failed> {
        let (local, server) = self.wire.addresses().map_err(SourceEnd::Broken)?;
        let ports = datagrams.bind(section, local.ip(), pull.config.rtsp_udp_ports)?;
        let offer = Transport {
            lower: LowerTransport::Udp,
            delivery: Delivery::Unicast,
            client_port: Some(ports),
            ..Transport::default()
        };
        let setup = self.machine.setup(control, &offer);
        let answer = self.ask(setup).await?;
        let given = transport(&answer)?;
        datagrams.expect(sender(&given, server), given.server_port)?;
        Ok(())
    }

    /// Sets a track up by joining the group that the server names.
    async fn set_up_group(&mut self, section: usize, control: &str, datagrams: &mut Datagrams) -> Result<(), Failed> {
        let (local, server) = self.wire.addresses().map_err(SourceEnd::Broken)?;
        let offer = Transport { lower: LowerTransport::Udp, delivery: Delivery::Multicast, ..Transport::default() };
        let setup = self.machine.setup(control, &offer);
        let answer = self.ask(setup).await?;
        let given = transport(&answer)?;
        datagrams.join(section, Group::of(&given, local.ip())?, sender(&given, server))?;
        Ok(())
    }
}

/// Who sends the packets.
fn sender(given: &Transport, server: SocketAddr) -> IpAddr {
    given.source.as_deref().and_then(|source| source.parse().ok()).unwrap_or_else(|| server.ip())
}

fn transport(answer: &Response) -> Result<Transport, SourceEnd> {
    let header = answer.headers.get("Transport").and_then(Transport::parse);
    header.ok_or_else(|| SourceEnd::Server("the server answers SETUP without a transport".into()))
}

/// A session that plays.
struct Playing {
    client: Client,
    datagrams: Option<Datagrams>,
}

impl Playing {
    /// What has come inside the connection.
    fn take(&mut self, heard: &mut Vec<Heard>) -> Result<(), SourceEnd> {
        heard.extend(self.client.early.drain(..));
        while let Some(incoming) = self.client.next()? {
            match incoming {
                Incoming::Interleaved { channel, data } => heard.extend(self.client.heard(channel, data)),
                Incoming::Request(request) => self.client.answer(&request),
                Incoming::Response(response) => match self.client.machine.response(response) {
                    ClientEvent::Retry(again) => self.client.send(&again),
                    ClientEvent::Stray | ClientEvent::Done(..) => {}
                },
            }
        }
        Ok(())
    }
}

impl Feed for Playing {
    async fn hear(&mut self, heard: &mut Vec<Heard>) -> Result<(), SourceEnd> {
        loop {
            self.take(heard)?;
            if !heard.is_empty() {
                return Ok(());
            }
            let keep_alive_at = self.client.keep_alive_at;
            let datagrams = self.datagrams.as_mut();
            let from_datagrams = async {
                match datagrams {
                    Some(datagrams) => datagrams.hear(heard).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                exchanged = self.client.exchange() => exchanged?,
                () = from_datagrams => {}
                () = tokio::time::sleep_until(keep_alive_at) => {
                    self.client.keep_alive_at = Instant::now() + self.client.keep_alive_every();
                    let machine = &mut self.client.machine;
                    let by_parameter = self.client.keeps_alive_by_parameter;
                    let request = if by_parameter { machine.keep_alive() } else { machine.options() };
                    self.client.send(&request);
                }
            }
        }
    }

    fn report(&mut self, reports: Vec<(usize, Bytes)>) {
        for (section, packet) in reports {
            if let Some(datagrams) = &self.datagrams {
                datagrams.report(section, &packet);
            } else if let Some((channels, _)) = self.client.channels.iter().find(|(_, its)| *its == section)
                && let Some(header) = write_interleaved_header(channels.rtcp, packet.len())
            {
                self.client.outbox.push(Bytes::copy_from_slice(&header));
                self.client.outbox.push(packet);
            }
        }
    }

    async fn say_goodbye(&mut self) {
        let teardown = self.client.machine.teardown();
        self.client.send(&teardown);
        let (outbox, wire) = (&mut self.client.outbox, &mut self.client.wire);
        // Who does not take it sees the connection closed.
        let _ = poll_fn(|cx| outbox.poll_drain(wire, cx)).await;
    }
}
