//! Faults do what they say, in figures, with fixed seeds.

use std::time::Duration;

use weft_proto::time::Now;

use super::link::{Arrival, BadFault, Bandwidth, Bursts, Fate, Fault, Link};

const COUNT: usize = 100_000;

/// A packet each 100 µs.
fn run(fault: &Fault, seed: u64) -> Vec<(Now, Fate)> {
    let mut link = Link::new(seed);
    let times = (0..COUNT as u64).map(|n| Now::from_micros(1_000_000 + n * 100));
    times.map(|now| (now, link.pass(fault, now, 1000))).collect()
}

fn lost(fates: &[(Now, Fate)]) -> Vec<bool> {
    fates.iter().map(|(_, fate)| fate.is_empty()).collect()
}

fn part(of: &[bool]) -> f64 {
    of.iter().filter(|one| **one).count() as f64 / of.len() as f64
}

/// The correlation of each value with the next.
fn correlation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum::<f64>() / variance
}

#[track_caller]
fn assert_near(value: f64, expected: f64, by: f64) {
    assert!((value - expected).abs() <= by, "{value} is not {expected} ± {by}");
}

#[test]
fn nothing_is_done_by_default_and_a_partition_lets_nothing_pass() {
    for (now, fate) in run(&Fault::default(), 1) {
        assert_eq!(fate.as_slice(), [Arrival { at: now, turned: None }]);
    }
    let fates = run(&Fault { partition: true, ..Fault::default() }, 1);
    assert!(fates.iter().all(|(_, fate)| fate.is_empty()));
}

#[test]
fn the_same_seed_gives_the_same_fates_and_another_gives_others() {
    let fault = Fault { loss: 0.1, jitter: Duration::from_millis(5), duplicate: 0.1, ..Fault::default() };
    assert_eq!(run(&fault, 7), run(&fault, 7));
    assert_ne!(run(&fault, 7), run(&fault, 8));
    // For ever: a seed that is written down in a report is worth something.
    let first: Vec<usize> = run(&fault, 7)[..24].iter().map(|(_, fate)| fate.len()).collect();
    assert_eq!(first, FIRST_FATES);
}

const FIRST_FATES: [usize; 24] = [1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 0, 0, 1, 1, 1];

#[test]
fn so_much_is_lost_as_is_said_with_and_without_correlation() {
    for (loss, loss_correlation) in [(0.02, 0.0), (0.2, 0.0), (0.2, 0.5), (0.05, 0.9)] {
        let fates = lost(&run(&Fault { loss, loss_correlation, ..Fault::default() }, 3));
        assert_near(part(&fates), loss, loss * 0.15);
        let values: Vec<f64> = fates.iter().map(|lost| f64::from(u8::from(*lost))).collect();
        assert_near(correlation(&values), loss_correlation, 0.03);
    }
}

#[test]
fn bursts_are_as_long_and_as_often_as_is_said() {
    let bursts = Bursts { begin: 0.01, end: 0.2, loss: 1.0 };
    let fates = lost(&run(&Fault { bursts: Some(bursts), ..Fault::default() }, 4));
    assert_near(part(&fates), 0.01 / 0.21, 0.005);
    let begins = fates.windows(2).filter(|pair| !pair[0] && pair[1]).count();
    let length = fates.iter().filter(|lost| **lost).count() as f64 / begins as f64;
    assert_near(length, 5.0, 0.3);
}

#[test]
fn delay_and_jitter_are_as_said_and_keep_the_order() {
    let (delay, jitter) = (Duration::from_millis(50), Duration::from_millis(10));
    let slow = |fault: &Fault| {
        let mut link = Link::new(5);
        // So slowly that keeping the order changes nothing.
        let times = (1..20_000_u64).map(|n| Now::from_micros(n * 100_000));
        times.map(|now| link.pass(fault, now, 1000)[0].at.since(now).as_micros() as f64).collect::<Vec<f64>>()
    };
    for jitter_correlation in [0.0, 0.7] {
        let late = slow(&Fault { delay, jitter, jitter_correlation, ..Fault::default() });
        assert_near(late.iter().sum::<f64>() / late.len() as f64, 50_000.0, 200.0);
        assert!(late.iter().all(|late| (40_000.0..=60_000.0).contains(late)));
        assert_near(correlation(&late), jitter_correlation, 0.03);
    }
    let fast = run(&Fault { delay, jitter, ..Fault::default() }, 5);
    assert!(fast.is_sorted_by_key(|(_, fate)| fate[0].at));
}

#[test]
fn so_many_come_twice_turned_or_late_as_is_said() {
    let reorder_by = Duration::from_millis(10);
    let fault = Fault { duplicate: 0.1, corrupt: 0.05, reorder: 0.02, reorder_by, ..Fault::default() };
    let fates = run(&fault, 6);
    assert_near(part(&fates.iter().map(|(_, fate)| fate.len() == 2).collect::<Vec<_>>()), 0.1, 0.005);
    assert_near(part(&fates.iter().map(|(_, fate)| fate[0].turned.is_some()).collect::<Vec<_>>()), 0.05, 0.003);
    assert!(fates.iter().all(|(_, fate)| fate[0].turned.is_none_or(|bit| bit < 8000)));
    let overtaken = fates.windows(2).map(|pair| pair[1].1[0].at < pair[0].1[0].at).collect::<Vec<_>>();
    assert_near(part(&overtaken), 0.02, 0.003);
    assert!(fates.iter().all(|(now, fate)| fate[0].at.since(*now) <= reorder_by));
}

#[test]
fn so_much_passes_as_the_link_carries_and_no_more_waits_than_its_queue_holds() {
    // 10,000 packets of 1,000 bytes a second are 80 Mbit/s.
    let bandwidth = Some(Bandwidth { bits_per_second: 8_000_000, queue_bytes: 50_000 });
    let fates = run(&Fault { bandwidth, ..Fault::default() }, 8);
    assert_near(part(&lost(&fates)), 0.9, 0.001);
    let longest = fates.iter().flat_map(|(now, fate)| fate.iter().map(|one| one.at.since(*now))).max().unwrap();
    assert_near(longest.as_micros() as f64, 50_000.0, 1000.0);
    // What is below passes as it comes.
    let bandwidth = Some(Bandwidth { bits_per_second: 100_000_000, queue_bytes: 50_000 });
    let fates = run(&Fault { bandwidth, ..Fault::default() }, 8);
    assert!(fates.iter().all(|(now, fate)| fate[0].at.since(*now) == Duration::from_micros(80)));
}

#[test]
fn what_cannot_be_is_refused() {
    assert_eq!(Fault::default().check(), Ok(()));
    assert_eq!(Fault { loss: 1.1, ..Fault::default() }.check(), Err(BadFault::Chance("loss")));
    assert_eq!(Fault { corrupt: f64::NAN, ..Fault::default() }.check(), Err(BadFault::Chance("corrupt")));
    let delay = Duration::from_secs(31);
    assert_eq!(Fault { delay, ..Fault::default() }.check(), Err(BadFault::Delay("delay")));
    let bandwidth = Some(Bandwidth { bits_per_second: 0, queue_bytes: 0 });
    assert_eq!(Fault { bandwidth, ..Fault::default() }.check(), Err(BadFault::Bandwidth));
}
