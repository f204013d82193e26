//! A viewer of HLS that believes nothing: it reads playlists and everything they name, and holds both against the rules of
//! RFC 8216bis. Written from the document, not from the server.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::http;

/// Contents by name, shared by all viewers of a server: a name has one content, whoever asks and whenever.
pub type Contents = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// A media playlist, as it is written.
#[derive(Clone, Debug, Default)]
pub struct Playlist {
    /// `EXT-X-TARGETDURATION`.
    pub target: u64,
    /// `EXT-X-PART-INF`.
    pub part_target: Option<f64>,
    /// `EXT-X-MEDIA-SEQUENCE`.
    pub sequence: u64,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`.
    pub discontinuities: u64,
    /// `EXT-X-INDEPENDENT-SEGMENTS`.
    pub independent: bool,
    /// `CAN-BLOCK-RELOAD`, `PART-HOLD-BACK`, `CAN-SKIP-UNTIL`.
    pub control: HashMap<String, String>,
    /// Segments that are complete.
    pub segments: Vec<Segment>,
    /// Parts of the one that is not.
    pub parts: Vec<Part>,
    /// The part that comes next.
    pub hint: Option<String>,
    /// How many segments a delta update leaves out.
    pub skipped: usize,
}

/// A segment.
#[derive(Clone, Debug, Default)]
pub struct Segment {
    /// Its name.
    pub uri: String,
    /// Its initialisation segment.
    pub map: Option<String>,
    /// `EXTINF`.
    pub duration: f64,
    /// `EXT-X-PROGRAM-DATE-TIME`, milliseconds of the day.
    pub date: Option<u64>,
    /// `EXT-X-DISCONTINUITY` stands before it.
    pub discontinuity: bool,
    /// So many of them: each counts (section 6.2.1).
    pub discontinuities: u64,
    /// `EXT-X-GAP`.
    pub gap: bool,
    /// Its parts, where they are listed.
    pub parts: Vec<Part>,
}

/// A part.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Its name.
    pub uri: String,
    /// `DURATION`.
    pub duration: f64,
    /// `INDEPENDENT=YES`.
    pub independent: bool,
    /// `GAP=YES`.
    pub gap: bool,
}

fn attributes(text: &str) -> HashMap<String, String> {
    let (mut found, mut rest) = (HashMap::new(), text);
    while let Some((key, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("a closing quote"),
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        found.insert(key.trim_start_matches(',').to_owned(), value.to_owned());
        rest = after;
    }
    found
}

impl Playlist {
    /// Reads a playlist. Panics where it is none.
    pub fn parse(text: &str) -> Self {
        assert!(text.starts_with("#EXTM3U\n"), "no playlist: {text}");
        let mut list = Self::default();
        let (mut next, mut map): (Segment, Option<String>) = Default::default();
        for line in text.lines() {
            let value = line.split_once(':').map_or("", |(_, value)| value);
            let tag = line.split(':').next().unwrap_or_default();
            match tag {
                "#EXT-X-TARGETDURATION" => list.target = value.parse().expect("a number"),
                "#EXT-X-MEDIA-SEQUENCE" => list.sequence = value.parse().expect("a number"),
                "#EXT-X-DISCONTINUITY-SEQUENCE" => list.discontinuities = value.parse().expect("a number"),
                "#EXT-X-INDEPENDENT-SEGMENTS" => list.independent = true,
                "#EXT-X-PART-INF" => list.part_target = attributes(value)["PART-TARGET"].parse().ok(),
                "#EXT-X-SERVER-CONTROL" => list.control = attributes(value),
                "#EXT-X-SKIP" => list.skipped = attributes(value)["SKIPPED-SEGMENTS"].parse().expect("a number"),
                "#EXT-X-MAP" => map = Some(attributes(value)["URI"].clone()),
                "#EXT-X-DISCONTINUITY" => {
                    next.discontinuity = true;
                    next.discontinuities += 1;
                }
                "#EXT-X-GAP" => next.gap = true,
                "#EXT-X-PROGRAM-DATE-TIME" => next.date = Some(of_day(value)),
                "#EXTINF" => next.duration = value.trim_end_matches(',').parse().expect("a duration"),
                "#EXT-X-PRELOAD-HINT" => list.hint = Some(attributes(value)["URI"].clone()),
                "#EXT-X-PART" => {
                    let part = attributes(value);
                    let is = |key: &str| part.get(key).is_some_and(|value| value == "YES");
                    next.parts.push(Part {
                        uri: part["URI"].clone(),
                        duration: part["DURATION"].parse().expect("a duration"),
                        independent: is("INDEPENDENT"),
                        gap: is("GAP"),
                    });
                }
                _ if line.starts_with('#') || line.is_empty() => {}
                _ => {
                    (next.uri, next.map) = (line.to_owned(), map.clone());
                    list.segments.push(std::mem::take(&mut next));
                }
            }
        }
        list.parts = next.parts;
        list
    }
}

/// Milliseconds since midnight.
fn of_day(date: &str) -> u64 {
    let time = date.split_once('T').and_then(|(_, time)| time.strip_suffix('Z')).expect("a UTC date and time");
    let fields: Vec<f64> = time.split(':').map(|field| field.parse().expect("a number")).collect();
    ((fields[0] * 3_600.0 + fields[1] * 60.0 + fields[2]) * 1_000.0).round() as u64
}

/// A viewer of one rendition.
#[derive(Debug)]
pub struct Viewer {
    server: SocketAddr,
    folder: String,
    playlist: String,
    contents: Contents,
    last: Option<Playlist>,
    /// What is known of each segment: duration, discontinuity sequence, name.
    known: BTreeMap<u64, (f64, u64, String)>,
    /// Segments seen.
    pub segments: usize,
    /// Parts seen.
    pub parts: usize,
    /// Discontinuities seen.
    pub discontinuities: usize,
    /// Segments seen that decoding cannot begin with, where parts say it.
    pub dependent: usize,
    /// It asks several nodes in turn, of which one may be behind another by what media takes from node to node: then it asks
    /// again.
    pub asks_several_nodes: bool,
    /// How often that was so.
    pub behind: usize,
    /// It knows no parts, and asks for a playlist without waiting for anything.
    knows_no_parts: bool,
    /// Its node was cut off: what others have made meanwhile under the same numbers may be a gap here.
    may_have_gaps: bool,
    /// What was new since [`Self::take_fresh`], in order.
    fresh: Vec<Vec<u8>>,
}

/// How long one node may be behind another, whatever else the machine does meanwhile.
const HOP: Duration = Duration::from_millis(500);

impl Viewer {
    /// Asks for the multivariant playlist and takes its first media playlist. Waits until there is one.
    pub fn join(server: SocketAddr, path: &str, contents: &Contents) -> Self {
        let index = format!("/{path}/index.m3u8");
        let first = http::fetch(server, "GET", &index, "", 30).expect("an answer");
        assert_eq!(first.status, 302, "{}", first.head);
        let second = format!("/{path}/{}", first.header("location").expect("a place to go"));
        let multivariant = http::fetch(server, "GET", &second, "", 30).expect("an answer");
        assert_eq!(multivariant.status, 200, "{}: {}", multivariant.head, multivariant.text());
        let text = multivariant.text();
        let line = text.lines().find(|line| line.starts_with("#EXT-X-STREAM-INF:")).expect("a variant");
        let facts = attributes(line.split_once(':').expect("attributes").1);
        assert!(!facts["CODECS"].is_empty() && facts["BANDWIDTH"].parse::<u64>().is_ok_and(|rate| rate > 0), "{line}");
        let playlist = text.lines().find(|line| !line.starts_with('#')).expect("a URI").to_owned();
        Self {
            server,
            folder: format!("/{path}/"),
            playlist,
            contents: contents.clone(),
            last: None,
            known: BTreeMap::new(),
            segments: 0,
            parts: 0,
            discontinuities: 0,
            dependent: 0,
            asks_several_nodes: false,
            behind: 0,
            knows_no_parts: false,
            may_have_gaps: false,
            fresh: Vec::new(),
        }
    }

    /// The same, as a player that knows no parts.
    #[must_use]
    pub const fn without_parts(mut self) -> Self {
        self.knows_no_parts = true;
        self
    }

    /// The same, at a node that is to be cut off from the others.
    #[must_use]
    pub const fn with_gaps(mut self) -> Self {
        self.may_have_gaps = true;
        self
    }

    /// What was loaded for the first time since the last call: parts and segments, in the order of their media. Parts come again
    /// with their segment.
    pub fn take_fresh(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.fresh)
    }

    /// The same, over a balancer.
    pub const fn over_several_nodes(mut self) -> Self {
        self.asks_several_nodes = true;
        self
    }

    /// Whether a playlist that nothing was waited for says less than the one before.
    fn is_behind(&self, list: &Playlist) -> bool {
        let end = |list: &Playlist| list.sequence + list.segments.len() as u64;
        self.last.as_ref().is_some_and(|last| last.part_target.is_none() && end(list) < end(last))
    }

    fn get(&self, uri: &str, more: &str) -> http::Raw {
        let path = format!("{}{uri}{}{more}", self.folder, if more.is_empty() || uri.contains('?') { "" } else { "?" });
        http::fetch(self.server, "GET", &path, "", 60).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Loads the playlist anew, waiting for what is new, and checks it and everything that it names for the first time.
    pub fn step(&mut self) {
        let wait = match &self.last {
            Some(last) if last.part_target.is_some() && !self.knows_no_parts => {
                let (number, part) = (last.sequence + (last.segments.len()) as u64, last.parts.len());
                format!("&_HLS_msn={number}&_HLS_part={part}")
            }
            Some(last) => {
                std::thread::sleep(Duration::from_millis(last.target * 500));
                String::new()
            }
            None => String::new(),
        };
        let mut answer = self.get(&self.playlist, &wait);
        let begun = Instant::now();
        let is_behind = |answer: &http::Raw| answer.status == 200 && self.is_behind(&Playlist::parse(&answer.text()));
        let was_behind = self.asks_several_nodes && is_behind(&answer);
        while was_behind && is_behind(&answer) && begun.elapsed() < HOP {
            answer = self.get(&self.playlist, &wait);
        }
        self.behind += usize::from(was_behind);
        assert_eq!(answer.status, 200, "{}{wait}: {}", self.playlist, answer.text());
        assert_eq!(answer.header("content-type"), Some("application/vnd.apple.mpegurl"));
        let list = Playlist::parse(&answer.text());
        self.check(&list, &answer.text());
        self.load(&list);
        self.last = Some(list);
    }

    /// Asks for a delta update and checks that it is the end of the last playlist.
    pub fn check_delta(&self) {
        let answer = self.get(&self.playlist, "&_HLS_skip=YES");
        let delta = Playlist::parse(&answer.text());
        assert_eq!(answer.text().contains("#EXT-X-SKIP"), delta.skipped > 0);
        for (index, segment) in delta.segments.iter().enumerate() {
            let number = delta.sequence + (delta.skipped + index) as u64;
            if let Some((duration, _, name)) = self.known.get(&number) {
                assert_eq!((segment.duration, bare(&segment.uri)), (*duration, &name[..]), "delta update");
            }
        }
    }

    /// The rules that a playlist shows by itself, and against the one before.
    fn check(&mut self, list: &Playlist, text: &str) {
        assert!(!list.segments.is_empty(), "a playlist without segments:\n{text}");
        if let Some(last) = &self.last {
            // Section 6.2.2: it only goes forward, and says the same of what it said before.
            assert!(list.sequence >= last.sequence, "went back from {} to {}", last.sequence, list.sequence);
            assert!(
                list.sequence <= last.sequence + last.segments.len() as u64 + 1,
                "from {} to {}: a hole in the run",
                last.sequence,
                list.sequence
            );
            assert_eq!(list.target, last.target, "the target duration must not change");
            // The same section: nothing is removed that leaves less than three target durations.
            let length: f64 = list.segments.iter().map(|segment| segment.duration).sum();
            let long = length >= 3.0 * list.target as f64;
            assert!(list.sequence == last.sequence || long, "{length} s left of {} s each:\n{text}", list.target);
        }
        let mut discontinuity = list.discontinuities;
        for (number, segment) in (list.sequence..).zip(&list.segments) {
            discontinuity += segment.discontinuities;
            // Section 4.4.3.1: rounded to the nearest second.
            assert!(segment.duration.round() as u64 <= list.target, "{} s over {}", segment.duration, list.target);
            assert!(segment.duration > 0.0 && (!segment.gap || self.may_have_gaps), "{segment:?}");
            let now = (segment.duration, discontinuity, bare(&segment.uri).to_owned());
            let before = self.known.entry(number).or_insert_with(|| now.clone());
            assert_eq!(*before, now, "segment {number} changed");
            if !segment.gap {
                self.check_parts(list, segment);
            }
        }
        self.check_dates(list);
        if let Some(target) = list.part_target {
            let control = |key: &str| list.control[key].parse::<f64>().expect("a number");
            assert_eq!(list.control["CAN-BLOCK-RELOAD"], "YES");
            assert!(control("PART-HOLD-BACK") >= target * 2.0, "section 4.4.3.8");
            assert!(control("CAN-SKIP-UNTIL") >= list.target as f64 * 6.0, "section 4.4.3.8");
            assert!(list.hint.is_some(), "no preload hint:\n{text}");
            for part in &list.parts {
                assert!(part.duration <= target, "{part:?} over {target}");
            }
        }
    }

    fn check_parts(&self, list: &Playlist, segment: &Segment) {
        let Some((last, full)) = segment.parts.split_last() else { return };
        let target = list.part_target.expect("parts need a target");
        for part in full {
            assert!(part.duration >= 0.85 * target, "{part:?} is shorter than 85 % of {target}");
        }
        assert!(segment.parts.iter().all(|part| part.duration <= target && !part.gap), "{segment:?}");
        let independent = segment.parts[0].independent;
        assert!(independent || !list.independent, "a segment that decoding cannot begin with: {segment:?}");
        let sum: f64 = full.iter().map(|part| part.duration).sum::<f64>() + last.duration;
        assert!((sum - segment.duration).abs() < 0.001, "parts of {sum} s in a segment of {} s", segment.duration);
    }

    /// Where there is no discontinuity a segment begins when the one before ends.
    fn check_dates(&self, list: &Playlist) {
        for pair in list.segments.windows(2).filter(|pair| !pair[1].discontinuity) {
            let (Some(first), Some(second)) = (pair[0].date, pair[1].date) else { panic!("segments without date") };
            // At midnight the day begins anew.
            let Some(between) = second.checked_sub(first) else { continue };
            assert!((between as f64 - pair[0].duration * 1_000.0).abs() < 2.0, "{pair:?}");
        }
    }

    /// Loads what is new, and some of what is not. The parts of a segment are the segment.
    fn load(&mut self, list: &Playlist) {
        let before = self.last.as_ref();
        for segment in &list.segments {
            let is_new = before.is_none_or(|last| last.segments.iter().all(|known| known.uri != segment.uri));
            if !is_new || segment.gap {
                continue;
            }
            self.segments += 1;
            self.discontinuities += usize::from(segment.discontinuity);
            self.dependent += usize::from(segment.parts.first().is_some_and(|part| !part.independent));
            let whole = self.content(&segment.uri);
            if let Some(map) = &segment.map {
                assert!(self.content(map).windows(4).any(|four| four == b"moov"), "{map}");
                assert_eq!(&whole[4..8], b"moof", "{}", segment.uri);
            } else {
                assert!(whole.len().is_multiple_of(188) && whole[0] == 0x47, "{}", segment.uri);
            }
            if !segment.parts.is_empty() && !self.knows_no_parts {
                let parts: Vec<Vec<u8>> = segment.parts.iter().map(|part| self.content(&part.uri)).collect();
                assert!(parts.concat() == whole, "the parts of {} are not the segment", segment.uri);
            }
            self.fresh.push(whole);
        }
        for part in list.parts.iter().filter(|_| !self.knows_no_parts) {
            let is_new = before.is_none_or(|last| last.parts.iter().all(|known| known.uri != part.uri));
            if is_new {
                self.parts += 1;
                let content = self.content(&part.uri);
                self.fresh.push(content);
            }
        }
    }

    /// The content of a name, which must be what anybody got before.
    fn content(&self, uri: &str) -> Vec<u8> {
        let answer = self.get(uri, "");
        assert_eq!(answer.status, 200, "{uri}: {}", answer.text());
        assert!(!answer.body.is_empty(), "{uri} is empty");
        let mut contents = self.contents.lock().expect("no viewer panics with it");
        let before = contents.entry(bare(uri).to_owned()).or_insert_with(|| answer.body.clone());
        assert!(*before == answer.body, "{uri} has two contents, of {} and {} bytes", before.len(), answer.body.len());
        answer.body
    }
}

/// A name without the session behind it.
fn bare(uri: &str) -> &str {
    uri.split('?').next().unwrap_or(uri)
}
