//! The parent's end: hears what a child wants and sends it.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tracing::{debug, info};
use weft_proto::id::PathName;
use weft_proto::wire::entry::NodeId;
use weft_proto::wire::relay::{Accepted, RelayRefusal, Subscribe, ToChild, ToParent, encode_tracks};

use super::carrier::Carrier;
use super::shard::Shard;
use super::{question, tree, words};
use crate::limits::{RELAY_DEADLINE, RELAY_HANDED_ON_MAX};
use crate::subscription::Attendance;

/// Words for a child that wait: each is about a group that was given up.
const WORDS_WAITING: usize = 256;

/// Serves a child until its connection ends.
pub(super) async fn serve(shard: &Rc<Shard>, connection: Connection, child: NodeId) {
    info!(%child, "a node takes paths from here");
    let relays = &shard.relays.0;
    let carrier = Carrier::new(connection.clone(), relays.clock, relays.latency_max);
    let number = shard.children.borrow_mut().add(child, connection.clone(), carrier.clone());
    let subscriptions = async {
        while let Ok((send, recv)) = connection.accept_bi().await {
            let (shard, carrier) = (shard.clone(), carrier.clone());
            spawn_local(async move {
                if subscription(&shard, &carrier, child, send, recv).await.is_none() {
                    debug!(%child, "a subscription ended before it began");
                }
            });
        }
    };
    tokio::select! {
        () = subscriptions => {}
        () = carrier.run() => {}
    }
    shard.children.borrow_mut().remove(number);
    info!(%child, reason = ?connection.close_reason().map(|reason| reason.to_string()), "a node takes no paths from here any more");
}

async fn subscription(
    shard: &Rc<Shard>,
    carrier: &Rc<Carrier>,
    child: NodeId,
    mut send: SendStream,
    mut recv: RecvStream,
) -> Option<()> {
    let id = send.id().index();
    send.set_priority(WORDS).ok()?;
    let first = tokio::time::timeout(RELAY_DEADLINE, words::read(&mut recv, RELAY_DEADLINE)).await.ok()?.ok()?;
    let wish = match ToParent::decode(&first) {
        Ok(Some(ToParent::Subscribe(wish))) => wish,
        Ok(Some(ToParent::Ask(what))) => {
            // Nothing to say, or nobody there any more: the stream ends without an answer.
            let _ = question::reply(shard, what, &mut send).await;
            return Some(());
        }
        _ => return None,
    };
    let (attendance, accepted) = match accept(shard, child, &wish).await {
        Ok(accepted) => accepted,
        Err(refusal) => {
            debug!(%child, path = %wish.path, %refusal, "a node does not get a path from here");
            words::write(&mut send, ToChild::Refused(refusal).encode()).await.ok()?;
            let _ = send.finish();
            return Some(());
        }
    };
    words::write(&mut send, ToChild::Accepted(accepted).encode()).await.ok()?;
    #[cfg(feature = "next-level")]
    words::write(&mut send, weft_proto::wire::word_of_the_next_level()).await.ok()?;
    let stream = attendance.stream().clone();
    if let Some(live) = stream.live(shard.relays.0.clock.now()) {
        words::write(&mut send, ToChild::Live(live).encode()).await.ok()?;
    }
    let (to_child, mut waiting) = mpsc::channel(WORDS_WAITING);
    let from = stream.find(wish.from);
    debug!(%child, path = %wish.path, after = ?wish.from, "a node takes a path from here");
    carrier.add(id, attendance, from, to_child);
    shard.listen_to(&stream, carrier, id);
    loop {
        tokio::select! {
            word = words::read(&mut recv, RELAY_DEADLINE) => match word.map(|frame| ToParent::decode(&frame)) {
                Ok(Ok(Some(ToParent::KeyframeWanted(())))) => stream.want_keyframe(),
                // A newer child may say more.
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => break,
            },
            Some(word) = waiting.recv() => {
                let is_last = matches!(word, ToChild::Ended(()));
                if words::write(&mut send, word.encode()).await.is_err() || is_last {
                    break;
                }
            }
        }
    }
    shard.stop_listening(&stream, carrier, id);
    carrier.remove(id);
    let _ = send.finish();
    Some(())
}

/// Whether the child may have the path from here. It may have to be brought here first.
async fn accept(shard: &Shard, child: NodeId, wish: &Subscribe) -> Result<(Attendance, Accepted), RelayRefusal> {
    let relays = &shard.relays;
    let Subscribe { path, epoch, hops, .. } = wish;
    if hops.first() != Some(&child) || hops.contains(&relays.0.me) {
        return Err(RelayRefusal::Loop);
    }
    let attendance = relays.attend(path, child).await.ok_or(RelayRefusal::NoStream)?;
    let above = above(shard, path);
    if !tree::may_pass(&above, hops) {
        return Err(RelayRefusal::Loop);
    }
    let stream = attendance.stream();
    let tracks = stream.tracks().ok_or(RelayRefusal::NoStream)?;
    if stream.epoch() < *epoch {
        return Err(RelayRefusal::NoStream);
    }
    let children = relays.fabric().map(|fabric| fabric.children_of(path)).unwrap_or_default();
    if let Some(others) = tree::hand_on(path, hops, &children)
        && shard.handed_on.borrow_mut().note(path, child)
    {
        return Err(RelayRefusal::Busy(others));
    }
    let (epoch, newest) = (stream.epoch(), stream.newest());
    let accepted = Accepted { epoch, tracks: encode_tracks(&tracks), above, newest };
    Ok((attendance, accepted))
}

/// Children that were sent to others lately. One that comes back has found none, and is served.
#[derive(Default)]
pub(super) struct HandedOn(HashMap<(PathName, NodeId), Instant>);

impl HandedOn {
    /// Remembers that a child is sent to others; false when it has just been, or too many have.
    fn note(&mut self, path: &PathName, child: NodeId) -> bool {
        self.0.retain(|_, at| at.elapsed() < TRIES_OTHERS);
        let may = self.0.len() < RELAY_HANDED_ON_MAX && !self.0.contains_key(&(path.clone(), child));
        if may {
            self.0.insert((path.clone(), child), Instant::now());
        }
        may
    }
}

/// A child that was sent to others and comes back within this time is served: longer than it tries them.
const TRIES_OTHERS: Duration = Duration::from_secs(20);

/// Through whom this node gets the path, the owner first, itself last.
fn above(shard: &Shard, path: &PathName) -> Vec<NodeId> {
    let relays = &shard.relays.0;
    let mut above = relays.above.lock().get(path).cloned().unwrap_or_default();
    above.push(relays.me);
    above
}

/// Words go before all media.
const WORDS: i32 = 3;
