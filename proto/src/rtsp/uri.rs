//! Request URIs (RFC 2326 section 3.2): which stream, which track, and who asks.
//!
//! Clients join the base of a description and a track's control in several ways. All of these name track 1 of `cam`:
//! `rtsp://h/cam/trackID=1`, `rtsp://h/cam/trackID=1?a=b`, `rtsp://h/cam?a=b/trackID=1`, `rtsp://h/cam/?a=b/streamid=1`.

/// A request URI in its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestUri {
    /// `rtsp` or `rtsps`; `None` for a bare path or `*`.
    pub scheme: Option<Scheme>,
    /// Host and port as they were sent; empty when the URI had none.
    pub authority: String,
    /// User and password that stood before the host.
    pub user_info: Option<UserInfo>,
    /// The path, percent-decoded, without slashes at its ends; empty for `*`.
    pub path: String,
    /// The query as it was sent, without `?`, control and slashes at its end.
    pub query: String,
    /// The track that the control part names.
    pub track: Option<usize>,
}

/// How a URI says that the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    Rtsp,
    /// Inside TLS.
    Rtsps,
}

/// What stood before the host of a URI.
#[derive(Clone, PartialEq, Eq)]
pub struct UserInfo {
    /// The user.
    pub user: String,
    /// The password; empty when there was none.
    pub password: String,
}

/// Why a URI is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// A scheme that is not RTSP.
    #[error("URI scheme is not rtsp")]
    Scheme,
    /// Percent-encoding that is no UTF-8 text, or has control characters.
    #[error("URI is badly encoded")]
    Encoding,
}

impl core::fmt::Debug for UserInfo {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("UserInfo").field("user", &self.user).field("password", &"<redacted>").finish()
    }
}

impl RequestUri {
    /// Takes a URI apart.
    pub fn parse(uri: &str) -> Result<Self, UriError> {
        let uri = uri.trim();
        if uri == "*" {
            return Ok(Self::default());
        }
        let (scheme, rest) = split_scheme(uri)?;
        let (authority, rest) = match scheme {
            Some(_) => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
            None => ("", rest),
        };
        let (user_info, authority) = split_user_info(authority)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = decode(path)?;
        let (path, track) = split_control(path.trim_end_matches('/'), true);
        let (query, query_track) = split_control(query.trim_end_matches('/'), false);
        Ok(Self {
            scheme,
            authority: authority.to_owned(),
            user_info,
            path: path.trim_matches('/').to_owned(),
            query: query.trim_end_matches('/').to_owned(),
            track: query_track.or(track),
        })
    }
}

/// The URI without user and password, to be sent back to whoever asked.
pub(super) fn without_user_info(uri: &str) -> String {
    let Ok((Some(_), rest)) = split_scheme(uri) else { return uri.to_owned() };
    let scheme = &uri[..uri.len() - rest.len()];
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}{}", &rest[at + 1..]),
        None => uri.to_owned(),
    }
}

fn split_scheme(uri: &str) -> Result<(Option<Scheme>, &str), UriError> {
    let Some((scheme, rest)) = uri.split_once("://") else { return Ok((None, uri)) };
    // "/redirect?to=http://x" has no scheme of its own.
    if scheme.contains(['/', '?']) {
        return Ok((None, uri));
    }
    match scheme.to_ascii_lowercase().as_str() {
        "rtsp" | "rtspu" | "rtspt" => Ok((Some(Scheme::Rtsp), rest)),
        "rtsps" => Ok((Some(Scheme::Rtsps), rest)),
        _ => Err(UriError::Scheme),
    }
}

fn split_user_info(authority: &str) -> Result<(Option<UserInfo>, &str), UriError> {
    // Passwords with an unencoded @ are common: the last one counts.
    let Some((info, host)) = authority.rsplit_once('@') else { return Ok((None, authority)) };
    let (user, password) = info.split_once(':').unwrap_or((info, ""));
    Ok((Some(UserInfo { user: decode(user)?, password: decode(password)? }), host))
}

/// Takes `trackID=n` or `streamid=n` from the end. In a query it must follow a slash, else it is a parameter.
fn split_control(text: &str, alone: bool) -> (&str, Option<usize>) {
    let (rest, last) = match text.rsplit_once('/') {
        Some(parts) => parts,
        None if alone => ("", text),
        None => return (text, None),
    };
    let track = last.split_once('=').and_then(|(name, number)| {
        let known = CONTROL_NAMES.iter().any(|known| known.eq_ignore_ascii_case(name));
        number.parse().ok().filter(|_| known)
    });
    if track.is_some() { (rest, track) } else { (text, None) }
}

/// Resolves percent-encoding (RFC 3986 section 2.1); a `%` that begins none stands for itself.
fn decode(text: &str) -> Result<String, UriError> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |offset: usize| bytes.get(at + offset).and_then(|digit| (*digit as char).to_digit(16));
        match (byte, digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    let decoded = String::from_utf8(out).map_err(|_| UriError::Encoding)?;
    if decoded.chars().any(char::is_control) { Err(UriError::Encoding) } else { Ok(decoded) }
}

/// What clients append: ours and live555's; FFmpeg's and GStreamer's as publishers.
const CONTROL_NAMES: [&str; 3] = ["trackID", "streamid", "stream"];

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str) -> (String, String, Option<usize>) {
        let uri = RequestUri::parse(uri).unwrap();
        (uri.path, uri.query, uri.track)
    }

    #[test]
    fn control_is_found_wherever_clients_put_it() {
        for (uri, path, query, track) in [
            ("rtsp://h:8554/cam/front", "cam/front", "", None),
            ("rtsp://h/cam/", "cam", "", None),
            ("rtsp://h/cam/trackID=1", "cam", "", Some(1)),
            ("rtsp://h/cam/trackid=1/", "cam", "", Some(1)),
            ("rtsp://h/cam/streamid=0?a=b", "cam", "a=b", Some(0)),
            ("rtsp://h/cam?a=b/streamid=2", "cam", "a=b", Some(2)),
            ("rtsp://h/cam/?a=b&c=d/trackID=1", "cam", "a=b&c=d", Some(1)),
            ("rtsp://h/cam/?/trackID=1", "cam", "", Some(1)),
            ("rtsp://h/cam/stream=1?a=b", "cam", "a=b", Some(1)),
            ("rtsp://h/cam?streamid=5", "cam", "streamid=5", None),
            ("rtsp://h/cam?t=a/b/", "cam", "t=a/b", None),
            ("rtsp://h/cam/trackID=x", "cam/trackID=x", "", None),
            ("rtsp://h", "", "", None),
            ("rtsp://h?a=b", "", "a=b", None),
            ("trackID=3", "", "", Some(3)),
            ("/cam", "cam", "", None),
            ("*", "", "", None),
        ] {
            assert_eq!(parts(uri), (path.to_owned(), query.to_owned(), track), "{uri}");
        }
    }

    #[test]
    fn user_info_is_taken_out_and_decoded() {
        let uri = RequestUri::parse("RTSPS://joe:p%40ss@w@[::1]:8322/a%20b").unwrap();
        assert_eq!(uri.user_info, Some(UserInfo { user: "joe".into(), password: "p@ss@w".into() }));
        assert_eq!((uri.scheme, uri.authority.as_str(), uri.path.as_str()), (Some(Scheme::Rtsps), "[::1]:8322", "a b"));
        assert!(!format!("{uri:?}").contains("ss@w"));
        assert_eq!(without_user_info("rtsp://joe:pw@h/cam?x=@"), "rtsp://h/cam?x=@");
        assert_eq!(without_user_info("rtsp://h/cam@home"), "rtsp://h/cam@home");
    }

    #[test]
    fn bad_encoding_and_foreign_schemes_are_refused() {
        assert_eq!(RequestUri::parse("rtsp://h/%ff%fe"), Err(UriError::Encoding));
        assert_eq!(RequestUri::parse("rtsp://h/a%0d%0ab"), Err(UriError::Encoding));
        assert_eq!(RequestUri::parse("http://h/a"), Err(UriError::Scheme));
        assert_eq!(parts("rtsp://h/100%").0, "100%");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken_apart_without_panic(text in "\\PC{0,60}") {
            let _ = RequestUri::parse(&text);
            let _ = RequestUri::parse(&format!("rtsp://{text}"));
            let _ = without_user_info(&format!("rtsp://{text}"));
        }
    }
}
