//! The pieces of an RTMP URL: clients spread path and query over `app`, `tcUrl` and the stream's key.

/// The same URL at another host; the port stays. `None` where it is no URL.
pub(super) fn at_host(tc_url: &str, host: &str) -> Option<String> {
    let (scheme, rest) = tc_url.split_once("://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit());
    let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| is_port(port));
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    // An IPv6 address stands in brackets (RFC 3986 section 3.2.2).
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    Some(format!("{scheme}://{host}{port}{path}"))
}

/// Path and query out of what a client sent: `app` and key joined, queries joined, each once.
pub(super) fn join(app: &str, tc_url: &str, key: &str) -> (String, String) {
    let (app, app_query) = split(app);
    let (_, url_query) = split(tc_url);
    let (key, key_query) = split(key);
    let parts = [app, key].map(|part| part.trim_matches('/'));
    let path: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let mut queries: Vec<&str> = Vec::new();
    for query in [app_query, url_query, key_query] {
        // The query of `app` is part of `tcUrl`, too, which may have the key behind it.
        let known = queries.iter().any(|known| query.trim_end_matches('/') == *known);
        if !query.is_empty() && !known {
            queries.push(query);
        }
    }
    (path.join("/"), queries.join("&"))
}

fn split(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

/// The value of a name in a query, decoded.
pub fn query_value(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| decode(value))
    })
}

/// Percent signs with two digits, and plus signs (application/x-www-form-urlencoded).
fn decode(text: &str) -> String {
    let mut bytes = text.as_bytes().iter();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(&byte) = bytes.next() {
        let escaped = || {
            let digits =
                bytes.as_slice().first_chunk::<2>().filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            u8::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
        };
        match byte {
            b'%' => match escaped() {
                Some(value) => {
                    decoded.push(value);
                    bytes.nth(1);
                }
                None => decoded.push(byte),
            },
            b'+' => decoded.push(b' '),
            _ => decoded.push(byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(app: &str, tc_url: &str, key: &str) -> (String, String) {
        join(app, tc_url, key)
    }

    #[test]
    fn paths_are_joined_wherever_the_client_cut_them() {
        let path = |app, key| joined(app, "rtmp://h/x", key).0;
        assert_eq!(path("live", "cam"), "live/cam");
        assert_eq!(path("", "cam"), "cam");
        assert_eq!(path("cam", ""), "cam");
        assert_eq!(path("live/", "/a/b"), "live/a/b");
        assert_eq!(path("/", ""), "");
    }

    #[test]
    fn queries_are_kept_wherever_they_stand() {
        assert_eq!(joined("live", "rtmp://h/live", "cam?user=a&pass=b").1, "user=a&pass=b");
        assert_eq!(joined("cam?token=x", "rtmp://h/cam?token=x", "").1, "token=x");
        assert_eq!(joined("live", "rtmp://h/live?token=x", "cam").1, "token=x");
        assert_eq!(joined("live?a=1", "rtmp://h/live?a=1", "cam?b=2"), ("live/cam".into(), "a=1&b=2".into()));
    }

    #[test]
    fn another_host_has_the_same_port_and_path() {
        let moved = |url| at_host(url, "b.example");
        assert_eq!(moved("rtmp://a/live").as_deref(), Some("rtmp://b.example/live"));
        assert_eq!(moved("rtmps://u@a:1936/live?x=1").as_deref(), Some("rtmps://b.example:1936/live?x=1"));
        assert_eq!(moved("rtmp://[::1]/live").as_deref(), Some("rtmp://b.example/live"));
        assert_eq!(moved("rtmp://[::1]:99").as_deref(), Some("rtmp://b.example:99"));
        assert_eq!(at_host("rtmp://a:99/", "::2").as_deref(), Some("rtmp://[::2]:99/"));
        assert_eq!(moved("live"), None);
    }

    #[test]
    fn values_are_decoded() {
        assert_eq!(query_value("user=me&pass=p%40ss+w%2", "pass").as_deref(), Some("p@ss w%2"));
        assert_eq!(query_value("user=me&flag", "flag"), None);
        assert_eq!(query_value("", "user"), None);
    }
}
