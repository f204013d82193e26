//! Keys of the servers, one table for each.

use super::Kind::{
    Address, Bool, Choice, Choices, Duration, Encryption, Int, MulticastRange, OptionalAddress, Port, Records, Secret,
    Size, Text, Texts,
};
use super::{Key, key};

const DAY: u64 = 86_400_000;

/// The seven keys that MediaMTX's small HTTP servers have in common.
macro_rules! http_server {
    ($name:literal, $address:literal, $on:literal, $what:literal) => {
        [
            key($name, Bool, $on, $what),
            key(concat!($name, "Address"), Address, $address, "Where it listens."),
            key(concat!($name, "Encryption"), Bool, "no", "Serve HTTPS."),
            key(concat!($name, "ServerKey"), Text, "server.key", "File with the private key, for HTTPS."),
            key(concat!($name, "ServerCert"), Text, "server.crt", "File with the certificate, for HTTPS."),
            key(concat!($name, "AllowOrigins"), Texts, "['*']", "Web origins that may ask (CORS)."),
            key(concat!($name, "TrustedProxies"), Texts, "[]", "Proxies whose word on the client's address is taken."),
        ]
    };
}

pub(super) static API: &[Key] = &{
    let [on, address, encryption, key, cert, origins, proxies] = http_server!(
        "api",
        ":9997",
        "yes",
        "The HTTP API. On by default, unlike MediaMTX: without users it answers this machine only."
    );
    [on.served(), address.served(), encryption, key, cert, origins.served(), proxies]
};
pub(super) static METRICS: &[Key] = &http_server!("metrics", ":9998", "no", "Metrics for Prometheus.");
pub(super) static PPROF: &[Key] = &http_server!("pprof", ":9999", "no", "Profiles for developers.");
pub(super) static PLAYBACK: &[Key] = &http_server!("playback", ":9996", "no", "Serves recordings.");

pub(super) static RTSP: &[Key] = &[
    key("rtsp", Bool, "yes", "The RTSP server.").served(),
    key("rtspTransports", Choices(&["udp", "multicast", "tcp"]), "[udp, multicast, tcp]", "What clients may ask for.")
        .served(),
    key("rtspEncryption", Encryption, "no", "Only RTSP, both, or only RTSPS.").served(),
    key("rtspAddress", Address, ":8554", "RTSP over TCP.").served(),
    key("rtspsAddress", Address, ":8322", "RTSPS over TCP.").served(),
    key("rtpAddress", Address, ":8000", "RTP over UDP; an even port.").served(),
    key("rtcpAddress", Address, ":8001", "RTCP over UDP; the port after RTP's.").served(),
    key("multicastIPRange", MulticastRange, "224.1.0.0/16", "Addresses for multicast.").served(),
    key("multicastRTPPort", Port, "8002", "RTP over multicast; an even port.").served(),
    key("multicastRTCPPort", Port, "8003", "RTCP over multicast; the port after RTP's.").served(),
    key("srtpAddress", Address, ":8004", "SRTP over UDP; an even port."),
    key("srtcpAddress", Address, ":8005", "SRTCP over UDP; the port after SRTP's."),
    key("multicastSRTPPort", Port, "8006", "SRTP over multicast; an even port."),
    key("multicastSRTCPPort", Port, "8007", "SRTCP over multicast; the port after SRTP's."),
    key("rtspServerKey", Text, "server.key", "File with the private key, for RTSPS.").served(),
    key("rtspServerCert", Text, "server.crt", "File with the certificate, for RTSPS.").served(),
    key("rtspAuthMethods", Choices(&["basic", "digest"]), "[basic]", "How clients may prove who they are.").served(),
    key("rtspTrustedProxies", Texts, "[]", "Proxies whose word on the client's address is taken (PROXY protocol).")
        .served(),
];

pub(super) static RTMP: &[Key] = &[
    key("rtmp", Bool, "yes", "The RTMP server.").served(),
    key("rtmpEncryption", Encryption, "no", "Only RTMP, both, or only RTMPS.").served(),
    key("rtmpAddress", Address, ":1935", "RTMP over TCP.").served(),
    key("rtmpsAddress", Address, ":1936", "RTMPS over TCP.").served(),
    key("rtmpServerKey", Text, "server.key", "File with the private key, for RTMPS.").served(),
    key("rtmpServerCert", Text, "server.crt", "File with the certificate, for RTMPS.").served(),
    key("rtmpTrustedProxies", Texts, "[]", "Proxies whose word on the client's address is taken (PROXY protocol).")
        .served(),
];

pub(super) static HLS: &[Key] = &[
    key("hls", Bool, "yes", "The HLS server.").served(),
    key("hlsAddress", Address, ":8888", "Where it listens.").served(),
    key("hlsEncryption", Bool, "no", "Serve HTTPS.").served(),
    key("hlsServerKey", Text, "server.key", "File with the private key, for HTTPS.").served(),
    key("hlsServerCert", Text, "server.crt", "File with the certificate, for HTTPS.").served(),
    key("hlsAllowOrigins", Texts, "['*']", "Web origins that may ask (CORS).").served(),
    key("hlsTrustedProxies", Texts, "[]", "Proxies whose word on the client's address is taken.").served(),
    key("hlsAlwaysRemux", Bool, "no", "Make segments even when nobody reads.").shared().served(),
    key("hlsVariant", Choice(&["mpegts", "fmp4", "lowLatency"]), "lowLatency", "Kind of playlist and segments.")
        .shared()
        .for_new_streams()
        .served(),
    key("hlsSegmentCount", Int(3, 1000), "7", "Segments in the playlist; 7 or more for low latency.")
        .shared()
        .for_new_streams()
        .served(),
    key("hlsSegmentDuration", Duration(1, DAY), "1s", "Shortest segment.").shared().for_new_streams().served(),
    key("hlsPartDuration", Duration(1, DAY), "200ms", "Shortest part, for low latency.")
        .shared()
        .for_new_streams()
        .served(),
    key("hlsSegmentMaxSize", Size, "50M", "Largest segment.").shared().for_new_streams().served(),
    key("hlsDirectory", Text, "", "Keep segments here instead of in memory."),
    key("hlsMuxerCloseAfter", Duration(0, DAY), "60s", "Stop making segments so long after the last request.")
        .shared()
        .served(),
    key("hlsCDNSecret", Secret, "", "What a CDN says to be let in.").shared().served(),
];

pub(super) static WEBRTC: &[Key] = &[
    key("webrtc", Bool, "yes", "The WebRTC server.").served(),
    key("webrtcAddress", Address, ":8889", "Where its HTTP server listens.").served(),
    key("webrtcEncryption", Bool, "no", "Serve HTTPS.").served(),
    key("webrtcServerKey", Text, "server.key", "File with the private key, for HTTPS.").served(),
    key("webrtcServerCert", Text, "server.crt", "File with the certificate, for HTTPS.").served(),
    key("webrtcAllowOrigins", Texts, "['*']", "Web origins that may ask (CORS).").served(),
    key("webrtcTrustedProxies", Texts, "[]", "Proxies whose word on the client's address is taken.").served(),
    key("webrtcLocalUDPAddress", OptionalAddress, ":8189", "ICE over UDP.").served(),
    key("webrtcLocalTCPAddress", OptionalAddress, "", "ICE over TCP.").served(),
    key("webrtcIPsFromInterfaces", Bool, "yes", "Tell clients the addresses of the interfaces.").served(),
    key("webrtcIPsFromInterfacesList", Texts, "[]", "Only of these interfaces.").served(),
    key("webrtcAdditionalHosts", Texts, "[]", "More hosts and addresses to tell clients.").served(),
    key("webrtcICEServers2", Records(&["url", "username", "password", "clientOnly"]), "[]", "STUN and TURN servers.")
        .served(),
    key("webrtcSTUNGatherTimeout", Duration(1, DAY), "5s", "How long STUN servers may take."),
    key("webrtcHandshakeTimeout", Duration(1, DAY), "10s", "How long a handshake may take.").served(),
    key("webrtcTrackGatherTimeout", Duration(1, DAY), "2s", "How long to wait for all tracks."),
];

pub(super) static SRT: &[Key] =
    &[key("srt", Bool, "yes", "The SRT server."), key("srtAddress", Address, ":8890", "SRT over UDP.")];

pub(super) static MOQ: &[Key] = &[
    key("moq", Bool, "yes", "The Media over QUIC server."),
    key("moqHTTP2Address", Address, ":8892", "Its pages, over TCP."),
    key("moqHTTP3Address", Address, ":8892", "WebTransport, over UDP."),
    key("moqQUICAddress", Address, ":8893", "Native QUIC, over UDP."),
    key("moqServerKey", Text, "auto.key", "File with the private key."),
    key("moqServerCert", Text, "auto.crt", "File with the certificate."),
    key("moqAllowOrigins", Texts, "['*']", "Web origins that may ask (CORS)."),
    key("moqTrustedProxies", Texts, "[]", "Proxies whose word on the client's address is taken."),
];
