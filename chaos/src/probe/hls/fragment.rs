//! The first NAL units of each sample of a fragment (ISO/IEC 14496-12 section 8.8), where our stamps stand.

/// NAL units that may stand before a stamp: a delimiter and parameter sets.
const BEFORE_STAMP: usize = 4;
const SEI: u8 = 6;

/// Calls `each` with the SEI NAL unit of each sample, and when it is to be presented, in the track's clock.
pub(super) fn units(fragment: &[u8], mut each: impl FnMut(&[u8], u32)) {
    let (mut rest, mut at) = (fragment, 0);
    while let Some((kind, content, size)) = first_box(rest) {
        if kind == b"moof" {
            for traf in boxes(content, b"traf") {
                run(&fragment[at..], traf, &mut each);
            }
        }
        at += size;
        rest = &rest[size..];
    }
}

/// Kind, content and whole size of the first box.
fn first_box(bytes: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let size = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
    Some((bytes.get(4..8)?, bytes.get(8..size)?, size))
}

fn boxes<'a>(mut bytes: &'a [u8], kind: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    std::iter::from_fn(move || {
        loop {
            let (own, content, size) = first_box(bytes)?;
            bytes = &bytes[size..];
            if own == kind {
                return Some(content);
            }
        }
    })
}

struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn next(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }
}

/// The samples of one track. `moof` begins with the box that offsets count from.
fn run(moof: &[u8], traf: &[u8], each: &mut impl FnMut(&[u8], u32)) -> Option<()> {
    let time = boxes(traf, b"tfdt").next()?;
    let mut time = match time.first()? {
        1 => u64::from_be_bytes(*time.get(4..)?.first_chunk()?) as u32,
        _ => u32::from_be_bytes(*time.get(4..)?.first_chunk()?),
    };
    for trun in boxes(traf, b"trun") {
        let mut numbers = Numbers(trun);
        let flags = numbers.next()? & 0xff_ffff;
        let count = numbers.next()?;
        // Without an offset and with sizes by default we would have to know the track.
        if flags & 0x201 != 0x201 {
            return None;
        }
        let mut at = numbers.next()? as usize;
        if flags & 0x4 != 0 {
            numbers.next()?;
        }
        for _ in 0..count {
            let duration = if flags & 0x100 != 0 { numbers.next()? } else { 0 };
            let size = numbers.next()? as usize;
            if flags & 0x400 != 0 {
                numbers.next()?;
            }
            let offset = if flags & 0x800 != 0 { numbers.next()? } else { 0 };
            if let Some(sei) = moof.get(at..at + size).and_then(first_sei) {
                each(sei, time.wrapping_add(offset));
            }
            at += size;
            time = time.wrapping_add(duration);
        }
    }
    Some(())
}

fn first_sei(mut sample: &[u8]) -> Option<&[u8]> {
    for _ in 0..BEFORE_STAMP {
        let (length, rest) = sample.split_first_chunk()?;
        let (nal, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        if nal.first()? & 0x1f == SEI {
            return Some(nal);
        }
        sample = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes()[..], kind, content].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn each_sample_shows_its_sei() {
        let samples: [&[u8]; 2] = [&[0, 0, 0, 1, 0x67, 0, 0, 0, 2, 6, 5], &[0, 0, 0, 2, 6, 7]];
        // Duration, size, flags and composition time of each.
        let run = |offset| words(&[0x0100_0f01, 2, offset, 3_600, 11, 0, 7_200, 3_600, 6, 0, 0]);
        let time = boxed(b"tfdt", &[&[1, 0, 0, 0][..], &90_000u64.to_be_bytes()].concat());
        let moof = |offset| boxed(b"moof", &boxed(b"traf", &[time.clone(), boxed(b"trun", &run(offset))].concat()));
        let length = moof(0).len() as u32;
        let whole = [moof(length + 8), boxed(b"mdat", &samples.concat())].concat();
        let mut seen = Vec::new();
        units(&whole, |nal, time| seen.push((nal.to_vec(), time)));
        assert_eq!(seen, [(vec![6, 5], 97_200), (vec![6, 7], 93_600)]);
    }

    #[test]
    fn anything_else_is_passed_over() {
        units(b"", |_, _| panic!("nothing is there"));
        units(&[0, 0, 0, 9, b'm', b'o', b'o', b'f', 1], |_, _| panic!("nothing is there"));
        units(&[0xff; 64], |_, _| panic!("nothing is there"));
    }
}
