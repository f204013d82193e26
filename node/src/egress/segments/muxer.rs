//! What one path's viewers share: the window of segments, the playlists made of it, and who waits for more.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio::time::timeout;
use weft_cluster::Clock;
use weft_cluster::stream::{Holder, Stream};
use weft_proto::hls::{
    Cut, File, Found, Handover, MediaPlaylist, Reload, Rendition, Standing, Template, Variant, Verdict, Window,
    media_playlist, multivariant_playlist,
};
use weft_proto::id::PathName;
use weft_proto::time::Now;

use super::MuxerConfig;
use super::fetched::Strays;
use super::neighbours::Neighbours;
use crate::limits::{HLS_WAIT_MIN, HLS_WAITING_MAX};

/// What a request comes to.
#[derive(Clone, Debug)]
pub enum Answer<T> {
    /// Here it is.
    Here(T),
    /// There is no such thing, and will not be.
    NotFound,
    /// It asks for something that cannot be meant so.
    TooFar,
    /// Not within the time that one may wait; later perhaps.
    Later,
}

/// A path's muxer.
#[derive(Debug)]
pub struct Muxer {
    stream: Arc<Stream>,
    variant: Variant,
    renditions: Vec<Rendition>,
    created: SystemTime,
    clock: Clock,
    last_request_micros: AtomicU64,
    last_request: RwLock<SystemTime>,
    outbound_bytes: AtomicU64,
    discarded: AtomicU64,
    state: RwLock<State>,
    changed: Notify,
    waiting: AtomicUsize,
    ended: AtomicBool,
    /// Bytes as the node's budget knows them.
    held: AtomicUsize,
    /// The other nodes, which may have what is missing here.
    pub(super) neighbours: Neighbours,
    /// Files of other nodes that were asked for here.
    pub(super) strays: Strays,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) window: Window,
    /// What other nodes list is not all here yet: viewers wait, for a playlist never goes back.
    pub(super) settling: bool,
    /// There are playlists.
    pub(super) is_ready: bool,
    /// How far they reach.
    told: Standing,
    /// Of each rendition: the whole playlist, and the one without what players have.
    playlists: Vec<[Arc<Template>; 2]>,
    multivariant: Arc<Template>,
}

impl Muxer {
    /// A muxer that goes on where another node's stands, if there is one.
    pub(super) fn new(
        stream: Arc<Stream>,
        config: &MuxerConfig,
        (renditions, before): (Vec<Rendition>, Option<Handover>),
        neighbours: Neighbours,
        clock: Clock,
    ) -> Arc<Self> {
        let settling = before.is_some();
        let window = match before {
            Some(before) => Window::after(config.window, renditions.len(), before),
            None => Window::new(config.window, renditions.len()),
        };
        let playlists = renditions.iter().map(|_| Default::default()).collect();
        let this = Arc::new(Self {
            stream,
            variant: config.variant,
            created: SystemTime::now(),
            clock,
            last_request_micros: AtomicU64::new(clock.now().micros()),
            last_request: RwLock::new(SystemTime::now()),
            outbound_bytes: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
            state: RwLock::new(State {
                window,
                settling,
                is_ready: false,
                told: Standing::default(),
                playlists,
                multivariant: Arc::default(),
            }),
            renditions,
            changed: Notify::new(),
            waiting: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            held: AtomicUsize::new(0),
            neighbours,
            strays: Strays::default(),
        });
        let holder: Weak<Self> = Arc::downgrade(&this);
        this.stream.budget().register(holder);
        this
    }

    /// The path.
    pub fn path(&self) -> &PathName {
        self.stream.path()
    }

    /// The stream that it reads.
    pub const fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// When it was started.
    pub const fn created(&self) -> SystemTime {
        self.created
    }

    /// When it was last asked for something.
    pub fn last_request(&self) -> SystemTime {
        *self.last_request.read()
    }

    /// Bytes sent to viewers.
    pub fn outbound_bytes(&self) -> u64 {
        self.outbound_bytes.load(Ordering::Relaxed)
    }

    /// Units that it was too slow for.
    pub fn discarded(&self) -> u64 {
        self.discarded.load(Ordering::Relaxed)
    }

    /// The kind of its segments.
    pub(super) const fn variant(&self) -> Variant {
        self.variant
    }

    /// The renditions, in the order of the window's bodies.
    pub(super) fn renditions(&self) -> &[Rendition] {
        &self.renditions
    }

    /// Whether it has stopped.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Counts what was sent to a viewer, for the path as well.
    pub fn count_sent(&self, bytes: usize) {
        self.outbound_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.stream.counters().outbound_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes a request: a muxer that nobody asks is closed.
    pub fn touch(&self) {
        let now = self.clock.now().micros();
        let before = self.last_request_micros.swap(now, Ordering::Relaxed);
        // The wall clock is for people, and a lock; once a second is enough.
        if now.saturating_sub(before) > 1_000_000 {
            *self.last_request.write() = SystemTime::now();
        }
    }

    pub(super) fn idle(&self, now: Now) -> Duration {
        now.since(Now::from_micros(self.last_request_micros.load(Ordering::Relaxed)))
    }

    /// The multivariant playlist, once there is a segment.
    pub async fn multivariant(&self) -> Answer<Arc<Template>> {
        self.wait(|state| match state.is_ready {
            true => Some(Answer::Here(state.multivariant.clone())),
            false => None,
        })
        .await
    }

    /// A media playlist, once it has what is waited for.
    pub async fn playlist(&self, rendition: Rendition, reload: Reload) -> Answer<Arc<Template>> {
        let Some(index) = self.index(rendition) else { return Answer::NotFound };
        let reload = if self.variant == Variant::LowLatency { reload } else { Reload::default() };
        self.wait(|state| match state.window.verdict(reload) {
            _ if !state.is_ready || state.holds_back(reload) => None,
            Verdict::Now => Some(Answer::Here(state.playlists[index][usize::from(reload.skip)].clone())),
            Verdict::TooFar => Some(Answer::TooFar),
            Verdict::Wait => None,
        })
        .await
    }

    /// A segment, part or initialisation segment, in pieces; the next part, once it is there.
    pub async fn file(&self, file: &File) -> Answer<Vec<Bytes>> {
        let Some(index) = self.index(file.rendition) else { return Answer::NotFound };
        let found = self.wait(|state| match state.window.find(file, index) {
            Found::Here(body) => Some(Answer::Here(body)),
            Found::Next | Found::Away => None,
            Found::Gone => Some(Answer::NotFound),
            Found::Unknown => Some(Answer::Later),
        });
        match found.await {
            Answer::Here(body) => Answer::Here(body),
            otherwise => Box::pin(self.stray(file)).await.map_or(otherwise, |body| Answer::Here(vec![body])),
        }
    }

    pub(super) fn index(&self, rendition: Rendition) -> Option<usize> {
        self.renditions.iter().position(|known| *known == rendition)
    }

    /// Looks until `look` finds something, each time something is new; not for ever, and not for too many at once.
    pub(super) async fn wait<T>(&self, look: impl Fn(&State) -> Option<Answer<T>>) -> Answer<T> {
        let at_once = {
            let state = self.state.read();
            look(&state).ok_or_else(|| longest_wait(&state.window))
        };
        let longest = match at_once {
            Ok(found) => return found,
            Err(longest) => longest,
        };
        let Some(_place) = Waiting::enter(&self.waiting) else { return Answer::Later };
        let found = timeout(longest, async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                // From here on nothing is missed.
                changed.as_mut().enable();
                if self.has_ended() {
                    return Answer::NotFound;
                }
                if let Some(found) = look(&self.state.read()) {
                    return found;
                }
                changed.await;
            }
        });
        found.await.unwrap_or(Answer::Later)
    }

    /// Takes what the cutter made, and wakes those who wait for it. `cutting`: bytes that the cutter holds itself.
    pub(super) fn take(&self, cuts: Vec<Cut>, cutting: usize) {
        if cuts.is_empty() {
            return;
        }
        self.change(cutting, |state| cuts.into_iter().for_each(|cut| state.window.take(cut)));
    }

    /// Changes the window, and wakes those who wait.
    pub(super) fn change(&self, cutting: usize, change: impl FnOnce(&mut State)) {
        let overdrawn = {
            let mut state = self.state.write();
            change(&mut state);
            if state.window.held_back().is_some() && self.neighbours.others().is_empty() {
                state.hold_nothing_back();
            }
            state.hold_less();
            state.settling = state.settling && !state.window.is_whole();
            self.rewrite(&mut state);
            self.note(state.window.held() + cutting)
        };
        self.changed.notify_waiters();
        if overdrawn {
            self.stream.budget().enforce();
        }
    }

    /// Looks at the window.
    pub(super) fn look<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state.read())
    }

    fn note(&self, held: usize) -> bool {
        self.stream.budget().note(self.held.swap(held, Ordering::Relaxed), held)
    }

    /// Makes the playlists anew, but not while something is held back: what is listed never changes.
    fn rewrite(&self, state: &mut State) {
        if state.window.is_ready() && !state.settling && state.window.held_back().is_none() {
            state.is_ready = true;
            state.told = state.window.standing();
            state.multivariant = Arc::new(multivariant_playlist(&state.window, &self.renditions, self.variant));
            state.playlists = (0..self.renditions.len()).map(|index| self.write(&state.window, index)).collect();
        }
    }

    fn write(&self, window: &Window, index: usize) -> [Arc<Template>; 2] {
        let (renditions, variant, born) = (&self.renditions[..], self.variant, self.stream.born_wall());
        let whole = MediaPlaylist { window, renditions, index, variant, born, skip: false };
        let full = Arc::new(media_playlist(&whole));
        let short = match variant {
            Variant::LowLatency => Arc::new(media_playlist(&MediaPlaylist { skip: true, ..whole })),
            _ => full.clone(),
        };
        [full, short]
    }

    pub(super) fn lose(&self, units: u64) {
        self.discarded.fetch_add(units, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }
}

impl State {
    /// Whether a reload waits because something is held back: for that, for what comes after it, or for what came before and
    /// stands in no playlist yet.
    fn holds_back(&self, reload: Reload) -> bool {
        let Standing { segment, parts } = self.told;
        let is_told =
            |wanted: u64| wanted < segment || wanted == segment && reload.part.is_some_and(|part| part < parts);
        self.window.held_back().is_some() && reload.segment.is_some_and(|wanted| !is_told(wanted))
    }

    /// No other node knows more.
    fn hold_nothing_back(&mut self) {
        while let Some(number) = self.window.open_end() {
            self.window.close_end(number, Vec::new());
        }
        while let Some(number) = self.window.hole() {
            self.give_up(number);
        }
    }

    /// What is lost again and again is not waited for each time.
    fn hold_less(&mut self) {
        while let Some(number) = self.window.hole().filter(|number| self.window.is_lost_again(*number)) {
            self.give_up(number);
        }
    }

    /// No node has more of a segment.
    pub(super) fn give_up(&mut self, number: u64) {
        match self.settling {
            true => self.window.begin_behind(number),
            false => self.window.give_up(number),
        }
    }
}

impl Holder for Muxer {
    fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn shed(&self, bytes: usize) {
        let mut state = self.state.write();
        let before = state.window.held();
        state.window.shed(bytes);
        self.rewrite(&mut state);
        let given_up = before - state.window.held();
        self.note(self.held().saturating_sub(given_up));
    }
}

impl Drop for Muxer {
    fn drop(&mut self) {
        self.note(0);
    }
}

/// Three target durations (section 6.2.5.2), and long enough for the first segment of a stream with few keyframes.
fn longest_wait(window: &Window) -> Duration {
    Duration::from_secs(u64::from(window.target_seconds()) * 3).clamp(HLS_WAIT_MIN, HLS_WAIT_MIN * 3)
}

/// A place among those who wait.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Option<Self> {
        let place = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < HLS_WAITING_MAX).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
