//! Becomes a publisher, and then media.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use weft_proto::bitstream::h264::build_avcc;
use weft_proto::media::H264Config;
use weft_proto::rtmp::message::kind;

use super::super::ProbeError;
use super::super::aac;
use super::super::door::{Offer, Sink, Url};
use super::super::h264::Unit;
use super::client::{Begun, begin};
use super::put_message;

/// A publisher's connection.
pub struct RecordSink {
    socket: TcpStream,
    stream_id: u32,
    out: Vec<u8>,
    audio: bool,
}

/// Becomes the publisher of `url`.
pub fn record(url: &Url, offer: Offer<'_>) -> Result<RecordSink, ProbeError> {
    let Begun { mut socket, stream_id, .. } = begin(url, true)?;
    let copy = |set: &[u8]| vec![bytes::Bytes::copy_from_slice(set)];
    let config = H264Config { sps: copy(offer.sps), pps: copy(offer.pps) };
    let avcc = build_avcc(&config).unwrap_or_default();
    let mut out = Vec::new();
    put_message(kind::DATA, stream_id, 0, &[&metadata(offer.audio)], &mut out);
    put_message(kind::VIDEO, stream_id, 0, &[&[0x17, 0, 0, 0, 0], &avcc], &mut out);
    if offer.audio {
        put_message(kind::AUDIO, stream_id, 0, &[&[0xaf, 0], &aac::CONFIG], &mut out);
    }
    socket.write_all(&out).map_err(ProbeError::io("send"))?;
    Ok(RecordSink { socket, stream_id, out: Vec::new(), audio: offer.audio })
}

/// `onMetaData` with the codecs, so that the server need not wait for a track that will not come.
fn metadata(audio: bool) -> Vec<u8> {
    use weft_proto::rtmp::amf0::{Object, Value, write_all};
    let number = |name: &str, value: f64| (name.to_owned(), Value::Number(value));
    let mut properties = vec![number("videocodecid", 7.0)];
    if audio {
        properties.push(number("audiocodecid", 10.0));
    }
    let text = |text: &str| Value::String(text.to_owned());
    write_all(&[text("@setDataFrame"), text("onMetaData"), Value::EcmaArray(Object(properties))]).to_vec()
}

impl Sink for RecordSink {
    fn video(&mut self, unit: &Unit<'_>, pts: u64) -> io::Result<()> {
        let first = if unit.stamp.key { 0x17 } else { 0x27 };
        let head = [first, 1, 0, 0, 0];
        let lengths: Vec<[u8; 4]> = unit.nals().iter().map(|nal| (nal.len() as u32).to_be_bytes()).collect();
        let mut parts: Vec<&[u8]> = vec![&head];
        parts.extend(lengths.iter().zip(unit.nals()).flat_map(|(length, nal)| [&length[..], nal]));
        self.out.clear();
        put_message(kind::VIDEO, self.stream_id, (pts / 90) as u32, &parts, &mut self.out);
        self.socket.write_all(&self.out)
    }

    fn audio(&mut self, frame: &[u8], pts: u64) -> io::Result<()> {
        if !self.audio {
            return Ok(());
        }
        let millis = pts * 1_000 / u64::from(aac::RATE);
        self.out.clear();
        put_message(kind::AUDIO, self.stream_id, millis as u32, &[&[0xaf, 1], frame], &mut self.out);
        self.socket.write_all(&self.out)
    }

    /// Takes what the server said out of the socket, so that it never waits for us.
    fn tend(&mut self, _: u64) -> io::Result<()> {
        let mut scratch = [0; 4096];
        self.socket.set_nonblocking(true)?;
        let ended = loop {
            match self.socket.read(&mut scratch) {
                Ok(0) => break Err(io::ErrorKind::ConnectionAborted.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.socket.set_nonblocking(false)?;
        ended
    }
}
