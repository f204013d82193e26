//! What a viewer shows with each request: an id with a proof that this node, or one with the same key, gave it to this
//! address for this path. Nothing need be remembered to check it.

use std::net::IpAddr;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use uuid::Uuid;

use crate::auth::same;

/// Bytes of the proof that are shown: 128 bits cannot be guessed.
const PROOF_BYTES: usize = 16;

/// Makes and checks tokens.
pub(super) struct Seal {
    key: Key,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(<redacted>)")
    }
}

impl Seal {
    /// A seal with this key.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self { key: Key::new(HMAC_SHA256, key) }
    }

    /// The token of a session.
    pub(super) fn token(&self, id: Uuid, address: IpAddr, path: &str) -> String {
        let mut token = id.simple().to_string();
        for byte in self.proof(id, address, path) {
            token += &format!("{byte:02x}");
        }
        token
    }

    /// The session that a token stands for, if it was made for this address and path.
    pub(super) fn check(&self, token: &str, address: IpAddr, path: &str) -> Option<Uuid> {
        let id = Uuid::try_parse(token.get(..32)?).ok()?;
        same(self.token(id, address, path).as_bytes(), token.as_bytes()).then_some(id)
    }

    fn proof(&self, id: Uuid, address: IpAddr, path: &str) -> [u8; PROOF_BYTES] {
        let address = address.to_canonical().to_string();
        // The id has a fixed length, an address no slash and no space.
        let message = [id.as_bytes(), address.as_bytes(), b" ", path.as_bytes()].concat();
        let mut proof = [0; PROOF_BYTES];
        proof.copy_from_slice(&sign(&self.key, &message).as_ref()[..PROOF_BYTES]);
        proof
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_address_and_path_only() {
        let seal = Seal::new(&[7; 32]);
        let (here, there): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let id = Uuid::from_u128(1);
        let token = seal.token(id, here, "cam");
        assert_eq!(seal.check(&token, here, "cam"), Some(id));
        assert_eq!(seal.check(&token, "::ffff:10.0.0.1".parse().unwrap(), "cam"), Some(id));
        assert_eq!(seal.check(&token, there, "cam"), None);
        assert_eq!(seal.check(&token, here, "cam/b"), None);
        assert_eq!(Seal::new(&[8; 32]).check(&token, here, "cam"), None);
        for bad in ["", "x", &token[..63], &format!("{token}0"), &token.to_uppercase(), &"ä".repeat(32)] {
            assert_eq!(seal.check(bad, here, "cam"), None, "{bad}");
        }
    }
}
