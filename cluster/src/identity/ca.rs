//! The cluster's own certificate authority.

use core::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::Ed25519KeyPair;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};
use weft_proto::time::WallClock;
use weft_proto::wire::entry::NodeId;

use super::leaf::{Leaf, LeafKey, server_name};
use super::{IdentityError, leaf};
use crate::limits::SECRET_BYTES_MIN;

/// What an authority's key is made of. Whoever has it can let anyone in.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthoritySeed([u8; 32]);

impl AuthoritySeed {
    /// A new one, by chance.
    pub fn draw() -> Self {
        Self(rand::random())
    }

    /// The one that everybody finds who has the secret, so that nodes that form a cluster need not exchange anything. Takes
    /// a tenth of a second and 19 MB, so that guessing is dear.
    pub fn from_secret(secret: &[u8]) -> Result<Self, IdentityError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(IdentityError::ShortSecret(secret.len()));
        }
        let mut seed = [0; 32];
        let params = Params::new(STRETCH_KIB, STRETCH_PASSES, 1, Some(seed.len())).map_err(signing)?;
        let stretch = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        stretch.hash_password_into(secret, STRETCH_SALT, &mut seed).map_err(signing)?;
        Ok(Self(seed))
    }
}

impl fmt::Debug for AuthoritySeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthoritySeed(<redacted>)")
    }
}

/// The certificate of an authority: what a node trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaCertificate(CertificateDer<'static>);

impl CaCertificate {
    /// From the contents of `ca.pem`.
    pub fn from_pem(pem: &[u8]) -> Result<Self, IdentityError> {
        let der = CertificateDer::from_pem_slice(pem).map_err(|_| IdentityError::BadCertificate)?;
        Self::from_der(der)
    }

    /// From bytes that came over the wire.
    pub fn from_der(der: CertificateDer<'_>) -> Result<Self, IdentityError> {
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|_| IdentityError::BadCertificate)?;
        if !parsed.is_ca() {
            return Err(IdentityError::BadCertificate);
        }
        Ok(Self(der.into_owned()))
    }

    /// As it goes over the wire.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.0
    }

    /// The contents of `ca.pem`.
    pub fn pem(&self) -> String {
        leaf::certificate_pem(&self.0)
    }

    /// Its SHA-256, which tokens carry.
    pub fn hash(&self) -> [u8; 32] {
        hash(&self.0)
    }
}

/// The SHA-256 of a certificate.
pub(crate) fn hash(certificate: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, certificate).as_ref());
    hash
}

/// An authority that can issue certificates: its key and certificate. The same seed gives the same bytes on every node.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CaCertificate,
}

impl Authority {
    /// The authority of this seed.
    pub fn from_seed(seed: &AuthoritySeed) -> Result<Self, IdentityError> {
        let key = Ed25519KeyPair::from_seed_unchecked(&seed.0).map_err(|_| IdentityError::BadKey)?;
        let document = key.to_pkcs8v1().map_err(|_| IdentityError::BadKey)?;
        Self::from_key(&PrivatePkcs8KeyDer::from(document.as_ref()))
    }

    /// The authority of a key that was kept: the contents of `ca.key`. Its certificate follows from the key.
    pub fn from_key_pem(pem: &[u8]) -> Result<Self, IdentityError> {
        match PrivateKeyDer::from_pem_slice(pem).map_err(|_| IdentityError::BadKey)? {
            PrivateKeyDer::Pkcs8(key) => Self::from_key(&key),
            _ => Err(IdentityError::BadKey),
        }
    }

    fn from_key(key: &PrivatePkcs8KeyDer<'_>) -> Result<Self, IdentityError> {
        let key =
            KeyPair::from_pkcs8_der_and_sign_algo(key, &rcgen::PKCS_ED25519).map_err(|_| IdentityError::BadKey)?;
        let params = authority_params();
        // Ed25519 signs without chance (RFC 8032 section 5.1.6): equal keys make equal certificates.
        let certificate = params.self_signed(&key).map_err(signing)?;
        let certificate = CaCertificate(certificate.der().clone());
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// The contents of `ca.key`.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// What the nodes trust.
    pub fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    /// A certificate for a node that runs here, with a new key.
    pub fn issue(&self, node: NodeId, now: WallClock) -> Result<Leaf, IdentityError> {
        let key = LeafKey::draw()?;
        let certificate = self.sign(node, key.pair(), now)?;
        key.certified(certificate)
    }

    /// A certificate for the key of a request. Nothing else of the request is taken over.
    pub fn issue_for(
        &self,
        node: NodeId,
        request: &[u8],
        now: WallClock,
    ) -> Result<CertificateDer<'static>, IdentityError> {
        let request = CertificateSigningRequestDer::from(request);
        let request = CertificateSigningRequestParams::from_der(&request).map_err(|_| IdentityError::BadRequest)?;
        self.sign(node, &request.public_key, now)
    }

    fn sign(
        &self,
        node: NodeId,
        key: &impl PublicKeyData,
        now: WallClock,
    ) -> Result<CertificateDer<'static>, IdentityError> {
        let now = OffsetDateTime::from_unix_timestamp(now.unix_micros() / 1_000_000).map_err(signing)?;
        let name = server_name(node);
        let mut params = CertificateParams::new([name.clone()]).map_err(signing)?;
        params.distinguished_name = common_name(name);
        // One day back, for nodes whose clocks are behind this one's.
        params.not_before = now - Duration::days(1);
        params.not_after = now + Duration::days(LEAF_DAYS);
        params.serial_number = Some(SerialNumber::from_slice(&rand::random::<[u8; 16]>()));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(key, &self.issuer).map_err(signing)?.der().clone())
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("weft cluster".to_owned());
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from_slice(&[1]));
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(3000, 1, 1);
    params
}

fn common_name(name: String) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn signing(error: impl fmt::Display) -> IdentityError {
    IdentityError::Signing(error.to_string())
}

/// How long a node's certificate is valid. It is renewed after two thirds: a month without a voter is survived.
const LEAF_DAYS: i64 = 90;

// OWASP's least for argon2id. None of the three may change: a node of another release would find another authority.
const STRETCH_KIB: u32 = 19 << 10;
const STRETCH_PASSES: u32 = 2;
const STRETCH_SALT: &[u8] = b"weft cluster authority 1";

#[cfg(test)]
mod tests {
    use super::super::node_of;
    use super::*;

    const NOW: WallClock = WallClock::from_unix_micros(1_800_000_000_000_000);

    #[test]
    fn the_same_secret_gives_the_same_authority_and_another_gives_another() {
        let make = |secret: &[u8]| Authority::from_seed(&AuthoritySeed::from_secret(secret).unwrap()).unwrap();
        let (first, second, other) = (make(b"sixteen bytes it"), make(b"sixteen bytes it"), make(b"sixteen bytes at"));
        assert_eq!(first.certificate(), second.certificate());
        assert_eq!(first.key_pem(), second.key_pem());
        assert_ne!(first.certificate().hash(), other.certificate().hash());
        // Fixed for ever: other releases must find the same.
        let hash: String = first.certificate().hash().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, "20bb2d0b06c7ba9fcad84d735e946d4e5d101c4ec2d33ed19ca0c4086bf50a57");
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(AuthoritySeed::from_secret(b"short").unwrap_err(), IdentityError::ShortSecret(5));
    }

    #[test]
    fn files_give_back_what_was_written() {
        let authority = Authority::from_seed(&AuthoritySeed::draw()).unwrap();
        let again = Authority::from_key_pem(authority.key_pem().as_bytes()).unwrap();
        assert_eq!(again.certificate(), authority.certificate());
        assert_eq!(
            CaCertificate::from_pem(authority.certificate().pem().as_bytes()).unwrap(),
            *authority.certificate()
        );
        let leaf = authority.issue(NodeId(7), NOW).unwrap();
        let again = Leaf::from_pem(leaf.certificate_pem().as_bytes(), leaf.key_pem().as_bytes()).unwrap();
        assert_eq!((again.node(), again.certificate()), (NodeId(7), leaf.certificate()));
        assert_eq!(CaCertificate::from_pem(leaf.certificate_pem().as_bytes()), Err(IdentityError::BadCertificate));
        assert_eq!(Authority::from_key_pem(b"garbage").unwrap_err(), IdentityError::BadKey);
    }

    #[test]
    fn a_request_gets_a_certificate_with_the_name_that_it_was_given_and_no_other() {
        let authority = Authority::from_seed(&AuthoritySeed::draw()).unwrap();
        let key = LeafKey::draw().unwrap();
        let certificate = authority.issue_for(NodeId(9), &key.request().unwrap(), NOW).unwrap();
        assert_eq!(node_of(&certificate), Some(NodeId(9)));
        assert_eq!(key.certified(certificate.clone()).unwrap().node(), NodeId(9));
        let stranger = LeafKey::draw().unwrap();
        assert_eq!(stranger.certified(certificate).unwrap_err(), IdentityError::OtherKey);
        assert_eq!(authority.issue_for(NodeId(9), b"garbage", NOW).unwrap_err(), IdentityError::BadRequest);
        let mut forged = key_request();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        assert_eq!(authority.issue_for(NodeId(9), &forged, NOW).unwrap_err(), IdentityError::BadRequest);
    }

    fn key_request() -> Vec<u8> {
        LeafKey::draw().unwrap().request().unwrap()
    }

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_or_when_the_clock_was_wrong() {
        let authority = Authority::from_seed(&AuthoritySeed::draw()).unwrap();
        let leaf = authority.issue(NodeId(7), NOW).unwrap();
        let after = |days: i64| WallClock::from_unix_micros(NOW.unix_micros() + days * 86_400_000_000);
        assert!(!leaf.is_due(NOW));
        assert!(!leaf.is_due(after(59)));
        assert!(leaf.is_due(after(61)));
        assert!(leaf.is_due(after(-2)));
    }
}
