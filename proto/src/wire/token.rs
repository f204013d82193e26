//! What a join token says: `weft1.` and base64url (RFC 4648 section 5, no padding) of a secret, the SHA-256 of the authority's
//! certificate, and the addresses of nodes to ask, one a line.

use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::entry::TokenHash;
use crate::limits::{TOKEN_ADDRESS_BYTES_MAX, TOKEN_ADDRESSES_MAX};

/// The part of a token that nobody else knows.
#[derive(Clone)]
pub struct TokenSecret(pub [u8; 32]);

impl TokenSecret {
    /// What the cluster keeps of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0).into())
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(<redacted>)")
    }
}

/// Lets one node in.
#[derive(Clone, Debug)]
pub struct Token {
    /// Proves that somebody who may has invited the node.
    pub secret: TokenSecret,
    /// The SHA-256 of the certificate of the cluster's authority: by this the node knows the cluster.
    pub authority: [u8; 32],
    /// `host:port` of nodes that can let it in.
    pub addresses: Vec<String>,
}

/// Text that is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a join token: it must be copied as a whole, from `weft1.` to its end")]
pub struct BadToken;

impl FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let text = text.trim().strip_prefix(PREFIX).ok_or(BadToken)?;
        if text.len() > TEXT_BYTES_MAX {
            return Err(BadToken);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadToken)?;
        let (secret, rest) = bytes.split_first_chunk::<32>().ok_or(BadToken)?;
        let (authority, addresses) = rest.split_first_chunk::<32>().ok_or(BadToken)?;
        let addresses = core::str::from_utf8(addresses).map_err(|_| BadToken)?;
        let addresses: Vec<String> = addresses.split('\n').map(str::to_owned).collect();
        let are_fine = addresses.len() <= TOKEN_ADDRESSES_MAX && addresses.iter().all(|address| is_address(address));
        if !are_fine {
            return Err(BadToken);
        }
        Ok(Self { secret: TokenSecret(*secret), authority: *authority, addresses })
    }
}

/// The text: a secret.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self.addresses.iter().filter(|address| is_address(address)).take(TOKEN_ADDRESSES_MAX);
        let addresses: Vec<&str> = addresses.map(String::as_str).collect();
        let bytes = [&self.secret.0[..], &self.authority, addresses.join("\n").as_bytes()].concat();
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// Something that could be `host:port`; whether it is, the resolver finds.
fn is_address(text: &str) -> bool {
    let is_short = (1..=TOKEN_ADDRESS_BYTES_MAX).contains(&text.len());
    is_short && text.contains(':') && text.bytes().all(|byte| byte.is_ascii_graphic())
}

const PREFIX: &str = "weft1.";

/// Of the longest token: four characters for three bytes.
const TEXT_BYTES_MAX: usize = (64 + TOKEN_ADDRESSES_MAX * (TOKEN_ADDRESS_BYTES_MAX + 1)) * 4 / 3 + 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        let addresses = vec!["a.example:8700".to_owned(), "[::1]:8700".to_owned()];
        Token { secret: TokenSecret([7; 32]), authority: [9; 32], addresses }
    }

    #[test]
    fn text_gives_back_what_was_written() {
        let text = token().to_string();
        assert!(text.starts_with("weft1.BwcH"), "{text}");
        let read: Token = format!(" {text}\n").parse().unwrap();
        assert_eq!((read.secret.0, read.authority, read.addresses), ([7; 32], [9; 32], token().addresses));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let text = token().to_string();
        let no_address = Token { addresses: vec![], ..token() }.to_string();
        let many = URL_SAFE_NO_PAD.encode([&[0; 64][..], "a:1\n".repeat(1000).as_bytes()].concat());
        let not_text = URL_SAFE_NO_PAD.encode([0xff; 80]);
        for bad in ["", "weft1.", "weft2.AAAA", &text[..40], &text[..60], &no_address, &many, &not_text, &text[5..]] {
            assert_eq!(bad.parse::<Token>().unwrap_err(), BadToken, "{bad}");
        }
        for bad in [format!("weft1.{many}"), format!("weft1.{not_text}"), format!("{text}=")] {
            assert_eq!(bad.parse::<Token>().unwrap_err(), BadToken, "{bad}");
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert!(!format!("{:?}", token()).contains("7, 7"));
    }
}
