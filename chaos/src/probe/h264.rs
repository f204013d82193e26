//! A synthetic H.264 stream that any decoder accepts: 1280x720 constrained baseline, a grey picture. A random
//! access point is an IDR slice of Intra16x16 macroblocks without residual, all else is skipped macroblocks; what
//! is missing to the wanted bitrate is padding in the [`Stamp`]'s SEI. Clauses are those of ITU-T H.264.

use super::stamp::Stamp;

const WIDTH_MBS: u32 = 80;
const HEIGHT_MBS: u32 = 45;
const MBS: u32 = WIDTH_MBS * HEIGHT_MBS;
/// Encoders spend about so many times more on a random access point than on another frame.
const KEY_WEIGHT: f64 = 6.0;
/// `log2_max_frame_num`: frame numbers count modulo 256.
const FRAME_NUM_BITS: u32 = 8;

/// Makes the units of one publisher, one after the other.
#[derive(Debug)]
pub struct Synth {
    path: u16,
    next: u32,
    /// Of the next unit in its group, and how many groups have begun.
    place: u32,
    groups: u32,
    group_len: u32,
    sps: Vec<u8>,
    pps: Vec<u8>,
    key_slices: [Vec<u8>; 2],
    slice: Vec<u8>,
    sei: Vec<u8>,
    key_pad: u32,
    other_pad: u32,
}

/// One access unit, as NAL units without start codes.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    /// What its SEI says.
    pub stamp: Stamp,
    /// SPS, PPS, SEI, slice; without the parameter sets when the unit is no random access point.
    nals: [&'a [u8]; 4],
}

impl<'a> Unit<'a> {
    /// The NAL units in decoding order.
    pub fn nals(&self) -> &[&'a [u8]] {
        if self.stamp.key { &self.nals } else { &self.nals[2..] }
    }
}

impl Synth {
    /// A stream of `bitrate` bits per second (video bytes, no packet headers) for publisher number `path`, with a random
    /// access point each `group_len` frames.
    pub fn new(path: u16, bitrate: u64, fps: u32, group_len: u32) -> Self {
        let group_len = group_len.max(1);
        let group_bytes = bitrate as f64 / 8.0 * f64::from(group_len) / f64::from(fps);
        let other = group_bytes / (f64::from(group_len - 1) + KEY_WEIGHT);
        let (sps, pps) = (sps(fps, bitrate), pps());
        let key_slices = [slice(true, 0, 0), slice(true, 0, 1)];
        let key_fixed = sps.len() + pps.len() + key_slices[0].len();
        let key_bytes = if group_len == 1 { group_bytes } else { other * KEY_WEIGHT };
        Self {
            path,
            next: 0,
            place: 0,
            groups: 0,
            group_len,
            key_pad: Stamp::pad_for((key_bytes as usize).saturating_sub(key_fixed)),
            other_pad: Stamp::pad_for((other as usize).saturating_sub(slice(false, 1, 0).len())),
            sps,
            pps,
            key_slices,
            slice: Vec::new(),
            sei: Vec::new(),
        }
    }

    /// SPS and PPS, for a session description.
    pub fn parameter_sets(&self) -> (&[u8], &[u8]) {
        (&self.sps, &self.pps)
    }

    /// Makes the next unit a random access point, as an encoder does who is asked for one.
    pub const fn begin_group(&mut self) {
        self.place = 0;
    }

    /// The next unit, stamped with `sent_ns`.
    pub fn unit(&mut self, sent_ns: u64) -> Unit<'_> {
        let (seq, place) = (self.next, self.place);
        self.next += 1;
        self.place = (place + 1) % self.group_len;
        let key = place == 0;
        let pad_len = if key { self.key_pad } else { self.other_pad };
        let stamp = Stamp { path: self.path, seq, key, sent_ns, pad_len };
        self.sei.clear();
        stamp.write_sei(&mut self.sei);
        let slice = if key {
            // Two IDR pictures in a row must differ in idr_pic_id (section 7.4.3).
            self.groups += 1;
            &self.key_slices[(self.groups % 2) as usize]
        } else {
            self.slice = slice(false, place, 0);
            &self.slice
        };
        Unit { stamp, nals: [&self.sps, &self.pps, &self.sei, slice] }
    }
}

/// Sequence parameter set with VUI (sections 7.3.2.1.1 and E.1.1): no picture is ever reordered.
fn sps(fps: u32, bitrate: u64) -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.bits(66, 8); // baseline
    bits.bits(0b1100_0000, 8); // constrained
    bits.bits(level(fps, bitrate), 8);
    bits.ue(0);
    bits.ue(FRAME_NUM_BITS - 4);
    bits.ue(2); // output order is decoding order
    bits.ue(1); // one reference frame
    bits.bits(0, 1);
    bits.ue(WIDTH_MBS - 1);
    bits.ue(HEIGHT_MBS - 1);
    bits.bits(0b1101, 4); // frame_mbs_only, direct_8x8_inference, no cropping, VUI follows
    bits.bits(0b0000, 4); // no aspect ratio, overscan, signal type, chroma location
    bits.bits(1, 1); // timing
    bits.bits(1, 32);
    bits.bits(2 * fps, 32);
    bits.bits(0b1000, 4); // fixed frame rate, no HRD, no picture structure
    bits.bits(0b11, 2); // bitstream restriction: vectors may leave the picture
    for value in [0, 0, 10, 10, 0, 1] {
        bits.ue(value); // bytes and bits denominators, vector lengths, reorder 0, buffer 1
    }
    bits.nal(0x67)
}

/// The lowest of three levels that allows this rate (table A-1).
fn level(fps: u32, bitrate: u64) -> u32 {
    match (fps * MBS, bitrate) {
        (0..=108_000, 0..=14_000_000) => 31,
        (0..=245_760, 0..=20_000_000) => 40,
        _ => 51,
    }
}

/// Picture parameter set (section 7.3.2.2): CAVLC, one slice group, the deblocking filter under the slice's control.
fn pps() -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.ue(0);
    bits.ue(0);
    bits.bits(0, 2); // CAVLC, no field order
    for _ in 0..3 {
        bits.ue(0); // slice groups, references
    }
    bits.bits(0, 3); // no weighted prediction
    for _ in 0..3 {
        bits.ue(0); // quantiser offsets, se(0)
    }
    bits.bits(0b100, 3); // deblocking control
    bits.nal(0x68)
}

/// A slice that is a whole picture (sections 7.3.3 and 7.3.4).
fn slice(key: bool, frame_num: u32, idr_pic_id: u32) -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.ue(0);
    bits.ue(if key { 7 } else { 5 }); // all slices of the picture are I, or P
    bits.ue(0);
    bits.bits(frame_num % (1 << FRAME_NUM_BITS), FRAME_NUM_BITS);
    if key {
        bits.ue(idr_pic_id);
        bits.bits(0b00, 2); // dec_ref_pic_marking of an IDR picture
    } else {
        bits.bits(0b00, 2); // default reference count and order
        bits.bits(0, 1); // sliding window marking
    }
    bits.ue(0); // slice_qp_delta, se(0)
    bits.ue(1); // no deblocking
    if key {
        for _ in 0..MBS {
            // mb_type 3 = I_16x16_2_0_0 (DC, no coefficients), chroma DC, no quantiser change, empty DC block
            bits.bits(0b0010_0111, 8);
        }
    } else {
        bits.ue(MBS); // mb_skip_run
    }
    bits.nal(if key { 0x65 } else { 0x41 })
}

/// Writes most significant bit first.
#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    used: u32,
}

impl BitWriter {
    fn bits(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.len() - 1;
            self.bytes[last] |= ((value >> bit & 1) as u8) << (7 - self.used % 8);
            self.used += 1;
        }
    }

    /// `ue(v)`, section 9.1.
    fn ue(&mut self, value: u32) {
        let len = (value + 1).ilog2();
        self.bits(0, len);
        self.bits(value + 1, len + 1);
    }

    /// Ends the payload with its stop bit, prevents emulation (section 7.4.1) and puts the NAL header before it.
    fn nal(mut self, header: u8) -> Vec<u8> {
        self.bits(1, 1);
        let mut out = vec![header];
        let mut zeros = 0;
        for byte in self.bytes {
            if zeros == 2 && byte <= 3 {
                out.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            out.push(byte);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_proto::bits::BitReader;

    #[test]
    fn group_holds_the_wanted_bitrate_and_keys_are_larger() {
        let mut synth = Synth::new(0, 2_000_000, 30, 60);
        let sizes: Vec<usize> = (0..60).map(|_| synth.unit(1).nals().iter().map(|nal| nal.len()).sum()).collect();
        let total: usize = sizes.iter().sum();
        assert!((495_000..=500_000).contains(&total), "{total}");
        assert!(sizes[0] > 5 * sizes[1] && sizes[0] < 7 * sizes[1]);
    }

    #[test]
    fn keys_come_each_group_with_parameter_sets() {
        let mut synth = Synth::new(3, 500_000, 30, 30);
        for seq in 0..90 {
            let unit = synth.unit(seq);
            assert_eq!((unit.stamp.key, unit.stamp.seq), (seq % 30 == 0, seq as u32));
            assert_eq!(unit.nals().len(), if unit.stamp.key { 4 } else { 2 });
        }
    }

    #[test]
    fn a_key_that_was_asked_for_begins_a_group() {
        let mut synth = Synth::new(0, 500_000, 30, 10);
        let mut keys = Vec::new();
        for seq in 0..30 {
            if seq == 14 {
                synth.begin_group();
            }
            let unit = synth.unit(1);
            keys.extend(unit.stamp.key.then(|| (seq, unit.nals()[3].to_vec())));
        }
        assert_eq!(keys.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [0, 10, 14, 24]);
        assert!(keys.windows(2).all(|two| two[0].1 != two[1].1), "two in a row differ");
    }

    #[test]
    fn sps_reads_back() {
        let sps = sps(30, 2_000_000);
        assert_eq!(sps[..4], [0x67, 66, 0xc0, 31]);
        let mut bits = BitReader::new(&sps[4..]);
        let read: Vec<u32> = (0..4).map(|_| bits.ue().unwrap()).collect();
        assert_eq!(read, [0, 4, 2, 1]);
        bits.skip(1).unwrap();
        assert_eq!((bits.ue().unwrap(), bits.ue().unwrap()), (79, 44));
        assert!(sps.windows(3).all(|three| three != [0, 0, 0] && three != [0, 0, 1]));
    }

    #[test]
    fn key_slice_has_one_byte_per_macroblock() {
        let key = slice(true, 0, 1);
        assert!((3_600..3_610).contains(&key.len()));
        assert!(slice(false, 255, 0).len() < 12);
    }
}
