//! Feedback about all packets of a transport (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1): for each number
//! of the extension whether it came, and when.
//!
//! ```text
//! |            base number            |        numbers told of            |
//! |           reference time (24 bits of 64 ms, signed)  | feedback number |
//! |  chunks of 16 bits: what came ...                                     |
//! |  differences of 250 us: when it came, 8 or 16 bits each ...           |
//! ```
//!
//! A reader's work is bounded by the bytes of the packet, not by the number of packets it claims to tell of: runs of what did
//! not come are passed over in one step, and what came takes a difference each.

use super::write::{put, put_head, set_length};
use super::{ARRIVALS, TRANSPORT_FEEDBACK};

/// Microseconds of a step of the reference time, and of a step of a difference.
const REFERENCE_MICROS: i64 = 64_000;
const STEP_MICROS: i64 = 250;

/// Steps of 250 us in one of the reference time.
const STEPS_PER_REFERENCE: i64 = REFERENCE_MICROS / STEP_MICROS;

/// What the sender of a feedback's clock counts up to before it begins anew, in microseconds: twelve days.
pub const CLOCK_MICROS: i64 = REFERENCE_MICROS << 24;

/// Bytes of one feedback that we write: it fits every way that RTP takes, with what SRTP adds.
const FEEDBACK_BYTES_MAX: usize = 1100;

/// The longest run of one chunk (13 bits).
const RUN_MAX: usize = 0x1fff;

/// Statuses of a chunk that is a vector of single bits, and of one of two bits each.
const BITS_ONE: usize = 14;
const BITS_TWO: usize = 7;

/// A packet that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its number, of the whole transport.
    pub sequence: u16,
    /// When, in microseconds of the receiver's clock, in steps of 250. Readers get it modulo [`CLOCK_MICROS`]; nothing where it is
    /// only said that the packet came.
    pub at: Option<i64>,
}

/// A feedback as read. That it tells when each packet came which it says has come was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportFeedback<'a> {
    /// Who reports.
    pub sender: u32,
    /// Whose media; any of those of the transport.
    pub media: u32,
    /// The first number that it tells of.
    pub base: u16,
    /// How many it tells of, from there on.
    pub count: u16,
    /// The number of this feedback: one that is missing was lost.
    pub number: u8,
    /// Steps of 64 ms, signed.
    reference: i32,
    chunks: &'a [u8],
    differences: &'a [u8],
}

impl<'a> TransportFeedback<'a> {
    pub(super) fn read(sender: u32, media: u32, body: &'a [u8]) -> Option<Self> {
        let (head, rest) = body.split_first_chunk::<8>()?;
        let [b0, b1, c0, c1, r0, r1, r2, number] = *head;
        let (base, count) = (u16::from_be_bytes([b0, b1]), u16::from_be_bytes([c0, c1]));
        // Shifting up and down again extends the sign of the 24 bits.
        let reference = i32::from_be_bytes([r0, r1, r2, 0]) >> 8;
        let (mut left, mut bytes, mut end) = (usize::from(count), 0, 0);
        while left > 0 {
            let chunk = Chunk::read(rest.get(end..)?)?;
            let told = chunk.len().min(left);
            bytes += chunk.difference_bytes(told);
            left -= told;
            end += 2;
        }
        let (chunks, differences) = rest.split_at(end);
        (bytes <= differences.len()).then_some(Self {
            sender,
            media,
            base,
            count,
            number,
            reference,
            chunks,
            differences,
        })
    }

    /// The packets that came, by their numbers. All others of those that the feedback tells of did not, so far.
    pub const fn arrivals(&self) -> Arrivals<'a> {
        Arrivals {
            sequence: self.base,
            left: self.count as usize,
            chunk: Chunk::NOTHING,
            at: 0,
            chunks: self.chunks,
            differences: self.differences,
            micros: self.reference as i64 * REFERENCE_MICROS,
        }
    }
}

/// See [`TransportFeedback::arrivals`].
#[derive(Clone, Debug)]
pub struct Arrivals<'a> {
    /// The number of the next status.
    sequence: u16,
    /// Statuses that are left, those of `chunk` included.
    left: usize,
    chunk: Chunk,
    /// Which of the chunk's is next.
    at: usize,
    chunks: &'a [u8],
    differences: &'a [u8],
    /// When the last packet came.
    micros: i64,
}

impl Iterator for Arrivals<'_> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        while self.left > 0 {
            if self.at >= self.chunk.len() {
                (self.chunk, self.at) = (Chunk::read(self.chunks)?, 0);
                self.chunks = &self.chunks[2..];
            }
            let status = self.chunk.status(self.at);
            if let (Chunk::Run(..), Status::Missing) = (self.chunk, status) {
                let run = (self.chunk.len() - self.at).min(self.left);
                self.pass(run);
                continue;
            }
            let sequence = self.sequence;
            self.pass(1);
            match status {
                Status::Missing => {}
                Status::Untimed => return Some(Arrival { sequence, at: None }),
                Status::Small | Status::Large => {
                    self.micros += STEP_MICROS * self.difference(status)?;
                    return Some(Arrival { sequence, at: Some(self.micros.rem_euclid(CLOCK_MICROS)) });
                }
            }
        }
        None
    }
}

impl Arrivals<'_> {
    const fn pass(&mut self, count: usize) {
        self.at += count;
        self.left -= count;
        self.sequence = self.sequence.wrapping_add(count as u16);
    }

    /// The next difference, in steps.
    fn difference(&mut self, status: Status) -> Option<i64> {
        let (steps, bytes) = match *self.differences {
            [low, ..] if status == Status::Small => (i64::from(low), 1),
            [high, low, ..] => (i64::from(i16::from_be_bytes([high, low])), 2),
            _ => return None,
        };
        self.differences = &self.differences[bytes..];
        Some(steps)
    }
}

/// What is said of a packet (section 3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Missing = 0,
    /// It came, less than 64 ms after the one before.
    Small = 1,
    /// It came, later or earlier than that.
    Large = 2,
    /// Reserved; some say by it that the packet came, but not when.
    Untimed = 3,
}

impl Status {
    const fn from_bits(bits: u16) -> Self {
        match bits & 3 {
            0 => Self::Missing,
            1 => Self::Small,
            2 => Self::Large,
            _ => Self::Untimed,
        }
    }

    /// Bytes of the difference that goes with it.
    const fn difference_bytes(self) -> usize {
        match self {
            Self::Missing | Self::Untimed => 0,
            Self::Small => 1,
            Self::Large => 2,
        }
    }
}

/// Statuses of some packets (sections 3.1.3 and 3.1.4).
#[derive(Clone, Copy, Debug)]
enum Chunk {
    Run(Status, usize),
    /// The first status is the highest bit of 14.
    One(u16),
    /// The first status is the highest two bits of 14.
    Two(u16),
}

impl Chunk {
    const NOTHING: Chunk = Chunk::Run(Status::Missing, 0);

    fn read(bytes: &[u8]) -> Option<Self> {
        let word = u16::from_be_bytes(*bytes.first_chunk()?);
        Some(match word >> 14 {
            0 | 1 => Self::Run(Status::from_bits(word >> 13), usize::from(word) & RUN_MAX),
            2 => Self::One(word),
            _ => Self::Two(word),
        })
    }

    const fn word(self) -> u16 {
        match self {
            Self::Run(status, length) => (status as u16) << 13 | length as u16,
            Self::One(bits) => 0x8000 | bits,
            Self::Two(bits) => 0xc000 | bits,
        }
    }

    const fn len(self) -> usize {
        match self {
            Self::Run(_, length) => length,
            Self::One(_) => BITS_ONE,
            Self::Two(_) => BITS_TWO,
        }
    }

    const fn status(self, at: usize) -> Status {
        match self {
            Self::Run(status, _) => status,
            Self::One(bits) => Status::from_bits(bits >> (BITS_ONE - 1 - at) & 1),
            Self::Two(bits) => Status::from_bits(bits >> (2 * (BITS_TWO - 1 - at))),
        }
    }

    /// Bytes of the differences of the first `count` statuses.
    fn difference_bytes(self, count: usize) -> usize {
        match self {
            Self::Run(status, _) => count * status.difference_bytes(),
            _ => (0..count).map(|at| self.status(at).difference_bytes()).sum(),
        }
    }

    /// The chunk that tells of most of the first of `statuses`; a run where two do.
    fn of(statuses: &[Status]) -> Self {
        let first = statuses[0];
        let run = statuses.iter().take(RUN_MAX).take_while(|status| **status == first).count();
        let one = &statuses[..statuses.len().min(BITS_ONE)];
        if run >= one.len() {
            return Self::Run(first, run);
        }
        if one.iter().all(|status| matches!(status, Status::Missing | Status::Small)) {
            let bits = one.iter().enumerate().map(|(at, status)| (*status as u16) << (BITS_ONE - 1 - at));
            return Self::One(bits.sum());
        }
        let two = &statuses[..statuses.len().min(BITS_TWO)];
        if run >= two.len() {
            return Self::Run(first, run);
        }
        let bits = two.iter().enumerate().map(|(at, status)| (*status as u16) << (2 * (BITS_TWO - 1 - at)));
        Self::Two(bits.sum())
    }
}

/// What a feedback says beside its arrivals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedbackHead {
    /// Who reports.
    pub sender: u32,
    /// Whose media; any of those of the transport.
    pub media: u32,
    /// The first number that it tells of: that after the last one of the feedback before.
    pub base: u16,
    /// The number of this feedback.
    pub number: u8,
}

/// Appends one feedback about as many of `arrivals` as fit into it, and says how many: the rest takes another one, which begins
/// after the last that was taken. They are in the order of their numbers, none before the base; those in between did not come.
/// Where the first has no time it is left out, for there is nothing to begin from.
pub fn write_transport_feedback(out: &mut Vec<u8>, head: &FeedbackHead, arrivals: &[Arrival]) -> usize {
    let Some(Arrival { at: Some(first), .. }) = arrivals.first().copied() else { return arrivals.len().min(1) };
    let begin = out.len();
    let reference = first.div_euclid(REFERENCE_MICROS);
    // Further than a feedback reaches: what lies before is told by nobody.
    let is_far = arrivals[0].sequence.wrapping_sub(head.base) == u16::MAX;
    let base = if is_far { arrivals[0].sequence } else { head.base };
    let mut told = Told::default();
    let mut taken = arrivals.len();
    loop {
        taken = told.take(base, reference, &arrivals[..taken]);
        put_head(out, ARRIVALS, TRANSPORT_FEEDBACK, 0);
        put(out, &[head.sender, head.media, u32::from(base) << 16 | told.statuses.len() as u32]);
        put(out, &[(reference as u32) << 8 | u32::from(head.number)]);
        let mut rest = &told.statuses[..];
        while !rest.is_empty() {
            let chunk = Chunk::of(rest);
            out.extend_from_slice(&chunk.word().to_be_bytes());
            rest = &rest[chunk.len().min(rest.len())..];
        }
        out.extend_from_slice(&told.differences);
        if out.len() - begin <= FEEDBACK_BYTES_MAX || taken <= 1 {
            break;
        }
        out.truncate(begin);
        taken /= 2;
    }
    pad(out, begin);
    set_length(out, begin);
    taken
}

/// Up to whole words, and says so (RFC 3550 section 6.4.1).
fn pad(out: &mut Vec<u8>, begin: usize) {
    let padding = (out.len() - begin).wrapping_neg() % 4;
    if padding > 0 {
        out.resize(out.len() + padding, 0);
        out[begin] |= 0x20;
        if let Some(last) = out.last_mut() {
            *last = padding as u8;
        }
    }
}

/// What a feedback is made of.
#[derive(Default)]
struct Told {
    statuses: Vec<Status>,
    differences: Vec<u8>,
}

impl Told {
    /// Takes as many arrivals as one feedback can tell of, whatever its length.
    fn take(&mut self, base: u16, reference: i64, arrivals: &[Arrival]) -> usize {
        self.statuses.clear();
        self.differences.clear();
        let mut last = reference * STEPS_PER_REFERENCE;
        for (taken, arrival) in arrivals.iter().enumerate() {
            let ahead = usize::from(arrival.sequence.wrapping_sub(base));
            // Numbers that go back end it: 65,535 is all that a feedback can tell of.
            if ahead < self.statuses.len() || ahead >= usize::from(u16::MAX) {
                return taken;
            }
            let steps = arrival.at.map(|at| at.div_euclid(STEP_MICROS));
            let status = match steps.map(|steps| steps - last) {
                None => Status::Untimed,
                Some(difference @ 0..=255) => {
                    self.differences.push(difference as u8);
                    Status::Small
                }
                Some(difference) => {
                    let Ok(difference) = i16::try_from(difference) else { return taken };
                    self.differences.extend_from_slice(&difference.to_be_bytes());
                    Status::Large
                }
            };
            self.statuses.resize(ahead, Status::Missing);
            self.statuses.push(status);
            last = steps.unwrap_or(last);
        }
        arrivals.len()
    }
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
