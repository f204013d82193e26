//! The configuration of a running node: what is in force, and the way of a change into what the nodes agree on.
//!
//! A change goes to the leader as a claim does, and counts when it is committed. The node's own loop then takes it
//! (`follow`), and only after that is whoever asked told. On a node that is alone the same log holds the edits over its file.

mod deferred;
mod follow;
mod forming;
mod own;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tracing::warn;
use uuid::Uuid;
use weft_cluster::Clock;
use weft_cluster::limits::DOCUMENT_BYTES_MAX;
use weft_cluster::membership::{Cluster, History};
use weft_cluster::ownership::{Answer, Entry, Refusal, State};
use weft_cluster::raft::{Observer, ProposeError};

use crate::config::{Difference, Document, Edit, EditError, Effective, KeyValues, Write};
use crate::http::{Asked, ConfigError, ConfigFuture, ConfigSource, Revision, Tried, Written};

pub(super) use deferred::LateHost;
pub(super) use follow::begin;
pub(super) use forming::import;
pub(super) use own::read;

/// The way of the API to the configuration.
pub(super) struct Configuration {
    cluster: Cluster,
    clock: Clock,
    /// This node's label.
    node: String,
    in_force: ArcSwap<Effective>,
    /// The revision of that, for those who wait for one.
    revision: watch::Sender<u64>,
    /// To the node's loop.
    wishes: mpsc::Sender<Wish>,
    /// One change at a time: those of one node need not be made twice because of each other.
    writing: Mutex<()>,
}

/// Other values for this node's own keys.
pub(super) struct Wish {
    set: KeyValues,
    unset: Vec<String>,
    reply: oneshot::Sender<Result<(), ConfigError>>,
}

/// Changes of this node's own keys that wait. Each is answered in some milliseconds.
const WISHES_MAX: usize = 16;

/// How long it may take until what is agreed is in force here: a large configuration takes tens of milliseconds.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(5);

/// How often it is looked whether there is a configuration, while there is none.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How long who reads waits for the newest word; after that this node's own is given.
const FRESH_WITHIN: Duration = Duration::from_millis(200);

impl Configuration {
    /// The way, and its end in the node's loop.
    pub(super) fn new(
        (cluster, clock): (Cluster, Clock),
        node: String,
        in_force: Effective,
        revision: watch::Sender<u64>,
    ) -> (Arc<Self>, mpsc::Receiver<Wish>) {
        let (wishes, wished) = mpsc::channel(WISHES_MAX);
        revision.send_replace(in_force.revision);
        let in_force = ArcSwap::from_pointee(in_force);
        (Arc::new(Self { cluster, clock, node, in_force, revision, wishes, writing: Mutex::new(()) }), wished)
    }

    /// This is in force from now on.
    pub(super) fn set(&self, effective: Effective) {
        let revision = effective.revision;
        self.in_force.store(Arc::new(effective));
        self.revision.send_replace(revision);
    }

    /// Whether the document alone says what is shared.
    fn is_whole(&self) -> bool {
        self.cluster.identity().is_some()
    }

    /// What is agreed, over what this node says: newer than what is in force, if the node's loop has not come to it.
    async fn newest(&self) -> Result<Effective, ConfigError> {
        let in_force = self.in_force.load_full();
        let agreed = agreed(&self.cluster.state().read()).filter(|(revision, _)| *revision != in_force.revision);
        let Some((revision, text)) = agreed else { return Ok(in_force.as_ref().clone()) };
        let local = in_force.local.clone();
        let newest = move || Document::parse(&text).map(|document| Effective::of(local, revision, document));
        let made = tokio::task::spawn_blocking(newest).await;
        // What cannot be read is not nothing: a change of it would do away with all the rest.
        made.map_err(|error| ConfigError::Internal(error.to_string()))?.ok_or_else(|| {
            ConfigError::Unavailable(format!("this node cannot read revision {revision}: it may need a newer program"))
        })
    }

    /// Tries until it is agreed, or refused, or the time is over.
    async fn agree(&self, edit: Edit, asked: Asked, deadline: Instant) -> Result<Written, ConfigError> {
        let left = || deadline.saturating_duration_since(Instant::now());
        let id = asked.id.unwrap_or_else(|| Uuid::new_v4().simple().to_string());
        let edit = Arc::new(edit);
        loop {
            self.cluster.catch_up(left()).await.map_err(|error| unavailable(error, false))?;
            let now = self.newest().await?;
            if self.is_whole() && now.document.whole.is_none() && !matches!(*edit, Edit::Import(..)) {
                // The cluster has just been formed, and the file of one node is about to become everybody's.
                if left().is_zero() {
                    return Err(ConfigError::Unavailable("the cluster has no configuration yet: try again".into()));
                }
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            }
            if is_made(&now.document, &id, &edit)? {
                return Ok(Written { revision: now.revision, warnings: Vec::new() });
            }
            if asked.expected.is_some_and(|expected| expected != now.revision) {
                return Err(ConfigError::OtherRevision(now.revision));
            }
            let write = self.write_of(asked.user.clone());
            let (edit, whole, its) = (edit.clone(), self.is_whole(), id.clone());
            let (revision, was_whole) = (now.revision, now.document.whole.is_some());
            let made = tokio::task::spawn_blocking(move || now.edited(&edit, whole, &its, write)).await;
            let (document, warnings) = made.map_err(|error| ConfigError::Internal(error.to_string()))??;
            let warnings: Vec<String> = warnings.into_iter().map(|warning| warning.message).collect();
            if document.write.changed.is_empty() && was_whole == document.whole.is_some() {
                return Ok(Written { revision, warnings });
            }
            let text = document.text();
            if text.len() > DOCUMENT_BYTES_MAX {
                return Err(too_large(text.len()));
            }
            if Document::parse(&text).is_none() {
                return Err(ConfigError::Edit(EditError::Invalid("the configuration is nested too deeply".into())));
            }
            let entry = Entry::Configure { expected: revision, document: text };
            match self.cluster.propose(entry, left()).await {
                Ok((_, Answer::Revision(revision))) => return Ok(Written { revision, warnings }),
                // Somebody else was first, or this was agreed already and the answer lost: the next round tells.
                Ok((_, Answer::Refused(Refusal::OtherRevision(_)))) => {}
                Ok((_, answer)) => {
                    return Err(ConfigError::Internal(format!("the configuration is not agreed: {answer}")));
                }
                Err(error) => return Err(unavailable(error, true)),
            }
        }
    }

    fn write_of(&self, user: Option<String>) -> Write {
        Write { at_micros: self.clock.wall().unix_micros(), node: self.node.clone(), user, ..Write::default() }
    }

    async fn write(&self, edit: Edit, asked: Asked) -> Result<Written, ConfigError> {
        let claim_timeout = self.in_force.load().config.cluster.timings.claim_timeout;
        let deadline = Instant::now() + claim_timeout;
        let turn = timeout_at(deadline, self.writing.lock()).await;
        let turn = turn.map_err(|_| ConfigError::Unavailable("too many changes at a time: try again".into()))?;
        let written = self.agree(edit, asked, deadline).await?;
        drop(turn);
        let mut revision = self.revision.subscribe();
        let in_force = revision.wait_for(|revision| *revision >= written.revision);
        match tokio::time::timeout(IN_FORCE_WITHIN, in_force).await {
            Ok(Ok(_)) => Ok(written),
            _ => Err(ConfigError::Unavailable(format!(
                "agreed as revision {}, but not yet in force on this node",
                written.revision
            ))),
        }
    }
}

/// Whether this change is in the document already, under this id; another one under the same id is refused.
fn is_made(document: &Document, id: &String, edit: &Edit) -> Result<bool, ConfigError> {
    if !document.recent.contains(id) {
        return Ok(false);
    }
    match document.fingerprints.get(id) {
        Some(made) if *made != edit.fingerprint() => Err(ConfigError::OtherChange),
        // Without one an older program has made it.
        _ => Ok(true),
    }
}

/// The newest revision and its text.
fn agreed(state: &State) -> Option<(u64, String)> {
    state.configuration().map(|(revision, text)| (revision, text.to_owned()))
}

fn too_large(bytes: usize) -> ConfigError {
    let most = DOCUMENT_BYTES_MAX >> 20;
    ConfigError::Edit(EditError::Invalid(format!(
        "the configuration would have {bytes} bytes; the nodes share {most} MB at most"
    )))
}

fn unavailable(error: ProposeError, asked: bool) -> ConfigError {
    let after = if asked { "; whether the change is made will show when there is one" } else { ": nothing is changed" };
    match error {
        ProposeError::NoQuorum => ConfigError::Unavailable(format!("no quorum{after}")),
        error => ConfigError::Unavailable(error.to_string()),
    }
}

impl ConfigSource for Configuration {
    fn in_force(&self) -> Arc<Effective> {
        self.in_force.load_full()
    }

    fn write(&self, edit: Edit, asked: Asked) -> ConfigFuture<'_, Written> {
        self.write(edit, asked).boxed()
    }

    fn write_own(&self, set: KeyValues, unset: Vec<String>) -> ConfigFuture<'_, ()> {
        async move {
            let gone = || ConfigError::Unavailable("the node is stopping".into());
            let (reply, answer) = oneshot::channel();
            self.wishes.send(Wish { set, unset, reply }).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        }
        .boxed()
    }

    fn try_out(&self, edit: Edit) -> ConfigFuture<'_, Tried> {
        async move {
            // What is agreed may be old where there is no quorum; it is the best that is known.
            let _ = self.cluster.catch_up(FRESH_WITHIN).await;
            let now = self.newest().await?;
            let (whole, write) = (self.is_whole(), Write::default());
            let tried = move || {
                let (document, warnings) = now.edited(&edit, whole, "", write)?;
                let differences: Vec<Difference> = now.shared.differences(&document.over(&now.local.shared));
                Ok(Tried {
                    revision: now.revision,
                    differences,
                    warnings: warnings.into_iter().map(|warning| warning.message).collect(),
                })
            };
            tokio::task::spawn_blocking(tried).await.map_err(|error| ConfigError::Internal(error.to_string()))?
        }
        .boxed()
    }

    fn revisions(&self) -> ConfigFuture<'_, Vec<Revision>> {
        async {
            let _ = self.cluster.catch_up(FRESH_WITHIN).await;
            // Copied first: whoever applies an entry waits for the state, and reading them takes a while.
            let texts: Vec<(u64, String)> =
                self.cluster.state().read().revisions().map(|(number, text)| (number, text.to_owned())).collect();
            let revision = |(number, text): (u64, String)| match Document::parse(&text) {
                Some(document) => Some(Revision { number, document }),
                None => {
                    warn!(number, "a revision of the configuration cannot be read");
                    None
                }
            };
            let parsed = tokio::task::spawn_blocking(move || texts.into_iter().filter_map(revision).collect()).await;
            parsed.map_err(|error| ConfigError::Internal(error.to_string()))
        }
        .boxed()
    }
}

/// Sees what is agreed on the cluster thread: for the history of paths, and that the configuration has changed.
pub(super) struct Agreed {
    pub(super) history: Arc<History>,
    pub(super) revision: watch::Sender<u64>,
}

impl Observer for Agreed {
    fn applied(&self, index: u64, entry: &Entry, answer: Answer, state: &State) {
        self.history.applied(index, entry, answer, state);
        if let Answer::Revision(revision) = answer {
            self.revision.send_replace(revision);
        }
    }

    fn installed(&self, state: &State) {
        self.history.installed(state);
        if let Some((revision, _)) = state.configuration() {
            self.revision.send_replace(revision);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_made_once_under_its_id_and_no_other_one_is() {
        let add = |name: &str| Edit::AddPath(name.into(), crate::config::Fields::default());
        let document = Document {
            recent: ["a".to_owned(), "old".to_owned()].into(),
            fingerprints: [("a".to_owned(), add("cam").fingerprint())].into(),
            ..Document::default()
        };
        let is_made = |id: &str, edit: &Edit| is_made(&document, &id.to_owned(), edit);
        assert_eq!(is_made("a", &add("cam")), Ok(true));
        assert_eq!(is_made("a", &add("other")), Err(ConfigError::OtherChange));
        assert_eq!(is_made("b", &add("cam")), Ok(false));
        assert_eq!(is_made("old", &add("cam")), Ok(true), "as older programs write it");
    }
}
