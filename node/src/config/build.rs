//! The typed configuration out of the layers: whatever nobody set comes from the table of keys.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::check::check;
use super::error::Origin;
use super::keys::{self, Key, Table};
use super::layers::{Layers, Values};
use super::model::{
    ApiConfig, BootstrapConfig, ClusterConfig, ClusterTimings, Config, Encryption, HlsConfig, HlsVariant,
    IceServerConfig, LogConfig, LogLevel, Mode, PathConfig, RtmpConfig, RtspAuthMethods, RtspConfig, RtspTransports,
    Source, StreamConfig, WebrtcConfig,
};
use super::network::IpRange;
use super::paths::Paths;
use super::sources::{self, OnDemandConfig, RtspSourceTransport, SourceConfig, SourceProtocol, WhepSourceConfig};
use super::tree::Node;
use super::value::{Address, Budget, Ipv4Range, Value};

/// Builds the configuration. Every key has a value of its kind, for the layers hold checked values only.
pub(crate) fn build(layers: &Layers) -> Config {
    let view = View { layers: &[&layers.global], table: &keys::GLOBAL };
    Config {
        mode: mode(layers, &view.text("mode")),
        cluster: cluster(layers),
        chaos: view.bool("chaos"),
        data_dir: view.path("dataDir"),
        workers: some_unless_zero(view.int("workers")),
        log: log(&view),
        read_timeout: view.duration("readTimeout"),
        write_timeout: view.duration("writeTimeout"),
        udp_max_payload_size: some_unless_zero(view.int("udpMaxPayloadSize")).unwrap_or_default(),
        udp_read_buffer_size: some_unless_zero(view.int("udpReadBufferSize")),
        api: ApiConfig {
            enabled: view.bool("api"),
            address: view.address("apiAddress"),
            allow_origins: view.texts("apiAllowOrigins"),
        },
        rtsp: rtsp(&view),
        hls: hls(&view),
        rtmp: rtmp(&view),
        webrtc: webrtc(&view),
        stream: StreamConfig {
            group_max_bytes: view.size("groupMaxBytes"),
            group_max_age: view.duration("groupMaxAge"),
            start_max_bytes: view.size("startMaxBytes"),
            start_max_age: view.duration("startMaxAge"),
            log_budget: view.budget("logBudget"),
        },
        paths: paths(layers),
    }
}

fn log(view: &View<'_>) -> LogConfig {
    let destinations = view.texts("logDestinations");
    let has = |name: &str| destinations.iter().any(|destination| destination == name);
    let level = match view.text("logLevel").as_str() {
        "error" => LogLevel::Error,
        "warn" => LogLevel::Warn,
        "debug" => LogLevel::Debug,
        _ => LogLevel::Info,
    };
    let file = has("file").then(|| view.path("logFile"));
    LogConfig { level, stdout: has("stdout"), file, structured: view.bool("logStructured") }
}

/// What is none was refused by the rules.
fn proxies(view: &View<'_>, key: &str) -> Vec<IpRange> {
    view.texts(key).iter().filter_map(|text| IpRange::parse(text)).collect()
}

fn rtsp(view: &View<'_>) -> RtspConfig {
    let transports = view.texts("rtspTransports");
    let methods = view.texts("rtspAuthMethods");
    let has = |list: &[String], word: &str| list.iter().any(|entry| entry == word);
    RtspConfig {
        enabled: view.bool("rtsp"),
        trusted_proxies: proxies(view, "rtspTrustedProxies"),
        transports: RtspTransports {
            udp: has(&transports, "udp"),
            multicast: has(&transports, "multicast"),
            tcp: has(&transports, "tcp"),
        },
        encryption: encryption(&view.text("rtspEncryption")),
        address: view.address("rtspAddress"),
        secure_address: view.address("rtspsAddress"),
        rtp_address: view.address("rtpAddress"),
        rtcp_address: view.address("rtcpAddress"),
        multicast_range: view.multicast("multicastIPRange"),
        multicast_rtp_port: view.port("multicastRTPPort"),
        multicast_rtcp_port: view.port("multicastRTCPPort"),
        server_key: view.path("rtspServerKey"),
        server_cert: view.path("rtspServerCert"),
        auth_methods: RtspAuthMethods { basic: has(&methods, "basic"), digest: has(&methods, "digest") },
    }
}

fn hls(view: &View<'_>) -> HlsConfig {
    HlsConfig {
        enabled: view.bool("hls"),
        address: view.address("hlsAddress"),
        encryption: view.bool("hlsEncryption"),
        server_key: view.path("hlsServerKey"),
        server_cert: view.path("hlsServerCert"),
        allow_origins: view.texts("hlsAllowOrigins"),
        trusted_proxies: proxies(view, "hlsTrustedProxies"),
        always_remux: view.bool("hlsAlwaysRemux"),
        variant: match view.text("hlsVariant").as_str() {
            "mpegts" => HlsVariant::Mpegts,
            "fmp4" => HlsVariant::Fmp4,
            _ => HlsVariant::LowLatency,
        },
        segment_count: some_unless_zero(view.int("hlsSegmentCount")).unwrap_or_default(),
        segment_duration: view.duration("hlsSegmentDuration"),
        part_duration: view.duration("hlsPartDuration"),
        segment_max_size: view.size("hlsSegmentMaxSize"),
        muxer_close_after: view.duration("hlsMuxerCloseAfter"),
        cdn_secret: view.text("hlsCDNSecret"),
    }
}

fn rtmp(view: &View<'_>) -> RtmpConfig {
    RtmpConfig {
        enabled: view.bool("rtmp"),
        trusted_proxies: proxies(view, "rtmpTrustedProxies"),
        encryption: encryption(&view.text("rtmpEncryption")),
        address: view.address("rtmpAddress"),
        secure_address: view.address("rtmpsAddress"),
        server_key: view.path("rtmpServerKey"),
        server_cert: view.path("rtmpServerCert"),
    }
}

fn webrtc(view: &View<'_>) -> WebrtcConfig {
    WebrtcConfig {
        enabled: view.bool("webrtc"),
        address: view.address("webrtcAddress"),
        encryption: view.bool("webrtcEncryption"),
        server_key: view.path("webrtcServerKey"),
        server_cert: view.path("webrtcServerCert"),
        allow_origins: view.texts("webrtcAllowOrigins"),
        trusted_proxies: proxies(view, "webrtcTrustedProxies"),
        udp_address: view.optional_address("webrtcLocalUDPAddress"),
        tcp_address: view.optional_address("webrtcLocalTCPAddress"),
        ips_from_interfaces: view.bool("webrtcIPsFromInterfaces"),
        interfaces: view.texts("webrtcIPsFromInterfacesList"),
        additional_hosts: view.texts("webrtcAdditionalHosts"),
        ice_servers: view.records("webrtcICEServers2").iter().map(ice_server).collect(),
        handshake_timeout: view.duration("webrtcHandshakeTimeout"),
    }
}

fn ice_server(record: &serde_json::Value) -> IceServerConfig {
    let text = |name: &str| record.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let client_only = match record.get("clientOnly") {
        Some(serde_json::Value::Bool(only)) => *only,
        Some(serde_json::Value::String(word)) => matches!(word.as_str(), "yes" | "true"),
        _ => false,
    };
    IceServerConfig { url: text("url"), username: text("username"), password: text("password"), client_only }
}

/// A file with a `cluster` section means a cluster, unless it says otherwise.
fn mode(layers: &Layers, word: &str) -> Mode {
    let said = layers.global.contains_key("mode");
    match word {
        "cluster" => Mode::Cluster,
        "witness" => Mode::Witness,
        _ if !said && layers.global.contains_key("cluster") => Mode::Cluster,
        _ => Mode::Standalone,
    }
}

fn cluster(layers: &Layers) -> ClusterConfig {
    let view = |section: &str, table: &'static [Key]| Section { layers, section: section.to_owned(), table };
    let cluster = view("cluster", keys::CLUSTER);
    let bootstrap = view("cluster.bootstrap", keys::BOOTSTRAP);
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    ClusterConfig {
        node: some(cluster.text("node")),
        zone: cluster.text("zone"),
        address: cluster.address("address"),
        advertise: some(cluster.text("advertise")),
        public_host: cluster.text("publicHost"),
        timings: ClusterTimings {
            heartbeat: cluster.duration("heartbeat"),
            election_timeout: cluster.duration("electionTimeout"),
            suspect_after: cluster.duration("suspectAfter"),
            down_after: cluster.duration("downAfter"),
            claim_timeout: cluster.duration("claimTimeout"),
            voter_replace_after: cluster.duration("voterReplaceAfter"),
            elections_follow: !cluster.is_set("heartbeat") && !cluster.is_set("electionTimeout"),
            liveness_follows: !cluster.is_set("suspectAfter") && !cluster.is_set("downAfter"),
        },
        relay_latency_max: cluster.duration("relayLatencyMax"),
        join: some(cluster.text("join")),
        bootstrap: some(bootstrap.text("secretFile")).map(|secret_file| BootstrapConfig {
            expect: usize::try_from(bootstrap.int("expect")).unwrap_or(1),
            peers: bootstrap.texts("peers"),
            secret_file: secret_file.into(),
        }),
    }
}

fn encryption(word: &str) -> Encryption {
    match word {
        "optional" => Encryption::Optional,
        "strict" => Encryption::Strict,
        _ => Encryption::No,
    }
}

/// The paths that somebody named, and `all_others` unless a file says which paths there are.
fn paths(layers: &Layers) -> Paths {
    let none = Values::new();
    let mut named: BTreeMap<String, PathConfig> =
        layers.paths.iter().map(|(name, layer)| (name.clone(), path(layers, &layer.values))).collect();
    if layers.has_implicit_path() {
        named.insert("all_others".to_owned(), path(layers, &none));
    }
    Paths::new(named)
}

fn path(layers: &Layers, own: &Values) -> PathConfig {
    let view = View { layers: &[own, &layers.path_defaults], table: &keys::PATH };
    let source = match view.text("source") {
        source if source == "publisher" => Source::Publisher,
        url => match SourceProtocol::of(&url) {
            Some(protocol) => Source::Pulled(Box::new(source(&view, url, protocol))),
            None => Source::NotServed(url),
        },
    };
    PathConfig {
        source,
        max_readers: some_unless_zero(view.int("maxReaders")),
        override_publisher: view.bool("overridePublisher"),
        reader_hold: view.duration("readerHold"),
        standby: view.bool("standby"),
        standby_return: view.bool("standbyReturn"),
        log_keep: view.duration("logKeep"),
    }
}

fn source(view: &View<'_>, url: String, protocol: SourceProtocol) -> SourceConfig {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let ports: Vec<u16> = view.numbers("rtspUDPSourcePortRange").into_iter().map(|port| port as u16).collect();
    SourceConfig {
        url,
        protocol,
        // What is wrong with it is said by the rules.
        fingerprint: sources::fingerprint(&view.text("sourceFingerprint")),
        on_demand: view.bool("sourceOnDemand").then(|| OnDemandConfig {
            start_timeout: view.duration("sourceOnDemandStartTimeout"),
            close_after: view.duration("sourceOnDemandCloseAfter"),
        }),
        exclusive: view.bool("sourceExclusive"),
        rtsp_transport: match view.text("rtspTransport").as_str() {
            "udp" => RtspSourceTransport::Udp,
            "multicast" => RtspSourceTransport::Multicast,
            "tcp" => RtspSourceTransport::Tcp,
            _ => RtspSourceTransport::Automatic,
        },
        rtsp_any_port: view.bool("rtspAnyPort"),
        rtsp_range: sources::range(&view.text("rtspRangeType"), &view.text("rtspRangeStart")).ok().flatten(),
        rtsp_scale: some(view.text("rtspScale")),
        rtsp_udp_ports: (ports.first().copied().unwrap_or(0), ports.get(1).copied().unwrap_or(0)),
        whep: WhepSourceConfig {
            bearer_token: view.text("whepBearerToken"),
            gather_timeout: view.duration("whepSTUNGatherTimeout"),
            handshake_timeout: view.duration("whepHandshakeTimeout"),
            track_timeout: view.duration("whepTrackGatherTimeout"),
        },
    }
}

fn some_unless_zero<T: TryFrom<i64>>(number: i64) -> Option<T> {
    (number != 0).then(|| T::try_from(number).ok()).flatten()
}

/// The value that a key has when nobody sets it.
pub(crate) fn default_value(table: &Table, name: &str) -> Option<Value> {
    let key = table.find(name)?;
    check(&Node::raw(&Origin::Default, key.default), name, &key.kind, &mut Vec::new())
}

/// Reads keys: from the first layer that has them, else from the table.
///
/// Asking for a key that the table does not have, or has with another kind, is a mistake in this file and panics; the
/// test below asks for every one of them.
struct View<'a> {
    layers: &'a [&'a Values],
    table: &'a Table,
}

macro_rules! readers {
    ($($name:ident: $variant:ident => $type:ty;)*) => {
        $(fn $name(&self, name: &str) -> $type {
            match self.get(name) {
                Some(Value::$variant(value)) => value,
                other => unreachable!("key {name} of the table has the value {other:?}"),
            }
        })*
    };
}

/// Reads keys of a section, as [`View`] does of a level.
struct Section<'a> {
    layers: &'a Layers,
    section: String,
    table: &'static [Key],
}

impl Section<'_> {
    fn is_set(&self, name: &str) -> bool {
        self.layers.sections.contains_key(&format!("{}.{name}", self.section))
    }

    fn get(&self, name: &str) -> Option<Value> {
        let dotted = format!("{}.{name}", self.section);
        let set = self.layers.sections.get(&dotted).map(|setting| setting.value.clone());
        let default = || {
            let key = self.table.iter().find(|key| key.name == name)?;
            check(&Node::raw(&Origin::Default, key.default), name, &key.kind, &mut Vec::new())
        };
        set.or_else(default)
    }

    readers! {
        text: Text => String;
        int: Int => i64;
        duration: Duration => Duration;
        address: Address => Address;
        list: List => Vec<Value>;
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let text = |value| if let Value::Text(text) = value { Some(text) } else { None };
        self.list(name).into_iter().filter_map(text).collect()
    }
}

impl View<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        let set = self.layers.iter().find_map(|layer| layer.get(name)).map(|setting| setting.value.clone());
        set.or_else(|| default_value(self.table, name))
    }

    readers! {
        bool: Bool => bool;
        int: Int => i64;
        text: Text => String;
        duration: Duration => Duration;
        size: Size => u64;
        address: Address => Address;
        budget: Budget => Budget;
        list: List => Vec<Value>;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.text(name).into()
    }

    fn port(&self, name: &str) -> u16 {
        u16::try_from(self.int(name)).unwrap_or_default()
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        let number = |value| if let Value::Float(number) = value { Some(number) } else { None };
        self.list(name).into_iter().filter_map(number).collect()
    }

    /// An address that may be empty: then there is none.
    fn optional_address(&self, name: &str) -> Option<Address> {
        match self.get(name) {
            Some(Value::Address(address)) => Some(address),
            _ => None,
        }
    }

    /// A list of maps.
    fn records(&self, name: &str) -> Vec<serde_json::Value> {
        match self.get(name) {
            Some(Value::Records(serde_json::Value::Array(records))) => records,
            _ => Vec::new(),
        }
    }

    fn multicast(&self, name: &str) -> Ipv4Range {
        let text = self.text(name);
        Ipv4Range::parse_multicast(&text).unwrap_or_else(|| unreachable!("key {name} has the value {text}"))
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let text = |value| if let Value::Text(text) = value { Some(text) } else { None };
        self.list(name).into_iter().filter_map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::Kind;

    #[test]
    fn every_default_is_valid() {
        for table in [&keys::GLOBAL, &keys::PATH] {
            for key in table.keys().filter(|key| !matches!(key.kind, Kind::Section(_) | Kind::PathKeys | Kind::Paths)) {
                assert!(default_value(table, key.name).is_some(), "{} has an invalid default", key.name);
            }
        }
    }

    #[test]
    fn defaults_build() {
        let config = build(&Layers::default());
        assert_eq!(config.rtsp.address, Address { host: String::new(), port: 8554 });
        assert_eq!(config.paths.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["all_others"]);
    }
}
