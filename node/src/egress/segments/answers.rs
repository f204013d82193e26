//! What the other nodes ask about HLS, answered on the worker that is asked.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use tokio::time::timeout;
use weft_cluster::Fabric;
use weft_cluster::relay::Answers;
use weft_proto::hls::File;
use weft_proto::id::PathName;
use weft_proto::wire::Frame;
use weft_proto::wire::window::{
    FileWish, SegmentWish, WindowAsk, WindowWish, encode_segment, encode_window, variant_number,
};

use super::{Muxer, Muxers};
use crate::worker::Worker;

/// Bytes of a question: a path and a name.
const QUESTION_BYTES_MAX: usize = 16 << 10;

/// How long the asker is let wait for the first segment of a muxer that is begun for its sake, or for the open one.
const TOLD_WITHIN: Duration = Duration::from_millis(300);

/// Answers for a node.
pub struct Windows {
    muxers: Arc<Muxers>,
    fabric: Fabric,
}

impl Windows {
    /// Answers with what these have.
    pub const fn new(muxers: Arc<Muxers>, fabric: Fabric) -> Self {
        Self { muxers, fabric }
    }
}

impl Answers for Windows {
    fn answer(&self, question: Bytes) -> LocalBoxFuture<'static, Option<Vec<Bytes>>> {
        let (muxers, fabric) = (self.muxers.clone(), self.fabric.clone());
        async move {
            let frame = Frame::read(question, QUESTION_BYTES_MAX).ok()?;
            match WindowAsk::decode(&frame).ok()?? {
                WindowAsk::Window(wish) => window(&muxers, &fabric, wish).await,
                WindowAsk::Segment(wish) => segment(&muxers, &fabric, &wish).await,
                WindowAsk::File(wish) => file(&muxers, &wish),
            }
        }
        .boxed_local()
    }
}

/// A path's muxer; the owner begins one.
async fn muxer_of(muxers: &Arc<Muxers>, fabric: &Fabric, path: &PathName) -> Option<Arc<Muxer>> {
    if let Some(muxer) = muxers.find(path) {
        return Some(muxer);
    }
    if !fabric.is_published_here(path) {
        return None;
    }
    let muxer = muxers.open(fabric, &Worker::current()?, path).await.ok()?;
    muxer.touch();
    Some(muxer)
}

async fn window(muxers: &Arc<Muxers>, fabric: &Fabric, wish: WindowWish) -> Option<Vec<Bytes>> {
    let WindowWish { path, variant, begin } = wish;
    let muxer = match begin {
        true => muxer_of(muxers, fabric, &path).await?,
        false => muxers.find(&path)?,
    };
    // What the log keeps makes segments at once; where it does not, there is nothing to tell yet.
    let _ = timeout(TOLD_WITHIN, muxer.settled()).await;
    let handover = muxer.handover().filter(|_| variant == variant_number(muxer.variant()))?;
    Some(vec![encode_window(muxer.renditions(), &handover).into()])
}

async fn segment(muxers: &Arc<Muxers>, fabric: &Fabric, wish: &SegmentWish) -> Option<Vec<Bytes>> {
    let muxer = muxer_of(muxers, fabric, &wish.path).await;
    let muxer = muxer.filter(|muxer| wish.variant == variant_number(muxer.variant()))?;
    let _ = timeout(TOLD_WITHIN, muxer.complete(wish.number)).await;
    muxer.with_segment(wish.number, encode_segment)
}

fn file(muxers: &Muxers, wish: &FileWish) -> Option<Vec<Bytes>> {
    let muxer: Arc<Muxer> = muxers.find(&wish.path)?;
    muxer.file_here(&File::parse(&wish.name)?)
}
