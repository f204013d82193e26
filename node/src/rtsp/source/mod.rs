//! RTSP and RTSPS sources: cameras that this node reads from.
//!
//! [`retina_session`] is the crate `retina` for what it does well, plain RTSP over TCP: it knows many cameras' mistakes. All
//! else is [`client`], which drives our own machine: TLS, UDP with packets put back in order, multicast, ranges and scales.
//! Both give packets to [`intake`], which makes units of them as of a publisher's.

mod client;
mod datagrams;
mod group;
mod intake;
mod retina_session;

use url::Url;
use weft_proto::sdp::MediaDescription;

use crate::config::{RtspSourceTransport, SourceProtocol};
use crate::source::{Pull, SourceEnd};

/// What RTP comes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Connection,
    /// To ports of ours.
    Datagrams,
    /// To a multicast group.
    Group,
}

/// Pulls until it ends; says why it did.
pub async fn pull(pull: &Pull) -> SourceEnd {
    let url = match Url::parse(&pull.url) {
        Ok(url) => url,
        Err(error) => return SourceEnd::Server(format!("the URL makes no sense: {error}")),
    };
    let config = &pull.config;
    let is_live = config.rtsp_range.is_none() && config.rtsp_scale.is_none();
    let is_encrypted = config.protocol == SourceProtocol::Rtsps;
    let mut end = match config.rtsp_transport {
        // Media over UDP would leave TLS: SRTP is not offered yet.
        _ if is_encrypted => client::pull(pull, &url, Over::Connection).await,
        RtspSourceTransport::Udp => client::pull(pull, &url, Over::Datagrams).await,
        RtspSourceTransport::Multicast => client::pull(pull, &url, Over::Group).await,
        _ if is_live => retina_session::pull(pull, &url).await,
        _ => client::pull(pull, &url, Over::Connection).await,
    };
    if config.rtsp_transport != RtspSourceTransport::Automatic || is_encrypted {
        return ended(end);
    }
    for over in [Over::Datagrams, Over::Group] {
        if !matches!(end, Err(Failed { status: Some(UNSUPPORTED_TRANSPORT), .. })) {
            break;
        }
        end = client::pull(pull, &url, over).await;
    }
    ended(end)
}

/// Why a source failed, and the status of the answer that it failed with.
struct Failed {
    end: SourceEnd,
    status: Option<u16>,
}

impl From<SourceEnd> for Failed {
    fn from(end: SourceEnd) -> Self {
        Self { end, status: None }
    }
}

/// RFC 2326 section 11.3.14.
const UNSUPPORTED_TRANSPORT: u16 = 461;

type Pulled = Result<std::convert::Infallible, Failed>;

fn ended(end: Pulled) -> SourceEnd {
    match end {
        Err(Failed { end, .. }) => end,
        Ok(never) => match never {},
    }
}

/// The description, and the sections of it that are taken: all that the server sends.
fn described(sdp: &[u8]) -> Result<(Vec<MediaDescription>, Vec<usize>), SourceEnd> {
    let session = weft_proto::sdp::parse(sdp).map_err(|error| SourceEnd::Server(error.to_string()))?;
    let is_taken = |media: &MediaDescription| !media.is_back_channel();
    let sections: Vec<usize> =
        session.media.iter().enumerate().filter(|(_, media)| is_taken(media)).map(|(section, _)| section).collect();
    if sections.is_empty() {
        return Err(SourceEnd::Server("the server describes no track that it sends".into()));
    }
    Ok((session.media, sections))
}

/// What a server's refusal is called.
fn refused(method: &str, status: u16, reason: &str) -> Failed {
    let hint = match status {
        401 | 403 => ": wrong user or password",
        404 => ": no such stream",
        _ => "",
    };
    let answer = format!("{status} {reason}");
    let end = SourceEnd::Server(format!("the server answers {method} with {}{hint}", answer.trim_end()));
    Failed { end, status: Some(status) }
}
