//! `MPEG-4 Audio LATM` (RFC 6416): elements of LATM in packets, and what they are outside of them: AAC.

use bytes::{Bytes, BytesMut};

use super::config;
use crate::bitstream::aac::AudioSpecificConfig;
use crate::bitstream::latm::{LABEL, StreamMuxConfig, access_units, is_configured_in_band};
use crate::media::{Codec, OpaqueConfig, Payload, Track, Unit};

/// What the track is when it is put together; `None` when we cannot, or when neither the SDP (RFC 6416 section 7.3) nor the
/// stream has said it yet.
pub fn codec(opaque: &OpaqueConfig) -> Option<Codec> {
    signalled(opaque).map(|config| Codec::Aac(config.aac))
}

fn signalled(opaque: &OpaqueConfig) -> Option<StreamMuxConfig> {
    if opaque.label != LABEL {
        return None;
    }
    // What the stream says is newer.
    let said = opaque.in_band.as_ref().and_then(|config| StreamMuxConfig::parse(config).ok());
    said.or_else(|| StreamMuxConfig::parse(&config(opaque)?).ok())
}

/// Takes access units out of elements.
#[derive(Clone, Debug)]
pub(super) struct Taker {
    /// Configurations come in the elements, too (`cpresent`, which is on where nothing is said).
    in_band: bool,
    signalled: StreamMuxConfig,
    current: Option<StreamMuxConfig>,
    /// Ticks of an access unit.
    ticks: i64,
}

impl Taker {
    pub(super) fn new(track: &Track) -> Option<Self> {
        let Codec::Opaque(opaque) = &track.codec else { return None };
        let signalled = signalled(opaque)?;
        let samples = AudioSpecificConfig::parse(&signalled.aac.asc).ok()?.frame_samples;
        let hertz = i64::from(track.clock_rate.hertz());
        Some(Self {
            in_band: is_configured_in_band(opaque),
            ticks: i64::from(samples) * hertz / i64::from(signalled.aac.sample_rate.max(1)),
            current: Some(signalled.clone()),
            signalled,
        })
    }

    /// Gives out the access units of an element; those of another configuration than the signalled one are left out.
    pub(super) fn take(&mut self, unit: &Unit, payloads: &[Payload], mut out: impl FnMut(Unit)) {
        let Ok(found) = access_units(&mut self.current, self.in_band, &joined(payloads)) else { return };
        if self.current.as_ref().is_none_or(|current| current.aac != self.signalled.aac) {
            return;
        }
        let times = (0..).map(|index: i64| index * self.ticks);
        for (bytes, after) in found.into_iter().zip(times).filter(|(bytes, _)| !bytes.is_empty()) {
            out(Unit {
                pts: unit.pts.saturating_add(after),
                dts: unit.dts.saturating_add(after),
                marker: false,
                payload: Payload::single(bytes),
                ..unit.clone()
            });
        }
    }
}

/// Payloads in one piece: shared when it is one already.
fn joined(payloads: &[Payload]) -> Bytes {
    let mut slices = payloads.iter().flat_map(Payload::frames).flat_map(|frame| frame.slices());
    match (slices.next(), slices.next()) {
        (Some(only), None) => only.clone(),
        _ => {
            let mut whole = BytesMut::with_capacity(payloads.iter().map(Payload::len).sum());
            let slices = payloads.iter().flat_map(Payload::frames).flat_map(|frame| frame.slices());
            slices.for_each(|slice| whole.extend_from_slice(slice));
            whole.freeze()
        }
    }
}

#[cfg(test)]
#[path = "latm_tests.rs"]
mod tests;
