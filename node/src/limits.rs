//! Bounds of what clients may ask of a node's doors, in one place, with their sum.
//!
//! Not yet authenticated: [`HALF_OPEN_NODE_MAX`] connections of at most 16 KB buffered head each are 64 MB. Established:
//! each connection buffers one incomplete message or frame (64 KB at most) and one batch of units, which it shares.

use std::time::Duration;

/// Connections from one address that have not got past handshake and authentication.
pub const HALF_OPEN_ADDRESS_MAX: u32 = 256;

/// The same for the whole node.
pub const HALF_OPEN_NODE_MAX: u32 = 4096;

/// Connections of the whole node. Each established one costs about 10 KB beside its share of media.
pub const CONNECTIONS_MAX: u32 = 65_536;

/// A connection must get past TLS handshake and first accepted request in this time.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an RTSP session over UDP lives without a request or a receiver report (RFC 2326 section 12.37).
pub const RTSP_SESSION_TIMEOUT: Duration = Duration::from_secs(60);

/// Units held back while the tracks of a publisher are being aligned: 3.5 s of 60 fps video and audio are 400.
pub const ALIGN_UNITS_MAX: usize = 512;

/// Bytes of one chunk that a publisher's packets are read into.
pub const PUBLISHER_CHUNK_BYTES: usize = 64 << 10;

/// Bytes of the chunk that requests are read into.
pub const REQUEST_CHUNK_BYTES: usize = 1024;

/// Bytes that a proxy may say of a connection beside its addresses: certificates' names and the like.
pub const PROXY_HEADER_BYTES_MAX: usize = 2048;

/// How long a node that ends may take to let another one lead, and standbys of others go on: some round trips and an election.
pub const HAND_OVER_WITHIN: Duration = Duration::from_millis(700);

/// Time all sessions have to end at shutdown before the process goes without them.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(4);

/// HLS requests that wait for a part of one path. Each is a task of about 2 KB beside its connection.
pub const HLS_WAITING_MAX: usize = 20_000;

/// An HLS request waits at least so long for what it asks for: the first segment of a stream with a keyframe every 10 s.
pub const HLS_WAIT_MIN: Duration = Duration::from_secs(12);

/// Viewers of HLS on this node; each is a record of about 500 bytes.
pub const HLS_SESSIONS_MAX: usize = 100_000;

/// A viewer of HLS that asks for nothing for so long is no longer listed.
pub const HLS_SESSION_IDLE: Duration = Duration::from_secs(30);

/// Bytes of another server's playlist: a day of segments of 2 s with long names has 6 MB.
pub const HLS_PLAYLIST_BYTES_MAX: usize = 8 << 20;

/// Bytes of an initialisation segment: some kilobytes of headers.
pub const HLS_MAP_BYTES_MAX: usize = 1 << 20;

/// Bytes of a part that is held until its playlist lists it: a second of 64 Mbit/s.
pub const HLS_PART_BYTES_MAX: usize = 8 << 20;

/// Media of an HLS source that is read ahead of its time: three segments of 10 s, with which a live stream begins.
pub const HLS_AHEAD_MAX: Duration = Duration::from_secs(30);

/// Bytes of that, of all renditions together: 30 s of 8 Mbit/s. What is faster is read less far ahead.
pub const HLS_AHEAD_BYTES_MAX: usize = 32 << 20;

/// Bytes of an HTTP request's head.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 << 10;

/// A connection over which no request comes for so long is closed.
pub const HTTP_IDLE: Duration = Duration::from_secs(30);

/// Requests at a time of one HTTP/2 connection.
pub const HTTP2_STREAMS_MAX: u32 = 64;

/// WebRTC sessions of this node.
pub const WEBRTC_SESSIONS_MAX: usize = 20_000;

/// WebRTC sessions from one address that have found no way yet. Each holds some kilobytes for ten seconds.
pub const WEBRTC_PENDING_MAX: usize = 256;
