use std::time::Duration;

use super::super::core::{Event, PathSettings, ReaderRole};
use super::*;

const A: SessionId = SessionId(1);
const B: SessionId = SessionId(2);
const C: SessionId = SessionId(3);
const R: SessionId = SessionId(9);

fn at(secs: u64) -> Now {
    Now::from_micros(secs * 1_000_000)
}

fn identity() -> Identity {
    Identity { user: String::new(), address: None }
}

fn publish(id: SessionId) -> Event {
    Event::Publish { id, identity: identity(), silent_for: Duration::ZERO }
}

fn stand_by(id: SessionId, rank: u8, owned: bool) -> Event {
    Event::StandBy { id, identity: identity(), rank, owned }
}

fn view(id: SessionId) -> Event {
    Event::Subscribe { id, role: ReaderRole::Viewer, elsewhere: false }
}

/// A publishes, B and C wait here; B comes first but C has the better rank.
fn guarded() -> Core {
    let mut core = Core::new(PathSettings::default());
    core.handle(publish(A), at(0));
    assert_eq!(core.handle(stand_by(B, 2, true), at(0)), [Command::StandBy(B)]);
    assert_eq!(core.handle(stand_by(C, 1, true), at(0)), [Command::StandBy(C)]);
    core
}

#[test]
fn a_standby_of_a_path_that_nobody_publishes_is_active_at_once() {
    let mut core = Core::new(PathSettings::default());
    assert_eq!(core.handle(stand_by(A, 1, true), at(0)), [Command::Accept(A)]);
    assert_eq!(core.handle(stand_by(B, 1, true), at(0)), [Command::StandBy(B)]);
}

#[test]
fn a_standby_of_another_nodes_path_waits_without_an_active_publisher() {
    let mut core = Core::new(PathSettings::default());
    assert_eq!(core.handle(stand_by(A, 1, false), at(0)), [Command::StandBy(A)]);
    core.handle(Event::Ready(vec![A]), at(1));
    assert_eq!(core.handle(Event::Turn, at(1)), [Command::TakeOver(A)]);
}

#[test]
fn when_the_active_publisher_leaves_the_best_that_is_ready_takes_over() {
    let mut core = guarded();
    core.handle(view(R), at(1));
    core.handle(Event::Ready(vec![B, C]), at(1));
    assert_eq!(core.handle(Event::PublisherGone { id: A }, at(2)), [Command::TakeOver(C)]);
    assert_eq!(core.handle(Event::PublisherGone { id: C }, at(2)), [Command::TakeOver(B)]);
    assert_eq!(core.handle(Event::PublisherGone { id: B }, at(2)), [Command::Arm(at(12))]);
}

#[test]
fn who_is_not_ready_does_not_take_over_and_keeps_the_path() {
    let mut core = guarded();
    assert_eq!(core.handle(Event::PublisherGone { id: A }, at(2)), [], "nobody reads, but two wait");
    core.handle(Event::Ready(vec![B]), at(3));
    assert_eq!(core.handle(Event::Turn, at(3)), [Command::TakeOver(B)]);
}

#[test]
fn a_path_whose_last_standby_leaves_is_closed() {
    let mut core = guarded();
    core.handle(Event::PublisherGone { id: A }, at(2));
    assert_eq!(core.handle(Event::PublisherGone { id: B }, at(2)), []);
    assert_eq!(core.handle(Event::PublisherGone { id: C }, at(2)), [Command::Close]);
}

#[test]
fn a_publisher_that_stalls_changes_places_and_there_is_no_way_back() {
    let mut core = guarded();
    core.handle(Event::Ready(vec![C]), at(1));
    assert_eq!(core.handle(Event::Stalled { id: A }, at(2)), [Command::Demote(A), Command::TakeOver(C)]);
    core.handle(Event::Ready(vec![A]), at(3));
    assert_eq!(core.handle(Event::Recovered { id: A }, at(20)), []);
    assert_eq!(core.handle(Event::Stalled { id: A }, at(20)), [], "it is not the active one");
    assert_eq!(core.handle(Event::Stalled { id: C }, at(21)), [Command::Demote(C), Command::TakeOver(A)]);
}

#[test]
fn where_the_path_says_so_a_better_publisher_gets_it_back() {
    let mut core = guarded();
    core.handle(Event::Settings(PathSettings { standby_return: true, ..PathSettings::default() }), at(0));
    core.handle(Event::Ready(vec![B, C]), at(1));
    core.handle(Event::Stalled { id: A }, at(2));
    assert_eq!(core.handle(Event::Recovered { id: B }, at(3)), [], "it is no better than the active one");
    assert_eq!(core.handle(Event::Recovered { id: A }, at(3)), [], "it is not ready");
    core.handle(Event::Ready(vec![A, B]), at(4));
    assert_eq!(core.handle(Event::Recovered { id: A }, at(4)), [Command::Demote(C), Command::TakeOver(A)]);
}

#[test]
fn a_stalled_publisher_goes_on_while_nobody_here_can_take_over() {
    let mut core = guarded();
    assert_eq!(core.handle(Event::Stalled { id: A }, at(2)), [Command::HandOver]);
    assert_eq!(core.publisher(), Some(A));
}

#[test]
fn when_a_standby_elsewhere_has_the_path_its_publisher_waits_and_readers_get_it_from_there() {
    let mut core = Core::new(PathSettings::default());
    core.handle(publish(A), at(0));
    core.handle(view(R), at(1));
    let commands = core.handle(Event::Passed, at(2));
    assert_eq!(commands, [Command::Demote(A), Command::Arm(at(12)), Command::Demand]);
    assert_eq!(core.handle(Event::Relay { id: B }, at(2)), [Command::Accept(B)]);
    core.handle(Event::Ready(vec![A]), at(3));
    let commands = core.handle(Event::Turn, at(3));
    assert_eq!(commands, [Command::Replace(B), Command::EndRelay, Command::TakeOver(A)]);
}

#[test]
fn who_came_to_stand_by_is_not_replaced_but_waits_again() {
    let mut core = guarded();
    core.handle(Event::Ready(vec![C]), at(1));
    core.handle(Event::PublisherGone { id: A }, at(1));
    assert_eq!(core.handle(publish(R), at(2)), [Command::Demote(C), Command::Accept(R)]);
    core.handle(Event::Ready(vec![C]), at(3));
    assert_eq!(core.handle(Event::PublisherGone { id: R }, at(3)), [Command::TakeOver(C)]);
}

#[test]
fn a_turn_that_comes_too_late_changes_nothing() {
    let mut core = guarded();
    core.handle(Event::Ready(vec![B, C]), at(1));
    assert_eq!(core.handle(Event::Turn, at(1)), [], "somebody publishes here");
    let mut core = Core::new(PathSettings::default());
    assert_eq!(core.handle(Event::Turn, at(1)), [Command::HandOver], "who was to take over is gone");
}

#[test]
fn a_publisher_that_does_not_stand_by_takes_over_and_the_others_wait_on() {
    let mut core = guarded();
    core.handle(Event::Ready(vec![B, C]), at(1));
    assert_eq!(core.handle(publish(R), at(1)), [Command::Replace(A), Command::Accept(R)]);
    assert_eq!(core.handle(Event::PublisherGone { id: A }, at(2)), []);
    assert_eq!(core.handle(Event::PublisherGone { id: R }, at(3)), [Command::TakeOver(C)]);
}
