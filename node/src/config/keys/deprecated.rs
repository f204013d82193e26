//! Keys of older MediaMTX files. They are accepted with a warning, and act through the key that replaced them.

/// A key of an older version.
#[derive(Debug)]
pub struct Deprecated {
    /// As it was written.
    pub name: &'static str,
    /// What became of it.
    pub now: Now,
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    /// Another name, same meaning.
    Is(&'static str),
    /// Another name, opposite meaning.
    IsNot(&'static str),
    /// The only entry of what is a list now.
    OneOf(&'static str),
    /// A key of `pathDefaults`.
    PathDefault(&'static str),
    /// Replaced by something else that has to be written anew.
    See(&'static str),
    /// Removed without replacement.
    Gone,
}

impl Deprecated {
    /// What to tell whoever still writes it.
    pub fn advice(&self) -> String {
        let name = self.name;
        match self.now {
            Now::Is(new) | Now::OneOf(new) => format!("`{name}` is deprecated; write `{new}`"),
            Now::IsNot(new) => format!("`{name}` is deprecated; write `{new}` with the opposite value"),
            Now::PathDefault(new) => format!("`{name}` is deprecated here; write `{new}` under `pathDefaults`"),
            Now::See("authInternalUsers") => {
                format!("`{name}` has no effect any more and protects nothing; write `authInternalUsers`")
            }
            Now::See(new) => format!("`{name}` has no effect any more; see `{new}`"),
            Now::Gone => format!("`{name}` has no effect any more"),
        }
    }
}

const fn old(name: &'static str, now: Now) -> Deprecated {
    Deprecated { name, now }
}

/// Of the top level.
pub(super) static GLOBAL: &[Deprecated] = &[
    old("apiAllowOrigin", Now::OneOf("apiAllowOrigins")),
    old("metricsAllowOrigin", Now::OneOf("metricsAllowOrigins")),
    old("pprofAllowOrigin", Now::OneOf("pprofAllowOrigins")),
    old("playbackAllowOrigin", Now::OneOf("playbackAllowOrigins")),
    old("hlsAllowOrigin", Now::OneOf("hlsAllowOrigins")),
    old("webrtcAllowOrigin", Now::OneOf("webrtcAllowOrigins")),
    old("authJWTInHTTPQuery", Now::Gone),
    old("authMethods", Now::Is("rtspAuthMethods")),
    old("encryption", Now::Is("rtspEncryption")),
    old("serverKey", Now::Is("rtspServerKey")),
    old("serverCert", Now::Is("rtspServerCert")),
    old("protocols", Now::Is("rtspTransports")),
    old("externalAuthenticationURL", Now::Is("authHTTPAddress")),
    old("readBufferCount", Now::Is("writeQueueSize")),
    old("rtspDisable", Now::IsNot("rtsp")),
    old("rtmpDisable", Now::IsNot("rtmp")),
    old("hlsDisable", Now::IsNot("hls")),
    old("webrtcDisable", Now::IsNot("webrtc")),
    old("rtspUDPReadBufferSize", Now::Is("udpReadBufferSize")),
    old("webrtcICEUDPMuxAddress", Now::Is("webrtcLocalUDPAddress")),
    old("webrtcICETCPMuxAddress", Now::Is("webrtcLocalTCPAddress")),
    old("webrtcICEHostNAT1To1IPs", Now::Is("webrtcAdditionalHosts")),
    old("webrtcICEServers", Now::See("webrtcICEServers2")),
    old("moqHTTPS2Address", Now::Is("moqHTTP2Address")),
    old("moqHTTPS3Address", Now::Is("moqHTTP3Address")),
    old("record", Now::PathDefault("record")),
    old("recordPath", Now::PathDefault("recordPath")),
    old("recordFormat", Now::PathDefault("recordFormat")),
    old("recordPartDuration", Now::PathDefault("recordPartDuration")),
    old("recordSegmentDuration", Now::PathDefault("recordSegmentDuration")),
    old("recordDeleteAfter", Now::PathDefault("recordDeleteAfter")),
];

/// Of paths.
pub(super) static PATH: &[Deprecated] = &[
    old("publishUser", Now::See("authInternalUsers")),
    old("publishPass", Now::See("authInternalUsers")),
    old("publishIPs", Now::See("authInternalUsers")),
    old("readUser", Now::See("authInternalUsers")),
    old("readPass", Now::See("authInternalUsers")),
    old("readIPs", Now::See("authInternalUsers")),
    old("disablePublisherOverride", Now::IsNot("overridePublisher")),
    old("fallback", Now::Gone),
    old("playback", Now::Gone),
    old("sourceProtocol", Now::Is("rtspTransport")),
    old("sourceAnyPortEnable", Now::Is("rtspAnyPort")),
    old("rtspUDPReadBufferSize", Now::See("udpReadBufferSize")),
    old("mpegtsUDPReadBufferSize", Now::See("udpReadBufferSize")),
    old("rtpUDPReadBufferSize", Now::See("udpReadBufferSize")),
    old("runOnReady", Now::Is("runOnAvailable")),
    old("runOnReadyRestart", Now::Is("runOnAvailableRestart")),
    old("runOnNotReady", Now::Is("runOnUnavailable")),
    old("rpiCameraProfile", Now::Is("rpiCameraH264Profile")),
    old("rpiCameraLevel", Now::Is("rpiCameraH264Level")),
    old("rpiCameraJPEGQuality", Now::Is("rpiCameraMJPEGQuality")),
    old("rpiCameraHardwareH264Profile", Now::Is("rpiCameraH264Profile")),
    old("rpiCameraHardwareH264Level", Now::Is("rpiCameraH264Level")),
    old("rpiCameraSoftwareH264Profile", Now::Is("rpiCameraH264Profile")),
    old("rpiCameraSoftwareH264Level", Now::Is("rpiCameraH264Level")),
];
