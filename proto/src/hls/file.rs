//! What players ask for: names of files, and the words of a blocking reload.

use core::fmt;

use sha2::{Digest, Sha256};

use super::rendition::Rendition;
use crate::id::Epoch;

/// The part of an epoch that stands in names: 48 bits of microseconds go round in nine years.
const ID_MASK: u64 = (1 << 48) - 1;

/// A file below a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// Of the epoch, or of an initialisation segment's content.
    pub id: u64,
    /// Of which playlist.
    pub rendition: Rendition,
    /// What it is.
    pub kind: FileKind,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// An initialisation segment.
    Init,
    /// A segment of fragmented MP4.
    Segment(u64),
    /// A segment of a transport stream.
    TsSegment(u64),
    /// A part.
    Part(u64),
}

/// The digits that an initialisation segment is named by.
pub fn init_id(content: &[u8]) -> u64 {
    let digest = Sha256::digest(content);
    digest.iter().take(6).fold(0, |id, byte| id << 8 | u64::from(*byte))
}

impl File {
    /// The digits that an epoch's files are named by.
    pub const fn epoch_id(epoch: Epoch) -> u64 {
        epoch.0 & ID_MASK
    }

    /// Reads a name. `None` for anything that [`fmt::Display`] would not have written, but for `.mp` in the place of
    /// `.mp4`, which some players make of it.
    pub fn parse(name: &str) -> Option<Self> {
        let (digits, rest) = name.split_once('_')?;
        let plain = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if digits.len() != 12 || !digits.chars().all(plain) {
            return None;
        }
        let id = u64::from_str_radix(digits, 16).ok()?;
        let (rendition, rest) = rest.split_once('_')?;
        let rendition = rendition.parse().ok()?;
        let (stem, extension) = rest.split_once('.')?;
        let mp4 = matches!(extension, "mp4" | "mp");
        let kind = match (stem, mp4) {
            ("init", true) => FileKind::Init,
            (stem, _) => match (stem.strip_prefix("seg"), stem.strip_prefix("part")) {
                (Some(number), _) if mp4 => FileKind::Segment(decimal(number)?),
                (Some(number), _) if extension == "ts" => FileKind::TsSegment(decimal(number)?),
                (_, Some(number)) if mp4 => FileKind::Part(decimal(number)?),
                _ => return None,
            },
        };
        Some(Self { id, rendition, kind })
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}_{}_", self.id, self.rendition)?;
        match self.kind {
            FileKind::Init => f.write_str("init.mp4"),
            FileKind::Segment(number) => write!(f, "seg{number}.mp4"),
            FileKind::TsSegment(number) => write!(f, "seg{number}.ts"),
            FileKind::Part(number) => write!(f, "part{number}.mp4"),
        }
    }
}

/// A number without sign and without zeros in front.
fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// The directives of a playlist request (section 6.2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// `_HLS_msn`: wait for this segment.
    pub segment: Option<u64>,
    /// `_HLS_part`: wait for this part of it.
    pub part: Option<u32>,
    /// `_HLS_skip`: leave out what the player has.
    pub skip: bool,
}

/// A directive that cannot be meant so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// A number is none, or a word is unknown.
    #[error("invalid value of {0}")]
    Value(&'static str),
    /// A part of no segment.
    #[error("_HLS_part without _HLS_msn")]
    PartAlone,
}

impl Reload {
    /// Reads the directives out of a query; other parameters are passed over.
    pub fn parse(query: &str) -> Result<Self, ReloadError> {
        let mut reload = Self::default();
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "_HLS_msn" => reload.segment = Some(decimal(value).ok_or(ReloadError::Value("_HLS_msn"))?),
                "_HLS_part" => {
                    let number = decimal(value).and_then(|number| u32::try_from(number).ok());
                    reload.part = Some(number.ok_or(ReloadError::Value("_HLS_part"))?);
                }
                "_HLS_skip" => {
                    reload.skip = match value {
                        "YES" | "v2" => true,
                        _ => return Err(ReloadError::Value("_HLS_skip")),
                    };
                }
                _ => {}
            }
        }
        if reload.part.is_some() && reload.segment.is_none() {
            return Err(ReloadError::PartAlone);
        }
        Ok(reload)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_read_as_they_are_written() {
        for name in [
            "0005a1b2c3d4_main_init.mp4",
            "0005a1b2c3d4_video1_seg17.mp4",
            "0005a1b2c3d4_main_seg0.ts",
            "ffffffffffff_audio2_part18446744073709551615.mp4",
        ] {
            assert_eq!(File::parse(name).unwrap().to_string(), name);
        }
        assert_eq!(File::parse("0005a1b2c3d4_main_seg1.mp"), File::parse("0005a1b2c3d4_main_seg1.mp4"));
    }

    #[test]
    fn other_names_are_refused() {
        for name in [
            "",
            "_",
            "0005a1b2c3d4_main_init.ts",
            "0005A1b2c3d4_main_seg1.mp4",
            "0005a1b2c3d4_main_seg01.mp4",
            "0005a1b2c3d4_main_seg+1.mp4",
            "0005a1b2c3d4_main_seg1.mp4/../x",
            "0005a1b2c3d4_audio0_seg1.mp4",
            "0005a1b2c3d4_audio01_seg1.mp4",
            "0005a1b2c3d4_main_seg18446744073709551616.mp4",
            "0005a1b2c3d4_main_seg.mp4",
        ] {
            assert_eq!(File::parse(name), None, "{name}");
        }
    }

    #[test]
    fn directives_are_read_among_others() {
        let reload = Reload::parse("session=x&_HLS_msn=12&_HLS_part=3&_HLS_skip=YES").unwrap();
        assert_eq!(reload, Reload { segment: Some(12), part: Some(3), skip: true });
        assert_eq!(Reload::parse(""), Ok(Reload::default()));
        assert_eq!(Reload::parse("_HLS_part=1"), Err(ReloadError::PartAlone));
        for bad in ["_HLS_msn=", "_HLS_msn=-1", "_HLS_msn=1.5", "_HLS_msn=1&_HLS_part=4294967296", "_HLS_skip=NO"] {
            assert!(Reload::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}") {
            if let Some(file) = File::parse(&text) {
                prop_assert_eq!(File::parse(&file.to_string()), Some(file));
            }
            let _ = Reload::parse(&text);
        }
    }
}
