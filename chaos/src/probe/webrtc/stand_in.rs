//! A server for tests, as small as one can be: one session, on the loopback, by the words of `weft_proto`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use weft_proto::rtp::rtcp::{self, ReportBlock, RtcpItem, SenderInfo};
use weft_proto::time::{Now, NtpTime};
use weft_proto::webrtc::answer::{Candidate, Written, WrittenMedia, WrittenSection};
use weft_proto::webrtc::description::{self, Description, Setup};
use weft_proto::webrtc::ice::{From, Heard, LiteAgent, Way};
use weft_proto::webrtc::stun::Message;

use super::super::clock::now_ns;
use super::super::h264::Synth;
use super::super::reader::{Gauge, Meter};
use super::super::rtp::{Packer, PacketBuf};
use super::Kind;
use super::dtls::{Association, Identity, Keys, Progress};
use super::ice::credentials;

/// So that numbers wrap within a test.
const FIRST_SEQ: u16 = 65_500;
const SSRC: u32 = 7;

/// What has come of the session so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Request lines.
    pub(super) requests: Vec<String>,
    /// What a reader says of our packets.
    pub(super) reports: Vec<ReportBlock>,
    /// Sender reports of a publisher.
    pub(super) sender_reports: u32,
    /// What a publisher sends, measured as a reader would.
    pub(super) gauge: Gauge,
    /// Packets of sound that a publisher sends.
    pub(super) sounds: u32,
    /// Whether a packet that was asked for again has come.
    pub(super) repeated: bool,
    /// The other end has said goodbye.
    pub(super) closed: bool,
}

/// A running server.
pub(super) struct StandIn {
    pub(super) authority: SocketAddr,
    pub(super) seen: Arc<Mutex<Seen>>,
    threads: Vec<JoinHandle<()>>,
}

/// What is done to the packets of each reader.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    /// The second packet of this unit is not sent.
    pub(super) lost: Option<u32>,
    /// The first packet of this unit has a bit changed.
    pub(super) forged: Option<u32>,
}

impl StandIn {
    pub(super) fn start(faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen { gauge: Gauge::new(0, 1, 1, true), ..Seen::default() }));
        let inner = Arc::clone(&seen);
        let http = thread::spawn(move || serve(&listener, &inner, faults));
        Self { authority, seen, threads: vec![http] }
    }

    /// Waits until `state` holds.
    pub(super) fn wait(&self, what: &str, state: impl Fn(&Seen) -> bool) {
        let end_ns = now_ns() + 20_000_000_000;
        while !state(&self.seen.lock().unwrap()) {
            assert!(now_ns() < end_ns, "never: {what}; {:?}", self.seen.lock().unwrap());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end of the session.
    pub(super) fn finish(self) -> Seen {
        self.wait("closed", |seen| seen.closed && seen.requests.len() == 2);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        Arc::try_unwrap(self.seen).unwrap().into_inner().unwrap()
    }
}

/// POST, the session in a thread of its own, DELETE.
fn serve(listener: &TcpListener, seen: &Arc<Mutex<Seen>>, faults: Faults) {
    let mut session = None;
    for _ in 0..2 {
        let (mut stream, _) = listener.accept().unwrap();
        let (line, body) = request(&mut stream);
        let is_post = line.starts_with("POST");
        seen.lock().unwrap().requests.push(line);
        if !is_post {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            continue;
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let offer = description::parse(body.as_bytes()).unwrap();
        let (answer, agent) = answer(&offer, socket.local_addr().unwrap());
        let text = format!(
            "HTTP/1.1 201 Created\r\nLocation: /load/whep/secret\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        );
        stream.write_all(text.as_bytes()).unwrap();
        let seen = Arc::clone(seen);
        session = Some(thread::spawn(move || Serving { socket, agent, offer, seen, faults }.run()));
    }
    session.unwrap().join().unwrap();
}

fn request(stream: &mut impl Read) -> (String, String) {
    let (mut text, mut chunk) = (String::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut chunk).unwrap();
        text += std::str::from_utf8(&chunk[..count]).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap_or("0");
        if body.len() >= length.parse().unwrap() {
            return (head.lines().next().unwrap().to_owned(), body.to_owned());
        }
    }
}

fn answer(offer: &Description, local: SocketAddr) -> (String, LiteAgent) {
    let ours = credentials();
    let sections: Vec<WrittenSection> = offer
        .sections
        .iter()
        .map(|section| WrittenSection {
            mid: section.mid.clone(),
            kind: section.kind,
            media: Some(WrittenMedia {
                sends: section.receives,
                receives: section.sends,
                payloads: section.payloads.clone(),
                ..WrittenMedia::default()
            }),
        })
        .collect();
    let written = Written {
        session: 1,
        credentials: &ours,
        is_lite: true,
        fingerprint: Identity::get().unwrap().fingerprint,
        setup: Setup::Passive,
        candidates: &[Candidate::udp("127.0.0.1:9".parse().unwrap()), Candidate::udp(local)],
        sections: &sections,
    };
    let text = written.to_string();
    (text, LiteAgent::new(ours, Some(offer.transport.credentials.clone())))
}

struct Serving {
    socket: UdpSocket,
    agent: LiteAgent,
    offer: Description,
    seen: Arc<Mutex<Seen>>,
    faults: Faults,
}

impl Serving {
    fn run(mut self) {
        let local = self.socket.local_addr().unwrap();
        self.socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let (mut dtls, mut keys) = (None::<(Association, SocketAddr)>, None::<Keys>);
        let (mut buffer, mut source) = ([0; 2048], Source::new());
        loop {
            if let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
                let datagram = &buffer[..length];
                match (Kind::of(datagram), &mut keys) {
                    (Kind::Stun, _) => self.check(datagram, from),
                    (Kind::Dtls, _) => {
                        let (dtls, _) =
                            dtls.get_or_insert_with(|| (Association::new(local, from, false).unwrap(), from));
                        let progress = dtls.read(datagram).unwrap();
                        while let Some(out) = dtls.next_out() {
                            self.socket.send_to(&out, from).unwrap();
                        }
                        match progress {
                            Progress::Done => keys = Some(dtls.keys(self.offer.transport.fingerprint).unwrap()),
                            Progress::Closed => return self.seen.lock().unwrap().closed = true,
                            Progress::Waiting => {}
                        }
                    }
                    (Kind::Rtcp, Some(keys)) => self.note_reports(&keys.inbound.decrypt_rtcp(datagram).unwrap()),
                    (Kind::Rtp, Some(keys)) => self.take(datagram, from, keys),
                    _ => {}
                }
            } else if let (Some(keys), Some((_, to))) = (&mut keys, &dtls)
                && self.offer.sections[0].receives
            {
                source.send(&self.socket, *to, keys, self.faults);
            }
        }
    }

    fn check(&mut self, datagram: &[u8], from: SocketAddr) {
        let way = Way { from: From::Udp(None), to: from };
        let heard = self.agent.hear(&Message::parse(datagram).unwrap(), way, Now::from_micros(1));
        if let Heard::Answer(answer) | Heard::Selected(answer) = heard {
            self.socket.send_to(&answer, from).unwrap();
        }
    }

    fn note_reports(&self, reports: &[u8]) {
        let mut seen = self.seen.lock().unwrap();
        for item in rtcp::parse(reports) {
            match item {
                RtcpItem::ReceiverReport { reports, .. } => seen.reports.extend(reports.iter()),
                RtcpItem::SenderReport { .. } => seen.sender_reports += 1,
                _ => {}
            }
        }
    }

    /// A publisher's packet. Packet 1,010 counts as lost the first time, and with it a random access point is asked for.
    fn take(&self, datagram: &[u8], from: SocketAddr, keys: &mut Keys) {
        let plain = keys.inbound.decrypt_rtp(datagram).unwrap();
        let (payload_type, seq) = (plain[1] & 0x7f, u16::from_be_bytes([plain[2], plain[3]]));
        let mut seen = self.seen.lock().unwrap();
        if payload_type == super::offer::AUDIO_TYPE {
            assert_eq!(plain[12..], super::OPUS_SILENCE);
            seen.sounds += 1;
            return;
        }
        seen.repeated |= seq == 1_010 && seen.gauge.video.highest() > Some(1_010);
        let mut meter = Meter::new(u64::MAX);
        seen.gauge.video_packet(&plain, now_ns(), &mut meter);
        if seq == 1_011 && !seen.repeated {
            let media = &plain[8..12];
            let nack = [&[0x81, 205, 0, 3, 0, 0, 0, 1][..], media, &1_010_u16.to_be_bytes(), &[0, 0]].concat();
            let pli = [&[0x81, 206, 0, 2, 0, 0, 0, 1][..], media].concat();
            let sealed = keys.outbound.encrypt_rtcp(&[nack, pli].concat()).unwrap();
            self.socket.send_to(&sealed, from).unwrap();
        }
    }
}

/// Pictures at a hundred a second or so.
struct Source {
    synth: Synth,
    packer: Packer,
    packets: PacketBuf,
    units: u32,
}

impl Source {
    fn new() -> Self {
        let packer = Packer::new(super::offer::VIDEO_TYPE, SSRC, FIRST_SEQ);
        Self { synth: Synth::new(0, 2_000_000, 30, 30), packer, packets: PacketBuf::new(None), units: 0 }
    }

    fn send(&mut self, socket: &UdpSocket, to: SocketAddr, keys: &mut Keys, faults: Faults) {
        self.packets.clear();
        self.packer.video(self.synth.unit(now_ns()).nals(), self.units * 3_000, &mut self.packets);
        for (index, packet) in self.packets.packets().enumerate() {
            let mut sealed = keys.outbound.encrypt_rtp(packet).unwrap();
            if index == 1 && faults.lost == Some(self.units) {
                continue;
            }
            if index == 0 && faults.forged == Some(self.units) {
                sealed[40] ^= 1;
            }
            socket.send_to(&sealed, to).unwrap();
        }
        self.units += 1;
        if self.units.is_multiple_of(20) {
            let info = SenderInfo { ssrc: SSRC, ntp: NtpTime(5 << 32), ..SenderInfo::default() };
            let mut report = Vec::new();
            rtcp::write_sender_report(&mut report, &info, &[], "stand-in");
            socket.send_to(&keys.outbound.encrypt_rtcp(&report).unwrap(), to).unwrap();
        }
    }
}
