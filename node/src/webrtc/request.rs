//! What a request comes to: WHIP (RFC 9725), WHEP (draft-ietf-wish-whep), pages and scripts.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderValue, LOCATION, ORIGIN, USER_AGENT};
use axum::http::{Method, Request, StatusCode};
use bytes::Buf as _;
use tokio::sync::oneshot;
use tracing::info;
use uuid::Uuid;
use weft_cluster::Fabric;
use weft_proto::id::PathName;
use weft_proto::webrtc::answer::Candidate;
use weft_proto::webrtc::description::{self, Credentials, DESCRIPTION_BYTES_MAX};
use weft_proto::webrtc::fragment::{self, FRAGMENT_BYTES_MAX};

use super::door::{Door, Shared};
use super::offer;
use super::page;
use super::respond::{Answer, Failure, finish, link_alternate, link_ice_servers, located, nothing, ok, preflight};
use super::session::Order;
use super::stats::Role;
use crate::auth::web::Shown;
use crate::auth::{Action, AuthRequest, Decision, Protocol};
use crate::limits::{WEBRTC_PENDING_MAX, WEBRTC_SESSIONS_MAX};
use crate::web::{self, Body};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// The path without a slash behind it.
    Bare,
    /// The page that plays it.
    Reader(PathName),
    /// The page that publishes to it.
    Publisher(PathName),
    /// A script.
    Script(Role),
    /// Where offers go.
    Endpoint(PathName, Role),
    /// A session.
    Session(Uuid, Role),
}

/// Who asks, and with what.
pub(super) struct Asking {
    method: Method,
    pub(super) peer: SocketAddr,
    secure: bool,
    /// The port under which the client knows this node.
    port: u16,
    path: String,
    pub(super) query: String,
    content_type: String,
    authorization: Option<String>,
    pub(super) user_agent: String,
    origin: Option<HeaderValue>,
}

/// Answers a request.
pub(super) async fn answer<B>(door: Rc<Door>, request: Request<B>, peer: SocketAddr, secure: bool) -> Answer
where
    B: http_body::Body + Unpin,
{
    let asking = Asking::new(&door.shared, &request, peer, secure);
    let mut response = asking.serve(&door, request.into_body()).await.unwrap_or_else(Answer::from);
    finish(response.headers_mut(), &door.shared.config().allow_origins, asking.origin.as_ref());
    response
}

impl Target {
    fn of(path: &str) -> Result<Self, Failure> {
        let path = path.strip_prefix('/').unwrap_or(path);
        if path.is_empty() || path == "favicon.ico" {
            return Err(Failure::NotFound("not found"));
        }
        let name = |text: &str| PathName::new(text).map_err(|error| Failure::Bad(error.to_string()));
        match path.rsplit('/').next() {
            Some("reader.js") => return Ok(Self::Script(Role::Reader)),
            Some("publisher.js") => return Ok(Self::Script(Role::Publisher)),
            _ => {}
        }
        if let Some(bare) = path.strip_suffix('/') {
            return name(bare).map(Self::Reader);
        }
        let Some((folder, last)) = path.rsplit_once('/') else { return Ok(Self::Bare) };
        match last {
            "whep" => return Ok(Self::Endpoint(name(folder)?, Role::Reader)),
            "whip" => return Ok(Self::Endpoint(name(folder)?, Role::Publisher)),
            "publish" => return Ok(Self::Publisher(name(folder)?)),
            _ => {}
        }
        let role = match folder.rsplit('/').next() {
            Some("whep") => Role::Reader,
            Some("whip") => Role::Publisher,
            _ => return Ok(Self::Bare),
        };
        last.parse().map(|secret| Self::Session(secret, role)).map_err(|_| Failure::NotFound("session not found"))
    }
}

impl Asking {
    fn new<B>(shared: &Shared, request: &Request<B>, peer: SocketAddr, secure: bool) -> Self {
        let headers = request.headers();
        let forwarded = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self {
            peer: SocketAddr::new(shared.client(peer.ip(), forwarded), peer.port()),
            secure,
            port: web::port(request, secure),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            content_type: text(CONTENT_TYPE).unwrap_or_default(),
            authorization: text(AUTHORIZATION),
            user_agent: text(USER_AGENT).unwrap_or_default(),
            origin: headers.get(ORIGIN).cloned(),
            method: request.method().clone(),
        }
    }

    async fn serve<B>(&self, door: &Rc<Door>, body: B) -> Result<Answer, Failure>
    where
        B: http_body::Body + Unpin,
    {
        let target = Target::of(&self.path)?;
        let is_get = matches!(self.method, Method::GET | Method::HEAD);
        match target {
            Target::Endpoint(path, role) => match self.method {
                Method::OPTIONS => Ok(self.options(&door.shared, &path, role)),
                Method::POST => self.offer(door, path, role, body).await,
                _ => Err(Failure::Method),
            },
            Target::Session(secret, role) => match self.method {
                Method::OPTIONS => {
                    let mut response = nothing();
                    preflight(response.headers_mut());
                    Ok(response)
                }
                Method::PATCH => self.change(&door.shared, secret, role, body).await,
                Method::DELETE => end(&door.shared, secret, role),
                _ => Err(Failure::Method),
            },
            Target::Script(Role::Reader) if is_get => Ok(page::reader_script()),
            Target::Script(Role::Publisher) if is_get => Ok(page::publisher_script()),
            Target::Bare if is_get => {
                let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
                // From the root: a browser that shows `//host` as a path must not be sent there.
                Ok(located(StatusCode::FOUND, &format!("/{}/{query}", self.path.trim_matches('/'))))
            }
            Target::Reader(path) if is_get => {
                self.authorize(&door.shared, &path, Role::Reader)?;
                Ok(page::reader())
            }
            Target::Publisher(path) if is_get => {
                self.authorize(&door.shared, &path, Role::Publisher)?;
                Ok(page::publisher())
            }
            _ if self.method == Method::OPTIONS => {
                let mut response = nothing();
                preflight(response.headers_mut());
                Ok(response)
            }
            _ => Err(Failure::Method),
        }
    }

    /// What a browser may ask, and for whoever may go on which servers help.
    fn options(&self, shared: &Shared, path: &PathName, role: Role) -> Answer {
        let mut response = nothing();
        preflight(response.headers_mut());
        response.headers_mut().insert("accept-post", HeaderValue::from_static(SDP));
        // Not to everybody: there may be passwords in them. Browsers show pages no headers of what they ask in advance.
        if self.authorize(shared, path, role).is_ok() {
            link_ice_servers(response.headers_mut(), &shared.config().ice_servers);
        }
        response
    }

    async fn offer<B>(&self, door: &Rc<Door>, path: PathName, role: Role, body: B) -> Result<Answer, Failure>
    where
        B: http_body::Body + Unpin,
    {
        let shared = &door.shared;
        if !is_type(&self.content_type, SDP) {
            return Err(Failure::Format(SDP));
        }
        let user = self.authorize(shared, &path, role)?;
        if let Some(elsewhere) = self.elsewhere(&shared.fabric).filter(|_| shared.fabric.is_draining()) {
            return Ok(located(StatusCode::TEMPORARY_REDIRECT, &elsewhere));
        }
        if shared.sessions.len() >= WEBRTC_SESSIONS_MAX || shared.sessions.pending(self.peer.ip()) >= WEBRTC_PENDING_MAX
        {
            return Err(Failure::Later("the node has all the sessions it can take".into()));
        }
        let sdp = whole_soon(body, DESCRIPTION_BYTES_MAX).await?;
        let offer = description::parse(&sdp).map_err(|error| Failure::Bad(error.to_string()))?;
        let opened = match role {
            Role::Reader => offer::read(door, self, path, user, &offer).await,
            Role::Publisher => offer::publish(door, self, path, user, &offer),
        };
        let (record, sdp) = opened.inspect_err(|failure| {
            let role = if role == Role::Reader { "reader" } else { "publisher" };
            info!(path = self.path, peer = %self.peer, protocol = "WebRTC", "{role} refused: {failure:?}");
        })?;
        let mut response = ok(SDP, Body::from(sdp));
        *response.status_mut() = StatusCode::CREATED;
        let headers = response.headers_mut();
        for (name, value) in [
            (LOCATION, format!("{}/{}", self.path, record.secret)),
            (ETAG, "*".to_owned()),
            ("id".parse().map_err(|_| Failure::Method)?, record.id.to_string()),
            ("accept-patch".parse().map_err(|_| Failure::Method)?, FRAGMENT.to_owned()),
        ] {
            headers.insert(name, HeaderValue::from_str(&value).map_err(|_| Failure::Bad("the path".into()))?);
        }
        link_ice_servers(headers, &shared.config().ice_servers);
        if let Some(elsewhere) = self.elsewhere(&shared.fabric) {
            link_alternate(headers, &elsewhere);
        }
        Ok(response)
    }

    /// The same at another node.
    fn elsewhere(&self, fabric: &Fabric) -> Option<String> {
        let host = fabric.elsewhere()?;
        Some(web::at_node(&host, self.secure, self.port, &self.path, &self.query))
    }

    /// What is said of ICE later.
    async fn change<B>(&self, shared: &Shared, secret: Uuid, role: Role, body: B) -> Result<Answer, Failure>
    where
        B: http_body::Body + Unpin,
    {
        let gone = || Failure::NotFound("session not found");
        let record = shared.sessions.find(&secret).filter(|record| record.role == role).ok_or_else(gone)?;
        if !is_type(&self.content_type, FRAGMENT) {
            return Err(Failure::Format(FRAGMENT));
        }
        let said = whole_soon(body, FRAGMENT_BYTES_MAX).await?;
        let said = fragment::parse(&said).ok_or_else(|| Failure::Bad("the fragment is no text".into()))?;
        let known = record.remote.lock().clone();
        let Some(remote) = said.credentials.filter(|said| *said != known) else { return Ok(nothing()) };
        let (answer, answered) = oneshot::channel();
        record.orders.send(Order::Restart(remote.clone(), answer)).map_err(|_| gone())?;
        let answered = tokio::time::timeout(WITHIN, answered).await;
        let local = answered.map_err(|_| Failure::Later("the session is busy".into()))?.map_err(|_| gone())?;
        *record.remote.lock() = remote;
        let config = shared.config();
        let mut response = ok(FRAGMENT, Body::from(restarted(&local, &config.candidates)));
        response.headers_mut().insert(ETAG, HeaderValue::from_static("*"));
        Ok(response)
    }

    /// Asks who may do it; gives the user's name.
    fn authorize(&self, shared: &Shared, path: &PathName, role: Role) -> Result<String, Failure> {
        let shown = self.authorization.as_deref().and_then(Shown::parse);
        let decision = shared.authenticator.check(&AuthRequest {
            action: if role == Role::Reader { Action::Read } else { Action::Publish },
            path: Some(path),
            query: &self.query,
            protocol: Protocol::Webrtc,
            peer: self.peer,
            credentials: shown.as_ref().map(Shown::credentials),
        });
        match decision {
            Decision::Allow { user } => Ok(user.map_or_else(String::new, |user| user.to_string())),
            Decision::Challenge => Err(Failure::Unauthorized { ask: true }),
            Decision::Deny => Err(Failure::Unauthorized { ask: false }),
        }
    }
}

fn end(shared: &Shared, secret: Uuid, role: Role) -> Result<Answer, Failure> {
    let found = shared.sessions.find(&secret).filter(|record| record.role == role);
    found
        .filter(|record| record.orders.send(Order::End).is_ok())
        .map(|_| ok("text/plain; charset=utf-8", Body::default()))
        .ok_or(Failure::NotFound("session not found"))
}

/// This end's part of a restart (RFC 9725 section 4.3.3).
fn restarted(local: &Credentials, candidates: &[Candidate]) -> String {
    let mut text = format!(
        "a=ice-lite\r\na=ice-options:trickle\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n",
        local.ufrag, local.password
    );
    for (place, candidate) in candidates.iter().enumerate() {
        text += &format!("a=candidate:{}\r\n", candidate.to_attribute(place));
    }
    text + "a=end-of-candidates\r\n"
}

/// How long a client may take to say what it wants, and a session to do it.
const WITHIN: Duration = Duration::from_secs(10);

/// The whole body, if it comes soon.
async fn whole_soon<B: http_body::Body + Unpin>(body: B, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let whole = tokio::time::timeout(WITHIN, whole(body, bytes_max)).await;
    whole.map_err(|_| Failure::Bad("the request does not end".into()))?
}

/// The whole body, if it is no longer than that.
async fn whole<B: http_body::Body + Unpin>(mut body: B, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(Failure::TooLarge);
    }
    let mut whole = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| Failure::Bad("the request ended early".into()))?;
        let Ok(mut data) = frame.into_data() else { continue };
        while data.has_remaining() {
            let chunk = data.chunk();
            if whole.len() + chunk.len() > bytes_max {
                return Err(Failure::TooLarge);
            }
            whole.extend_from_slice(chunk);
            let taken = chunk.len();
            data.advance(taken);
        }
    }
    Ok(whole)
}

fn is_type(said: &str, wanted: &str) -> bool {
    said.split(';').next().is_some_and(|word| word.trim().eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_what_they_ask_for() {
        let name = |text: &str| PathName::new(text).unwrap();
        let secret = Uuid::from_u128(7);
        for (url, target) in [
            ("/cam", Target::Bare),
            ("/cam/front", Target::Bare),
            ("/cam/front/", Target::Reader(name("cam/front"))),
            ("/cam/front/publish", Target::Publisher(name("cam/front"))),
            ("/cam/front/whep", Target::Endpoint(name("cam/front"), Role::Reader)),
            ("/cam/whip", Target::Endpoint(name("cam"), Role::Publisher)),
            (&format!("/cam/whep/{secret}"), Target::Session(secret, Role::Reader)),
            (&format!("/a/b/whip/{secret}"), Target::Session(secret, Role::Publisher)),
        ] {
            assert_eq!(Target::of(url).unwrap(), target, "{url}");
        }
        assert!(Target::of("/").is_err() && Target::of("/cam/whep/guess").is_err());
    }

    #[test]
    fn types_have_parameters() {
        assert!(is_type("application/sdp", SDP) && is_type("Application/SDP; charset=utf-8", SDP));
        assert!(!is_type("", SDP) && !is_type("application/sdpx", SDP));
    }
}
