//! Doors that a node of a cluster has only when a test wants them.

use crate::ports;

/// Ports of HLS, of WebRTC, and of RTSP's media over UDP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doors {
    pub(super) hls: u16,
    /// HTTP of WebRTC.
    pub(super) webrtc: u16,
    /// Media of WebRTC.
    ice: u16,
    /// RTP; RTCP has the next.
    rtp: u16,
}

impl Doors {
    /// On free ports.
    pub(super) fn free() -> Self {
        Self { hls: ports::tcp(), webrtc: ports::tcp(), ice: ports::udp(), rtp: ports::udp_pair() }
    }

    /// What opens them, over what the file says.
    pub(super) fn variables(self) -> [(&'static str, String); 10] {
        let at = |port: u16| format!("127.0.0.1:{port}");
        [
            ("WEFT_HLS", "yes".to_owned()),
            ("WEFT_HLSADDRESS", at(self.hls)),
            ("WEFT_WEBRTC", "yes".to_owned()),
            ("WEFT_WEBRTCADDRESS", at(self.webrtc)),
            ("WEFT_WEBRTCLOCALUDPADDRESS", at(self.ice)),
            ("WEFT_WEBRTCIPSFROMINTERFACES", "no".to_owned()),
            ("WEFT_WEBRTCADDITIONALHOSTS", "127.0.0.1".to_owned()),
            ("WEFT_RTSPTRANSPORTS", "tcp,udp".to_owned()),
            ("WEFT_RTPADDRESS", at(self.rtp)),
            ("WEFT_RTCPADDRESS", at(self.rtp + 1)),
        ]
    }
}
