//! Every bound of the fabric, and their sum.
//!
//! Memory that the network can make the fabric hold is `Budget` (25 % of the machine by default) for all stream logs
//! and what doors have made of them together, plus per path [`PATH_EVENTS_MAX`] control events of a few hundred bytes, plus [`READERS_PER_PATH_MAX`]
//! reader records of about 300 bytes: 100,000 readers are 30 MB.

use core::time::Duration;

/// Events waiting for one publisher; more are coalesced or dropped, the last one (an end) never is.
pub const PATH_EVENTS_MAX: usize = 16;

/// Readers of one path on one node; beyond, the path's own `maxReaders` notwithstanding, joins are refused.
pub const READERS_PER_PATH_MAX: usize = 100_000;

/// Paths alive on one node. Each costs at most 64 KB beyond its media.
pub const PATHS_MAX: usize = 100_000;

/// Units a reader takes in one batch, so that one reader that is far behind cannot hold up its worker's others.
pub const BATCH_UNITS_MAX: usize = 256;

/// Mailbox of a path actor. Callers wait when it is full; nothing is lost.
pub const PATH_MAILBOX: usize = 1024;

/// Members of a cluster. Every member is a peer of every other: 64 nodes have 2,016 connections.
pub const MEMBERS_MAX: usize = 64;

/// Answers to claims that are kept for each node. A claim is proposed again for `claimTimeout` (3 s) at most, in which a
/// node makes 3,000 claims a second where it makes as many as it can. Each is 40 bytes: 640 KB a node.
pub const CLAIMS_REMEMBERED: usize = 16 << 10;

/// Standbys of one path.
pub const STANDBYS_MAX: usize = 8;

/// Join tokens that have not been used, and as many that have: their nodes may ask again.
pub const TOKENS_MAX: usize = 256;

/// Bytes of the configuration that all nodes share. 10,000 paths of ten keys are 3 MB.
pub const DOCUMENT_BYTES_MAX: usize = 4 << 20;

/// Configurations that are kept, to go back to.
pub const REVISIONS_KEPT: usize = 32;

/// Bytes of all configurations that are kept: four of the largest. They are part of every snapshot.
pub const REVISIONS_BYTES_MAX: usize = 16 << 20;

/// Bytes of Raft's log in memory, and as many on the disk, from which on a snapshot is taken: sixteen of the largest
/// configurations. What is written while it is taken comes on top.
pub const LOG_BYTES_MAX: usize = 64 << 20;

/// Bytes of a snapshot of what is agreed: 100,000 paths are 15 MB, and configurations 16 MB.
pub const SNAPSHOT_BYTES_MAX: usize = 48 << 20;

/// Bytes of a snapshot that are sent in one message.
pub const SNAPSHOT_PART_BYTES: usize = 256 << 10;

/// Bytes of the secret that nodes form a cluster by: below 128 bits one can guess.
pub const SECRET_BYTES_MIN: usize = 16;

/// Connections that have not said who they are, in all. Each holds below 100 KB: 25 MB.
pub const NEWCOMERS_MAX: usize = 256;

/// Of these, from one address; addresses of members are not counted. Nodes behind one address are few.
pub const NEWCOMERS_PER_ADDRESS_MAX: usize = 64;

/// From so many on, newcomers must prove their address first (QUIC Retry): an attacker who lies about it gets nowhere.
pub const NEWCOMERS_UNPROVEN_MAX: usize = 32;

/// Time from a newcomer's first packet until it has said who it is: a round trip for each of TLS, certificate and hello,
/// three times over on a path that loses half.
pub const NEWCOMER_DEADLINE: Duration = Duration::from_secs(5);

/// Requests of one peer that are answered at the same time. More wait at the peer.
pub const CALLS_PER_PEER_MAX: u32 = 256;

/// Bytes of one request or answer of a kind that carries entries or a configuration; of others it is
/// [`SMALL_CALL_BYTES_MAX`].
pub const CALL_BYTES_MAX: usize = 16 << 20;

/// Bytes of a request or answer that carries neither.
pub const SMALL_CALL_BYTES_MAX: usize = 64 << 10;

/// Bytes of large requests that are being read, from all peers together. Others wait.
pub const CALLS_BYTES_MAX: usize = 64 << 20;

/// Bytes of large answers that are being read, from all peers together. Others wait.
pub const ANSWERS_BYTES_MAX: usize = 64 << 20;

/// Questions of other nodes that wait to be answered by those above. More are told that this node is busy.
pub const INQUIRIES_WAITING_MAX: usize = 64;

/// Bytes of an answer to one: 6,000 sessions at 700 bytes. Those above say the rest when they are asked again.
pub const INQUIRY_ANSWER_BYTES_MAX: usize = 4 << 20;

/// Bytes of the answers of all nodes to one question. Who says more than fits counts as missing.
pub const INQUIRY_BYTES_MAX: usize = 32 << 20;

/// Questions to all nodes that are asked at the same time: 256 MB of answers at most. More wait.
pub const INQUIRIES_ASKED_MAX: usize = 8;

/// Time that a peer has to send a request once it has begun.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// Time after which nobody waits for an answer any more.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// Things from other nodes that wait for the cluster thread, and how many of these places calls leave to signals.
pub const INCOMING_MAX: usize = 2048;
/// See [`INCOMING_MAX`].
pub const INCOMING_FOR_SIGNALS: usize = 512;

/// Addresses whose last complaint in the log is remembered, so that each is logged once a second.
pub const COMPLAINTS_MAX: usize = 256;

/// Wishes to join that are heard each second, from one address and from all together: each costs a signature.
pub const JOINS_PER_SECOND: f64 = 4.0;

/// Wishes to join at once, from all addresses: half of the largest cluster.
pub const JOINS_BURST: f64 = 32.0;

/// Wishes to join at once, from one address.
pub const JOINS_PER_ADDRESS_BURST: f64 = 8.0;

/// Wishes to join that wait for a decision.
pub const JOINS_WAITING_MAX: usize = 16;

/// Faults in force at a time.
pub const FAULTS_MAX: usize = 64;

/// Peers whose state one fault keeps, each way: 100 bytes each.
pub const FAULT_LINKS_MAX: usize = 1024;

/// Bytes of packets that a fault holds back, each way of each socket: half a second of 250 Mbit/s.
pub const FAULT_QUEUE_BYTES_MAX: usize = 16 << 20;

/// Bytes of one path that have come from another node and wait for what comes before them: two of the largest units. What is
/// missing then is given up.
pub const RELAY_WAITING_BYTES_MAX: usize = 32 << 20;

/// Streams of media that a parent may have open to one child: 1,000 paths of four tracks. Each costs 1 KB.
pub const RELAY_STREAMS_MAX: u32 = 4096;

/// Subscriptions of one child to one shard of a parent.
pub const RELAY_SUBSCRIPTIONS_MAX: u32 = 4096;

/// Bytes of one stream of media that a parent may send before the child has read them: the largest unit goes in pieces.
pub const RELAY_STREAM_WINDOW: u32 = 2 << 20;

/// Bytes of all streams of a connection that a parent may send before the child has read them.
pub const RELAY_WINDOW: u32 = 32 << 20;

/// Bytes of a message about a subscription: a path name, tracks with all their parameter sets.
pub const RELAY_MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Time that a peer has for its first words.
pub const RELAY_DEADLINE: Duration = Duration::from_secs(5);

/// Questions that one shard asks other nodes at a time; the answers are held until they are whole.
pub const RELAY_QUESTIONS_MAX: usize = 8;

/// Nodes between an owner and a reader.
pub const RELAY_DEPTH_MAX: usize = 4;

/// Connections from other nodes to one shard.
pub const RELAY_CONNECTIONS_MAX: usize = 256;

/// Bits a second from one parent over one connection, from which on new paths come over another one: about half of what one
/// core carries at either end. Below that, several connections would only fight for the way.
pub const RELAY_SHARD_BITS: u64 = 400_000_000;

/// Nodes that take one path from the same node; it sends others to these. 16 times 20 Mbit/s are what one core can send; and
/// two levels of 16 are more than a cluster has members.
pub const RELAY_CHILDREN_MAX: usize = 16;

/// Nodes that were sent to others with a path and are remembered by a shard for it: those that ask again are served.
pub const RELAY_HANDED_ON_MAX: usize = 4096;

/// Bytes of the largest packet that is tried between nodes, where the way carries more than Ethernet's 1,500: ten of them are
/// sent at once, and a send has 64 KB.
pub const RELAY_PACKET_BYTES_MAX: u16 = 6400;
