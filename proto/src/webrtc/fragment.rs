//! What is said of ICE after the description: `application/trickle-ice-sdpfrag` (RFC 8840), as WHIP and WHEP send it (RFC 9725
//! section 4.3).
//!
//! Candidates are counted and not looked into: this end answers checks (it is lite), and learns from them where they come from.

use super::description::{Credentials, UFRAG_MAX};

/// Bytes of a fragment. A browser with ten addresses sends 2 KB at once.
pub const FRAGMENT_BYTES_MAX: usize = 16 << 10;

/// A fragment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// The sender's credentials: others than before mean that ICE begins anew (RFC 9725 section 4.3.3).
    pub credentials: Option<Credentials>,
    /// How many candidates it has.
    pub candidates: usize,
    /// No more come.
    pub is_last: bool,
}

/// Reads a fragment; `None` where it is too long, or no text. Lines that are not known are passed over.
pub fn parse(fragment: &[u8]) -> Option<Fragment> {
    let text = core::str::from_utf8(fragment).ok().filter(|text| text.len() <= FRAGMENT_BYTES_MAX)?;
    let (mut ufrag, mut password) = (None, None);
    let mut read = Fragment::default();
    for line in text.lines().filter_map(|line| line.trim().strip_prefix("a=")) {
        match line.split_once(':').unwrap_or((line, "")) {
            ("ice-ufrag", value) => ufrag = ufrag.or(Some(value)),
            ("ice-pwd", value) => password = password.or(Some(value)),
            ("candidate", _) => read.candidates += 1,
            ("end-of-candidates", _) => read.is_last = true,
            _ => {}
        }
    }
    let is_name = |value: &&str| (1..=UFRAG_MAX).contains(&value.len());
    if let (Some(ufrag), Some(password)) = (ufrag.filter(is_name), password.filter(is_name)) {
        read.credentials = Some(Credentials { ufrag: ufrag.to_owned(), password: password.to_owned() });
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 9725 section 4.3.2, with a line feed where a browser has a pair.
    const TRICKLED: &str = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\na=mid:0\r\n\
a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n\
a=candidate:3471623853 1 udp 2122194687 198.51.100.2 61765 typ host generation 0 ufrag EsAw network-id 2\r\n\
a=end-of-candidates\r\n";

    #[test]
    fn candidates_that_come_later_are_counted() {
        let read = parse(TRICKLED.as_bytes()).unwrap();
        let credentials = read.credentials.unwrap();
        assert_eq!((credentials.ufrag.as_str(), credentials.password.as_str()), ("EsAw", "P2uYro0UCOQ4zxjKXaWCBui1"));
        assert_eq!((read.candidates, read.is_last), (2, true));
    }

    #[test]
    fn what_is_no_fragment_says_nothing() {
        assert_eq!(parse(b""), Some(Fragment::default()));
        assert_eq!(parse(b"a=ice-ufrag:x"), Some(Fragment::default()), "half of the credentials");
        assert_eq!(parse(&[0xff; 10]), None);
        assert_eq!(parse(&vec![b'a'; FRAGMENT_BYTES_MAX + 1]), None);
    }
}
