//! PES packets (section 2.4.3.6) out of transport packets.

use super::header::Header;

/// Bytes before the optional header: start code, identifier, length.
const HEAD: usize = 6;

/// Bytes of the flags and of the length of what they announce.
const FLAGS: usize = 3;

/// A PES packet on its way in.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    /// Where the packet begins that continues those before it.
    last_at: usize,
    open: bool,
    counter: Option<u8>,
}

/// How a packet follows the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Next,
    /// Sent twice (section 2.4.3.3).
    Repeated,
    /// Something is missing before it.
    Lost,
}

/// A PES packet taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// Presentation and decoding time, 33 bits each.
    pub(super) times: Option<(u64, Option<u64>)>,
    pub(super) body: &'a [u8],
}

/// It is no PES packet, or not all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

impl Pending {
    pub(super) const fn accepts(&mut self, header: &Header) -> Verdict {
        let before = match self.counter.replace(header.counter) {
            Some(before) if !header.discontinuity => before,
            _ => return Verdict::Next,
        };
        if header.counter == (before + 1) & 0xf {
            Verdict::Next
        } else if header.counter == before {
            Verdict::Repeated
        } else {
            Verdict::Lost
        }
    }

    /// The next packet's counter need not follow.
    pub(super) const fn forget_counter(&mut self) {
        self.counter = None;
    }

    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) const fn begin(&mut self) {
        self.last_at = self.bytes.len();
        self.open = true;
    }

    /// What has come so far goes on in the next packet, whatever length it said.
    pub(super) fn set_aside(&mut self) {
        if self.last_at > 0 {
            self.unwrap_last();
        } else if let Some(length) = self.bytes.get_mut(4..HEAD) {
            length.fill(0);
        }
    }

    pub(super) fn append(&mut self, payload: &[u8]) {
        if self.open {
            self.bytes.extend_from_slice(payload);
        }
    }

    /// Throws away what has come; whether there was something.
    pub(super) fn abandon(&mut self) -> bool {
        let had = self.open && !self.bytes.is_empty();
        self.open = false;
        self.clear();
        had
    }

    /// Whether all has come that the packet says it has.
    pub(super) fn is_complete(&self) -> bool {
        let last = &self.bytes[self.last_at..];
        length(last).is_some_and(|length| last.len() >= length)
    }

    /// What has come, from the first header on; call [`Self::clear`] behind it.
    pub(super) fn take(&mut self) -> Option<Result<Parts<'_>, Broken>> {
        if !self.open || self.bytes.is_empty() {
            return None;
        }
        self.open = false;
        if self.last_at > 0 {
            self.unwrap_last();
        }
        Some(parse(&self.bytes))
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.last_at = 0;
    }

    /// Takes the header off a packet that continues the one before it.
    fn unwrap_last(&mut self) {
        let last = &self.bytes[self.last_at..];
        let head = match parse(last) {
            Ok(parts) => last.len() - parts.body.len(),
            Err(Broken) => last.len(),
        };
        self.bytes.drain(self.last_at..self.last_at + head);
    }
}

/// Bytes of a packet that says so: pictures may leave it open.
fn length(packet: &[u8]) -> Option<usize> {
    let length = u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]);
    (length > 0).then_some(HEAD + usize::from(length))
}

/// Whether a PES packet that begins so has no time of its own.
pub(super) fn continues(start: &[u8]) -> bool {
    start.starts_with(&[0, 0, 1]) && start.get(HEAD + 1).is_some_and(|flags| flags & 0x80 == 0)
}

fn parse(packet: &[u8]) -> Result<Parts<'_>, Broken> {
    let head: &[u8; HEAD + FLAGS] = packet.first_chunk().ok_or(Broken)?;
    // The optional header begins with two bits that say so; scrambled ones are of no use.
    if head[..3] != [0, 0, 1] || head[6] & 0xf0 != 0x80 {
        return Err(Broken);
    }
    let end = match length(packet) {
        Some(length) if packet.len() < length => return Err(Broken),
        Some(length) => length,
        None => packet.len(),
    };
    let packet = &packet[..end];
    let (fields, body) =
        packet.get(HEAD + FLAGS..).and_then(|rest| rest.split_at_checked(head[8].into())).ok_or(Broken)?;
    let times = match head[7] >> 6 {
        2 => Some((time(fields)?, None)),
        3 => Some((time(fields)?, Some(time(fields.get(TIME..).ok_or(Broken)?)?))),
        _ => None,
    };
    Ok(Parts { times, body })
}

const TIME: usize = 5;

/// A time: 3, 15 and 15 bits with markers between. These are not looked at: some muxers forget them.
fn time(field: &[u8]) -> Result<u64, Broken> {
    let field: &[u8; TIME] = field.first_chunk().ok_or(Broken)?;
    let pair = |at: usize| u64::from(u16::from_be_bytes([field[at], field[at + 1]]) >> 1);
    Ok(u64::from(field[0] >> 1 & 7) << 30 | pair(1) << 15 | pair(3))
}
