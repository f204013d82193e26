//! `/v3/config/…` as MediaMTX has it, from any node; only keys of the top level that are a node's own are those of the node
//! that is asked.
//!
//! Answers carry the revision as `ETag`. A change with `If-Match` is made only if that is still the newest one (412
//! otherwise), and one with an `Idempotency-Key` once, however often it is sent.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Extension, Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::{Value, json};

use super::access::User;
use super::failure;
use super::list::PageQuery;
use super::revisions;
use super::source::{ApiError, ApiSource};
use super::whole::{Listed, Missing};
use crate::config::{Difference, Document, Edit, EditError, Effective, Fields, KeyValues, check_own, split};

/// An answer about the configuration.
pub type ConfigFuture<'a, T> = BoxFuture<'a, Result<T, ConfigError>>;

/// Why the configuration is not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The change makes no sense (400), or its path is not there (404).
    #[error(transparent)]
    Edit(#[from] EditError),
    /// It is not kept any more, or never was (404).
    #[error("revision {0} is not kept")]
    NoRevision(u64),
    /// Somebody has changed the configuration meanwhile (412): it has this revision.
    #[error("the configuration has revision {0}")]
    OtherRevision(u64),
    /// Another change was made under the same `Idempotency-Key` (422).
    #[error("another change was made under this Idempotency-Key")]
    OtherChange,
    /// The nodes cannot agree now (503).
    #[error("{0}")]
    Unavailable(String),
    /// Our fault (500); it is logged.
    #[error("{0}")]
    Internal(String),
}

/// Who asks for a change, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Only if this is the newest revision.
    pub expected: Option<u64>,
    /// Once under this id.
    pub id: Option<String>,
    /// Who it is, if that is known.
    pub user: Option<String>,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The newest revision: that of the change, or the one before when there was nothing to change.
    pub revision: u64,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// What a change would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// The revision that it was tried on.
    pub revision: u64,
    /// What it would change.
    pub differences: Vec<Difference>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// A revision that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// Its number.
    pub number: u64,
    /// What it says.
    pub document: Document,
}

/// Knows the configuration.
pub trait ConfigSource: Send + Sync {
    /// What is in force on this node.
    fn in_force(&self) -> Arc<Effective>;

    /// Changes what is shared; done when it is agreed and in force here.
    fn write(&self, edit: Edit, asked: Asked) -> ConfigFuture<'_, Written>;

    /// Sets and takes back keys that are this node's own.
    fn write_own(&self, set: KeyValues, unset: Vec<String>) -> ConfigFuture<'_, ()>;

    /// What a change would do, and whether it is right.
    fn try_out(&self, edit: Edit) -> ConfigFuture<'_, Tried>;

    /// The revisions that are kept, the oldest first.
    fn revisions(&self) -> ConfigFuture<'_, Vec<Revision>>;
}

/// Bytes of a request, as in MediaMTX.
const BODY_BYTES_MAX: usize = 10 << 20;

/// Letters of an `Idempotency-Key`: they are kept with the configuration.
const KEY_MAX: usize = 64;

/// Names its request, so that it is done once.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub(super) type Source = State<Arc<dyn ConfigSource>>;
pub(super) type Answer = Result<Response, ConfigError>;
/// Who is asking, as far as the door knows.
pub(super) type Who = Option<Extension<User>>;

/// The routes, with their own source.
pub(super) fn routes(source: Arc<dyn ConfigSource>) -> Router<Arc<dyn ApiSource>> {
    Router::new()
        .route("/v3/config/global/get", get(global))
        .route("/v3/config/global/patch", patch(patch_global))
        .route("/v3/config/pathdefaults/get", get(defaults))
        .route("/v3/config/pathdefaults/patch", patch(patch_defaults))
        .route("/v3/config/paths/list", get(paths))
        .route("/v3/config/paths/get/{*name}", get(path))
        .route("/v3/config/paths/add/{*name}", post(add_path))
        .route("/v3/config/paths/patch/{*name}", patch(patch_path))
        .route("/v3/config/paths/replace/{*name}", post(replace_path))
        .route("/v3/config/paths/delete/{*name}", delete(delete_path))
        .merge(revisions::routes())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(source)
}

async fn global(State(source): Source) -> Response {
    let in_force = source.in_force();
    tagged(in_force.revision, in_force.shown_global())
}

async fn defaults(State(source): Source) -> Response {
    let in_force = source.in_force();
    tagged(in_force.revision, in_force.shown_defaults())
}

async fn paths(State(source): Source, Query(query): Query<PageQuery>) -> Result<Response, ApiError> {
    let window = query.window()?;
    let in_force = source.in_force();
    let names = &in_force.shared.paths;
    let (skip, take) = window.range();
    let page = names.keys().skip(skip).take(take);
    let items = page.filter_map(|name| in_force.shown_path(name)).map(Value::Object).collect();
    let listed = Listed { count: names.len(), items, missing: Missing::new() };
    Ok(tagged(in_force.revision, window.page(listed)))
}

async fn path(State(source): Source, Path(name): Path<String>) -> Answer {
    let in_force = source.in_force();
    let shown = in_force.shown_path(&name).ok_or(EditError::NotFound)?;
    Ok(tagged(in_force.revision, shown))
}

async fn patch_global(State(source): Source, who: Who, headers: HeaderMap, body: Bytes) -> Answer {
    let (shared, own) = split(fields(&body)?)?;
    let asked = asked(&headers, who)?;
    let (set, unset) = check_own(&own, &source.in_force().local.own())?;
    let mut revision = source.in_force().revision;
    if !shared.is_empty() {
        revision = source.write(Edit::Global(shared), asked).await?.revision;
    }
    if !own.is_empty() {
        source.write_own(set, unset).await?;
    }
    Ok(tagged(revision, json!({"status": "ok"})))
}

async fn patch_defaults(source: Source, who: Who, headers: HeaderMap, body: Bytes) -> Answer {
    change(source, Edit::Defaults(fields(&body)?), who, &headers).await
}

async fn add_path(source: Source, who: Who, Path(name): Path<String>, headers: HeaderMap, body: Bytes) -> Answer {
    change(source, Edit::AddPath(name, fields(&body)?), who, &headers).await
}

async fn patch_path(source: Source, who: Who, Path(name): Path<String>, headers: HeaderMap, body: Bytes) -> Answer {
    change(source, Edit::PatchPath(name, fields(&body)?), who, &headers).await
}

async fn replace_path(source: Source, who: Who, Path(name): Path<String>, headers: HeaderMap, body: Bytes) -> Answer {
    change(source, Edit::ReplacePath(name, fields(&body)?), who, &headers).await
}

async fn delete_path(source: Source, who: Who, Path(name): Path<String>, headers: HeaderMap) -> Answer {
    change(source, Edit::DeletePath(name), who, &headers).await
}

async fn change(State(source): Source, edit: Edit, who: Who, headers: &HeaderMap) -> Answer {
    let written = source.write(edit, asked(headers, who)?).await?;
    Ok(tagged(written.revision, json!({"status": "ok"})))
}

/// The fields of a request. Nothing is no fields.
fn fields(body: &[u8]) -> Result<Fields, ConfigError> {
    if body.is_empty() {
        return Ok(Fields::new());
    }
    let read = serde_json::from_slice(body);
    read.map_err(|error| EditError::Invalid(format!("the body is no JSON object: {error}")).into())
}

pub(super) fn asked(headers: &HeaderMap, who: Who) -> Result<Asked, ConfigError> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let invalid = |message: &str| ConfigError::Edit(EditError::Invalid(message.to_owned()));
    let expected = match text(&header::IF_MATCH) {
        None | Some("*") => None,
        Some(tag) => {
            let number = tag.trim_start_matches("W/").trim_matches('"').parse();
            Some(number.map_err(|_| invalid("If-Match expects the number of a revision, as ETag has it"))?)
        }
    };
    let id = match text(&IDEMPOTENCY_KEY) {
        Some(id) if id.is_empty() || id.len() > KEY_MAX => {
            return Err(invalid("Idempotency-Key expects up to 64 letters"));
        }
        id => id.map(str::to_owned),
    };
    let user = who.and_then(|Extension(User(user))| user).map(|user| user.to_string());
    Ok(Asked { expected, id, user })
}

/// An answer with its revision.
pub(super) fn tagged(revision: u64, body: impl Serialize) -> Response {
    let mut response = Json(body).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

impl IntoResponse for ConfigError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Edit(EditError::Invalid(_)) => StatusCode::BAD_REQUEST,
            Self::Edit(EditError::NotFound) | Self::NoRevision(_) => StatusCode::NOT_FOUND,
            Self::OtherRevision(_) => StatusCode::PRECONDITION_FAILED,
            Self::OtherChange => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(error) => {
                tracing::error!(error, "API request failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        failure(status, &self.to_string())
    }
}
