//! The machine as lists of requests and what comes of them.

use core::time::Duration;

use super::*;
use crate::rtsp::{Channels, Ports};

const TCP: &str = "RTP/AVP/TCP;unicast;interleaved=0-1";
const UDP: &str = "RTP/AVP;unicast;client_port=5000-5001";

fn machine() -> ServerMachine {
    ServerMachine::new("abc".into(), capabilities())
}

fn capabilities() -> Capabilities {
    Capabilities {
        udp: Some(Ports { rtp: 8000, rtcp: 8001 }),
        tcp: true,
        multicast: false,
        encrypted: false,
        session_timeout: Duration::from_secs(60),
    }
}

/// `METHOD uri` with header fields `Name: value`, numbered 7.
fn request(line: &str, headers: &[&str]) -> Request {
    let (method, uri) = line.split_once(' ').unwrap();
    headers.iter().fold(Request::new(Method::from_name(method), uri).with("CSeq", "7"), |request, header| {
        let (name, value) = header.split_once(": ").unwrap();
        request.with(name.to_owned(), value)
    })
}

/// Sends a request, agrees to whatever is asked, and tells the response.
fn agree(machine: &mut ServerMachine, line: &str, headers: &[&str]) -> Response {
    let (pending, outcome) = match machine.request(&request(line, headers)) {
        Action::Respond(response) | Action::Teardown(response) => return response,
        Action::Describe { pending, .. } => (pending, Outcome::Described { sdp: "v=0\r\n".into() }),
        Action::Setup { pending, transport, .. } => (pending, Outcome::SetUp { transport }),
        Action::Play { pending, .. } => {
            let rtp_info = vec![RtpInfo { track: 0, sequence: Some(5), timestamp: 9 }];
            (pending, Outcome::Playing { rtp_info, range: None })
        }
        Action::Announce { pending, .. } => {
            (pending, Outcome::Announced { controls: vec!["streamid=0".into(), "streamid=1".into()] })
        }
        Action::Record { pending, .. } | Action::Pause { pending } => (pending, Outcome::Accepted),
    };
    machine.answer(pending, outcome)
}

/// Runs `(line, headers, wanted status)` in order.
fn run(machine: &mut ServerMachine, steps: &[(&str, &[&str], u16)]) {
    for (line, headers, wanted) in steps {
        let response = agree(machine, line, headers);
        assert_eq!(response.status.code(), *wanted, "{line} {headers:?}");
        assert_eq!(response.headers.get("CSeq"), Some("7"), "{line}");
    }
}

fn transport(track: usize, text: &str) -> (String, String) {
    (format!("SETUP rtsp://h/cam/trackID={track}"), format!("Transport: {text}"))
}

fn set_up(machine: &mut ServerMachine, track: usize, text: &str) -> Response {
    let (line, header) = transport(track, text);
    agree(machine, &line, &[&header])
}

const SESSION: &[&str] = &["Session: abc;timeout=60"];

#[test]
fn a_reader_goes_from_describe_to_teardown() {
    let mut m = machine();
    let described = agree(&mut m, "DESCRIBE rtsp://u:p@h/cam?a=b", &["Accept: application/sdp"]);
    assert_eq!(described.headers.get("Content-Base"), Some("rtsp://h/cam/?a=b"));
    assert_eq!(described.headers.get("Session"), None);
    let ready = set_up(&mut m, 0, UDP);
    assert_eq!(ready.headers.get("Session"), Some("abc;timeout=60"));
    assert_eq!(ready.headers.get("Transport"), Some("RTP/AVP;unicast;client_port=5000-5001;server_port=8000-8001"));
    let playing = agree(&mut m, "PLAY rtsp://h/cam/", SESSION);
    assert_eq!(playing.headers.get("RTP-Info"), Some("url=rtsp://h/cam/trackID=0;seq=5;rtptime=9"));
    assert_eq!(m.state(), State::Playing);
    run(
        &mut m,
        &[
            ("PLAY rtsp://h/cam", SESSION, 200),
            ("GET_PARAMETER rtsp://h/cam", SESSION, 200),
            ("SET_PARAMETER *", SESSION, 200),
            ("SETUP rtsp://h/cam/trackID=1", &["Session: abc", "Transport: RTP/AVP;client_port=1"], 455),
            ("RECORD rtsp://h/cam", SESSION, 455),
            ("PAUSE rtsp://h/cam", SESSION, 200),
        ],
    );
    assert_eq!(m.state(), State::ReadyToPlay);
    assert!(
        matches!(m.request(&request("TEARDOWN rtsp://h/cam", SESSION)), Action::Teardown(r) if r.status == Status::OK)
    );
    assert_eq!((m.state(), m.tracks().len()), (State::Init, 0));
}

/// GStreamer 1.22 asks for `rtsp://h/cam/trackID=0` after a description of `rtsp://h/cam?token=x`.
#[test]
fn a_query_that_a_player_drops_is_remembered() {
    let mut m = machine();
    agree(&mut m, "DESCRIBE rtsp://h/cam?token=x", &[]);
    let asked = |m: &mut ServerMachine, line: &str| match m.request(&request(line, &["Transport: RTP/AVP/TCP"])) {
        Action::Setup { query, .. } => query,
        other => panic!("{other:?}"),
    };
    assert_eq!(asked(&mut m, "SETUP rtsp://h/cam/trackID=0"), "token=x");
    assert_eq!(asked(&mut m, "SETUP rtsp://h/cam?token=y/trackID=0"), "token=y");
    assert_eq!(asked(&mut m, "SETUP rtsp://h/other/trackID=0"), "");
}

#[test]
fn a_publisher_records_the_tracks_it_set_up() {
    let mut m = machine();
    run(
        &mut m,
        &[
            ("ANNOUNCE rtsp://h/cam", &["Content-Type: application/sdp"], 200),
            ("ANNOUNCE rtsp://h/cam", SESSION, 455),
            ("RECORD rtsp://h/cam", SESSION, 455),
            ("SETUP rtsp://h/cam/streamid=0", &["Transport: RTP/AVP/TCP;unicast;mode=play"], 455),
            ("SETUP rtsp://h/cam/streamid=1", &["Transport: RTP/AVP/TCP;unicast;interleaved=2-3;mode=record"], 200),
            ("PLAY rtsp://h/cam", SESSION, 455),
            ("RECORD rtsp://h/cam", SESSION, 200),
            ("RECORD rtsp://h/cam", SESSION, 200),
        ],
    );
    assert_eq!(m.state(), State::Recording);
    assert_eq!((m.track_of_channel(2), m.track_of_channel(3)), (Some((1, false)), Some((1, true))));
    assert_eq!(m.track_of_channel(0), None);
}

#[test]
fn publishers_name_tracks_as_they_like() {
    let track = |controls: &[&str], uri: &str| {
        let mut m = machine();
        let Action::Announce { pending, .. } = m.request(&request("ANNOUNCE rtsp://h/cam?t=x", &[])) else { panic!() };
        let controls = controls.iter().map(|control| (*control).to_owned()).collect();
        m.answer(pending, Outcome::Announced { controls });
        match m.request(&request(&format!("SETUP {uri}"), &["Transport: RTP/AVP/TCP;mode=record"])) {
            Action::Setup { track, path, query, .. } => Ok((track, path, query)),
            Action::Respond(response) => Err(response.status.code()),
            other => panic!("{other:?}"),
        }
    };
    let is = |index| Ok((Some(index), "cam".to_owned(), "t=x".to_owned()));
    assert_eq!(track(&["stream=0", "stream=1"], "rtsp://h/cam/stream=1?t=x"), is(1));
    assert_eq!(track(&["trackID=1", "trackID=2"], "rtsp://h/cam/trackID=1"), is(0));
    assert_eq!(track(&["trackID=1", "trackID=2"], "rtsp://u:p@h/cam?t=x/trackID=2"), is(1));
    assert_eq!(track(&["video", "audio"], "rtsp://h/cam/audio"), is(1));
    assert_eq!(track(&["rtsp://h/cam/a", "rtsp://h/cam/b"], "rtsp://h/cam/b"), is(1));
    assert_eq!(track(&["", ""], "rtsp://h/cam/streamid=1"), is(1));
    assert_eq!(track(&[""], "rtsp://h/cam").map(|(track, ..)| track), Ok(None));
    assert_eq!(track(&["audio"], "rtsp://h/other/audio"), Err(459));
    assert_eq!(track(&["streamid=0"], "rtsp://h/cam/streamid=1"), Err(404));
}

#[test]
fn sessions_must_be_ours() {
    let mut m = machine();
    run(&mut m, &[("PLAY rtsp://h/cam", &[], 455), ("PLAY rtsp://h/cam", SESSION, 454)]);
    set_up(&mut m, 0, TCP);
    run(
        &mut m,
        &[
            ("PLAY rtsp://h/cam", &[], 454),
            ("PLAY rtsp://h/cam", &["Session: xyz"], 454),
            ("GET_PARAMETER rtsp://h/cam", &["Session: xyz"], 454),
            ("OPTIONS rtsp://h/cam", &["Session: xyz"], 200),
            ("GET_PARAMETER rtsp://h/cam", &[], 200),
            ("TEARDOWN rtsp://h/cam", &[], 454),
        ],
    );
}

#[test]
fn requests_that_make_no_sense_are_told_why() {
    let mut m = machine();
    run(
        &mut m,
        &[
            ("FLY rtsp://h/cam", &[], 501),
            ("REDIRECT rtsp://h/cam", &[], 405),
            ("DESCRIBE http://h/cam", &[], 400),
            ("DESCRIBE rtsp://h/cam", &["Accept: text/html, application/rtsl"], 406),
            ("DESCRIBE rtsp://h/cam", &["Accept: */*"], 200),
            ("ANNOUNCE rtsp://h/cam", &["Content-Type: text/html"], 415),
            ("SETUP rtsp://h/cam/trackID=99", &["Transport: RTP/AVP/TCP"], 404),
            ("SETUP rtsp://h/cam/trackID=0", &[], 461),
            ("SETUP rtsp://h/cam/trackID=0", &["Transport: RTP/AVP/TCP;mode=record"], 455),
            ("OPTIONS *", &[], 200),
        ],
    );
    let refused = agree(&mut m, "DESCRIBE rtsp://h/cam", &["Require: www.onvif.org/ver20/backchannel"]);
    assert_eq!(
        (refused.status, refused.headers.get("Unsupported")),
        (Status::OPTION_NOT_SUPPORTED, Some("www.onvif.org/ver20/backchannel"))
    );
    let mut set = request("SET_PARAMETER rtsp://h/cam", &[]);
    set.body = "volume: 11".into();
    assert!(matches!(m.request(&set), Action::Respond(r) if r.status == Status::PARAMETER_NOT_UNDERSTOOD));
    let mut new = request("OPTIONS *", &[]);
    new.version.major = 2;
    assert!(matches!(m.request(&new), Action::Respond(r) if r.status == Status::VERSION_NOT_SUPPORTED));
    let allowed = agree(&mut m, "PLAY rtsp://h/cam", &[]);
    assert_eq!(
        allowed.headers.get("Allow"),
        Some("OPTIONS, DESCRIBE, GET_PARAMETER, SET_PARAMETER, TEARDOWN, ANNOUNCE, SETUP")
    );
}

#[test]
fn one_session_has_one_stream_and_one_kind_of_transport() {
    let mut m = machine();
    assert_eq!(set_up(&mut m, 0, TCP).status, Status::OK);
    assert_eq!(set_up(&mut m, 0, TCP).status.code(), 455, "twice the same track");
    assert_eq!(set_up(&mut m, 1, UDP).status.code(), 461, "mixed transports");
    assert_eq!(set_up(&mut m, 1, &format!("{UDP},RTP/AVP/TCP")).status, Status::OK, "the one that fits is taken");
    let other = "Transport: RTP/AVP/TCP";
    run(
        &mut m,
        &[
            ("SETUP rtsp://h/other/trackID=2", &[other], 459),
            ("PLAY rtsp://h/other", SESSION, 459),
            ("PLAY *", SESSION, 200),
        ],
    );
}

#[test]
fn channels_are_the_clients_choice_while_pairs_are_free() {
    let mut m = machine();
    let given = |m: &mut ServerMachine, track, wanted: &str| {
        assert_eq!(set_up(m, track, &format!("RTP/AVP/TCP{wanted}")).status, Status::OK);
        m.tracks()[track].transport.interleaved.unwrap()
    };
    let pair = |rtp| Channels { rtp, rtcp: rtp + 1 };
    assert_eq!(given(&mut m, 0, ";interleaved=2-3"), pair(2));
    assert_eq!(given(&mut m, 1, ";interleaved=2-3"), pair(0));
    assert_eq!(given(&mut m, 2, ";interleaved=5-6"), pair(4));
    assert_eq!(given(&mut m, 3, ";interleaved=254"), pair(254));
    assert_eq!(given(&mut m, 4, ""), pair(6));
}

#[test]
fn encrypted_connections_take_no_plain_udp() {
    let mut m = ServerMachine::new("abc".into(), Capabilities { encrypted: true, ..capabilities() });
    assert_eq!(set_up(&mut m, 0, UDP).status.code(), 461);
    assert_eq!(set_up(&mut m, 0, TCP).status, Status::OK);
    assert_eq!(set_up(&mut machine(), 0, "RTP/SAVP;unicast;client_port=5000-5001").status.code(), 461);
    assert_eq!(set_up(&mut machine(), 0, "RTP/AVP;multicast").status.code(), 461);
}

#[test]
fn refusals_leave_the_state_and_bear_their_headers() {
    let mut m = machine();
    let asked = request("ANNOUNCE rtsp://joe:pw@h/cam?x=1", &[]);
    let Action::Announce { pending, path, query, authorization, .. } = m.request(&asked) else { panic!() };
    assert_eq!((path.as_str(), query.as_str(), authorization.unwrap().user()), ("cam", "x=1", "joe"));
    let headers = vec![("WWW-Authenticate", "Basic realm=\"weft\"".to_owned())];
    let response = m.answer(pending, Outcome::Refused { status: Status::UNAUTHORIZED, headers });
    assert_eq!((response.status.code(), response.headers.get("www-authenticate")), (401, Some("Basic realm=\"weft\"")));
    assert_eq!((m.state(), m.path()), (State::Init, ""));
    let Action::Announce { pending, .. } = m.request(&asked) else { panic!() };
    assert_eq!(m.answer(pending, Outcome::Described { sdp: String::new() }).status.code(), 500);
}
