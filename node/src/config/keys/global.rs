//! General, authentication and Weft's own keys.

use super::Kind::{
    Address, Bool, Budget, Choice, Choices, Duration, Int, PathKeys, Paths, PowerOfTwo, Records, Secret, Section, Size,
    Text, Texts,
};
use super::{Key, key};

const DAY: u64 = 86_400_000;

pub(super) static GENERAL: &[Key] = &[
    key("logLevel", Choice(&["error", "warn", "info", "debug"]), "info", "How much is logged.").served(),
    key("logDestinations", Choices(&["stdout", "file", "syslog"]), "[stdout]", "Where the log goes (syslog: not yet).")
        .served()
        .at_restart(),
    key("logStructured", Bool, "no", "One JSON object a line instead of text.").served().at_restart(),
    key("logFile", Text, "mediamtx.log", "The log file, when `logDestinations` has `file`.").served().at_restart(),
    key("sysLogPrefix", Text, "mediamtx", "The name in the system log."),
    key("dumpPackets", Bool, "no", "Write all packets to disk."),
    key("readTimeout", Duration(1, DAY), "10s", "A peer that sends nothing for so long is dropped.").served(),
    key("writeTimeout", Duration(1, DAY), "10s", "A peer that takes nothing for so long is dropped.").served(),
    key(
        "writeQueueSize",
        PowerOfTwo,
        "512",
        "Packets queued for a reader. Weft bounds bytes and age instead: `groupMaxBytes`, `groupMaxAge`.",
    ),
    key("udpMaxPayloadSize", Int(64, 1472), "1452", "Largest UDP payload sent.").served(),
    key("udpReadBufferSize", Int(0, 1 << 30), "0", "Receive buffer of UDP sockets in bytes; 0 leaves the system's.")
        .served(),
    key("runOnConnect", Text, "", "A command run when a client connects."),
    key("runOnConnectRestart", Bool, "no", "Run it again when it ends."),
    key("runOnDisconnect", Text, "", "A command run when a client disconnects."),
];

pub(super) static WEFT: &[Key] = &[
    key(
        "mode",
        Choice(&["standalone", "cluster", "witness"]),
        "standalone",
        "Alone, with others, or only voting; with a `cluster` section `cluster`.",
    )
    .served()
    .at_restart(),
    key("dataDir", Text, "weft-data", "Where the node keeps its state.").served().at_restart(),
    key("workers", Int(0, 1024), "0", "Worker threads; 0 is one for each core.").served().at_restart(),
    key(
        "logBudget",
        Budget,
        "25%",
        "Memory that all stream logs, and the HLS segments made of them, may use together.",
    )
    .served()
    .at_restart(),
    key("groupMaxBytes", Size, "32M", "A group of pictures that grows beyond this is cut.").served(),
    key("groupMaxAge", Duration(100, DAY), "20s", "A group of pictures that lasts longer than this is cut.").served(),
    key("startMaxBytes", Size, "8M", "The most that a new reader is sent at once to start with a whole group.")
        .served(),
    key("startMaxAge", Duration(0, DAY), "10s", "The oldest group that a new reader is started with.").served(),
    key("chaos", Bool, "no", "Faults between nodes may be injected through the API, for drills: `/cluster/faults`.")
        .served()
        .at_restart(),
    key("cluster", Section(CLUSTER), "", "This node's place in a cluster.").at_restart().served(),
];

/// The `cluster:` section.
pub static CLUSTER: &[Key] = &[
    key("node", Text, "", "The node's name; the host name by default.").served(),
    key("zone", Text, "", "Rack, site or region.").served(),
    key("address", Address, ":8700", "Control, join and lifeline (UDP and TCP); media relays on the next port (UDP).")
        .served(),
    key("advertise", Text, "", "What other nodes dial; `address` by default.").served(),
    key("publicHost", Text, "", "The host that clients are told.").served(),
    key(
        "heartbeat",
        Duration(10, 5_000),
        "40ms",
        "How often the leader says that it lives. Unset, at least the measured round trip between the nodes.",
    )
    .alike()
    .served(),
    key(
        "electionTimeout",
        Duration(50, 50_000),
        "200ms",
        "How long a silent leader is followed; at least four heartbeats. Unset, five of those that are measured.",
    )
    .alike()
    .served(),
    key(
        "suspectAfter",
        Duration(100, 60_000),
        "300ms",
        "A node that is not heard of for so long is suspect. Unset, at least two measured round trips.",
    )
    .alike()
    .served(),
    key(
        "downAfter",
        Duration(200, 120_000),
        "600ms",
        "After so long an observer says that a node is down. Unset, at least four measured round trips.",
    )
    .alike()
    .served(),
    key("claimTimeout", Duration(100, 60_000), "3s", "How long a publisher waits for the nodes to agree.")
        .alike()
        .served(),
    key("voterReplaceAfter", Duration(1_000, DAY), "10m", "How long a dead node keeps its vote.").alike().served(),
    key(
        "relayLatencyMax",
        Duration(50, 10_000),
        "500ms",
        "Between nodes, media older than this gives way to the next group, where a connection cannot carry all.",
    )
    .alike()
    .served(),
    key("join", Secret, "", "A token of `weft cluster token`, with which a node that is in no cluster joins one.")
        .served(),
    key("bootstrap", Section(BOOTSTRAP), "", "How a new cluster forms.").served(),
];

/// The `cluster.bootstrap:` section.
pub static BOOTSTRAP: &[Key] = &[
    key("expect", Int(1, 7), "1", "How many nodes form the cluster.").alike().served(),
    key("peers", Texts, "[]", "Addresses of the nodes that form the cluster.").alike().served(),
    key("secretFile", Text, "", "The file with the secret that the nodes share.").served(),
];

const OPEN_MEDIA: &str = "[{user: any, permissions: [{action: publish}, {action: read}, {action: playback}]}, \
    {user: any, ips: ['127.0.0.1', '::1'], permissions: [{action: api}, {action: metrics}, {action: pprof}]}]";

pub(super) static AUTH: &[Key] = &[
    key("authMethod", Choice(&["internal", "http", "jwt"]), "internal", "Who decides what users may do.").shared(),
    key(
        "authInternalUsers",
        Records(&["user", "pass", "ips", "permissions"]),
        OPEN_MEDIA,
        "Users and permissions. By default everybody may publish and read; API and metrics only from this machine.",
    )
    .shared(),
    key("authHTTPAddress", Secret, "", "URL that is asked, for `http`.").shared(),
    key("authHTTPFingerprint", Text, "", "Fingerprint of that server's certificate.").shared(),
    key("authHTTPExclude", Records(&["action", "path"]), "[]", "Actions that need no question.").shared(),
    key("authJWTJWKS", Text, "", "URL of the keys, for `jwt`.").shared(),
    key("authJWTJWKSFingerprint", Text, "", "Fingerprint of that server's certificate.").shared(),
    key("authJWTClaimKey", Text, "mediamtx_permissions", "The claim that holds the permissions.").shared(),
    key("authJWTExclude", Records(&["action", "path"]), "[]", "Actions that need no token.").shared(),
    key("authJWTIssuer", Text, "", "The issuer that is asked for.").shared(),
    key("authJWTAudience", Text, "", "The audience that is asked for.").shared(),
];

pub(super) static PATHS: &[Key] = &[
    key("pathDefaults", PathKeys, "", "What every path has unless it says otherwise.").shared().served(),
    key(
        "paths",
        Paths,
        "{all_others: {}}",
        "Paths: a name, a regular expression after `~`, or `all_others`. Looked up in this order.",
    )
    .shared()
    .served(),
];
