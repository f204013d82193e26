//! What a viewer asks next, and what it makes of the answer. Pure but for the time: bytes go in, requests come out.

use std::borrow::Cow;

use super::fragment;
use crate::probe::reader::{Gauge, Meter};

/// Answers longer than this are no playlist and no part.
const ANSWER_MAX: usize = 64 << 20;

/// One viewer.
#[derive(Debug)]
pub struct Viewing {
    host: Box<str>,
    folder: Box<str>,
    playlist: Box<str>,
    buffer: Vec<u8>,
    /// What the answer under way is.
    waiting: Waiting,
    /// Parts to be asked for.
    queue: Vec<String>,
    /// The last part that was queued.
    last: Option<String>,
    /// What the next playlist must have.
    next: (u64, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Playlist,
    Part,
}

#[derive(Debug, PartialEq, Eq)]
enum Length {
    Bytes(usize),
    /// In chunks that say their own (RFC 9112 section 7.1).
    Chunked,
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::probe) struct Head {
    pub(in crate::probe) status: u16,
    /// Bytes of the head itself.
    length: usize,
    /// How long the body is.
    length_of_body: Length,
    pub(in crate::probe) location: Option<String>,
}

impl Head {
    /// Reads the head at the beginning of `bytes`, once it is complete.
    pub(in crate::probe) fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).take(16 << 10).position(|four| four == b"\r\n\r\n")?;
        let text = std::str::from_utf8(&bytes[..end]).ok()?;
        let header = |name: &str| {
            text.lines().find_map(|line| {
                let (own, value) = line.split_once(':')?;
                own.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let chunked = header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        let bytes = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        Some(Self {
            status: text.split(' ').nth(1)?.parse().ok()?,
            length: end + 4,
            length_of_body: if chunked { Length::Chunked } else { Length::Bytes(bytes) },
            location: header("location").map(str::to_owned),
        })
    }

    /// The body of the answer at the beginning of `bytes`, once it is complete.
    pub(in crate::probe) fn body<'a>(&self, bytes: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let rest = bytes.get(self.length..)?;
        match self.length_of_body {
            Length::Bytes(length) => rest.get(..length).map(Cow::Borrowed),
            Length::Chunked => chunks(rest).map(Cow::Owned),
        }
    }
}

/// The chunks joined, once the last one is there. What is no chunk never completes, and ends at the bound of answers.
fn chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut joined = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok().filter(|size| *size <= ANSWER_MAX)?;
        let chunk = rest.get(line + 2..line + 2 + size)?;
        // Both the chunk and the trailer, which nobody sends here, end with an empty line.
        rest = rest.get(line + 2 + size + 2..)?;
        if size == 0 {
            return Some(joined);
        }
        joined.extend_from_slice(chunk);
    }
}

pub(super) fn request(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: weft-chaos\r\n\r\n")
}

impl Viewing {
    pub(super) fn new(host: &str, folder: &str, playlist: &str) -> Self {
        Self {
            host: host.into(),
            folder: folder.into(),
            playlist: playlist.into(),
            buffer: Vec::new(),
            waiting: Waiting::Playlist,
            queue: Vec::new(),
            last: None,
            next: (0, 0),
        }
    }

    /// The first request.
    pub fn begin(&self) -> String {
        self.request(&self.playlist)
    }

    /// Takes bytes of the connection. Gives the next request when an answer is complete; `Err` when it makes no sense.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        now_ns: u64,
        gauge: &mut Gauge,
        meter: &mut Meter,
    ) -> Result<Option<String>, &'static str> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() > ANSWER_MAX {
            return Err("an endless answer");
        }
        let Some(head) = Head::parse(&self.buffer) else { return Ok(None) };
        let buffer = std::mem::take(&mut self.buffer);
        let Some(body) = head.body(&buffer) else {
            self.buffer = buffer;
            return Ok(None);
        };
        if head.status != 200 {
            return Err("an answer that is none");
        }
        match self.waiting {
            Waiting::Playlist => self.take_playlist(&String::from_utf8_lossy(&body))?,
            Waiting::Part => {
                gauge.parts += 1;
                fragment::units(&body, |nal, timestamp| gauge.unit(nal, timestamp, now_ns, meter));
            }
        }
        drop(body);
        // The next answer goes into the same memory.
        self.buffer = buffer;
        self.buffer.clear();
        Ok(Some(self.ask()))
    }

    fn ask(&mut self) -> String {
        if let Some(part) = (!self.queue.is_empty()).then(|| self.queue.remove(0)) {
            self.waiting = Waiting::Part;
            return self.request(&part);
        }
        self.waiting = Waiting::Playlist;
        let (segment, part) = self.next;
        let mark = if self.playlist.contains('?') { '&' } else { '?' };
        self.request(&format!("{}{mark}_HLS_msn={segment}&_HLS_part={part}", self.playlist))
    }

    fn request(&self, file: &str) -> String {
        request(&self.host, &format!("{}{file}", self.folder))
    }

    /// Queues the parts that are new; of the first playlist, those from the last one on with which decoding can begin.
    fn take_playlist(&mut self, text: &str) -> Result<(), &'static str> {
        let (mut sequence, mut segments, mut open) = (0, 0, 0);
        let mut parts: Vec<(&str, bool)> = Vec::new();
        for line in text.lines() {
            if let Some(number) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
                sequence = number.parse().map_err(|_| "a playlist with a bad number")?;
            } else if let Some(part) = line.strip_prefix("#EXT-X-PART:") {
                let uri = part.split_once("URI=\"").and_then(|(_, rest)| rest.split_once('"'));
                parts.push((uri.ok_or("a part without URI")?.0, part.contains("INDEPENDENT=YES")));
                open += 1;
            } else if !line.starts_with('#') && !line.is_empty() {
                segments += 1;
                open = 0;
            }
        }
        let known = self.last.as_ref().and_then(|last| parts.iter().position(|(uri, _)| uri == last));
        let from = known.map_or_else(|| parts.iter().rposition(|(_, independent)| *independent), |at| Some(at + 1));
        let new = &parts[from.ok_or("a playlist without parts")?..];
        self.queue.extend(new.iter().map(|(uri, _)| (*uri).to_owned()));
        self.last = parts.last().map(|(uri, _)| (*uri).to_owned());
        self.next = (sequence + segments, open);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-PART:DURATION=0.2,URI=\"p1\",INDEPENDENT=YES\n\
        #EXT-X-PART:DURATION=0.2,URI=\"p2\"\n#EXTINF:0.4,\ns7\n#EXT-X-PART:DURATION=0.2,URI=\"p3\",INDEPENDENT=YES\n";

    fn answer(body: &str) -> Vec<u8> {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[test]
    fn a_viewer_begins_near_the_end_and_takes_each_part_once() {
        let mut viewing = Viewing::new("h", "/cam/", "main.m3u8?s=1");
        let (mut gauge, mut meter) = (Gauge::default(), Meter::new(1));
        let mut feed = |bytes: &[u8]| viewing.feed(bytes, 1, &mut gauge, &mut meter).unwrap();
        let first = answer(FIRST);
        assert_eq!(feed(&first[..30]), None);
        assert!(feed(&first[30..]).unwrap().starts_with("GET /cam/p3 HTTP/1.1\r\n"));
        let asked = feed(&answer("part")).unwrap();
        assert!(asked.starts_with("GET /cam/main.m3u8?s=1&_HLS_msn=8&_HLS_part=1 "), "{asked}");
        let second = format!("{FIRST}#EXT-X-PART:DURATION=0.2,URI=\"p4\"\n");
        assert!(feed(&answer(&second)).unwrap().starts_with("GET /cam/p4 "));
        assert_eq!(gauge.parts, 1);
    }

    #[test]
    fn answers_may_come_in_chunks() {
        let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        for end in 0..answer.len() {
            let head = Head::parse(&answer[..end]);
            assert_eq!(head.and_then(|head| head.body(&answer[..end]).map(|_| ())), None, "{end}");
        }
        assert_eq!(Head::parse(answer).unwrap().body(answer).unwrap(), &b"abcde"[..]);
    }

    #[test]
    fn refusals_end_a_viewer() {
        let mut viewing = Viewing::new("h", "/cam/", "main.m3u8");
        let gone = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        assert!(viewing.feed(gone, 1, &mut Gauge::default(), &mut Meter::new(1)).is_err());
    }
}
