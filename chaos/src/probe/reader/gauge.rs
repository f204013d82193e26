//! What one reader has seen. Pure: packets and times go in, figures come out.

use hdrhistogram::Histogram;

use super::order::{Arrival, Order};
use weft_proto::rtmp::message::kind;

use crate::probe::aac;
use crate::probe::rtmp::Message;
use crate::probe::rtp::{Header, Piece, pieces};
use crate::probe::stamp::Stamp;

/// The moment after the first frame at which we ask how far behind live the picture is.
const SETTLED_NS: u64 = 2_000_000_000;
/// Audio times may be bent while a server brings a reader to the live edge; holes in them count after that.
const AUDIO_SETTLED_NS: u64 = 3_000_000_000;
/// A hole of more than this is a new timeline, not a loss.
const AUDIO_HOLE_MAX: u32 = 60 * aac::RATE;
const VIDEO_RATE: u64 = 90_000;

/// What all readers of one thread and one place share while they measure.
#[derive(Debug)]
pub struct Meter {
    /// True in the measured window: latencies and gaps count only then.
    pub measuring: bool,
    /// A live unit that takes longer is late.
    pub late_ns: u64,
    /// Microseconds from a unit's first byte in to its last byte out.
    pub latency: Histogram<u64>,
    /// Bytes out of the sockets in the measured window.
    pub bytes: u64,
    /// Complete video units.
    pub units: u64,
    /// Units known to be missing or incomplete.
    pub lost: u64,
}

impl Meter {
    /// An empty one.
    pub fn new(late_ns: u64) -> Self {
        let latency =
            Histogram::new_with_bounds(1, 60_000_000, 3).unwrap_or_else(|_| unreachable!("constants are valid"));
        Self { measuring: false, late_ns, latency, bytes: 0, units: 0, lost: 0 }
    }
}

/// The figures and the state of one reader.
#[derive(Debug, Default)]
pub struct Gauge {
    /// Where it reads.
    pub place: u16,
    /// Which stream it should get.
    pub path: u16,
    /// Before its first request.
    pub asked_ns: u64,
    /// When media could begin.
    pub joined_ns: u64,
    /// When the first random access point was complete.
    pub first_frame_ns: Option<u64>,
    /// How far behind live a player's picture is two seconds after its first; negative is impossible, absent is unknown.
    pub behind_ns: Option<u64>,
    /// Longest time between two complete frames in the measured window.
    pub gap_ns: u64,
    /// Where pictures or sound stood still in it.
    pub stalls: Vec<Stall>,
    /// Video units by their stamps.
    pub units: Order,
    /// Video packets by RTP sequence number.
    pub video: Order,
    /// Audio packets by RTP sequence number.
    pub audio: Order,
    /// Parts of HLS segments.
    pub parts: u64,
    /// Frames of sound that arrived.
    pub audio_frames: u64,
    /// AAC frames missing by their times.
    pub audio_holes: u64,
    /// Units that began and lack packets.
    pub incomplete: u64,
    /// Live units that came too late.
    pub late: u64,
    /// Units whose bytes are not those that were sent, or of another stream; packets that cannot be decrypted.
    pub corrupt: u64,
    /// True once the connection has ended.
    pub ended: bool,
    first_timestamp: u32,
    last_frame_ns: u64,
    last_sound_ns: u64,
    next_audio: Option<u32>,
    open: Option<Open>,
    check: Option<Box<Check>>,
}

/// A time in which nothing of a kind came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Sound, or else pictures.
    pub is_sound: bool,
    /// When the last one had come.
    pub from_ns: u64,
    /// When the next one came, or the window ended.
    pub to_ns: u64,
}

/// A shorter time without anything is none: a frame lasts 33 ms, and a server may hold back what it sends for some frames.
const STALL_NS: u64 = 200_000_000;
/// As many are kept of each reader.
const STALLS_MAX: usize = 512;

#[derive(Clone, Copy, Debug)]
struct Open {
    stamp: Stamp,
    timestamp: u32,
    broken: bool,
    again: bool,
}

/// Where a reader that compares bytes stands in the current SEI.
#[derive(Debug, Default)]
struct Check {
    stamp: Option<Stamp>,
    at: usize,
    wrong: bool,
}

impl Gauge {
    /// A reader of stream `path`; `verify` makes it compare all padding, for which it must be given whole packets.
    pub fn new(path: u16, asked_ns: u64, joined_ns: u64, verify: bool) -> Self {
        Self { path, asked_ns, joined_ns, check: verify.then(Box::default), ..Self::default() }
    }

    /// The same, reading at this place.
    #[must_use]
    pub const fn at(mut self, place: u16) -> Self {
        self.place = place;
        self
    }

    /// Whether the unit under way has said who it is.
    pub const fn has_stamp(&self) -> bool {
        self.open.is_some()
    }

    /// Whether it compares bytes.
    pub const fn verifies(&self) -> bool {
        self.check.is_some()
    }

    /// A video packet, whose end may be cut off, arrived in full at `now_ns`.
    pub fn video_packet(&mut self, packet: &[u8], now_ns: u64, meter: &mut Meter) {
        let Some(header) = Header::parse(packet) else { return };
        let arrival = self.video.note_u16(header.seq);
        if arrival == Arrival::Again {
            return;
        }
        if let Some(open) = &mut self.open {
            if matches!(arrival, Arrival::After(_)) {
                open.broken = true;
            }
            if open.timestamp != header.timestamp {
                self.close(now_ns, meter);
            }
        }
        let payload = packet.get(header.payload..).unwrap_or_default();
        // Only a first byte of SEI, STAP-A or FU-A can hold a stamp, and of a FU-A only its start.
        let begins = match payload {
            [first, ..] if matches!(first & 0x1f, 6 | 24) => true,
            [first, fu, ..] if first & 0x1f == 28 => fu & 0x9f == 0x86,
            _ => false,
        };
        if begins {
            pieces(payload, |piece| {
                if let Piece::Start { header: nal, body, whole } = piece {
                    self.begin(nal, body, whole, header.timestamp, meter);
                }
            });
        } else if self.check.is_some() {
            self.compare_more(payload);
        }
        if header.marker {
            self.close(now_ns, meter);
        }
    }

    /// A whole unit arrived, whose SEI NAL unit this is.
    pub fn unit(&mut self, sei: &[u8], timestamp: u32, now_ns: u64, meter: &mut Meter) {
        let Some((header, body)) = sei.split_first() else { return };
        self.begin(*header, body, true, timestamp, meter);
        self.close(now_ns, meter);
    }

    /// An AAC packet arrived.
    pub fn audio_packet(&mut self, packet: &[u8], now_ns: u64, meter: &Meter) {
        let Some(header) = Header::parse(packet) else { return };
        if self.audio.note_u16(header.seq) == Arrival::Again {
            return;
        }
        self.note_sound(now_ns, meter);
        // RFC 3640 section 3.2.1: the length in bits of all AU headers, of 16 bits each in AAC-hbr.
        let Some([high, low, ..]) = packet.get(header.payload..) else { return };
        let frames = u32::from(u16::from_be_bytes([*high, *low])) / 16;
        self.audio_frames += u64::from(frames);
        let hole = self.next_audio.map_or(0, |next| header.timestamp.wrapping_sub(next));
        if now_ns > self.joined_ns + AUDIO_SETTLED_NS && hole < AUDIO_HOLE_MAX {
            self.audio_holes += u64::from((hole + aac::FRAME_SAMPLES / 2) / aac::FRAME_SAMPLES);
        }
        self.next_audio = Some(header.timestamp.wrapping_add(frames * aac::FRAME_SAMPLES));
    }

    /// An Opus packet arrived, which need not be decrypted.
    pub fn opus_packet(&mut self, packet: &[u8], now_ns: u64, meter: &Meter) {
        let Some(header) = Header::parse(packet) else { return };
        if self.audio.note_u16(header.seq) == Arrival::Again {
            return;
        }
        self.note_sound(now_ns, meter);
        self.audio_frames += 1;
    }

    /// An RTMP message arrived in full, of which the end may be cut off.
    pub fn message(&mut self, message: &Message<'_>, now_ns: u64, meter: &mut Meter) {
        match (message.kind, message.bytes) {
            // AVC, coded frames, composition time.
            (kind::VIDEO, [first, 1, _, _, _, nals @ ..]) if first & 0x0f == 7 => {
                let mut rest = nals;
                while let Some((length, after)) = rest.split_first_chunk::<4>() {
                    let length = u32::from_be_bytes(*length) as usize;
                    let nal = &after[..length.min(after.len())];
                    if let [header, body @ ..] = nal
                        && header & 0x1f == 6
                    {
                        let ticks = u64::from(message.timestamp) * VIDEO_RATE / 1_000;
                        self.begin(*header, body, true, ticks as u32, meter);
                        return self.close(now_ns, meter);
                    }
                    rest = after.get(length..).unwrap_or_default();
                }
            }
            (kind::AUDIO, [first, 1, ..]) if first >> 4 == 10 => {
                self.note_sound(now_ns, meter);
                self.audio_message(message.timestamp, now_ns);
            }
            _ => {}
        }
    }

    /// Without numbers of their own, frames are counted by their times, which are rounded to milliseconds.
    fn audio_message(&mut self, millis: u32, now_ns: u64) {
        let samples = (u64::from(millis) * u64::from(aac::RATE) / 1_000) as u32;
        self.audio_frames += 1;
        let hole = self.next_audio.map_or(0, |next| samples.wrapping_sub(next));
        if now_ns > self.joined_ns + AUDIO_SETTLED_NS && hole < AUDIO_HOLE_MAX {
            self.audio_holes += u64::from((hole + aac::FRAME_SAMPLES / 2) / aac::FRAME_SAMPLES);
        }
        self.next_audio = Some(samples.wrapping_add(aac::FRAME_SAMPLES));
    }

    /// The measured window ends: silence up to now is a gap too.
    pub fn end_window(&mut self, now_ns: u64) {
        if self.last_frame_ns > 0 {
            self.gap_ns = self.gap_ns.max(now_ns.saturating_sub(self.last_frame_ns));
            self.note_stall(false, self.last_frame_ns, now_ns);
        }
        if self.last_sound_ns > 0 {
            self.note_stall(true, self.last_sound_ns, now_ns);
        }
    }

    fn note_sound(&mut self, now_ns: u64, meter: &Meter) {
        if meter.measuring && self.last_sound_ns > 0 {
            self.note_stall(true, self.last_sound_ns, now_ns);
        }
        self.last_sound_ns = now_ns;
    }

    fn note_stall(&mut self, is_sound: bool, from_ns: u64, to_ns: u64) {
        if to_ns.saturating_sub(from_ns) > STALL_NS && self.stalls.len() < STALLS_MAX {
            self.stalls.push(Stall { is_sound, from_ns, to_ns });
        }
    }

    /// Audio frames lost, by whichever of both counts sees more: a server that leaves frames out may number on.
    pub fn audio_lost(&self) -> u64 {
        self.audio.missing.max(self.audio_holes)
    }

    /// Video units lost: never seen, or seen in part.
    pub const fn units_lost(&self) -> u64 {
        self.units.missing + self.incomplete
    }

    fn begin(&mut self, nal: u8, body: &[u8], whole: bool, timestamp: u32, meter: &mut Meter) {
        // The stamp is found by a whole NAL unit's first bytes; put the header back before what an FU-A carries.
        let mut head = [0; 64];
        let len = body.len().min(head.len() - 1);
        head[0] = nal;
        head[1..=len].copy_from_slice(&body[..len]);
        let Some(stamp) = Stamp::find(&head[..=len]) else { return };
        let arrival = self.units.note(stamp.seq);
        if let Arrival::After(missing) = arrival {
            meter.lost += u64::from(missing);
        }
        let again = arrival == Arrival::Again;
        self.open = Some(Open { stamp, timestamp, broken: false, again });
        if stamp.path != self.path {
            self.corrupt += 1;
        }
        if let Some(check) = &mut self.check {
            let at = 1 + body.len();
            let wrong = !stamp.matches(1, body) || whole && at != stamp.sei_len();
            **check = Check { stamp: (!whole).then_some(stamp), at, wrong };
        }
    }

    fn compare_more(&mut self, payload: &[u8]) {
        let Some(check) = &mut self.check else { return };
        let Some(stamp) = check.stamp else { return };
        pieces(payload, |piece| {
            if let Piece::More { body, end } = piece {
                check.wrong |= !stamp.matches(check.at, body);
                check.at += body.len();
                check.wrong |= end && check.at != stamp.sei_len();
                if end {
                    // What follows is the slice.
                    check.stamp = None;
                }
            }
        });
    }

    /// The unit's last byte is here, or something of the next one.
    fn close(&mut self, now_ns: u64, meter: &mut Meter) {
        let Some(Open { stamp, timestamp, broken, again }) = self.open.take() else { return };
        let wrong = self.check.as_mut().is_some_and(|check| std::mem::take(&mut **check).wrong);
        if again {
            return;
        }
        if broken {
            self.incomplete += 1;
            meter.lost += 1;
            return;
        }
        self.corrupt += u64::from(wrong);
        meter.units += 1;
        if stamp.key && self.first_frame_ns.is_none() {
            self.first_frame_ns = Some(now_ns);
            self.first_timestamp = timestamp;
        }
        self.note_behind(stamp.sent_ns, timestamp, now_ns);
        let latency_ns = now_ns.saturating_sub(stamp.sent_ns);
        let live = stamp.sent_ns >= self.joined_ns;
        if live && latency_ns > meter.late_ns {
            self.late += 1;
        }
        if meter.measuring {
            if live {
                meter.latency.saturating_record(latency_ns / 1_000);
            }
            if self.last_frame_ns > 0 {
                self.gap_ns = self.gap_ns.max(now_ns - self.last_frame_ns);
                self.note_stall(false, self.last_frame_ns, now_ns);
            }
        }
        self.last_frame_ns = now_ns;
    }

    /// A player that shows the first frame when it comes and then follows the stream's times shows this one at `due`, or
    /// when it comes if that is later.
    fn note_behind(&mut self, sent_ns: u64, timestamp: u32, now_ns: u64) {
        let (Some(first_ns), None) = (self.first_frame_ns, self.behind_ns) else { return };
        let ticks = u64::from(timestamp.wrapping_sub(self.first_timestamp));
        let shown_ns = now_ns.max(first_ns + ticks * 1_000_000_000 / VIDEO_RATE);
        if ticks < 1 << 31 && shown_ns >= first_ns + SETTLED_NS {
            self.behind_ns = Some(shown_ns.saturating_sub(sent_ns));
        }
    }
}

#[cfg(test)]
#[path = "gauge_tests.rs"]
mod tests;
