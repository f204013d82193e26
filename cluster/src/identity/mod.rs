//! Who a node is: the cluster's own authority, a node's certificate, and tokens that let new nodes in.
//!
//! Files are the caller's: this gives and takes bytes. `ca.pem` and `node.pem` may be read by anyone; `ca.key`, which only
//! voters hold, and `node.key` are secrets.

mod ca;
mod current;
mod leaf;
mod token;

pub use ca::{Authority, AuthoritySeed, CaCertificate};
pub use current::Current;
pub use leaf::{Leaf, LeafKey, node_of, server_name};
pub use token::{draw_token, is_pinned};

/// Why there is no key or certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A secret that could be guessed.
    #[error("the cluster's secret has {0} bytes, but must have at least {least}", least = crate::limits::SECRET_BYTES_MIN)]
    ShortSecret(usize),
    /// Bytes that are no key.
    #[error("the key cannot be read")]
    BadKey,
    /// Bytes that are no certificate of a node or of an authority.
    #[error("the certificate cannot be read")]
    BadCertificate,
    /// A certificate of another key.
    #[error("the certificate belongs to another key")]
    OtherKey,
    /// A request for a certificate that is not one, or is not signed by the key that it names.
    #[error("the certificate request cannot be read")]
    BadRequest,
    /// The library could not sign.
    #[error("cannot sign: {0}")]
    Signing(String),
}
