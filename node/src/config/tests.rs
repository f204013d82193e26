//! Whole files in, configuration or problems out.

use std::time::Duration;

use weft_proto::id::PathName;

use super::*;

struct Case {
    _folder: tempfile::TempDir,
    source: LoadSource,
}

fn case(text: &str) -> Case {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weft.yml");
    std::fs::write(&file, text).unwrap();
    Case { source: LoadSource::file(file), _folder: folder }
}

impl Case {
    fn env(mut self, variables: &[(&str, &str)]) -> Self {
        self.source.environment = variables.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        self
    }

    fn set(mut self, key: &str, value: &str) -> Self {
        let change = Change::Set(key.to_owned(), value.to_owned());
        self.source.overrides.push(Override { flag: "--set".to_owned(), change });
        self
    }

    fn load(&self) -> Loaded {
        Config::load(&self.source).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// The errors without the folder.
    fn errors(&self) -> String {
        let folder = format!("{}/", self._folder.path().display());
        Config::load(&self.source).expect_err("errors").to_string().replace(&folder, "")
    }

    fn warnings(&self) -> Vec<String> {
        let folder = format!("{}/", self._folder.path().display());
        self.load().warnings.iter().map(|warning| warning.to_string().replace(&folder, "")).collect()
    }
}

fn found<'a>(config: &'a Config, name: &str) -> Option<&'a str> {
    config.path(&PathName::new(name).unwrap()).map(|(name, _)| name)
}

#[test]
fn nothing_configured_serves_everything() {
    let loaded = Config::load(&LoadSource::default()).unwrap();
    assert_eq!((loaded.file, loaded.warnings), (None, vec![]));
    let config = loaded.config;
    assert_eq!(found(&config, "any/thing"), Some("all_others"));
    assert_eq!(config.read_timeout, Duration::from_secs(10));
    assert_eq!(config.stream.group_max_bytes, 32 << 20);
    assert_eq!(config.stream.log_budget, value::Budget::Percent(25));
    assert_eq!(config.rtsp.transports, RtspTransports { udp: true, multicast: true, tcp: true });
}

#[test]
fn a_file_sets_keys_and_paths_inherit() {
    let text = "
logLevel: debug
rtspTransports: [tcp]
rtspEncryption: no
readTimeout: 1m30s
pathDefaults:
  maxReaders: 5
  readerHold: 2s
paths:
  cam: &cam
    overridePublisher: no
  other:
    <<: *cam
    maxReaders: 0
  empty:
";
    let config = case(text).load().config;
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.rtsp.transports, RtspTransports { udp: false, multicast: false, tcp: true });
    assert_eq!(config.rtsp.encryption, Encryption::No);
    assert_eq!(config.read_timeout, Duration::from_secs(90));
    let path = |name: &str| config.path(&PathName::new(name).unwrap()).unwrap().1.clone();
    assert_eq!((path("cam").max_readers, path("cam").override_publisher), (Some(5), false));
    assert_eq!((path("other").max_readers, path("other").override_publisher), (None, false));
    assert_eq!((path("empty").max_readers, path("empty").reader_hold), (Some(5), Duration::from_secs(2)));
    assert_eq!(found(&config, "unknown"), None);
}

#[test]
fn a_path_is_looked_up_by_name_then_expression_then_catch_all() {
    let text = "paths:\n  all_others:\n  ~^b:\n  ~^a[0-9]+$:\n  ~^a:\n  a1:\n";
    let config = case(text).load().config;
    for (name, expected) in
        [("a1", "a1"), ("a2", "~^a"), ("ax", "~^a"), ("b", "~^b"), ("c", "all_others"), ("other", "all_others")]
    {
        assert_eq!(found(&config, name), Some(expected), "{name}");
    }
    let config = case("paths:\n  ~^z:\n  ~^.*$:\n").load().config;
    assert_eq!(found(&config, "z"), Some("~^.*$"), "as in MediaMTX, by name");
    let config = case("paths:\n  ~^a[0-9]+$:\n").load().config;
    assert_eq!((found(&config, "a7"), found(&config, "b")), (Some("~^a[0-9]+$"), None));
}

#[test]
fn later_layers_win() {
    let variables =
        [("MTX_LOGLEVEL", "warn"), ("WEFT_LOGLEVEL", "error"), ("MTX_RTSPTRANSPORTS", "udp, tcp"), ("HOME", "x")];
    let case = case("logLevel: debug\nreadTimeout: 1s\nwriteTimeout: 1s\n").env(&variables);
    let config = case.load().config;
    assert_eq!((config.log.level, config.read_timeout), (LogLevel::Error, Duration::from_secs(1)));
    assert_eq!(config.rtsp.transports, RtspTransports { udp: true, multicast: false, tcp: true });
    let case = case.set("logLevel", "info").set("rtspTransports", "[tcp]").set("paths.a.b.maxReaders", "3");
    let config = case.load().config;
    assert_eq!(config.log.level, LogLevel::Info);
    assert_eq!(config.rtsp.transports, RtspTransports { udp: false, multicast: false, tcp: true });
    assert_eq!((found(&config, "a.b"), found(&config, "x")), (Some("a.b"), Some("all_others")));
}

#[test]
fn all_errors_are_reported_with_place_and_line() {
    let text = "
logLevel: verbose
rtspAdress: :8554
rtsp: yes
rtsp: no
readTimeout: 10
rtspTransports: udp
maxReaders: 3
paths:
  cam/:
    maxReader: 1
    overridePublisher: \"no\"
";
    assert_eq!(
        case(text).errors(),
        "\
weft.yml:2:11: `logLevel` expects one of error, warn, info, debug, found `verbose`
  2 | logLevel: verbose
    |           ^^^^^^^
weft.yml:3:1: unknown key `rtspAdress`; did you mean `rtspAddress`?
  3 | rtspAdress: :8554
    | ^^^^^^^^^^
weft.yml:5:1: duplicate key `rtsp`; it is set on line 4 already
  5 | rtsp: no
    | ^^^^
weft.yml:6:14: `readTimeout` expects a duration like `10s`, `1h30m` or `2d`, found `10`
  6 | readTimeout: 10
    |              ^^
weft.yml:7:17: `rtspTransports` expects a list of udp, multicast, tcp, found `udp`
  7 | rtspTransports: udp
    |                 ^^^
weft.yml:8:1: unknown key `maxReaders`; it belongs to a path or to `pathDefaults`
  8 | maxReaders: 3
    | ^^^^^^^^^^
weft.yml:10:3: `cam/` cannot be a path: path name must not begin or end with '/'
  10 |   cam/:
     |   ^^^^
weft.yml:11:5: unknown key `maxReader`; did you mean `maxReaders`?
  11 |     maxReader: 1
     |     ^^^^^^^^^
weft.yml:12:24: `overridePublisher` expects yes or no, found the text \"no\"; take the quotes away
  12 |     overridePublisher: \"no\"
     |                        ^^^^"
    );
}

#[test]
fn rules_between_keys() {
    for (text, error) in [
        ("rtpAddress: :9001\n", "weft.yml:1:1: `rtpAddress` has port 9001, but RTP needs an even port"),
        (
            "rtcpAddress: :9001\n",
            "weft.yml:1:1: `rtcpAddress` has port 9001, but must have 8001, the port after `rtpAddress`",
        ),
        (
            "rtpAddress: :9000\n",
            "weft.yml:1:1: `rtcpAddress` has port 8001, but must have 9001, the port after `rtpAddress`",
        ),
        ("multicastRTPPort: 8005\n", "weft.yml:1:1: `multicastRTPPort` has port 8005, but RTP needs an even port"),
        ("apiAddress: 127.0.0.1:8554\n", "weft.yml:1:1: `apiAddress` and `rtspAddress` both want TCP port 8554"),
        ("paths:\n  all:\n  all_others:\n", "weft.yml:3:3: `all` and `all_others` mean the same; keep one"),
        ("paths:\n  ~a(:\n", "weft.yml:2:3: `~a(` is not a regular expression: error: unclosed group"),
        ("logDestinations:\n", "weft.yml:1:16: `logDestinations` may not be empty; for none write `[]`"),
        ("- a\n", "weft.yml:1:1: expected keys and values, as in `logLevel: debug`"),
        (
            "paths:\n  ~^x: {source: 'rtsp://h/x'}\n",
            "weft.yml:2:9: `~^x` stands for many paths: with a `source` it needs `sourceOnDemand: yes`",
        ),
        (
            "paths:\n  cam: {source: 'rtsps://h/x', sourceFingerprint: abc}\n",
            "weft.yml:2:32: `sourceFingerprint` expects the 64 hexadecimal digits of a SHA-256",
        ),
        (
            "paths:\n  cam: {source: 'rtsp://h/x', rtspRangeType: npt}\n",
            "weft.yml:2:31: `rtspRangeStart` expects a duration like `30s`",
        ),
        (
            "paths:\n  cam: {source: 'rtsp://h/x', rtspUDPSourcePortRange: [9, 8]}\n",
            "weft.yml:2:31: `rtspUDPSourcePortRange` expects the first and the last of some ports",
        ),
    ] {
        assert_eq!(case(text).errors().lines().next(), Some(error), "{text}");
    }
    case("rtpAddress: :9001\nrtspTransports: [tcp]\n").load();
    case("rtpAddress: :0\nrtcpAddress: :0\n").load();
}

#[test]
fn secrets_are_not_repeated() {
    let errors =
        case("paths:\n  cam: {srtReadPassphrase: [hunter2]}\n  b: {source: 'foo://user:hunter2@host'}\n").errors();
    assert!(!errors.contains("hunter2"), "{errors}");
    assert_eq!(errors.lines().count(), 2, "{errors}");
}

#[test]
fn what_has_no_effect_is_named() {
    let text = "
srtAddress: :9000
rtmp: yes
webrtcSTUNGatherTimeout: 5s
protocols: [tcp]
rtspDisable: yes
cluster: {node: a, bootstrap: {expect: 3, peers: [\"a:8700\"]}}
paths:
  a: {record: yes}
  b: {record: yes, source: 'srt://host:12', publishUser: joe}
";
    let case = case(text).env(&[("MTX_AUTHINTERNALUSERS_0_USER", "joe"), ("MTX_LOGLEVLE", "x")]);
    assert_eq!(
        case.warnings(),
        [
            "weft.yml:2:1: `srtAddress` is accepted, but this version does not serve it yet: it has no effect",
            "weft.yml:5:1: `protocols` is deprecated; write `rtspTransports`",
            "weft.yml:6:1: `rtspDisable` is deprecated; write `rtsp` with the opposite value",
            "weft.yml:9:7: `record` is accepted, but this version does not serve it yet: it has no effect (set 2 times)",
            "weft.yml:10:20: path `b`: this version does not pull `srt` sources yet; it stays empty",
            "weft.yml:10:45: `publishUser` has no effect any more and protects nothing; write `authInternalUsers`",
            "environment variable MTX_AUTHINTERNALUSERS_0_USER: `authInternalUsers` is accepted, but this version does not \
             serve it yet: it has no effect",
            "environment variable MTX_LOGLEVLE: no key belongs to this variable; it has no effect; did you mean `logLevel`?",
            "WebRTC: not served yet, set to the defaults: webrtcSTUNGatherTimeout",
        ]
    );
    let config = case.load().config;
    assert!(!config.rtsp.enabled);
    assert_eq!(config.rtsp.transports, RtspTransports { udp: false, multicast: false, tcp: true });
}

#[test]
fn the_users_of_the_stock_file_are_the_default_and_others_are_a_warning() {
    let stock = "
authInternalUsers:
  - user: any
    pass:
    ips: []
    permissions:
      - action: publish
        path:
      - action: read
      - action: playback
  - {user: any, ips: ['127.0.0.1', '::1'], permissions: [{action: api}, {action: metrics}, {action: pprof}]}
apiAllowOrigins: ['*']
webrtcAllowOrigins: ['*']
";
    assert_eq!(case(stock).warnings(), ["Authentication: not served yet, set to the defaults: authInternalUsers",]);
    let closed = case(&stock.replace("pass:", "pass: secret")).warnings();
    assert!(closed[0].starts_with("weft.yml:2:1: security: `authInternalUsers` is accepted"), "{closed:?}");
    assert_eq!(case(stock).load().config.api.allow_origins, ["*"]);
}

#[test]
fn the_first_file_of_the_search_is_taken_and_a_named_one_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let second = folder.path().join("mediamtx.yml");
    std::fs::write(&second, "logLevel: error\n").unwrap();
    let search = vec![folder.path().join("weft.yml"), second.clone()];
    let loaded = Config::load(&LoadSource { search, ..LoadSource::default() }).unwrap();
    assert_eq!((loaded.file, loaded.config.log.level), (Some(second), LogLevel::Error));
    let missing = Config::load(&LoadSource::file("/nonexistent/weft.yml")).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read configuration file /nonexistent/weft.yml: "), "{missing}");
}

#[test]
fn timings_of_the_cluster_follow_the_way_unless_they_are_set() {
    let follow = |section: &str| {
        let timings = case(&format!("cluster: {{node: a{section}}}")).load().config.cluster.timings;
        (timings.elections_follow, timings.liveness_follows)
    };
    assert_eq!(follow(""), (true, true));
    // The value is the default; it counts that somebody has said so.
    assert_eq!(follow(", heartbeat: 40ms"), (false, true));
    assert_eq!(follow(", electionTimeout: 1s"), (false, true));
    assert_eq!(follow(", downAfter: 2s, claimTimeout: 2s"), (true, false));
}

#[test]
fn aliases_stand_for_no_more_than_a_configuration_may_have() {
    let chain: String = (1..=100).map(|n| format!(", &a{n} [*a{}]", n - 1)).collect();
    let deep = case(&format!("x: [&a0 [a]{chain}]\n")).errors();
    assert!(deep.contains("aliases stand for more"), "{deep}");
    let long = "a".repeat(100_000);
    let paths: String = (0..400).map(|n| format!("  p{n}: *p\n")).collect();
    let wide = case(&format!("paths:\n  p: &p {{source: 'rtsp://{long}'}}\n{paths}")).errors();
    assert!(wide.contains("aliases stand for more"), "{}", &wide[..wide.len().min(300)]);
}
