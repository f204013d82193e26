//! The certificate that a node shows at the moment. It is renewed while connections stand: TLS asks here at each handshake.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use weft_proto::wire::entry::NodeId;

use super::{CaCertificate, IdentityError, Leaf};

/// A node's certificate, which can be replaced, and the authority that it trusts. Cheap to clone; clones show the same.
#[derive(Clone, Debug)]
pub struct Current {
    shown: Arc<Shown>,
    node: NodeId,
    authority: CaCertificate,
}

#[derive(Debug)]
struct Shown(ArcSwap<CertifiedKey>);

impl Current {
    /// Shows this certificate.
    pub fn new(leaf: &Leaf, authority: CaCertificate) -> Result<Self, IdentityError> {
        let shown = Arc::new(Shown(ArcSwap::from_pointee(leaf.certified_key(&authority)?)));
        Ok(Self { shown, node: leaf.node(), authority })
    }

    /// Shows another certificate of the same node from now on. Connections that stand are not touched.
    pub fn replace(&self, leaf: &Leaf) -> Result<(), IdentityError> {
        if leaf.node() != self.node {
            return Err(IdentityError::BadCertificate);
        }
        self.shown.0.store(Arc::new(leaf.certified_key(&self.authority)?));
        Ok(())
    }

    /// Whose.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Whom it trusts.
    pub fn authority(&self) -> &CaCertificate {
        &self.authority
    }

    /// The same certificate, but another authority is trusted: what a stranger does.
    #[cfg(test)]
    pub(crate) fn trusting(self, authority: CaCertificate) -> Self {
        Self { authority, ..self }
    }

    pub(crate) fn as_server(&self) -> Arc<dyn ResolvesServerCert> {
        self.shown.clone()
    }

    pub(crate) fn as_client(&self) -> Arc<dyn ResolvesClientCert> {
        self.shown.clone()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        schemes.contains(&SignatureScheme::ED25519).then(|| self.0.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
