//! HLS sources: streams that this node pulls from another server's playlists.
//!
//! [`http`] asks for bytes, [`hint`] for those that are not there yet; [`rendition`] follows one playlist and makes units of
//! its segments; [`shelf`] holds these until their time has come; [`publisher`] publishes them at the rate of their times, for
//! segments come as bursts. What a playlist says and which segment comes next is decided in `proto::hls`. All of it is one
//! task.

mod axis;
mod cookies;
mod decrypt;
mod hint;
mod http;
mod media;
mod pace;
mod publisher;
mod rendition;
mod shelf;

use std::rc::Rc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tracing::{debug, info};
use url::Url;
use weft_proto::hls::{RemoteMedia, RemotePlaylist};
use weft_proto::media::Tracks;
use weft_proto::time::Now;

use crate::limits::HLS_PLAYLIST_BYTES_MAX;
use crate::source::{Pull, SourceEnd};
use http::{Client, Session};
use publisher::Publisher;
use rendition::Rendition;
use shelf::{Shared, Shelf};

/// Pulls until it ends; says why it did.
pub async fn pull(pull: &Pull) -> SourceEnd {
    match run(pull).await {
        Err(end) => end,
        Ok(()) => SourceEnd::Server("the playlist has ended".into()),
    }
}

/// A media playlist as it was read first.
struct Found {
    url: Url,
    /// What URIs in it stand in relation to.
    base: Url,
    client: Client,
    playlist: Option<(RemoteMedia, Now)>,
}

async fn run(pull: &Pull) -> Result<(), SourceEnd> {
    let url = Url::parse(&pull.url).map_err(|error| SourceEnd::Server(format!("the URL makes no sense: {error}")))?;
    let found = find(pull, url).await?;
    let shared = Rc::new(Shared::default());
    let shelves: Vec<Rc<Shelf>> = found.iter().map(|_| Rc::new(Shelf::new(shared.clone()))).collect();
    let renditions: FuturesUnordered<_> = found
        .into_iter()
        .zip(&shelves)
        .map(|(Found { url, base, client, playlist }, shelf)| {
            Rendition::new(pull, client, (url, base), shelf.clone()).follow(playlist)
        })
        .collect();
    let mut publisher = Publisher::new(pull, shared, shelves);
    play(pull, &mut publisher, renditions).await
}

/// Reads and publishes until there is nothing more. What was read before something failed is still published.
async fn play(
    pull: &Pull,
    publisher: &mut Publisher<'_>,
    mut renditions: FuturesUnordered<impl Future<Output = Result<(), SourceEnd>>>,
) -> Result<(), SourceEnd> {
    let mut failed = None;
    loop {
        let reads = failed.is_none() && !renditions.is_empty();
        let due = publisher.release(!reads).await?;
        if !reads && publisher.is_done() {
            return failed.map_or(Ok(()), Err);
        }
        tokio::select! {
            biased;
            () = pull.stop.stopped() => return Err(SourceEnd::Stopped),
            Some(ended) = renditions.next(), if reads => failed = ended.err(),
            waited = publisher.wait(due) => waited?,
        }
    }
}

/// The media playlists that make the stream: the URL's own, or the best variant's and those of its sounds.
async fn find(pull: &Pull, url: Url) -> Result<Vec<Found>, SourceEnd> {
    let session = Rc::new(Session::of(&url));
    let mut client = Client::new(session.clone());
    let asked = pull.fabric.clock().now();
    debug!(path = %pull.path, "downloading the primary playlist");
    let (bytes, base) = client.small(pull, "the playlist", &url, None, HLS_PLAYLIST_BYTES_MAX).await?;
    let playlist = RemotePlaylist::parse(&bytes).map_err(|error| SourceEnd::Server(error.to_string()))?;
    let multivariant = match playlist {
        RemotePlaylist::Media(media) => {
            return Ok(vec![Found { url, base, client, playlist: Some((media, asked)) }]);
        }
        RemotePlaylist::Multivariant(multivariant) => multivariant,
    };
    let best = multivariant.best();
    let best =
        best.ok_or_else(|| SourceEnd::Server("the playlist names no variant whose codecs are supported".into()))?;
    info!(path = %pull.path, source = "hlsSource", bandwidth = best.bandwidth, codecs = best.codecs.join(","), "variant chosen");
    let join = |uri: &str| base.join(uri).map_err(|_| SourceEnd::Server("a URI in the playlist makes no sense".into()));
    let of = |url: Url, client| Found { base: url.clone(), url, client, playlist: None };
    let mut found = vec![of(join(&best.uri)?, client)];
    for audio in multivariant.audio_of(best) {
        found.push(of(join(&audio.uri)?, Client::new(session.clone())));
    }
    // Some list the same playlist as variant and as rendition.
    let first = found[0].url.clone();
    let mut is_first = true;
    found.retain(|it| core::mem::take(&mut is_first) || it.url != first);
    Ok(found)
}

/// For the log.
fn labels(tracks: &Tracks) -> String {
    crate::source::labels(tracks)
}
