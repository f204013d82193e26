//! `WWW-Authenticate`: asking for credentials, and answering.

use super::parameters::Parameters;
use super::{Algorithm, Credentials, Digest, Quality, escape};
use crate::rtsp::Method;

/// A `WWW-Authenticate` value that asks for Basic credentials.
pub fn basic_challenge(realm: &str) -> String {
    format!("Basic realm=\"{}\"", escape(realm))
}

/// A `WWW-Authenticate` value that asks for a Digest. Without `qop`: many players and cameras know RFC 2069 only.
pub fn digest_challenge(realm: &str, nonce: &str, algorithm: Algorithm) -> String {
    let (realm, nonce) = (escape(realm), escape(nonce));
    match algorithm {
        // Old players trip over the parameter, and it is the default.
        Algorithm::Md5 => format!("Digest realm=\"{realm}\", nonce=\"{nonce}\""),
        Algorithm::Sha256 => format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm=SHA-256"),
    }
}

/// What a server asks for, seen from the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// User and password in the clear.
    Basic,
    /// A proof.
    Digest {
        /// The realm.
        realm: String,
        /// The server's nonce.
        nonce: String,
        /// Which hash.
        algorithm: Algorithm,
        /// Whether `qop=auth` is wanted.
        quality: bool,
    },
}

impl Challenge {
    /// The best of several `WWW-Authenticate` values: SHA-256, then MD5, then Basic.
    pub fn choose<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        values.into_iter().filter_map(Self::parse).max_by_key(|challenge| match challenge {
            Self::Basic => 0,
            Self::Digest { algorithm: Algorithm::Md5, .. } => 1,
            Self::Digest { algorithm: Algorithm::Sha256, .. } => 2,
        })
    }

    /// Reads one `WWW-Authenticate` value.
    pub fn parse(value: &str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once(char::is_whitespace).unwrap_or((value.trim(), ""));
        if scheme.eq_ignore_ascii_case("Basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let parameters = Parameters::parse(rest);
        let qualities = parameters.get("qop").unwrap_or_default();
        Some(Self::Digest {
            realm: parameters.get("realm")?.to_owned(),
            nonce: parameters.get("nonce")?.to_owned(),
            algorithm: Algorithm::from_name(parameters.get("algorithm"))?,
            quality: qualities.split(',').any(|quality| quality.trim().eq_ignore_ascii_case("auth")),
        })
    }

    /// Credentials that answer it. `client_nonce` is random text, `count` how often the nonce has been answered.
    pub fn answer(
        &self,
        method: &Method,
        uri: &str,
        user: &str,
        password: &str,
        (client_nonce, count): (&str, u32),
    ) -> Credentials {
        match self {
            Self::Basic => Credentials::Basic { user: user.to_owned(), password: password.to_owned() },
            Self::Digest { realm, nonce, algorithm, quality } => {
                let quality =
                    quality.then(|| Quality { client_nonce: client_nonce.to_owned(), count: format!("{count:08x}") });
                let mut digest = Digest {
                    user: user.to_owned(),
                    realm: realm.clone(),
                    nonce: nonce.clone(),
                    uri: uri.to_owned(),
                    algorithm: *algorithm,
                    quality,
                    response: String::new(),
                };
                digest.response = digest.expected(method, user, password, realm, nonce);
                Credentials::Digest(digest)
            }
        }
    }
}
