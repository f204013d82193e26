//! Asking the other nodes until all is said or time is up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;
use weft_cluster::inquiry::{Answers, Part};
use weft_cluster::ownership::NodeId;

use super::kind::Kind;
use super::part::{Place, Question, Row, Rows};
use super::whole::{Entry, Found, Missing, Others, WITHIN, words};

/// Bytes of names in one question, which may have 64 KB.
const NAMES_BYTES_MAX: usize = 48 << 10;

/// Places that are held of all nodes together. A node that tells of more counts as missing.
const ROWS_MAX: usize = 1 << 20;

/// One answer's time, and who is missing from it.
pub(super) struct Round {
    deadline: Instant,
    pub(super) missing: Missing,
}

impl Round {
    pub(super) fn begin() -> Self {
        Self { deadline: Instant::now() + WITHIN, missing: Missing::new() }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// What the answers hold. Who did not answer, or with something else, is missing.
    pub(super) fn rows(&mut self, Answers { parts, missing }: Answers) -> Vec<(NodeId, String, Rows)> {
        self.missing.extend(missing);
        let mut understood = Vec::with_capacity(parts.len());
        for Part { node, name, answer } in parts {
            match serde_json::from_slice::<Rows>(&answer) {
                Ok(rows) => understood.push((node, name, rows)),
                Err(_) => drop(self.missing.insert(name)),
            }
        }
        understood
    }

    /// All places of the others, and the first so many in full.
    pub(super) async fn list(&mut self, others: &dyn Others, kind: Kind, whole: usize) -> Vec<(Place, String, Found)> {
        let question = |after| words(&Question::List { kind, after, whole });
        let mut all = Vec::new();
        let mut answers = others.ask_all(question(None), self.left()).await;
        loop {
            let mut next = Vec::new();
            for (node, name, Rows { rows, more }) in self.rows(answers) {
                let last = rows.last().map(|Row(place, _)| place.clone());
                match last.filter(|_| more) {
                    Some(last) if all.len() + rows.len() < ROWS_MAX => next.push((node, question(Some(last)))),
                    _ if more => drop(self.missing.insert(name.clone())),
                    _ => {}
                }
                all.extend(rows.into_iter().map(|Row(place, body)| (place, name.clone(), Found::There(node, body))));
            }
            if next.is_empty() {
                return all;
            }
            answers = others.ask_each(next, self.left()).await;
        }
    }

    /// Asks for what is on a page and was not said in full.
    pub(super) async fn fill(&mut self, others: &dyn Others, kind: Kind, page: &mut [Entry]) {
        // What a node does not have any more, or does not say.
        let mut gone = BTreeSet::new();
        loop {
            let wanted = wanted(page, &gone);
            if wanted.is_empty() {
                return;
            }
            let question = |names: &Vec<String>| words(&Question::Get { kind, names: names.clone() });
            let questions = wanted.iter().map(|(node, names)| (*node, question(names))).collect();
            let answers = others.ask_each(questions, self.left()).await;
            let answers: BTreeMap<NodeId, Rows> =
                self.rows(answers).into_iter().map(|(node, _, rows)| (node, rows)).collect();
            let mut said: BTreeMap<(NodeId, String), Value> = BTreeMap::new();
            let mut goes_on = BTreeSet::new();
            for (node, Rows { rows, more }) in answers {
                if more && !rows.is_empty() {
                    goes_on.insert(node);
                }
                said.extend(rows.into_iter().filter_map(|Row((_, name), body)| Some(((node, name), body?))));
            }
            let asked = wanted.into_iter().filter(|(node, _)| !goes_on.contains(node));
            gone.extend(asked.flat_map(|(node, names)| names.into_iter().map(move |name| (node, name))));
            put(page, said);
        }
    }
}

/// What is to be asked for, of each node as much as goes into one question.
fn wanted(page: &[Entry], gone: &BTreeSet<(NodeId, String)>) -> BTreeMap<NodeId, Vec<String>> {
    let mut wanted: BTreeMap<NodeId, Vec<String>> = BTreeMap::new();
    let mut bytes: BTreeMap<NodeId, usize> = BTreeMap::new();
    for ((_, name), parts) in page {
        for (_, found) in parts {
            let Found::There(node, None) = found else { continue };
            let bytes = bytes.entry(*node).or_default();
            if *bytes < NAMES_BYTES_MAX && !gone.contains(&(*node, name.clone())) {
                // Quotes and a comma.
                *bytes += name.len() + 3;
                wanted.entry(*node).or_default().push(name.clone());
            }
        }
    }
    wanted
}

fn put(page: &mut [Entry], mut said: BTreeMap<(NodeId, String), Value>) {
    for ((_, name), parts) in page {
        for (_, found) in parts {
            if let Found::There(node, body @ None) = found {
                *body = said.remove(&(*node, name.clone()));
            }
        }
    }
}
