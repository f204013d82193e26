//! A publisher by WHIP.

use std::io;
use std::time::SystemTime;

use weft_proto::rtp::rtcp::{self, RtcpItem, SenderInfo};
use weft_proto::time::{NtpTime, WallClock};

use super::super::ProbeError;
use super::super::clock::now_ns;
use super::super::door::{Offer, Sink, Sound, Url};
use super::super::h264::Unit;
use super::super::rtp::{Packer, PacketBuf};
use super::history::History;
use super::offer::{AUDIO_TYPE, Direction, VIDEO_TYPE};
use super::session::{self, Came, Session};
use super::{OPUS_SAMPLES, OPUS_SILENCE};

/// As large as browsers make a packet: what fits the smallest path MTU of IPv6 with DTLS and TURN around it.
const PACKET_MAX: usize = 1_200;
const DATAGRAM_MAX: usize = 2_048;

/// A publisher's session.
pub struct WhipSink {
    session: Session,
    video: Track,
    audio: Option<Track>,
    wants_key: bool,
}

struct Track {
    packer: Packer,
    packets: PacketBuf,
    history: History,
    last_pts: u64,
}

/// Becomes the publisher of `url`.
pub fn record(url: &Url, offer: Offer<'_>) -> Result<WhipSink, ProbeError> {
    let ssrc: u32 = rand::random::<u32>() & !1;
    let audio = offer.audio.then_some(ssrc | 1);
    let (session, answered, _) = session::open(url, Direction::Send { video: ssrc, audio })?;
    // An answer keeps the types of an offer (RFC 8829 section 5.3.1), and refuses what it does not want.
    let takes = |payload_type: u8| {
        let mut sections = answered.description.sections.iter().filter(|section| !section.is_refused);
        sections.any(|section| section.payloads.iter().any(|payload| payload.payload_type == payload_type))
    };
    if !takes(VIDEO_TYPE) {
        let what = "the server does not take H.264".into();
        return Err(ProbeError::Session { peer: session.peer(), what });
    }
    let track = |payload_type, ssrc| Track {
        packer: Packer::new(payload_type, ssrc, 1_000).with_packets_of(PACKET_MAX),
        packets: PacketBuf::new(None),
        history: History::new(),
        last_pts: 0,
    };
    let audio = audio.filter(|_| takes(AUDIO_TYPE)).map(|ssrc| track(AUDIO_TYPE, ssrc));
    Ok(WhipSink { session, video: track(VIDEO_TYPE, ssrc), audio, wants_key: false })
}

impl Track {
    fn send(&mut self, session: &mut Session) -> io::Result<()> {
        for packet in self.packets.packets() {
            let sealed = session.encrypt(packet)?;
            session.send(&sealed)?;
            self.history.push(u16::from_be_bytes([packet[2], packet[3]]), sealed);
        }
        self.packets.clear();
        Ok(())
    }

    fn report(&self, wall: WallClock, out: &mut Vec<u8>) {
        let (ssrc, packets, octets) = self.packer.counts();
        let info =
            SenderInfo { ssrc, ntp: NtpTime::from_wall(wall), rtp_timestamp: self.last_pts as u32, packets, octets };
        rtcp::write_sender_report(out, &info, &[], "weft-chaos");
    }
}

impl Sink for WhipSink {
    fn video(&mut self, unit: &Unit<'_>, pts: u64) -> io::Result<()> {
        self.listen(now_ns())?;
        self.video.last_pts = pts;
        self.video.packer.video(unit.nals(), pts as u32, &mut self.video.packets);
        self.video.send(&mut self.session)
    }

    fn audio(&mut self, frame: &[u8], pts: u64) -> io::Result<()> {
        let Some(track) = &mut self.audio else { return Ok(()) };
        track.last_pts = pts;
        track.packer.frame(frame, pts as u32, &mut track.packets);
        track.send(&mut self.session)
    }

    fn tend(&mut self, now_ns: u64) -> io::Result<()> {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let wall = WallClock::from_unix_micros(wall.as_micros() as i64);
        let mut reports = Vec::new();
        for track in std::iter::once(&self.video).chain(&self.audio) {
            track.report(wall, &mut reports);
        }
        self.session.send_reports(&reports)?;
        self.listen(now_ns)?;
        if self.session.tend(now_ns) { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }

    fn sound(&self) -> Sound {
        Sound { frame: &OPUS_SILENCE, samples: OPUS_SAMPLES }
    }

    fn wants_key(&mut self) -> bool {
        std::mem::take(&mut self.wants_key)
    }
}

impl WhipSink {
    /// Hears what the server has to say: checks, and what its readers lack.
    fn listen(&mut self, now_ns: u64) -> io::Result<()> {
        let mut buffer = [0; DATAGRAM_MAX];
        while let Some(length) = self.session.try_receive(&mut buffer)? {
            match self.session.hear(&buffer[..length], now_ns) {
                Came::Reports(reports) => self.feedback(&reports)?,
                Came::End => return Err(io::ErrorKind::ConnectionAborted.into()),
                Came::Media | Came::Done => {}
            }
        }
        Ok(())
    }

    fn feedback(&mut self, reports: &[u8]) -> io::Result<()> {
        let video = self.video.packer.counts().0;
        for item in rtcp::parse(reports) {
            match item {
                RtcpItem::PictureLoss { .. } | RtcpItem::FullIntraRequest { .. } => self.wants_key = true,
                RtcpItem::Nack { media, lost } => {
                    let track = if media == video { Some(&self.video) } else { self.audio.as_ref() };
                    let again =
                        track.into_iter().flat_map(|track| lost.iter().filter_map(|seq| track.history.get(seq)));
                    for packet in again {
                        self.session.send(packet)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
