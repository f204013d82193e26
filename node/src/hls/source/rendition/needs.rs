//! What must be read before a segment: its initialisation segment and its key.

use std::sync::Arc;

use bytes::Bytes;
use weft_proto::hls::{Key, MediaSegment, Method, Resource};

use super::super::decrypt::Decryptor;
use super::{Rendition, undecryptable};
use crate::limits::HLS_MAP_BYTES_MAX;
use crate::source::SourceEnd;

/// Bytes of a key.
const KEY_BYTES: usize = 16;

impl Rendition<'_> {
    /// The initialisation segment of a segment, and whether it is another one than that of the last.
    pub(super) async fn map(
        &mut self,
        map: &Arc<Resource>,
        segment: &MediaSegment,
    ) -> Result<(bool, Bytes), SourceEnd> {
        let is_new = self.in_force.as_ref() != Some(map);
        if let Some((_, bytes)) = self.map.as_ref().filter(|(known, _)| known == map) {
            return Ok((is_new, bytes.clone()));
        }
        let url = self.join(&map.uri)?;
        let what = "the initialisation segment";
        let (mut bytes, _) = self.client.small(self.pull, what, &url, map.range, HLS_MAP_BYTES_MAX).await?;
        if let Some(key) = &segment.map_key {
            let mut decryptor = self.decryptor(key, segment.sequence).await?;
            let mut plain = decryptor.update(&bytes).map_err(|failed| undecryptable(failed).end)?;
            plain.extend(decryptor.finish().map_err(|failed| undecryptable(failed).end)?);
            bytes = plain.into();
        }
        self.map = Some((map.clone(), bytes.clone()));
        Ok((is_new, bytes))
    }

    pub(super) async fn decryptor(&mut self, key: &Arc<Key>, sequence: u64) -> Result<Decryptor, SourceEnd> {
        if let Method::Other(name) = &key.method {
            return Err(SourceEnd::Server(format!("segments are encrypted by {name}, which is not supported")));
        }
        let known = self.key.as_ref().filter(|(known, _)| known.uri == key.uri).map(|(_, bytes)| bytes.clone());
        let bytes = match known {
            Some(bytes) => bytes,
            None => {
                let url = self.join(&key.uri)?;
                let (bytes, _) = self.client.small(self.pull, "the key", &url, None, KEY_BYTES).await?;
                self.key = Some((key.clone(), bytes.clone()));
                bytes
            }
        };
        Decryptor::new(&bytes, key.vector_of(sequence)).map_err(|failed| undecryptable(failed).end)
    }
}
