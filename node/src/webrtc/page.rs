//! The pages that play and publish a path, and the scripts that they and others embed.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_SECURITY_POLICY;
use bytes::Bytes;

use super::respond::{Answer, ok};
use crate::web::Body;

/// The pages may run their own scripts and styles, and talk to this server and to others of its cluster; nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src *; \
     media-src 'self' blob:; img-src 'self' data:; base-uri 'none'; form-action 'none'";

fn page(body: &'static [u8]) -> Answer {
    let mut response = ok("text/html; charset=utf-8", Body::from(body));
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// Plays a path.
pub(super) fn reader() -> Answer {
    page(include_bytes!("page/reader.html"))
}

/// Publishes to a path.
pub(super) fn publisher() -> Answer {
    page(include_bytes!("page/publisher.html"))
}

/// What both have in common, and `own`: one script.
fn script(own: &'static [u8]) -> Answer {
    let common: &[u8] = include_bytes!("page/session.js");
    ok("text/javascript; charset=utf-8", Body::pieces([common, own].map(Bytes::from_static)))
}

/// For embedding.
pub(super) fn reader_script() -> Answer {
    script(include_bytes!("page/reader.js"))
}

/// For embedding.
pub(super) fn publisher_script() -> Answer {
    script(include_bytes!("page/publisher.js"))
}
