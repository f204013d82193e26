//! An RTSP 1.0 client (RFC 2326), as small as the probes need: it knows our two tracks and nothing else.

mod client;
mod play;
mod record;
mod sdp;

pub use play::play;
pub use record::{RecordSink, record};
pub(super) use sdp::base64;
