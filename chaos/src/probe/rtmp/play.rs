//! Becomes a reader.

use super::super::ProbeError;
use super::super::clock::now_ns;
use super::super::door::{Media, Seat, Url};
use super::client::{Begun, begin};

/// Becomes a reader of `url`.
pub fn play(url: &Url) -> Result<Seat, ProbeError> {
    let asked_ns = now_ns();
    let Begun { socket, wire, early, received, .. } = begin(url, false)?;
    let joined_ns = now_ns();
    socket.set_nonblocking(true).map_err(ProbeError::io("set non-blocking"))?;
    let received = received - early.len() as u64;
    let media = Media::Messages { wire: Box::new(wire), early, received };
    Ok(Seat { asked_ns, joined_ns, control: Some(socket), keepalive: None, media })
}
