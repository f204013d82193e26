//! Basic and Digest authentication, both ends (RFC 7617, RFC 2617, RFC 7616).
//!
//! Nonces come from whoever drives this; a server's are of one connection, so that an answer overheard elsewhere is of
//! no use. Secrets are compared in constant time and never printed.

mod challenge;
mod parameters;

use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::Method;
use parameters::Parameters;

pub use challenge::{Challenge, basic_challenge, digest_challenge};

/// What an `Authorization` header says.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// User and password in the clear.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// Proof of knowing the password.
    Digest(Digest),
}

/// Proof of knowing a password (RFC 7616 section 3.4).
#[derive(Clone, PartialEq, Eq)]
pub struct Digest {
    /// The user.
    pub user: String,
    /// The realm that was answered.
    pub realm: String,
    /// The nonce that was answered.
    pub nonce: String,
    /// The URI that the proof is for. Players send the stream's or the track's as they like: it is not compared.
    pub uri: String,
    /// Which hash.
    pub algorithm: Algorithm,
    /// Client nonce and count, where the client answers with `qop=auth`.
    pub quality: Option<Quality>,
    /// The proof, in hexadecimal digits.
    pub response: String,
}

/// What `qop=auth` adds to a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quality {
    /// Random text of the client.
    pub client_nonce: String,
    /// How often the nonce was used, in hexadecimal digits.
    pub count: String,
}

/// The hash of a digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// MD5: what every client knows.
    #[default]
    Md5,
    /// SHA-256 (RFC 7616).
    Sha256,
}

impl Credentials {
    /// Reads an `Authorization` header; `None` when it is of another scheme or misses something.
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(char::is_whitespace)?;
        if scheme.eq_ignore_ascii_case("Basic") {
            let decoded = String::from_utf8(BASE64.decode(rest.trim()).ok()?).ok()?;
            let (user, password) = decoded.split_once(':')?;
            return Some(Self::Basic { user: user.to_owned(), password: password.to_owned() });
        }
        scheme.eq_ignore_ascii_case("Digest").then(|| Digest::parse(rest)).flatten().map(Self::Digest)
    }

    /// The user they are of.
    pub fn user(&self) -> &str {
        match self {
            Self::Basic { user, .. } => user,
            Self::Digest(digest) => &digest.user,
        }
    }

    /// The header's value.
    pub fn to_header(&self) -> String {
        match self {
            Self::Basic { user, password } => format!("Basic {}", BASE64.encode(format!("{user}:{password}"))),
            Self::Digest(digest) => digest.to_header(),
        }
    }
}

impl Digest {
    /// Whether this proves knowledge of `password` by `user` in answer to `realm` and `nonce`.
    pub fn verify(&self, method: &Method, user: &str, password: &str, realm: &str, nonce: &str) -> bool {
        let wanted = self.expected(method, user, password, realm, nonce);
        let given = self.response.to_ascii_lowercase();
        let same = wanted.as_bytes().ct_eq(given.as_bytes()) & self.nonce.as_bytes().ct_eq(nonce.as_bytes());
        same.into() && self.realm == realm && self.user == user
    }

    /// RFC 7616 section 3.4.1; without quality RFC 2617 section 3.2.2.1.
    fn expected(&self, method: &Method, user: &str, password: &str, realm: &str, nonce: &str) -> String {
        let hash = |text: String| self.algorithm.hash(&text);
        let secret = hash(format!("{user}:{realm}:{password}"));
        let request = hash(format!("{}:{}", method.name(), self.uri));
        match &self.quality {
            None => hash(format!("{secret}:{nonce}:{request}")),
            Some(Quality { client_nonce, count }) => {
                hash(format!("{secret}:{nonce}:{count}:{client_nonce}:auth:{request}"))
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let parameters = Parameters::parse(text);
        let get = |name| parameters.get(name).map(str::to_owned);
        let quality = match parameters.get("qop") {
            None | Some("") => None,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                Some(Quality { client_nonce: get("cnonce")?, count: get("nc")? })
            }
            Some(_) => return None,
        };
        Some(Self {
            user: get("username")?,
            realm: get("realm")?,
            nonce: get("nonce")?,
            uri: get("uri")?,
            algorithm: Algorithm::from_name(parameters.get("algorithm"))?,
            quality,
            response: get("response")?,
        })
    }

    fn to_header(&self) -> String {
        let Self { user, realm, nonce, uri, algorithm, quality, response } = self;
        let mut out = format!("Digest username=\"{}\", realm=\"{}\"", escape(user), escape(realm));
        out += &format!(", nonce=\"{}\", uri=\"{}\", response=\"{response}\"", escape(nonce), escape(uri));
        // Old cameras trip over an algorithm they did not mention.
        if *algorithm != Algorithm::Md5 {
            out += &format!(", algorithm={}", algorithm.name());
        }
        if let Some(Quality { client_nonce, count }) = quality {
            out += &format!(", qop=auth, nc={count}, cnonce=\"{}\"", escape(client_nonce));
        }
        out
    }
}

impl Algorithm {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn from_name(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("") => Some(Self::Md5),
            Some(name) => [Self::Md5, Self::Sha256].into_iter().find(|known| known.name().eq_ignore_ascii_case(name)),
        }
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { user, .. } => {
                f.debug_struct("Basic").field("user", user).field("password", &"<redacted>").finish()
            }
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest").field("user", &self.user).field("uri", &self.uri).finish_non_exhaustive()
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| DIGITS[usize::from(digit)] as char).collect()
}

/// The inside of a quoted string (RFC 7230 section 3.2.6).
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests;
