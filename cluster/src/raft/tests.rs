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
