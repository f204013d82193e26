//! Whom an encrypted source is believed to be: a server with a certificate that the system trusts, or the one with the
//! configured fingerprint, whatever else its certificate says.

use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use subtle::ConstantTimeEq;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

/// For a server of this name.
pub async fn connector(
    name: &str,
    fingerprint: Option<[u8; 32]>,
) -> Result<(TlsConnector, ServerName<'static>), String> {
    let server = ServerName::try_from(name.trim_matches(['[', ']']).to_owned())
        .map_err(|_| format!("TLS: {name} is no name of a server"))?;
    let config = match fingerprint {
        Some(hash) => Arc::new(pinned(hash)),
        None => trusted().await?,
    };
    Ok((config.into(), server))
}

fn pinned(hash: [u8; 32]) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(Pinned { hash, provider });
    ClientConfig::builder().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
}

/// Trusts whom the system trusts. Read once, away from the workers.
async fn trusted() -> Result<Arc<ClientConfig>, String> {
    static TRUSTED: OnceCell<Arc<ClientConfig>> = OnceCell::const_new();
    let read = || async {
        let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
        let loaded = loaded.map_err(|error| format!("TLS: the system's certificates cannot be read: {error}"))?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(loaded.certs);
        if roots.is_empty() {
            return Err("TLS: the system trusts no certificates; set `sourceFingerprint`".to_owned());
        }
        Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
    };
    TRUSTED.get_or_try_init(read).await.cloned()
}

/// Takes one certificate and no other. That the server has its key is proven as always.
#[derive(Debug)]
struct Pinned {
    hash: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = digest::digest(&digest::SHA256, end_entity);
        if bool::from(found.as_ref().ct_eq(&self.hash)) {
            return Ok(ServerCertVerified::assertion());
        }
        let hex: String = found.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let problem = format!("the certificate has the fingerprint {hex}, which `sourceFingerprint` does not say");
        Err(Error::InvalidCertificate(CertificateError::Other(rustls::OtherError(Arc::new(OtherFingerprint(problem))))))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct OtherFingerprint(String);
