//! What the nodes of a cluster ask each other for their APIs.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use weft_cluster::inquiry::Answers;
use weft_cluster::membership::Cluster;
use weft_cluster::ownership::{Claimant as _, NodeId};
use weft_proto::id::PathName;

use super::api::Source;
use crate::http::{self, Others};

/// The other nodes, over the mesh.
pub(super) struct Mesh {
    cluster: Cluster,
}

impl Mesh {
    pub(super) const fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }
}

impl Others for Mesh {
    fn ask_all(&self, question: Vec<u8>, within: Duration) -> BoxFuture<'_, Answers> {
        async move { self.cluster.inquirer().ask_all(&question, within).await }.boxed()
    }

    fn ask_each(&self, questions: Vec<(NodeId, Vec<u8>)>, within: Duration) -> BoxFuture<'_, Answers> {
        self.cluster.inquirer().ask_each(questions, within).boxed()
    }

    fn owner(&self, path: &str) -> Option<String> {
        let path = PathName::new(path).ok()?;
        self.cluster.owner(&path).map(|(node, _)| node)
    }
}

/// Answers the others, on this thread, for as long as the node lives. One question after the other: each is answered
/// without waiting for anything.
pub(super) fn answer(source: Arc<Source>, cluster: &Cluster) {
    let mut inquiries = cluster.inquiries();
    actix_rt::spawn(async move {
        while let Some(inquiry) = inquiries.recv().await {
            // Who has given up waiting would not read the answer.
            if !inquiry.is_wanted() {
                continue;
            }
            if let Some(answer) = http::answer(&*source, &inquiry.question).await {
                inquiry.answer(answer);
            }
        }
    });
}
