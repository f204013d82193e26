//! The samples of fragments with one track (ISO/IEC 14496-12 section 8.8): when each is shown, and its slice.

/// Bytes of a box's size and kind.
const HEAD: usize = 8;

/// A sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample<'a> {
    /// When it is to be shown, in the track's clock.
    pub ticks: u64,
    /// Its first NAL unit that is a slice (ITU-T H.264 section 7.4.1), without its length.
    pub slice: &'a [u8],
}

/// All samples, in order. Panics where these are no fragments as our server writes them.
pub(super) fn samples(mut bytes: &[u8]) -> Vec<Sample<'_>> {
    let mut samples = Vec::new();
    while !bytes.is_empty() {
        let (kind, content, size) = first_box(bytes);
        if kind == b"moof" {
            let traf = find(content, b"traf");
            run(bytes, find(traf, b"tfdt"), find(traf, b"trun"), &mut samples);
        }
        bytes = &bytes[size..];
    }
    samples
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Kind, content and whole size.
fn first_box(bytes: &[u8]) -> (&[u8], &[u8], usize) {
    let size = word(bytes, 0) as usize;
    (&bytes[4..HEAD], &bytes[HEAD..size], size)
}

fn find<'a>(mut bytes: &'a [u8], wanted: &[u8]) -> &'a [u8] {
    loop {
        let (kind, content, size) = first_box(bytes);
        if kind == wanted {
            return content;
        }
        bytes = &bytes[size..];
    }
}

/// `moof` begins with the box that offsets count from.
fn run<'a>(moof: &'a [u8], tfdt: &[u8], trun: &[u8], samples: &mut Vec<Sample<'a>>) {
    assert_eq!(tfdt[0], 1, "times of 64 bits");
    let mut time = u64::from(word(tfdt, 4)) << 32 | u64::from(word(tfdt, 8));
    let flags = word(trun, 0) & 0xff_ffff;
    assert_eq!(flags & 0x301, 0x301, "an offset, durations and sizes");
    let (count, mut at) = (word(trun, 4), word(trun, 8) as usize);
    let mut next = 12 + if flags & 0x4 == 0 { 0 } else { 4 };
    let mut number = |wanted: u32| {
        let value = if flags & wanted == 0 { 0 } else { word(trun, next) };
        next += if flags & wanted == 0 { 0 } else { 4 };
        value
    };
    for _ in 0..count {
        let [duration, size, _, offset] = [0x100, 0x200, 0x400, 0x800].map(&mut number);
        let sample = &moof[at..at + size as usize];
        let ticks = time.wrapping_add_signed(i64::from(offset.cast_signed()));
        samples.extend(slice(sample).map(|slice| Sample { ticks, slice }));
        at += size as usize;
        time += u64::from(duration);
    }
}

fn slice(mut sample: &[u8]) -> Option<&[u8]> {
    while !sample.is_empty() {
        let end = 4 + word(sample, 0) as usize;
        if matches!(sample[4] & 0x1f, 1 | 5) {
            return Some(&sample[4..end]);
        }
        sample = &sample[end..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes()[..], kind, content].concat()
    }

    #[test]
    fn each_sample_has_its_time_and_slice() {
        let data: &[u8] = &[0, 0, 0, 1, 0x67, 0, 0, 0, 2, 0x65, 7, 0, 0, 0, 2, 0x41, 8];
        let fragment = |offset: u32| {
            let words = [0x0100_0f01, 2, offset, 3_600, 11, 0, 7_200, 3_600, 6, 0, 0];
            let trun: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect();
            let tfdt = [&[1, 0, 0, 0][..], &90_000u64.to_be_bytes()].concat();
            let traf = [boxed(b"tfhd", &[]), boxed(b"tfdt", &tfdt), boxed(b"trun", &trun)].concat();
            boxed(b"moof", &[boxed(b"mfhd", &[]), boxed(b"traf", &traf)].concat())
        };
        let length = fragment(0).len() as u32;
        let whole = [fragment(length + 8), boxed(b"mdat", data)].concat();
        let expected = [Sample { ticks: 97_200, slice: &[0x65, 7] }, Sample { ticks: 93_600, slice: &[0x41, 8] }];
        assert_eq!(samples(&whole), expected);
    }
}
