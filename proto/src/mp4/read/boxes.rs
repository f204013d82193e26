//! Boxes (ISO/IEC 14496-12 section 4.2) out of bytes.

use super::Mp4Error;

/// The beginning of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: [u8; 4],
    /// Bytes of the head itself.
    pub(super) bytes: usize,
    /// Bytes of the whole box.
    pub(super) length: u64,
}

impl Head {
    /// Reads the head; `None` while it is not all there.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, Mp4Error> {
        const LARGE: u32 = 1;
        let Some(&[a, b, c, d, ref kind @ ..]) = bytes.first_chunk::<8>() else { return Ok(None) };
        let (length, own) = match u32::from_be_bytes([a, b, c, d]) {
            0 => return Err(Mp4Error::Endless),
            LARGE => match bytes.get(8..16).and_then(|long| long.first_chunk()) {
                Some(long) => (u64::from_be_bytes(*long), 16),
                None => return Ok(None),
            },
            length => (u64::from(length), 8),
        };
        if length < own as u64 {
            return Err(Mp4Error::Cut(*kind));
        }
        Ok(Some(Self { kind: *kind, bytes: own, length }))
    }
}

/// The boxes one behind the other: kind and content. Ends with an error where one is cut.
pub(super) fn children(bytes: &[u8]) -> Children<'_> {
    Children(bytes)
}

pub(super) struct Children<'a>(&'a [u8]);

impl<'a> Iterator for Children<'a> {
    type Item = Result<([u8; 4], &'a [u8]), Mp4Error>;

    fn next(&mut self) -> Option<Self::Item> {
        // Some writers leave a few zeros behind the last one.
        if self.0.len() < 8 || self.0[..4] == [0; 4] {
            return None;
        }
        let rest = core::mem::take(&mut self.0);
        let head = match Head::parse(rest) {
            Ok(Some(head)) => head,
            Ok(None) => return None,
            Err(error) => return Some(Err(error)),
        };
        let split = usize::try_from(head.length).ok().and_then(|length| rest.split_at_checked(length));
        let Some((whole, rest)) = split else { return Some(Err(Mp4Error::Cut(head.kind))) };
        self.0 = rest;
        Some(Ok((head.kind, &whole[head.bytes..])))
    }
}

/// The content of the first box of a kind.
pub(super) fn find<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Result<Option<&'a [u8]>, Mp4Error> {
    for child in children(bytes) {
        let (own, body) = child?;
        if own == *kind {
            return Ok(Some(body));
        }
    }
    Ok(None)
}

/// The content of a box that must be there.
pub(super) fn need<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Result<&'a [u8], Mp4Error> {
    find(bytes, kind)?.ok_or(Mp4Error::Cut(*kind))
}

/// Reads numbers out of a box.
pub(super) struct Fields<'a> {
    kind: [u8; 4],
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) const fn new(kind: &[u8; 4], bytes: &'a [u8]) -> Self {
        Self { kind: *kind, rest: bytes }
    }

    /// Version and flags of a full box.
    pub(super) fn version(&mut self) -> Result<(u8, u32), Mp4Error> {
        let word = self.u32()?;
        Ok(((word >> 24) as u8, word & 0xff_ffff))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Mp4Error> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Mp4Error> {
        self.array().map(u64::from_be_bytes)
    }

    /// 64 bits in version 1, else 32.
    pub(super) fn number(&mut self, version: u8) -> Result<u64, Mp4Error> {
        if version == 1 { self.u64() } else { self.u32().map(u64::from) }
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<(), Mp4Error> {
        self.rest = self.rest.get(count..).ok_or(Mp4Error::Cut(self.kind))?;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Mp4Error> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Mp4Error::Cut(self.kind))?;
        self.rest = rest;
        Ok(*array)
    }
}
