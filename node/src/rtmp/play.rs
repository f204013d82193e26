//! The reading half of a connection: deliveries of the fabric to messages on the wire.

use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;
use weft_cluster::Subscription;
use weft_cluster::path::EndReason;
use weft_cluster::stream::Delivery;
use weft_proto::media::{Codec, Kind, Track, TrackId, Tracks};
use weft_proto::rtmp::message::kind;
use weft_proto::rtmp::tag::{Form, carriage, on_metadata, write_config, write_metadata};
use weft_proto::rtmp::{Capabilities, Outgoing};
use weft_proto::time::ClockRate;

use super::colors::Colors;
use crate::egress::chunks::{CHUNK_BYTES, ChunkEgress, chunked};
use crate::worker::tcp::Outbox;
use crate::worker::{Bell, Listening};

/// A connection that reads.
pub(super) struct Playing {
    subscription: Subscription,
    _listening: Listening,
    pub(super) bell: Rc<Bell>,
    egress: Arc<ChunkEgress>,
    stream_id: u32,
    /// By joined track; `None` for those that the client does not understand.
    lines: Vec<Option<Line>>,
    /// Joined line of each current track.
    map: Vec<Option<TrackId>>,
    /// The list of tracks that `map` and the configurations were made from.
    current: Option<Tracks>,
    generation: u32,
    /// Path time of the first unit sent, milliseconds.
    zero_millis: Option<i64>,
    batch: Vec<Delivery>,
    arena: BytesMut,
    /// Where HDR and the like is looked up, and the version of it that the client has.
    colors: Option<(Arc<Colors>, u64)>,
    pub(super) paused: bool,
    pub(super) skipped: u64,
}

/// A track as this client gets it.
#[derive(Debug)]
pub(super) struct Line {
    form: Form,
    rate: ClockRate,
    /// The codec whose configuration the client has.
    told: Option<Codec>,
    /// The list of tracks has changed since that was looked at.
    unsure: bool,
}

/// Deliveries whose room is kept between batches.
const BATCH_KEPT: usize = 8;

/// Bytes that are allocated at once for beginnings of messages: 50 of them, the second that they live in the log.
const ARENA_BYTES: usize = 1024;

/// Which tracks a client gets, and in which form.
pub(super) fn choose(tracks: &Tracks, capabilities: &Capabilities) -> Vec<Option<Line>> {
    let mut counts = [(Kind::Video, 0u8), (Kind::Audio, 0u8)];
    let line = |(_, track): (TrackId, &Track)| {
        let carriage = carriage(&track.codec)?;
        let (_, count) = counts.iter_mut().find(|(kind, _)| *kind == track.kind())?;
        let (form, takes) = match *count {
            0 => (Form::First, capabilities.takes(carriage)),
            number => (Form::Numbered(number), capabilities.takes_numbered(carriage)),
        };
        *count += u8::from(takes);
        takes.then_some(Line { form, rate: track.clock_rate, told: None, unsure: true })
    };
    tracks.iter().map(line).collect()
}

impl Playing {
    pub(super) fn new(
        subscription: Subscription,
        listening: Listening,
        bell: Rc<Bell>,
        egress: Arc<ChunkEgress>,
        lines: Vec<Option<Line>>,
        stream_id: u32,
    ) -> Self {
        bell.ring();
        Self {
            subscription,
            _listening: listening,
            bell,
            egress,
            stream_id,
            lines,
            map: Vec::new(),
            current: None,
            generation: 0,
            zero_millis: None,
            batch: Vec::new(),
            arena: BytesMut::new(),
            colors: None,
            paused: false,
            skipped: 0,
        }
    }

    /// The client understands what describes the pictures, too.
    pub(super) fn with_colors(mut self, colors: &Arc<Colors>) -> Self {
        self.colors = Some((colors.clone(), 0));
        self
    }

    /// Why it is over, if it is.
    pub(super) fn ended(&self) -> Option<EndReason> {
        self.subscription.ended()
    }

    /// Whether the client is to be asked to connect elsewhere; says so once.
    pub(super) fn take_drain(&self) -> bool {
        self.subscription.take_drain()
    }

    /// Describes the tracks.
    pub(super) fn send_metadata(&self, outbox: &mut Outbox) {
        let tracks = self.subscription.tracks();
        let described =
            tracks.iter().zip(&self.lines).filter_map(|((_, track), line)| Some((line.as_ref()?.form, track)));
        let message = Outgoing { kind: kind::DATA, stream_id: self.stream_id, payload: on_metadata(described) };
        outbox.push(chunked(message, 0, CHUNK_BYTES));
    }

    /// Takes the next batch from the log and sends it. Whether there is more at once.
    pub(super) fn pump(&mut self, outbox: &mut Outbox) -> bool {
        let mut batch = core::mem::take(&mut self.batch);
        let state = self.subscription.read(&mut batch);
        self.skipped += self.subscription.take_skipped();
        let sent = batch.drain(..).map(|delivery| self.send(&delivery, outbox)).sum();
        // A burst's room is given back: thousands of readers must not keep theirs.
        self.batch = if batch.capacity() > BATCH_KEPT { Vec::new() } else { batch };
        self.subscription.count_sent(sent);
        state.more
    }

    fn send(&mut self, delivery: &Delivery, outbox: &mut Outbox) -> usize {
        let entry = &delivery.entry;
        self.follow(&entry.tracks, entry.generation);
        let Some(line) = self.line_of(entry.unit.track) else { return 0 };
        let (rate, form) = (line.rate, line.form);
        let Some(track) = entry.tracks.get(entry.unit.track) else { return 0 };
        let dts_millis = millis(rate, delivery.dts(rate));
        let zero = *self.zero_millis.get_or_insert(dts_millis);
        // Wraps after 49 days, as RTMP does.
        let timestamp = (dts_millis - zero).max(0) as u32;
        let mut sent = self.send_config(entry.unit.track, track, timestamp, outbox);
        if track.kind() == Kind::Video {
            sent += self.send_colors(&entry.tracks, timestamp, outbox);
        }
        let Some(packed) = self.egress.pack(entry, form) else { return sent };
        let composition = millis(rate, delivery.pts(rate)) - dts_millis;
        let composition = composition.clamp(0, COMPOSITION_MILLIS_MAX) as i32;
        if self.arena.capacity() < ARENA_BYTES / 8 {
            self.arena.reserve(ARENA_BYTES);
        }
        sent + packed.send(timestamp, self.stream_id, composition, &mut self.arena, |bytes| outbox.push(bytes))
    }

    /// Takes note of another list of tracks: parameters may have changed, or the publisher.
    fn follow(&mut self, tracks: &Tracks, generation: u32) {
        if self.current.as_ref().is_some_and(|current| current.is_same_list(tracks)) {
            return;
        }
        if self.generation != generation {
            self.generation = generation;
            self.map = self.subscription.map_tracks(tracks);
        }
        self.current = Some(tracks.clone());
        self.lines.iter_mut().flatten().for_each(|line| line.unsure = true);
    }

    /// How the client gets a current track, if it does.
    fn line_of(&mut self, track: TrackId) -> Option<&mut Line> {
        let id = (*self.map.get(usize::from(track.0))?)?;
        self.lines.get_mut(usize::from(id.0))?.as_mut()
    }

    /// Sends a track's configuration, where the client has another one. Says how many bytes.
    fn send_config(&mut self, id: TrackId, track: &Track, timestamp: u32, outbox: &mut Outbox) -> usize {
        let stream_id = self.stream_id;
        let Some(line) = self.line_of(id).filter(|line| line.unsure) else { return 0 };
        line.unsure = false;
        if line.told.as_ref() == Some(&track.codec) {
            return 0;
        }
        line.told = Some(track.codec.clone());
        let mut body = BytesMut::new();
        if !write_config(&track.codec, line.form, &mut body) {
            return 0;
        }
        let kind = if track.kind() == Kind::Video { kind::VIDEO } else { kind::AUDIO };
        let message = Outgoing { kind, stream_id, payload: body.freeze() };
        let bytes = chunked(message, timestamp, CHUNK_BYTES);
        let sent = bytes.len();
        outbox.push(bytes);
        sent
    }

    /// Sends what the publisher says of its pictures, where that changed. Says how many bytes.
    fn send_colors(&mut self, tracks: &Tracks, timestamp: u32, outbox: &mut Outbox) -> usize {
        let Some((colors, known)) = &mut self.colors else { return 0 };
        let version = colors.version();
        if core::mem::replace(known, version) == version {
            return 0;
        }
        let mut sent = 0;
        let described = colors.of(self.subscription.key());
        for (id, values) in described.iter().flat_map(|described| described.iter()) {
            let (Some(line), Some(track)) = (self.line_of(*id), tracks.get(*id)) else { continue };
            let mut body = BytesMut::new();
            if write_metadata(&track.codec, line.form, values, &mut body) {
                let message = Outgoing { kind: kind::VIDEO, stream_id: self.stream_id, payload: body.freeze() };
                let bytes = chunked(message, timestamp, CHUNK_BYTES);
                sent += bytes.len();
                outbox.push(bytes);
            }
        }
        sent
    }
}

/// What three bytes with a sign can say.
const COMPOSITION_MILLIS_MAX: i64 = 0x7f_ffff;

fn millis(rate: ClockRate, ticks: i64) -> i64 {
    (rate.to_micros(ticks) + 500).div_euclid(1_000)
}
