//! What must hold between keys, and which keys have no effect yet.

use std::collections::{BTreeMap, BTreeSet};

use super::build::default_value;
use super::error::{Origin, Problem};
use super::keys::{self, Table};
use super::layers::{Layers, Setting, Values};
use super::model::{Config, Encryption, HlsVariant, Mode, Source};
use super::network::IpRange;
use super::paths::is_catch_all;
use super::sources;
use super::value::{Address, Value};

/// Adds what is wrong with the whole, now that each key alone is right.
pub(crate) fn check(layers: &mut Layers, config: &Config) {
    rtp_ports(layers, config);
    listeners(layers, config);
    hls(layers, config);
    catch_alls(layers);
    sources(layers, config);
    cluster(layers, config);
    if let Some(Setting { value: Value::List(words), .. }) = layers.global.get("logDestinations")
        && words.contains(&Value::Text("syslog".into()))
    {
        warn(layers, "logDestinations", "`syslog` is accepted, but this version does not serve it yet");
    }
    unserved(layers);
}

/// A section that has no effect is a mistake, and so is a formation of one node and more expected.
fn cluster(layers: &mut Layers, config: &Config) {
    if config.mode == Mode::Standalone && layers.global.contains_key("cluster") {
        warn(layers, "cluster", "`mode` is `standalone`: the `cluster` section has no effect");
    }
    let timings = &config.cluster.timings;
    let clash = if timings.election_timeout < timings.heartbeat * 4 {
        Some("`electionTimeout` must be at least four times `heartbeat`, or a late packet costs an election")
    } else if timings.down_after < timings.suspect_after {
        Some("`downAfter` must not be shorter than `suspectAfter`")
    } else {
        None
    };
    if let Some(clash) = clash {
        let origin = origin(layers, "cluster");
        layers.problem(&origin, clash);
    }
    if let Some(bootstrap) = &config.cluster.bootstrap
        && bootstrap.peers.len() < bootstrap.expect
    {
        let message = format!("`expect` is {}, but `peers` has {}", bootstrap.expect, bootstrap.peers.len());
        let origin = origin(layers, "cluster");
        layers.problem(&origin, message);
    }
}

fn origin(layers: &Layers, key: &str) -> Origin {
    layers.global.get(key).map_or(Origin::Default, |setting| setting.origin.clone())
}

fn warn(layers: &mut Layers, key: &str, message: &str) {
    let origin = origin(layers, key);
    layers.warnings.push(Problem::new(&origin, message));
}

/// RTP's port is even and RTCP's is the next one (RFC 3550 section 11).
fn rtp_ports(layers: &mut Layers, config: &Config) {
    let rtsp = &config.rtsp;
    if !rtsp.enabled || rtsp.encryption == Encryption::Strict {
        return;
    }
    if rtsp.transports.udp {
        port_pair(layers, ["rtpAddress", "rtcpAddress"], [rtsp.rtp_address.port, rtsp.rtcp_address.port]);
    }
    if rtsp.transports.multicast {
        let ports = [rtsp.multicast_rtp_port, rtsp.multicast_rtcp_port];
        port_pair(layers, ["multicastRTPPort", "multicastRTCPPort"], ports);
    }
}

fn port_pair(layers: &mut Layers, [rtp_key, rtcp_key]: [&'static str; 2], [rtp, rtcp]: [u16; 2]) {
    if layers.refused.contains(rtp_key) || layers.refused.contains(rtcp_key) || (rtp, rtcp) == (0, 0) {
        return;
    }
    if rtp % 2 != 0 {
        layers.problem(&origin(layers, rtp_key), format!("`{rtp_key}` has port {rtp}, but RTP needs an even port"));
    } else if u32::from(rtcp) != u32::from(rtp) + 1 {
        // The key that somebody set is the one to look at.
        let at = if layers.global.contains_key(rtcp_key) { rtcp_key } else { rtp_key };
        let message =
            format!("`{rtcp_key}` has port {rtcp}, but must have {}, the port after `{rtp_key}`", u32::from(rtp) + 1);
        layers.problem(&origin(layers, at), message);
    }
}

/// No two servers on one TCP port.
fn listeners(layers: &mut Layers, config: &Config) {
    let (rtsp, rtmp) = (&config.rtsp, &config.rtmp);
    let used: Vec<(&str, &Address)> = [
        ("rtspAddress", &rtsp.address, rtsp.enabled && rtsp.encryption != Encryption::Strict),
        ("rtspsAddress", &rtsp.secure_address, rtsp.enabled && rtsp.encryption != Encryption::No),
        ("hlsAddress", &config.hls.address, config.hls.enabled),
        ("rtmpAddress", &rtmp.address, rtmp.enabled && rtmp.encryption != Encryption::Strict),
        ("rtmpsAddress", &rtmp.secure_address, rtmp.enabled && rtmp.encryption != Encryption::No),
        ("apiAddress", &config.api.address, config.api.enabled),
    ]
    .into_iter()
    .filter(|(key, address, on)| *on && address.port != 0 && !layers.refused.contains(key))
    .map(|(key, address, _)| (key, address))
    .collect();
    for (i, (key, address)) in used.iter().enumerate() {
        let same_host =
            |other: &Address| address.host == other.host || address.host.is_empty() || other.host.is_empty();
        let clash = used[..i].iter().find(|(_, other)| other.port == address.port && same_host(other));
        if let Some((first, _)) = clash {
            let message = format!("`{key}` and `{first}` both want TCP port {}", address.port);
            layers.problem(&origin(layers, key), message);
        }
    }
}

/// Low latency needs seven segments; proxies are addresses.
fn hls(layers: &mut Layers, config: &Config) {
    let hls = &config.hls;
    if hls.variant == HlsVariant::LowLatency && hls.segment_count < 7 {
        let message = "`hlsSegmentCount` must be 7 or more for `hlsVariant: lowLatency`".to_owned();
        layers.problem(&origin(layers, "hlsSegmentCount"), message);
    }
    for key in ["hlsTrustedProxies", "rtmpTrustedProxies", "rtspTrustedProxies"] {
        let Some(Setting { value: Value::List(proxies), .. }) = layers.global.get(key) else { continue };
        let is_bad = |value: &Value| matches!(value, Value::Text(text) if IpRange::parse(text).is_none());
        if proxies.iter().any(is_bad) {
            let message = format!("`{key}` expects addresses like `10.0.0.1` or blocks like `10.0.0.0/8`");
            layers.problem(&origin(layers, key), message);
        }
    }
}

fn catch_alls(layers: &mut Layers) {
    let mut names = layers.paths.iter().filter(|(name, _)| is_catch_all(name));
    if let (Some((first, _)), Some((second, layer))) = (names.next(), names.next()) {
        let message = format!("`{first}` and `{second}` mean the same; keep one");
        let problem = Problem::new(&layer.origin, message);
        layers.problems.push(problem);
    }
}

/// The schemes that MediaMTX pulls from; not for all of them this version has a client.
const SCHEMES: [&str; 22] = [
    "rtsp",
    "rtsps",
    "rtsp+http",
    "rtsps+http",
    "rtsp+ws",
    "rtsps+ws",
    "rtmp",
    "rtmps",
    "http",
    "https",
    "udp",
    "udp+mpegts",
    "unix+mpegts",
    "udp+rtp",
    "unix+rtp",
    "srt",
    "whep",
    "wheps",
    "moq",
    "moqs",
    "moqt",
    "moqts",
];

fn sources(layers: &mut Layers, config: &Config) {
    for (name, path) in config.paths.iter() {
        let source = match &path.source {
            Source::Publisher => continue,
            Source::Pulled(pulled) => {
                pulled_source(layers, name);
                &pulled.url
            }
            Source::NotServed(source) => source,
        };
        let Some((setting, on_demand)) = source_of(layers, name) else { continue };
        let kind = source.split_once("://").map_or(source.as_str(), |(scheme, _)| scheme);
        let is_url = source.contains("://") && SCHEMES.contains(&kind);
        let problem = if !is_url && !matches!(kind, "redirect" | "rpiCamera") {
            // Not repeated: it may hold a password.
            Some("`source` expects `publisher`, `redirect`, `rpiCamera` or a URL like `rtsp://host/stream`".to_owned())
        } else if (name.starts_with('~') || is_catch_all(name)) && is_url && !on_demand {
            Some(format!("`{name}` stands for many paths: with a `source` it needs `sourceOnDemand: yes`"))
        } else {
            None
        };
        match problem {
            Some(message) => layers.problems.push(Problem::new(&setting, message)),
            None if matches!(path.source, Source::Pulled(_)) => {}
            None => {
                let message = format!("path `{name}`: this version does not pull `{kind}` sources yet; it stays empty");
                layers.warnings.push(Problem::new(&setting, message));
            }
        }
    }
}

/// What must hold between the keys of a source that is pulled.
fn pulled_source(layers: &mut Layers, name: &str) {
    let text = |layers: &Layers, key: &str| match path_setting(layers, name, key) {
        Some(Setting { value: Value::Text(text), origin, .. }) => (text.clone(), Some(origin.clone())),
        _ => (String::new(), None),
    };
    let (fingerprint, at) = text(layers, "sourceFingerprint");
    if let Some(origin) = at.filter(|_| !fingerprint.is_empty() && sources::fingerprint(&fingerprint).is_none()) {
        layers.problem(&origin, "`sourceFingerprint` expects the 64 hexadecimal digits of a SHA-256");
    }
    let (kind, _) = text(layers, "rtspRangeType");
    let (start, at) = text(layers, "rtspRangeStart");
    if let Err(expected) = sources::range(&kind, &start) {
        let origin = at.or_else(|| text(layers, "rtspRangeType").1).unwrap_or(Origin::Default);
        layers.problem(&origin, format!("`rtspRangeStart` expects {expected}"));
    }
    if let Some(Setting { value: Value::List(ports), origin, .. }) =
        path_setting(layers, name, "rtspUDPSourcePortRange").cloned()
    {
        let port = |at: usize| match ports.get(at) {
            Some(Value::Float(port)) if (1.0..=65535.0).contains(port) => Some(*port),
            _ => None,
        };
        if !matches!((port(0), port(1)), (Some(first), Some(last)) if first < last) {
            layers.problem(&origin, "`rtspUDPSourcePortRange` expects the first and the last of some ports");
        }
    }
}

/// What is set of a path's key, by itself or for all.
fn path_setting<'a>(layers: &'a Layers, name: &str, key: &str) -> Option<&'a Setting> {
    let own = layers.paths.get(name).map(|layer| &layer.values);
    own.and_then(|values| values.get(key)).or_else(|| layers.path_defaults.get(key))
}

/// Where a path's source was set, and whether it is on demand.
fn source_of(layers: &Layers, name: &str) -> Option<(Origin, bool)> {
    let find = |key: &str| path_setting(layers, name, key);
    let on_demand = find("sourceOnDemand").is_some_and(|setting| setting.value == Value::Bool(true));
    Some((find("source")?.origin.clone(), on_demand))
}

/// Names every key that was set and has no effect: one warning a key; those that are set to their defaults, as in the file
/// that comes with MediaMTX, one warning a group.
fn unserved(layers: &mut Layers) {
    let mut changed: BTreeMap<&str, (Origin, usize)> = BTreeMap::new();
    let mut unchanged: BTreeSet<&str> = BTreeSet::new();
    let path_values = layers.paths.values().map(|layer| &layer.values);
    let levels = std::iter::once((&keys::GLOBAL, &layers.global))
        .chain(std::iter::once((&keys::PATH, &layers.path_defaults)))
        .chain(path_values.map(|values| (&keys::PATH, values)));
    for (table, values) in levels {
        for (name, setting) in without_effect(table, values) {
            if default_value(table, name).as_ref() == Some(&setting.value) {
                unchanged.insert(name);
            } else {
                changed.entry(name).or_insert_with(|| (setting.origin.clone(), 0)).1 += 1;
            }
        }
    }
    for (name, (origin, times)) in &changed {
        layers.warnings.push(Problem::new(origin, without_effect_text(name, *times)));
    }
    for group in keys::GLOBAL.groups.iter().chain(keys::PATH.groups) {
        let names: Vec<&str> = group.keys.iter().map(|key| key.name).filter(|name| unchanged.contains(name)).collect();
        if !names.is_empty() {
            let message = format!("{}: not served yet, set to the defaults: {}", group.title, names.join(", "));
            layers.warnings.push(Problem::new(&Origin::Default, message));
        }
    }
}

fn without_effect<'a>(table: &'a Table, values: &'a Values) -> impl Iterator<Item = (&'static str, &'a Setting)> {
    let is_unserved = |name: &str| table.find(name).is_some_and(|key| key.since.is_none());
    // What is switched off has the effect that was asked for.
    let is_off = |setting: &Setting| matches!(setting.value, Value::Bool(false));
    values
        .iter()
        .filter(move |(name, setting)| is_unserved(name) && !is_off(setting))
        .map(|(name, setting)| (*name, setting))
}

fn without_effect_text(name: &str, times: usize) -> String {
    let again = if times > 1 { format!(" (set {times} times)") } else { String::new() };
    match name {
        "authInternalUsers" | "authMethod" => format!(
            "security: `{name}` is accepted, but this version does not serve it yet: everybody may publish and read{again}"
        ),
        "writeQueueSize" => {
            format!("`{name}` has no effect: Weft bounds readers by `groupMaxBytes` and `groupMaxAge`{again}")
        }
        _ => format!("`{name}` is accepted, but this version does not serve it yet: it has no effect{again}"),
    }
}
