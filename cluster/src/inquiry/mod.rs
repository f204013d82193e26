//! Asking the other nodes for what only they know: their sessions, their part of a path.
//!
//! What is asked, and what an answer means, is known to those above alone. Here is whom to ask, how long to wait, and who
//! did not answer. An answer for the whole cluster is worth little without the last of these: who is not heard is named.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use weft_proto::wire::control::{Request, Response};

use crate::limits::{INQUIRIES_ASKED_MAX, INQUIRY_BYTES_MAX};
use crate::mesh::Transport;
use crate::ownership::{MemberState, NodeId, State};
use crate::raft::SharedState;

#[cfg(test)]
mod tests;

/// What one node has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which node.
    pub node: NodeId,
    /// Its label.
    pub name: String,
    /// What it said.
    pub answer: Bytes,
}

/// What the others have answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// By the order in which they came.
    pub parts: Vec<Part>,
    /// The labels of those who did not answer in time, by name.
    pub missing: Vec<String>,
}

/// Asks. Cheap to clone, and usable on any thread that runs tokio.
#[derive(Clone)]
pub struct Inquirer<T> {
    me: NodeId,
    state: SharedState,
    transport: T,
    asking: Arc<Semaphore>,
}

impl<T> fmt::Debug for Inquirer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inquirer").field("me", &self.me).finish_non_exhaustive()
    }
}

impl<T: Transport> Inquirer<T> {
    pub(crate) fn new(me: NodeId, state: SharedState, transport: T) -> Self {
        Self { me, state, transport, asking: Arc::new(Semaphore::new(INQUIRIES_ASKED_MAX)) }
    }

    pub(crate) const fn transport(&self) -> &T {
        &self.transport
    }

    /// Asks all other members, and waits so long for them. Who is known to be down is missing at once.
    pub async fn ask_all(&self, question: &[u8], within: Duration) -> Answers {
        let Round { ask, missing } = round(self.me, &self.state.read());
        let asked = ask.into_iter().map(|(node, name)| (node, name, question.to_vec())).collect();
        self.gather(asked, missing, within).await
    }

    /// Asks each of these its own question.
    pub async fn ask_each(&self, questions: Vec<(NodeId, Vec<u8>)>, within: Duration) -> Answers {
        let named = |(node, question)| (node, label(&self.state.read(), node), question);
        let asked = questions.into_iter().map(named).collect();
        self.gather(asked, Vec::new(), within).await
    }

    async fn gather(&self, asked: Vec<Asked>, missing: Vec<String>, within: Duration) -> Answers {
        let deadline = Instant::now() + within;
        if asked.is_empty() {
            return Answers { parts: Vec::new(), missing };
        }
        let Ok(Ok(_turn)) = timeout_at(deadline, self.asking.acquire()).await else {
            let names = asked.into_iter().map(|(_, name, _)| name);
            return Answers { parts: Vec::new(), missing: sorted(missing.into_iter().chain(names)) };
        };
        gather(&self.transport, asked, missing, deadline).await
    }
}

type Asked = (NodeId, String, Vec<u8>);

/// Whom to ask, with their labels, and who need not be asked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Round {
    ask: Vec<(NodeId, String)>,
    missing: Vec<String>,
}

fn round(me: NodeId, state: &State) -> Round {
    let members = || state.members().iter().filter(|(node, _)| *node != me);
    let is_known_down = |state| state == MemberState::Down;
    let is_back = |name: &str| {
        state.members().iter().any(|(_, member)| member.facts.name == name && !is_known_down(member.state))
    };
    let mut round = Round::default();
    for (node, member) in members() {
        let name = member.facts.name.clone();
        match member.state {
            // A machine that was set up anew is another node with the same label; the one before it never comes back.
            MemberState::Down if is_back(&name) => {}
            MemberState::Down => round.missing.push(name),
            MemberState::Joined | MemberState::Up | MemberState::Draining => round.ask.push((node, name)),
        }
    }
    round.missing = sorted(round.missing);
    round
}

fn label(state: &State, node: NodeId) -> String {
    state.members().get(node).map_or_else(|| node.to_string(), |member| member.facts.name.clone())
}

async fn gather(transport: &impl Transport, asked: Vec<Asked>, missing: Vec<String>, deadline: Instant) -> Answers {
    let ask = |(node, name, question): Asked| async move {
        let within = deadline.saturating_duration_since(Instant::now());
        let answer = transport.call(node, Request::Inquire(question), within).await;
        match answer {
            Ok(Response::Inquired(answer)) => Ok(Part { node, name, answer: answer.into() }),
            Ok(_) | Err(_) => Err(name),
        }
    };
    let mut answers = Answers { parts: Vec::new(), missing };
    let mut bytes = 0;
    let mut coming: FuturesUnordered<_> = asked.into_iter().map(ask).collect();
    while let Some(one) = coming.next().await {
        match one {
            Ok(part) if bytes + part.answer.len() <= INQUIRY_BYTES_MAX => {
                bytes += part.answer.len();
                answers.parts.push(part);
            }
            Ok(Part { name, .. }) | Err(name) => answers.missing.push(name),
        }
    }
    answers.missing = sorted(answers.missing);
    answers
}

fn sorted(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_unstable();
    names.dedup();
    names
}
