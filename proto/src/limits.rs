//! Bounds of what the wire may ask of us, in one place.

/// Longest path name in bytes; fits a file name on every file system.
pub const PATH_NAME_BYTES_MAX: usize = 255;

/// Tracks in one stream. MediaMTX's largest known use is below 20; 32 leaves room.
pub const TRACKS_MAX: usize = 32;

/// Bytes of one unit. A 4K intra frame at 100 Mbit/s and 1 fps is 12.5 MB; beyond 16 MB it is an attack.
pub const UNIT_BYTES_MAX: usize = 16 << 20;

/// NAL units or OBUs in one unit. H.264 allows a slice per macroblock row: 8K video has 270.
pub const UNIT_FRAMES_MAX: usize = 1024;

/// Slices of one unit: what arrived in packets stays in them. 16 MB in packets of 1,200 bytes are 14,000; each slice costs
/// 32 bytes, so that a unit of tiny fragments takes 512 KB at most beside its media.
pub const UNIT_SLICES_MAX: usize = 16 << 10;

/// Bytes of one parameter set. The largest seen (H.265 with VUI and extensions) is below 500.
pub const PARAMETER_SET_BYTES_MAX: usize = 4096;

/// Parameter sets of one kind that a track keeps. H.265 allows 64 PPS; H.264 allows 256, and nobody uses ten.
pub const PARAMETER_SETS_MAX: usize = 64;

/// RTP packets held back to put them in order: 64 packets of 1,400 bytes are 90 KB a track.
pub const REORDER_PACKETS_MAX: usize = 64;

/// The same where lost packets are asked for again and waited for: 300 ms of 50 Mbit/s. Room for them is taken when one is lost.
pub const REPAIR_PACKETS_MAX: usize = 2048;

/// Bytes of an RTSP message head (request line and headers).
pub const RTSP_HEAD_BYTES_MAX: usize = 16 << 10;

/// Headers of one RTSP message.
pub const RTSP_HEADERS_MAX: usize = 64;

/// Bytes of an RTSP body. An SDP of 32 tracks with parameter sets stays below 32 KB.
pub const RTSP_BODY_BYTES_MAX: usize = 64 << 10;

/// Bytes of an access unit that is put together from the payloads of an opaque track; more is no frame of the codecs that
/// we carry so.
pub const OPAQUE_PENDING_BYTES_MAX: usize = 4 << 20;

/// Parts of one HLS segment. A part is 200 ms by default: a segment of 3.4 minutes without a random access point is no
/// segment that a player could start with.
pub const HLS_PARTS_MAX: u32 = 1024;

/// Lines of another server's playlist: a day of segments of 2 s, with two tags each, has 130,000.
pub const HLS_PLAYLIST_LINES_MAX: usize = 200_000;

/// Bytes of a URI in there; signed ones have below 2 KB.
pub const HLS_PLAYLIST_URI_BYTES_MAX: usize = 8 << 10;

/// Bytes of PES packets of a transport stream that are not complete, all tracks together: two of the largest units.
pub const TS_PENDING_BYTES_MAX: usize = 2 * UNIT_BYTES_MAX;

/// Bytes of the headers of fragmented MP4, of an initialisation segment or of a fragment: 100,000 samples have 1.6 MB.
pub const MP4_HEADERS_BYTES_MAX: usize = 4 << 20;

/// Samples of a fragment.
pub const MP4_SAMPLES_MAX: usize = 100_000;

/// Bytes of the media of a fragment. Many servers make one of each segment: 10 s of 25 Mbit/s.
pub const MP4_FRAGMENT_BYTES_MAX: usize = 32 << 20;

/// Chunk streams of one RTMP connection. Encoders use below ten; each costs 200 bytes.
pub const RTMP_CHUNK_STREAMS_MAX: usize = 64;

/// RTMP messages that may be unfinished at once: sound, pictures and a command are three. What lies here is 2 × 16 MB
/// together at most (2 × 64 KB before the peer may send media), and each message keeps 128 receive buffers of 64 KB.
pub const RTMP_UNFINISHED_MAX: usize = 8;

/// Bytes of an RTMP command, and of any message before the peer may send media. A `connect` has below 2 KB.
pub const RTMP_COMMAND_BYTES_MAX: usize = 64 << 10;

/// How deep values of AMF0 may lie in each other; real ones do four levels.
pub const AMF_DEPTH_MAX: usize = 16;

/// Values in one AMF0 message, keys included. Each takes 64 bytes of memory: 256 KB.
pub const AMF_VALUES_MAX: usize = 4096;

/// Bytes of the metadata of an RTMP stream: `onMetaData` has below 4 KB.
pub const RTMP_METADATA_BYTES_MAX: usize = 64 << 10;

/// Units of an RTMP publisher held while its tracks are gathered: 1 s of 60 fps video and of four sound tracks is 260.
pub const RTMP_HELD_UNITS_MAX: usize = 1024;

/// Bytes of the first message on a connection between nodes, either way: it has below 100.
pub const HELLO_BYTES_MAX: usize = 1024;

/// Bytes of what a node without certificate may say. A request for a certificate has 200, facts some names.
pub const JOIN_REQUEST_BYTES_MAX: usize = 4096;

/// Bytes of the answer to that: two certificates of 500 bytes, and an address for each of 64 members.
pub const JOIN_ANSWER_BYTES_MAX: usize = 64 << 10;

/// Addresses in a join token: more help nobody, and it is copied by hand.
pub const TOKEN_ADDRESSES_MAX: usize = 8;

/// Bytes of an address in a join token: the longest host name has 253.
pub const TOKEN_ADDRESS_BYTES_MAX: usize = 260;

/// Bytes of a unit's head on a relay: it may carry the tracks with all their parameter sets, and a length for each frame.
pub const RELAY_HEAD_BYTES_MAX: usize = 640 << 10;
