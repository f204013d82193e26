//! The certificate of encrypted listeners.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Loads certificate chain and key.
pub(super) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let pem = fs::read(certificate).map_err(|error| format!("{}: {error}", certificate.display()))?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{}: {error}", certificate.display()))?;
    let pem = fs::read(key).map_err(|error| format!("{}: {error}", key.display()))?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| format!("{}: {error}", key.display()))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("{}: {error}", certificate.display()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
