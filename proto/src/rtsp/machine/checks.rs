//! What is wrong with a request before anybody looks at what it asks.

use super::super::{Method, Request, Response, Status};
use super::action::State;
use super::server::ServerMachine;

impl ServerMachine {
    /// Version, method, options and session, in this order.
    pub(super) fn check(&self, request: &Request) -> Result<(), Response> {
        if request.version.major != 1 {
            return Err(Response::new(Status::VERSION_NOT_SUPPORTED));
        }
        match request.method {
            Method::Other(_) => return Err(not_implemented(Status::NOT_IMPLEMENTED)),
            Method::Redirect => return Err(not_implemented(Status::METHOD_NOT_ALLOWED)),
            _ => {}
        }
        check_options(request)?;
        self.check_session(request)?;
        self.check_state(&request.method)
    }

    /// RFC 2326 section 12.37: who says a session must say ours, and from PLAY on it must be said.
    fn check_session(&self, request: &Request) -> Result<(), Response> {
        let open = self.state() != State::Init;
        let said = request.headers.get("Session").map(|value| value.split(';').next().unwrap_or_default().trim());
        let known = match said {
            Some(id) => open && id == self.session_id(),
            None => !open || !needs_session(&request.method),
        };
        // Players ask OPTIONS and DESCRIBE with whatever they remember.
        if known || matches!(request.method, Method::Options | Method::Describe) {
            return Ok(());
        }
        Err(Response::new(Status::SESSION_NOT_FOUND))
    }

    fn check_state(&self, method: &Method) -> Result<(), Response> {
        if self.allowed().contains(method) { Ok(()) } else { Err(self.not_in_this_state()) }
    }

    /// The methods that make sense now (RFC 2326 appendix A.2).
    fn allowed(&self) -> Vec<Method> {
        let now: &[Method] = match (self.state(), self.tracks().is_empty()) {
            (State::Init, _) => &[Method::Announce, Method::Setup],
            (State::ReadyToPlay, _) => &[Method::Setup, Method::Play, Method::Pause],
            (State::ReadyToRecord, true) => &[Method::Setup],
            (State::ReadyToRecord, false) => &[Method::Setup, Method::Record, Method::Pause],
            // PLAY while playing keeps some players' sessions alive.
            (State::Playing, _) => &[Method::Play, Method::Pause],
            (State::Recording, _) => &[Method::Record, Method::Pause],
        };
        [ALWAYS, now].concat()
    }

    pub(super) fn not_in_this_state(&self) -> Response {
        let names: Vec<String> = self.allowed().iter().map(|method| method.name().to_owned()).collect();
        Response::new(Status::METHOD_NOT_VALID_IN_THIS_STATE).with("Allow", names.join(", "))
    }
}

/// RFC 2326 section 12.32; we know no option, not even ONVIF's back channel.
fn check_options(request: &Request) -> Result<(), Response> {
    let required = request.headers.list("Require").chain(request.headers.list("Proxy-Require"));
    let unknown = required.collect::<Vec<_>>().join(", ");
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Response::new(Status::OPTION_NOT_SUPPORTED).with("Unsupported", unknown))
}

/// Whether the client can take a description (RFC 2326 section 12.1).
pub(super) fn accepts_sdp(request: &Request) -> bool {
    let mut accepted = request.headers.list("Accept").map(|media| media.split(';').next().unwrap_or_default().trim());
    let none = request.headers.get("Accept").is_none_or(|value| value.trim().is_empty());
    none || accepted
        .any(|media| ["application/sdp", "application/*", "*/*"].iter().any(|ok| ok.eq_ignore_ascii_case(media)))
}

/// Whether an announced body is a description. Who does not say its type means one.
pub(super) fn is_sdp(request: &Request) -> bool {
    let content_type = request.headers.get("Content-Type").unwrap_or(SDP_TYPE);
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(SDP_TYPE)
}

fn needs_session(method: &Method) -> bool {
    matches!(method, Method::Play | Method::Pause | Method::Record | Method::Teardown)
}

fn not_implemented(status: Status) -> Response {
    Response::new(status).with("Allow", PUBLIC)
}

const ALWAYS: &[Method] =
    &[Method::Options, Method::Describe, Method::GetParameter, Method::SetParameter, Method::Teardown];

/// What we can do (RFC 2326 section 10.1).
pub(super) const PUBLIC: &str =
    "DESCRIBE, ANNOUNCE, SETUP, PLAY, RECORD, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN, OPTIONS";

/// The only description we read and write.
pub(super) const SDP_TYPE: &str = "application/sdp";
