//! What a client says that it understands, in its `connect` (Enhanced RTMP v2, section "Enhancing NetConnection connect
//! Command").

use smallvec::SmallVec;

use super::super::amf0::{Object, Value};
use super::super::tag::{Carriage, FourCc};
use crate::limits::TRACKS_MAX;

/// `CapsExMask`.
mod caps {
    pub(super) const RECONNECT: u32 = 1;
    pub(super) const MULTITRACK: u32 = 2;
    pub(super) const MOD_EX: u32 = 4;
    pub(super) const NANO_OFFSET: u32 = 8;
}

/// `FourCcInfoMask`: a client that decodes or passes on can take a codec.
const CAN_DECODE: u32 = 1;
const CAN_FORWARD: u32 = 4;

/// Codecs that a client names; there are eleven in the standard.
const CODECS_MAX: usize = TRACKS_MAX;

/// What a client understands beyond FLV.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    codecs: SmallVec<[FourCc; 4]>,
    /// Every codec, of video and of audio.
    all: bool,
    /// It can be asked to connect elsewhere.
    pub reconnect: bool,
    /// It understands several tracks of a kind.
    pub multitrack: bool,
}

impl Capabilities {
    /// Out of the command object of a `connect`.
    pub(super) fn of(object: &Object) -> Self {
        let mut own = Self::default();
        if let Some(Value::StrictArray(list)) = object.get("fourCcList") {
            list.iter().filter_map(Value::as_str).for_each(|name| own.add(name));
        }
        for map in ["videoFourCcInfoMap", "audioFourCcInfoMap"] {
            let map = object.get(map).and_then(Value::as_object);
            for (name, flags) in map.map_or(&[][..], |map| &map.0) {
                if flags.as_number().is_some_and(|flags| flags as u32 & (CAN_DECODE | CAN_FORWARD) != 0) {
                    own.add(name);
                }
            }
        }
        let caps = object.get("capsEx").and_then(Value::as_number).unwrap_or(0.0) as u32;
        own.reconnect = caps & caps::RECONNECT != 0;
        own.multitrack = caps & caps::MULTITRACK != 0;
        own
    }

    fn add(&mut self, name: &str) {
        if name == "*" {
            self.all = true;
        } else if let Some(four_cc) = name.as_bytes().first_chunk().filter(|_| name.len() == 4)
            && self.codecs.len() < CODECS_MAX
        {
            self.codecs.push(FourCc(*four_cc));
        }
    }

    /// Whether the client says anything of Enhanced RTMP.
    pub fn is_enhanced(&self) -> bool {
        self.all || !self.codecs.is_empty() || self.reconnect || self.multitrack
    }

    /// Whether the client can take a codec that is carried like this, as the first track of its kind.
    pub fn takes(&self, carriage: Carriage) -> bool {
        carriage.plain || self.takes_enhanced(carriage)
    }

    /// The same for further tracks, which are always in the form of Enhanced RTMP. Codecs as old as FLV need not be named.
    pub fn takes_numbered(&self, carriage: Carriage) -> bool {
        self.multitrack && carriage.four_cc.is_some() && self.takes(carriage)
    }

    fn takes_enhanced(&self, carriage: Carriage) -> bool {
        carriage.four_cc.is_some_and(|four_cc| self.all || self.codecs.contains(&four_cc))
    }
}

/// What this server understands, as it goes into the answer to `connect`.
pub(super) fn own() -> Vec<(&'static str, Value)> {
    let all = CAN_FORWARD.into();
    let map = |codecs: &[FourCc]| {
        let named = codecs.iter().map(|four_cc| (four_cc.to_string(), Value::Number(all)));
        Value::Object(Object(named.collect()))
    };
    let video = [FourCc::AVC, FourCc::HEVC, FourCc::AV1, FourCc::VP9, FourCc::VP8];
    let audio = [FourCc::AAC, FourCc::OPUS, FourCc::FLAC, FourCc::AC3, FourCc::MP3];
    let list = video.iter().chain(&audio).map(|four_cc| Value::String(four_cc.to_string())).collect();
    let caps = caps::RECONNECT | caps::MULTITRACK | caps::MOD_EX | caps::NANO_OFFSET;
    vec![
        ("fourCcList", Value::StrictArray(list)),
        ("videoFourCcInfoMap", map(&video)),
        ("audioFourCcInfoMap", map(&audio)),
        ("capsEx", Value::Number(caps.into())),
    ]
}
