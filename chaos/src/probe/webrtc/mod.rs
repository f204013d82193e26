//! WebRTC by WHEP and WHIP (RFC 9725), as much as the probes need: one video and one audio track, one way, no trickling.
//!
//! A [`session`] asks a server over HTTP, finds the way to it as the controlling end of ICE, and agrees on keys by DTLS; all that
//! blocks, and is done before a reader enters its thread. From then on a [`Reading`] takes datagrams. RTP headers are not encrypted:
//! losses are counted without decrypting anything, and decrypted are only the packets in which a unit's stamp can be.

mod dtls;
mod history;
mod http;
mod ice;
mod offer;
mod play;
mod record;
mod session;

pub use play::{Reading, play};
pub use record::{WhipSink, record};

/// Opus at 48 kHz, silence: one frame of 20 ms, for ever the same (RFC 6716 section 3.1: CELT, full band, stereo).
pub const OPUS_SILENCE: [u8; 3] = [0xfc, 0xff, 0xfe];

/// Ticks of such a frame.
pub const OPUS_SAMPLES: u32 = 960;

/// What a datagram on the one socket of a session is, by its first bytes (RFC 7983 section 7, RFC 5761 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
    Other,
}

impl Kind {
    fn of(datagram: &[u8]) -> Self {
        match datagram {
            [0..=3, ..] => Self::Stun,
            [20..=63, ..] => Self::Dtls,
            [128..=191, 192..=223, ..] => Self::Rtcp,
            [128..=191, ..] => Self::Rtp,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod stand_in;
#[cfg(test)]
mod tests;
