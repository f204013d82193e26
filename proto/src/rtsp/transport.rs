//! The `Transport` header (RFC 2326 section 12.39).

use core::fmt;

/// One alternative of a `Transport` header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transport {
    /// Plain or encrypted RTP.
    pub profile: Profile,
    /// What RTP goes over.
    pub lower: LowerTransport,
    /// To one or to many. Who says nothing means one; the RFC's default of multicast is followed by nobody.
    pub delivery: Delivery,
    /// UDP ports of the client.
    pub client_port: Option<Ports>,
    /// UDP ports of the server.
    pub server_port: Option<Ports>,
    /// UDP ports of a multicast group.
    pub port: Option<Ports>,
    /// Channels inside the RTSP connection.
    pub interleaved: Option<Channels>,
    /// Which way media goes.
    pub mode: Option<Mode>,
    /// The synchronisation source that the sender will use.
    pub ssrc: Option<u32>,
    /// Where the media goes to. Never send there because a client says so.
    pub destination: Option<String>,
    /// Where the media comes from.
    pub source: Option<String>,
    /// Hops of a multicast group.
    pub ttl: Option<u8>,
}

/// Plain or encrypted RTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// RTP/AVP.
    #[default]
    Avp,
    /// RTP/SAVP (RFC 3711).
    Savp,
}

/// What RTP goes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LowerTransport {
    /// UDP.
    #[default]
    Udp,
    /// The RTSP connection itself.
    Tcp,
}

/// To one or to many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// To the client.
    #[default]
    Unicast,
    /// To a group.
    Multicast,
}

/// Which way media goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// From server to client.
    Play,
    /// From client to server; some say `receive` for it.
    Record,
}

/// A pair of UDP ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The port of RTP.
    pub rtp: u16,
    /// The port of RTCP.
    pub rtcp: u16,
}

/// A pair of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// The channel of RTP.
    pub rtp: u8,
    /// The channel of RTCP.
    pub rtcp: u8,
}

impl Transport {
    /// The alternatives that a header lists, best first; those not of RTP over UDP or TCP are left out.
    pub fn parse_list(header: &str) -> Vec<Transport> {
        split_unquoted(header, ',').filter_map(Self::parse).take(ALTERNATIVES_MAX).collect()
    }

    /// One alternative. Parameters we do not know or that make no sense are passed over.
    pub fn parse(text: &str) -> Option<Transport> {
        let mut parts = split_unquoted(text, ';').map(str::trim);
        let (profile, lower) = parse_spec(parts.next()?)?;
        let mut transport = Transport { profile, lower, ..Transport::default() };
        parts.for_each(|part| transport.parameter(part));
        Some(transport)
    }

    fn parameter(&mut self, part: &str) {
        let (name, value) = part.split_once('=').map_or((part, ""), |(name, value)| (name.trim(), value.trim()));
        let value = value.trim_matches('"');
        match name.to_ascii_lowercase().as_str() {
            "unicast" => self.delivery = Delivery::Unicast,
            "multicast" => self.delivery = Delivery::Multicast,
            "client_port" => self.client_port = ports(value),
            "server_port" => self.server_port = ports(value),
            "port" => self.port = ports(value),
            "interleaved" => self.interleaved = channels(value),
            "mode" => self.mode = mode(value),
            "ssrc" => self.ssrc = u32::from_str_radix(value.trim(), 16).ok(),
            "destination" if !value.is_empty() => self.destination = Some(value.to_owned()),
            "source" if !value.is_empty() => self.source = Some(value.to_owned()),
            "ttl" => self.ttl = value.parse().ok(),
            _ => {}
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.profile {
            Profile::Avp => "RTP/AVP",
            Profile::Savp => "RTP/SAVP",
        })?;
        if self.lower == LowerTransport::Tcp {
            f.write_str("/TCP")?;
        }
        f.write_str(match self.delivery {
            Delivery::Unicast => ";unicast",
            Delivery::Multicast => ";multicast",
        })?;
        write_some(f, "destination", self.destination.as_ref())?;
        write_some(f, "source", self.source.as_ref())?;
        write_some(f, "interleaved", self.interleaved.map(|c| format!("{}-{}", c.rtp, c.rtcp)).as_ref())?;
        write_some(f, "port", self.port.as_ref())?;
        write_some(f, "ttl", self.ttl.as_ref())?;
        write_some(f, "client_port", self.client_port.as_ref())?;
        write_some(f, "server_port", self.server_port.as_ref())?;
        write_some(f, "ssrc", self.ssrc.map(|ssrc| format!("{ssrc:08X}")).as_ref())?;
        match self.mode {
            Some(Mode::Play) => f.write_str(";mode=play"),
            Some(Mode::Record) => f.write_str(";mode=record"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.rtp, self.rtcp)
    }
}

fn write_some(f: &mut fmt::Formatter<'_>, name: &str, value: Option<&impl fmt::Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, ";{name}={value}"))
}

fn parse_spec(text: &str) -> Option<(Profile, LowerTransport)> {
    let mut parts = text.split('/').map(|part| part.trim().to_ascii_uppercase());
    if parts.next()? != "RTP" {
        return None;
    }
    let profile = match parts.next()?.as_str() {
        "AVP" | "AVPF" => Profile::Avp,
        "SAVP" | "SAVPF" => Profile::Savp,
        _ => return None,
    };
    match parts.next().as_deref() {
        None | Some("" | "UDP") => Some((profile, LowerTransport::Udp)),
        Some("TCP") => Some((profile, LowerTransport::Tcp)),
        Some(_) => None,
    }
}

/// `a-b`, or `a` alone, which means `a` and the next.
fn ports(text: &str) -> Option<Ports> {
    let (rtp, rtcp) = pair::<u16>(text)?;
    Some(Ports { rtp, rtcp: rtcp.or_else(|| rtp.checked_add(1))? }).filter(|ports| ports.rtp != 0)
}

fn channels(text: &str) -> Option<Channels> {
    let (rtp, rtcp) = pair::<u8>(text)?;
    Some(Channels { rtp, rtcp: rtcp.or_else(|| rtp.checked_add(1))? })
}

fn pair<T: core::str::FromStr>(text: &str) -> Option<(T, Option<T>)> {
    match text.split_once('-') {
        Some((first, second)) => Some((first.trim().parse().ok()?, Some(second.trim().parse().ok()?))),
        None => Some((text.trim().parse().ok()?, None)),
    }
}

fn mode(text: &str) -> Option<Mode> {
    match text.trim().to_ascii_lowercase().as_str() {
        "play" => Some(Mode::Play),
        "record" | "receive" => Some(Mode::Record),
        _ => None,
    }
}

/// The parts of `text` between separators that are not inside quotes.
pub(super) fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

/// Nobody offers more than a handful of alternatives.
const ALTERNATIVES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_in_order_and_strangers_left_out() {
        let list = Transport::parse_list(
            "RTP/AVP/TCP;unicast;interleaved=0-1;mode=\"PLAY,RECORD\", MP2T/H2221/UDP;unicast,RTP/AVP;multicast;ttl=16 ,RAW",
        );
        assert_eq!(list.len(), 2);
        assert_eq!((list[0].lower, list[0].interleaved), (LowerTransport::Tcp, Some(Channels { rtp: 0, rtcp: 1 })));
        assert_eq!((list[1].delivery, list[1].ttl), (Delivery::Multicast, Some(16)));
    }

    #[test]
    fn parameters_are_read_in_any_spelling() {
        let t = Transport::parse("rtp/avp/udp; Unicast; client_port=5000;mode=\"RECORD\"; ssrc= 00A1b2C3;x=y").unwrap();
        assert_eq!(t.client_port, Some(Ports { rtp: 5000, rtcp: 5001 }));
        assert_eq!((t.mode, t.ssrc, t.lower), (Some(Mode::Record), Some(0x00a1_b2c3), LowerTransport::Udp));
        assert_eq!(Transport::parse("RTP/AVP;mode=receive").unwrap().mode, Some(Mode::Record));
        assert_eq!(Transport::parse("RTP/SAVP/TCP").unwrap().profile, Profile::Savp);
    }

    #[test]
    fn numbers_out_of_range_are_passed_over() {
        let t =
            Transport::parse("RTP/AVP;client_port=65535;server_port=0-1;interleaved=255;port=1-99999;ttl=300").unwrap();
        assert_eq!(t, Transport::default());
    }

    #[test]
    fn what_is_written_is_read() {
        for text in [
            "RTP/AVP;unicast;client_port=5000-5001;server_port=8000-8001;ssrc=00001234;mode=play",
            "RTP/AVP/TCP;unicast;interleaved=2-3;mode=record",
            "RTP/SAVP;multicast;destination=239.0.0.1;source=10.0.0.1;port=9000-9001;ttl=8",
        ] {
            assert_eq!(Transport::parse(text).unwrap().to_string(), text);
        }
    }
}
