//! The configuration as the rest of the node uses it: typed, complete, checked.

use std::path::PathBuf;
use std::time::Duration;

use weft_proto::id::PathName;

use super::network::IpRange;
use super::paths::Paths;
use super::sources::SourceConfig;
use super::value::{Address, Budget, Ipv4Range};

/// Everything that is configured and served.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `mode`.
    pub mode: Mode,
    /// `dataDir`: where the node keeps its state.
    pub data_dir: PathBuf,
    /// `workers`: worker threads; `None` is one for each core.
    pub workers: Option<usize>,
    /// Where and how to log.
    pub log: LogConfig,
    /// `readTimeout`: a peer that sends nothing for so long is dropped.
    pub read_timeout: Duration,
    /// `writeTimeout`: a peer that takes nothing for so long is dropped.
    pub write_timeout: Duration,
    /// `udpMaxPayloadSize`: largest UDP payload sent, in bytes.
    pub udp_max_payload_size: usize,
    /// `udpReadBufferSize`: receive buffer of UDP sockets in bytes; `None` leaves the system's.
    pub udp_read_buffer_size: Option<usize>,
    /// The `cluster:` section, for a node that is in a cluster.
    pub cluster: ClusterConfig,
    /// `chaos`: faults may be injected through the API.
    pub chaos: bool,
    /// The HTTP API.
    pub api: ApiConfig,
    /// The RTSP server.
    pub rtsp: RtspConfig,
    /// The HLS server.
    pub hls: HlsConfig,
    /// The RTMP server.
    pub rtmp: RtmpConfig,
    /// The WebRTC server.
    pub webrtc: WebrtcConfig,
    /// Bounds of every stream.
    pub stream: StreamConfig,
    /// `paths`.
    pub paths: Paths,
}

impl Config {
    /// Which configuration a path has, and under which name: by its exact name, else the first regular expression that
    /// matches, in order of their names, else `all` or `all_others`.
    pub fn path(&self, name: &PathName) -> Option<(&str, &PathConfig)> {
        self.paths.lookup(name)
    }
}

/// The `cluster:` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// `node`: the label; none for the host name.
    pub node: Option<String>,
    /// `zone`.
    pub zone: String,
    /// `address`.
    pub address: Address,
    /// `advertise`: what other nodes dial, where that is not `address`.
    pub advertise: Option<String>,
    /// `publicHost`.
    pub public_host: String,
    /// How fast.
    pub timings: ClusterTimings,
    /// `relayLatencyMax`.
    pub relay_latency_max: Duration,
    /// `join`: a token.
    pub join: Option<String>,
    /// `bootstrap`, where it has a secret.
    pub bootstrap: Option<BootstrapConfig>,
}

/// How fast things happen in a cluster. The same on all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterTimings {
    /// `heartbeat`.
    pub heartbeat: Duration,
    /// `electionTimeout`.
    pub election_timeout: Duration,
    /// `suspectAfter`.
    pub suspect_after: Duration,
    /// `downAfter`.
    pub down_after: Duration,
    /// `claimTimeout`.
    pub claim_timeout: Duration,
    /// `voterReplaceAfter`.
    pub voter_replace_after: Duration,
    /// Neither `heartbeat` nor `electionTimeout` is set: they follow the measured round trips.
    pub elections_follow: bool,
    /// Neither `suspectAfter` nor `downAfter` is set: they follow as well.
    pub liveness_follows: bool,
}

/// The `cluster.bootstrap:` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapConfig {
    /// `expect`.
    pub expect: usize,
    /// `peers`.
    pub peers: Vec<String>,
    /// `secretFile`.
    pub secret_file: PathBuf,
}

/// How a node takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Alone: a cluster of one.
    Standalone,
    /// With others.
    Cluster,
    /// Votes and carries no media.
    Witness,
}

/// Where and how to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `logLevel`.
    pub level: LogLevel,
    /// `logDestinations` has `stdout`.
    pub stdout: bool,
    /// `logFile`, if `logDestinations` has `file`.
    pub file: Option<PathBuf>,
    /// `logStructured`: JSON lines.
    pub structured: bool,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// A person must look.
    Error,
    /// Something went wrong, and the node goes on.
    Warn,
    /// What happens.
    Info,
    /// Why it happens.
    Debug,
}

/// The HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiConfig {
    /// `api`.
    pub enabled: bool,
    /// `apiAddress`.
    pub address: Address,
    /// `apiAllowOrigins`.
    pub allow_origins: Vec<String>,
}

/// The RTSP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtspConfig {
    /// `rtsp`.
    pub enabled: bool,
    /// `rtspTrustedProxies`.
    pub trusted_proxies: Vec<IpRange>,
    /// `rtspTransports`.
    pub transports: RtspTransports,
    /// `rtspEncryption`.
    pub encryption: Encryption,
    /// `rtspAddress`.
    pub address: Address,
    /// `rtspsAddress`.
    pub secure_address: Address,
    /// `rtpAddress`, with an even port.
    pub rtp_address: Address,
    /// `rtcpAddress`, with the port after RTP's; both may be 0 for any free pair.
    pub rtcp_address: Address,
    /// `multicastIPRange`.
    pub multicast_range: Ipv4Range,
    /// `multicastRTPPort`.
    pub multicast_rtp_port: u16,
    /// `multicastRTCPPort`.
    pub multicast_rtcp_port: u16,
    /// `rtspServerKey`.
    pub server_key: PathBuf,
    /// `rtspServerCert`.
    pub server_cert: PathBuf,
    /// `rtspAuthMethods`.
    pub auth_methods: RtspAuthMethods,
}

/// The RTMP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtmpConfig {
    /// `rtmp`.
    pub enabled: bool,
    /// `rtmpTrustedProxies`.
    pub trusted_proxies: Vec<IpRange>,
    /// `rtmpEncryption`.
    pub encryption: Encryption,
    /// `rtmpAddress`.
    pub address: Address,
    /// `rtmpsAddress`.
    pub secure_address: Address,
    /// `rtmpServerKey`.
    pub server_key: PathBuf,
    /// `rtmpServerCert`.
    pub server_cert: PathBuf,
}

/// The WebRTC server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebrtcConfig {
    /// `webrtc`.
    pub enabled: bool,
    /// `webrtcAddress`.
    pub address: Address,
    /// `webrtcEncryption`: HTTPS.
    pub encryption: bool,
    /// `webrtcServerKey`.
    pub server_key: PathBuf,
    /// `webrtcServerCert`.
    pub server_cert: PathBuf,
    /// `webrtcAllowOrigins`.
    pub allow_origins: Vec<String>,
    /// `webrtcTrustedProxies`.
    pub trusted_proxies: Vec<IpRange>,
    /// `webrtcLocalUDPAddress`; none where it is empty.
    pub udp_address: Option<Address>,
    /// `webrtcLocalTCPAddress`; none where it is empty.
    pub tcp_address: Option<Address>,
    /// `webrtcIPsFromInterfaces`.
    pub ips_from_interfaces: bool,
    /// `webrtcIPsFromInterfacesList`; all where it is empty.
    pub interfaces: Vec<String>,
    /// `webrtcAdditionalHosts`.
    pub additional_hosts: Vec<String>,
    /// `webrtcICEServers2`.
    pub ice_servers: Vec<IceServerConfig>,
    /// `webrtcHandshakeTimeout`.
    pub handshake_timeout: Duration,
}

/// A server that helps WebRTC clients to find a way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceServerConfig {
    /// `stun:…`, `turn:…` or `turns:…`.
    pub url: String,
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
    /// Only clients use it.
    pub client_only: bool,
}

/// What RTSP clients may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtspTransports {
    /// UDP to one.
    pub udp: bool,
    /// UDP to many.
    pub multicast: bool,
    /// Interleaved.
    pub tcp: bool,
}

/// How RTSP clients may prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtspAuthMethods {
    /// Basic.
    pub basic: bool,
    /// Digest.
    pub digest: bool,
}

/// Which of the plain and the encrypted server run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Only the plain one.
    No,
    /// Both.
    Optional,
    /// Only the encrypted one.
    Strict,
}

/// The HLS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HlsConfig {
    /// `hls`.
    pub enabled: bool,
    /// `hlsAddress`.
    pub address: Address,
    /// `hlsEncryption`: HTTPS.
    pub encryption: bool,
    /// `hlsServerKey`.
    pub server_key: PathBuf,
    /// `hlsServerCert`.
    pub server_cert: PathBuf,
    /// `hlsAllowOrigins`.
    pub allow_origins: Vec<String>,
    /// `hlsTrustedProxies`.
    pub trusted_proxies: Vec<IpRange>,
    /// `hlsAlwaysRemux`: make segments even when nobody asks.
    pub always_remux: bool,
    /// `hlsVariant`.
    pub variant: HlsVariant,
    /// `hlsSegmentCount`.
    pub segment_count: usize,
    /// `hlsSegmentDuration`.
    pub segment_duration: Duration,
    /// `hlsPartDuration`.
    pub part_duration: Duration,
    /// `hlsSegmentMaxSize` in bytes.
    pub segment_max_size: u64,
    /// `hlsMuxerCloseAfter`.
    pub muxer_close_after: Duration,
    /// `hlsCDNSecret`; empty for none.
    pub cdn_secret: String,
}

/// Kind of playlists and segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HlsVariant {
    /// Transport streams.
    Mpegts,
    /// Fragmented MP4.
    Fmp4,
    /// Fragmented MP4 in parts.
    LowLatency,
}

/// Bounds of every stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    /// `groupMaxBytes`: a group that grows beyond this is cut.
    pub group_max_bytes: u64,
    /// `groupMaxAge`: a group that lasts longer than this is cut.
    pub group_max_age: Duration,
    /// `startMaxBytes`: the most that a new reader is sent at once to start.
    pub start_max_bytes: u64,
    /// `startMaxAge`: the oldest group that a new reader is started with.
    pub start_max_age: Duration,
    /// `logBudget`: memory that all stream logs, and the HLS segments made of them, may use together.
    pub log_budget: Budget,
}

/// What is configured for a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathConfig {
    /// `source`.
    pub source: Source,
    /// `maxReaders`; `None` is no limit.
    pub max_readers: Option<u64>,
    /// `overridePublisher`: a new publisher replaces the one that is there.
    pub override_publisher: bool,
    /// `readerHold`: how long readers wait for the publisher to come back.
    pub reader_hold: Duration,
    /// `standby`: a second publisher waits until the active one fails.
    pub standby: bool,
    /// `standbyReturn`: a better publisher that is well again gets the path back.
    pub standby_return: bool,
    /// `logKeep`: how much media the stream's log keeps, beside the newest group.
    pub log_keep: Duration,
}

/// Where a path's stream comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A client that publishes.
    Publisher,
    /// A node of the cluster pulls it.
    Pulled(Box<SourceConfig>),
    /// A source that this version does not pull yet; nobody may publish in its place.
    NotServed(String),
}
