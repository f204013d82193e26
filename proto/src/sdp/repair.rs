//! The pre-pass: what cameras send becomes lines that a strict parser takes.
//!
//! Only what we use is kept: `s=`, `c=`, `m=` and `a=`. Everything else is left out or put in anew, so that a bad origin,
//! time or bandwidth line cannot spoil a good stream.

use std::fmt::Write;
use std::net::IpAddr;

use crate::limits::{RTSP_BODY_BYTES_MAX, TRACKS_MAX};

use super::SdpError;

/// The description in the order and form of RFC 8866 section 5.
pub(super) fn repair(sdp: &[u8]) -> Result<String, SdpError> {
    if sdp.len() > RTSP_BODY_BYTES_MAX {
        return Err(SdpError::TooLarge);
    }
    let text = String::from_utf8_lossy(sdp);
    let mut sections = Sections::default();
    for line in text.split(['\r', '\n']).map(str::trim).filter(|line| !line.contains('\0')) {
        // "a = x" is seen, too; the key is one letter.
        let Some((key, value)) = line.split_once('=') else { continue };
        sections.line(key.trim(), value.trim());
    }
    match sections.media.len() {
        0 => Err(SdpError::NoMedia),
        1..=TRACKS_MAX => Ok(sections.join()),
        _ => Err(SdpError::TooManyTracks),
    }
}

#[derive(Default)]
struct Sections {
    title: String,
    session: Section,
    media: Vec<Section>,
}

#[derive(Default)]
struct Section {
    head: String,
    address: Option<String>,
    attributes: String,
}

impl Sections {
    fn line(&mut self, key: &str, value: &str) {
        match key {
            "s" | "S" if self.media.is_empty() => value.clone_into(&mut self.title),
            // One above the bound is kept to be noticed, no more.
            "m" | "M" if self.media.len() <= TRACKS_MAX => {
                self.media.push(Section { head: media_line(value), ..Section::default() });
            }
            "c" | "C" => {
                let section = self.open();
                section.address = section.address.take().or_else(|| connection_line(value));
            }
            "a" | "A" if !value.is_empty() && !value.starts_with(':') => {
                let _ = write!(self.open().attributes, "a={value}\r\n");
            }
            _ => {}
        }
    }

    fn open(&mut self) -> &mut Section {
        self.media.last_mut().unwrap_or(&mut self.session)
    }

    fn join(&self) -> String {
        let title = if self.title.is_empty() { "-" } else { &self.title };
        let mut out = format!("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns={title}\r\n");
        out.push_str(self.session.address.as_deref().unwrap_or_default());
        out.push_str("t=0 0\r\n");
        out.push_str(&self.session.attributes);
        for section in &self.media {
            out.push_str(&section.head);
            out.push_str(section.address.as_deref().unwrap_or_default());
            out.push_str(&section.attributes);
        }
        out
    }
}

/// `<kind> <port>[/<count>] <proto> <formats>`; a port that is none becomes 0, missing parts are guessed.
fn media_line(value: &str) -> String {
    let mut parts = value.split_ascii_whitespace();
    let kind = parts.next().unwrap_or("application");
    let port = parts.next().unwrap_or("0");
    let port: u16 = port.split('/').next().and_then(|port| port.parse().ok()).unwrap_or(0);
    let proto = parts.next().unwrap_or("RTP/AVP");
    let formats = parts.collect::<Vec<_>>().join(" ");
    let formats = if formats.is_empty() { "-" } else { &formats };
    format!("m={kind} {port} {proto} {formats}\r\n")
}

/// `<net> <family> <address>[/<ttl>]`, if there is an address that parses.
fn connection_line(value: &str) -> Option<String> {
    let address = value.split_ascii_whitespace().last()?;
    let ip: IpAddr = address.split('/').next()?.parse().ok()?;
    let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
    Some(format!("c=IN {family} {ip}\r\n"))
}
