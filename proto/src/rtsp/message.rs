//! Requests and responses (RFC 2326 sections 4 to 7), and how they are written.

use std::borrow::Cow;

use bytes::Bytes;

use super::Status;

/// What a request asks for (RFC 2326 section 10).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// What can be asked.
    Options,
    /// The description of a stream.
    Describe,
    /// The description of a stream that the client is to send.
    Announce,
    /// The transport of one track.
    Setup,
    /// Start sending.
    Play,
    /// Stop sending or recording for a while.
    Pause,
    /// Start receiving.
    Record,
    /// End the session.
    Teardown,
    /// Read a parameter; keeps a session alive.
    GetParameter,
    /// Set a parameter.
    SetParameter,
    /// Go elsewhere; from server to client only.
    Redirect,
    /// Something we do not know.
    Other(String),
}

/// The protocol version of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Major number.
    pub major: u8,
    /// Minor number.
    pub minor: u8,
}

/// Header fields in order; names compare without case (RFC 2326 section 4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Cow<'static, str>, String)>);

/// A request (RFC 2326 section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// The request URI as it was sent: absolute, a path, or `*`.
    pub uri: String,
    /// The version the client speaks.
    pub version: Version,
    /// Header fields.
    pub headers: Headers,
    /// What follows the head.
    pub body: Bytes,
}

/// A response (RFC 2326 section 7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The outcome.
    pub status: Status,
    /// The words after the number.
    pub reason: Cow<'static, str>,
    /// Header fields.
    pub headers: Headers,
    /// What follows the head.
    pub body: Bytes,
}

impl Method {
    /// The method with this name. Names are case-sensitive by the RFC; we let that pass.
    pub fn from_name(name: &str) -> Self {
        KNOWN
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map_or_else(|| Self::Other(name.to_owned()), |(method, _)| method.clone())
    }

    /// The name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Self::Other(name) => name,
            known => KNOWN.iter().find(|(method, _)| method == known).map_or("", |(_, name)| name),
        }
    }
}

impl Version {
    /// RTSP/1.0, the only version we speak.
    pub const V1_0: Version = Version { major: 1, minor: 0 };
}

impl Headers {
    /// No field.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of the first field with this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The values of all fields with this name.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The parts between commas of all fields with this name, trimmed, empty ones left out.
    pub fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.get_all(name).flat_map(|value| value.split(',')).map(str::trim).filter(|part| !part.is_empty())
    }

    /// Adds a field after the others.
    pub fn push(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Puts a field in the place of all with this name.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let name = name.into();
        self.remove(&name);
        self.push(name, value);
    }

    /// Puts a field before all others.
    pub(super) fn push_front(&mut self, name: &'static str, value: String) {
        self.0.insert(0, (Cow::Borrowed(name), value));
    }

    /// Takes out all fields with this name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends to the last field's value, as folded lines do (RFC 2326 section 15.1). Says whether there was one.
    pub(super) fn fold(&mut self, more: &str) -> bool {
        let Some((_, value)) = self.0.last_mut() else { return false };
        if !value.is_empty() && !more.is_empty() {
            value.push(' ');
        }
        value.push_str(more);
        true
    }
}

impl Request {
    /// A request of version 1.0 without header fields and body.
    pub fn new(method: Method, uri: impl Into<String>) -> Self {
        Self { method, uri: uri.into(), version: Version::V1_0, headers: Headers::new(), body: Bytes::new() }
    }

    /// The same with one more header field.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// The same with a body and its type.
    #[must_use]
    pub fn with_body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.headers.set("Content-Type", content_type);
        self.body = body.into();
        self
    }

    /// Appends the request to `out`. The length of the body is filled in; line breaks inside values become spaces.
    pub fn write(&self, out: &mut Vec<u8>) {
        push_clean(out, self.method.name());
        out.push(b' ');
        push_clean(out, &self.uri);
        out.extend_from_slice(b" RTSP/1.0\r\n");
        write_rest(out, &self.headers, &self.body);
    }
}

impl Response {
    /// A response without header fields and body.
    pub fn new(status: Status) -> Self {
        Self { status, reason: Cow::Borrowed(status.reason()), headers: Headers::new(), body: Bytes::new() }
    }

    /// The same with one more header field.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// The same with a body and its type.
    #[must_use]
    pub fn with_body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.headers.set("Content-Type", content_type);
        self.body = body.into();
        self
    }

    /// Appends the response to `out`. The length of the body is filled in; line breaks inside values become spaces.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"RTSP/1.0 ");
        push_clean(out, &self.status.code().to_string());
        out.push(b' ');
        push_clean(out, &self.reason);
        out.extend_from_slice(b"\r\n");
        write_rest(out, &self.headers, &self.body);
    }
}

fn write_rest(out: &mut Vec<u8>, headers: &Headers, body: &[u8]) {
    for (name, value) in headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("Content-Length")) {
        push_clean(out, name);
        out.extend_from_slice(b": ");
        push_clean(out, value);
        out.extend_from_slice(b"\r\n");
    }
    if !body.is_empty() {
        out.extend_from_slice(b"Content-Length: ");
        push_clean(out, &body.len().to_string());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

/// What a client sent may come back in a response: a line break in it must not make a header field of its own.
fn push_clean(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().map(|byte| if matches!(byte, b'\r' | b'\n' | 0) { b' ' } else { byte }));
}

const KNOWN: &[(Method, &str)] = &[
    (Method::Options, "OPTIONS"),
    (Method::Describe, "DESCRIBE"),
    (Method::Announce, "ANNOUNCE"),
    (Method::Setup, "SETUP"),
    (Method::Play, "PLAY"),
    (Method::Pause, "PAUSE"),
    (Method::Record, "RECORD"),
    (Method::Teardown, "TEARDOWN"),
    (Method::GetParameter, "GET_PARAMETER"),
    (Method::SetParameter, "SET_PARAMETER"),
    (Method::Redirect, "REDIRECT"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written_with_its_length() {
        let mut out = Vec::new();
        Request::new(Method::Announce, "rtsp://h/a")
            .with("CSeq", "3")
            .with("Content-Length", "999")
            .with_body("application/sdp", &b"v=0\r\n"[..])
            .write(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "ANNOUNCE rtsp://h/a RTSP/1.0\r\nCSeq: 3\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
        );
    }

    #[test]
    fn values_cannot_smuggle_header_fields() {
        let mut out = Vec::new();
        Response::new(Status::OK).with("CSeq", "1\r\nLocation: rtsp://evil").write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "RTSP/1.0 200 OK\r\nCSeq: 1  Location: rtsp://evil\r\n\r\n");
    }

    #[test]
    fn methods_have_names_both_ways() {
        for (method, name) in KNOWN {
            assert_eq!((method.name(), &Method::from_name(&name.to_lowercase())), (*name, method));
        }
        assert_eq!(Method::from_name("FLY").name(), "FLY");
    }

    #[test]
    fn header_names_compare_without_case() {
        let mut headers = Headers::new();
        headers.push("require", "a, b");
        headers.push("Require", "c,");
        assert_eq!(headers.list("REQUIRE").collect::<Vec<_>>(), ["a", "b", "c"]);
        headers.set("REQUIRE", "d");
        assert_eq!((headers.len(), headers.get("require")), (1, Some("d")));
    }
}
