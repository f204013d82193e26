//! What all HTTP doors have in common: credentials out of headers, and which web origins may ask.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Credentials;

/// What an `Authorization` header shows.
#[derive(PartialEq, Eq)]
pub enum Shown {
    /// A name and a password.
    Password {
        /// Name.
        user: String,
        /// Password.
        password: String,
    },
    /// A token.
    Token(String),
}

impl Shown {
    /// Reads the header; `None` when there is none, or it makes no sense.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get(AUTHORIZATION)?.to_str().ok()?)
    }

    /// Reads what stands in the header.
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.split_once(' ')?;
        let password = |text: &str| {
            let (user, password) = text.split_once(':')?;
            Some(Self::Password { user: user.to_owned(), password: password.to_owned() })
        };
        if scheme.eq_ignore_ascii_case("basic") {
            password(&String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?)
        } else if scheme.eq_ignore_ascii_case("bearer") {
            password(rest).or_else(|| Some(Self::Token(rest.to_owned())))
        } else {
            None
        }
    }

    /// As the authenticator is asked.
    pub fn credentials(&self) -> Credentials<'_> {
        match self {
            Self::Password { user, password } => Credentials::Password { user, password },
            Self::Token(token) => Credentials::Token(token),
        }
    }
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.credentials().fmt(f)
    }
}

/// What `Access-Control-Allow-Origin` says, if anything: `*` where all may, else the origin that asked.
pub fn allow_origin(allowed: &[String], origin: Option<&HeaderValue>) -> Option<HeaderValue> {
    if allowed.iter().any(|pattern| pattern == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    let origin = origin?;
    is_named(allowed, origin).then(|| origin.clone())
}

/// Whether an origin is allowed by name, not just by `*`.
pub fn is_named(allowed: &[String], origin: &HeaderValue) -> bool {
    let Ok(text) = origin.to_str() else { return false };
    allowed.iter().any(|pattern| pattern != "*" && fits(pattern, text))
}

/// `https://example.com`, or `https://*.example.com` for any host below it.
fn fits(pattern: &str, origin: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == origin,
        Some((before, after)) => origin
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|middle| !middle.is_empty() && !middle.contains(['/', '@', ':'])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(header: &str) -> Option<Shown> {
        Shown::of(&HeaderMap::from_iter([(AUTHORIZATION, header.parse().unwrap())]))
    }

    #[test]
    fn credentials_come_out_of_headers() {
        let joe = || Some(Shown::Password { user: "joe".into(), password: "pa:ss".into() });
        assert_eq!(shown("Basic am9lOnBhOnNz"), joe());
        assert_eq!(shown("bearer joe:pa:ss"), joe());
        assert_eq!(shown("Bearer abc.def"), Some(Shown::Token("abc.def".into())));
        for bad in ["Basic", "Basic !!!", "Basic am9l", "Digest x", ""] {
            assert_eq!(shown(bad), None, "{bad}");
        }
    }

    #[test]
    fn origins_fit_exactly_or_below_a_star() {
        assert!(fits("https://a.example", "https://a.example"));
        assert!(fits("https://*.example", "https://a.b.example"));
        for (pattern, origin) in [
            ("https://a.example", "https://a.example.evil"),
            ("https://*.example", "https://.example"),
            ("https://*.example", "https://evil/.example"),
            ("https://*.example", "http://a.example"),
        ] {
            assert!(!fits(pattern, origin), "{pattern} {origin}");
        }
    }
}
