//! Many seeds, and rules broken on purpose.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::checker::Coverage;
use super::world::{Options, Report, run};
use crate::sabotage::{NO_FENCING, NO_GUESTS, NO_INCARNATION_CHECK};

/// Seeds of the test command.
const SEEDS: u64 = 2000;

/// What must have happened in some run, or the runs prove nothing.
const MUST_HAPPEN: &[&str] = &[
    "all killed at once",
    "bad weather",
    "bridges",
    "claims granted",
    "claims refused",
    "claims without quorum",
    "clock jumps",
    "comebacks",
    "configurations",
    "deaths",
    "deaths with a plan",
    "false alarms",
    "founders killed when they had founded",
    "founders killed while they found",
    "frames",
    "frames fenced off",
    "full disks",
    "isolations",
    "kills",
    "kills that lost writes",
    "leaders killed",
    "late verdicts",
    "leadership handed over",
    "lost answers told again",
    "machines replaced",
    "tokens used twice",
    "met as a guest",
    "newcomers led when one came back",
    "one-way partitions",
    "paths assigned",
    "paths reclaimed",
    "processes stopped",
    "promotions",
    "publishers refused here",
    "publishers replaced",
    "publishers replaced here",
    "readers held in vain",
    "reads",
    "releases",
    "removals",
    "restarts within 100 ms",
    "slow disks",
    "snapshots",
    "snapshots installed",
    "splits",
    "standbys",
];

/// Runs seeds on all cores; stops at the first that breaks a rule.
fn seeds(from: u64, count: u64, options: Options) -> Result<Coverage, (u64, Vec<String>)> {
    let next = AtomicU64::new(from);
    let coverage = Mutex::new(Coverage::new());
    let failure = Mutex::new(None);
    let work = || {
        while failure.lock().is_none() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + count {
                break;
            }
            let report = run(seed, options);
            if !report.violations.is_empty() {
                *failure.lock() = Some((seed, report.violations));
                break;
            }
            let mut all = coverage.lock();
            report.coverage.into_iter().for_each(|(what, times)| *all.entry(what).or_default() += times);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    failure.into_inner().map_or(Ok(coverage.into_inner()), Err)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
#[expect(clippy::print_stdout, reason = "what has happened is what the run proves")]
fn the_rules_hold_under_every_fault() {
    if let Some(seed) = number("WEFT_SEED") {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).without_time().init();
        let report = run(seed, Options { aloud: true, ..Options::default() });
        panic!("seed {seed}: {:#?}", report.violations);
    }
    let (from, count) = (number("WEFT_FIRST_SEED").unwrap_or(0), number("WEFT_SEEDS").unwrap_or(SEEDS));
    let start = Instant::now();
    let coverage = seeds(from, count, Options::default())
        .unwrap_or_else(|(seed, violations)| panic!("WEFT_SEED={seed} breaks rules: {violations:#?}"));
    println!("{count} seeds in {:.0?}: {coverage:#?}", start.elapsed());
    let missing: Vec<_> = MUST_HAPPEN.iter().filter(|what| !coverage.contains_key(**what)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}");
}

#[test]
fn the_same_seed_makes_the_same_run() {
    let fingerprints = |seed| (run(seed, Options::default()).fingerprint, run(seed, Options::default()).fingerprint);
    for seed in 0..5 {
        let (one, other) = fingerprints(seed);
        assert_eq!(one, other, "seed {seed}");
        assert!(one.1 > 100, "nothing happened: {one:?}");
    }
    assert_ne!(run(1, Options::default()).fingerprint, run(2, Options::default()).fingerprint);
}

/// Runs seeds until a rule is missed.
fn is_missed(options: Options, prepare: impl Fn()) -> Vec<String> {
    prepare();
    (0..200)
        .map(|seed| run(seed, options))
        .map(|Report { violations, .. }| violations)
        .find(|found| !found.is_empty())
        .unwrap_or_else(|| panic!("a broken rule was not missed in 200 runs"))
}

#[test]
fn without_fencing_readers_go_back_in_time() {
    let violations = is_missed(Options::default(), || NO_FENCING.set(true));
    assert!(violations.iter().any(|what| what.contains("a reader took")), "{violations:#?}");
}

#[test]
fn without_the_incarnation_check_living_nodes_go_down() {
    let violations = is_missed(Options::default(), || NO_INCARNATION_CHECK.set(true));
    assert!(violations.iter().any(|what| what.contains("another process is up")), "{violations:#?}");
}

#[test]
fn without_guests_who_was_away_hears_of_no_newcomer() {
    let violations = is_missed(Options::default(), || NO_GUESTS.set(true));
    assert!(violations.iter().any(|what| what.contains("hears of a newcomer")), "{violations:#?}");
}

#[test]
fn without_fsync_what_was_acknowledged_is_lost() {
    let lying = Options { lying_disks: true, ..Options::default() };
    let mut found = BTreeMap::new();
    for violation in is_missed(lying, || {}) {
        *found.entry(violation).or_insert(0) += 1;
    }
    assert!(!found.is_empty());
}
