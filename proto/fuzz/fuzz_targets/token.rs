//! Whatever somebody pastes as a join token: read, written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_proto::wire::token::Token;

fuzz_target!(|text: &str| {
    let Ok(token) = text.parse::<Token>() else { return };
    let again: Token = token.to_string().parse().expect("what is written can be read");
    assert_eq!((again.secret.0, again.authority, again.addresses), (token.secret.0, token.authority, token.addresses));
});
