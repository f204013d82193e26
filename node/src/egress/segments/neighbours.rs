//! What a muxer asks the other nodes: how far they list, and what is missing here.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;
use weft_cluster::Fabric;
use weft_cluster::ownership::NodeId;
use weft_proto::hls::{File, Handover, Rendition, Segment, Variant};
use weft_proto::id::PathName;
use weft_proto::wire::window::{
    SegmentWish, WindowAsk, WindowWish, decode_segment, decode_window, file_wish, variant_number,
};

/// How long a muxer waits for the others' windows. On a network that is well it takes milliseconds.
const WINDOW_WITHIN: Duration = Duration::from_millis(500);

/// How long for a segment or a file.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// When the next node is asked for the same, although the one before may still answer: it may have died.
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// How long it may take to agree on a segment that was cut short: as long nothing new is listed. A node that does not answer
/// has died, and is not waited for longer than its death takes to be noticed.
const END_WITHIN: Duration = Duration::from_millis(400);

/// Bytes of a window that is told: segments by their numbers, and their initialisation segments.
const WINDOW_BYTES_MAX: usize = 4 << 20;

/// Bytes that an answer may have beside its media: boxes, and a head.
const HEAD_BYTES_MAX: usize = 1 << 20;

/// The other nodes, as one path's muxer sees them.
#[derive(Clone, Debug)]
pub(super) struct Neighbours {
    fabric: Fabric,
    path: PathName,
    variant: Variant,
    segment_bytes_max: usize,
}

/// A window that another node has.
pub(super) struct Told {
    pub(super) renditions: Vec<Rendition>,
    pub(super) handover: Handover,
}

impl Neighbours {
    pub(super) const fn new(fabric: Fabric, path: PathName, variant: Variant, segment_bytes_max: usize) -> Self {
        Self { fabric, path, variant, segment_bytes_max }
    }

    /// The window of the node that has come furthest. The path's owner begins one when nobody has.
    pub(super) async fn window(&self) -> Option<Told> {
        let (path, variant) = (self.path.clone(), variant_number(self.variant));
        let question = WindowAsk::Window(WindowWish { path, variant, begin: true }).encode();
        let ask = |node| self.fabric.ask(node, question.clone(), WINDOW_WITHIN, WINDOW_BYTES_MAX);
        let answers = join_all(self.others().into_iter().map(ask)).await;
        let told = answers.into_iter().flatten().filter_map(|answer| decode_window(&answer));
        let told = told.filter(|(_, handover)| handover.target_seconds > 0);
        let reach = |handover: &Handover| {
            let last = handover.segments.last()?;
            Some((last.mark.number, handover.segments.len()))
        };
        let best = told.max_by_key(|(_, handover)| reach(handover));
        best.map(|(renditions, handover)| Told { renditions, handover })
    }

    /// A complete segment, from the first that has it.
    pub(super) async fn segment(
        &self,
        number: u64,
        renditions: usize,
        is_wanted: impl Fn(&Segment) -> bool,
    ) -> Option<Segment> {
        let is_it = |segment: &Segment| segment.mark.number == number && is_wanted(segment);
        self.first(&self.segment_question(number), |answer| decode_segment(answer, renditions).filter(is_it)).await
    }

    /// A segment that was cut short, as each of the others has it.
    pub(super) async fn ends(&self, number: u64, renditions: usize) -> Vec<Segment> {
        let question = self.segment_question(number);
        let ask = |node| self.fabric.ask(node, question.clone(), END_WITHIN, self.answer_bytes_max());
        let answers = join_all(self.others().into_iter().map(ask)).await;
        answers.into_iter().flatten().filter_map(|answer| decode_segment(answer, renditions)).collect()
    }

    /// A file that another node has named.
    pub(super) async fn file(&self, file: &File) -> Option<Bytes> {
        let question = file_wish(self.path.clone(), file).encode();
        self.first(&question, |answer| Some(answer).filter(|answer| !answer.is_empty())).await
    }

    /// Asks one after the other, the next one already when there is no answer for a while; the first answer that is one.
    async fn first<T>(&self, question: &[u8], read: impl Fn(Bytes) -> Option<T>) -> Option<T> {
        let mut others = self.others().into_iter();
        let mut asked = FuturesUnordered::new();
        loop {
            if let Some(node) = others.next() {
                asked.push(self.fabric.ask(node, question.to_vec(), BODY_WITHIN, self.answer_bytes_max()));
            }
            let is_last = others.len() == 0;
            let answer = match is_last {
                true => asked.next().await,
                false => timeout(NEXT_AFTER, asked.next()).await.unwrap_or(Some(None)),
            };
            match answer {
                Some(answer) => {
                    if let Some(found) = answer.and_then(&read) {
                        return Some(found);
                    }
                }
                None if is_last => return None,
                None => {}
            }
        }
    }

    fn segment_question(&self, number: u64) -> Vec<u8> {
        let (path, variant) = (self.path.clone(), variant_number(self.variant));
        WindowAsk::Segment(SegmentWish { path, variant, number }).encode()
    }

    const fn answer_bytes_max(&self) -> usize {
        self.segment_bytes_max.saturating_mul(2).saturating_add(HEAD_BYTES_MAX)
    }

    /// Whom to ask, the nearest first.
    pub(super) fn others(&self) -> Vec<NodeId> {
        self.fabric.others(&self.path)
    }
}
