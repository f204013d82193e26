//! `/cluster/config/…`: the revisions of what nodes share, what differs between them, import and rollback. The same from any
//! node.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::config::{Answer, Asked, ConfigError, ConfigSource, Revision, Source, Who, asked, tagged};
use super::shapes::Timestamp;
use crate::config::{Difference, Edit, EditError, Effective, Fields, KeyValues, Shared, import};

/// The routes.
pub(super) fn routes() -> Router<Arc<dyn ConfigSource>> {
    Router::new()
        .route("/cluster/config", get(document))
        .route("/cluster/config/history", get(history))
        .route("/cluster/config/revisions/{number}", get(revision))
        .route("/cluster/config/diff", get(diff))
        .route("/cluster/config/import", post(import_file))
        .route("/cluster/config/rollback", post(rollback))
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

fn redacted(in_force: &Effective, part: impl Fn(&Shared) -> &KeyValues) -> Value {
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
    let nothing = Shared::default();
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
