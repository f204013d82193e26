//! What segments hold: transport streams, or fragments behind an initialisation segment.

use weft_proto::bitstream::Taken;
use weft_proto::media::Track;
use weft_proto::mp4;
use weft_proto::ts::Demuxer;

/// Takes segments of one kind apart.
#[derive(Debug, Default)]
pub(super) enum Media {
    /// Nothing has come yet.
    #[default]
    Unknown,
    /// A transport stream.
    Ts(Box<Demuxer>),
    /// Fragmented MP4.
    Mp4(Box<mp4::Reader>),
}

impl Media {
    /// What follows an initialisation segment.
    pub(super) fn after(init: &[u8]) -> Result<Self, String> {
        let mut reader = Box::new(mp4::Reader::new());
        reader.push(init).map_err(|error| error.to_string())?;
        reader.flush();
        if reader.tracks().len() == 0 {
            let foreign = reader.take_foreign().map(|name| format!(": {name}")).unwrap_or_default();
            return Err(format!("the initialisation segment has no track that is supported{foreign}"));
        }
        Ok(Self::Mp4(reader))
    }

    /// Takes the next bytes. `near`: times, in ticks of 90 kHz, of the renditions beside this one.
    pub(super) fn push(&mut self, bytes: &[u8], near: Option<i64>) -> Result<(), String> {
        const SYNC: u8 = 0x47;
        if matches!(self, Self::Unknown) {
            let mut demuxer = Box::new(Demuxer::new());
            near.into_iter().for_each(|ticks| demuxer.follow(ticks));
            *self = match bytes {
                [] => return Ok(()),
                [SYNC, ..] => Self::Ts(demuxer),
                [0xff, ..] | [b'I', b'D', b'3', ..] => return Err("segments of bare sound are not supported".into()),
                [_, _, _, _, b'f' | b's', b't', b'y', b'p', ..] => Self::Mp4(Box::default()),
                [b'<', ..] => return Err("a segment is a page of text".into()),
                _ => return Err("segments are neither MPEG-TS nor fragmented MP4".into()),
            };
        }
        match self {
            Self::Unknown => {}
            Self::Ts(demuxer) => demuxer.push(bytes),
            Self::Mp4(reader) => return reader.push(bytes).map_err(|error| error.to_string()),
        }
        Ok(())
    }

    /// The segment is over.
    pub(super) fn flush(&mut self) {
        match self {
            Self::Unknown => {}
            Self::Ts(demuxer) => demuxer.flush(),
            Self::Mp4(reader) => reader.flush(),
        }
    }

    /// The next unit, and the number of the list of tracks that it belongs to.
    pub(super) fn take(&mut self) -> Option<(u32, Taken)> {
        match self {
            Self::Unknown => None,
            Self::Ts(demuxer) => demuxer.take().map(|found| (found.generation, found.taken)),
            Self::Mp4(reader) => reader.take().map(|taken| (reader.generation(), taken)),
        }
    }

    /// The tracks; `None` for those that are not known yet.
    pub(super) fn tracks(&self) -> Vec<Option<Track>> {
        match self {
            Self::Unknown => Vec::new(),
            Self::Ts(demuxer) => demuxer.tracks().collect(),
            Self::Mp4(reader) => reader.tracks().collect(),
        }
    }

    /// Whether times have 33 bits, so that who reads several must know which ones are meant.
    pub(super) const fn wraps(&self) -> bool {
        matches!(self, Self::Ts(_))
    }

    /// Units lost since the last call.
    pub(super) fn take_dropped(&mut self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::Ts(demuxer) => demuxer.take_dropped(),
            Self::Mp4(reader) => reader.take_dropped(),
        }
    }

    /// A stream that is left out, each once.
    pub(super) fn take_foreign(&mut self) -> Option<String> {
        match self {
            Self::Unknown => None,
            Self::Ts(demuxer) => demuxer.take_foreign().map(str::to_owned),
            Self::Mp4(reader) => reader.take_foreign(),
        }
    }
}
