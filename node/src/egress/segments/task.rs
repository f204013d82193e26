//! The hidden reader of one path: units out of the log, through the cutter, into the muxer.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tracing::{info, warn};
use weft_cluster::{Clock, Subscription};
use weft_proto::hls::{Cutter, Piece};

use super::{Muxer, MuxerConfig, Muxers};
use crate::worker::{Bell, Worker};

/// How often a muxer looks whether anybody still asks, and whether the stream has ended.
const ROUND: Duration = Duration::from_secs(1);

/// How long viewers wait for what other nodes list to be listed here; then it is listed with its gaps.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);

/// Runs until the stream ends or nobody asks any more.
pub(super) async fn run(
    muxers: Arc<Muxers>,
    config: Arc<MuxerConfig>,
    muxer: Arc<Muxer>,
    mut subscription: Subscription,
    worker: Rc<Worker>,
    clock: Clock,
) {
    let mut cutter = Cutter::new(config.variant, muxer.renditions().to_vec(), config.segment_bytes_max);
    let bell = Bell::new();
    let _listening = worker.listen(subscription.key(), &bell);
    let (agreeing, fetching) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
    let begun = clock.now();
    let why = loop {
        feed(&muxer, &mut subscription, &mut cutter).await;
        if muxer.is_settling() && clock.now().since(begun) > SETTLED_WITHIN {
            muxer.settle();
        }
        if muxer.has_open_end() {
            once(&agreeing, &muxer, |muxer| async move { muxer.agree_on_ends().await });
        }
        if muxer.wants_any() {
            once(&fetching, &muxer, |muxer| async move { muxer.fetch_missing().await });
        }
        if let Some(reason) = subscription.ended() {
            break reason.as_str();
        }
        let idle = |limit| muxer.idle(clock.now()) > limit;
        if !muxers.runs_always() && config.close_after.is_some_and(idle) {
            break "nobody asks for it any more";
        }
        let _ = tokio::time::timeout(ROUND, poll_fn(|cx| if bell.poll(cx) { Poll::Ready(()) } else { Poll::Pending }))
            .await;
    };
    let mut cuts = Vec::new();
    cutter.finish(&mut cuts);
    muxer.take(cuts, 0);
    muxer.end();
    muxers.forget(&muxer);
    info!(path = %muxer.path(), why, "HLS muxer ends");
}

/// Does something beside, unless it is being done.
fn once<F: Future<Output = ()> + 'static>(
    running: &Rc<Cell<bool>>,
    muxer: &Arc<Muxer>,
    work: impl FnOnce(Arc<Muxer>) -> F,
) {
    if !running.replace(true) {
        let (work, running) = (work(muxer.clone()), running.clone());
        actix_rt::spawn(async move {
            work.await;
            running.set(false);
        });
    }
}

/// Takes all that the log has, a batch at a time: the worker's other sessions get their turns in between.
async fn feed(muxer: &Muxer, subscription: &mut Subscription, cutter: &mut Cutter) {
    let (mut batch, mut cuts) = (Vec::new(), Vec::new());
    loop {
        let state = subscription.read(&mut batch);
        let skipped = subscription.take_skipped();
        if skipped > 0 {
            warn!(path = %muxer.path(), units = skipped, "HLS muxer was too slow, a segment becomes a gap");
            muxer.lose(skipped);
            cutter.lost(&mut cuts);
        }
        for delivery in batch.drain(..) {
            let entry = &*delivery.entry;
            if entry.missed {
                cutter.missed(entry.position.epoch, &mut cuts);
            }
            let piece = Piece {
                epoch: entry.position.epoch,
                unit: &entry.unit,
                dts_micros: entry.dts_micros,
                marks: entry.marks,
                tracks: &entry.tracks,
            };
            cutter.push(&piece, &mut cuts);
        }
        muxer.take(std::mem::take(&mut cuts), cutter.held());
        if !state.more {
            return;
        }
        tokio::task::yield_now().await;
    }
}
