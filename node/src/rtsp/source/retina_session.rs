//! A session of the crate `retina`: plain RTSP over TCP.
//!
//! Its packets are taken as they are, so that every codec can come. It hands them out as slices only, so each is copied
//! once; receiver reports it does not send.

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use retina::client::{
    Credentials, InitialSequenceNumberPolicy, InitialTimestampPolicy, PacketItem, PlayOptions, Playing, Session,
    SessionOptions, SetupOptions, TcpTransportOptions, Transport, UnknownRtcpSsrcPolicy,
};
use url::Url;

use super::intake::{self, Feed, Heard, Tracks};
use super::{Failed, Pulled, refused};
use crate::source::{Pull, SourceEnd, login};

/// Packets that are taken at once at most: a keyframe of 8 Mbit/s at 25 pictures is 200.
const HEARD_MAX: usize = 256;

/// Pulls until it ends.
pub(super) async fn pull(pull: &Pull, url: &Url) -> Pulled {
    let (url, credentials) = apart(url);
    let options = SessionOptions::default().creds(credentials).user_agent("Weft".to_owned());
    let described = async { Session::describe(url, options).await.map_err(|error| failed("DESCRIBE", &error)) };
    let mut session = pull.step("no answer to DESCRIBE", described).await?;
    let (media, sections) = super::described(session.sdp())?;
    for section in &sections {
        let tcp = SetupOptions::default().transport(Transport::Tcp(TcpTransportOptions::default()));
        let set_up = async { session.setup(*section, tcp).await.map_err(|error| failed("SETUP", &error)) };
        pull.step("no answer to SETUP", set_up).await?;
    }
    // Our own clocks follow RTP timestamps and reports; what PLAY says of them is wrong too often.
    let play = PlayOptions::default()
        .initial_timestamp(InitialTimestampPolicy::Ignore)
        .initial_seq(InitialSequenceNumberPolicy::Ignore)
        .unknown_rtcp_ssrc(UnknownRtcpSsrcPolicy::ProcessPackets);
    let played = async { session.play(play).await.map_err(|error| failed("PLAY", &error)) };
    let session = pull.step("no answer to PLAY", played).await?;
    let tracks = Tracks { media: &media, sections: &sections, ordered: true };
    Err(intake::receive(pull, tracks, &mut Packets(session)).await.into())
}

/// The URL without user and password, for those are never said but in answer to a challenge.
fn apart(url: &Url) -> (Url, Option<Credentials>) {
    let credentials = login(url).map(|(username, password)| Credentials { username, password });
    let mut bare = url.clone();
    // Fails for URLs without a host only, and those are refused by the session.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    (bare, credentials)
}

fn failed(method: &str, error: &retina::Error) -> Failed {
    match error.status_code() {
        Some(status) if status >= 300 => refused(method, status, ""),
        _ => broken(error).into(),
    }
}

/// What `retina` says of the connection's addresses and positions stands in further lines.
fn broken(error: &retina::Error) -> SourceEnd {
    SourceEnd::Server(error.to_string().lines().next().unwrap_or_default().to_owned())
}

struct Packets(Session<Playing>);

impl Feed for Packets {
    async fn hear(&mut self, heard: &mut Vec<Heard>) -> Result<(), SourceEnd> {
        let mut next = self.0.next().await;
        loop {
            match next.ok_or(SourceEnd::Closed)? {
                Ok(item) => heard.extend(packet(&item)),
                Err(error) => return Err(broken(&error)),
            }
            let more = if heard.len() < HEARD_MAX { self.0.next().now_or_never() } else { None };
            match more {
                Some(more) => next = more,
                None => return Ok(()),
            }
        }
    }

    fn report(&mut self, _: Vec<(usize, Bytes)>) {
        // It has no way to send any.
    }

    async fn say_goodbye(&mut self) {
        // That the connection is closed says it.
    }
}

fn packet(item: &PacketItem) -> Option<Heard> {
    let (section, is_rtcp, bytes) = match item {
        PacketItem::Rtp(packet) => (packet.stream_id(), false, packet.raw()),
        PacketItem::Rtcp(packet) => (packet.stream_id(), true, packet.raw()),
        _ => return None,
    };
    Some(Heard { section, is_rtcp, bytes: Bytes::copy_from_slice(bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_taken_out_of_the_url() {
        let (url, credentials) = apart(&Url::parse("rtsp://me:p%40ss+w@host:554/cam?a=b").unwrap());
        assert_eq!(url.as_str(), "rtsp://host:554/cam?a=b");
        assert_eq!(credentials.map(|known| (known.username, known.password)), Some(("me".into(), "p@ss+w".into())));
        assert_eq!(apart(&url), (url.clone(), None));
    }
}
