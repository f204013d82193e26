//! OPTIONS, DESCRIBE, SETUP, PLAY.

use std::net::UdpSocket;

use super::super::ProbeError;
use super::super::clock::now_ns;
use super::super::door::{Media, Seat, Transport, Url};
use super::client::{Answer, Client};
use super::sdp;

/// An empty receiver report (RFC 3550 section 6.4.2): opens the way through address translation, as players do.
pub(crate) const EMPTY_REPORT: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 0];

/// Becomes a reader of `url`.
pub fn play(url: &Url, transport: Transport) -> Result<Seat, ProbeError> {
    let mut client = Client::connect(url)?;
    let url = client.url().to_owned();
    let asked_ns = now_ns();
    client.request("OPTIONS", &url, "", "")?;
    let answer = client.request("DESCRIBE", &url, "Accept: application/sdp\r\n", "")?;
    let base = answer.header("content-base").unwrap_or(&url).to_owned();
    let tracks = sdp::tracks(&answer.body, &base).ok_or_else(|| client.wrong("no H.264 track is described"))?;
    let media = match transport {
        Transport::Tcp => {
            let video = channel(&mut client, &tracks.video, 0)?;
            let audio = tracks.audio.map(|track| channel(&mut client, &track, 2)).transpose()?;
            Media::Interleaved { video, audio, early: Vec::new() }
        }
        Transport::Udp => {
            let video = sockets(&mut client, &tracks.video)?;
            let audio = tracks.audio.map(|track| sockets(&mut client, &track)).transpose()?;
            Media::Datagrams { video, audio }
        }
    };
    client.request("PLAY", &base, "Range: npt=0-\r\n", "")?;
    let joined_ns = now_ns();
    let (control, keepalive, rest) = client.into_parts();
    let media = match media {
        Media::Interleaved { video, audio, .. } => Media::Interleaved { video, audio, early: rest },
        other => other,
    };
    Ok(Seat { asked_ns, joined_ns, control: Some(control), keepalive: Some(keepalive), media })
}

fn channel(client: &mut Client, track: &str, wanted: u8) -> Result<u8, ProbeError> {
    let header = format!("Transport: RTP/AVP/TCP;unicast;interleaved={wanted}-{}\r\n", wanted + 1);
    let answer = client.request("SETUP", track, &header, "")?;
    // RFC 2326 section 12.39 lets the server choose other channels.
    Ok(answer.transport("interleaved").map_or(wanted, |(channel, _)| channel as u8))
}

fn sockets(client: &mut Client, track: &str) -> Result<(UdpSocket, UdpSocket), ProbeError> {
    let pair = client.udp_pair()?;
    let port = pair.0.local_addr().map_err(ProbeError::io("bind"))?.port();
    let header = format!("Transport: RTP/AVP;unicast;client_port={port}-{}\r\n", port + 1);
    let answer = client.request("SETUP", track, &header, "")?;
    connect(client, &answer, &pair)?;
    let _ = pair.1.send(&EMPTY_REPORT);
    Ok(pair)
}

/// Ties both sockets to the ports the server named.
pub(super) fn connect(
    client: &Client,
    answer: &Answer,
    (media, reports): &(UdpSocket, UdpSocket),
) -> Result<(), ProbeError> {
    let ports = answer.transport("server_port").ok_or_else(|| client.wrong("SETUP names no server port"))?;
    let ip = client.peer().ip();
    media.connect((ip, ports.0)).and_then(|()| reports.connect((ip, ports.1))).map_err(ProbeError::io("connect UDP"))
}
