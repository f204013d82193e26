//! What makes a session's packets its own: DTLS (RFC 6347) agrees on keys, SRTP (RFC 3711, RFC 7714) uses them (RFC 5764).
//!
//! DTLS is fed only from addresses that ICE has proven, so that its flights, which are longer than what asks for them, go to
//! nobody who has not asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::{Bytes, BytesMut};
use rtc::crypto::{RTCCryptoProvider, default_provider};
use rtc::dtls::config::{ClientAuthType, ConfigBuilder, HandshakeConfig};
use rtc::dtls::crypto::Certificate as Signed;
use rtc::dtls::endpoint::{Endpoint, EndpointEvent};
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile as Offered;
use rtc::shared::TransportProtocol;
use rtc::shared::error::Error;
use rtc::srtp::config::{Config as Keying, LABEL_EXTRACTOR_DTLS_SRTP};
use rtc::srtp::context::Context;
use rtc::srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc::srtp::protection_profile::ProtectionProfile;
use tracing::debug;
use weft_proto::webrtc::description::Fingerprint;

/// The strongest that costs least first. All browsers have the first; the last is what all must have (RFC 8827 section 6.5).
const PROFILES: [Offered; 3] =
    [Offered::Srtp_Aead_Aes_128_Gcm, Offered::Srtp_Aead_Aes_256_Gcm, Offered::Srtp_Aes128_Cm_Hmac_Sha1_80];

/// Bytes of a flight's datagrams: what passes every network, with room for a tunnel.
const FLIGHT_BYTES: usize = 1200;

/// Packets that may come late and are still taken once: half a second of a large picture's packets.
const REPLAY_WINDOW: usize = 1024;

/// Datagrams that a handshake may take: it has a dozen, and each may be sent again some times.
const HANDSHAKE_DATAGRAMS_MAX: usize = 256;

/// Sources of a session, authentic or not: a browser has two for each track, and one for reports.
const STRANGERS_MAX: usize = 64;

/// One session has one other end, wherever it is: its addresses change, and DTLS is not to care.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 1);

/// What this node shows in DTLS: one certificate for all sessions, made when the node starts.
pub struct Certificate {
    server: Arc<HandshakeConfig>,
    client: Arc<HandshakeConfig>,
    fingerprint: Fingerprint,
    crypto: Arc<dyn RTCCryptoProvider>,
}

impl Certificate {
    /// A new one.
    pub fn generate() -> Result<Self, String> {
        let crypto = default_provider().map_err(|error| error.to_string())?;
        let signed = Signed::generate_self_signed(vec!["weft".to_owned()], crypto.as_ref().crypto());
        let signed = signed.map_err(|error| error.to_string())?;
        let hash = digest(&SHA256, signed.certificate.first().ok_or("no certificate")?);
        let fingerprint = hash.as_ref().try_into().map_err(|_| "no hash")?;
        let config = |is_client| {
            // Certificates of browsers are nobody's; what the description says of them is compared instead.
            let builder = ConfigBuilder::default()
                .with_crypto_provider(crypto.clone())
                .with_certificates(vec![signed.clone()])
                .with_srtp_protection_profiles(PROFILES.to_vec())
                .with_client_auth(ClientAuthType::RequireAnyClientCert)
                .with_insecure_skip_verify(true)
                .with_mtu(FLIGHT_BYTES);
            builder.build(is_client, None).map(Arc::new).map_err(|error| error.to_string())
        };
        let (server, client) = (config(false)?, config(true)?);
        Ok(Self { server, client, fingerprint: Fingerprint(fingerprint), crypto })
    }

    /// Its hash, as descriptions say it.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// What came of a datagram.
#[derive(Debug)]
pub(super) enum Heard {
    /// The other end is who it said it was, and keys are agreed.
    Established,
    /// What the transport of data channels says.
    Application(Bytes),
}

/// Why a session cannot be trusted, or is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The other end said goodbye.
    #[error("closed by the client")]
    Closed,
    /// More than any handshake takes.
    #[error("DTLS: the handshake does not end")]
    Flood,
    /// It has another certificate than its description said.
    #[error("the client's certificate is not the one of its description")]
    Stranger,
    /// The handshake failed.
    #[error("DTLS: {0}")]
    Dtls(#[from] Error),
    /// Nothing that both ends know protects media.
    #[error("DTLS: no SRTP profile is known to both ends")]
    NoProfile,
}

/// One session's DTLS and SRTP.
pub(super) struct Secure {
    endpoint: Endpoint,
    certificate: Arc<Certificate>,
    expected: Fingerprint,
    is_client: bool,
    keys: Option<Keys>,
    /// Datagrams so far.
    fed: usize,
    /// Sources that were authentic, and those that were not so far.
    known: Vec<u32>,
    strangers: Vec<u32>,
}

struct Keys {
    inbound: Context,
    outbound: Context,
}

impl Secure {
    /// `expected`: the certificate that the other end must have. `is_client`: this end begins.
    pub(super) fn new(certificate: Arc<Certificate>, expected: Fingerprint, is_client: bool) -> Self {
        let server = (!is_client).then(|| certificate.server.clone());
        let endpoint = Endpoint::new(PEER, TransportProtocol::UDP, server);
        Self {
            endpoint,
            certificate,
            expected,
            is_client,
            keys: None,
            fed: 0,
            known: Vec::new(),
            strangers: Vec::new(),
        }
    }

    /// Whether this end began.
    pub(super) const fn is_client(&self) -> bool {
        self.is_client
    }

    /// Whether keys are agreed.
    pub(super) const fn is_established(&self) -> bool {
        self.keys.is_some()
    }

    /// There is a way to the other end: begins, where that is this end's to do.
    pub(super) fn begin(&mut self, now: Instant) -> Result<(), Broken> {
        if self.is_client && self.endpoint.get_connection_state(PEER).is_none() {
            self.endpoint.connect(now, PEER, self.certificate.client.clone(), None)?;
        }
        Ok(())
    }

    /// Takes a datagram of DTLS.
    pub(super) fn hear(&mut self, datagram: &[u8], now: Instant) -> Result<Vec<Heard>, Broken> {
        let mut heard = Vec::new();
        self.fed += 1;
        if !self.is_established() && self.fed > HANDSHAKE_DATAGRAMS_MAX {
            return Err(Broken::Flood);
        }
        let events = match self.endpoint.read(now, PEER, None, BytesMut::from(datagram)) {
            Ok(events) => events,
            // The other end gives up, and says so.
            Err(Error::ErrAlertFatalOrClose) => return Err(Broken::Closed),
            // What makes no sense may be anybody's, and is dropped (RFC 6347 section 4.1.2.7). A handshake that fails ends by time.
            Err(error) => {
                debug!(%error, "DTLS: a datagram was dropped");
                return Ok(heard);
            }
        };
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => {
                    self.establish()?;
                    heard.push(Heard::Established);
                }
                EndpointEvent::ApplicationData(data) => heard.push(Heard::Application(data.freeze())),
                EndpointEvent::PeerClosed => return Err(Broken::Closed),
                _ => {}
            }
        }
        Ok(heard)
    }

    fn establish(&mut self) -> Result<(), Broken> {
        let state = self.endpoint.get_connection_state(PEER).ok_or(Broken::Stranger)?;
        let shown = state.peer_certificates.first().ok_or(Broken::Stranger)?;
        if digest(&SHA256, shown).as_ref() != self.expected.0 {
            return Err(Broken::Stranger);
        }
        let profile = match state.srtp_protection_profile() {
            Offered::Srtp_Aead_Aes_128_Gcm => ProtectionProfile::AeadAes128Gcm,
            Offered::Srtp_Aead_Aes_256_Gcm => ProtectionProfile::AeadAes256Gcm,
            Offered::Srtp_Aes128_Cm_Hmac_Sha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
            _ => return Err(Broken::NoProfile),
        };
        let mut keying = Keying { profile, ..Keying::default() };
        let material = state.export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], keying.keying_material_len())?;
        keying.set_session_keys_from_keying_material(material.as_ref(), self.is_client)?;
        let (keys, crypto) = (&keying.keys, self.certificate.crypto.as_ref().crypto());
        let outbound = Context::new(&keys.local_master_key, &keys.local_master_salt, profile, None, None, crypto)?;
        let inbound = Context::new(
            &keys.remote_master_key,
            &keys.remote_master_salt,
            profile,
            Some(srtp_replay_protection(REPLAY_WINDOW)),
            Some(srtcp_replay_protection(REPLAY_WINDOW)),
            crypto,
        )?;
        self.keys = Some(Keys { inbound, outbound });
        Ok(())
    }

    /// The next datagram of DTLS that is to be sent.
    pub(super) fn poll_transmit(&mut self) -> Option<Bytes> {
        self.endpoint.poll_transmit().map(|transmit| transmit.message.freeze())
    }

    /// When [`Self::handle_timeout`] is due.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        // A handshake that is over has no timers: its last flight is sent again when it is asked for.
        if self.is_established() {
            return None;
        }
        self.endpoint.poll_timeout(&PEER)
    }

    /// Sends again what was not answered.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), Broken> {
        Ok(self.endpoint.handle_timeout(PEER, now)?)
    }

    /// Sends what the transport of data channels says.
    pub(super) fn write(&mut self, data: &[u8], now: Instant) -> Result<(), Broken> {
        Ok(self.endpoint.write(now, PEER, data)?)
    }

    /// Says goodbye.
    pub(super) fn close(&mut self, now: Instant) {
        let _ = self.endpoint.close(now);
    }

    /// The plain RTP packet; `None` where it is nobody's, or came before.
    pub(super) fn open_rtp(&mut self, packet: &[u8]) -> Option<Bytes> {
        let source = self.admit(packet.get(8..12)?)?;
        let plain = self.keys.as_mut()?.inbound.decrypt_rtp(packet).ok()?.freeze();
        self.know(source);
        Some(plain)
    }

    /// The plain RTCP packet; `None` where it is nobody's, or came before.
    pub(super) fn open_rtcp(&mut self, packet: &[u8]) -> Option<Bytes> {
        let source = self.admit(packet.get(4..8)?)?;
        let plain = self.keys.as_mut()?.inbound.decrypt_rtcp(packet).ok()?.freeze();
        self.know(source);
        Some(plain)
    }

    /// Whether a packet of this source may be looked into: SRTP remembers each source that it looks at, authentic or not.
    fn admit(&mut self, source: &[u8]) -> Option<u32> {
        let source = u32::from_be_bytes(source.try_into().ok()?);
        if !self.known.contains(&source) && !self.strangers.contains(&source) {
            if self.strangers.len() >= STRANGERS_MAX {
                return None;
            }
            self.strangers.push(source);
        }
        Some(source)
    }

    fn know(&mut self, source: u32) {
        if !self.known.contains(&source) && self.known.len() < STRANGERS_MAX {
            self.known.push(source);
            self.strangers.retain(|stranger| *stranger != source);
        }
    }

    /// A protected RTP packet.
    pub(super) fn seal_rtp(&mut self, packet: &[u8]) -> Option<BytesMut> {
        self.keys.as_mut()?.outbound.encrypt_rtp(packet).ok()
    }

    /// A protected RTCP packet.
    pub(super) fn seal_rtcp(&mut self, packet: &[u8]) -> Option<BytesMut> {
        self.keys.as_mut()?.outbound.encrypt_rtcp(packet).ok()
    }
}
