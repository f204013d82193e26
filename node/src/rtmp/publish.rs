//! The publishing half of a connection: media in, units into the fabric.

use std::num::NonZeroU8;
use std::sync::Arc;

use weft_cluster::path::SessionInfo;
use weft_cluster::stream::Replaced;
use weft_cluster::{Fabric, Publication, PublishError};
use weft_proto::id::PathName;
use weft_proto::media::Tracks;
use weft_proto::rtmp::{Media, Receiver, ReceiverError};
use weft_proto::time::Now;

use super::colors::{Colors, Kept};

/// A publisher may change its tracks so often; who does it more is broken.
const RESTARTS_MAX: u32 = 16;

/// A connection that publishes.
pub(super) struct Publishing {
    path: PathName,
    info: SessionInfo,
    /// It waits where another one is active; with which rank.
    standby: Option<NonZeroU8>,
    /// It is a source of this node's.
    is_pulled: bool,
    receiver: Receiver,
    /// Once the tracks are known.
    publication: Option<Publication>,
    colors: Arc<Colors>,
    kept: Option<Kept>,
    begun_at: Now,
    restarts: u32,
}

/// Why publishing ends.
#[derive(Clone, Copy)]
pub(super) enum Failure {
    /// The media makes no sense.
    Media(ReceiverError),
    /// The fabric does not take it.
    Refused(PublishError),
    /// Another publisher has the path.
    Replaced,
    /// The tracks change all the time.
    Restless,
}

impl From<ReceiverError> for Failure {
    fn from(error: ReceiverError) -> Self {
        Self::Media(error)
    }
}

impl From<Replaced> for Failure {
    fn from(_: Replaced) -> Self {
        Self::Replaced
    }
}

impl Publishing {
    pub(super) fn new(
        path: PathName,
        info: SessionInfo,
        standby: Option<NonZeroU8>,
        colors: &Arc<Colors>,
        now: Now,
    ) -> Self {
        let (receiver, colors) = (Receiver::new(), colors.clone());
        let is_pulled = false;
        Self {
            path,
            info,
            standby,
            is_pulled,
            receiver,
            publication: None,
            colors,
            kept: None,
            begun_at: now,
            restarts: 0,
        }
    }

    /// What this node pulls by itself.
    pub(super) fn pulled(path: PathName, info: SessionInfo, colors: &Arc<Colors>, now: Now) -> Self {
        Self { is_pulled: true, ..Self::new(path, info, None, colors, now) }
    }

    /// The handle into the fabric, once there is one.
    pub(super) const fn publication(&mut self) -> Option<&mut Publication> {
        self.publication.as_mut()
    }

    /// Since when it publishes without a track that anybody could read.
    pub(super) fn waits_since(&self) -> Option<Now> {
        self.publication.is_none().then_some(self.begun_at)
    }

    /// The path.
    pub(super) const fn path(&self) -> &PathName {
        &self.path
    }

    /// When [`Self::advance`] is due although nothing arrived.
    pub(super) fn next_timeout(&self) -> Option<Now> {
        self.receiver.deadline()
    }

    /// Takes media. Units wait for [`Self::advance`].
    pub(super) fn media(&mut self, media: Media, now: Now) -> Result<(), Failure> {
        Ok(self.receiver.media(media, now)?)
    }

    /// A codec that is left out, each once.
    pub(super) fn take_foreign(&mut self) -> Option<String> {
        self.receiver.take_foreign().map(|codec| format!("{codec:?}"))
    }

    /// Publishes once the tracks are known, and hands on what is ready. Gives the tracks when publishing begins.
    pub(super) async fn advance(&mut self, fabric: &Fabric, now: Now) -> Result<Option<Tracks>, Failure> {
        let mut begun = None;
        loop {
            if self.publication.is_none() {
                if !self.receiver.is_ready(now) {
                    return Ok(begun);
                }
                let Some(tracks) = self.receiver.begin() else { return Ok(begun) };
                let (path, info) = (self.path.clone(), self.info.clone());
                let published = if self.is_pulled {
                    fabric.publish_source(path, info, tracks.clone()).await
                } else {
                    fabric.publish_as(path, info, tracks.clone(), self.standby).await
                };
                self.publication = Some(published.map_err(Failure::Refused)?);
                begun = Some(tracks);
            }
            let Some(publication) = &mut self.publication else { return Ok(begun) };
            // What a standby says of its picture counts from its turn on.
            if publication.is_active()
                && let Some(described) = self.receiver.take_metadata()
            {
                self.kept = Some(self.colors.keep(publication.stream().key(), described));
            }
            while let Some(received) = self.receiver.take() {
                if let Some(codec) = received.codec {
                    publication.set_codec(received.unit.track, codec)?;
                }
                publication.push(received.unit);
            }
            let dropped = self.receiver.take_dropped();
            if dropped > 0 {
                publication.lose(dropped);
            }
            publication.flush()?;
            if !self.receiver.take_stale() {
                return Ok(begun);
            }
            // Other tracks: this publication ends, and the readers wait for the next.
            self.restarts += 1;
            if self.restarts > RESTARTS_MAX {
                return Err(Failure::Restless);
            }
            (self.publication, self.kept) = (None, None);
        }
    }
}
