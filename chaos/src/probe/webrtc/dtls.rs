//! DTLS and the keys that come of it (RFC 5764). One certificate serves all sessions of a process, as one browser's would.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc::crypto::{RTCCryptoProvider, default_provider};
use rtc::dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc::dtls::crypto::Certificate;
use rtc::dtls::endpoint::{Endpoint, EndpointEvent};
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc::dtls::state::State;
use rtc::shared::TransportProtocol;
use rtc::srtp::config::{Config, LABEL_EXTRACTOR_DTLS_SRTP};
use rtc::srtp::context::Context;
use rtc::srtp::protection_profile::ProtectionProfile;
use weft_proto::webrtc::description::Fingerprint;

/// A lost flight is sent again after this.
const FLIGHT_INTERVAL: Duration = Duration::from_millis(300);

type Result<T> = std::result::Result<T, String>;

/// The certificate, and what follows from it.
pub(super) struct Identity {
    provider: Arc<dyn RTCCryptoProvider>,
    client: Arc<HandshakeConfig>,
    server: Arc<HandshakeConfig>,
    /// Its hash, for descriptions.
    pub(super) fingerprint: Fingerprint,
}

impl Identity {
    /// This process's.
    pub(super) fn get() -> Result<&'static Self> {
        static IDENTITY: OnceLock<Result<Identity>> = OnceLock::new();
        IDENTITY.get_or_init(Self::new).as_ref().map_err(Clone::clone)
    }

    fn new() -> Result<Self> {
        let provider = default_provider().map_err(|error| error.to_string())?;
        let certificate = Certificate::generate_self_signed(vec!["weft-chaos".to_owned()], provider.crypto());
        let certificate = certificate.map_err(|error| error.to_string())?;
        let fingerprint = hash(certificate.certificate.first().ok_or("no certificate")?);
        let config = |is_client| {
            ConfigBuilder::default()
                .with_crypto_provider(Arc::clone(&provider))
                .with_certificates(vec![certificate.clone()])
                // In the order of browsers.
                .with_srtp_protection_profiles(vec![
                    SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
                    SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
                ])
                .with_client_auth(ClientAuthType::RequireAnyClientCert)
                // Nobody has signed it: it is recognised by its fingerprint.
                .with_insecure_skip_verify(true)
                .with_extended_master_secret(ExtendedMasterSecretType::Require)
                .with_flight_interval(FLIGHT_INTERVAL)
                .build(is_client, None)
                .map(Arc::new)
                .map_err(|error| error.to_string())
        };
        Ok(Self { client: config(true)?, server: config(false)?, fingerprint, provider })
    }
}

fn hash(certificate: &[u8]) -> Fingerprint {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    Fingerprint(bytes)
}

/// What came of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More is to come.
    Waiting,
    /// Keys are agreed on.
    Done,
    /// The other end has gone.
    Closed,
}

/// Keys of one direction each.
pub(super) struct Keys {
    /// For what comes.
    pub(super) inbound: Context,
    /// For what is sent.
    pub(super) outbound: Context,
}

/// One session's association.
pub(super) struct Association {
    endpoint: Endpoint,
    identity: &'static Identity,
    peer: SocketAddr,
}

impl Association {
    /// Begins, where it is on this end to begin.
    pub(super) fn new(local: SocketAddr, peer: SocketAddr, is_client: bool) -> Result<Self> {
        let identity = Identity::get()?;
        let server = (!is_client).then(|| Arc::clone(&identity.server));
        let mut endpoint = Endpoint::new(local, TransportProtocol::UDP, server);
        if is_client {
            let client = Arc::clone(&identity.client);
            endpoint.connect(Instant::now(), peer, client, None).map_err(|error| error.to_string())?;
        }
        Ok(Self { endpoint, identity, peer })
    }

    /// A datagram has come.
    pub(super) fn read(&mut self, datagram: &[u8]) -> Result<Progress> {
        let read = self.endpoint.read(Instant::now(), self.peer, None, BytesMut::from(datagram));
        let events = read.map_err(|error| error.to_string())?;
        Ok(events.iter().fold(Progress::Waiting, |progress, event| match event {
            EndpointEvent::HandshakeComplete => Progress::Done,
            EndpointEvent::PeerClosed => Progress::Closed,
            _ => progress,
        }))
    }

    /// Sends again what is due to be.
    pub(super) fn tick(&mut self) -> Result<()> {
        let now = Instant::now();
        match self.endpoint.poll_timeout(&self.peer) {
            Some(at) if at <= now => self.endpoint.handle_timeout(self.peer, now).map_err(|error| error.to_string()),
            _ => Ok(()),
        }
    }

    /// The next datagram that is to be sent.
    pub(super) fn next_out(&mut self) -> Option<BytesMut> {
        self.endpoint.poll_transmit().map(|transmit| transmit.message)
    }

    /// The last words.
    pub(super) fn close(&mut self) {
        let _ = self.endpoint.close(Instant::now());
    }

    /// The keys, if the other end is the one that it said.
    pub(super) fn keys(&self, expected: Fingerprint) -> Result<Keys> {
        let state = self.endpoint.get_connection_state(self.peer).ok_or("no association")?;
        let certificate = state.peer_certificates.first().ok_or("the server has shown no certificate")?;
        if hash(certificate) != expected {
            return Err("the server's certificate is not the one of its answer".into());
        }
        keys(state, self.identity.provider.as_ref()).map_err(|error| error.to_string())
    }
}

fn keys(state: &State, provider: &dyn RTCCryptoProvider) -> std::result::Result<Keys, rtc::shared::error::Error> {
    let profile = match state.srtp_protection_profile() {
        SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => ProtectionProfile::AeadAes128Gcm,
        _ => ProtectionProfile::Aes128CmHmacSha1_80,
    };
    let mut config = Config { profile, ..Config::default() };
    let material = state.export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], config.keying_material_len())?;
    config.set_session_keys_from_keying_material(material.as_ref(), state.is_client())?;
    let context = |key: &[u8], salt: &[u8]| Context::new(key, salt, profile, None, None, provider.crypto());
    let keys = &config.keys;
    Ok(Keys {
        inbound: context(&keys.remote_master_key, &keys.remote_master_salt)?,
        outbound: context(&keys.local_master_key, &keys.local_master_salt)?,
    })
}
