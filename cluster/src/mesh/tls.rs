//! TLS between nodes: version 1.3 only, both sides with certificates of the cluster's authority. Control, lifelines and
//! relays all take their configurations from here.
//!
//! Sessions are never resumed: a ticket would outlive the certificate that it stands for, and nodes connect seldom.

use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use weft_proto::wire::entry::NodeId;

use crate::identity::{Current, is_pinned, node_of, server_name};

/// The ALPN names (RFC 7301) of the versions of the control connection that this node speaks, the best first. TLS takes the
/// first that both know.
pub const CONTROL_PROTOCOLS: &[&str] = &["weft-control/1"];
/// Of the connection on which a node without certificate asks to join.
pub const JOIN_PROTOCOL: &str = "weft-join/1";
/// Of lifelines.
pub const LIFELINE_PROTOCOL: &str = "weft-lifeline/1";

/// Whether a server lets clients in that show no certificate. One that is shown must be good in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// No.
    Certified,
    /// Yes: what they may do depends on the protocol.
    Any,
}

/// How a client knows the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Servers {
    /// It is the node that was dialed.
    Dialed,
    /// It is any node of the cluster.
    Any,
}

/// A server's configuration for TLS over TCP.
pub fn server(identity: &Current, clients: Clients, protocols: &[&str]) -> Result<ServerConfig, Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(identity)?, provider());
    let verifier = match clients {
        Clients::Certified => verifier,
        Clients::Any => verifier.allow_unauthenticated(),
    };
    let verifier = verifier.build().map_err(|error| Error::General(error.to_string()))?;
    let config = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = config.with_client_cert_verifier(verifier).with_cert_resolver(identity.as_server());
    config.alpn_protocols = names(protocols);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// A client's configuration for TLS over TCP.
pub fn client(identity: &Current, servers: Servers, protocols: &[&str]) -> Result<ClientConfig, Error> {
    let strict = WebPkiServerVerifier::builder_with_provider(roots(identity)?, provider());
    let strict = strict.build().map_err(|error| Error::General(error.to_string()))?;
    let verifier: Arc<dyn ServerCertVerifier> = match servers {
        Servers::Dialed => strict,
        Servers::Any => Arc::new(AnyNode(strict)),
    };
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])?;
    let config = config.dangerous().with_custom_certificate_verifier(verifier);
    let config = config.with_client_cert_resolver(identity.as_client());
    Ok(finished(config, protocols))
}

/// The configuration of a client that has no certificate yet, and knows the cluster by the hash of its authority's.
pub fn newcomer(authority: [u8; 32]) -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])?;
    let config =
        config.dangerous().with_custom_certificate_verifier(Arc::new(Pinned { authority, provider: provider() }));
    Ok(finished(config.with_no_client_auth(), &[JOIN_PROTOCOL]))
}

/// The same for QUIC.
pub fn quic_server(config: ServerConfig) -> Result<Arc<QuicServerConfig>, Error> {
    QuicServerConfig::try_from(config).map(Arc::new).map_err(|error| Error::General(error.to_string()))
}

/// The same for QUIC.
pub fn quic_client(config: ClientConfig) -> Result<Arc<QuicClientConfig>, Error> {
    QuicClientConfig::try_from(config).map(Arc::new).map_err(|error| Error::General(error.to_string()))
}

/// Who is at the other end, by its certificate, which TLS has verified; `None` if it showed none.
pub fn peer_of(connection: &quinn::Connection) -> Option<NodeId> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    node_of(chain.first()?)
}

fn finished(mut config: ClientConfig, protocols: &[&str]) -> ClientConfig {
    config.alpn_protocols = names(protocols);
    config.resumption = Resumption::disabled();
    config
}

fn names(protocols: &[&str]) -> Vec<Vec<u8>> {
    protocols.iter().map(|name| name.as_bytes().to_vec()).collect()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn roots(identity: &Current) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(identity.authority().der().clone())?;
    Ok(Arc::new(roots))
}

/// A certificate must carry some node's name, whichever that is.
fn own_name(certificate: &CertificateDer<'_>) -> Result<ServerName<'static>, Error> {
    let node = node_of(certificate).ok_or(CertificateError::NotValidForName)?;
    ServerName::try_from(server_name(node)).map_err(|_| CertificateError::NotValidForName.into())
}

/// Takes any node of the cluster.
#[derive(Debug)]
struct AnyNode(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyNode {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.verify_server_cert(certificate, others, &own_name(certificate)?, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Takes any node whose chain ends at the authority with this hash, which the node sends along.
#[derive(Debug)]
struct Pinned {
    authority: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authority = others.iter().find(|other| is_pinned(other, &self.authority));
        let mut roots = RootCertStore::empty();
        roots.add(authority.ok_or(CertificateError::UnknownIssuer)?.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone());
        let verifier = verifier.build().map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(certificate, others, &own_name(certificate)?, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
