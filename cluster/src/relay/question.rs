//! Questions to other nodes that are no wish for units: what has been made of a path already, and need not be made again.
//!
//! They go over relay connections, where bytes may be many. What is asked, and what an answer means, is known to those above
//! alone.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::LocalBoxFuture;
use quinn::{RecvStream, SendStream};
use tokio::sync::oneshot;
use weft_proto::id::PathName;
use weft_proto::wire::entry::NodeId;
use weft_proto::wire::relay::{ToChild, ToParent};

use super::shard::Shard;
use super::words;
use crate::fabric::Fabric;
use crate::limits::RELAY_DEADLINE;

/// Who answers the other nodes' questions.
pub trait Answers: Send + Sync {
    /// Answers on the worker that was asked; `None` when there is nothing to say.
    fn answer(&self, question: Bytes) -> LocalBoxFuture<'static, Option<Vec<Bytes>>>;
}

impl Fabric {
    /// What other nodes ask is answered there.
    pub fn set_answers(&self, answers: Arc<dyn Answers>) {
        if let Some(relays) = self.relays() {
            relays.set_answers(answers);
        }
    }

    /// The other nodes that may have something of a path, first the one that it comes from. None for a node that is alone.
    pub fn others(&self, path: &PathName) -> Vec<NodeId> {
        self.relays().map_or_else(Vec::new, |relays| relays.others(path))
    }

    /// Asks another node what its [`Answers`] may know: `None` when it does not, says more than `bytes_max`, or has not
    /// answered `within` that time.
    pub async fn ask(&self, node: NodeId, question: Vec<u8>, within: Duration, bytes_max: usize) -> Option<Bytes> {
        self.relays()?.ask(node, question, within, bytes_max).await
    }
}

/// A question on its way.
pub(super) struct Question {
    pub(super) node: NodeId,
    pub(super) question: Vec<u8>,
    pub(super) bytes_max: usize,
    pub(super) answer: oneshot::Sender<Option<Bytes>>,
}

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Media goes before answers: what is asked for is kept, and can wait.
const ANSWERS: i32 = 0;

/// How long an answer may take on its way, whatever the asker's patience.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

impl Question {
    /// Asks, unless whoever wanted to know has given up.
    pub(super) async fn ask(mut self, shard: Rc<Shard>) {
        let answer = tokio::select! {
            () = self.answer.closed() => return,
            answer = answer(&shard, self.node, self.question, self.bytes_max) => answer,
        };
        // Fails when nobody waits any more.
        let _ = self.answer.send(answer);
    }
}

async fn answer(shard: &Rc<Shard>, node: NodeId, question: Vec<u8>, bytes_max: usize) -> Option<Bytes> {
    let _place = shard.asking.acquire().await.ok()?;
    let peer = shard.peer(node).await?;
    let (mut send, mut recv) = peer.connection()?.open_bi().await.ok()?;
    words::write(&mut send, ToParent::Ask(question).encode()).await.ok()?;
    send.finish().ok()?;
    let word = words::read(&mut recv, ANSWER_DEADLINE).await.ok()?;
    match ToChild::decode(&word) {
        Ok(Some(ToChild::Answered(()))) => read(&mut recv, bytes_max).await,
        _ => None,
    }
}

/// All that follows, if it is not too much.
async fn read(recv: &mut RecvStream, bytes_max: usize) -> Option<Bytes> {
    let mut answer = BytesMut::new();
    while let Some(chunk) = recv.read_chunk(CHUNK_BYTES, true).await.ok()? {
        if answer.len() + chunk.bytes.len() > bytes_max {
            return None;
        }
        answer.extend_from_slice(&chunk.bytes);
    }
    Some(answer.freeze())
}

/// Answers a child.
pub(super) async fn reply(shard: &Shard, question: Vec<u8>, send: &mut SendStream) -> Option<()> {
    let answers = shard.relays.0.answers.get()?.clone();
    let pieces = tokio::time::timeout(RELAY_DEADLINE, answers.answer(question.into())).await.ok()??;
    send.set_priority(ANSWERS).ok()?;
    words::write(send, ToChild::Answered(()).encode()).await.ok()?;
    let written = async {
        for piece in pieces {
            send.write_chunk(piece).await.ok()?;
        }
        send.finish().ok()
    };
    tokio::time::timeout(ANSWER_DEADLINE, written).await.ok()?
}
