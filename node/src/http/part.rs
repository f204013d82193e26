//! One node's part of what the API lists, and the words in which nodes ask each other for theirs.
//!
//! Questions and answers are JSON inside the frames of the mesh. An answer is bounded: what does not fit is asked for again.

use std::collections::BTreeSet;
use std::future::Future;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use weft_cluster::limits::INQUIRY_ANSWER_BYTES_MAX;
use weft_proto::id::PathName;

use super::drain::DrainWish;
use super::kind::Kind;
use super::rtmp::RtmpServer;
use super::shapes::Timestamp;
use super::source::{ApiError, ApiSource, RtspServer};

/// What one node asks another.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Question {
    /// All that there are, in order, and the first so many in full.
    List { kind: Kind, after: Option<Place>, whole: usize },
    /// These in full, if they are there.
    Get { kind: Kind, names: Vec<String> },
    /// End it.
    Kick { kind: Kind, name: String },
    /// Empty yourself, or do not, or say how far you are.
    Drain(DrainWish),
    /// Pull the source of this path in place of the node that does.
    Take { path: String },
}

/// Where something stands in its list: when it was made, in nanoseconds since 1970 (0 where that does not count), and its
/// name or id.
pub(super) type Place = (u64, String);

/// One of a list, in full where it was asked for and fits.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row(pub(super) Place, pub(super) Option<Value>);

/// The answer to [`Question::List`] and [`Question::Get`].
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    /// There are more than fit.
    pub(super) more: bool,
}

/// One of this node.
pub(super) struct Own {
    pub(super) place: Place,
    /// Nothing for a path, which is described when it is wanted: there may be very many.
    body: Option<Box<dyn Fn() -> Value + Send + Sync>>,
}

/// Bytes of an answer up to which items are in full; the rest is for places.
const WHOLE_BYTES_MAX: usize = INQUIRY_ANSWER_BYTES_MAX / 2;

/// Bytes of one item. Only a path with more than 10,000 readers has more, and names as many as fit.
const ITEM_BYTES_MAX: usize = 1 << 20;

/// Bytes from which on an answer takes nothing more: the last item still fits.
const ROWS_BYTES_MAX: usize = INQUIRY_ANSWER_BYTES_MAX - ITEM_BYTES_MAX - (64 << 10);

/// All of this node, in order.
pub(super) async fn own(source: &dyn ApiSource, kind: Kind) -> Result<Vec<Own>, ApiError> {
    let mut all = match kind {
        Kind::Paths => {
            let names = source.path_names().await?;
            names.into_iter().map(|name| Own { place: (0, name), body: None }).collect()
        }
        Kind::RtspConns => listed(source.rtsp_conns(RtspServer::Plain), |one| dated(one.created, one.id)).await?,
        Kind::RtspsConns => listed(source.rtsp_conns(RtspServer::Secure), |one| dated(one.created, one.id)).await?,
        Kind::RtspSessions => listed(source.rtsp_sessions(RtspServer::Plain), |one| dated(one.created, one.id)).await?,
        Kind::RtspsSessions => {
            listed(source.rtsp_sessions(RtspServer::Secure), |one| dated(one.created, one.id)).await?
        }
        Kind::RtmpConns => listed(source.rtmp_conns(RtmpServer::Plain), |one| dated(one.created, one.id)).await?,
        Kind::RtmpsConns => listed(source.rtmp_conns(RtmpServer::Secure), |one| dated(one.created, one.id)).await?,
        Kind::HlsMuxers => listed(source.hls_muxers(), |one| (0, one.path.clone())).await?,
        Kind::HlsSessions => listed(source.hls_sessions(), |one| dated(one.created, one.id)).await?,
        Kind::WebrtcSessions => listed(source.webrtc_sessions(), |one| dated(one.created, one.id)).await?,
    };
    all.sort_unstable_by(|a, b| a.place.cmp(&b.place));
    Ok(all)
}

async fn listed<T: Serialize + Send + Sync + 'static>(
    all: impl Future<Output = Result<Vec<T>, ApiError>>,
    place: impl Fn(&T) -> Place,
) -> Result<Vec<Own>, ApiError> {
    let own = |one: T| {
        let place = place(&one);
        // What cannot be written as JSON has no shape: there is nothing of that kind here.
        Own { place, body: Some(Box::new(move || serde_json::to_value(&one).unwrap_or_default())) }
    };
    Ok(all.await?.into_iter().map(own).collect())
}

fn dated(created: Timestamp, id: Uuid) -> Place {
    let since = created.0.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (u64::try_from(since.as_nanos()).unwrap_or(u64::MAX), id.to_string())
}

impl Own {
    /// In full, with the node's label; none when it is gone.
    pub(super) async fn whole(&self, source: &dyn ApiSource, node: &str) -> Result<Option<Value>, ApiError> {
        let Some(body) = &self.body else { return path(source, &self.place.1).await };
        let mut value = body();
        if let Some(fields) = value.as_object_mut() {
            fields.insert("node".into(), node.into());
        }
        Ok(Some(value))
    }
}

async fn path(source: &dyn ApiSource, name: &str) -> Result<Option<Value>, ApiError> {
    // A name that no path can have belongs to no path.
    let Ok(name) = PathName::new(name) else { return Ok(None) };
    Ok(source.path(name).await?.and_then(|path| serde_json::to_value(path).ok()))
}

/// One of this node in full.
pub(super) async fn get(source: &dyn ApiSource, kind: Kind, name: &str) -> Result<Option<Value>, ApiError> {
    if kind == Kind::Paths {
        return path(source, name).await;
    }
    let node = source.info().node;
    match own(source, kind).await?.into_iter().find(|own| own.place.1 == name) {
        Some(own) => own.whole(source, &node).await,
        None => Ok(None),
    }
}

/// Ends one of this node; false if there is none.
pub(super) async fn kick(source: &dyn ApiSource, kind: Kind, name: &str) -> Result<bool, ApiError> {
    let Ok(id) = Uuid::try_parse(name) else { return Ok(false) };
    match kind {
        Kind::RtspSessions => source.kick_rtsp_session(RtspServer::Plain, id).await,
        Kind::RtspsSessions => source.kick_rtsp_session(RtspServer::Secure, id).await,
        Kind::RtmpConns => source.kick_rtmp_conn(RtmpServer::Plain, id).await,
        Kind::RtmpsConns => source.kick_rtmp_conn(RtmpServer::Secure, id).await,
        Kind::HlsSessions => source.kick_hls_session(id).await,
        Kind::WebrtcSessions => source.kick_webrtc_session(id).await,
        Kind::Paths | Kind::RtspConns | Kind::RtspsConns | Kind::HlsMuxers => Ok(false),
    }
}

/// Answers another node; `None` when this one does not understand, or cannot say.
pub async fn answer(source: &dyn ApiSource, question: &[u8]) -> Option<Vec<u8>> {
    let answered = match serde_json::from_slice(question).ok()? {
        Question::List { kind, after, whole } => {
            list(source, kind, after, whole).await.map(|rows| serde_json::to_vec(&rows))
        }
        Question::Get { kind, names } => named(source, kind, &names).await.map(|rows| serde_json::to_vec(&rows)),
        Question::Drain(wish) => source.drain(wish).await.map(|view| serde_json::to_vec(&view)),
        Question::Kick { kind, name } => kick(source, kind, &name).await.map(|kicked| serde_json::to_vec(&kicked)),
        Question::Take { path } => {
            let is_willing = PathName::new(&path).is_ok_and(|path| source.take_source(&path));
            Ok(serde_json::to_vec(&is_willing))
        }
    };
    match answered {
        Ok(answer) => answer.ok(),
        Err(error) => {
            tracing::warn!(%error, "another node's question cannot be answered");
            None
        }
    }
}

async fn list(source: &dyn ApiSource, kind: Kind, after: Option<Place>, whole: usize) -> Result<Rows, ApiError> {
    let node = source.info().node;
    let all = own(source, kind).await?;
    let from = after.map_or(0, |after| all.partition_point(|own| own.place <= after));
    let mut answer = Writing::default();
    for (at, own) in all.iter().enumerate().skip(from) {
        let is_wanted = at < whole && answer.bytes < WHOLE_BYTES_MAX;
        let body = if is_wanted { own.whole(source, &node).await? } else { None };
        if !answer.takes(&own.place, body) {
            break;
        }
    }
    Ok(answer.rows)
}

async fn named(source: &dyn ApiSource, kind: Kind, names: &[String]) -> Result<Rows, ApiError> {
    let node = source.info().node;
    let wanted: BTreeSet<&String> = names.iter().collect();
    let found: Vec<Own> = if kind == Kind::Paths {
        wanted.iter().map(|name| Own { place: (0, name.to_string()), body: None }).collect()
    } else {
        let own = own(source, kind).await?.into_iter();
        own.filter(|own| wanted.contains(&own.place.1)).collect()
    };
    let mut answer = Writing::default();
    for own in found {
        let Some(body) = own.whole(source, &node).await? else { continue };
        if !answer.takes(&own.place, Some(body)) {
            break;
        }
    }
    Ok(answer.rows)
}

/// An answer that grows until it is full.
#[derive(Default)]
struct Writing {
    rows: Rows,
    bytes: usize,
}

impl Writing {
    /// False when it is full.
    fn takes(&mut self, place: &Place, body: Option<Value>) -> bool {
        if self.bytes >= ROWS_BYTES_MAX {
            self.rows.more = true;
            return false;
        }
        let body = body.map(shortened);
        // Punctuation and 20 digits.
        self.bytes += place.1.len() + 32 + body.as_ref().map_or(0, size);
        self.rows.rows.push(Row(place.clone(), body));
        true
    }
}

/// A path without the last of its readers, when these are too many.
fn shortened(mut item: Value) -> Value {
    let bytes = size(&item);
    if bytes > ITEM_BYTES_MAX
        && let Some(readers) = item["readers"].as_array_mut()
    {
        // They are all of about one size.
        let kept = readers.len() * (ITEM_BYTES_MAX / 2) / bytes;
        let omitted = readers.len() - kept;
        readers.truncate(kept);
        item["readersOmitted"] = omitted.into();
    }
    item
}

/// Bytes of a value as JSON.
fn size(value: &Value) -> usize {
    struct Counting(usize);
    impl std::io::Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counting = Counting(0);
    // Counting does not fail.
    let _ = serde_json::to_writer(&mut counting, value);
    counting.0
}
