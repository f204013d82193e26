use weft_proto::media::Payload;

use super::*;
use crate::stream::testing::{tracks, unit};

const PATIENCE: Duration = Duration::from_millis(500);

const NOTHING: [u64; 0] = [];

fn ms(millis: u64) -> Now {
    Now::from_micros(millis * 1000)
}

fn head(epoch: u64, group: u64, track: u8) -> GroupHead {
    GroupHead { subscription: 0, epoch: Epoch(epoch), publication: 1, group, track }
}

fn relayed(track: u8, seq: u64, after: &[(u8, u64)]) -> Relayed {
    let mut unit = unit(track, seq as i64, false, 0);
    unit.payload = Payload::default();
    let after = after.iter().map(|(track, seq)| (TrackId(*track), *seq)).collect();
    Relayed { seq, unit, marks: None, group_start: false, missed: false, tracks: tracks(), after }
}

fn taken(merge: &mut Merge, now: u64) -> Vec<u64> {
    let mut out = Vec::new();
    merge.take(ms(now), &mut out);
    out.into_iter().map(|merged| merged.position.seq).collect()
}

fn merge() -> Merge {
    let mut merge = Merge::new(None, PATIENCE);
    assert!(merge.begin(&head(1, 0, 0)));
    assert!(merge.begin(&head(1, 0, 1)));
    merge
}

fn lane(group: u64, track: u8) -> LaneKey {
    LaneKey::from(&head(1, group, track))
}

#[test]
fn a_unit_waits_for_what_comes_before_it_on_another_track() {
    let mut merge = merge();
    merge.arrived(lane(0, 1), relayed(1, 1, &[(0, 0)]), ms(0));
    merge.arrived(lane(0, 1), relayed(1, 3, &[(0, 2)]), ms(1));
    assert_eq!(taken(&mut merge, 1), NOTHING);
    merge.arrived(lane(0, 0), relayed(0, 0, &[]), ms(2));
    assert_eq!(taken(&mut merge, 2), [0, 1]);
    merge.arrived(lane(0, 0), relayed(0, 2, &[(1, 1)]), ms(3));
    assert_eq!(taken(&mut merge, 3), [2, 3]);
    assert_eq!(merge.wake_at(), None);
}

#[test]
fn what_was_given_up_is_not_waited_for() {
    let mut merge = merge();
    merge.arrived(lane(0, 0), relayed(0, 0, &[]), ms(0));
    merge.arrived(lane(0, 1), relayed(1, 5, &[(0, 4)]), ms(1));
    assert_eq!(taken(&mut merge, 1), [0]);
    merge.dropped(lane(0, 0));
    assert_eq!(taken(&mut merge, 1), [5]);
    merge.arrived(lane(0, 0), relayed(0, 2, &[]), ms(2));
    assert_eq!(taken(&mut merge, 2), NOTHING);
}

#[test]
fn what_came_before_a_stream_was_given_up_is_passed_on() {
    let mut merge = merge();
    merge.arrived(lane(0, 0), relayed(0, 0, &[]), ms(0));
    merge.arrived(lane(0, 1), relayed(1, 5, &[(0, 4)]), ms(1));
    merge.arrived(lane(0, 0), relayed(0, 2, &[]), ms(2));
    merge.dropped(lane(0, 0));
    assert_eq!(taken(&mut merge, 2), [0, 2, 5]);
}

#[test]
fn a_group_of_which_nothing_came_can_be_given_up_too() {
    let mut merge = merge();
    merge.arrived(lane(0, 0), relayed(0, 0, &[]), ms(0));
    assert_eq!(taken(&mut merge, 0), [0]);
    merge.arrived(lane(0, 1), relayed(1, 11, &[(0, 10)]), ms(1));
    assert_eq!(taken(&mut merge, 1), NOTHING, "the stream of group 0 is open, and may bring it");
    merge.finished(lane(0, 0));
    assert_eq!(taken(&mut merge, 1), NOTHING, "it is whole, so there is another group");
    merge.dropped(lane(10, 0));
    assert_eq!(taken(&mut merge, 1), [11]);
}

#[test]
fn nothing_waits_for_ever() {
    let mut merge = merge();
    merge.arrived(lane(0, 1), relayed(1, 1, &[(0, 0)]), ms(100));
    merge.arrived(lane(0, 1), relayed(1, 3, &[(0, 2)]), ms(120));
    assert_eq!(merge.wake_at(), Some(ms(600)));
    assert_eq!(taken(&mut merge, 599), NOTHING);
    assert_eq!(taken(&mut merge, 600), [1]);
    assert_eq!(taken(&mut merge, 620), [3]);
}

#[test]
fn an_older_epoch_never_follows_a_newer_one() {
    let mut merge = merge();
    merge.arrived(lane(0, 0), relayed(0, 7, &[]), ms(0));
    assert_eq!(taken(&mut merge, 0), [7]);
    assert!(merge.begin(&head(2, 0, 0)));
    let newer = LaneKey::from(&head(2, 0, 0));
    merge.arrived(newer, relayed(0, 0, &[]), ms(10));
    assert_eq!(taken(&mut merge, 10), NOTHING, "what is left of the older one may be on its way");
    merge.arrived(lane(0, 0), relayed(0, 8, &[]), ms(20));
    assert_eq!(taken(&mut merge, 20), [8]);
    assert_eq!(taken(&mut merge, 110), [0]);
    merge.arrived(lane(0, 0), relayed(0, 9, &[]), ms(120));
    assert_eq!(taken(&mut merge, 120), NOTHING);
    assert_eq!(merge.last.map(|last| last.epoch), Some(Epoch(2)));
}

#[test]
fn streams_are_forgotten_once_they_are_passed_and_too_many_are_refused() {
    let mut merge = Merge::new(None, PATIENCE);
    for group in 0..1000 {
        assert!(merge.begin(&head(1, group, 0)), "group {group}");
        merge.arrived(lane(group, 0), relayed(0, group, &[]), ms(group));
        merge.finished(lane(group, 0));
        assert_eq!(taken(&mut merge, group), [group]);
    }
    assert!(merge.lanes.len() <= 3, "{}", merge.lanes.len());
    let opened = (2000..3000).filter(|group| merge.begin(&head(1, *group, 0))).count();
    assert!(opened <= LANES_MAX);
}

/// What was taken, with whether something before it was missed.
fn missed(merge: &mut Merge, now: u64) -> Vec<(u64, bool)> {
    let mut out = Vec::new();
    merge.take(ms(now), &mut out);
    out.into_iter().map(|merged| (merged.position.seq, merged.missed)).collect()
}

#[test]
fn what_follows_something_missing_says_so() {
    let mut merge = merge();
    merge.arrived(lane(0, 0), relayed(0, 0, &[]), ms(0));
    merge.arrived(lane(0, 1), relayed(1, 1, &[(0, 0)]), ms(0));
    // The owner has lost number 2 itself: nobody has it.
    merge.arrived(lane(0, 0), relayed(0, 3, &[(1, 1)]), ms(0));
    assert_eq!(missed(&mut merge, 0), [(0, false), (1, false), (3, false)]);
    merge.arrived(lane(0, 1), relayed(1, 6, &[(0, 5)]), ms(1));
    merge.dropped(lane(0, 0));
    assert_eq!(missed(&mut merge, 1), [(6, true)]);
    let told = Relayed { missed: true, ..relayed(1, 7, &[]) };
    merge.arrived(lane(0, 1), told, ms(2));
    merge.arrived(lane(0, 1), relayed(1, 8, &[]), ms(2));
    assert_eq!(missed(&mut merge, 2), [(7, true), (8, false)], "the parent has missed something itself");
}

#[test]
fn after_another_parent_was_asked_only_what_is_new_can_be_missed() {
    let begun = Some(Position { epoch: Epoch(1), seq: 10 });
    let resumed = |seq, after: &[(u8, u64)]| {
        let mut merge = Merge::new(begun, PATIENCE);
        assert!(merge.begin(&head(1, 0, 0)));
        merge.arrived(lane(0, 0), relayed(0, seq, after), ms(0));
        missed(&mut merge, 0)
    };
    assert_eq!(resumed(11, &[(1, 9)]), [(11, false)]);
    assert_eq!(resumed(20, &[]), [(20, true)], "the parent had nothing that old any more");
}
