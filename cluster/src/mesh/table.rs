//! Who is connected, and which of several connections of a pair is kept. Pure: connections are only held here.
//!
//! Both nodes of a pair dial, for either may be unable to. Three words make a connection: the dialer's hello, the answer,
//! and the dialer's confirmation. The answerer takes the connection into use at the confirmation, the dialer when it
//! confirms. When both dial at once, the connection that the node with the lower id has dialed is kept: the lower one
//! refuses a hello while its own is under way, and the higher one gives up its own attempt when it hears one. So neither
//! ever confirms one connection and answers another, and nothing in use is closed.
//!
//! A node of the cluster that this one does not know is a guest: this one was away while it joined, and may hear of it from
//! nobody else, for the newcomer may be the one who leads. What it may ask is decided above; it is not dialed.
//!
//! A node dials only when it has no connection: one that dials again, in the same process, has lost the old one, even when
//! this node has not noticed yet. The new one takes its place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Notify;
use weft_proto::wire::entry::NodeId;
use weft_proto::wire::hello::Hello;

use super::refusal::Refusal;
use super::transport::PeerAddress;
use crate::limits::MEMBERS_MAX;

/// All peers of a node.
#[derive(Debug)]
pub(crate) struct Table<C> {
    me: Hello,
    slots: BTreeMap<NodeId, Slot<C>>,
    /// Those that were removed from the cluster.
    removed: BTreeSet<NodeId>,
    /// Numbers attempts, links and lifelines.
    serial: u64,
    /// This node takes leave: nobody is a guest any more.
    is_leaving: bool,
}

#[derive(Debug)]
struct Slot<C> {
    peer: PeerAddress,
    /// It has come with a certificate of the cluster, and is not known to be a member.
    guest: bool,
    /// The highest incarnation that is known to have existed.
    known: u64,
    link: Option<Link<C>>,
    dial: Dial,
    /// The attempt of the peer that has our answer, and is to confirm.
    answered: Option<u64>,
    lifeline: Option<Lifeline>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dial {
    Idle,
    /// Nothing has been said yet.
    Handshake(u64),
    /// The hello has been sent.
    Greeting(u64),
}

/// A connection in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link<C> {
    pub(crate) connection: C,
    pub(crate) serial: u64,
    pub(crate) incarnation: u64,
    pub(crate) process: u64,
    pub(crate) level: u32,
    /// This node dialed it.
    pub(crate) dialed: bool,
}

#[derive(Debug)]
struct Lifeline {
    serial: u64,
    process: u64,
    farewell: Arc<Notify>,
}

/// What a node that has no connection to a peer does about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Dials it there.
    Dial { attempt: u64, address: String },
    /// Nothing, until something changes.
    Wait,
    /// Nothing any more: it is no peer.
    Stop,
}

/// What is left of a peer that is none any more, or of what a change has displaced.
#[derive(Debug)]
pub(crate) struct Left<C> {
    pub(crate) link: Option<Link<C>>,
    pub(crate) farewell: Option<Arc<Notify>>,
}

impl<C: Clone> Table<C> {
    pub(crate) fn new(me: Hello) -> Self {
        Self { me, slots: BTreeMap::new(), removed: BTreeSet::new(), serial: 0, is_leaving: false }
    }

    /// This node says something else of itself from now on.
    pub(crate) fn change(&mut self, change: impl Fn(&mut Hello)) {
        change(&mut self.me);
    }

    /// Takes over who was removed, for good.
    pub(crate) fn set_removed(&mut self, removed: BTreeSet<NodeId>) {
        self.removed = removed;
    }

    fn number(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Takes over who the peers are. Says which are new, and what is left of those that are not there any more or whose
    /// connected process is known to be gone.
    pub(crate) fn set_peers(&mut self, peers: BTreeMap<NodeId, PeerAddress>) -> (Vec<NodeId>, Vec<Left<C>>) {
        let mut left = Vec::new();
        let gone = self.slots.extract_if(.., |node, _| !peers.contains_key(node));
        left.extend(gone.map(|(_, slot)| Left { link: slot.link, farewell: slot.lifeline.map(|line| line.farewell) }));
        let mut added = Vec::new();
        for (node, peer) in peers {
            if node == self.me.node {
                continue;
            }
            let slot = self.slots.entry(node).or_insert_with(|| {
                added.push(node);
                Slot::new(peer.clone())
            });
            if core::mem::take(&mut slot.guest) {
                added.push(node);
            }
            slot.known = slot.known.max(peer.incarnation);
            slot.peer = peer;
            if slot.link.as_ref().is_some_and(|link| link.incarnation < slot.known) {
                let farewell = slot.lifeline.take().map(|line| line.farewell);
                left.push(Left { link: slot.link.take(), farewell });
            }
        }
        (added, left)
    }

    /// What to do about a peer.
    pub(crate) fn next(&mut self, node: NodeId) -> Next {
        let attempt = self.number();
        let Some(slot) = self.slots.get_mut(&node).filter(|slot| !slot.guest) else { return Next::Stop };
        if slot.link.is_some() || slot.answered.is_some() || slot.dial != Dial::Idle {
            return Next::Wait;
        }
        slot.dial = Dial::Handshake(attempt);
        Next::Dial { attempt, address: slot.peer.address.clone() }
    }

    /// TLS has told that the peer was reached: may the hello be said? Not if the peer's own attempt was answered meanwhile.
    pub(crate) fn may_greet(&mut self, node: NodeId, attempt: u64) -> bool {
        let Some(slot) = self.slots.get_mut(&node) else { return false };
        let is_current = slot.dial == Dial::Handshake(attempt);
        if is_current {
            slot.dial = Dial::Greeting(attempt);
        }
        is_current
    }

    /// The peer has answered the hello of an attempt. The link, if it is to be confirmed and used; otherwise why not, or
    /// `None` if the attempt was given up.
    pub(crate) fn greeted(
        &mut self,
        node: NodeId,
        attempt: u64,
        hello: &Hello,
        connection: C,
    ) -> Result<Link<C>, Option<Refusal>> {
        let level = self.check(node, hello).map_err(Some)?;
        let Some(slot) = self.slots.get_mut(&node) else { return Err(None) };
        if slot.dial != Dial::Greeting(attempt) {
            return Err(None);
        }
        slot.dial = Dial::Idle;
        Ok(slot.install(Link::of(hello, connection, attempt, level, true)).0)
    }

    /// An attempt has failed.
    pub(crate) fn gave_up(&mut self, node: NodeId, attempt: u64) {
        if let Some(slot) = self.slots.get_mut(&node)
            && [Dial::Handshake(attempt), Dial::Greeting(attempt)].contains(&slot.dial)
        {
            slot.dial = Dial::Idle;
        }
    }

    /// A peer, as its certificate says, has said hello. If it is to be answered, the number of its attempt.
    pub(crate) fn heard(&mut self, certified: NodeId, hello: &Hello) -> Result<u64, Refusal> {
        self.check(certified, hello)?;
        let attempt = self.number();
        if !self.slots.contains_key(&certified) && !self.has_room_for_guest() {
            return Err(Refusal::NotAMember);
        }
        let slot = self.slots.entry(certified).or_insert_with(Slot::guest);
        if matches!(slot.dial, Dial::Greeting(_)) && self.me.node < certified {
            return Err(Refusal::Simultaneous);
        }
        slot.dial = Dial::Idle;
        slot.answered = Some(attempt);
        Ok(attempt)
    }

    fn has_room_for_guest(&self) -> bool {
        let guests = self.slots.values().filter(|slot| slot.guest).count();
        !self.is_leaving && guests < MEMBERS_MAX && !crate::sabotage::NO_GUESTS.is_on()
    }

    /// The peer has confirmed. The link and the one whose place it takes; `None` when a later attempt has been answered.
    pub(crate) fn confirmed(
        &mut self,
        node: NodeId,
        attempt: u64,
        hello: &Hello,
        connection: C,
    ) -> Option<(Link<C>, Option<Link<C>>)> {
        let level = self.check(node, hello).ok()?;
        let slot = self.slots.get_mut(&node)?;
        if slot.answered != Some(attempt) {
            return None;
        }
        slot.answered = None;
        Some(slot.install(Link::of(hello, connection, attempt, level, false)))
    }

    /// The peer did not confirm.
    pub(crate) fn unconfirmed(&mut self, node: NodeId, attempt: u64) {
        if let Some(slot) = self.slots.get_mut(&node)
            && slot.answered == Some(attempt)
        {
            slot.answered = None;
        }
    }

    /// A connection has ended. Whether it was in use.
    pub(crate) fn lost(&mut self, node: NodeId, serial: u64) -> bool {
        let Some(slot) = self.slots.get_mut(&node) else { return false };
        slot.link.take_if(|link| link.serial == serial).is_some()
    }

    /// Whether somebody may be talked to who says this and whose certificate says that; the level to speak.
    fn check(&self, certified: NodeId, hello: &Hello) -> Result<u32, Refusal> {
        if hello.node != certified {
            return Err(Refusal::Certificate);
        }
        if hello.node == self.me.node {
            return Err(Refusal::OwnId);
        }
        if hello.cluster != self.me.cluster {
            return Err(Refusal::Cluster);
        }
        if self.removed.contains(&certified) {
            return Err(Refusal::Removed);
        }
        let level = self.me.common_level(hello).ok_or(Refusal::Level)?;
        let Some(slot) = self.slots.get(&certified) else { return Ok(level) };
        if hello.incarnation < slot.known {
            return Err(Refusal::OlderIncarnation);
        }
        let other = |link: &Link<C>| link.incarnation == hello.incarnation && link.process != hello.process;
        if slot.link.as_ref().is_some_and(other) { Err(Refusal::SecondProcess) } else { Ok(level) }
    }

    /// Whether a node is let in without being known to be a member.
    #[cfg(test)]
    pub(crate) fn is_guest(&self, node: NodeId) -> bool {
        self.slots.get(&node).is_some_and(|slot| slot.guest)
    }

    /// All connections in use, those of guests as well.
    pub(crate) fn links(&self) -> impl Iterator<Item = (NodeId, &Link<C>)> {
        self.slots.iter().filter_map(|(node, slot)| Some((*node, slot.link.as_ref()?)))
    }

    /// The connection to a peer.
    pub(crate) fn link(&self, node: NodeId) -> Option<&Link<C>> {
        self.slots.get(&node)?.link.as_ref()
    }

    /// All peers: their connections, and whether they have lifelines.
    pub(crate) fn peers(&self) -> impl Iterator<Item = (NodeId, &PeerAddress, Option<&Link<C>>, bool)> {
        let peers = self.slots.iter().filter(|(_, slot)| !slot.guest);
        peers.map(|(node, slot)| (*node, &slot.peer, slot.link.as_ref(), slot.lifeline.is_some()))
    }

    /// The link to whose peer this node is to dial a lifeline: the one who dials the connection dials that too. `Err` when
    /// it is no peer any more.
    pub(crate) fn wants_lifeline(&self, node: NodeId) -> Result<Option<Link<C>>, ()> {
        let slot = self.slots.get(&node).ok_or(())?;
        let Some(link) = slot.link.as_ref().filter(|link| link.dialed) else { return Ok(None) };
        let is_there = slot.lifeline.as_ref().is_some_and(|line| line.process == link.process);
        Ok((!is_there).then(|| link.clone()))
    }

    /// Whether a lifeline may be held with somebody who says this.
    pub(crate) fn may_hold(&self, certified: NodeId, hello: &Hello) -> Result<(), Refusal> {
        self.check(certified, hello)?;
        let is_connected = self.link(certified).is_some_and(|link| link.process == hello.process);
        if is_connected { Ok(()) } else { Err(Refusal::NoConnection) }
    }

    /// Holds a lifeline: its number, what ends it, and what ends the one whose place it takes. `None` when the peer is gone
    /// or has started again meanwhile.
    pub(crate) fn hold(&mut self, node: NodeId, hello: &Hello) -> Option<(u64, Arc<Notify>, Option<Arc<Notify>>)> {
        self.may_hold(node, hello).ok()?;
        let (serial, farewell) = (self.number(), Arc::new(Notify::new()));
        let line = Lifeline { serial, process: hello.process, farewell: farewell.clone() };
        let before = self.slots.get_mut(&node)?.lifeline.replace(line);
        Some((serial, farewell, before.map(|line| line.farewell)))
    }

    /// A lifeline has ended.
    pub(crate) fn let_go(&mut self, node: NodeId, serial: u64) {
        if let Some(slot) = self.slots.get_mut(&node) {
            slot.lifeline.take_if(|line| line.serial == serial);
        }
    }

    /// Forgets all peers: what is left of them.
    pub(crate) fn clear(&mut self) -> Vec<Left<C>> {
        self.is_leaving = true;
        self.set_peers(BTreeMap::new()).1
    }
}

impl<C> Slot<C> {
    fn guest() -> Self {
        Self { guest: true, ..Self::new(PeerAddress { address: String::new(), incarnation: 0 }) }
    }

    fn new(peer: PeerAddress) -> Self {
        Self {
            known: peer.incarnation,
            peer,
            guest: false,
            link: None,
            dial: Dial::Idle,
            answered: None,
            lifeline: None,
        }
    }

    fn install(&mut self, link: Link<C>) -> (Link<C>, Option<Link<C>>)
    where
        C: Clone,
    {
        self.known = self.known.max(link.incarnation);
        let before = self.link.replace(link.clone());
        (link, before)
    }
}

impl<C> Link<C> {
    fn of(hello: &Hello, connection: C, serial: u64, level: u32, dialed: bool) -> Self {
        let Hello { incarnation, process, .. } = *hello;
        Self { connection, serial, incarnation, process, level, dialed }
    }
}
