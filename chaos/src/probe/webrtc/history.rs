//! Packets that were sent, for as long as somebody may ask for them again (RFC 4585 section 6.2.1).

use bytes::BytesMut;

/// More than a second of 4 Mbit/s.
const PACKETS: usize = 512;

/// The last packets of one track, as they were sent: encrypted, so that they are the same packets when they are sent again.
#[derive(Debug)]
pub(super) struct History {
    packets: Vec<Option<(u16, BytesMut)>>,
}

impl History {
    pub(super) fn new() -> Self {
        Self { packets: vec![None; PACKETS] }
    }

    pub(super) fn push(&mut self, seq: u16, packet: BytesMut) {
        self.packets[usize::from(seq) % PACKETS] = Some((seq, packet));
    }

    pub(super) fn get(&self, seq: u16) -> Option<&[u8]> {
        let (known, packet) = self.packets[usize::from(seq) % PACKETS].as_ref()?;
        (*known == seq).then_some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_old_is_gone() {
        let mut history = History::new();
        for seq in 65_000..66_000_u32 {
            history.push(seq as u16, BytesMut::from(&seq.to_be_bytes()[..]));
        }
        assert_eq!(history.get(65_500), Some(&65_500_u32.to_be_bytes()[..]));
        assert_eq!(history.get(463), Some(&65_999_u32.to_be_bytes()[..]), "after the wrap");
        assert_eq!((history.get(65_487), history.get(464)), (None, None));
    }
}
