//! The certificate of encrypted listeners.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::Failure;

/// A certificate chain and its key, ready for handshakes.
#[derive(Clone)]
pub(super) struct Certificate(Arc<ServerConfig>);

impl Certificate {
    /// Loads both from PEM files. `what`: the server that wants them, for messages.
    pub(super) fn load(what: &'static str, certificate: &Path, key: &Path) -> Result<Self, Failure> {
        load(certificate, key).map(|config| Self(Arc::new(config))).map_err(|error| Failure::Tls { what, error })
    }

    /// Takes connections with it.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.0.clone().into()
    }
}

fn load(certificate: &Path, key: &Path) -> Result<ServerConfig, String> {
    let pem = fs::read(certificate).map_err(|error| format!("{}: {error}", certificate.display()))?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{}: {error}", certificate.display()))?;
    let pem = fs::read(key).map_err(|error| format!("{}: {error}", key.display()))?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| format!("{}: {error}", key.display()))?;
    let builder = ServerConfig::builder().with_no_client_auth();
    builder.with_single_cert(chain, key).map_err(|error| format!("{}: {error}", certificate.display()))
}
