//! `onMetaData`: what a stream says of itself before it begins (FLV 10.1, annex E.5; Enhanced RTMP v2, section
//! "Enhancing onMetaData").

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Form, audio, carriage, video};
use crate::bitstream::{Prop, codec_props};
use crate::limits::TRACKS_MAX;
use crate::media::{Codec, G711Law, Kind, Track};
use crate::rtmp::amf0::{self, Object, Value};

/// The tracks that a publisher's metadata announces, each with its number; none when it does not say.
pub fn announced(values: &[Value]) -> SmallVec<[(Kind, u8); 2]> {
    let Some(object) = values.iter().rev().find_map(Value::as_object) else { return SmallVec::new() };
    let mut tracks = SmallVec::new();
    for (kind, codec, map) in
        [(Kind::Video, "videocodecid", "videoTrackIdInfoMap"), (Kind::Audio, "audiocodecid", "audioTrackIdInfoMap")]
    {
        if object.get(codec).is_some_and(names_codec) {
            tracks.push((kind, 0));
        }
        let more = object.get(map).and_then(Value::as_object).map_or(&[][..], |map| &map.0);
        let numbers = more.iter().filter_map(|(number, _)| number.parse().ok());
        let room = TRACKS_MAX.saturating_sub(tracks.len());
        tracks.extend(numbers.filter(|number| *number > 0).take(room).map(|number| (kind, number)));
    }
    tracks
}

/// A number of FLV or of Enhanced RTMP, or a name as some encoders write it. 0 means none, but for sound, where it would
/// be samples as they lie in the encoder's memory, which nobody sends.
fn names_codec(value: &Value) -> bool {
    match value {
        Value::Number(number) => *number > 0.0,
        Value::String(name) => !name.is_empty(),
        _ => false,
    }
}

/// The values of a data message that describes these tracks to a player.
pub fn on_metadata<'a>(tracks: impl IntoIterator<Item = (Form, &'a Track)>) -> Bytes {
    let mut all = Vec::new();
    let mut numbered = [(Kind::Video, Vec::new()), (Kind::Audio, Vec::new())];
    for (form, track) in tracks {
        let properties = properties(&track.codec, form);
        match form {
            Form::First => all.extend(properties),
            Form::Numbered(number) => {
                let value = (number.to_string(), Value::Object(Object(properties)));
                numbered
                    .iter_mut()
                    .filter(|(kind, _)| *kind == track.kind())
                    .for_each(|(_, map)| map.push(value.clone()));
            }
        }
    }
    for ((_, map), name) in numbered.into_iter().zip(["videoTrackIdInfoMap", "audioTrackIdInfoMap"]) {
        if !map.is_empty() {
            all.push((name.to_owned(), Value::Object(Object(map))));
        }
    }
    all.push(("encoder".to_owned(), Value::String("Weft".to_owned())));
    amf0::write_all(&[Value::String("onMetaData".to_owned()), Value::EcmaArray(Object(all))])
}

fn properties(codec: &Codec, form: Form) -> Vec<(String, Value)> {
    let mut properties = Vec::new();
    let mut number = |name: &str, value: f64| properties.push((name.to_owned(), Value::Number(value)));
    let id = codec_id(codec, form);
    let (width, height) = size(codec);
    if codec.kind() == Kind::Video {
        if width > 0 && height > 0 {
            number("width", width.into());
            number("height", height.into());
        }
        number("videocodecid", id);
        return properties;
    }
    number("audiocodecid", id);
    let (rate, channels) = layout(codec);
    if form == Form::First {
        number("audiosamplerate", rate.into());
        number("audiochannels", channels.into());
        properties.push(("stereo".to_owned(), Value::Boolean(channels > 1)));
    } else {
        number("samplerate", rate.into());
        number("channels", channels.into());
    }
    properties
}

fn codec_id(codec: &Codec, form: Form) -> f64 {
    let four_cc = carriage(codec).and_then(|carriage| carriage.four_cc);
    let name = four_cc.map_or(0.0, |four_cc| u32::from_be_bytes(four_cc.0).into());
    let plain = match codec {
        Codec::H264(_) => video::codec::AVC,
        Codec::Aac(_) => audio::format::AAC,
        Codec::MpegAudio(_) => audio::format::MP3,
        Codec::G711(G711Law::A, _) => audio::format::G711_A,
        Codec::G711(G711Law::Mu, _) => audio::format::G711_MU,
        Codec::Lpcm(_) => audio::format::LPCM_LITTLE_ENDIAN,
        _ => return name,
    };
    if form == Form::First { plain.into() } else { name }
}

fn size(codec: &Codec) -> (u32, u32) {
    match codec {
        Codec::Vp8(config) => (config.width.into(), config.height.into()),
        Codec::Vp9(config) => (config.width, config.height),
        _ => {
            let props = codec_props(codec);
            let find = |name: &str| {
                props.iter().find_map(|(key, value)| match value {
                    Prop::Number(number) if *key == name => Some(*number),
                    _ => None,
                })
            };
            (find("width").unwrap_or(0), find("height").unwrap_or(0))
        }
    }
}

/// Samples per second and channels.
fn layout(codec: &Codec) -> (u32, u8) {
    match codec {
        Codec::Aac(config) => (config.sample_rate, config.channels),
        Codec::Opus(config) => (crate::bitstream::opus::SAMPLE_RATE, config.channels),
        Codec::MpegAudio(config) => (config.sample_rate, config.channels),
        Codec::Ac3(config) => (config.sample_rate, config.channels),
        Codec::Flac(config) => (config.sample_rate, config.channels),
        Codec::G711(_, layout) => (layout.sample_rate, layout.channels),
        Codec::Lpcm(config) => (config.sample_rate, config.channels),
        _ => (0, 0),
    }
}
