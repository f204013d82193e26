//! What publishers say of their pictures beside the codec (HDR), kept for the readers of the same node. The codecs
//! themselves say most of it as well, and that goes everywhere.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use weft_cluster::stream::StreamKey;
use weft_proto::media::TrackId;

/// By track, the values of a metadata packet.
pub(super) type Described = Arc<Vec<(TrackId, Bytes)>>;

/// What is known of all streams.
#[derive(Debug, Default)]
pub(super) struct Colors {
    streams: Mutex<HashMap<StreamKey, Described>>,
    version: AtomicU64,
}

/// Keeps a stream's entry as long as its publisher.
#[derive(Debug)]
pub(super) struct Kept {
    colors: Arc<Colors>,
    key: StreamKey,
    described: Described,
}

impl Colors {
    /// Takes note for a stream.
    pub(super) fn keep(self: &Arc<Self>, key: StreamKey, described: Vec<(TrackId, Bytes)>) -> Kept {
        let described = Arc::new(described);
        self.streams.lock().insert(key, described.clone());
        self.version.fetch_add(1, Ordering::Release);
        Kept { colors: self.clone(), key, described }
    }

    /// Changes with every entry: what a reader has looked up is still right while this is the same.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// What is known of a stream.
    pub(super) fn of(&self, key: StreamKey) -> Option<Described> {
        self.streams.lock().get(&key).cloned()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut streams = self.colors.streams.lock();
        // A successor may have said something else.
        if streams.get(&self.key).is_some_and(|known| Arc::ptr_eq(known, &self.described)) {
            streams.remove(&self.key);
        }
    }
}
