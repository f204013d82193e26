//! Asks a node's API.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The address is none.
    #[error("{0:?} is not the address of an API: write http://host:port")]
    Address(String),
    /// Nobody is there.
    #[error("cannot reach a node at {0}: {1}; name another one with --api or WEFT_API")]
    Unreachable(String, String),
    /// The node says no.
    #[error("{0}")]
    Refused(String),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Wrong(String),
    /// The answer cannot be read.
    #[error("the answer cannot be read: {0}")]
    BadAnswer(String),
}

/// Nothing that a node is asked takes longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// The longest answer: a backup of the largest cluster.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Asks, and waits for the whole answer.
pub(super) fn ask(api: &str, method: Method, path: &str, body: Option<Value>) -> Result<Vec<u8>, AskError> {
    ask_within(ANSWER_WITHIN, api, method, path, body)
}

/// The same, for so long.
pub(super) fn ask_within(
    within: Duration,
    api: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Result<Vec<u8>, AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| AskError::Unreachable(api.to_owned(), error.to_string()))?;
    runtime.block_on(async {
        let asked = tokio::time::timeout(within, exchange(api, method, path, body)).await;
        asked.unwrap_or_else(|_| Err(AskError::Unreachable(api.to_owned(), "it does not answer".into())))
    })
}

async fn exchange(api: &str, method: Method, path: &str, body: Option<Value>) -> Result<Vec<u8>, AskError> {
    let bad = || AskError::Address(api.to_owned());
    let uri: Uri = api.parse().map_err(|_| bad())?;
    let (host, port) = (uri.host().ok_or_else(bad)?, uri.port_u16().unwrap_or(80));
    if uri.scheme_str() != Some("http") {
        return Err(bad());
    }
    let unreachable = |error: String| AskError::Unreachable(api.to_owned(), error);
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    let stream = tokio::net::TcpStream::connect((plain, port)).await.map_err(|error| unreachable(error.to_string()))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(error.to_string()))?;
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header(header::HOST, format!("{host}:{port}"));
    let request = match body {
        Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())),
        None => request.body(Body::empty()),
    };
    let request = request.map_err(|_| bad())?;
    let answer = sender.send_request(request).await.map_err(|error| unreachable(error.to_string()))?;
    let status = answer.status();
    let bytes = axum::body::to_bytes(Body::new(answer.into_body()), ANSWER_BYTES_MAX).await;
    let bytes = bytes.map_err(|error| AskError::BadAnswer(error.to_string()))?;
    if status.is_success() {
        return Ok(bytes.to_vec());
    }
    let said = serde_json::from_slice::<Value>(&bytes).ok();
    // `/ready` gives a reason.
    let said = said.as_ref().and_then(|said| said["error"].as_str().or(said["reason"].as_str())).map(str::to_owned);
    let said = said.unwrap_or_else(|| format!("the node answers {status}"));
    let is_wrong = status == StatusCode::BAD_REQUEST || status == StatusCode::NOT_FOUND;
    Err(if is_wrong { AskError::Wrong(said) } else { AskError::Refused(said) })
}
