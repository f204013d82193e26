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

/// RTP packets held back to put them in order: 64 packets of 1,400 bytes are 90 KB a track.
pub const REORDER_PACKETS_MAX: usize = 64;

/// Bytes of an RTSP message head (request line and headers).
pub const RTSP_HEAD_BYTES_MAX: usize = 16 << 10;

/// Headers of one RTSP message.
pub const RTSP_HEADERS_MAX: usize = 64;

/// Bytes of an RTSP body. An SDP of 32 tracks with parameter sets stays below 32 KB.
pub const RTSP_BODY_BYTES_MAX: usize = 64 << 10;
