//! An HTTP client over the way that all sources have to their servers: one kept connection a client.

use std::pin::Pin;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, COOKIE, HOST, HeaderValue, LOCATION, RANGE, SET_COOKIE, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use tracing::debug;
use url::{Origin, Url};

use super::cookies::Cookies;
use crate::source::line::{AGENT, Line, basic, broken, host};
use crate::source::{Pull, SourceEnd};

/// Redirects that are followed for one resource, as Go's client of MediaMTX does it.
const REDIRECTS_MAX: usize = 10;

/// What all requests of a source have in common.
#[derive(Debug)]
pub(super) struct Session {
    /// For whom user and password are, and both as a header says them.
    login: Option<(Origin, HeaderValue)>,
    cookies: Cookies,
}

impl Session {
    /// The session of a source with this URL.
    pub(super) fn of(url: &Url) -> Self {
        let login = basic(url).map(|value| (url.origin(), value));
        Self { login, cookies: Cookies::default() }
    }
}

/// Asks for one resource after the other.
pub(super) struct Client {
    session: Rc<Session>,
    line: Option<Line>,
}

/// An answer whose body is still to be read.
pub(super) struct Answer {
    body: Incoming,
    /// Where it was found in the end.
    pub(super) url: Url,
}

/// Which bytes of a resource: where they begin, and how many.
pub(super) type Range = (u64, u64);

impl Client {
    pub(super) const fn new(session: Rc<Session>) -> Self {
        Self { session, line: None }
    }

    /// What its requests have in common with those of others.
    pub(super) fn session(&self) -> Rc<Session> {
        self.session.clone()
    }

    /// All bytes of something small, and where it was found.
    pub(super) async fn small(
        &mut self,
        pull: &Pull,
        what: &'static str,
        url: &Url,
        range: Option<Range>,
        bytes_max: usize,
    ) -> Result<(Bytes, Url), SourceEnd> {
        let mut answer = self.get(pull, what, url, range).await?;
        let mut all = BytesMut::new();
        while let Some(bytes) = answer.next(pull).await? {
            if all.len() + bytes.len() > bytes_max {
                // What follows would have to be read before the next answer.
                self.line = None;
                return Err(SourceEnd::Server(format!("{what} has more than {bytes_max} bytes")));
            }
            all.extend_from_slice(&bytes);
        }
        Ok((all.freeze(), answer.url))
    }

    /// Asks for a resource, and follows it where it has gone.
    pub(super) async fn get(
        &mut self,
        pull: &Pull,
        what: &'static str,
        url: &Url,
        range: Option<Range>,
    ) -> Result<Answer, SourceEnd> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = pull.step("no answer from the server", self.ask(pull, &url, range)).await?;
            let cookies = response.headers().get_all(SET_COOKIE).iter();
            cookies.filter_map(|cookie| cookie.to_str().ok()).for_each(|cookie| self.session.cookies.set(&url, cookie));
            let status = response.status();
            match (status, response.headers().get(LOCATION)) {
                (StatusCode::OK, _) if range.is_some_and(|(start, _)| start > 0) => {
                    self.line = None;
                    return Err(SourceEnd::Server(format!("the server gives no part of {what}")));
                }
                (StatusCode::OK | StatusCode::PARTIAL_CONTENT, _) => {
                    return Ok(Answer { body: response.into_body(), url });
                }
                (status, Some(location)) if status.is_redirection() => {
                    let next = location.to_str().ok().and_then(|location| url.join(location).ok());
                    let next = next.filter(|next| matches!(next.scheme(), "http" | "https"));
                    url = next.ok_or_else(|| SourceEnd::Server(format!("the server sends {what} nowhere")))?;
                    // An answer with a body that nobody reads is in the way.
                    self.line = None;
                }
                (status, _) => {
                    self.line = None;
                    return Err(refused(what, status));
                }
            }
        }
        Err(SourceEnd::Server(format!("the server sends {what} from place to place")))
    }

    async fn ask(&mut self, pull: &Pull, url: &Url, range: Option<Range>) -> Result<Response<Incoming>, SourceEnd> {
        let origin = url.origin();
        if let Some(line) = self.line.as_mut().filter(|line| line.origin == origin && !line.sender.is_closed()) {
            // A kept connection may have been closed meanwhile, and nobody knows before asking.
            if line.sender.ready().await.is_ok()
                && let Ok(response) = line.sender.send_request(self.session.request(url, range)?).await
            {
                return Ok(response);
            }
            debug!(path = %pull.path, "a kept connection is gone");
        }
        self.line = None;
        let line = self.line.insert(Line::to(pull, url).await?);
        let request = self.session.request(url, range)?;
        line.sender.send_request(request).await.map_err(broken)
    }
}

impl Session {
    fn request(&self, url: &Url, range: Option<Range>) -> Result<Request<String>, SourceEnd> {
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut builder = Request::get(format!("{}{query}", url.path())).header(HOST, host(url));
        builder = builder.header(USER_AGENT, AGENT);
        if let Some((start, length)) = range {
            let end = start.saturating_add(length).saturating_sub(1);
            builder = builder.header(RANGE, format!("bytes={start}-{end}"));
        }
        if let Some((_, login)) = self.login.as_ref().filter(|(origin, _)| *origin == url.origin()) {
            builder = builder.header(AUTHORIZATION, login);
        }
        if let Some(cookies) = self.cookies.header(url) {
            builder = builder.header(COOKIE, cookies);
        }
        builder.body(String::new()).map_err(|error| SourceEnd::Server(format!("no request can be made: {error}")))
    }
}

impl Answer {
    /// The next bytes of the body.
    pub(super) async fn next(&mut self, pull: &Pull) -> Result<Option<Bytes>, SourceEnd> {
        let body = &mut self.body;
        let next = async {
            loop {
                let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
                match frame {
                    None => return Ok(None),
                    Some(Err(error)) => return Err(broken(error)),
                    // Trailers say nothing that we want to know.
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            return Ok(Some(data));
                        }
                    }
                }
            }
        };
        pull.step("the server stops in the middle of an answer", next).await
    }
}

fn refused(what: &str, status: StatusCode) -> SourceEnd {
    let hint = match status.as_u16() {
        401 | 403 => ": wrong user or password",
        404 => ": there is no such thing",
        _ => "",
    };
    SourceEnd::Server(format!("the server answers {what} with {status}{hint}"))
}
