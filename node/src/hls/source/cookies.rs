//! Cookies of the servers of one source (RFC 6265), as much of them as sessions of HLS need: each goes back to the host that
//! set it.

use std::cell::RefCell;
use std::collections::VecDeque;

use url::Url;

/// Cookies that are kept; the oldest goes. A source has one session, and load balancers add one or two.
const COOKIES_MAX: usize = 32;

/// Bytes of a cookie, as browsers take them at the least (section 6.1).
const COOKIE_BYTES_MAX: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Cookies(RefCell<VecDeque<Cookie>>);

#[derive(Debug)]
struct Cookie {
    host: String,
    encrypted: bool,
    name: String,
    value: String,
}

impl Cookies {
    /// Takes a `Set-Cookie` of an answer.
    pub(super) fn set(&self, url: &Url, header: &str) {
        let mut parts = header.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let (name, value) = (name.trim(), value.trim());
        let Some(host) = url.host_str().filter(|_| !name.is_empty() && header.len() <= COOKIE_BYTES_MAX) else {
            return;
        };
        let is_over = parts.clone().any(|part| part.trim().eq_ignore_ascii_case("max-age=0"));
        let encrypted = parts.any(|part| part.trim().eq_ignore_ascii_case("secure"));
        let mut kept = self.0.borrow_mut();
        kept.retain(|cookie| cookie.host != host || cookie.name != name);
        if is_over {
            return;
        }
        if kept.len() == COOKIES_MAX {
            kept.pop_front();
        }
        kept.push_back(Cookie { host: host.to_owned(), encrypted, name: name.to_owned(), value: value.to_owned() });
    }

    /// The header `Cookie` of a request; `None` when there is nothing to say.
    pub(super) fn header(&self, url: &Url) -> Option<String> {
        let is_encrypted = url.scheme() == "https";
        let kept = self.0.borrow();
        let own = kept
            .iter()
            .filter(|cookie| url.host_str() == Some(&cookie.host) && (is_encrypted || !cookie.encrypted))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value));
        let all = own.collect::<Vec<_>>().join("; ");
        (!all.is_empty()).then_some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_go_back_to_where_they_come_from() {
        let url = |text: &str| Url::parse(text).unwrap();
        let cookies = Cookies::default();
        cookies.set(&url("http://a/x"), "session=1; Path=/; HttpOnly");
        cookies.set(&url("https://a/x"), "other = 2; Secure");
        cookies.set(&url("http://b/x"), "session=3");
        cookies.set(&url("http://b/x"), "no cookie");
        assert_eq!(cookies.header(&url("http://a/y")).as_deref(), Some("session=1"));
        assert_eq!(cookies.header(&url("https://a/y")).as_deref(), Some("session=1; other=2"));
        cookies.set(&url("http://a/x"), "session=; Max-Age=0");
        cookies.set(&url("http://b/x"), "session=4");
        assert_eq!(cookies.header(&url("http://a/y")), None);
        assert_eq!(cookies.header(&url("http://b:81/y")).as_deref(), Some("session=4"));
    }
}
