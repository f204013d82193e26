//! Keys of a path.

use super::Kind::{Bool, Choice, Duration, Int, Numbers, Records, Secret, Size, Text};
use super::{Key, key};

const DAY: u64 = 86_400_000;
const YEAR: u64 = 366 * DAY;

pub(super) static SOURCE: &[Key] = &[
    key(
        "source",
        Text,
        "publisher",
        "Where the stream comes from: `publisher`, or a URL that a node pulls (`rtsp`, `rtmp`, HLS over `http`).",
    )
    .shared()
    .served(),
    key(
        "sourceFingerprint",
        Text,
        "",
        "SHA-256 of the source's certificate; without it the certificate must be trusted.",
    )
    .shared()
    .served(),
    key("sourceOnDemand", Bool, "no", "Pull the source only while somebody reads.").shared().served(),
    key("sourceOnDemandStartTimeout", Duration(1, DAY), "10s", "How long readers wait for it.").shared().served(),
    key("sourceOnDemandCloseAfter", Duration(0, DAY), "10s", "How long it stays without readers.").shared().served(),
    key("maxReaders", Int(0, i64::MAX), "0", "Most readers at a time; 0 is no limit.").shared().served(),
    key("srtReadPassphrase", Secret, "", "What SRT readers must know; 10 to 79 characters.").shared(),
    key("useAbsoluteTimestamp", Bool, "no", "Keep the times that the source sends.").shared(),
    key("overridePublisher", Bool, "yes", "A new publisher replaces the one that is there.").shared().served(),
    key("srtPublishPassphrase", Secret, "", "What SRT publishers must know; 10 to 79 characters.").shared(),
    key("alwaysAvailable", Bool, "no", "The path can be read even without a publisher.").shared(),
    key(
        "alwaysAvailableTracks",
        Records(&["codec", "sampleRate", "channelCount", "muLaw"]),
        "[]",
        "The tracks it then has.",
    )
    .shared(),
    key("alwaysAvailableFile", Text, "", "The file it then plays.").shared(),
    key("forward", Records(&["dest", "destFingerprint", "whipBearerToken"]), "[]", "Send the stream on to these.")
        .shared(),
];

pub(super) static WEFT: &[Key] = &[
    key(
        "sourceExclusive",
        Bool,
        "no",
        "Pull the source only while the node is part of a quorum: never from two at once.",
    )
    .shared()
    .served(),
    key("readerHold", Duration(0, DAY), "10s", "How long readers wait for the publisher to come back.")
        .shared()
        .served(),
    key("standby", Bool, "no", "A second publisher waits until the active one fails, instead of replacing it.")
        .shared()
        .served(),
    key("standbyReturn", Bool, "no", "A publisher of a better rank gets the path back once it has been well for 5 s.")
        .shared()
        .served(),
    key("logKeep", Duration(0, DAY), "4s", "How much media the stream's log keeps, beside the newest group.")
        .shared()
        .served(),
];

pub(super) static RECORD: &[Key] = &[
    key("record", Bool, "no", "Record the stream.").shared(),
    key("recordPath", Text, "./recordings/%path/%Y-%m-%d_%H-%M-%S-%f", "Where to, without the ending.").shared(),
    key("recordFormat", Choice(&["fmp4", "mpegts"]), "fmp4", "Format of the files.").shared(),
    key("recordPartDuration", Duration(1, DAY), "1s", "What is lost at most when the machine dies.").shared(),
    key("recordMaxPartSize", Size, "50M", "Largest part.").shared(),
    key("recordSegmentDuration", Duration(1, DAY), "1h", "Shortest file.").shared(),
    key("recordDeleteAfter", Duration(0, 100 * YEAR), "1d", "When files are removed; 0s is never.").shared(),
];

pub(super) static PARTICULAR: &[Key] = &[
    key("rtspDemuxMpegts", Bool, "no", "Take MPEG-TS inside RTSP apart.").shared(),
    key(
        "rtspTransport",
        Choice(&["automatic", "udp", "multicast", "tcp"]),
        "automatic",
        "How to pull RTSP; `automatic` is `tcp`, where the server does not want that `udp`, and then `multicast`.",
    )
    .shared()
    .served(),
    key("rtspAnyPort", Bool, "no", "Take RTP from other ports than promised.").shared().served(),
    key("rtspRangeType", Choice(&["", "clock", "npt", "smpte"]), "", "Kind of range to ask for.").shared().served(),
    key("rtspRangeStart", Text, "", "Where the range begins.").shared().served(),
    key("rtspScale", Text, "", "The speed to ask for.").shared().served(),
    key("rtspUDPSourcePortRange", Numbers(2), "[32768, 60999]", "Local ports for pulling over UDP.").shared().served(),
    key("rtpSDP", Text, "", "The SDP of a plain RTP source.").shared(),
    key("moqTransport", Choice(&["quic", "webtransport"]), "quic", "How to pull MoQ.").shared(),
    key("whepBearerToken", Secret, "", "Token for a WHEP source.").shared().served(),
    key("whepSTUNGatherTimeout", Duration(1, DAY), "5s", "How long STUN servers may take.").shared().served(),
    key("whepHandshakeTimeout", Duration(1, DAY), "10s", "How long a handshake may take.").shared().served(),
    key("whepTrackGatherTimeout", Duration(1, DAY), "2s", "How long to wait for all tracks.").shared().served(),
    key("sourceRedirect", Text, "", "Where readers are sent when `source` is `redirect`.").shared(),
];

pub(super) static HOOKS: &[Key] = &[
    key("runOnInit", Text, "", "A command run when the path is set up; not for regular expressions.").shared(),
    key("runOnInitRestart", Bool, "no", "Run it again when it ends.").shared(),
    key("runOnDemand", Text, "", "A command run while somebody reads.").shared(),
    key("runOnDemandRestart", Bool, "no", "Run it again when it ends.").shared(),
    key("runOnDemandStartTimeout", Duration(1, DAY), "10s", "How long it may take until the stream is there.").shared(),
    key("runOnDemandCloseAfter", Duration(0, DAY), "10s", "How long it stays without readers.").shared(),
    key("runOnUnDemand", Text, "", "A command run when nobody reads any more.").shared(),
    key("runOnAvailable", Text, "", "A command run while the stream can be read.").shared(),
    key("runOnAvailableRestart", Bool, "no", "Run it again when it ends.").shared(),
    key("runOnUnavailable", Text, "", "A command run when the stream cannot be read any more.").shared(),
    key("runOnOnline", Text, "", "A command run while the source is there.").shared(),
    key("runOnOnlineRestart", Bool, "no", "Run it again when it ends.").shared(),
    key("runOnOffline", Text, "", "A command run when the source has gone.").shared(),
    key("runOnRead", Text, "", "A command run when somebody begins to read.").shared(),
    key("runOnReadRestart", Bool, "no", "Run it again when it ends.").shared(),
    key("runOnUnread", Text, "", "A command run when a reader has gone.").shared(),
    key("runOnRecordSegmentCreate", Text, "", "A command run when a recorded file is begun.").shared(),
    key("runOnRecordSegmentComplete", Text, "", "A command run when a recorded file is complete.").shared(),
];
