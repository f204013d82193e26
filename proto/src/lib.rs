//! Words and wires of Weft: the media model, bitstreams, RTP, RTSP, RTMP, SDP, MPEG-TS, fragmented MP4 and HLS.
//!
//! Sans-IO: bytes in, values out, and back. Nothing here opens a socket, reads a file, asks a clock or draws a random
//! number; whoever drives these types passes [`time::Now`] and the bytes that arrived. Nothing that the network sends
//! makes this crate panic, loop or grow beyond [`limits`].
//!
//! Rooms, lowest floor first: [`time`], [`id`], [`limits`], [`bits`]; [`media`]; [`bitstream`]; [`opaque`]; [`rtp`]; [`sdp`]; [`rtsp`], [`rtmp`],
//! [`ts`], [`mp4`], [`webrtc`]; [`hls`]; [`wire`] and [`query`], which need only the lowest.
#![forbid(unsafe_code)]

pub mod bits;
pub mod bitstream;
pub mod hls;
pub mod id;
pub mod limits;
pub mod media;
pub mod mp4;
pub mod opaque;
pub mod query;
pub mod rtmp;
pub mod rtp;
pub mod rtsp;
pub mod sdp;
pub mod time;
pub mod ts;
pub mod webrtc;
pub mod wire;
