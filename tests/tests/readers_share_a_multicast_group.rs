//! Multicast: one sender serves all members of a group, and each member is a reader of the path like any other.

use serde_json::json;
use weft_proto::rtsp::machine::ClientMachine;
use weft_proto::rtsp::{Delivery, LowerTransport, Transport};
use weft_tests::clients::Client::{Ffmpeg, Ffmpeg9, GStreamer};
use weft_tests::clients::Way::{Multicast, Tcp};
use weft_tests::clients::contents;
use weft_tests::compare::{Tolerance, compare};
use weft_tests::deadline::Deadline;
use weft_tests::media::{Audio, Media, Video};
use weft_tests::rtsp::Connection;
use weft_tests::server::Server;
use weft_tests::{ffmpeg, http, namespace};

#[test]
fn clients_read_by_multicast() {
    namespace::alone("clients_read_by_multicast", || {
        let _deadline = Deadline::seconds(120);
        let media = Media::new(Video::H264, Audio::Aac);
        let original = contents(&media.nut());
        let server = Server::start();
        let mut publisher = Ffmpeg.publish(&server, Tcp, "cam", media);
        server.wait_ready("cam");
        server.wait_log(&["sender reports tie all tracks together"]);
        // GStreamer hears its own reports come back, takes that for a collision and says good-bye to the group, which
        // ffmpeg takes for the sender's: on one machine they read one after the other.
        for readers in [&[Ffmpeg, Ffmpeg9][..], &[GStreamer]] {
            let captures = readers.iter().map(|reader| (reader, reader.capture(&server, Multicast, "cam", media)));
            let captures: Vec<_> = captures.collect();
            server.wait_readers("cam", readers.len());
            for (reader, capture) in captures {
                let read = capture.finish(4);
                let (track, offset) = if *reader == GStreamer { (1_500, 5_000) } else { (1_000, 1_000) };
                compare(media, &original, &read, Tolerance { track, offset })
                    .unwrap_or_else(|failure| panic!("{reader:?}: {failure}"));
            }
            server.wait_readers("cam", 0);
        }
        publisher.assert_running();
    });
}

#[test]
fn members_of_a_group_are_listed_bounded_and_kicked() {
    namespace::alone("members_of_a_group_are_listed_bounded_and_kicked", || {
        let _deadline = Deadline::seconds(60);
        let server = Server::with("pathDefaults: {maxReaders: 1}");
        let _publisher = ffmpeg::publish(&server, "cam", 1);
        server.wait_ready("cam");
        let (mut first, status) = join(&server);
        assert_eq!(status, 200);
        server.wait_readers("cam", 1);
        let reader = &server.path("cam").unwrap()["readers"][0];
        assert_eq!(reader["type"], "rtspSession");
        let session = server.api(&format!("/v3/rtspsessions/get/{}", reader["id"].as_str().unwrap())).json();
        assert_eq!((&session["state"], &session["transport"]), (&json!("read"), &json!("UDP-multicast")));
        let (_second, status) = join(&server);
        assert_eq!(status, 453, "a second reader where one is allowed");
        let kick = format!("/v3/rtspsessions/kick/{}", reader["id"].as_str().unwrap());
        assert_eq!(http::post(server.api_address(), &kick).unwrap().status, 200);
        server.wait_readers("cam", 0);
        assert!(first.ask(ClientMachine::keep_alive).is_err(), "the kicked member's connection is closed");
        assert_eq!(join(&server).1, 200);
    });
}

/// Asks for the video by multicast; says what PLAY was answered.
fn join(server: &Server) -> (Connection, u16) {
    let mut connection = Connection::open(server.rtsp_address(), &server.rtsp("cam"), None).expect("connect");
    let described = connection.ask(ClientMachine::describe).expect("a response to DESCRIBE");
    let session = weft_proto::sdp::parse(&described.body).expect("a description");
    let control = session.media[0].control.clone().unwrap_or_default();
    let offer = Transport { lower: LowerTransport::Udp, delivery: Delivery::Multicast, ..Transport::default() };
    let answer = connection.ask(|machine| machine.setup(&control, &offer)).expect("a response to SETUP");
    assert!(answer.status.is_success(), "{:?}", answer.status);
    let playing = connection.ask(ClientMachine::play).expect("a response to PLAY");
    (connection, playing.status.code())
}
