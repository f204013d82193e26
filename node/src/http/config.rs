//! `/v3/config/…` as MediaMTX has it, and `/cluster/config/…`: revisions, differences, import and rollback. The same from any
//! node; only keys of the top level that are a node's own are those of the node that is asked.
//!
//! Answers carry the revision as `ETag`. A change with `If-Match` is made only if that is still the newest one (412
//! otherwise), and one with an `Idempotency-Key` once, however often it is sent.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Extension, Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::access::User;
use super::failure;
use super::list::PageQuery;
use super::shapes::Timestamp;
use super::source::{ApiError, ApiSource};
use super::whole::{Listed, Missing};
use crate::config::{Difference, Document, Edit, EditError, Effective, Fields, KeyValues, check_own, import, split};

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

type Source = State<Arc<dyn ConfigSource>>;
type Answer = Result<Response, ConfigError>;
/// Who is asking, as far as the door knows.
type Who = Option<Extension<User>>;

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
        .route("/cluster/config", get(document))
        .route("/cluster/config/history", get(history))
        .route("/cluster/config/revisions/{number}", get(revision))
        .route("/cluster/config/diff", get(diff))
        .route("/cluster/config/import", post(import_file))
        .route("/cluster/config/rollback", post(rollback))
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

/// The newest revision as this node knows it.
async fn document(State(source): Source) -> Answer {
    let in_force = source.in_force();
    let revision = Revision { number: in_force.revision, document: in_force.document.clone() };
    let mut shown = described(&revision);
    shown["shared"] = json!({
        "global": redacted(&in_force, |shared| &shared.global),
        "pathDefaults": redacted(&in_force, |shared| &shared.path_defaults),
        "paths": in_force.shared.paths.len(),
    });
    shown["file"] = file(&in_force);
    Ok(tagged(in_force.revision, shown))
}

fn redacted(in_force: &Effective, part: impl Fn(&crate::config::Shared) -> &KeyValues) -> Value {
    let all = [in_force.shown_global(), in_force.shown_defaults()];
    let shown = |key: &String| all.iter().find_map(|keys| keys.get(key)).cloned().unwrap_or_default();
    part(&in_force.shared).keys().map(|key| (key.clone(), shown(key))).collect::<serde_json::Map<_, _>>().into()
}

/// This node's file, and in what it differs from what the nodes agree on.
pub(super) fn file(in_force: &Effective) -> Value {
    let differs: Vec<String> = in_force.file_differs().into_iter().map(|difference| difference.key).collect();
    json!({"name": in_force.local.file, "counts": in_force.document.whole.is_none(), "differs": differs})
}

async fn history(State(source): Source) -> Answer {
    let revisions = source.revisions().await?;
    let items: Vec<Value> = revisions.iter().map(described).collect();
    Ok(Json(items).into_response())
}

/// A revision without what it says.
fn described(revision: &Revision) -> Value {
    let write = &revision.document.write;
    let at = SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(write.at_micros).unwrap_or(0));
    json!({
        "revision": revision.number,
        "time": (write.at_micros != 0).then_some(Timestamp(at)),
        "node": write.node,
        "user": write.user,
        "what": write.what,
        "changed": write.changed,
        "more": write.more,
        "whole": revision.document.whole.is_some(),
    })
}

async fn revision(State(source): Source, Path(number): Path<u64>) -> Answer {
    let revision = find(&source.revisions().await?, number)?;
    let mut shown = described(&revision);
    let nothing = crate::config::Shared::default();
    let says = nothing.differences(&revision.document.over(&source.in_force().local.shared));
    shown["says"] = json!(says.into_iter().map(|one| (one.key, one.to.unwrap_or_default())).collect::<Fields>());
    Ok(tagged(number, shown))
}

fn find(revisions: &[Revision], number: u64) -> Result<Revision, ConfigError> {
    let found = revisions.iter().find(|revision| revision.number == number);
    found.cloned().ok_or(ConfigError::NoRevision(number))
}

/// Between which revisions; without one, between what is in force and this node's file.
#[derive(Debug, Deserialize)]
struct Between {
    from: Option<u64>,
    to: Option<u64>,
}

async fn diff(State(source): Source, Query(Between { from, to }): Query<Between>) -> Answer {
    let in_force = source.in_force();
    let local = &in_force.local.shared;
    let Some(from) = from else {
        let differences = in_force.shared.differences(local);
        let shown = json!({"from": in_force.revision, "to": "file", "differences": differences});
        return Ok(Json(shown).into_response());
    };
    let revisions = source.revisions().await?;
    let before = find(&revisions, from)?.document.over(local);
    let (number, after) = match to {
        Some(to) => (to, find(&revisions, to)?.document.over(local)),
        None => (in_force.revision, in_force.shared.clone()),
    };
    let shown = json!({"from": from, "to": number, "differences": before.differences(&after)});
    Ok(Json(shown).into_response())
}

/// A file to be imported.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ImportWish {
    /// Its name, for messages and the history.
    name: String,
    /// What it says.
    text: String,
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

/// What an import or a rollback has done, or would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Changed {
    revision: u64,
    dry_run: bool,
    differences: Vec<Difference>,
    /// Keys of the file that stay with each node, and were not taken.
    own: Vec<String>,
    warnings: Vec<String>,
}

async fn import_file(State(source): Source, who: Who, headers: HeaderMap, body: Bytes) -> Answer {
    let ImportWish { name, text, dry_run } = wish(&body, "{\"name\": …, \"text\": …}")?;
    let read = tokio::task::spawn_blocking(move || (import(&name, &text), name)).await;
    let (imported, name) = read.map_err(|error| ConfigError::Internal(error.to_string()))?;
    let imported = imported.map_err(|errors| EditError::Invalid(errors.to_string()))?;
    let warnings = imported.warnings.iter().map(ToString::to_string).collect();
    take_all(source, Edit::Import(name, imported.shared), asked(&headers, who)?, (dry_run, imported.own, warnings))
        .await
}

/// A revision to go back to.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RollbackWish {
    revision: u64,
    #[serde(default)]
    dry_run: bool,
}

async fn rollback(State(source): Source, who: Who, headers: HeaderMap, body: Bytes) -> Answer {
    let RollbackWish { revision, dry_run } = wish(&body, "{\"revision\": n}")?;
    let old = find(&source.revisions().await?, revision)?.document;
    let in_force = source.in_force();
    if old.whole.is_none() && in_force.document.whole.is_some() {
        let message = format!("revision {revision} was made before this node was in a cluster, and lies over its file");
        return Err(EditError::Invalid(message).into());
    }
    let edit = Edit::Rollback(revision, old.over(&in_force.local.shared));
    take_all(source, edit, asked(&headers, who)?, (dry_run, Vec::new(), Vec::new())).await
}

async fn take_all(
    source: Arc<dyn ConfigSource>,
    edit: Edit,
    asked: Asked,
    (dry_run, own, mut warnings): (bool, Vec<String>, Vec<String>),
) -> Answer {
    let tried = source.try_out(edit.clone()).await?;
    warnings.extend(
        tried
            .warnings
            .into_iter()
            .filter(|warning| !warnings.iter().any(|known| known.contains(warning)))
            .collect::<Vec<_>>(),
    );
    let revision = if dry_run { tried.revision } else { source.write(edit, asked).await?.revision };
    Ok(tagged(revision, Changed { revision, dry_run, differences: tried.differences, own, warnings }))
}

fn wish<'a, T: Deserialize<'a>>(body: &'a [u8], expected: &str) -> Result<T, ConfigError> {
    let read = serde_json::from_slice(body);
    read.map_err(|error| EditError::Invalid(format!("expected {expected}: {error}")).into())
}

/// The fields of a request. Nothing is no fields.
fn fields(body: &[u8]) -> Result<Fields, ConfigError> {
    if body.is_empty() {
        return Ok(Fields::new());
    }
    let read = serde_json::from_slice(body);
    read.map_err(|error| EditError::Invalid(format!("the body is no JSON object: {error}")).into())
}

fn asked(headers: &HeaderMap, who: Who) -> Result<Asked, ConfigError> {
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
fn tagged(revision: u64, body: impl Serialize) -> Response {
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
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(error) => {
                tracing::error!(error, "API request failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        failure(status, &self.to_string())
    }
}
