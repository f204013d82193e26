//! The first revision of a cluster: one node's file, once.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info};
use weft_cluster::membership::MemberStatus;
use weft_cluster::ownership::{MemberState, NodeId};

use super::Configuration;
use crate::config::Edit;
use crate::http::{Asked, ConfigSource};

/// How often it is looked who is to do it, until somebody has.
const LOOK: Duration = Duration::from_millis(100);

/// Brings what this node's file says of what is shared into the log of a cluster that has no configuration yet, if this node
/// is the one to do so. To be run until it ends, which it does when there is one.
pub(in crate::app) async fn import(configuration: Arc<Configuration>) {
    if !configuration.is_whole() {
        return;
    }
    loop {
        let in_force = configuration.in_force();
        if in_force.document.whole.is_some() {
            return;
        }
        let status = configuration.cluster.status().await;
        let me = configuration.cluster.id();
        if status.is_some_and(|status| status.quorum && importer(&status) == Some(me)) {
            let file = in_force.local.file.as_ref();
            let name = file.map_or_else(|| "the defaults".to_owned(), |file| file.display().to_string());
            let asked = Asked { expected: Some(in_force.revision), ..Asked::default() };
            let edit = Edit::Import(format!("{name} at formation"), in_force.shared.clone());
            match ConfigSource::write(&*configuration, edit, asked).await {
                Ok(written) => info!(revision = written.revision, "the cluster's configuration is that of {name}"),
                Err(error) => debug!(%error, "the configuration could not be imported"),
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The leader; when that is a witness, whose file has no media in it, the node with the lowest id that is none.
fn importer(status: &MemberStatus) -> Option<NodeId> {
    let can = |node: &&weft_cluster::membership::NodeStatus| node.state == MemberState::Up && !node.facts.witness;
    let mut able = status.nodes.iter().filter(can);
    let leader = status.standing.leader?;
    if able.clone().any(|node| node.id == leader) {
        return Some(leader);
    }
    let is_witness = status.nodes.iter().any(|node| node.id == leader && node.facts.witness);
    able.by_ref().map(|node| node.id).min().filter(|_| is_witness)
}
