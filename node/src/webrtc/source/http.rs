//! What a source says to its server over HTTP (WHEP, draft-ietf-wish-whep): asks for its ICE servers, offers, ends the session.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, LINK, LOCATION, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use tracing::debug;
use url::{Origin, Url};
use weft_proto::webrtc::description::DESCRIPTION_BYTES_MAX;

use crate::source::line::{AGENT, Line, basic, broken, host, secret};
use crate::source::{Pull, SourceEnd};
use weft_proto::webrtc::link::{self, IceServer};

/// Redirects that are followed, as Go's client of MediaMTX does it.
const REDIRECTS_MAX: usize = 10;

/// ICE servers that are used: each is asked from each address of this node.
const ICE_SERVERS_MAX: usize = 8;

/// The server of one source.
pub(super) struct Server<'a> {
    pull: &'a Pull,
    /// For whom the credentials are, and how they are said.
    login: Option<(Origin, HeaderValue)>,
    line: Option<Line>,
}

/// What the server has made of an offer.
pub(super) struct Answered {
    /// Its description.
    pub(super) sdp: Bytes,
    /// Where the session is ended.
    pub(super) resource: Option<Url>,
}

impl<'a> Server<'a> {
    /// The server of a source with this URL.
    pub(super) fn of(pull: &'a Pull, url: &Url) -> Self {
        let token = &pull.config.whep.bearer_token;
        let login = if token.is_empty() { basic(url) } else { secret(&format!("Bearer {token}")) };
        Self { pull, login: login.map(|login| (url.origin(), login)), line: None }
    }

    /// This node's address on the connection to the server.
    pub(super) fn local(&self) -> Option<IpAddr> {
        self.line.as_ref().map(|line| line.local)
    }

    /// The ICE servers that the server wants to be used (RFC 9725 section 4.6). One that does not answer has none.
    pub(super) async fn ice_servers(&mut self, url: &Url) -> Result<Vec<IceServer>, SourceEnd> {
        let asked = self.follow(&Method::OPTIONS, url, "").await?.0;
        let links = asked.headers().get_all(LINK).iter().filter_map(|value| value.to_str().ok());
        let servers = links.flat_map(link::ice_servers).take(ICE_SERVERS_MAX).collect();
        self.read(asked.into_body()).await?;
        Ok(servers)
    }

    /// Offers a session.
    pub(super) async fn offer(&mut self, url: &Url, sdp: &str) -> Result<Answered, SourceEnd> {
        let (response, url) = self.follow(&Method::POST, url, sdp).await?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let resource = location.and_then(|location| url.join(location).ok()).filter(is_http);
        let sdp = self.read(response.into_body()).await?;
        Ok(Answered { sdp, resource })
    }

    /// Ends a session.
    pub(super) async fn end(&mut self, resource: &Url) {
        if let Err(end) = self.ask(&Method::DELETE, resource, "").await {
            debug!(path = %self.pull.path, "the server was not told that it is over: {end}");
        }
    }

    /// What the server answers, and where it was found in the end.
    async fn follow(&mut self, method: &Method, url: &Url, body: &str) -> Result<(Response<Incoming>, Url), SourceEnd> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let (pull, asked) = (self.pull, self.ask(method, &url, body));
            let response = pull.step("no answer from the server", asked).await?;
            let location = response.headers().get(LOCATION);
            let (true, Some(location)) = (response.status().is_redirection(), location) else {
                return Ok((response, url));
            };
            let next = location.to_str().ok().and_then(|location| url.join(location).ok()).filter(is_http);
            url = next.ok_or_else(|| SourceEnd::Server("the server sends this node nowhere".into()))?;
            // An answer with a body that nobody reads is in the way.
            self.line = None;
        }
        Err(SourceEnd::Server("the server sends this node from place to place".into()))
    }

    /// Asks over the connection that is there, or another one.
    async fn ask(&mut self, method: &Method, url: &Url, body: &str) -> Result<Response<Incoming>, SourceEnd> {
        let kept = self.line.take().filter(|line| line.origin == url.origin() && !line.sender.is_closed());
        if let Some(mut line) = kept {
            // It may have been closed meanwhile, and nobody knows before asking.
            let asked = match line.sender.ready().await {
                Ok(()) => line.sender.send_request(self.request(method, url, body)?).await,
                Err(error) => Err(error),
            };
            if let Ok(response) = asked {
                self.line = Some(line);
                return Ok(response);
            }
        }
        let request = self.request(method, url, body)?;
        let line = self.line.insert(Line::to(self.pull, url).await?);
        line.sender.send_request(request).await.map_err(broken)
    }

    fn request(&self, method: &Method, url: &Url, body: &str) -> Result<Request<String>, SourceEnd> {
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut builder = Request::builder().method(method).uri(format!("{}{query}", url.path()));
        builder = builder.header(HOST, host(url)).header(USER_AGENT, AGENT);
        if !body.is_empty() {
            builder = builder.header(CONTENT_TYPE, "application/sdp");
        }
        if let Some((_, login)) = self.login.as_ref().filter(|(origin, _)| *origin == url.origin()) {
            builder = builder.header(AUTHORIZATION, login);
        }
        let request = builder.body(body.to_owned());
        request.map_err(|error| SourceEnd::Server(format!("no request can be made: {error}")))
    }

    /// All of a body, so that the connection can be used again.
    async fn read(&mut self, mut body: Incoming) -> Result<Bytes, SourceEnd> {
        let read = async {
            let mut all = BytesMut::new();
            while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                // Trailers say nothing that we want to know.
                let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
                if all.len() + data.len() > DESCRIPTION_BYTES_MAX {
                    return Err(SourceEnd::Server("the server's answer is too long".into()));
                }
                all.extend_from_slice(&data);
            }
            Ok(all.freeze())
        };
        self.pull.step("the server stops in the middle of an answer", read).await
    }

    async fn refused(&mut self, response: Response<Incoming>) -> SourceEnd {
        let status = response.status();
        let hint = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ": wrong user, password or token".to_owned(),
            StatusCode::NOT_FOUND => ": no such stream".to_owned(),
            // What the matter is servers say in words.
            _ => self.read(response.into_body()).await.ok().and_then(|body| words(&body)).unwrap_or_default(),
        };
        SourceEnd::Server(format!("the server answers the offer with {status}{hint}"))
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// The first line of what a server says of its refusal, as far as it can be shown.
fn words(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.lines().next()?.trim();
    let shown: String = text.chars().filter(|letter| !letter.is_control()).take(200).collect();
    (!shown.is_empty()).then(|| format!(": {shown}"))
}
