//! Where other nodes are.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use parking_lot::Mutex;
use weft_proto::wire::entry::NodeId;

use crate::mesh::resolve;

/// How long a name server is waited for. Where a node is known to have been somewhere, that is tried soon.
const PATIENCE: Duration = Duration::from_secs(2);
const PATIENCE_KNOWN: Duration = Duration::from_millis(250);

/// What the names of nodes said last.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<HashMap<NodeId, (String, Vec<SocketAddr>)>>);

impl Names {
    /// Where a node is: where its name says, which is asked each time, for a node may come back at another address. While
    /// nobody answers for the name, where it was last: a name server that is away must not stop what nodes take from each
    /// other.
    pub(super) async fn locate(&self, node: NodeId, address: &str) -> Vec<SocketAddr> {
        let known = self.0.lock().get(&node).filter(|(name, _)| name == address).map(|(_, found)| found.clone());
        let found = resolve(address, if known.is_some() { PATIENCE_KNOWN } else { PATIENCE }).await;
        if found.is_empty() {
            return known.unwrap_or_default();
        }
        self.0.lock().insert(node, (address.to_owned(), found.clone()));
        found
    }

    /// It is not there: its name is asked again, and patiently.
    pub(super) fn forget(&self, node: NodeId) {
        self.0.lock().remove(&node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_whose_name_nobody_answers_for_is_where_it_was_last() {
        let names = Names::default();
        // RFC 2606 section 2: nobody has that name.
        assert!(names.locate(NodeId(2), "b.invalid:1").await.is_empty());
        let was = ["127.0.0.1:1".parse().unwrap()];
        names.0.lock().insert(NodeId(2), ("b.invalid:1".into(), was.to_vec()));
        assert_eq!(names.locate(NodeId(2), "b.invalid:1").await, was);
        assert!(names.locate(NodeId(2), "c.invalid:1").await.is_empty(), "another name");
        assert!(names.locate(NodeId(3), "b.invalid:1").await.is_empty(), "another node");
        assert_eq!(names.locate(NodeId(2), "127.0.0.2:1").await, ["127.0.0.2:1".parse().unwrap()], "it has moved");
        names.0.lock().insert(NodeId(2), ("b.invalid:1".into(), was.to_vec()));
        names.forget(NodeId(2));
        assert!(names.locate(NodeId(2), "b.invalid:1").await.is_empty());
    }
}
