//! What a viewer shows with each request: an id with a proof that this node, or one with the same key, gave it to this
//! address for this path. Nothing need be remembered to check it.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use tokio::sync::Notify;
use tokio::time::timeout;
use uuid::Uuid;

use crate::auth::same;

/// Bytes of the proof that are shown: 128 bits cannot be guessed.
const PROOF_BYTES: usize = 16;

/// Makes and checks tokens: under the key that all nodes share, and under one of this node's own until that is known.
pub(super) struct Seal {
    own: Key,
    shared: OnceLock<Key>,
    /// Told when it is there.
    changed: Notify,
    /// It has been waited for once, in vain.
    is_late: AtomicBool,
}

/// How long viewers wait for the key that all nodes share. It is there a moment after a node's start, where a quorum is.
const SHARED_WITHIN: Duration = Duration::from_secs(2);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(<redacted>)")
    }
}

impl Seal {
    /// A seal with a key of this node's own.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let (changed, is_late) = (Notify::new(), AtomicBool::new(false));
        Self { own: Key::new(HMAC_SHA256, key), shared: OnceLock::new(), changed, is_late }
    }

    /// Tokens are made under the key of all nodes from now on.
    pub(super) fn share(&self, key: &[u8; 32]) {
        // The first one stays, in the whole cluster.
        let _ = self.shared.set(Key::new(HMAC_SHA256, key));
        self.changed.notify_waiters();
    }

    /// Waits until tokens are good on all nodes. Where that takes too long they are good on this one.
    pub(super) async fn ready(&self) {
        let changed = self.changed.notified();
        if self.shared.get().is_none()
            && !self.is_late.load(Ordering::Relaxed)
            && timeout(SHARED_WITHIN, changed).await.is_err()
        {
            self.is_late.store(true, Ordering::Relaxed);
        }
    }

    /// The token of a session.
    pub(super) fn token(&self, id: Uuid, address: IpAddr, path: &str) -> String {
        token(self.shared.get().unwrap_or(&self.own), id, address, path)
    }

    /// The session that a token stands for, if it was made for this address and path.
    pub(super) fn check(&self, token: &str, address: IpAddr, path: &str) -> Option<Uuid> {
        let id = Uuid::try_parse(token.get(..32)?).ok()?;
        let is_good = |key| same(self::token(key, id, address, path).as_bytes(), token.as_bytes());
        (self.shared.get().is_some_and(is_good) || is_good(&self.own)).then_some(id)
    }
}

fn token(key: &Key, id: Uuid, address: IpAddr, path: &str) -> String {
    let mut token = id.simple().to_string();
    for byte in proof(key, id, address, path) {
        token += &format!("{byte:02x}");
    }
    token
}

fn proof(key: &Key, id: Uuid, address: IpAddr, path: &str) -> [u8; PROOF_BYTES] {
    let address = address.to_canonical().to_string();
    // The id has a fixed length, an address no slash and no space.
    let message = [id.as_bytes(), address.as_bytes(), b" ", path.as_bytes()].concat();
    let mut proof = [0; PROOF_BYTES];
    proof.copy_from_slice(&sign(key, &message).as_ref()[..PROOF_BYTES]);
    proof
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

    #[test]
    fn a_token_is_good_on_every_node_that_has_the_shared_key() {
        let (a, b) = (Seal::new(&[1; 32]), Seal::new(&[2; 32]));
        let (id, address) = (Uuid::from_u128(1), "10.0.0.1".parse().unwrap());
        let before = a.token(id, address, "cam");
        assert_eq!(b.check(&before, address, "cam"), None);
        a.share(&[3; 32]);
        b.share(&[3; 32]);
        assert_eq!(b.check(&a.token(id, address, "cam"), address, "cam"), Some(id));
        assert_eq!(a.check(&before, address, "cam"), Some(id), "what it gave before stays good");
        assert_eq!(b.check(&before, address, "cam"), None);
    }
}
