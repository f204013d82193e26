//! `weft-chaos load`: publish, read, measure.

mod join;
mod outcome;
mod place;
mod print;
mod report;
mod sampler;

pub use outcome::{Spread, Total};
pub use place::{Hop, Place};
pub use report::{Latency, Report, Standstill};
pub use sampler::{Sample, Sampler};

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use crate::bare;
use crate::cli::LoadArgs;
use crate::probe::ProbeError;
use crate::probe::clock::{now_ns, process_cpu};
use crate::probe::publisher::{self, Publishers};
use crate::probe::reader::{Counts, Harvest, ReaderThread};
use join::Joining;

/// After the window, time for what is under way to arrive.
const GRACE: Duration = Duration::from_secs(1);
/// Before readers come, a group and this: a server's log is full of the stream then, and its memory at rest.
const SETTLE: Duration = Duration::from_millis(1_500);
const BARE_DURATION: Duration = Duration::from_secs(4);
/// Each has its own figures in each thread, of 200 KB.
const PLACES_MAX: usize = 64;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The command line cannot be meant so.
    #[error("{0}")]
    Usage(String),
    /// A publisher or all readers failed.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

/// Runs the command and prints what it has to say.
pub fn main(args: &LoadArgs) -> ExitCode {
    match run(args) {
        Ok(report) => {
            print::print(&report, args.json);
            ExitCode::from(u8::from(!report.failures.is_empty()))
        }
        Err(error) => {
            print::complain(&error.to_string());
            ExitCode::from(if matches!(error, LoadError::Usage(_)) { 2 } else { 3 })
        }
    }
}

/// One look at everything that counts.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at_ns: u64,
    counts: Counts,
    sent: u64,
    server: Option<Sample>,
    own_cpu: Duration,
    reader_cpu: Duration,
}

/// The running parts.
struct Running {
    publishers: Option<Publishers>,
    readers: Vec<ReaderThread>,
    sampler: Option<Sampler>,
    quiet: bool,
}

impl Running {
    fn mark(&self) -> Mark {
        Mark {
            at_ns: now_ns(),
            counts: self.readers.iter().map(ReaderThread::counts).fold(Counts::default(), |sum, one| sum + one),
            sent: self.publishers.as_ref().map_or(0, Publishers::sent_total),
            server: self.sampler.as_ref().and_then(|sampler| sampler.look().ok()),
            own_cpu: process_cpu(),
            reader_cpu: self.readers.iter().map(ReaderThread::cpu).sum(),
        }
    }

    /// Waits until `done` or the time is over, with a line of progress each second. Looks at the publishers too.
    fn wait(&self, phase: &str, time: Duration, mut done: impl FnMut() -> Option<String>) {
        let end_ns = now_ns() + time.as_nanos() as u64;
        let mut before = self.mark();
        loop {
            let left_ns = end_ns.saturating_sub(now_ns());
            let step_ns = left_ns.min((before.at_ns + 1_000_000_000).saturating_sub(now_ns())).min(50_000_000);
            thread::sleep(Duration::from_nanos(step_ns));
            let now = now_ns();
            let note = done();
            if now >= before.at_ns + 1_000_000_000 {
                let mark = self.mark();
                if !self.quiet {
                    print::progress(phase, &before, &mark, note.as_deref().unwrap_or_default());
                }
                before = mark;
            }
            if now >= end_ns || note.is_none() {
                return;
            }
        }
    }
}

/// Runs the load and measures.
pub fn run(args: &LoadArgs) -> Result<Report, LoadError> {
    if args.places().len() > PLACES_MAX {
        return Err(LoadError::Usage(format!("more than {PLACES_MAX} places to read from")));
    }
    if args.publishers > 10_000 || args.gop.is_zero() || args.duration.is_zero() {
        return Err(LoadError::Usage("too many publishers, or a time of zero".into()));
    }
    let wrong_pid = |error| LoadError::Usage(format!("look at the server's process: {error}"));
    let sampler = (!args.pid.is_empty()).then(|| Sampler::new(&args.pid)).transpose().map_err(wrong_pid)?;
    let mut running = Running { publishers: None, readers: Vec::new(), sampler, quiet: args.quiet };
    for _ in 0..args.read_threads {
        running.readers.push(ReaderThread::start(args.late, args.places().len())?);
    }
    let idle = running.mark();
    if args.publishers > 0 {
        running.publishers = Some(Publishers::start(&publisher::Config {
            urls: (0..args.publishers).map(|index| args.publish_url(index)).collect(),
            transport: args.transport,
            bitrate: args.bitrate,
            fps: args.fps,
            group: args.gop,
            audio: args.with_audio(),
        })?);
        let settle = if args.publishers > 1 { args.gop * 2 } else { args.gop } + SETTLE;
        running.wait("settle", settle, || Some(String::new()));
    }
    let alone = running.mark();

    let joining = Joining::start(args, &running.readers);
    let long = Duration::from_secs_f64(f64::from(args.readers) / args.join_rate) + Duration::from_secs(60);
    running.wait("join", long, || joining.progress());
    let join_failures = joining.finish();
    if args.readers > 0 && join_failures.len() == args.readers as usize {
        let first = join_failures.into_iter().next();
        return Err(first.map_or(LoadError::Usage("no reader".into()), |(_, error)| LoadError::Probe(error)));
    }
    running.wait("warm up", args.warmup, || Some(String::new()));

    running.readers.iter().for_each(|reader| reader.measure(true));
    let begin = running.mark();
    running.wait("measure", args.duration, || Some(String::new()));
    let end = running.mark();
    running.readers.iter().for_each(|reader| reader.measure(false));

    let sent: Vec<u32> = match &running.publishers {
        Some(publishers) => (0..args.publishers as usize).map(|index| publishers.sent(index)).collect(),
        None => Vec::new(),
    };
    running.wait("drain", GRACE, || Some(String::new()));
    let harvests: Vec<Harvest> = running.readers.drain(..).filter_map(ReaderThread::stop).collect();
    let publish_failures = running.publishers.take().map(|publishers| publishers.failures()).unwrap_or_default();
    let total = Total::of(&harvests, &sent);
    let places: Vec<Total> = (0..args.places().len()).map(|place| Total::of_place(&harvests, &sent, place)).collect();
    drop(harvests);

    let bare = match args.bare && args.readers > 0 {
        true => vec![bare::measure(&bare_config(args, None))?, bare::measure(&bare_config(args, Some(args.fps)))?],
        false => Vec::new(),
    };
    let marks = report::Marks { idle, alone, begin, end };
    let outcome = report::Outcome { total, places, refused: join_failures, publishers: publish_failures };
    Ok(Report::new(args, &marks, &outcome, bare))
}

fn bare_config(args: &LoadArgs, fps: Option<u32>) -> bare::Config {
    bare::Config {
        transport: args.read_transport(),
        sockets: args.readers,
        frame_bytes: (args.bitrate / 8 / u64::from(args.fps)) as usize,
        fps,
        duration: BARE_DURATION,
        read_threads: args.read_threads,
    }
}
