//! The media playlist (section 4.4.3 and 4.4.4).

use core::fmt;

use super::file::{File, FileKind};
use super::rendition::{Rendition, Variant};
use super::template::Template;
use super::window::{Body, Segment, Window};
use crate::time::WallClock;

/// What a media playlist is made of.
#[derive(Clone, Copy, Debug)]
pub struct MediaPlaylist<'a> {
    /// The run.
    pub window: &'a Window,
    /// All renditions, in the order of the window's bodies.
    pub renditions: &'a [Rendition],
    /// Which of them this is.
    pub index: usize,
    /// Kind of segments.
    pub variant: Variant,
    /// The wall clock at zero of path time.
    pub born: WallClock,
    /// Leave out what players already have (`_HLS_skip`).
    pub skip: bool,
}

/// Players of low latency stay so many parts behind the end (section 4.4.3.8: at least two, better three).
const HOLD_BACK_PARTS: i64 = 3;

/// What is older than so many target durations may be skipped (section 4.4.3.8: at least six).
const SKIP_TARGETS: i64 = 6;

/// Parts are listed for so many target durations before the end (section 4.4.4.9).
const PARTS_TARGETS: i64 = 3;

/// Writes the playlist.
pub fn media_playlist(playlist: &MediaPlaylist<'_>) -> Template {
    let mut text = Template::default();
    let window = playlist.window;
    let low_latency = playlist.variant == Variant::LowLatency;
    let listed: Vec<&Segment> =
        window.listed().filter(|segment| low_latency || segment.duration_micros.is_some()).collect();
    let target = i64::from(window.target_seconds()) * 1_000_000;
    let end_micros = listed.last().map_or(0, |last| last.start_micros + length(last));
    let skipped = match playlist.skip && low_latency {
        true => listed.iter().take_while(|s| end_micros - (s.start_micros + length(s)) > SKIP_TARGETS * target).count(),
        false => 0,
    };
    put_head(&mut text, playlist, listed.first().copied(), target);
    if skipped > 0 {
        text.line(format_args!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}"));
    }
    // Said by each playlist of what it lists: what will follow is not known (section 4.4.2.1).
    if listed.iter().all(|segment| segment.mark.independent) {
        text.line(format_args!("#EXT-X-INDEPENDENT-SEGMENTS"));
    }
    let mut map = None;
    for segment in &listed[skipped..] {
        let with_parts = low_latency && end_micros - (segment.start_micros + length(segment)) <= PARTS_TARGETS * target;
        put_segment(&mut text, playlist, segment, &mut map, with_parts);
    }
    if low_latency {
        put_tail(&mut text, playlist, listed.last().copied());
    }
    text
}

/// How long a segment is so far, microseconds.
fn length(segment: &Segment) -> i64 {
    segment.duration_micros.unwrap_or_else(|| segment.parts.iter().map(|part| part.duration_micros).sum())
}

fn put_head(text: &mut Template, playlist: &MediaPlaylist<'_>, first: Option<&Segment>, target: i64) {
    text.line(format_args!("#EXTM3U"));
    let version = match playlist.variant {
        Variant::Mpegts => 3,
        Variant::Fmp4 => 7,
        Variant::LowLatency => 9,
    };
    text.line(format_args!("#EXT-X-VERSION:{version}"));
    text.line(format_args!("#EXT-X-TARGETDURATION:{}", playlist.window.target_seconds()));
    if playlist.variant == Variant::LowLatency {
        // Rounded up to a millisecond: no part may be longer.
        let part = (playlist.window.part_target_micros() + 999) / 1_000 * 1_000;
        text.line(format_args!(
            "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={},CAN-SKIP-UNTIL={}",
            Seconds(part * HOLD_BACK_PARTS),
            Seconds(target * SKIP_TARGETS)
        ));
        text.line(format_args!("#EXT-X-PART-INF:PART-TARGET={}", Seconds(part)));
    }
    let Some(first) = first else { return };
    text.line(format_args!("#EXT-X-MEDIA-SEQUENCE:{}", first.mark.number));
    // The first segment's own discontinuity is said by its tag.
    let before = first.place.discontinuities - first.place.breaks;
    if before > 0 {
        text.line(format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{before}"));
    }
}

fn put_segment(
    text: &mut Template,
    playlist: &MediaPlaylist<'_>,
    segment: &Segment,
    map: &mut Option<u64>,
    with_parts: bool,
) {
    let rendition = playlist.renditions[playlist.index];
    // Each one counts (section 6.2.1), and of several between two segments here other nodes have listed what was there.
    for _ in 0..segment.place.breaks {
        text.line(format_args!("#EXT-X-DISCONTINUITY"));
    }
    let gap = segment.is_gap(playlist.index);
    if let Some((id, _)) = segment.inits.get(playlist.index).and_then(Option::as_ref)
        && *map != Some(*id)
    {
        *map = Some(*id);
        let file = File { id: *id, rendition, kind: FileKind::Init };
        text.tag(format_args!("#EXT-X-MAP:"), format_args!("{file}"), "");
    }
    let at = playlist.born.unix_micros() + segment.start_micros;
    text.line(format_args!("#EXT-X-PROGRAM-DATE-TIME:{}", DateTime(WallClock::from_unix_micros(at))));
    if with_parts && !gap {
        for part in &segment.parts {
            let file = File { id: segment.part_id(part), rendition, kind: FileKind::Part(part.mark.number) };
            let rest = match (part.bodies.get(playlist.index), part.mark.independent) {
                (Some(Body::Nothing) | None, _) => ",GAP=YES",
                (_, true) => ",INDEPENDENT=YES",
                _ => "",
            };
            let duration = Seconds(part.duration_micros);
            text.tag(format_args!("#EXT-X-PART:DURATION={duration},"), format_args!("{file}"), rest);
        }
    }
    let Some(duration) = segment.duration_micros else { return };
    if gap {
        text.line(format_args!("#EXT-X-GAP"));
    }
    text.line(format_args!("#EXTINF:{},", Seconds(duration)));
    let number = segment.mark.number;
    let kind = match playlist.variant {
        Variant::Mpegts => FileKind::TsSegment(number),
        _ => FileKind::Segment(number),
    };
    text.uri(format_args!("{}", File { id: segment.whole_id(), rendition, kind }));
}

/// What comes next, and how far the others are.
fn put_tail(text: &mut Template, playlist: &MediaPlaylist<'_>, last: Option<&Segment>) {
    let (Some(last), Some(next)) = (last, playlist.window.next_part()) else { return };
    let rendition = playlist.renditions[playlist.index];
    let file = File { id: last.id, rendition, kind: FileKind::Part(next) };
    text.tag(format_args!("#EXT-X-PRELOAD-HINT:TYPE=PART,"), format_args!("{file}"), "");
    // A segment that has begun and has no part yet is not there for anybody.
    let newest = playlist.window.listed().rev().find_map(|segment| Some((segment.mark.number, segment.parts.last()?)));
    let Some((number, part)) = newest else { return };
    for other in playlist.renditions.iter().filter(|other| **other != rendition) {
        text.tag(
            format_args!("#EXT-X-RENDITION-REPORT:"),
            format_args!("{other}_stream.m3u8"),
            &format!(",LAST-MSN={number},LAST-PART={}", part.mark.index),
        );
    }
}

/// Microseconds as seconds with six digits behind the point.
struct Seconds(i64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.max(0);
        write!(f, "{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

/// ISO 8601 with milliseconds, in UTC.
struct DateTime(WallClock);

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.unix_micros();
        let (seconds, millis) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000) / 1_000);
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// The date so many days after 1970-01-01 in the Gregorian calendar. Years begin in March here, so that the leap day is
/// their last; 400 of them have 146,097 days.
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (era * 400 + year + (month <= 2) as i64, month, of_year - (153 * march + 2) / 5 + 1)
}
