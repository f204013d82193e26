//! Join tokens: how they are made and compared. What they say is the wire's.

use subtle::ConstantTimeEq as _;
use weft_proto::wire::token::{Token, TokenSecret};

use super::{CaCertificate, ca};

/// A new token of this cluster. The cluster keeps its secret's hash, and nobody the token.
pub fn draw_token(authority: &CaCertificate, addresses: Vec<String>) -> Token {
    Token { secret: TokenSecret(rand::random()), authority: authority.hash(), addresses }
}

/// Whether a certificate is that of the authority that a token names.
pub fn is_pinned(certificate: &[u8], authority: &[u8; 32]) -> bool {
    ca::hash(certificate).ct_eq(authority).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Authority, AuthoritySeed};

    #[test]
    fn a_token_pins_its_own_authority_and_no_two_are_equal() {
        let make = || Authority::from_seed(&AuthoritySeed::draw()).unwrap();
        let (ours, other) = (make(), make());
        let draw = || draw_token(ours.certificate(), vec!["a:1".to_owned()]);
        let token: Token = draw().to_string().parse().unwrap();
        assert!(is_pinned(ours.certificate().der(), &token.authority));
        assert!(!is_pinned(other.certificate().der(), &token.authority));
        assert_ne!(token.secret.hash(), draw().secret.hash());
    }
}
