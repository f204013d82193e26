//! What goes over a control connection: each call is a stream of its own, a frame there and a frame back; signals are
//! datagrams.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tokio::time::timeout;
use weft_proto::wire::control::{Goodbye, Request, Response, Signal};
use weft_proto::wire::entry::NodeId;
use weft_proto::wire::{Frame, FrameHead};

use super::hello::{read_body, read_head};
use super::refusal::Refusal;
use super::sockets::canonical;
use super::{CallError, Incoming, Shared};
use crate::limits::{
    ANSWER_DEADLINE, CALL_BYTES_MAX, INCOMING_FOR_SIGNALS, INQUIRY_ANSWER_BYTES_MAX, REQUEST_DEADLINE,
    SMALL_CALL_BYTES_MAX,
};

/// The unit in which memory for requests is counted.
pub(super) const MEMORY_UNIT: usize = 1 << 10;

/// Kinds of requests that carry entries, a snapshot's part or a configuration: `Append`, `Snapshot`, `Propose`.
const LARGE_KINDS: [u16; 3] = [1, 4, 16];

/// Kinds of answers that are long: `Inquired`.
const LONG_ANSWERS: [u16; 1] = [25];

/// A datagram is a packet at most.
const SIGNAL_BYTES_MAX: usize = 64 << 10;

fn longest(kind: u16) -> usize {
    if LARGE_KINDS.contains(&kind) { CALL_BYTES_MAX } else { SMALL_CALL_BYTES_MAX }
}

fn longest_answer(kind: u16) -> usize {
    // The bytes stand behind their number.
    if LONG_ANSWERS.contains(&kind) { INQUIRY_ANSWER_BYTES_MAX + 16 } else { longest(kind) }
}

/// Waits until there is room for what is to be read. All peers together can make this node hold so much and no more; small
/// things do not wait behind large ones.
async fn room(memory: &Semaphore, length: usize) -> Option<SemaphorePermit<'_>> {
    let units = if length > SMALL_CALL_BYTES_MAX { u32::try_from(length.div_ceil(MEMORY_UNIT)).ok()? } else { 0 };
    memory.acquire_many(units).await.ok()
}

/// Asks a peer.
pub(super) async fn call(
    shared: &Shared,
    connection: Option<Connection>,
    request: Request,
    within: Duration,
) -> Result<Response, CallError> {
    let connection = connection.ok_or(CallError::Unreachable)?;
    timeout(within, ask(shared, &connection, &request)).await.unwrap_or(Err(CallError::TimedOut))
}

/// A question whose answer is waited for. When nobody does any more, what of it has not left yet is taken back: else the next
/// attempt would share the way with it.
struct Asked(SendStream);

impl Drop for Asked {
    fn drop(&mut self) {
        // Fails, as it should, when all of it has arrived.
        let _ = self.0.reset(VarInt::from_u32(WITHDRAWN));
    }
}

const WITHDRAWN: u32 = 0;

async fn ask(shared: &Shared, connection: &Connection, request: &Request) -> Result<Response, CallError> {
    let (question, mut answer) = connection.open_bi().await.map_err(|_| CallError::Unreachable)?;
    let mut question = Asked(question);
    if LARGE_KINDS.contains(&request.kind()) {
        // What is small and urgent goes before.
        let _ = question.0.set_priority(-1);
    }
    // From here on nobody knows whether the peer has read it.
    question.0.write_all(&request.encode()).await.map_err(|_| CallError::TimedOut)?;
    question.0.finish().map_err(|_| CallError::TimedOut)?;
    let head = match read_head(&mut answer, longest_answer).await {
        Some(head) => head,
        None => return Err(no_answer(&mut answer).await),
    };
    let _room = room(&shared.answer_memory, head.length).await.ok_or(CallError::TimedOut)?;
    let frame = read_body(&mut answer, head).await.ok_or(CallError::TimedOut)?;
    Response::decode(&frame).ok().flatten().ok_or(CallError::BadAnswer)
}

/// Why a stream ended without an answer: the peer has refused the question, or the connection is gone.
async fn no_answer(answer: &mut RecvStream) -> CallError {
    let is_refused = matches!(answer.received_reset().await, Ok(Some(code)) if code == unreadable());
    if is_refused { CallError::BadAnswer } else { CallError::TimedOut }
}

fn unreadable() -> VarInt {
    VarInt::from_u32(Refusal::BadRequest as u32)
}

/// Takes calls and signals of a peer until the connection ends. Says why it did.
pub(super) async fn serve(shared: &Arc<Shared>, node: NodeId, connection: &Connection) -> ConnectionError {
    loop {
        tokio::select! {
            datagram = connection.read_datagram() => match datagram {
                Ok(datagram) => shared.take_signal(node, datagram, connection),
                Err(error) => return error,
            },
            stream = connection.accept_bi() => match stream {
                Ok((answer, question)) => {
                    shared.runtime.spawn(answer_one(shared.clone(), node, connection.clone(), answer, question));
                }
                Err(error) => return error,
            },
        }
    }
}

async fn answer_one(
    shared: Arc<Shared>,
    node: NodeId,
    connection: Connection,
    mut answer: SendStream,
    mut question: RecvStream,
) {
    let read = timeout(REQUEST_DEADLINE, read_request(&shared, &mut question)).await;
    let response = match read {
        Ok(Some(Some(request))) => tokio::select! {
            response = shared.take_call(node, request) => response,
            // The peer does not wait any more.
            _ = answer.stopped() => return,
        },
        Ok(Some(None)) => {
            shared.counts.calls_unknown.fetch_add(1, Ordering::Relaxed);
            Response::Unsupported(())
        }
        Ok(None) | Err(_) => {
            if connection.close_reason().is_none() && !is_withdrawn(&mut question).await {
                shared.complaints.note(Refusal::BadRequest, canonical(connection.remote_address()), "call");
            }
            // Both fail only when the peer has ended the stream itself.
            let _ = question.stop(unreadable());
            let _ = answer.reset(unreadable());
            return;
        }
    };
    if LONG_ANSWERS.contains(&response.kind()) {
        // What is small and urgent goes before.
        let _ = answer.set_priority(-1);
    }
    // A peer that does not take its answer has no use for it.
    let _ = timeout(ANSWER_DEADLINE, answer.write_all(&response.encode())).await;
}

/// Whether the peer has taken its question back, as it does when it has waited for long.
async fn is_withdrawn(question: &mut RecvStream) -> bool {
    let reset = timeout(Duration::ZERO, question.received_reset()).await;
    matches!(reset, Ok(Ok(Some(code))) if code == VarInt::from_u32(WITHDRAWN))
}

/// A request: `None` if it is none, `Some(None)` if it is of a kind that is not known here.
async fn read_request(shared: &Shared, from: &mut RecvStream) -> Option<Option<Request>> {
    let head: FrameHead = read_head(from, longest).await?;
    let _room = room(&shared.request_memory, head.length).await?;
    let frame = read_body(from, head).await?;
    Request::decode(&frame).ok()
}

impl Shared {
    async fn take_call(&self, from: NodeId, request: Request) -> Response {
        let request = match request {
            Request::Inquire(question) => return self.take_inquiry(from, question).await,
            other => other,
        };
        let (reply, response) = oneshot::channel();
        let is_full = self.incoming.capacity() <= INCOMING_FOR_SIGNALS;
        if is_full || self.incoming.try_send(Incoming::Call { from, request, reply }).is_err() {
            self.counts.calls_busy.fetch_add(1, Ordering::Relaxed);
            return Response::Busy(());
        }
        match timeout(ANSWER_DEADLINE, response).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) | Err(_) => Response::Unable(()),
        }
    }

    fn take_signal(&self, from: NodeId, datagram: Bytes, connection: &Connection) {
        let signal = Frame::read(datagram, SIGNAL_BYTES_MAX).map(|frame| Signal::decode(&frame));
        let Ok(Ok(signal)) = signal else {
            return self.complaints.note(Refusal::BadRequest, canonical(connection.remote_address()), "signal");
        };
        let Some(signal) = signal else {
            self.counts.signals_unknown.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if let Err(TrySendError::Full(_)) = self.incoming.try_send(Incoming::Signal { from, signal }) {
            self.counts.signals_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A peer has closed because it leaves: the goodbye that it has sent as a signal may have been lost, this is not.
pub(super) async fn goodbye(shared: &Shared, from: NodeId, incarnation: u64) {
    let signal = Signal::Goodbye(Goodbye { incarnation });
    // Fails when the cluster thread is shutting down.
    let _ = shared.incoming.send(Incoming::Signal { from, signal }).await;
}
