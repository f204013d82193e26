//! What readers noticed over many runs of one experiment.

use std::collections::BTreeMap;
use std::time::Duration;

use super::judge::Verdict;
use super::reader::Protocol;
use crate::figures::Figures;

/// Broken rules of which the words are kept.
const WORDS_MAX: usize = 20;

/// The figures of one experiment.
#[derive(Debug)]
pub struct Report {
    name: String,
    rows: BTreeMap<Protocol, Row>,
    /// Other times that were measured.
    others: BTreeMap<String, Figures>,
    words: Vec<String>,
    broken: usize,
}

#[derive(Debug)]
struct Row {
    gaps: Figures,
    lost: Vec<u32>,
}

impl Report {
    /// Nothing yet.
    pub fn new(name: &str) -> Self {
        let (rows, others) = (BTreeMap::new(), BTreeMap::new());
        Self { name: name.to_owned(), rows, others, words: Vec::new(), broken: 0 }
    }

    /// What came of one reader.
    pub fn add(&mut self, protocol: Protocol, verdict: &Verdict) {
        let row = self
            .rows
            .entry(protocol)
            .or_insert_with(|| Row { gaps: Figures::new(&format!("{}, {protocol}", self.name)), lost: Vec::new() });
        row.gaps.add(verdict.gap);
        row.lost.push(verdict.lost);
    }

    /// Another time.
    pub fn time(&mut self, what: &str, took: Duration) {
        let name = format!("{}, {what}", self.name);
        self.others.entry(what.to_owned()).or_insert_with(|| Figures::new(&name)).add(took);
    }

    /// Something that must not be. It is said at once, for a long run may never come to its end.
    #[expect(clippy::print_stdout, reason = "a test says what it has seen")]
    pub fn broken(&mut self, what: String) {
        println!("{}: {what}", self.name);
        self.broken += 1;
        if self.words.len() < WORDS_MAX {
            self.words.push(what);
        }
    }

    /// Prints all.
    #[expect(clippy::print_stdout, reason = "figures are for people")]
    pub fn print(&self) {
        for row in self.rows.values() {
            let lost = row.lost.iter().sum::<u32>();
            let most = row.lost.iter().max().copied().unwrap_or_default();
            row.gaps.print_with(&format!("(one a reader); {lost} frames came from nobody, {most} at most"));
        }
        self.others.values().for_each(Figures::print);
        println!("{}: {} rules broken", self.name, self.broken);
    }

    /// Prints all, and fails where a rule was broken or half of the gaps over a protocol whose units come one by one were longer
    /// than this.
    pub fn finish(&self, median_max: Duration) {
        self.print();
        assert!(self.broken == 0, "{}: {} rules broken: {:#?}", self.name, self.broken, self.words);
        for protocol in [Protocol::RtspTcp, Protocol::RtspUdp, Protocol::Rtmp] {
            if let Some(row) = self.rows.get(&protocol) {
                row.gaps.assert_median(median_max);
            }
        }
    }
}
