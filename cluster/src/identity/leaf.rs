//! A node's own key and certificate.

use base64::Engine as _;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use weft_proto::time::WallClock;
use weft_proto::wire::entry::NodeId;
use x509_parser::extensions::GeneralName;

use super::{CaCertificate, IdentityError};

/// The name that stands in a node's certificate, and that a client asks for.
pub fn server_name(node: NodeId) -> String {
    format!("{NAME_PREFIX}{node}")
}

/// Whose certificate this is. Says nothing about who signed it.
pub fn node_of(certificate: &CertificateDer<'_>) -> Option<NodeId> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) => {
            let id = name.strip_prefix(NAME_PREFIX)?;
            // A `+` would be read as a number too.
            let is_hex = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
            u64::from_str_radix(id, 16).ok().filter(|_| is_hex).map(NodeId)
        }
        _ => None,
    })
}

/// A key that waits for its certificate.
#[derive(Debug)]
pub struct LeafKey(KeyPair);

impl LeafKey {
    /// A new one.
    pub fn draw() -> Result<Self, IdentityError> {
        KeyPair::generate_for(&rcgen::PKCS_ED25519).map(Self).map_err(|_| IdentityError::BadKey)
    }

    /// A request for a certificate, in DER (PKCS #10). It proves that its sender has the key, and says nothing else.
    pub fn request(&self) -> Result<Vec<u8>, IdentityError> {
        let request = CertificateParams::default().serialize_request(&self.0);
        Ok(request.map_err(|error| IdentityError::Signing(error.to_string()))?.der().to_vec())
    }

    /// The contents of a file in which it waits.
    pub fn pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// From such a file.
    pub fn from_pem(key: &[u8]) -> Result<Self, IdentityError> {
        match PrivateKeyDer::from_pem_slice(key).map_err(|_| IdentityError::BadKey)? {
            PrivateKeyDer::Pkcs8(key) => Self::from_pkcs8(&key),
            _ => Err(IdentityError::BadKey),
        }
    }

    fn from_pkcs8(key: &PrivatePkcs8KeyDer<'_>) -> Result<Self, IdentityError> {
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(key, &rcgen::PKCS_ED25519);
        pair.map(Self).map_err(|_| IdentityError::BadKey)
    }

    /// With the certificate that was issued for it.
    pub fn certified(&self, certificate: CertificateDer<'static>) -> Result<Leaf, IdentityError> {
        let node = node_of(&certificate).ok_or(IdentityError::BadCertificate)?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&certificate).map_err(|_| IdentityError::BadCertificate)?;
        if parsed.public_key().raw != self.0.subject_public_key_info().as_slice() {
            return Err(IdentityError::OtherKey);
        }
        let validity = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        let key = Self::from_pkcs8(&PrivatePkcs8KeyDer::from(self.0.serialize_der()))?.0;
        Ok(Leaf { node, certificate, key, validity })
    }

    pub(super) fn pair(&self) -> &KeyPair {
        &self.0
    }
}

/// A node's key and certificate.
#[derive(Debug)]
pub struct Leaf {
    node: NodeId,
    certificate: CertificateDer<'static>,
    key: KeyPair,
    /// From and until, seconds since 1970.
    validity: (i64, i64),
}

impl Leaf {
    /// From the contents of `node.pem` and `node.key`.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let certificate = CertificateDer::from_pem_slice(certificate).map_err(|_| IdentityError::BadCertificate)?;
        LeafKey::from_pem(key)?.certified(certificate)
    }

    /// Whose.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// As it goes over the wire.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The contents of `node.pem`.
    pub fn certificate_pem(&self) -> String {
        certificate_pem(&self.certificate)
    }

    /// The contents of `node.key`.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Until when it is valid.
    pub fn expires(&self) -> WallClock {
        WallClock::from_unix_micros(self.validity.1.saturating_mul(1_000_000))
    }

    /// It is time for a new one: two thirds of its life are over, or it lies in the future, as one does that was issued
    /// while the clock was wrong.
    pub fn is_due(&self, now: WallClock) -> bool {
        let (from, until) = self.validity;
        let now = now.unix_micros().div_euclid(1_000_000);
        now < from || now >= from + (until - from) * 2 / 3
    }

    /// What TLS shows: the certificate, and its issuer's for those who know only that one's hash.
    pub(super) fn certified_key(&self, issuer: &CaCertificate) -> Result<CertifiedKey, IdentityError> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialized_der().to_vec()));
        let provider = aws_lc_rs::default_provider();
        let chain = vec![self.certificate.clone(), issuer.der().clone()];
        CertifiedKey::from_der(chain, key, &provider).map_err(|_| IdentityError::BadKey)
    }
}

/// A certificate in the form of RFC 7468.
pub(super) fn certificate_pem(der: &[u8]) -> String {
    let base64 = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

const NAME_PREFIX: &str = "node-";
