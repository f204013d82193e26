//! Whatever a client sends: cut, understood, agreed to, and the response read again.
#![no_main]

use core::time::Duration;

use libfuzzer_sys::fuzz_target;
use weft_proto::rtsp::machine::{Action, Capabilities, Outcome, RtpInfo, ServerMachine};
use weft_proto::rtsp::{Incoming, Ports, Reader, Request, Response};

fuzz_target!(|bytes: &[u8]| {
    let mut machine = ServerMachine::new("session".into(), capabilities());
    let mut reader = Reader::new();
    // The first byte says in what portions the rest arrives.
    let portion = usize::from(bytes.first().copied().unwrap_or(1)).max(1);
    for chunk in bytes.get(1..).unwrap_or_default().chunks(portion) {
        reader.buffer().extend_from_slice(chunk);
        loop {
            match reader.next() {
                Ok(Some(Incoming::Request(request))) => read_back(&agree(&mut machine, &request)),
                Ok(Some(Incoming::Interleaved { channel, .. })) => _ = machine.track_of_channel(channel),
                Ok(Some(Incoming::Response(_))) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});

fn agree(machine: &mut ServerMachine, request: &Request) -> Response {
    let (pending, outcome) = match machine.request(request) {
        Action::Respond(response) | Action::Teardown(response) => return response,
        Action::Describe { pending, .. } => (pending, Outcome::Described { sdp: "v=0\r\n".into() }),
        Action::Setup { pending, transport, .. } => (pending, Outcome::SetUp { transport }),
        Action::Play { pending, range, .. } => {
            let rtp_info = vec![RtpInfo { track: 0, sequence: Some(0), timestamp: 0 }];
            (pending, Outcome::Playing { rtp_info, range })
        }
        Action::Announce { pending, .. } => {
            (pending, Outcome::Announced { controls: vec!["streamid=0".into(), "streamid=1".into()] })
        }
        Action::Record { pending, .. } | Action::Pause { pending } => (pending, Outcome::Accepted),
    };
    let response = machine.answer(pending, outcome);
    assert_ne!(response.status.code(), 500, "the machine refused what it asked for");
    response
}

fn read_back(response: &Response) {
    let mut bytes = Vec::new();
    response.write(&mut bytes);
    let mut reader = Reader::new();
    reader.buffer().extend_from_slice(&bytes);
    match reader.next() {
        Ok(Some(Incoming::Response(read))) => assert_eq!(read.status, response.status),
        // A header field of the request may come back a little longer than it was.
        Err(_) => {}
        other => panic!("{other:?}"),
    }
}

fn capabilities() -> Capabilities {
    Capabilities {
        udp: Some(Ports { rtp: 8000, rtcp: 8001 }),
        tcp: true,
        multicast: true,
        encrypted: false,
        session_timeout: Duration::from_secs(60),
    }
}
