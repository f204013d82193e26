//! Our storage under the library's own tests of one.

use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::disk::Disk;
use super::log::Log;
use super::machine::{Machine, Observer};
use super::types::Types;
use crate::Storage;
use crate::ownership::{Answer, Entry, State};

struct Blind;

impl Observer for Blind {
    fn applied(&self, _: u64, _: &Entry, _: Answer, _: &State) {}
    fn installed(&self, _: &State) {}
}

struct OnDisk;

impl StoreBuilder<Types, Log, Machine, TempDir> for OnDisk {
    async fn build(&self) -> Result<(TempDir, Log, Machine), StorageError<Types>> {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Storage::start(folder.path()).unwrap());
        let image = disk.load().unwrap();
        let log = Log::open(disk.clone(), &image).unwrap();
        let machine = Machine::open(disk, Arc::new(Blind), image.snapshot.as_ref()).unwrap();
        Ok((folder, log, machine))
    }
}

#[test]
fn the_log_and_the_machine_keep_the_librarys_rules() {
    use openraft::rt::AsyncRuntime;
    super::runtime::ControlRuntime::run(Suite::test_all(OnDisk)).unwrap();
}

#[test]
fn a_survivor_goes_on_alone_with_what_was_agreed_and_higher_epochs() {
    use weft_proto::id::{Epoch, PathName};
    use weft_proto::wire::raft as wire;
    use weft_proto::wire::to_bytes;

    use super::disk::Write;
    use super::{backup, begin_alone, everything, read_backup};
    use crate::ownership::{ClaimId, Kind, MemberFacts, NodeId};

    let folder = tempfile::tempdir().unwrap();
    let disk = Storage::start(folder.path()).unwrap();
    let (a, b, path) = (NodeId(1), NodeId(2), PathName::new("cam").unwrap());
    let facts = MemberFacts { name: "a".into(), ..MemberFacts::default() };
    let id = ClaimId { node: b, incarnation: 1, number: 1 };
    let entries = [
        Entry::RaiseBase { base: 1000 },
        Entry::Join { node: a, facts: facts.clone(), token: None },
        Entry::Join { node: b, facts: MemberFacts::default(), token: None },
        Entry::NodeUp { node: b, incarnation: 1, facts: MemberFacts::default() },
        Entry::Claim { id, path: path.clone(), kind: Kind::Pushed, now_micros: 5, take_over: false },
        Entry::Configure { expected: 0, document: "paths: {}".into() },
    ];
    let log = entries.into_iter().zip(1..).map(|(entry, index)| {
        let id = wire::LogId { term: 3, leader: b, index };
        (index, to_bytes(&wire::LogEntry { id, payload: wire::Payload::Entry(entry) }))
    });
    let (done, written) = std::sync::mpsc::channel();
    disk.write(Write::Append(log.collect()), Box::new(move |result| done.send(result).unwrap()));
    written.recv().unwrap().unwrap();

    let (state, term, last) = everything(&disk.load().unwrap()).unwrap();
    assert_eq!((term, last, state.paths().get(&path).unwrap().epoch), (3, 6, Epoch(1005)));
    assert!(read_backup(&backup(&state)).unwrap() == state, "no token was there to be left out");
    assert!(read_backup(b"something else").is_err());
    begin_alone(&disk, &state, (a, &facts), (term, last), 500).unwrap();

    let image = disk.load().unwrap();
    let (alone, term, last) = everything(&image).unwrap();
    assert_eq!((term, last, image.log.len()), (4, 7, 0));
    assert_eq!(alone.members().iter().map(|(node, _)| node).collect::<Vec<_>>(), [a]);
    assert!(alone.members().was_removed(b));
    assert_eq!(alone.paths().get(&path).unwrap().owner, None);
    assert_eq!(alone.configuration(), Some((6, "paths: {}")));
    assert!(alone.epoch(last + 1) > Epoch(1005), "{:?}", alone.epoch(last + 1));
    let machine = Machine::open(Arc::new(disk), Arc::new(Blind), image.snapshot.as_ref()).unwrap();
    assert!(*machine.shared().read() == alone);
}
