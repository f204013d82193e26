//! Publishers that keep time: a few threads, each sending the units of many streams when they are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::clock::{now_ns, sleep_until};
use super::door::{self, Offer, Sink, Sound, Transport, Url};
use super::h264::Synth;
use super::{ProbeError, aac};

/// Streams of one thread. A write that blocks holds up only these.
const STREAMS_PER_THREAD: usize = 50;
const SECOND_NS: u64 = 1_000_000_000;

/// What is published.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where; one stream each.
    pub urls: Vec<Url>,
    /// How packets travel.
    pub transport: Transport,
    /// Video bits per second of each stream.
    pub bitrate: u64,
    /// Frames per second.
    pub fps: u32,
    /// From one random access point to the next.
    pub group: Duration,
    /// Whether a silent track goes along: AAC, over WebRTC Opus.
    pub audio: bool,
}

/// Running publishers; dropping them ends them.
#[derive(Debug)]
pub struct Publishers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    sent: Vec<AtomicU32>,
    failures: Mutex<Vec<String>>,
}

impl Publishers {
    /// Connects all streams, and starts to send on each thread's when all of these are there: nobody is silent for long. The
    /// streams' groups are spread over one another as those of independent cameras are.
    pub fn start(config: &Config) -> Result<Self, ProbeError> {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            sent: config.urls.iter().map(|_| AtomicU32::new(0)).collect(),
            failures: Mutex::default(),
        });
        let mut publishers = Self { shared, threads: Vec::new() };
        let config = Arc::new(config.clone());
        let (connected, connecting) = mpsc::channel();
        for first in (0..config.urls.len()).step_by(STREAMS_PER_THREAD) {
            let (shared, config, connected) = (Arc::clone(&publishers.shared), Arc::clone(&config), connected.clone());
            let publish = move || match connect(&config, first, &shared.stop) {
                Ok(streams) => {
                    let _ = connected.send(Ok(()));
                    drop(connected);
                    run(streams, &config, &shared);
                }
                Err(error) => drop(connected.send(Err(error))),
            };
            let thread = thread::Builder::new().name("publish".into()).spawn(publish);
            publishers.threads.push(thread.map_err(ProbeError::io("start thread"))?);
        }
        drop(connected);
        connecting.iter().collect::<Result<(), ProbeError>>().map(|()| publishers)
    }

    /// Units that publisher `index` has sent so far.
    pub fn sent(&self, index: usize) -> u32 {
        self.shared.sent.get(index).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Units that all publishers have sent so far.
    pub fn sent_total(&self) -> u64 {
        self.shared.sent.iter().map(|count| u64::from(count.load(Ordering::Relaxed))).sum()
    }

    /// Publishers that ended before their time, in words.
    pub fn failures(&self) -> Vec<String> {
        self.shared.failures.lock().map(|failures| failures.clone()).unwrap_or_default()
    }
}

impl Drop for Publishers {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Connects one thread's streams, one after the other.
fn connect(config: &Config, first: usize, stop: &AtomicBool) -> Result<Vec<Stream>, ProbeError> {
    let frames = (config.group.as_secs_f64() * f64::from(config.fps)).round().max(1.0) as u32;
    let mut streams = Vec::new();
    for (index, url) in config.urls.iter().enumerate().skip(first).take(STREAMS_PER_THREAD) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let synth = Synth::new(index as u16, config.bitrate, config.fps, frames);
        let (sps, pps) = synth.parameter_sets();
        let sink = door::publish(url, config.transport, Offer { sps, pps, audio: config.audio })?;
        let sound = sink.sound();
        streams.push(Stream { index, url: url.to_string(), sink, synth, sound, video: 0, audio: 0, start_ns: 0 });
    }
    let (start_ns, count) = (now_ns(), config.urls.len() as u64);
    for stream in &mut streams {
        stream.start_ns = start_ns + config.group.as_nanos() as u64 * stream.index as u64 / count;
    }
    Ok(streams)
}

struct Stream {
    index: usize,
    url: String,
    sink: Box<dyn Sink>,
    synth: Synth,
    sound: Sound,
    video: u64,
    audio: u64,
    start_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Video,
    Audio,
    Tend,
}

fn run(mut streams: Vec<Stream>, config: &Config, shared: &Shared) {
    let mut due = BinaryHeap::new();
    for (slot, stream) in streams.iter().enumerate() {
        due.push(Reverse((stream.start_ns, slot, Due::Video)));
        due.push(Reverse((stream.start_ns + 1_000_000, slot, Due::Tend)));
        if config.audio {
            due.push(Reverse((stream.start_ns, slot, Due::Audio)));
        }
    }
    while let Some(Reverse((at_ns, slot, what))) = due.pop() {
        sleep_until(at_ns);
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let stream = &mut streams[slot];
        match stream.step(what, config.fps) {
            Ok(next_ns) => due.push(Reverse((next_ns, slot, what))),
            Err(error) => {
                if let Ok(mut failures) = shared.failures.lock() {
                    failures.push(format!("publish {}: {error}", stream.url));
                }
                due.retain(|Reverse((_, other, _))| *other != slot);
            }
        }
        if what == Due::Video {
            shared.sent[stream.index].store(stream.video as u32, Ordering::Relaxed);
        }
    }
}

impl Stream {
    /// Does what is due and says when it is due again.
    fn step(&mut self, what: Due, fps: u32) -> std::io::Result<u64> {
        match what {
            Due::Video => {
                let pts = self.video * 90_000 / u64::from(fps);
                if self.sink.wants_key() {
                    self.synth.begin_group();
                }
                let unit = self.synth.unit(now_ns());
                self.sink.video(&unit, pts)?;
                self.video += 1;
                Ok(self.start_ns + self.video * SECOND_NS / u64::from(fps))
            }
            Due::Audio => {
                let samples = u64::from(self.sound.samples);
                self.sink.audio(self.sound.frame, self.audio * samples)?;
                self.audio += 1;
                Ok(self.start_ns + self.audio * samples * SECOND_NS / u64::from(aac::RATE))
            }
            Due::Tend => {
                let now = now_ns();
                self.sink.tend(now)?;
                Ok(now + SECOND_NS)
            }
        }
    }
}
