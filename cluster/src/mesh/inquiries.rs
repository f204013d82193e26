//! Questions of those above the fabric, who alone know what is asked and how it is answered. The answers are made on a
//! thread of theirs: the cluster thread only passes both on.

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use weft_proto::wire::control::Response;
use weft_proto::wire::entry::NodeId;

use super::{Mesh, Shared};
use crate::limits::{INQUIRIES_WAITING_MAX, INQUIRY_ANSWER_BYTES_MAX};

/// What another node wants to know. Dropped without an answer, it is told that this node cannot say.
#[derive(Debug)]
pub struct Inquiry {
    /// Who asks.
    pub from: NodeId,
    /// What, in words of those above.
    pub question: Bytes,
    reply: oneshot::Sender<Vec<u8>>,
}

impl Inquiry {
    /// Answers. More than [`INQUIRY_ANSWER_BYTES_MAX`] is no answer.
    pub fn answer(self, answer: Vec<u8>) {
        // Who asked may not wait any more.
        let _ = self.reply.send(answer);
    }

    /// Whether somebody still waits for the answer.
    pub fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }
}

impl Mesh {
    /// The questions of other nodes from now on. Until somebody takes them, and when nobody does any more, others are told
    /// that this node cannot say.
    pub fn inquiries(&self) -> mpsc::Receiver<Inquiry> {
        let (to, inquiries) = mpsc::channel(INQUIRIES_WAITING_MAX);
        *self.0.inquiries.lock() = Some(to);
        inquiries
    }
}

impl Shared {
    pub(super) async fn take_inquiry(&self, from: NodeId, question: Vec<u8>) -> Response {
        let Some(to) = self.inquiries.lock().clone() else { return Response::Unable(()) };
        let (reply, answer) = oneshot::channel();
        if let Err(error) = to.try_send(Inquiry { from, question: question.into(), reply }) {
            return match error {
                mpsc::error::TrySendError::Full(_) => Response::Busy(()),
                mpsc::error::TrySendError::Closed(_) => Response::Unable(()),
            };
        }
        match answer.await {
            Ok(answer) if answer.len() <= INQUIRY_ANSWER_BYTES_MAX => Response::Inquired(answer),
            Ok(_) | Err(_) => Response::Unable(()),
        }
    }
}
