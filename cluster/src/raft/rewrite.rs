//! Beginning anew from what a node has: after a restore, and when the majority of the voters is lost for good.
//!
//! Works on a data folder that no process uses. What was agreed is kept as a snapshot whose only voter is this node; the
//! log begins behind it, in a term above all that were. Epochs go on above `base`.

use std::io;

use weft_proto::wire::raft as wire;
use weft_proto::wire::{from_bytes, to_bytes};

use super::disk::{Disk, Image, Write};
use super::machine::{Kept, SNAPSHOT_VERSION, read_snapshot};
use crate::ownership::{MemberFacts, NodeId, State};

/// What a backup holds. The first bytes say what it is.
const MAGIC: &[u8] = b"weft backup 1\n";

/// Writes a backup of what is agreed. Tokens, keys and certificates are not in it.
pub fn backup(state: &State) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.append(&mut to_bytes(&state.without_secrets()));
    bytes
}

/// Reads a backup.
pub fn read_backup(bytes: &[u8]) -> io::Result<State> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "this is no backup of a cluster, or it is damaged");
    bytes.strip_prefix(MAGIC).and_then(from_bytes).ok_or_else(damaged)
}

/// All that a node has in its log, whether a majority agreed to it or not, and the last term and index of it.
pub fn everything(image: &Image) -> io::Result<(State, u64, u64)> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the log on the disk is damaged");
    let (mut state, mut term, mut last) = (State::default(), 0, 0);
    if let Some(snapshot) = &image.snapshot {
        let (meta, kept) = read_snapshot(snapshot)?;
        state = kept;
        if let Some(id) = meta.last_log_id {
            (term, last) = (id.leader_id.term, id.index);
        }
    }
    for (index, bytes) in image.log.range(last + 1..) {
        let entry: wire::LogEntry = from_bytes(bytes).ok_or_else(damaged)?;
        if let wire::Payload::Entry(entry) = &entry.payload {
            state.apply(*index, entry);
        }
        (term, last) = (term.max(entry.id.term), *index);
    }
    if let Some(vote) = &image.vote {
        let vote: wire::Vote = from_bytes(vote).ok_or_else(damaged)?;
        term = term.max(vote.term);
    }
    Ok((state, term, last))
}

/// Makes this node the only one of a cluster with this state.
pub fn begin_alone(
    disk: &dyn Disk,
    state: &State,
    (node, facts): (NodeId, &MemberFacts),
    (term, last): (u64, u64),
    base: u64,
) -> io::Result<()> {
    let state = state.alone(node, facts, base);
    let id = wire::LogId { term: term + 1, leader: node, index: last + 1 };
    let membership = wire::Membership { voters: vec![vec![node]], members: vec![node] };
    let kept = Kept { last: Some(id), membership: (Some(id), membership), state: to_bytes(&state) };
    let mut snapshot = vec![SNAPSHOT_VERSION];
    snapshot.append(&mut to_bytes(&kept));
    let vote = wire::Vote { term: term + 1, node, committed: false };
    write(disk, Write::TruncateAfter(None))?;
    write(disk, Write::Snapshot(snapshot))?;
    write(disk, Write::Purge(id.index, to_bytes(&id)))?;
    write(disk, Write::Committed(to_bytes(&id)))?;
    write(disk, Write::Vote(to_bytes(&vote)))
}

fn write(disk: &dyn Disk, write: Write) -> io::Result<()> {
    let (done, result) = std::sync::mpsc::sync_channel(1);
    disk.write(write, Box::new(move |outcome| drop(done.send(outcome))));
    result.recv().map_err(|_| io::Error::other("the disk is gone"))?
}
