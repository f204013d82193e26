//! The server's end of a session.
//!
//! One machine a connection, one session a machine. [`ServerMachine::request`] either answers by itself or says what is
//! asked, with a [`Pending`]; once the application has decided, [`ServerMachine::answer`] makes the response and the
//! state follows. Answer before handing in the next request.

use super::super::auth::Credentials;
use super::super::uri::without_user_info;
use super::super::{Method, Mode, Request, RequestUri, Response, Status, Transport};
use super::action::{Action, Outcome, Pending, RtpInfo, State};
use super::checks::{PUBLIC, SDP_TYPE, accepts_sdp, is_sdp};
use super::setup::{Capabilities, SetUpTrack, announced_track, channels_free, choose, same_way};
use crate::limits::TRACKS_MAX;

/// The state of one session.
#[derive(Debug)]
pub struct ServerMachine {
    session_id: String,
    capabilities: Capabilities,
    state: State,
    path: String,
    /// Path and query of the last description.
    asked: (String, String),
    /// Controls of the tracks that a publisher announced.
    controls: Vec<String>,
    tracks: Vec<SetUpTrack>,
}

impl ServerMachine {
    /// A machine for a new connection. The id must be unguessable.
    pub fn new(session_id: String, capabilities: Capabilities) -> Self {
        Self {
            session_id,
            capabilities,
            state: State::Init,
            path: String::new(),
            asked: (String::new(), String::new()),
            controls: Vec::new(),
            tracks: Vec::new(),
        }
    }

    /// Where the session stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// The id of the session.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// The path of the session; empty before the first ANNOUNCE or SETUP.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tracks that were set up, in that order.
    pub fn tracks(&self) -> &[SetUpTrack] {
        &self.tracks
    }

    /// The track whose RTP (`false`) or RTCP (`true`) goes over an interleaved channel.
    pub fn track_of_channel(&self, channel: u8) -> Option<(usize, bool)> {
        self.tracks.iter().find_map(|track| {
            let channels = track.transport.interleaved?;
            [(channels.rtp, false), (channels.rtcp, true)]
                .into_iter()
                .find_map(|(own, rtcp)| (own == channel).then_some((track.track, rtcp)))
        })
    }

    /// Handles a request and says what to do.
    pub fn request(&mut self, request: &Request) -> Action {
        self.try_request(request).unwrap_or_else(|response| self.respond(request, response))
    }

    /// Makes the response to a pending request and moves the state on. An outcome that does not fit is a 500.
    #[expect(clippy::needless_pass_by_value, reason = "a request is answered once")]
    pub fn answer(&mut self, pending: Pending, outcome: Outcome) -> Response {
        let response = self.settle(&pending, outcome);
        self.finish(response, pending.cseq.as_deref())
    }

    fn try_request(&mut self, request: &Request) -> Result<Action, Response> {
        self.check(request)?;
        let mut uri = RequestUri::parse(&request.uri).map_err(|_| Response::new(Status::BAD_REQUEST))?;
        self.restore_query(&request.method, &mut uri);
        match request.method {
            Method::Options => Ok(self.respond(request, Response::new(Status::OK).with("Public", PUBLIC))),
            Method::GetParameter => Ok(self.respond(request, Response::new(Status::OK))),
            Method::SetParameter if request.body.trim_ascii().is_empty() => {
                Ok(self.respond(request, Response::new(Status::OK)))
            }
            Method::SetParameter => Err(Response::new(Status::PARAMETER_NOT_UNDERSTOOD)),
            Method::Describe => Self::describe(request, uri),
            Method::Announce => Self::announce(request, uri),
            Method::Setup => self.setup(request, uri),
            Method::Play | Method::Record | Method::Pause => self.control(request, uri),
            Method::Teardown => Ok(self.teardown(request)),
            Method::Redirect | Method::Other(_) => Err(Response::new(Status::NOT_IMPLEMENTED)),
        }
    }

    fn describe(request: &Request, uri: RequestUri) -> Result<Action, Response> {
        if !accepts_sdp(request) {
            return Err(Response::new(Status::NOT_ACCEPTABLE));
        }
        let (pending, authorization) = (Pending::new(request, &uri), credentials(request, &uri));
        Ok(Action::Describe { pending, path: uri.path, query: uri.query, authorization })
    }

    fn announce(request: &Request, uri: RequestUri) -> Result<Action, Response> {
        if !is_sdp(request) {
            return Err(Response::new(Status::UNSUPPORTED_MEDIA_TYPE));
        }
        let (pending, authorization) = (Pending::new(request, &uri), credentials(request, &uri));
        let sdp = request.body.clone();
        Ok(Action::Announce { pending, path: uri.path, query: uri.query, authorization, sdp })
    }

    fn setup(&self, request: &Request, mut uri: RequestUri) -> Result<Action, Response> {
        let record = self.state == State::ReadyToRecord;
        if let Some(track) = announced_track(&self.controls, &without_user_info(&request.uri), &self.path) {
            (uri.path, uri.track) = (self.path.clone(), Some(track));
            self.restore_query(&request.method, &mut uri);
        }
        self.check_same_path(&uri)?;
        let track = uri.track.unwrap_or(0);
        if self.tracks.iter().any(|known| known.track == track) {
            return Err(self.not_in_this_state());
        }
        if track >= if record { self.controls.len() } else { TRACKS_MAX } {
            return Err(Response::new(Status::NOT_FOUND));
        }
        let offers = Transport::parse_list(request.headers.get("Transport").unwrap_or_default());
        let unwanted = if record { Mode::Play } else { Mode::Record };
        if offers.iter().any(|offer| offer.mode == Some(unwanted)) {
            return Err(self.not_in_this_state());
        }
        let transport = choose(offers, &self.capabilities, &self.tracks, record)
            .ok_or_else(|| Response::new(Status::UNSUPPORTED_TRANSPORT))?;
        let mut pending = Pending::new(request, &uri);
        pending.track = track;
        let authorization = credentials(request, &uri);
        let track = uri.track;
        Ok(Action::Setup { pending, path: uri.path, query: uri.query, authorization, track, transport, record })
    }

    /// PLAY, RECORD and PAUSE act on the whole session; the track that some old players name is passed over.
    fn control(&self, request: &Request, uri: RequestUri) -> Result<Action, Response> {
        self.check_same_path(&uri)?;
        let (pending, authorization) = (Pending::new(request, &uri), credentials(request, &uri));
        Ok(match request.method {
            Method::Play => {
                let range = request.headers.get("Range").map(str::to_owned);
                Action::Play { pending, query: uri.query, authorization, range, again: self.state == State::Playing }
            }
            Method::Record => Action::Record { pending, query: uri.query, authorization },
            _ => Action::Pause { pending },
        })
    }

    fn teardown(&mut self, request: &Request) -> Action {
        let response = self.finish(Response::new(Status::OK), request.headers.get("CSeq"));
        self.state = State::Init;
        self.tracks.clear();
        self.controls.clear();
        self.path.clear();
        Action::Teardown(response)
    }

    /// A session is of one stream (RFC 2326 section 11.3.11). `*` and an empty path stand for it.
    fn check_same_path(&self, uri: &RequestUri) -> Result<(), Response> {
        if self.state == State::Init || uri.path.is_empty() || uri.path == self.path {
            return Ok(());
        }
        Err(Response::new(Status::AGGREGATE_NOT_ALLOWED))
    }

    /// GStreamer drops the query, and a token in it, when it joins base and control.
    fn restore_query(&self, method: &Method, uri: &mut RequestUri) {
        let follows = matches!(method, Method::Setup | Method::Play | Method::Record);
        if follows && uri.query.is_empty() && uri.path == self.asked.0 {
            uri.query.clone_from(&self.asked.1);
        }
    }

    fn settle(&mut self, pending: &Pending, outcome: Outcome) -> Response {
        match (&pending.method, outcome) {
            (_, Outcome::Refused { status, headers }) => {
                headers.into_iter().fold(Response::new(status), |response, (name, value)| response.with(name, value))
            }
            (Method::Describe, Outcome::Described { sdp }) => {
                self.asked = (pending.path.clone(), pending.query.clone());
                Response::new(Status::OK).with("Content-Base", content_base(&pending.uri)).with_body(SDP_TYPE, sdp)
            }
            // Init => ReadyToRecord
            (Method::Announce, Outcome::Announced { controls }) => {
                self.controls = controls;
                self.state = State::ReadyToRecord;
                self.path.clone_from(&pending.path);
                self.asked = (pending.path.clone(), pending.query.clone());
                Response::new(Status::OK)
            }
            (Method::Setup, Outcome::SetUp { transport }) => self.settle_setup(pending, transport),
            // ReadyToPlay | Playing => Playing
            (Method::Play, Outcome::Playing { rtp_info, range }) => {
                self.state = State::Playing;
                self.playing(&rtp_info, range)
            }
            // ReadyToRecord | Recording => Recording
            (Method::Record, Outcome::Accepted) => {
                self.state = State::Recording;
                Response::new(Status::OK)
            }
            // Playing => ReadyToPlay, Recording => ReadyToRecord, others stay
            (Method::Pause, Outcome::Accepted) => {
                self.state = match self.state {
                    State::Playing => State::ReadyToPlay,
                    State::Recording => State::ReadyToRecord,
                    other => other,
                };
                Response::new(Status::OK)
            }
            _ => Response::new(Status::INTERNAL_SERVER_ERROR),
        }
    }

    /// Init | ReadyToPlay => ReadyToPlay, ReadyToRecord stays
    fn settle_setup(&mut self, pending: &Pending, transport: Transport) -> Response {
        let fits = self.tracks.iter().all(|track| same_way(&track.transport, &transport));
        if !fits || transport.interleaved.is_some_and(|wanted| !channels_free(&self.tracks, wanted)) {
            return Response::new(Status::INTERNAL_SERVER_ERROR);
        }
        if self.state == State::Init {
            self.state = State::ReadyToPlay;
            self.path.clone_from(&pending.path);
        }
        let response = Response::new(Status::OK).with("Transport", transport.to_string());
        let uri = without_user_info(&pending.uri);
        self.tracks.push(SetUpTrack { track: pending.track, transport, uri });
        response
    }

    fn playing(&self, rtp_info: &[RtpInfo], range: Option<String>) -> Response {
        let mut response = Response::new(Status::OK);
        let infos: Vec<String> = rtp_info
            .iter()
            .filter_map(|info| {
                let track = self.tracks.iter().find(|track| track.track == info.track)?;
                let sequence = info.sequence.map_or_else(String::new, |sequence| format!(";seq={sequence}"));
                Some(format!("url={}{sequence};rtptime={}", track.uri, info.timestamp))
            })
            .collect();
        if let Some(range) = range {
            response.headers.push("Range", range);
        }
        if !infos.is_empty() {
            response.headers.push("RTP-Info", infos.join(","));
        }
        response
    }

    fn respond(&self, request: &Request, response: Response) -> Action {
        Action::Respond(self.finish(response, request.headers.get("CSeq")))
    }

    /// Every response bears the request's number and, once there is one, the session.
    fn finish(&self, mut response: Response, cseq: Option<&str>) -> Response {
        if self.state != State::Init {
            let timeout = self.capabilities.session_timeout.as_secs();
            response.headers.push_front("Session", format!("{};timeout={timeout}", self.session_id));
        }
        if let Some(cseq) = cseq {
            response.headers.push_front("CSeq", cseq.to_owned());
        }
        response
    }
}

/// The base for controls: the slash stands before the query. Players that resolve by RFC 3986 (GStreamer) lose the query
/// and would lose the path's last segment otherwise; those that join text (FFmpeg, live555) keep both.
fn content_base(uri: &str) -> String {
    let uri = without_user_info(uri);
    match uri.split_once('?') {
        None => format!("{}/", uri.trim_end_matches('/')),
        Some((path, query)) => format!("{}/?{query}", path.trim_end_matches('/')),
    }
}

/// Those of the header, else those of the URI.
fn credentials(request: &Request, uri: &RequestUri) -> Option<Credentials> {
    request.headers.get("Authorization").and_then(Credentials::parse).or_else(|| {
        let info = uri.user_info.clone()?;
        Some(Credentials::Basic { user: info.user, password: info.password })
    })
}

#[cfg(test)]
mod tests;
