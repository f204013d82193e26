//! The ICE servers that a WHIP or WHEP server names in its `Link` headers (RFC 9725 section 4.6, RFC 8288).

/// An ICE server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:` or `turn:` with host and port (RFC 7064, RFC 7065).
    pub url: String,
    /// The user of a TURN server.
    pub username: String,
    /// The user's password.
    pub credential: String,
}

/// The ICE servers of one header's value: `<stun:host:port>; rel="ice-server"; username="…"; credential="…"`, several of them
/// with commas between.
pub fn ice_servers(value: &str) -> Vec<IceServer> {
    split(value, ',').filter_map(ice_server).collect()
}

fn ice_server(link: &str) -> Option<IceServer> {
    let (url, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    let parameter = |name: &str| {
        split(rest, ';').find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| unquoted(value.trim()))
        })
    };
    let is_known = ["stun:", "stuns:", "turn:", "turns:"].iter().any(|scheme| url.starts_with(scheme));
    (is_known && parameter("rel").as_deref() == Some("ice-server")).then(|| IceServer {
        url: url.to_owned(),
        username: parameter("username").unwrap_or_default(),
        credential: parameter("credential").unwrap_or_default(),
    })
}

/// The pieces between separators that stand outside of quotes and angle brackets.
fn split(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    value.split(move |letter| {
        let is_separator = letter == separator && !quoted && !bracketed;
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            _ => {}
        }
        is_separator
    })
}

/// A quoted text, or one without quotes (RFC 9110 section 5.6.4).
fn unquoted(value: &str) -> String {
    let Some(inside) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return value.to_owned() };
    let mut escaped = false;
    let keep = |letter: &char| {
        escaped = *letter == '\\' && !escaped;
        !escaped
    };
    inside.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn servers_are_found_with_their_credentials() {
        let of = |url: &str, username: &str, credential: &str| IceServer {
            url: url.into(),
            username: username.into(),
            credential: credential.into(),
        };
        let value = r#"<stun:stun.example:19302>; rel="ice-server", <turn:t.example?transport=udp>; rel=ice-server; username="a;b,\"c"; credential="p\\w"; credential-type="password", </x>; rel="next""#;
        assert_eq!(
            ice_servers(value),
            [of("stun:stun.example:19302", "", ""), of("turn:t.example?transport=udp", "a;b,\"c", "p\\w")]
        );
        assert_eq!(ice_servers("<https://x>; rel=\"ice-server\", nonsense, <stun:x>"), []);
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value: String) {
            let _ = ice_servers(&value);
        }
    }
}
