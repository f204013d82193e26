//! What all nodes have together: this one's part and those of the others.
//!
//! The others have 200 ms. Who does not answer by then is named, and what the rest say is the answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use weft_cluster::inquiry::{Answers, Part};
use weft_cluster::ownership::NodeId;

use super::kind::Kind;
use super::part::{self, Own, Place, Question, Row};
use super::round::Round;
use super::source::{ApiError, ApiSource};

/// The other nodes.
pub trait Others: Send + Sync {
    /// Asks all of them the same.
    fn ask_all(&self, question: Vec<u8>, within: Duration) -> BoxFuture<'_, Answers>;

    /// Asks some of them, each its own question.
    fn ask_each(&self, questions: Vec<(NodeId, Vec<u8>)>, within: Duration) -> BoxFuture<'_, Answers>;

    /// The label of a path's owner, as agreed.
    fn owner(&self, path: &str) -> Option<String>;
}

/// How long the others have.
pub(super) const WITHIN: Duration = Duration::from_millis(200);

/// This node and the others.
#[derive(Clone)]
pub(super) struct Whole {
    pub(super) source: Arc<dyn ApiSource>,
    pub(super) others: Option<Arc<dyn Others>>,
}

/// Who did not answer.
pub(super) type Missing = BTreeSet<String>;

/// A page of a list, and who did not answer.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) count: usize,
    pub(super) items: Vec<Value>,
    pub(super) missing: Missing,
}

/// Where one of a list is.
pub(super) enum Found {
    Here(Own),
    There(NodeId, Option<Value>),
}

/// Of one place, what each node has of it, by the nodes' labels: a path may be on several.
pub(super) type Entry = (Place, Vec<(String, Found)>);

impl Whole {
    /// Some of what there is, in order.
    pub(super) async fn list(&self, kind: Kind, (skip, take): (usize, usize), local: bool) -> Result<Listed, ApiError> {
        let mut round = Round::begin();
        let node = self.source.info().node;
        let own = part::own(&*self.source, kind).await?;
        let mut all: Vec<(Place, String, Found)> =
            own.into_iter().map(|own| (own.place.clone(), node.clone(), Found::Here(own))).collect();
        if let Some(others) = self.others.as_ref().filter(|_| !local) {
            all.extend(round.list(&**others, kind, skip.saturating_add(take)).await);
        }
        let entries = grouped(kind, all);
        let count = entries.len();
        let mut page: Vec<Entry> = entries.into_iter().skip(skip).take(take).collect();
        if let Some(others) = &self.others {
            round.fill(&**others, kind, &mut page).await;
        }
        let mut items = Vec::with_capacity(page.len());
        for (_, parts) in page {
            items.extend(self.item(kind, parts).await?);
        }
        Ok(Listed { count, items, missing: round.missing })
    }

    async fn item(&self, kind: Kind, parts: Vec<(String, Found)>) -> Result<Option<Value>, ApiError> {
        let mut values = Vec::with_capacity(parts.len());
        for (node, found) in parts {
            let value = match found {
                Found::Here(own) => own.whole(&*self.source, &node).await?,
                Found::There(_, value) => value,
            };
            values.extend(value.map(|value| (node, value)));
        }
        Ok(together(kind, values))
    }

    /// One by its name or id.
    pub(super) async fn get(&self, kind: Kind, name: &str, local: bool) -> Result<(Value, Missing), ApiError> {
        let own = part::get(&*self.source, kind, name).await?;
        let mut round = Round::begin();
        let others = self.others.as_ref().filter(|_| !local);
        // A session is on one node only.
        let (own, others) = match (own, others) {
            (Some(own), _) if kind != Kind::Paths => return Ok((own, Missing::new())),
            (own, Some(others)) => (own, others),
            (Some(own), None) => return Ok((own, Missing::new())),
            (None, None) => return Err(kind.not_found()),
        };
        let question = Question::Get { kind, names: vec![name.to_owned()] };
        let mut parts: Vec<(String, Value)> = own.map(|own| (self.source.info().node, own)).into_iter().collect();
        for (_, from, rows) in round.rows(others.ask_all(words(&question), WITHIN).await) {
            parts.extend(rows.rows.into_iter().filter_map(|Row(_, body)| Some((from.clone(), body?))));
        }
        parts.sort_by(|a, b| a.0.cmp(&b.0));
        match together(kind, parts) {
            Some(value) => Ok((value, round.missing)),
            None if self.may_be_missing(kind, name, &round.missing) => Err(perhaps(kind, &round.missing)),
            None => Err(kind.not_found()),
        }
    }

    /// Whether a node that did not answer may have it. Who owns a path is agreed.
    fn may_be_missing(&self, kind: Kind, name: &str, missing: &Missing) -> bool {
        let owner = || self.others.as_ref().and_then(|others| others.owner(name));
        !missing.is_empty() && (kind != Kind::Paths || owner().is_some_and(|owner| missing.contains(&owner)))
    }

    /// Ends one, wherever it is.
    pub(super) async fn kick(&self, kind: Kind, name: &str, local: bool) -> Result<(), ApiError> {
        let was_here = part::kick(&*self.source, kind, name).await?;
        // A viewer of segments may have asked several nodes, and may ask any other next.
        if was_here && kind != Kind::HlsSessions {
            return Ok(());
        }
        let Some(others) = self.others.as_ref().filter(|_| !local) else {
            return if was_here { Ok(()) } else { Err(kind.not_found()) };
        };
        let question = Question::Kick { kind, name: name.to_owned() };
        let Answers { parts, missing } = others.ask_all(words(&question), WITHIN).await;
        let mut missing: Missing = missing.into_iter().collect();
        let mut was_anywhere = was_here;
        for Part { name, answer, .. } in parts {
            match serde_json::from_slice::<bool>(&answer) {
                Ok(was_there) => was_anywhere |= was_there,
                Err(_) => drop(missing.insert(name)),
            }
        }
        if was_anywhere {
            return Ok(());
        }
        if missing.is_empty() { Err(kind.not_found()) } else { Err(perhaps(kind, &missing)) }
    }
}

fn perhaps(kind: Kind, missing: &Missing) -> ApiError {
    let names: Vec<&str> = missing.iter().map(String::as_str).collect();
    let (one, names) = (kind.one(), names.join(", "));
    ApiError::Unavailable(format!("{one} not found, but it may be on a node that does not answer: {names}"))
}

pub(super) fn words(question: &Question) -> Vec<u8> {
    // A question is made of numbers and texts, which can always be written.
    serde_json::to_vec(question).unwrap_or_default()
}

/// In order, and what several nodes have of one path in one place.
fn grouped(kind: Kind, mut all: Vec<(Place, String, Found)>) -> Vec<Entry> {
    all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    let mut entries: Vec<Entry> = Vec::with_capacity(all.len());
    for (place, node, found) in all {
        match entries.last_mut() {
            Some((last, parts)) if kind == Kind::Paths && *last == place => parts.push((node, found)),
            _ => entries.push((place, vec![(node, found)])),
        }
    }
    entries
}

/// What several nodes say of one thing as one: of a path, the owner's word, with the readers, the relays, the standbys and
/// the bytes sent of all.
fn together(kind: Kind, mut parts: Vec<(String, Value)>) -> Option<Value> {
    if kind != Kind::Paths || parts.len() < 2 {
        return parts.into_iter().next().map(|(_, value)| value);
    }
    let all = |key: &str| -> Vec<Value> {
        parts.iter().filter_map(|(_, value)| value[key].as_array()).flatten().cloned().collect()
    };
    let (readers, relays, standbys) = (all("readers"), all("relays"), all("standbys"));
    let sum = |key: &str| parts.iter().filter_map(|(_, value)| value[key].as_u64()).sum::<u64>();
    let (sent, sent_as_before, omitted) = (sum("outboundBytes"), sum("bytesSent"), sum("readersOmitted"));
    let takeovers = sum("takeovers");
    let owner = parts.iter().position(|(node, value)| value["node"] == node.as_str()).unwrap_or(0);
    let (_, mut path) = parts.swap_remove(owner);
    path["readers"] = readers.into();
    path["outboundBytes"] = sent.into();
    path["bytesSent"] = sent_as_before.into();
    if !relays.is_empty() {
        path["relays"] = relays.into();
    }
    if !standbys.is_empty() {
        path["standbys"] = standbys.into();
    }
    if takeovers > 0 {
        path["takeovers"] = takeovers.into();
    }
    if omitted > 0 {
        path["readersOmitted"] = omitted.into();
    }
    Some(path)
}
