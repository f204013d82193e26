//! What a request comes to.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use axum::http::header::{HeaderValue, SET_COOKIE};
use axum::http::{Method, Request};
use uuid::Uuid;
use weft_cluster::SubscribeError;
use weft_cluster::path::{Identity, SessionInfo};
use weft_proto::hls::{File, FileKind, Reload, Rendition, Template};
use weft_proto::id::PathName;
use weft_proto::query::parameter;

use super::asking::Asking;
use super::door::{Door, Shared};
use super::page;
use super::respond::{
    Answer, Failure, KEPT_BRIEFLY, KEPT_BY_ALL, KEPT_BY_VIEWERS, NEVER_KEPT, moved, ok, preflight, redirect,
};
use super::session::{Known, Newcomer, SessionRecord};
use crate::auth::web::Shown;
use crate::auth::{Action, AuthRequest, Decision, Protocol, same};
use crate::egress::segments::{Answer as Made, Muxer, OpenError};
use crate::web::{self, Body};

const PLAYLIST: &str = "application/vnd.apple.mpegurl";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// The path without a slash behind it.
    Bare(PathName),
    /// The page that plays it.
    Page(PathName),
    /// The page's script.
    Script(PathName),
    Multivariant(PathName),
    Playlist(PathName, Rendition),
    File(PathName, File),
}

/// Under what name a viewer is served.
struct Viewer {
    record: Arc<SessionRecord>,
    /// What is put behind each URI.
    words: String,
    is_cdn: bool,
}

/// Answers a request. What waits for an answer holds nothing of the request's head, see [`Asking`].
pub(super) fn answer<B>(
    door: Rc<Door>,
    request: Request<B>,
    peer: SocketAddr,
    secure: bool,
) -> impl Future<Output = Answer> {
    let asking = Asking::new(&door.shared, &request, peer, secure);
    drop(request);
    async move {
        let mut response = match asking.method {
            Method::GET | Method::HEAD => asking.serve(&door).await.unwrap_or_else(Answer::from),
            Method::OPTIONS if asking.preflight => preflight(),
            _ => Failure::Method.into(),
        };
        web::finish(response.headers_mut(), &door.shared.config().allow_origins, asking.origin.as_ref());
        response
    }
}

impl Target {
    fn of(path: &str) -> Result<Self, Failure> {
        let path = path.strip_prefix('/').unwrap_or(path);
        if path.is_empty() || path == "favicon.ico" {
            return Err(Failure::NotFound("not found"));
        }
        let name = |text: &str| PathName::new(text).map_err(|error| Failure::Bad(error.to_string().into()));
        if let Some(bare) = path.strip_suffix('/') {
            return name(bare).map(Self::Page);
        }
        let Some((folder, file)) = path.rsplit_once('/') else { return name(path).map(Self::Bare) };
        let unknown = || Failure::NotFound("not found");
        match file {
            "index.m3u8" => name(folder).map(Self::Multivariant),
            "player.js" => name(folder).map(Self::Script),
            _ => match file.rsplit_once('.') {
                Some((stem, "m3u8")) => {
                    let rendition = stem.strip_suffix("_stream").and_then(|stream| stream.parse().ok());
                    Ok(Self::Playlist(name(folder)?, rendition.ok_or_else(unknown)?))
                }
                Some((_, "mp4" | "mp" | "ts")) => Ok(Self::File(name(folder)?, File::parse(file).ok_or_else(unknown)?)),
                _ => name(path).map(Self::Bare),
            },
        }
    }
}

impl Asking {
    async fn serve(&self, door: &Rc<Door>) -> Result<Answer, Failure> {
        let shared = &door.shared;
        let target = Target::of(&self.path)?;
        if let Some(elsewhere) = self.elsewhere(shared, &target) {
            return Ok(moved(&elsewhere));
        }
        match target {
            Target::Bare(_) => {
                let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
                // From the root: a browser that shows `//host` as a path must not be sent there.
                Ok(redirect(&format!("/{}/{query}", self.path.trim_matches('/'))))
            }
            Target::Page(path) => {
                self.authorize(shared, &path)?;
                Ok(page::page())
            }
            Target::Script(_) => Ok(page::script()),
            // Asked for once a viewer: what it takes is not to be room that each waiting request has.
            Target::Multivariant(path) => Box::pin(self.multivariant(door, path)).await,
            Target::Playlist(path, rendition) => {
                let reload = Reload::parse(&self.query).map_err(|error| Failure::Bad(error.to_string().into()))?;
                let viewer = self.viewer(shared, &path).await?;
                let muxer = open(door, &path).await?;
                let playlist = made(muxer.playlist(rendition, reload).await)?;
                let cache = match (viewer.is_cdn, reload.segment) {
                    (true, Some(_)) => KEPT_BRIEFLY,
                    _ => NEVER_KEPT,
                };
                Ok(viewer.playlist(&muxer, &playlist, cache))
            }
            Target::File(path, file) => self.file(door, path, file).await,
        }
    }

    /// While the node is drained, playlists and pages are at another one, under the same URI; a viewer's token is good there too.
    /// The files of its last playlist are still here.
    fn elsewhere(&self, shared: &Shared, target: &Target) -> Option<String> {
        if !shared.fabric.is_draining() || matches!(target, Target::File(..)) {
            return None;
        }
        let host = shared.fabric.elsewhere()?;
        Some(web::at_node(&host, self.secure, self.port, &self.path, &self.query))
    }

    async fn file(&self, door: &Rc<Door>, path: PathName, file: File) -> Result<Answer, Failure> {
        let viewer = self.viewer(&door.shared, &path).await?;
        let muxer = open(door, &path).await?;
        let body = Body::pieces(made(muxer.file(&file).await)?);
        viewer.count(&muxer, body.len());
        let cache = if viewer.is_cdn { KEPT_BY_ALL } else { KEPT_BY_VIEWERS };
        let content_type = if matches!(file.kind, FileKind::TsSegment(_)) { "video/mp2t" } else { "video/mp4" };
        Ok(ok(content_type, cache, body))
    }

    async fn multivariant(&self, door: &Rc<Door>, path: PathName) -> Result<Answer, Failure> {
        let shared = &door.shared;
        let known = self.is_cdn(shared) || self.token().is_some();
        if known {
            let viewer = self.viewer(shared, &path).await?;
            let muxer = open(door, &path).await?;
            let playlist = made(muxer.multivariant().await)?;
            return Ok(viewer.playlist(&muxer, &playlist, NEVER_KEPT));
        }
        let user = self.authorize(shared, &path)?;
        if parameter(&self.query, "cookieCheck") != Some("1") {
            let more = if self.query.is_empty() { String::new() } else { format!("{}&", self.query) };
            let mut response = redirect(&format!("index.m3u8?{more}cookieCheck=1"));
            if self.secure {
                set_cookie(&mut response, &format!("cookieCheck=1; Max-Age=60; Path=/{path}/"));
            }
            return Ok(response);
        }
        shared.seal.ready().await;
        let id = Uuid::new_v4();
        let record = self.attend(shared, id, path.clone(), user, false).await?;
        let token = shared.seal.token(id, self.peer.ip(), path.as_str());
        let by_cookie = self.secure && self.keeps_cookies;
        let words = if by_cookie { String::new() } else { format!("?session={token}") };
        let viewer = Viewer { record, words, is_cdn: false };
        let muxer = open(door, &path).await?;
        let playlist = made(muxer.multivariant().await)?;
        let mut response = viewer.playlist(&muxer, &playlist, NEVER_KEPT);
        if by_cookie {
            set_cookie(&mut response, &format!("hlsSession={token}; Path=/{path}/"));
        }
        Ok(response)
    }

    /// Whoever asks must be known: by a token that it was given, or as a content delivery network.
    async fn viewer(&self, shared: &Shared, path: &PathName) -> Result<Viewer, Failure> {
        if self.is_cdn(shared) {
            return Box::pin(self.network(shared, path)).await;
        }
        let refused = || Failure::Unauthorized { ask: false };
        let (token, by_cookie) = self.token().ok_or_else(refused)?;
        Box::pin(shared.seal.ready()).await;
        let id = shared.seal.check(token, self.peer.ip(), path.as_str()).ok_or_else(refused)?;
        let record = match shared.sessions.find(&id) {
            Known::Here(record) => record,
            Known::Kicked => return Err(refused()),
            // It was here before, or on a node with the same key.
            Known::No => Box::pin(self.attend(shared, id, path.clone(), String::new(), false)).await?,
        };
        let words = if by_cookie { String::new() } else { format!("?session={token}") };
        Ok(Viewer { record, words, is_cdn: false })
    }

    async fn network(&self, shared: &Shared, path: &PathName) -> Result<Viewer, Failure> {
        let known = shared.sessions.network(self.peer.ip(), path).map(|id| shared.sessions.find(&id));
        let record = match known {
            Some(Known::Here(record)) => record,
            Some(Known::Kicked) | Some(Known::No) | None => {
                self.attend(shared, Uuid::new_v4(), path.clone(), String::new(), true).await?
            }
        };
        Ok(Viewer { record, words: String::new(), is_cdn: true })
    }

    /// Takes a place among the path's readers.
    async fn attend(
        &self,
        shared: &Shared,
        id: Uuid,
        path: PathName,
        user: String,
        is_cdn: bool,
    ) -> Result<Arc<SessionRecord>, Failure> {
        if !shared.sessions.has_room() {
            return Err(Failure::Later("the node has all the viewers it can take".into()));
        }
        let identity = Identity { user: user.clone(), address: Some(self.peer.ip()) };
        let info = SessionInfo { kind: "hlsSession", id: id.to_string(), identity };
        let attendance = shared.fabric.attend(path.clone(), info).await.map_err(refusal)?;
        let user_agent = self.user_agent.as_deref().unwrap_or_default().to_owned();
        let query = shown_query(&self.query);
        let newcomer = Newcomer { id, peer: self.peer, path, query, user, user_agent, is_cdn };
        Ok(shared.sessions.add(newcomer, attendance))
    }

    /// Asks who may read; gives the user's name.
    fn authorize(&self, shared: &Shared, path: &PathName) -> Result<String, Failure> {
        let shown = self.authorization.as_deref().and_then(Shown::parse);
        let decision = shared.authenticator.check(&AuthRequest {
            action: Action::Read,
            path: Some(path),
            query: &self.query,
            protocol: Protocol::Hls,
            peer: self.peer,
            credentials: shown.as_ref().map(Shown::credentials),
        });
        match decision {
            Decision::Allow { user } => Ok(user.map_or_else(String::new, |user| user.to_string())),
            Decision::Challenge => Err(Failure::Unauthorized { ask: true }),
            Decision::Deny => Err(Failure::Unauthorized { ask: false }),
        }
    }

    fn is_cdn(&self, shared: &Shared) -> bool {
        let secret = &shared.config().cdn_secret;
        let shown = self.authorization.as_deref().and_then(|value| value.strip_prefix("Bearer "));
        !secret.is_empty() && shown.is_some_and(|shown| same(shown.as_bytes(), secret.as_bytes()))
    }

    /// The token that is shown, and whether as a cookie.
    fn token(&self) -> Option<(&str, bool)> {
        let in_query = parameter(&self.query, "session").map(|token| (token, false));
        in_query.or_else(|| Some((self.cookie.as_deref().filter(|_| self.secure)?, true)))
    }
}

impl Viewer {
    fn count(&self, muxer: &Muxer, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        muxer.count_sent(bytes);
        self.record.count_sent(bytes);
    }

    fn playlist(&self, muxer: &Muxer, playlist: &Template, cache: &'static str) -> Answer {
        let body = Body::from(playlist.fill(&self.words));
        self.count(muxer, body.len());
        ok(PLAYLIST, cache, body)
    }
}

async fn open(door: &Rc<Door>, path: &PathName) -> Result<Arc<Muxer>, Failure> {
    let muxer = match door.shared.muxers.find(path) {
        Some(muxer) => muxer,
        None => Box::pin(start(door, path)).await?,
    };
    muxer.touch();
    Ok(muxer)
}

async fn start(door: &Rc<Door>, path: &PathName) -> Result<Arc<Muxer>, Failure> {
    let muxer = door.shared.muxers.open(&door.shared.fabric, &door.worker, path).await;
    muxer.map_err(|error| match error {
        OpenError::Subscribe(error) => refusal(error),
        unplayable @ OpenError::Unplayable(_) => Failure::Bad(unplayable.to_string().into()),
    })
}

fn made<T>(made: Made<T>) -> Result<T, Failure> {
    match made {
        Made::Here(made) => Ok(made),
        Made::NotFound => Err(Failure::NotFound("not found")),
        Made::TooFar => Err(Failure::Bad("what is asked for lies too far ahead".into())),
        Made::Later => Err(Failure::Later("not there yet".into())),
    }
}

fn refusal(error: SubscribeError) -> Failure {
    match error {
        SubscribeError::NoStream => Failure::NotFound("no one is publishing to this path"),
        SubscribeError::NotConfigured => Failure::NotFound("the path is not configured"),
        other => Failure::Later(other.to_string().into()),
    }
}

/// The query as the API shows it: without our own words.
fn shown_query(query: &str) -> String {
    let own = ["cookieCheck=", "session=", "_HLS_"];
    let others = query.split('&').filter(|pair| !own.iter().any(|word| pair.starts_with(word)));
    others.collect::<Vec<_>>().join("&")
}

/// Only over TLS: browsers keep such a cookie for each site that embeds the player apart (CHIPS).
fn set_cookie(response: &mut Answer, cookie: &str) {
    let value = format!("{cookie}; Secure; HttpOnly; SameSite=None; Partitioned");
    if let Ok(value) = HeaderValue::from_str(&value) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_what_they_ask_for() {
        let name = |text: &str| PathName::new(text).unwrap();
        for (url, target) in [
            ("/cam", Target::Bare(name("cam"))),
            ("/cam/front", Target::Bare(name("cam/front"))),
            ("/cam/front/", Target::Page(name("cam/front"))),
            ("/cam/front/index.m3u8", Target::Multivariant(name("cam/front"))),
            ("/cam/player.js", Target::Script(name("cam"))),
            ("/cam/main_stream.m3u8", Target::Playlist(name("cam"), Rendition::Main)),
            ("/a/b/audio2_stream.m3u8", Target::Playlist(name("a/b"), Rendition::Audio(1))),
        ] {
            assert_eq!(Target::of(url).unwrap(), target, "{url}");
        }
        assert!(matches!(Target::of("/cam/00000000000a_main_seg7.mp4").unwrap(), Target::File(..)));
    }

    #[test]
    fn urls_that_could_escape_or_mean_nothing_are_refused() {
        for url in ["/../etc/passwd", "/cam/../../x/index.m3u8", "/%2e%2e/x", "/cam//index.m3u8", "//host/", "/a b"] {
            assert!(matches!(Target::of(url), Err(Failure::Bad(_))), "{url}");
        }
        for url in ["/", "", "/favicon.ico", "/cam/x_stream.m3u8", "/cam/other.m3u8", "/cam/1_main_seg7.mp4"] {
            assert!(matches!(Target::of(url), Err(Failure::NotFound(_))), "{url}");
        }
    }

    #[test]
    fn a_query_is_shown_without_our_own_words() {
        assert_eq!(shown_query("token=a&cookieCheck=1&_HLS_msn=3&session=x&b=c"), "token=a&b=c");
        assert_eq!(parameter("asession=1&session=2", "session"), Some("2"));
    }
}
