//! Whatever arrives at the RTMP port: it ends its own connection, and a node and readers that do not notice.

use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use weft_proto::rtmp::Outgoing;
use weft_proto::rtmp::message::kind;
use weft_tests::deadline::Deadline;
use weft_tests::rtmp::{self, Connection, Player, chunked, media};
use weft_tests::server::Server;
use weft_tests::{ffmpeg, wait};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A server with a publisher, and a player that must not notice anything.
fn served() -> (Server, weft_tests::process::Process, Player) {
    let server = Server::start();
    let publisher = ffmpeg::publish_rtmp(&server, "live/cam", 1);
    server.wait_ready("live/cam");
    let mut player = Player::start(server.rtmp_address(), "live/cam");
    player.video(5);
    (server, publisher, player)
}

fn plays_on(player: &mut Player) {
    let mut last = player.video(5).micros;
    for _ in 0..50 {
        let next = player.video(5).micros;
        assert!(next > last && next - last < 500_000, "from {last} to {next}");
        last = next;
    }
}

/// Whether the server closes the connection in time.
fn is_closed(socket: &socket2::Socket) -> bool {
    let limit = Instant::now() + Duration::from_secs(20);
    let mut chunk = [0; 4096];
    while Instant::now() < limit {
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        match (&*socket).read(&mut chunk) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return true,
        }
    }
    false
}

/// Sends bytes behind a handshake; the server must close.
fn refused(server: &Server, bytes: &[u8]) -> bool {
    let socket = rtmp::connect(server.rtmp_address(), HERE, None).unwrap();
    rtmp::shake_hands(&socket).unwrap();
    // It may have closed before all is sent.
    let _ = (&socket).write_all(bytes);
    is_closed(&socket)
}

fn command(payload: Vec<u8>) -> Vec<u8> {
    chunked(&Outgoing { kind: kind::COMMAND, stream_id: 0, payload: payload.into() }, 0)
}

#[test]
fn bombs_of_amf_and_impossible_chunks_end_only_their_connection() {
    let _limit = Deadline::seconds(120);
    let (server, _publisher, mut player) = served();
    let name = b"\x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0";
    // Arrays in arrays, objects in objects, a sea of nulls.
    for bomb in [[10u8, 0, 0, 0, 1].repeat(12_000), [3u8, 0, 1, b'a'].repeat(15_000), vec![5; 60_000]] {
        assert!(refused(&server, &command([&name[..], &bomb].concat())));
    }
    // A string that ends behind the message.
    assert!(refused(&server, &command([&name[..], &[12, 0xff, 0xff, 0xff, 0xff]].concat())));
    // A command larger than any may be.
    assert!(refused(&server, &command(vec![0; 100_000])));
    for size in [0u32, 0x8000_0000, u32::MAX] {
        let payload = size.to_be_bytes().to_vec().into();
        assert!(refused(&server, &chunked(&Outgoing { kind: kind::SET_CHUNK_SIZE, stream_id: 0, payload }, 0)));
    }
    // A header that refers to none; a command before connect.
    assert!(refused(&server, &[0xc9, 0, 0, 0]));
    assert!(refused(&server, &command(b"\x02\0\x04play\0\0\0\0\0\0\0\0\0".to_vec())));
    plays_on(&mut player);
    assert_eq!(server.api("/health").status, 200);
}

#[test]
fn messages_begun_on_many_streams_take_no_memory() {
    let _limit = Deadline::seconds(120);
    let (server, _publisher, mut player) = served();
    // Nobody in particular: 60 KB announced on each of 60 chunk streams.
    let begun =
        |id: u8, length: u32| [&[id, 0, 0, 0][..], &length.to_be_bytes()[1..], &[9, 1, 0, 0, 0], &[0; 128]].concat();
    assert!(refused(&server, &(3..63).flat_map(|id| begun(id, 60_000)).collect::<Vec<_>>()));
    let before = server.process.memory();
    let mut held = Vec::new();
    for number in 0..16 {
        // A publisher may send much; not 16 MB on every stream.
        let mut publisher = Connection::open(server.rtmp_address(), &format!("live/x{number}"), true, None).unwrap();
        publisher.begun().unwrap();
        let grow = chunked(
            &Outgoing {
                kind: kind::SET_CHUNK_SIZE,
                stream_id: 0,
                payload: 0x7fff_ffffu32.to_be_bytes().to_vec().into(),
            },
            0,
        );
        publisher.send_bytes(&grow).unwrap();
        let header = [&[40, 0, 0, 0][..], &0xff_fff0u32.to_be_bytes()[1..], &[9, 1, 0, 0, 0]].concat();
        publisher.send_bytes(&header).unwrap();
        held.push(publisher);
    }
    plays_on(&mut player);
    assert!(server.process.memory() < before + (32 << 20), "announced is not allocated");
}

#[test]
fn tags_that_lie_cost_their_frame_only() {
    let _limit = Deadline::seconds(120);
    let (server, _publisher, mut player) = served();
    let mut publisher = Connection::open(server.rtmp_address(), "live/lies", true, None).unwrap();
    let id = publisher.begun().unwrap();
    for (body, kind) in [
        // NAL units longer than their message, a configuration of noise, an AAC frame before its configuration.
        (vec![0x17, 1, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0x65], kind::VIDEO),
        (vec![0x17, 0, 0, 0, 0, 1, 2, 3], kind::VIDEO),
        (vec![0xaf, 1, 0x21, 0x10], kind::AUDIO),
        (vec![], kind::VIDEO),
    ] {
        if !body.is_empty() {
            publisher.send(&media(kind, id, body), 0).unwrap();
        }
    }
    // G.711 is taken all the same.
    for n in 0..200u32 {
        publisher.send(&media(kind::AUDIO, id, [&[0x72][..], &[0xd5; 160]].concat()), n * 20).unwrap();
    }
    wait::until("the honest track", 10, || {
        let path = server.path("live/lies")?;
        (path["tracks"][0] == "G711").then_some(())
    });
    // Tracks of a multitrack packet that reach beyond it: that is no RTMP any more.
    let lying = [&[0x95, 0x11][..], b"Opus", &[0, 0xff, 0xff, 0xff, 1]].concat();
    publisher.send(&media(kind::AUDIO, id, lying), 5_000).unwrap();
    wait::until("the liar to be gone", 10, || server.path("live/lies").is_none().then_some(()));
    plays_on(&mut player);
}

#[test]
fn noise_and_half_handshakes_end_in_time() {
    let _limit = Deadline::seconds(120);
    let (server, _publisher, mut player) = served();
    let mut half = Vec::new();
    for bytes in [&b"\x03"[..], b"\x03half a handshake", &[]] {
        let socket = rtmp::connect(server.rtmp_address(), HERE, None).unwrap();
        (&socket).write_all(bytes).unwrap();
        half.push(socket);
    }
    for bytes in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00", b"DESCRIBE rtsp://h/cam RTSP/1.0\r\n"]
    {
        let socket = rtmp::connect(server.rtmp_address(), HERE, None).unwrap();
        (&socket).write_all(bytes).unwrap();
        assert!(is_closed(&socket), "{bytes:?}");
    }
    plays_on(&mut player);
    for socket in half {
        assert!(is_closed(&socket), "slow handshakes end");
    }
}

#[test]
fn thousands_of_half_open_connections_leave_room_for_others() {
    let _limit = Deadline::seconds(120);
    let (server, _publisher, mut player) = served();
    let before = server.process.memory();
    let greedy = Ipv4Addr::new(127, 0, 0, 2);
    let mut held = Vec::new();
    for _ in 0..3_000 {
        if let Ok(socket) = rtmp::connect(server.rtmp_address(), greedy, None) {
            let _ = (&socket).write_all(&[3; 1000]);
            held.push(socket);
        }
    }
    let mut other = Player::start(server.rtmp_address(), "live/cam");
    other.video(5);
    plays_on(&mut player);
    assert!(server.process.memory() < before + (32 << 20));
}
