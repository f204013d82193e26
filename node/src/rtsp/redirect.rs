//! Asking a client to go on at another node.

use tracing::info;
use weft_proto::rtsp::{Method, Request};

use super::session::Session;

/// Of the only request that this server makes.
const CSEQ: &str = "1";

impl Session {
    /// The node is being drained. RFC 2326 section 10.10 lets a server name another one; whoever does not understand that stays
    /// until it is sent away. Where nobody has said under what name clients reach the other nodes, nothing is asked.
    pub(super) fn ask_to_go(&mut self, who: &str) {
        let Some((host, port)) = self.door.shared.fabric.elsewhere().zip(self.wire.local_port()) else { return };
        let scheme = if self.secure { "rtsps" } else { "rtsp" };
        let path = self.machine.path();
        // An IPv6 address stands in brackets (RFC 3986 section 3.2.2).
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let location = format!("{scheme}://{host}:{port}/{path}");
        info!(path, peer = %self.peer, %location, "{who} asked to go on at another node");
        let request = Request::new(Method::Redirect, location.clone())
            .with("CSeq", CSEQ)
            .with("Session", self.machine.session_id())
            .with("Location", location);
        let mut bytes = Vec::with_capacity(256);
        request.write(&mut bytes);
        self.send_bytes(bytes);
    }
}
