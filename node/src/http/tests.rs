//! Requests in, whole JSON out.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request};
use futures_util::future::{BoxFuture, ready};
use serde_json::Value;
use tower::ServiceExt;
use uuid::Uuid;
use weft_proto::id::PathName;

use super::*;
use crate::auth::{AuthRequest, Credentials, Decision};

pub(super) struct Fake {
    pub(super) ready: bool,
    pub(super) paths: usize,
    pub(super) broken: bool,
}

pub(super) const FAKE: Fake = Fake { ready: true, paths: 2, broken: false };

fn at(seconds: u64, nanoseconds: u32) -> Timestamp {
    Timestamp(SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds))
}

fn a_path() -> PathInfo {
    PathInfo {
        name: "cam/front".into(),
        conf_name: "all_others".into(),
        available: Some(at(1_795_473_000, 123_456_789)),
        online: Some(at(1_795_473_000, 0)),
        source: Some(PeerRef { kind: "rtspSession", id: Uuid::from_u128(1).to_string() }),
        tracks: vec![
            TrackInfo {
                codec: "H264",
                codec_props: Some(CodecProps::H26x {
                    width: 1280,
                    height: 720,
                    profile: "High".into(),
                    level: "3.1".into(),
                }),
            },
            TrackInfo { codec: "Opus", codec_props: Some(CodecProps::Opus { channel_count: 2 }) },
            TrackInfo { codec: "Generic", codec_props: None },
        ],
        readers: vec![ReaderRef { kind: "rtspSession", id: "r".into(), node: "a".into() }],
        relays: vec![],
        standbys: vec![],
        takeovers: 0,
        inbound_bytes: 10,
        outbound_bytes: 20,
        inbound_frames_in_error: 3,
        node: "a".into(),
    }
}

fn an_idle_path(name: &str) -> PathInfo {
    let name = name.to_owned();
    PathInfo { name, available: None, online: None, source: None, tracks: vec![], readers: vec![], ..a_path() }
}

fn a_conn(id: u128, created: u64) -> RtspConnInfo {
    RtspConnInfo {
        id: Uuid::from_u128(id),
        created: at(created, 500_000_000),
        remote_addr: "[::1]:5000".parse().unwrap(),
        session: (id == 2).then(|| Uuid::from_u128(9)),
        tunnel: Tunnel::None,
        inbound_bytes: 1,
        outbound_bytes: 2,
    }
}

fn a_session() -> RtspSessionInfo {
    RtspSessionInfo {
        id: Uuid::from_u128(9),
        created: at(0, 0),
        remote_addr: "192.0.2.1:5000".parse().unwrap(),
        state: RtspState::Publish,
        path: "cam".into(),
        query: "a=b".into(),
        user: "joe".into(),
        user_agent: "VLC".into(),
        transport: Some("TCP"),
        profile: None,
        conns: vec![Uuid::from_u128(2)],
        inbound_bytes: 1,
        inbound_rtp_packets: 2,
        inbound_rtp_packets_lost: 3,
        inbound_rtp_packets_in_error: 4,
        inbound_rtp_packets_jitter: 5.5,
        inbound_rtcp_packets: 6,
        inbound_rtcp_packets_in_error: 7,
        outbound_bytes: 8,
        outbound_rtp_packets: 9,
        outbound_rtp_packets_reported_lost: 10,
        outbound_rtp_packets_discarded: 11,
        outbound_rtcp_packets: 12,
    }
}

fn an_rtmp_conn() -> RtmpConnInfo {
    RtmpConnInfo {
        id: Uuid::from_u128(3),
        created: at(0, 0),
        remote_addr: "192.0.2.1:5000".parse().unwrap(),
        state: RtspState::Publish,
        path: "live/cam".into(),
        query: "user=a".into(),
        user: "a".into(),
        user_agent: "OBS".into(),
        inbound_bytes: 1,
        outbound_bytes: 2,
        outbound_frames_discarded: 3,
    }
}

fn answer<'a, T: Send + 'a>(value: T) -> ApiFuture<'a, T> {
    Box::pin(ready(Ok(value)))
}

impl ApiSource for Fake {
    fn info(&self) -> Info {
        Info { node: "a".into(), version: "1.2.3".into(), started: at(0, 0), uptime: Duration::from_millis(7900) }
    }

    fn readiness(&self) -> BoxFuture<'_, Readiness> {
        let state = if self.ready { Readiness::Ready } else { Readiness::NotReady("draining".into()) };
        Box::pin(ready(state))
    }

    fn drain(&self, _: DrainWish) -> ApiFuture<'_, DrainView> {
        answer(DrainView {
            node: "a".into(),
            draining: true,
            agreed: true,
            publishers: 1,
            readers: 2,
            seconds_left: Some(1.5),
        })
    }

    fn path_names(&self) -> ApiFuture<'_, Vec<String>> {
        if self.broken {
            return Box::pin(ready(Err(ApiError::Internal("the fabric is gone".into()))));
        }
        answer((0..self.paths).rev().map(|i| format!("p{i}")).collect())
    }

    fn path(&self, name: PathName) -> ApiFuture<'_, Option<PathInfo>> {
        let idle = || name.as_str().starts_with('p').then(|| an_idle_path(name.as_str()));
        answer((name.as_str() == "cam/front").then(a_path).or_else(idle))
    }

    fn rtsp_conns(&self, server: RtspServer) -> ApiFuture<'_, Vec<RtspConnInfo>> {
        let plain = server == RtspServer::Plain;
        answer(if plain { vec![a_conn(1, 20), a_conn(2, 10)] } else { vec![] })
    }

    fn rtsp_sessions(&self, _server: RtspServer) -> ApiFuture<'_, Vec<RtspSessionInfo>> {
        answer(vec![a_session()])
    }

    fn kick_rtsp_session(&self, _server: RtspServer, id: Uuid) -> ApiFuture<'_, bool> {
        answer(id == Uuid::from_u128(9))
    }

    fn rtmp_conns(&self, server: RtmpServer) -> ApiFuture<'_, Vec<RtmpConnInfo>> {
        answer(if server == RtmpServer::Plain { vec![an_rtmp_conn()] } else { vec![] })
    }

    fn kick_rtmp_conn(&self, _server: RtmpServer, id: Uuid) -> ApiFuture<'_, bool> {
        answer(id == Uuid::from_u128(3))
    }
}

pub(super) struct Asked {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(super) async fn ask(
    source: Fake,
    access: Access,
    peer: &str,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
) -> Asked {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    if let Ok(peer) = peer.parse::<SocketAddr>() {
        request.extensions_mut().insert(ConnectInfo(peer));
    }
    let response = router(Arc::new(source), access).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
    Asked { status: parts.status.as_u16(), headers: parts.headers, body }
}

pub(super) async fn get(uri: &str) -> (u16, String) {
    let asked = ask(FAKE, Access::default(), "127.0.0.1:1", "GET", uri, &[]).await;
    (asked.status, asked.body)
}

pub(super) fn error(text: &str) -> String {
    format!(r#"{{"status":"error","error":"{text}"}}"#)
}

#[tokio::test]
async fn info_and_health() {
    let info = r#"{"version":"1.2.3","started":"1970-01-01T00:00:00Z"}"#;
    assert_eq!(get("/v3/info").await, (200, info.into()));
    assert_eq!(get("/health").await, (200, r#"{"status":"up","version":"1.2.3","uptime":7}"#.into()));
    assert_eq!(get("/ready").await, (200, r#"{"status":"ready"}"#.into()));
    let busy = Fake { ready: false, ..FAKE };
    let asked = ask(busy, Access::default(), "192.0.2.1:1", "GET", "/ready", &[]).await;
    assert_eq!((asked.status, asked.body.as_str()), (503, r#"{"status":"not ready","reason":"draining"}"#));
}

#[tokio::test]
async fn a_path_has_the_known_shape() {
    let expected = concat!(
        r#"{"name":"cam/front","confName":"all_others","ready":true,"readyTime":"2026-11-23T22:30:00.123456789Z","#,
        r#""available":true,"availableTime":"2026-11-23T22:30:00.123456789Z","#,
        r#""online":true,"onlineTime":"2026-11-23T22:30:00Z","#,
        r#""source":{"type":"rtspSession","id":"00000000-0000-0000-0000-000000000001"},"#,
        r#""tracks":["H264","Opus","Generic"],"#,
        r#""tracks2":[{"codec":"H264","codecProps":{"width":1280,"height":720,"profile":"High","level":"3.1"}},"#,
        r#"{"codec":"Opus","codecProps":{"channelCount":2}},{"codec":"Generic","codecProps":null}],"#,
        r#""readers":[{"type":"rtspSession","id":"r","node":"a"}],"inboundBytes":10,"outboundBytes":20,"inboundFramesInError":3,"#,
        r#""bytesReceived":10,"bytesSent":20,"node":"a"}"#,
    );
    assert_eq!(get("/v3/paths/get/cam/front").await, (200, expected.into()));
    assert_eq!(get("/v3/paths/get/cam%2Ffront").await.0, 200);
    assert_eq!(get("/v3/paths/get/cam").await, (404, error("path not found")));
    assert_eq!(get("/v3/paths/get/../x").await, (404, error("path not found")));
    assert_eq!(get("/v3/paths/get/").await, (400, error("invalid name")));
}

#[tokio::test]
async fn lists_are_sorted_and_come_in_pages() {
    let (status, body) = get("/v3/paths/list").await;
    let list: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &list["itemCount"], &list["pageCount"]), (200, &2.into(), &1.into()));
    assert_eq!((&list["items"][0]["name"], &list["items"][1]["name"]), (&"p0".into(), &"p1".into()));
    let idle = concat!(
        r#"{"itemCount":2,"pageCount":2,"items":[{"name":"p1","confName":"all_others","ready":false,"readyTime":null,"#,
        r#""available":false,"availableTime":null,"online":false,"onlineTime":null,"source":null,"tracks":[],"#,
        r#""tracks2":[],"readers":[],"inboundBytes":10,"outboundBytes":20,"inboundFramesInError":3,"#,
        r#""bytesReceived":10,"bytesSent":20,"node":"a"}]}"#,
    );
    assert_eq!(get("/v3/paths/list?page=1&itemsPerPage=1").await, (200, idle.into()));
    assert_eq!(get("/v3/paths/list?page=7").await, (200, r#"{"itemCount":2,"pageCount":1,"items":[]}"#.into()));
    assert_eq!(get("/v3/paths/list?itemsPerPage=0").await, (400, error("invalid items per page")));
    assert_eq!(get("/v3/paths/list?page=x").await, (400, error(r#"invalid number \"x\""#)));
    let empty = ask(Fake { paths: 0, ..FAKE }, Access::default(), "[::1]:1", "GET", "/v3/paths/list", &[]).await;
    assert_eq!(empty.body, r#"{"itemCount":0,"pageCount":0,"items":[]}"#);
    let broken = ask(Fake { broken: true, ..FAKE }, Access::default(), "[::1]:1", "GET", "/v3/paths/list", &[]).await;
    assert_eq!((broken.status, broken.body), (500, error("the fabric is gone")));
}

#[tokio::test]
async fn rtsp_connections() {
    let second = concat!(
        r#"{"id":"00000000-0000-0000-0000-000000000002","created":"1970-01-01T00:00:10.5Z","remoteAddr":"[::1]:5000","#,
        r#""session":"00000000-0000-0000-0000-000000000009","tunnel":"none","inboundBytes":1,"outboundBytes":2,"#,
        r#""bytesReceived":1,"bytesSent":2,"node":"a"}"#,
    );
    let first = second
        .replace("000002", "000001")
        .replace("00:10.5Z", "00:20.5Z")
        .replace(r#""00000000-0000-0000-0000-000000000009""#, "null");
    let list = format!(r#"{{"itemCount":2,"pageCount":1,"items":[{second},{first}]}}"#);
    assert_eq!(get("/v3/rtspconns/list").await, (200, list));
    assert_eq!(get("/v3/rtspconns/get/00000000-0000-0000-0000-000000000001").await, (200, first));
    let missing = get("/v3/rtspconns/get/00000000-0000-0000-0000-000000000003").await;
    assert_eq!(missing, (404, error("connection not found")));
    let (status, body) = get("/v3/rtspconns/get/abc").await;
    assert!(status == 400 && body.starts_with(r#"{"status":"error","error":"invalid UUID: "#), "{body}");
}

#[tokio::test]
async fn rtsp_sessions() {
    let expected = concat!(
        r#"{"id":"00000000-0000-0000-0000-000000000009","created":"1970-01-01T00:00:00Z","#,
        r#""remoteAddr":"192.0.2.1:5000","state":"publish","path":"cam","query":"a=b","user":"joe","userAgent":"VLC","#,
        r#""transport":"TCP","profile":null,"conns":["00000000-0000-0000-0000-000000000002"],"#,
        r#""inboundBytes":1,"inboundRTPPackets":2,"inboundRTPPacketsLost":3,"inboundRTPPacketsInError":4,"#,
        r#""inboundRTPPacketsJitter":5.5,"inboundRTCPPackets":6,"inboundRTCPPacketsInError":7,"#,
        r#""outboundBytes":8,"outboundRTPPackets":9,"outboundRTPPacketsReportedLost":10,"#,
        r#""outboundRTPPacketsDiscarded":11,"outboundRTCPPackets":12,"bytesReceived":1,"bytesSent":8,"#,
        r#""rtpPacketsReceived":2,"rtpPacketsSent":9,"rtpPacketsLost":3,"rtpPacketsInError":4,"rtpPacketsJitter":5.5,"#,
        r#""rtcpPacketsReceived":6,"rtcpPacketsSent":12,"rtcpPacketsInError":7,"node":"a"}"#,
    );
    assert_eq!(get("/v3/rtspsessions/get/00000000-0000-0000-0000-000000000009").await, (200, expected.into()));
    let list = format!(r#"{{"itemCount":1,"pageCount":1,"items":[{expected}]}}"#);
    assert_eq!(get("/v3/rtspsessions/list").await, (200, list));
    let post = async |uri: &str| {
        let asked = ask(FAKE, Access::default(), "127.0.0.1:1", "POST", uri, &[]).await;
        (asked.status, asked.body)
    };
    let kick = "/v3/rtspsessions/kick/00000000-0000-0000-0000-00000000000";
    assert_eq!(post(&format!("{kick}9")).await, (200, r#"{"status":"ok"}"#.into()));
    assert_eq!(post(&format!("{kick}8")).await, (404, error("session not found")));
    assert_eq!(post(&format!("{kick}x")).await.0, 400);
    assert_eq!(get(&format!("{kick}9")).await, (405, error("method not allowed")));
}

#[tokio::test]
async fn routes_of_a_server_are_there_while_it_runs() {
    assert_eq!(get("/v3/rtspsconns/list").await, (404, error("not found")));
    let access = Access { rtsp: false, rtsps: true, ..Access::default() };
    let secure = ask(FAKE, access.clone(), "127.0.0.1:1", "GET", "/v3/rtspsconns/list", &[]).await;
    assert_eq!((secure.status, secure.body.as_str()), (200, r#"{"itemCount":0,"pageCount":0,"items":[]}"#));
    assert_eq!(ask(FAKE, access, "127.0.0.1:1", "GET", "/v3/rtspconns/list", &[]).await.status, 404);
}

#[tokio::test]
async fn strangers_are_asked_who_they_are() {
    for (peer, uri, status) in [
        ("192.0.2.1:1", "/v3/info", 401),
        ("192.0.2.1:1", "/v3/nonsense", 401),
        ("nobody knows", "/v3/info", 401),
        ("192.0.2.1:1", "/health", 200),
        ("[::ffff:127.0.0.1]:1", "/v3/info", 200),
    ] {
        let asked = ask(FAKE, Access::default(), peer, "GET", uri, &[]).await;
        assert_eq!(asked.status, status, "{peer} {uri}");
        let challenge = (status == 401).then_some("Basic realm=\"mediamtx\"");
        assert_eq!(asked.header("www-authenticate"), challenge);
        assert!(status == 200 || asked.body == error("authentication error"));
    }
}

struct Joe;

impl Authenticator for Joe {
    fn check(&self, request: &AuthRequest<'_>) -> Decision {
        match request.credentials {
            Some(Credentials::Password { user: "joe", password: "secret" }) => Decision::Allow { user: None },
            Some(_) => Decision::Deny,
            None => Decision::Challenge,
        }
    }
}

#[tokio::test]
async fn credentials_reach_the_authenticator() {
    let access = Access { authenticator: Arc::new(Joe), ..Access::default() };
    for (header, status, challenge) in [
        (None, 401, true),
        (Some("Basic am9lOnNlY3JldA=="), 200, false),
        (Some("Bearer joe:secret"), 200, false),
        (Some("Bearer token"), 401, false),
    ] {
        let headers: Vec<_> = header.iter().map(|value| ("authorization", *value)).collect();
        let asked = ask(FAKE, access.clone(), "127.0.0.1:1", "GET", "/v3/info", &headers).await;
        assert_eq!((asked.status, asked.header("www-authenticate").is_some()), (status, challenge), "{header:?}");
    }
}

#[tokio::test]
async fn browsers_learn_who_may_ask() {
    let asked = ask(FAKE, Access::default(), "127.0.0.1:1", "GET", "/v3/info", &[]).await;
    assert_eq!(asked.header("access-control-allow-origin"), Some("*"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    let preflight = [("access-control-request-method", "PATCH"), ("origin", "https://a.example")];
    let access = Access { allow_origins: vec!["https://a.example".into()], ..Access::default() };
    let asked = ask(FAKE, access.clone(), "192.0.2.1:1", "OPTIONS", "/v3/info", &preflight).await;
    assert_eq!((asked.status, asked.body.as_str()), (204, ""));
    assert_eq!(asked.header("access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(asked.header("access-control-allow-methods"), Some("OPTIONS, GET, POST, PATCH, DELETE"));
    assert_eq!(
        asked.header("access-control-allow-headers"),
        Some("Authorization, Content-Type, If-Match, Idempotency-Key")
    );
    let other = [("origin", "https://b.example")];
    let asked = ask(FAKE, access, "127.0.0.1:1", "GET", "/v3/info", &other).await;
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (200, None));
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    let kick = format!("/v3/rtmpconns/kick/{}", Uuid::from_u128(3));
    let named = Access { allow_origins: vec!["https://a.example".into()], ..Access::default() };
    for (access, headers, status) in [
        (Access::default(), &[("origin", "https://a.example"), ("host", "127.0.0.1:9997")][..], 403),
        (Access::default(), &[("origin", "http://127.0.0.1:9997"), ("host", "127.0.0.1:9997")], 200),
        (Access::default(), &[("origin", "https://a.example"), ("authorization", "Basic am9lOnNlY3JldA==")], 200),
        (named.clone(), &[("origin", "https://a.example")], 200),
        (named, &[("origin", "null")], 403),
    ] {
        let asked = ask(FAKE, access, "127.0.0.1:1", "POST", &kick, headers).await;
        assert_eq!(asked.status, status, "{headers:?}: {}", asked.body);
    }
}

#[tokio::test]
async fn rtmp_connections_have_the_known_shape() {
    let id = "00000000-0000-0000-0000-000000000003";
    let conn = format!(
        r#"{{"id":"{id}","created":"1970-01-01T00:00:00Z","remoteAddr":"192.0.2.1:5000","state":"publish","path":"live/cam","query":"user=a","user":"a","userAgent":"OBS","inboundBytes":1,"outboundBytes":2,"outboundFramesDiscarded":3,"bytesReceived":1,"bytesSent":2,"node":"a"}}"#
    );
    assert_eq!(get(&format!("/v3/rtmpconns/get/{id}")).await, (200, conn.clone()));
    assert_eq!(get("/v3/rtmpconns/list").await, (200, format!(r#"{{"itemCount":1,"pageCount":1,"items":[{conn}]}}"#)));
    assert_eq!(get(&format!("/v3/rtmpconns/get/{}", Uuid::from_u128(7))).await, (404, error("connection not found")));
    assert_eq!(get("/v3/rtmpsconns/list").await.0, 404, "RTMPS is off");
    let kicked = ask(FAKE, Access::default(), "127.0.0.1:1", "POST", &format!("/v3/rtmpconns/kick/{id}"), &[]).await;
    assert_eq!((kicked.status, kicked.body.as_str()), (200, r#"{"status":"ok"}"#));
}
