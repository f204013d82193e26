//! The client's end of a session: builds requests, answers challenges, remembers the session.

use core::time::Duration;

use bytes::Bytes;

use super::super::auth::Challenge;
use super::super::uri::without_user_info;
use super::super::{Method, Request, RequestUri, Response, Status, Transport, UserInfo};
use super::checks::SDP_TYPE;

/// Requests of one session, one at a time: send what a builder gives, hand what comes back to
/// [`ClientMachine::response`], send what it asks to be sent again.
#[derive(Debug)]
pub struct ClientMachine {
    /// The stream's URI without user and password.
    uri: String,
    /// What the controls of tracks are relative to.
    base: String,
    user_info: Option<UserInfo>,
    client_nonce: String,
    cseq: u32,
    challenge: Option<(Challenge, u32)>,
    session: Option<(String, Duration)>,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    request: Request,
    /// How often it has been sent with credentials.
    answers: u32,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The server wants credentials: send this.
    Retry(Request),
    /// The response to the request, whatever its status.
    Done(Method, Response),
    /// A response to nothing we asked; to be passed over.
    Stray,
}

impl ClientMachine {
    /// A client of the stream at `uri`, which may bear user and password. `client_nonce` is random text.
    pub fn new(uri: &str, client_nonce: impl Into<String>) -> Self {
        let stripped = without_user_info(uri);
        Self {
            base: stripped.clone(),
            uri: stripped,
            user_info: RequestUri::parse(uri).ok().and_then(|uri| uri.user_info),
            client_nonce: client_nonce.into(),
            cseq: 0,
            challenge: None,
            session: None,
            waiting: None,
        }
    }

    /// What can be asked.
    pub fn options(&mut self) -> Request {
        self.send(Request::new(Method::Options, &self.uri))
    }

    /// The description.
    pub fn describe(&mut self) -> Request {
        self.send(Request::new(Method::Describe, &self.uri).with("Accept", SDP_TYPE))
    }

    /// Describes what is to be sent.
    pub fn announce(&mut self, sdp: impl Into<Bytes>) -> Request {
        self.send(Request::new(Method::Announce, &self.uri).with_body(SDP_TYPE, sdp))
    }

    /// Sets up the track with this control of the description.
    pub fn setup(&mut self, control: &str, transport: &Transport) -> Request {
        let uri = self.control_uri(control);
        self.send(Request::new(Method::Setup, uri).with("Transport", transport.to_string()))
    }

    /// Starts receiving.
    pub fn play(&mut self) -> Request {
        self.play_from(None, None)
    }

    /// Starts receiving from somewhere else than the present, or at another speed: the headers `Range` and `Scale`
    /// (RFC 2326 sections 12.29 and 12.34).
    pub fn play_from(&mut self, range: Option<&str>, scale: Option<&str>) -> Request {
        let mut request = Request::new(Method::Play, &self.base).with("Range", range.unwrap_or("npt=0-"));
        if let Some(scale) = scale {
            request = request.with("Scale", scale);
        }
        self.send(request)
    }

    /// Starts sending.
    pub fn record(&mut self) -> Request {
        self.send(Request::new(Method::Record, &self.base).with("Range", "npt=0-"))
    }

    /// Stops for a while.
    pub fn pause(&mut self) -> Request {
        self.send(Request::new(Method::Pause, &self.base))
    }

    /// A sign of life.
    pub fn keep_alive(&mut self) -> Request {
        self.send(Request::new(Method::GetParameter, &self.base))
    }

    /// Ends the session.
    pub fn teardown(&mut self) -> Request {
        self.send(Request::new(Method::Teardown, &self.base))
    }

    /// The id of the session, once there is one.
    pub fn session_id(&self) -> Option<&str> {
        self.session.as_ref().map(|(id, _)| id.as_str())
    }

    /// How long the server waits for a sign of life; 60 seconds when it does not say (RFC 2326 section 12.37).
    pub fn session_timeout(&self) -> Duration {
        self.session.as_ref().map_or(DEFAULT_TIMEOUT, |(_, timeout)| *timeout)
    }

    /// Handles a response.
    pub fn response(&mut self, response: Response) -> ClientEvent {
        let cseq = response.headers.get("CSeq").and_then(|cseq| cseq.trim().parse().ok());
        // Who sends no number answers the last request.
        let Some(waiting) = self.waiting.take_if(|_| cseq.is_none_or(|cseq: u32| cseq == self.cseq)) else {
            return ClientEvent::Stray;
        };
        if response.status.code() < Status::OK.code() {
            self.waiting = Some(waiting);
            return ClientEvent::Stray;
        }
        if let Some(retry) = self.retry(&waiting, &response) {
            return ClientEvent::Retry(retry);
        }
        self.learn(&waiting.request.method, &response);
        ClientEvent::Done(waiting.request.method, response)
    }

    /// The URI of a control (RFC 2326 appendix C.1.1): absolute, or joined to the base with one slash.
    fn control_uri(&self, control: &str) -> String {
        if control.is_empty() || control == "*" {
            return self.base.clone();
        }
        if control.contains("://") {
            return without_user_info(control);
        }
        format!("{}/{}", self.base.trim_end_matches('/'), control.trim_start_matches('/'))
    }

    fn retry(&mut self, waiting: &Waiting, response: &Response) -> Option<Request> {
        if response.status != Status::UNAUTHORIZED || self.user_info.is_none() {
            return None;
        }
        let stale = response.headers.get_all("WWW-Authenticate").any(|value| {
            let lower = value.to_ascii_lowercase().replace(['"', ' '], "");
            lower.contains("stale=true")
        });
        let challenge = Challenge::choose(response.headers.get_all("WWW-Authenticate"))?;
        let same = self.challenge.as_ref().is_some_and(|(known, _)| *known == challenge);
        // Answered already and not merely too late: the password is wrong.
        if waiting.answers > 0 && (same || !stale && waiting.answers > 1) || waiting.answers >= ANSWERS_MAX {
            return None;
        }
        self.challenge = Some((challenge, 0));
        Some(self.send_again(waiting.request.clone(), waiting.answers))
    }

    fn learn(&mut self, method: &Method, response: &Response) {
        if !response.status.is_success() {
            return;
        }
        if let Some(value) = response.headers.get("Session") {
            let mut parts = value.split(';').map(str::trim);
            let id = parts.next().unwrap_or_default().to_owned();
            let seconds = parts.find_map(|part| part.strip_prefix("timeout=")?.trim().parse().ok());
            let timeout = seconds.filter(|seconds| *seconds > 0).map_or(DEFAULT_TIMEOUT, Duration::from_secs);
            self.session = Some((id, timeout));
        }
        match method {
            Method::Describe => {
                let headers = &response.headers;
                let base = headers.get("Content-Base").or_else(|| headers.get("Content-Location"));
                if let Some(base) = base.filter(|base| base.contains("://")) {
                    self.base = without_user_info(base);
                }
            }
            Method::Teardown => self.session = None,
            _ => {}
        }
    }

    fn send(&mut self, request: Request) -> Request {
        self.send_again(request, 0)
    }

    fn send_again(&mut self, mut request: Request, answers: u32) -> Request {
        self.cseq = self.cseq.wrapping_add(1);
        request.headers.set("CSeq", self.cseq.to_string());
        if let Some((id, _)) = &self.session {
            request.headers.set("Session", id.clone());
        }
        let answered = self.authorize(&mut request);
        self.waiting = Some(Waiting { request: request.clone(), answers: answers + u32::from(answered) });
        request
    }

    fn authorize(&mut self, request: &mut Request) -> bool {
        let (Some((challenge, count)), Some(UserInfo { user, password })) = (&mut self.challenge, &self.user_info)
        else {
            return false;
        };
        *count = count.saturating_add(1);
        let nonce = (self.client_nonce.as_str(), *count);
        let credentials = challenge.answer(&request.method, &request.uri, user, password, nonce);
        request.headers.set("Authorization", credentials.to_header());
        true
    }
}

/// A nonce may have run out, or belong to an earlier connection; a server that goes on asking does not want us.
const ANSWERS_MAX: u32 = 3;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
