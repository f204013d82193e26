//! A path whose owner changes goes on at the worker that has the other paths of the new owner, and its reader misses nothing.

use std::net::UdpSocket;

use super::*;
use crate::relay::spread::Spread;

/// Two owners whose paths belong to different shards of two.
fn owners() -> [NodeId; 2] {
    let shard = |node| {
        let mut spread = Spread::default();
        let _ = (spread.open(), spread.open());
        spread.want(&cam(), node)
    };
    let other = (3..).map(NodeId).find(|node| shard(*node) != shard(A));
    [A, other.unwrap()]
}

#[actix::test]
async fn a_path_goes_on_where_those_of_its_new_parent_are() {
    let (clock, authority) = (Clock::start(), authority());
    let owners = owners();
    let sockets = owners.map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
    let at = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
    let mut own = Relays::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 2).unwrap();
    let address = own[0].address();
    let state = agreed(&[(owners[0], at[0]), (owners[1], at[1]), (B, address)], clock);
    // What the second owner has is of the epoch of its claim, which is the number of its entry.
    let epochs = [EPOCH, Epoch(EPOCH.0 + 1)];
    for ((owner, socket), epoch) in owners.into_iter().zip(sockets).zip(epochs) {
        let tracks_of = move |_| {
            let tracks = encode_tracks(&tracks());
            ToChild::Accepted(Accepted { epoch, tracks, above: vec![owner], newest: None })
        };
        let send = move |connection: Connection, subscription: u64| async move {
            let mut send = connection.open_uni().await.unwrap();
            send.write_chunk(head(subscription, epoch, owner.0).encode()).await.unwrap();
            // Of the second owner it comes later.
            let frame = unit(0, (epoch.0 - EPOCH.0) as i64 * 3600, true, 10);
            let placed = Placed { seq: owner.0, group_start: true, ..Placed::default() };
            let bytes = UnitWriter::new(owner.0).write(placed, &frame, &tracks(), []);
            send.write_chunk(bytes).await.unwrap();
            send.write_all(&[0; 10]).await.unwrap();
            let _ = send.finish();
            let _ = send.stopped().await;
        };
        parent_that(&identity(&authority, owner, clock), socket, tracks_of, send);
    }
    let (second, first) = (own.pop().unwrap(), own.pop().unwrap());
    let (child, relays) = node_with(B, vec![first, second], &authority, &state, clock);
    let mut reader = subscribe(&child).await;
    let from = |delivery: &Delivery| (delivery.entry.position.epoch, delivery.entry.position.seq);
    assert_eq!(read(&mut reader, 1).await.iter().map(from).collect::<Vec<_>>(), [(epochs[0], owners[0].0)]);
    let before = relays.shard_of(&cam());

    let id = ClaimId { node: owners[1], incarnation: 1, number: 1 };
    let claim = Entry::Claim { id, path: cam(), kind: Kind::Pushed, now_micros: 7, take_over: true };
    state.apply(epochs[1].0, &claim);
    assert_eq!(read(&mut reader, 1).await.iter().map(from).collect::<Vec<_>>(), [(epochs[1], owners[1].0)]);
    assert!(before.is_some() && relays.shard_of(&cam()).is_some() && relays.shard_of(&cam()) != before);

    drop(reader);
    relays.forget(&cam());
    let gone = async {
        while relays.shard_of(&cam()).is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LONGEST, gone).await.expect("it is forgotten where it is");
}
