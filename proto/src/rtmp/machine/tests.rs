use bytes::Bytes;

use super::super::amf0::{self, Value};
use super::super::message::{event, kind};
use super::super::{Message, Outgoing};
use super::command::command;
use super::*;

fn message(sent: Outgoing) -> Message {
    Message { kind: sent.kind, stream_id: sent.stream_id, timestamp: 0, body: sent.payload.into() }
}

fn ask(machine: &mut ServerMachine, stream_id: u32, name: &str, transaction: f64, values: &[Value]) -> Vec<Action> {
    let mut out = Vec::new();
    machine.message(message(command(stream_id, name, transaction, values)), &mut out).unwrap();
    out
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn connected(properties: &[(&str, Value)]) -> (ServerMachine, Vec<Action>) {
    let mut machine = ServerMachine::new();
    let mut all = vec![("app", text("live")), ("tcUrl", text("rtmp://h/live")), ("flashVer", text("OBS"))];
    all.extend_from_slice(properties);
    let out = ask(&mut machine, 0, "connect", 1.0, &[Value::object(all)]);
    (machine, out)
}

/// Name and status code of each command that is sent.
fn answers(actions: &[Action]) -> Vec<(String, String)> {
    let commands = actions.iter().filter_map(|action| match action {
        Action::Send(sent) if sent.kind == kind::COMMAND => Some(amf0::read_all(&sent.payload).unwrap()),
        _ => None,
    });
    let code = |values: &[Value]| {
        let object = values.iter().rev().find_map(Value::as_object)?;
        Some(object.get("code")?.as_str()?.to_owned())
    };
    commands.map(|values| (values[0].as_str().unwrap().to_owned(), code(&values).unwrap_or_default())).collect()
}

fn pending(actions: Vec<Action>) -> (Pending, String, String) {
    actions
        .into_iter()
        .find_map(|action| match action {
            Action::Publish { pending, path, query } | Action::Play { pending, path, query } => {
                Some((pending, path, query))
            }
            _ => None,
        })
        .expect("a request")
}

#[test]
fn connect_is_answered_and_the_client_remembered() {
    let (machine, out) = connected(&[]);
    assert_eq!(answers(&out), [("_result".into(), "NetConnection.Connect.Success".into())]);
    assert!(matches!(out[2], Action::SetChunkSize));
    let client = machine.client().unwrap();
    assert_eq!((client.version.as_str(), client.capabilities.is_enhanced()), ("OBS", false));
}

#[test]
fn a_publisher_publishes_and_goes() {
    let (mut machine, _) = connected(&[]);
    let (other, key) = ([Value::Null, text("cam")], [Value::Null, text("cam?user=a"), text("live")]);
    assert_eq!(answers(&ask(&mut machine, 0, "releaseStream", 2.0, &other))[0].0, "_result");
    assert_eq!(answers(&ask(&mut machine, 0, "FCPublish", 3.0, &other))[1].0, "onFCPublish");
    assert_eq!(answers(&ask(&mut machine, 0, "createStream", 4.0, &[Value::Null]))[0].0, "_result");
    let (pending, path, query) = pending(ask(&mut machine, 1, "publish", 5.0, &key));
    assert_eq!((path.as_str(), query.as_str()), ("live/cam", "user=a"));
    let media = || Message { kind: kind::VIDEO, stream_id: 1, timestamp: 5, body: Bytes::from_static(b"x").into() };
    let mut out = Vec::new();
    machine.message(media(), &mut out).unwrap();
    assert!(out.is_empty(), "nothing is taken before the answer");
    machine.answer(&pending, Outcome::Accepted, &mut out);
    assert_eq!(answers(&out), [("onStatus".into(), "NetStream.Publish.Start".into())]);
    out.clear();
    machine.message(media(), &mut out).unwrap();
    assert!(matches!(out[0], Action::Media(Media::Video(5, _))));
    let out = ask(&mut machine, 0, "deleteStream", 6.0, &[Value::Null, Value::Number(1.0)]);
    assert!(matches!(out.last(), Some(Action::Stop)));
}

#[test]
fn a_reader_reads_pauses_and_stops() {
    let (mut machine, _) = connected(&[]);
    ask(&mut machine, 0, "createStream", 2.0, &[Value::Null]);
    let values = [Value::Null, text("cam"), Value::Number(-2000.0)];
    let (pending, path, _) = pending(ask(&mut machine, 1, "play", 0.0, &values));
    assert_eq!(path, "live/cam");
    let mut out = Vec::new();
    machine.answer(&pending, Outcome::Accepted, &mut out);
    let codes: Vec<String> = answers(&out).into_iter().map(|(_, code)| code).collect();
    assert_eq!(codes, ["NetStream.Play.Reset", "NetStream.Play.Start"]);
    let pause = |on| [Value::Null, Value::Boolean(on), Value::Number(0.0)];
    assert!(matches!(ask(&mut machine, 1, "pause", 0.0, &pause(true)).last(), Some(Action::Pause(true))));
    assert!(matches!(ask(&mut machine, 1, "pause", 0.0, &pause(false)).last(), Some(Action::Pause(false))));
    assert!(matches!(ask(&mut machine, 1, "closeStream", 0.0, &[Value::Null]).last(), Some(Action::Stop)));
    ask(&mut machine, 1, "play2", 0.0, &[Value::Null, Value::object([("streamName", text("other"))])]);
}

#[test]
fn refusals_have_the_codes_that_clients_know() {
    for (name, refusal, code) in [
        ("publish", Refusal::Taken, "NetStream.Publish.BadName"),
        ("publish", Refusal::Denied, "NetStream.Publish.Denied"),
        ("play", Refusal::NotFound, "NetStream.Play.StreamNotFound"),
        ("play", Refusal::NoTracks, "NetStream.Play.NoSupportedTrackFound"),
    ] {
        let (mut machine, _) = connected(&[]);
        let (pending, ..) = pending(ask(&mut machine, 1, name, 5.0, &[Value::Null, text("cam")]));
        let mut out = Vec::new();
        machine.answer(&pending, Outcome::Refused(refusal), &mut out);
        assert_eq!(answers(&out), [("onStatus".into(), code.into())]);
    }
}

#[test]
fn capabilities_are_understood_and_shown_to_who_has_some() {
    let list = Value::StrictArray(vec![text("hvc1"), text("Opus")]);
    let map = Value::object([("av01", Value::Number(1.0)), ("vp09", Value::Number(2.0))]);
    let (machine, out) =
        connected(&[("fourCcList", list), ("videoFourCcInfoMap", map), ("capsEx", Value::Number(3.0))]);
    let capabilities = &machine.client().unwrap().capabilities;
    let takes = |four_cc| {
        capabilities
            .takes(super::super::tag::Carriage { plain: false, four_cc: Some(super::super::tag::FourCc(four_cc)) })
    };
    assert_eq!([*b"hvc1", *b"Opus", *b"av01", *b"vp09", *b"fLaC"].map(takes), [true, true, true, false, false]);
    assert!(capabilities.reconnect && capabilities.multitrack);
    let mut asked = Vec::new();
    assert!(machine.ask_to_reconnect(Some("other"), &mut asked));
    assert_eq!(answers(&asked)[0].1, "NetConnection.Connect.ReconnectRequest");
    let Action::Send(result) = &out[3] else { panic!("{out:?}") };
    let values = amf0::read_all(&result.payload).unwrap();
    assert!(values[3].as_object().unwrap().get("videoFourCcInfoMap").is_some());
    assert!(!connected(&[]).0.ask_to_reconnect(None, &mut asked));
}

#[test]
fn a_reader_that_is_asked_to_reconnect_reads_on() {
    let (mut machine, _) = connected(&[("capsEx", Value::Number(1.0))]);
    let (pending, ..) = pending(ask(&mut machine, 1, "play", 0.0, &[Value::Null, text("cam")]));
    machine.answer(&pending, Outcome::Accepted, &mut Vec::new());
    let mut asked = Vec::new();
    assert!(machine.ask_to_reconnect(None, &mut asked));
    let [Action::Send(sent)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(sent.stream_id, 0, "it is the connection's affair, not the stream's");
    assert_eq!(answers(&asked), [("onStatus".into(), "NetConnection.Connect.ReconnectRequest".into())]);
    let pause = [Value::Null, Value::Boolean(true), Value::Number(0.0)];
    assert!(matches!(ask(&mut machine, 1, "pause", 0.0, &pause).last(), Some(Action::Pause(true))));
}

#[test]
fn pings_are_answered_and_windows_acknowledged() {
    let (mut machine, _) = connected(&[]);
    let mut out = Vec::new();
    machine.message(message(Outgoing::event(event::PING_REQUEST, 77)), &mut out).unwrap();
    assert!(matches!(&out[0], Action::Send(sent) if *sent == Outgoing::event(event::PING_RESPONSE, 77)));
    out.clear();
    machine.message(message(Outgoing::number(kind::WINDOW_ACKNOWLEDGEMENT_SIZE, 1000)), &mut out).unwrap();
    machine.received(499, &mut out);
    assert!(out.is_empty());
    machine.received(1200, &mut out);
    assert!(matches!(&out[0], Action::Send(sent) if *sent == Outgoing::number(kind::ACKNOWLEDGEMENT, 1200)));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut machine = ServerMachine::new();
    let play = message(command(1, "play", 0.0, &[Value::Null, text("cam")]));
    assert!(machine.message(play, &mut Vec::new()).is_err(), "before connect");
    let (mut machine, _) = connected(&[]);
    assert_eq!(answers(&ask(&mut machine, 0, "frobnicate", 9.0, &[Value::Null]))[0].0, "_error");
    assert!(ask(&mut machine, 0, "frobnicate", 0.0, &[]).is_empty());
    ask(&mut machine, 1, "publish", 5.0, &[Value::Null, text("a")]);
    let second = message(command(1, "publish", 5.0, &[Value::Null, text("b")]));
    assert!(machine.message(second, &mut Vec::new()).is_err());
}

/// Carries messages between a client and a server until nothing is left.
#[test]
fn client_and_server_understand_each_other() {
    for publish in [true, false] {
        let mut server = ServerMachine::new();
        let mut client = ClientMachine::new("live", "rtmp://h/live", "cam", publish, true);
        let mut to_server = vec![client.connect()];
        let mut begun = None;
        while !to_server.is_empty() {
            let mut actions = Vec::new();
            for sent in core::mem::take(&mut to_server) {
                server.message(message(sent), &mut actions).unwrap();
            }
            let mut events = Vec::new();
            for action in actions {
                let mut sends = Vec::new();
                match action {
                    Action::Send(sent) => sends.push(Action::Send(sent)),
                    Action::Publish { pending, path, .. } | Action::Play { pending, path, .. } => {
                        assert_eq!(path, "live/cam");
                        server.answer(&pending, Outcome::Accepted, &mut sends);
                    }
                    _ => {}
                }
                for send in sends {
                    if let Action::Send(sent) = send {
                        client.message(message(sent), &mut events).unwrap();
                    }
                }
            }
            for event in events {
                match event {
                    ClientEvent::Send(sent) => to_server.push(sent),
                    ClientEvent::Begun { stream_id } => begun = Some(stream_id),
                    ClientEvent::Media(Media::Data(..)) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(begun, Some(1));
        assert!(server.client().unwrap().capabilities.multitrack);
    }
}
