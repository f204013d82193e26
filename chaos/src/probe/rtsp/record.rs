//! OPTIONS, ANNOUNCE, SETUP, RECORD, and then media.

use std::io::{self, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, SystemTime};

use weft_proto::time::{NtpTime, WallClock};

use super::super::ProbeError;
use super::super::door::{Keepalive, Offer, Sink, Transport, Url};
use super::super::h264::Unit;
use super::super::rtp::{Packer, PacketBuf};
use super::client::Client;
use super::{play, sdp};

/// A server that takes nothing for so long has lost its publisher.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A publisher's connection.
pub struct RecordSink {
    control: TcpStream,
    keepalive: Keepalive,
    keepalive_ns: u64,
    video: Track,
    audio: Option<Track>,
}

struct Track {
    packer: Packer,
    packets: PacketBuf,
    sockets: Option<(UdpSocket, UdpSocket)>,
    report_channel: u8,
    last_pts: u64,
}

/// Becomes the publisher of `url`.
pub fn record(url: &Url, transport: Transport, offer: Offer<'_>) -> Result<RecordSink, ProbeError> {
    let mut client = Client::connect(url)?;
    let url = client.url().to_owned();
    client.request("OPTIONS", &url, "", "")?;
    client.request("ANNOUNCE", &url, "Content-Type: application/sdp\r\n", &sdp::describe(offer))?;
    let video = setup(&mut client, &format!("{url}/trackID=0"), transport, 0)?;
    let audio = match offer.audio {
        true => Some(setup(&mut client, &format!("{url}/trackID=1"), transport, 2)?),
        false => None,
    };
    client.request("RECORD", &url, "Range: npt=0-\r\n", "")?;
    let (control, keepalive, _) = client.into_parts();
    control.set_write_timeout(Some(WRITE_TIMEOUT)).map_err(ProbeError::io("set timeout"))?;
    Ok(RecordSink { control, keepalive, keepalive_ns: super::super::clock::now_ns(), video, audio })
}

fn setup(client: &mut Client, track: &str, transport: Transport, channel: u8) -> Result<Track, ProbeError> {
    let sockets = match transport {
        Transport::Tcp => {
            let header =
                format!("Transport: RTP/AVP/TCP;unicast;interleaved={channel}-{};mode=record\r\n", channel + 1);
            client.request("SETUP", track, &header, "")?;
            None
        }
        Transport::Udp => {
            let pair = client.udp_pair()?;
            let port = pair.0.local_addr().map_err(ProbeError::io("bind"))?.port();
            let header = format!("Transport: RTP/AVP;unicast;client_port={port}-{};mode=record\r\n", port + 1);
            let answer = client.request("SETUP", track, &header, "")?;
            play::connect(client, &answer, &pair)?;
            Some(pair)
        }
    };
    let payload_type = if channel == 0 { 96 } else { 97 };
    Ok(Track {
        packer: Packer::new(payload_type, 0x7765_6600 + u32::from(channel), 1_000),
        packets: PacketBuf::new(sockets.is_none().then_some(channel)),
        sockets,
        report_channel: channel + 1,
        last_pts: 0,
    })
}

impl Track {
    fn send(&mut self, control: &mut TcpStream) -> io::Result<()> {
        match &self.sockets {
            None => control.write_all(self.packets.as_bytes())?,
            Some((socket, _)) => {
                for packet in self.packets.packets() {
                    socket.send(packet)?;
                }
            }
        }
        self.packets.clear();
        Ok(())
    }

    fn report(&self, control: &mut TcpStream, wall: WallClock) -> io::Result<()> {
        let report = self.packer.sender_report(NtpTime::from_wall(wall).0, self.last_pts as u32);
        match &self.sockets {
            None => {
                let mut framed = [0; 32];
                framed[..4].copy_from_slice(&[b'$', self.report_channel, 0, 28]);
                framed[4..].copy_from_slice(&report);
                control.write_all(&framed)
            }
            Some((_, socket)) => socket.send(&report).map(drop),
        }
    }
}

impl Sink for RecordSink {
    fn video(&mut self, unit: &Unit<'_>, pts: u64) -> io::Result<()> {
        self.video.last_pts = pts;
        self.video.packer.video(unit.nals(), pts as u32, &mut self.video.packets);
        self.video.send(&mut self.control)
    }

    fn audio(&mut self, frame: &[u8], pts: u64) -> io::Result<()> {
        let Some(track) = &mut self.audio else { return Ok(()) };
        track.last_pts = pts;
        track.packer.audio(frame, pts as u32, &mut track.packets);
        track.send(&mut self.control)
    }

    fn tend(&mut self, now_ns: u64) -> io::Result<()> {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let wall = WallClock::from_unix_micros(wall.as_micros() as i64);
        for track in std::iter::once(&self.video).chain(&self.audio) {
            track.report(&mut self.control, wall)?;
        }
        if now_ns >= self.keepalive_ns + self.keepalive.every_ns {
            self.keepalive_ns = now_ns;
            self.control.write_all(self.keepalive.renew().as_bytes())?;
        }
        self.drain()
    }
}

impl RecordSink {
    /// Takes what the server said out of the socket, so that it never waits for us.
    fn drain(&mut self) -> io::Result<()> {
        let mut scratch = [0; 4096];
        self.control.set_nonblocking(true)?;
        let ended = loop {
            match self.control.read(&mut scratch) {
                Ok(0) => break Err(io::ErrorKind::ConnectionAborted.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.control.set_nonblocking(false)?;
        ended
    }
}
