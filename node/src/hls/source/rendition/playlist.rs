//! How the playlist is asked for: at once, again, or so that the server answers when it has the next part.

use weft_proto::hls::{Follower, RemotePlaylist, Resource};

use super::super::hint::Hints;
use super::{AGAIN, Rendition, is_final};
use crate::limits::HLS_PLAYLIST_BYTES_MAX;
use crate::source::SourceEnd;

impl Rendition<'_> {
    /// Reads the playlist when it has this part.
    pub(super) async fn wait_for(&mut self, follower: &mut Follower, part: (u64, usize)) -> Result<(), SourceEnd> {
        match self.load(follower, Some(part)).await {
            // Without waiting it may be had.
            Err(end) if !is_final(&end) => self.reload(follower).await,
            loaded => loaded,
        }
    }

    /// The same, asking for the part at the same time.
    pub(super) async fn wait_with_hint(
        &mut self,
        follower: &mut Follower,
        part: (u64, usize),
        hint: &Resource,
    ) -> Result<(), SourceEnd> {
        let Ok(url) = self.join(&hint.uri) else { return self.wait_for(follower, part).await };
        let (pull, none) = (self.pull, Hints::new(self.client.session()));
        let mut hints = core::mem::replace(&mut self.hints, none);
        let mut asked = hints.ask(pull, url, hint);
        asked.beside(self.wait_for(follower, part)).await?;
        if follower.is_next(hint) {
            asked.finish().await;
        }
        drop(asked);
        self.hints = hints;
        Ok(())
    }

    /// Reads the playlist; `awaited`: when it has this part of this segment.
    pub(super) async fn load(
        &mut self,
        follower: &mut Follower,
        awaited: Option<(u64, usize)>,
    ) -> Result<(), SourceEnd> {
        let clock = self.pull.fabric.clock();
        let asked = clock.now();
        let mut url = self.url.clone();
        if let Some((sequence, part)) = awaited {
            let pair = format!("_HLS_msn={sequence}&_HLS_part={part}");
            let query = url.query().filter(|query| !query.is_empty()).map(|query| format!("{query}&{pair}"));
            url.set_query(Some(&query.unwrap_or(pair)));
        }
        let (bytes, base) = self.client.small(self.pull, "the playlist", &url, None, HLS_PLAYLIST_BYTES_MAX).await?;
        let playlist = RemotePlaylist::parse(&bytes).map_err(|error| SourceEnd::Server(error.to_string()))?;
        let RemotePlaylist::Media(playlist) = playlist else {
            return Err(SourceEnd::Server("a playlist of playlists names another one".into()));
        };
        self.base = base;
        // One that was waited for is as new as it comes.
        let asked = if awaited.is_some() { clock.now() } else { asked };
        follower.take(playlist, asked, clock.now());
        Ok(())
    }

    /// Reads the playlist again; what fails is tried again for as long as a server may be silent.
    pub(super) async fn reload(&mut self, follower: &mut Follower) -> Result<(), SourceEnd> {
        let begun = tokio::time::Instant::now();
        loop {
            match self.load(follower, None).await {
                Err(end) if is_final(&end) || begun.elapsed() >= self.pull.read_timeout => return Err(end),
                Err(_) => tokio::time::sleep(AGAIN).await,
                Ok(()) => return Ok(()),
            }
        }
    }
}
