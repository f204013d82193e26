//! Those who should not be talked to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{ClientConfig, Connection, ConnectionError, Endpoint};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use weft_proto::time::WallClock;
use weft_proto::wire::entry::NodeId;
use weft_proto::wire::hello::{ClusterId, Greeting, Hello, Purpose};

use super::{Node, authority, now, pair, until};
use crate::identity::{Authority, Current, server_name};
use crate::mesh::tls::{self, CONTROL_PROTOCOLS, LIFELINE_PROTOCOL, Servers};
use crate::mesh::{Refusal, Transport as _};

fn identity(authority: &Authority, trusted: &Authority, node: u64, at: WallClock) -> Current {
    let leaf = authority.issue(NodeId(node), at).unwrap();
    // What a stranger shows is its own, whom it trusts is its own affair.
    let shown = Current::new(&leaf, authority.certificate().clone()).unwrap();
    shown.trusting(trusted.certificate().clone())
}

fn endpoint() -> Endpoint {
    Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()
}

pub(super) async fn connect(to: &Node, config: rustls::ClientConfig) -> Result<Connection, ConnectionError> {
    let config = ClientConfig::new(tls::quic_client(config).unwrap());
    endpoint().connect_with(config, to.mesh.address(), &server_name(to.id)).unwrap().await
}

async fn with_identity(to: &Node, identity: &Current) -> Result<Connection, ConnectionError> {
    connect(to, tls::client(identity, Servers::Dialed, CONTROL_PROTOCOLS).unwrap()).await
}

/// Waits until a node has closed a connection: this is its reason.
pub(super) async fn closed(connection: &Connection) -> String {
    tokio::time::timeout(super::LONGEST, connection.closed()).await.expect("it is closed").to_string()
}

fn hello(node: u64) -> Hello {
    Hello {
        purpose: Purpose::Control,
        cluster: ClusterId([1; 16]),
        node: NodeId(node),
        incarnation: 1,
        process: 4711,
        level_min: 1,
        level_max: 1,
        version: String::new(),
    }
}

async fn say(connection: &Connection, bytes: &[u8]) -> quinn::SendStream {
    let (mut send, _) = connection.open_bi().await.unwrap();
    send.write_all(bytes).await.unwrap();
    send
}

#[tokio::test]
async fn certificates_of_others_and_of_the_past_are_refused_and_the_peers_do_not_notice() {
    let ours = authority();
    let other = authority();
    let (a, b) = pair(&ours).await;
    let long_ago = WallClock::from_unix_micros(now().unix_micros() - 100 * 86_400_000_000);
    for (bad, count) in [(identity(&other, &ours, 2, now()), 1), (identity(&ours, &ours, 2, long_ago), 2)] {
        // The client sees it late: TLS 1.3 lets it send before the server has looked.
        if let Ok(connection) = with_identity(&a, &bad).await {
            closed(&connection).await;
        }
        until("refused", || a.mesh.refusals()[&Refusal::Certificate] == count).await;
    }
    // A client refuses a server just so.
    let stranger = Node::start(&other, 3);
    let fine = identity(&ours, &ours, 2, now());
    assert!(with_identity(&stranger, &fine).await.is_err());
    assert!(a.is_linked_with(&b) && b.is_linked_with(&a));
    assert_eq!((a.mesh.counts().links, b.mesh.counts().links), (1, 1));
}

#[tokio::test]
async fn without_a_certificate_nothing_is_read() {
    let (a, _b) = pair(&authority()).await;
    let mut config = tls::newcomer(a.identity.authority().hash()).unwrap();
    config.alpn_protocols = vec![CONTROL_PROTOCOLS[0].as_bytes().to_vec()];
    let connection = connect(&a, config).await.unwrap();
    assert!(closed(&connection).await.contains("showed no certificate"));
    assert_eq!(a.mesh.refusals()[&Refusal::NoCertificate], 1);
    // Nor with another protocol.
    let mut config = tls::newcomer(a.identity.authority().hash()).unwrap();
    config.alpn_protocols = vec![b"h3".to_vec()];
    assert!(connect(&a, config).await.is_err());
}

#[tokio::test]
async fn hellos_that_are_wrong_are_refused_with_the_reason() {
    let ours = authority();
    let (mut a, _b) = pair(&ours).await;
    let mine = identity(&ours, &ours, 2, now());
    let cases = [
        (hello(3), "no valid certificate"),
        (Hello { cluster: ClusterId([2; 16]), ..hello(2) }, "belongs to another cluster"),
        (Hello { level_min: 5, level_max: 6, ..hello(2) }, "speaks no level"),
        (Hello { incarnation: 0, ..hello(2) }, "earlier process"),
        (hello(2), "second process"),
        (Hello { purpose: Purpose::Lifeline, ..hello(2) }, "does not speak this language"),
    ];
    for (hello, reason) in cases {
        let connection = with_identity(&a, &mine).await.unwrap();
        say(&connection, &Greeting::Hello(hello).encode()).await;
        let said = closed(&connection).await;
        assert!(said.contains(reason), "{said}");
    }
    for bytes in [vec![0xff; 100], [&[1, 0, 1, 0xff, 0xff, 0xff, 0xff][..], &[0; 5000]].concat()] {
        let connection = with_identity(&a, &mine).await.unwrap();
        say(&connection, &bytes).await;
        let said = closed(&connection).await;
        assert!(said.contains("does not speak this language"), "{said}");
    }
    let connection = with_identity(&a, &identity(&ours, &ours, 1, now())).await.unwrap();
    say(&connection, &Greeting::Hello(hello(1)).encode()).await;
    assert!(closed(&connection).await.contains("own id"));
    let notice = a.output.notices.recv().await.unwrap();
    assert!(matches!(notice, crate::mesh::Notice::Twin { incarnation: 1, .. }), "{notice:?}");
    assert_eq!(a.mesh.counts().links, 1);
}

#[tokio::test]
async fn a_hello_that_never_comes_is_not_waited_for() {
    let ours = authority();
    let (a, _b) = pair(&ours).await;
    let connection = with_identity(&a, &identity(&ours, &ours, 2, now())).await.unwrap();
    let half = Greeting::Hello(hello(2)).encode();
    let _stream = say(&connection, &half[..20]).await;
    // Something must come, or the connection would end of itself.
    let alive = async {
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let _ = connection.send_datagram(vec![0].into());
        }
    };
    let said = tokio::select! { said = closed(&connection) => said, () = alive => unreachable!() };
    assert!(said.contains("said nothing in time"), "{said}");
    let silent = TcpStream::connect(a.mesh.address()).await.unwrap();
    until("refused", || a.mesh.refusals()[&Refusal::Deadline] == 2).await;
    drop(silent);
}

#[tokio::test]
async fn plain_bytes_are_thrown_away() {
    let ours = authority();
    let (a, b) = pair(&ours).await;
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for length in [1, 20, 100, 1200, 1400] {
        for first in [0x00, 0x40, 0xc0, 0xff] {
            let mut packet = vec![0x55; length];
            packet[0] = first;
            udp.send_to(&packet, a.mesh.address()).await.unwrap();
        }
    }
    for bytes in [&b"Good day to you, whoever you are.\r\n\r\n"[..], &[0; 5000], &[0x16, 3, 1, 0xff, 0xff]] {
        let mut tcp = TcpStream::connect(a.mesh.address()).await.unwrap();
        let _ = tcp.write_all(bytes).await;
        let _ = tcp.shutdown().await;
        let mut answer = Vec::new();
        let _ = tcp.read_to_end(&mut answer).await;
        assert!(answer.len() < 100, "an alert at most");
    }
    until("refused", || a.mesh.refusals()[&Refusal::Handshake] >= 3).await;
    assert!(a.is_linked_with(&b) && b.is_linked_with(&a));
    assert_eq!((a.mesh.counts().links, b.mesh.counts().links), (1, 1));
}

#[tokio::test]
async fn lifelines_are_held_only_with_the_process_that_is_connected() {
    let ours = authority();
    let (a, b) = pair(&ours).await;
    let dial = async |identity: &Current, hello: Hello| {
        let config = tls::client(identity, Servers::Dialed, &[LIFELINE_PROTOCOL]).unwrap();
        let tcp = TcpStream::connect(a.mesh.address()).await.unwrap();
        let name = server_name(a.id).try_into().unwrap();
        let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        let _ = stream.write_all(&Greeting::Hello(hello).encode()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{answer:?}");
    };
    let lifeline = Hello { purpose: Purpose::Lifeline, ..hello(2) };
    let mine = identity(&ours, &ours, 2, now());
    dial(&mine, lifeline.clone()).await;
    dial(&mine, hello(2)).await;
    dial(&mine, Hello { node: NodeId(3), ..lifeline.clone() }).await;
    dial(&identity(&authority(), &ours, 2, now()), lifeline).await;
    // The last one is refused after its client has seen the server's part.
    until("refused", || a.mesh.refusals()[&Refusal::Certificate] == 2).await;
    let refused = [Refusal::SecondProcess, Refusal::BadHello, Refusal::Certificate].map(|one| a.mesh.refusals()[&one]);
    assert_eq!(refused, [1, 1, 2]);
    assert!(a.is_linked_with(&b));
}

#[tokio::test]
async fn a_crowd_of_strangers_does_not_keep_members_out() {
    let ours = authority();
    let a = Node::start(&ours, 1);
    let other = authority();
    let stranger = identity(&other, &ours, 2, now());
    let b = Node::start(&ours, 2);
    let crowd = async {
        loop {
            let many = (0..100).map(|_| with_identity(&a, &stranger));
            futures_util::future::join_all(many).await;
        }
    };
    let members = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        a.mesh.set_peers([b.peer()].into());
        b.mesh.set_peers([a.peer()].into());
        until("connected", || a.is_linked_with(&b) && b.is_linked_with(&a)).await;
        until("refused", || a.mesh.refusals()[&Refusal::Certificate] > 100).await;
    };
    tokio::select! { () = crowd => unreachable!(), () = members => {} }
    assert_eq!(a.mesh.counts().links, 1);
}
