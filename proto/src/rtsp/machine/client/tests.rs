//! The client against canned answers.

use super::*;

fn ok(request: &Request) -> Response {
    Response::new(Status::OK).with("CSeq", request.headers.get("CSeq").unwrap())
}

fn unauthorized(request: &Request, challenge: &str) -> Response {
    Response { status: Status::UNAUTHORIZED, ..ok(request) }.with("WWW-Authenticate", challenge)
}

#[test]
fn a_session_is_remembered_and_the_base_used() {
    let mut client = ClientMachine::new("rtsp://h/cam", "c");
    let describe = client.describe();
    assert_eq!((describe.uri.as_str(), describe.headers.get("CSeq")), ("rtsp://h/cam", Some("1")));
    client.response(ok(&describe).with("Content-Base", "rtsp://h/cam?a=b/"));
    let setup = client.setup("trackID=0", &Transport::default());
    assert_eq!(setup.uri, "rtsp://h/cam?a=b/trackID=0");
    client.response(ok(&setup).with("Session", "abc; timeout=30"));
    assert_eq!((client.session_id(), client.session_timeout().as_secs()), (Some("abc"), 30));
    assert_eq!(client.setup("rtsp://h/x/1", &Transport::default()).uri, "rtsp://h/x/1");
    assert_eq!(client.play().headers.get("Session"), Some("abc"));
}

#[test]
fn a_challenge_is_answered_once() {
    let mut client = ClientMachine::new("rtsp://joe:pw@h/cam", "c");
    let first = client.options();
    assert_eq!(first.headers.get("Authorization"), None);
    let challenge = "Digest realm=\"x\", nonce=\"1\"";
    let ClientEvent::Retry(second) = client.response(unauthorized(&first, challenge)) else { panic!() };
    assert!(second.headers.get("Authorization").unwrap().starts_with("Digest username=\"joe\""));
    assert_eq!(second.headers.get("CSeq"), Some("2"));
    let refused = client.response(unauthorized(&second, challenge));
    assert!(matches!(refused, ClientEvent::Done(Method::Options, r) if r.status == Status::UNAUTHORIZED));
}

#[test]
fn a_server_that_always_finds_nonces_stale_is_given_up() {
    let mut client = ClientMachine::new("rtsp://joe:pw@h/cam", "c");
    let mut request = client.options();
    for nonce in 0.. {
        assert!(nonce < 10, "endless");
        let challenge = format!("Digest realm=\"x\", nonce=\"{nonce}\", stale=true");
        match client.response(unauthorized(&request, &challenge)) {
            ClientEvent::Retry(again) => request = again,
            _ => break,
        }
    }
}

#[test]
fn answers_to_nothing_are_stray() {
    let mut client = ClientMachine::new("rtsp://h/cam", "c");
    assert_eq!(client.response(Response::new(Status::OK)), ClientEvent::Stray);
    let request = client.options();
    assert_eq!(client.response(Response::new(Status::OK).with("CSeq", "99")), ClientEvent::Stray);
    assert!(matches!(client.response(ok(&request)), ClientEvent::Done(Method::Options, _)));
}
