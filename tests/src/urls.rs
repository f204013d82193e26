//! Where the paths of a node are.

use crate::cluster::Node;
use crate::server::Server;

/// Somewhere that clients go to.
pub trait Urls {
    /// The URL of a path over RTSP.
    fn rtsp(&self, path: &str) -> String;
    /// The same inside TLS.
    fn rtsps(&self, path: &str) -> String;
    /// The URL of a path over RTMP.
    fn rtmp(&self, path: &str) -> String;
    /// The same inside TLS.
    fn rtmps(&self, path: &str) -> String;
    /// The URL of a path's playlist.
    fn hls(&self, path: &str) -> String;
    /// The root of the pages for WebRTC, without a slash at the end.
    fn webrtc(&self) -> String;
    /// Where a path is read over WebRTC.
    fn whep(&self, path: &str) -> String {
        format!("{}/{path}/whep", self.webrtc())
    }
    /// Where a path is published over WebRTC.
    fn whip(&self, path: &str) -> String {
        format!("{}/{path}/whip", self.webrtc())
    }
}

impl Urls for Server {
    fn rtsp(&self, path: &str) -> String {
        self.rtsp(path)
    }

    fn rtsps(&self, path: &str) -> String {
        self.rtsps(path)
    }

    fn rtmp(&self, path: &str) -> String {
        self.rtmp(path)
    }

    fn rtmps(&self, path: &str) -> String {
        self.rtmps(path)
    }

    fn hls(&self, path: &str) -> String {
        self.hls(path)
    }

    fn webrtc(&self) -> String {
        self.webrtc()
    }
}

/// Nodes of clusters have no doors with TLS.
impl Urls for Node {
    fn rtsp(&self, path: &str) -> String {
        format!("rtsp://{}/{path}", self.rtsp_address())
    }

    fn rtsps(&self, path: &str) -> String {
        panic!("{path}: {} has no RTSPS", self.name)
    }

    fn rtmp(&self, path: &str) -> String {
        format!("rtmp://{}/{path}", self.rtmp_address())
    }

    fn rtmps(&self, path: &str) -> String {
        panic!("{path}: {} has no RTMPS", self.name)
    }

    fn hls(&self, path: &str) -> String {
        format!("http://{}/{path}/index.m3u8", self.hls_address())
    }

    fn webrtc(&self) -> String {
        format!("http://{}", self.webrtc_address())
    }
}
