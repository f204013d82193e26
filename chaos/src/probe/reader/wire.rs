//! Walks the `$` frames and messages of an RTSP connection (RFC 2326 section 10.12) as they come out of a socket, in pieces of any
//! size, keeping of a frame that is split only its beginning.

/// As much of a packet as a reader looks at: interleaved and RTP headers, and a STAP-A with parameter sets before a stamp.
pub(super) const HEAD: usize = 256;
/// Longest line of a message that we want to understand; the rest of a longer one is passed over.
const LINE_MAX: usize = 128;

/// What is neither a frame nor a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OutOfStep;

/// Where in the byte stream a connection stands.
#[derive(Debug, Default)]
pub(super) struct Wire {
    state: State,
    kept: Vec<u8>,
    /// Keep whole packets, not only their heads.
    whole: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Between,
    Frame {
        got: usize,
    },
    Text {
        body: usize,
    },
    Body {
        left: usize,
    },
}

impl Wire {
    pub(super) fn new(whole: bool) -> Self {
        Self { whole, ..Self::default() }
    }

    /// Takes `data` and calls `each` with channel, packet and full length for every packet that is now complete. The packet
    /// may be cut off after its head.
    pub(super) fn feed(&mut self, mut data: &[u8], mut each: impl FnMut(u8, &[u8], usize)) -> Result<(), OutOfStep> {
        while let Some(&first) = data.first() {
            match &mut self.state {
                State::Between => match first {
                    b'$' => {
                        if let [_, channel, high, low, rest @ ..] = data {
                            let len = usize::from(u16::from_be_bytes([*high, *low]));
                            if rest.len() >= len {
                                each(*channel, &rest[..len], len);
                                data = &rest[len..];
                                continue;
                            }
                        }
                        self.kept.clear();
                        self.state = State::Frame { got: 0 };
                    }
                    b'A'..=b'Z' | b'\r' | b'\n' => {
                        self.kept.clear();
                        self.state = State::Text { body: 0 };
                    }
                    _ => return Err(OutOfStep),
                },
                State::Frame { got } => {
                    let total = match self.kept[..] {
                        [_, _, high, low, ..] => 4 + usize::from(u16::from_be_bytes([high, low])),
                        _ => 4,
                    };
                    let take = (total - *got).min(data.len());
                    let room = if self.whole { take } else { take.min((HEAD + 4).saturating_sub(self.kept.len())) };
                    self.kept.extend_from_slice(&data[..room]);
                    *got += take;
                    data = &data[take..];
                    if *got == total && total > 4 || *got == 4 && self.kept[2..4] == [0, 0] {
                        each(self.kept[1], &self.kept[4..], total - 4);
                        self.state = State::Between;
                    }
                }
                State::Text { body } => {
                    data = &data[1..];
                    if first != b'\n' {
                        if self.kept.len() < LINE_MAX && first != b'\r' {
                            self.kept.push(first);
                        }
                        continue;
                    }
                    if self.kept.is_empty() {
                        self.state = if *body > 0 { State::Body { left: *body } } else { State::Between };
                        continue;
                    }
                    if let Some(length) = content_length(&self.kept) {
                        *body = length;
                    }
                    self.kept.clear();
                }
                State::Body { left } => {
                    let take = (*left).min(data.len());
                    *left -= take;
                    data = &data[take..];
                    if *left == 0 {
                        self.state = State::Between;
                    }
                }
            }
        }
        Ok(())
    }
}

fn content_length(line: &[u8]) -> Option<usize> {
    let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
    if name.trim().eq_ignore_ascii_case("content-length") { value.trim().parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Vec<u8> {
        let mut bytes = Vec::new();
        for len in [0u16, 3, 1_400, 12] {
            bytes.extend([b'$', 2]);
            bytes.extend(len.to_be_bytes());
            bytes.extend((0..len).map(|at| at as u8));
            bytes.extend(b"RTSP/1.0 200 OK\r\nCSeq: 4\r\nContent-Length: 5\r\n\r\n$$$$$");
        }
        bytes
    }

    fn walk(wire: &mut Wire, pieces: &[&[u8]]) -> Vec<(u8, usize, usize)> {
        let mut seen = Vec::new();
        for piece in pieces {
            wire.feed(piece, |channel, packet, len| {
                assert!(packet.iter().enumerate().all(|(at, &byte)| byte == at as u8));
                seen.push((channel, packet.len(), len));
            })
            .unwrap();
        }
        seen
    }

    #[test]
    fn packets_are_the_same_however_the_bytes_are_split() {
        let bytes = stream();
        for size in [1, 2, 3, 5, 7, 100, 1_399, 1_404, bytes.len()] {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let lens: Vec<usize> = walk(&mut Wire::new(false), &pieces).iter().map(|&(_, _, len)| len).collect();
            assert_eq!(lens, [0, 3, 1_400, 12], "pieces of {size}");
            let whole: Vec<usize> = walk(&mut Wire::new(true), &pieces).iter().map(|&(_, kept, _)| kept).collect();
            assert_eq!(whole, [0, 3, 1_400, 12], "pieces of {size}");
        }
    }

    #[test]
    fn a_split_packet_costs_no_more_than_its_head() {
        let mut wire = Wire::new(false);
        let mut frame = vec![b'$', 0, 0x20, 0];
        frame.extend((0..0x2000).map(|at| at as u8));
        let (first, second) = frame.split_at(5_000);
        assert_eq!(walk(&mut wire, &[first, second]), [(0, HEAD, 0x2000)]);
        assert!(wire.kept.capacity() < 1_024);
    }

    #[test]
    fn garbage_is_told() {
        assert_eq!(Wire::new(false).feed(&[0x80, 1], |_, _, _| ()), Err(OutOfStep));
    }
}
