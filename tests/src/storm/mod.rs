//! Continuous readers over every protocol, of a path of a cluster to whose nodes something is done, and what they notice of it.
//!
//! An experiment is a [`Storm`] with some runs. Each run has a publisher, perhaps one that stands by, and [`Reader`]s; it does
//! something, waits until the readers get what they should, and adds what they noticed to the [`Report`]. The path stays the same
//! over all runs: what each of them does to its time and numbers adds up.

mod fragment;
mod judge;
mod reader;
mod report;

use std::fmt;
use std::time::{Duration, Instant};

pub use self::judge::Verdict;
pub use self::reader::{Protocol, Reader};
pub use self::report::Report;
use crate::cluster::{Cluster, Node, Setup};
use crate::hls::Contents;
use crate::numbered::Numbered;
use crate::publisher::Refused;
use crate::wait;

/// RTMP has an application and a stream in it.
pub const PATH: &str = "live/cam";

/// Seconds in which readers must get what they should.
const SECONDS: u64 = 30;

/// The stamps of frames have so many publishers; numbers are given again long after the first one is gone.
const PUBLISHERS: u8 = 120;

/// Between two looks at readers.
const LOOK: Duration = Duration::from_millis(20);

/// An experiment: a cluster, a path, its publishers, and what its readers notice.
#[derive(Debug)]
pub struct Storm {
    /// The cluster.
    pub cluster: Cluster,
    /// What readers noticed.
    pub report: Report,
    publishers: Vec<Publisher>,
    contents: Contents,
    who: u8,
    /// Who was to publish last.
    active: u8,
    run: usize,
}

/// A publisher, and where it is.
#[derive(Debug)]
pub struct Publisher {
    /// The node.
    pub at: usize,
    /// Its number.
    pub who: u8,
    numbered: Numbered,
}

impl Storm {
    /// Three nodes with all doors.
    pub fn form(name: &str) -> Self {
        Self::with(name, &["a", "b", "c"].map(Setup::new))
    }

    /// Nodes of one's own, which get all doors.
    pub fn with(name: &str, setups: &[Setup]) -> Self {
        let setups: Vec<Setup> =
            setups.iter().map(|setup| setup.clone().with_all_doors().with("hlsVariant: lowLatency")).collect();
        Self {
            cluster: Cluster::with(&setups),
            report: Report::new(name),
            publishers: Vec::new(),
            contents: Contents::default(),
            who: 0,
            active: 0,
            run: 0,
        }
    }

    /// The leader, and all others after it.
    pub fn roles(&self) -> Vec<usize> {
        let (leader, nodes) = (self.cluster.leader(), self.cluster.nodes.len());
        (0..nodes).map(|step| (leader + step) % nodes).collect()
    }

    /// The path's publisher is on this node from now on; says its number.
    pub fn publish_at(&mut self, at: usize) -> u8 {
        self.publishers.retain(|publisher| publisher.numbered.is_going());
        let name = self.cluster.nodes[at].name.clone();
        let there = self.publishers.iter().position(|publisher| publisher.at == at);
        if let Some(there) = there.filter(|_| self.owner().as_deref() == Some(&name)) {
            // It stays alone: standbys of before would take over in its stead.
            let kept = self.publishers.swap_remove(there);
            let who = kept.who;
            self.publishers = vec![kept];
            self.active = who;
            return who;
        }
        let next = self.publish(at, PATH);
        let who = next.who;
        self.publishers = vec![next];
        self.active = who;
        self.cluster.wait_owner(PATH, Some(&name));
        who
    }

    /// Another publisher comes and goes on with the path, as an encoder that was cut off; says its number.
    pub fn reconnect_to(&mut self, at: usize) -> u8 {
        let next = self.publish(at, PATH);
        let who = next.who;
        self.publishers.push(next);
        self.active = who;
        who
    }

    /// A publisher stands by on this node, and all nodes know it; says its number.
    pub fn stand_by_at(&mut self, at: usize) -> u8 {
        let next = self.publish(at, &format!("{PATH}?standby=1"));
        let who = next.who;
        self.publishers.push(next);
        self.cluster.wait_standby(PATH, at);
        who
    }

    /// This publisher is gone.
    pub fn hang_up(&mut self, who: u8) {
        self.publishers.retain(|publisher| publisher.who != who);
    }

    /// Whether the server still takes what this publisher sends.
    pub fn is_going(&self, who: u8) -> bool {
        self.publishers.iter().any(|publisher| publisher.who == who && publisher.numbered.is_going())
    }

    /// Which node owns the path, as some running node knows it.
    fn owner(&self) -> Option<String> {
        let at = self.cluster.nodes.iter().position(Node::is_running)?;
        self.cluster.owner(at, PATH)?.0
    }

    /// Tries again while the cluster cannot agree.
    fn publish(&mut self, at: usize, path: &str) -> Publisher {
        self.who = self.who % PUBLISHERS + 1;
        let (who, server) = (self.who, self.cluster.nodes[at].rtsp_address());
        let numbered = wait::until(format!("{path} to be published"), SECONDS, || {
            match Numbered::start(server, path, who) {
                Ok(numbered) => Some(numbered),
                // It is about to start, or the cluster has no quorum yet.
                Err(Refused::Status(503) | Refused::Io(_)) => None,
                Err(error) => self.cluster.fail(&format!("{path}: {error:?}")),
            }
        });
        Publisher { at, who, numbered }
    }

    /// Readers over all protocols on each of these nodes, all of which get what is published when this returns.
    pub fn readers_at(&self, nodes: &[usize]) -> Vec<Reader> {
        self.read_at(nodes, false)
    }

    /// The same on a node that is to be cut off from another one: HLS may have gaps there.
    pub fn readers_cut_off_at(&self, at: usize) -> Vec<Reader> {
        self.read_at(&[at], true)
    }

    fn read_at(&self, nodes: &[usize], cut_off: bool) -> Vec<Reader> {
        let readers: Vec<Reader> = nodes
            .iter()
            .flat_map(|at| Protocol::ALL.map(|protocol| (&self.cluster.nodes[*at], protocol)))
            .map(|(node, protocol)| Reader::start(node, protocol, PATH, &self.contents, cut_off))
            .collect();
        let what = fmt::from_fn(|f| write!(f, "readers to begin: {:#?}", Standing(&readers)));
        wait::until(what, SECONDS, || {
            // What viewers of HLS begin with may be that of a publisher of before.
            let has_begun = |reader: &Reader| {
                reader.reads_from() == Some(self.active) && reader.verdict().units >= reader.protocol.units()
            };
            let is_well = |reader: &Reader| has_begun(reader) || reader.ended().is_some();
            readers.iter().all(is_well).then_some(())
        });
        readers
    }

    /// What is done to the cluster begins now: what readers got so far does not count.
    pub fn begin(&mut self, readers: &[Reader]) {
        self.run += 1;
        readers.iter().for_each(Reader::mark);
    }

    /// Waits until each of these readers has got units of the last of these publishers; without any, units at all since now.
    pub fn wait_for(&mut self, readers: &[Reader], changes: &[u8]) {
        let before: Vec<usize> = readers.iter().map(|reader| reader.verdict().units).collect();
        let is_well = |(reader, before): &(&Reader, &usize)| {
            let verdict = reader.verdict();
            match changes.last() {
                Some(last) => {
                    verdict.changes.last() == Some(last) && verdict.units_since_change >= reader.protocol.units()
                }
                None => verdict.units - *before >= reader.protocol.units(),
            }
        };
        let limit = Instant::now() + Duration::from_secs(SECONDS);
        let waiting = || readers.iter().zip(&before).filter(|both| both.0.ended().is_none() && !is_well(both));
        while waiting().next().is_some() && Instant::now() < limit {
            std::thread::sleep(LOOK);
        }
        for (reader, _) in waiting() {
            let verdict = reader.verdict();
            let what = format!("{} at {} still waits: {verdict:?}", reader.protocol, reader.node);
            self.report.broken(format!("run {}, {what}", self.run));
        }
    }

    /// Lets each of these readers get units for so long.
    pub fn go_on(&mut self, readers: &[Reader], length: Duration) {
        let until = Instant::now() + length;
        while Instant::now() < until {
            self.wait_for(readers, &[]);
        }
    }

    /// The readers have got what they should, from these publishers one after the other: they end, and what they noticed is
    /// added to the report.
    pub fn end(&mut self, readers: Vec<Reader>, changes: &[u8]) {
        self.wait_for(&readers, changes);
        for reader in &readers {
            self.report.add(reader.protocol, &reader.verdict());
        }
        self.end_alone(readers, changes);
    }

    /// The same for readers whose gaps are not in question, only what must never be.
    pub fn end_alone(&mut self, readers: Vec<Reader>, changes: &[u8]) {
        self.wait_for(&readers, changes);
        let run = self.run;
        let mut is_broken = false;
        for reader in readers {
            let (verdict, ended) = (reader.verdict(), reader.ended());
            let mut broken = verdict.broken.clone();
            broken.extend(ended.map(|why| format!("cut off: {why}")));
            if verdict.changes != changes {
                broken.push(format!("publishers {:?}, not {changes:?}", verdict.changes));
            }
            for what in broken {
                is_broken = true;
                self.report.broken(format!("run {run}, {} at {}: {what}", reader.protocol, reader.node));
            }
            reader.stop();
        }
        if is_broken {
            self.cluster.keep_logs(&format!("run{run}"));
        }
    }
}

/// How readers are, for people.
struct Standing<'a>(&'a [Reader]);

impl fmt::Debug for Standing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.0.iter().map(|reader| {
            (format!("{} at {}", reader.protocol, reader.node), (reader.verdict().units, reader.ended()))
        });
        f.debug_map().entries(each).finish()
    }
}
