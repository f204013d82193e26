use super::*;

const A: SessionId = SessionId(1);
const B: SessionId = SessionId(2);
const R: SessionId = SessionId(9);

fn at(secs: u64) -> Now {
    Now::from_micros(secs * 1_000_000)
}

fn settings() -> PathSettings {
    PathSettings::default()
}

fn publish(id: SessionId) -> Event {
    publish_as(id, "u", Duration::ZERO)
}

fn publish_as(id: SessionId, user: &str, silent_for: Duration) -> Event {
    Event::Publish { id, identity: Identity { user: user.into(), address: None }, silent_for }
}

fn view(id: SessionId) -> Event {
    Event::Subscribe { id, role: ReaderRole::Viewer, elsewhere: false }
}

fn active() -> Core {
    let mut core = Core::new(PathSettings::default());
    assert_eq!(core.handle(publish(A), at(0)), [Command::Accept(A)]);
    core
}

#[test]
fn a_reader_of_a_path_that_nobody_publishes_is_refused_and_the_path_forgotten() {
    let mut core = Core::new(PathSettings::default());
    let refused = Command::RefuseReader(R, Refusal::NoStream);
    assert_eq!(core.handle(view(R), at(0)), [refused, Command::Close]);
}

#[test]
fn readers_are_held_until_the_publisher_returns() {
    let mut core = active();
    assert_eq!(core.handle(view(R), at(1)), [Command::Attach(R)]);
    assert_eq!(core.handle(Event::PublisherGone { id: A }, at(2)), [Command::Arm(at(12))]);
    assert_eq!(core.handle(publish(B), at(5)), [Command::Accept(B)]);
    assert_eq!(core.handle(Event::Timer, at(12)), []);
}

#[test]
fn readers_are_told_when_nobody_returns() {
    let mut core = active();
    core.handle(view(R), at(1));
    core.handle(Event::PublisherGone { id: A }, at(2));
    assert_eq!(core.handle(Event::Timer, at(11)), [Command::Arm(at(12))]);
    assert_eq!(core.handle(Event::Timer, at(12)), [Command::EndReaders, Command::Close]);
}

#[test]
fn a_held_path_takes_new_readers() {
    let mut core = active();
    core.handle(view(R), at(1));
    core.handle(Event::PublisherGone { id: A }, at(2));
    assert_eq!(core.handle(view(B), at(3)), [Command::Attach(B)]);
}

#[test]
fn without_readers_the_path_goes_with_its_publisher() {
    let mut core = active();
    assert_eq!(core.handle(Event::PublisherGone { id: A }, at(2)), [Command::Close]);
}

#[test]
fn a_second_publisher_takes_over_and_the_first_ones_end_is_no_event() {
    let mut core = active();
    assert_eq!(core.handle(publish(B), at(1)), [Command::Replace(A), Command::Accept(B)]);
    assert_eq!(core.handle(Event::PublisherGone { id: A }, at(2)), []);
    assert_eq!(core.publisher(), Some(B));
}

#[test]
fn without_override_the_second_is_refused_unless_it_is_the_first_come_back() {
    let settings = PathSettings { override_publisher: false, ..PathSettings::default() };
    let mut core = Core::new(settings);
    core.handle(publish(A), at(0));
    assert_eq!(core.handle(publish(B), at(1)), [Command::RefusePublisher(B)]);
    let stranger = publish_as(B, "other", Duration::from_secs(5));
    assert_eq!(core.handle(stranger, at(1)), [Command::RefusePublisher(B)]);
    let returned = publish_as(B, "u", Duration::from_secs(2));
    assert_eq!(core.handle(returned, at(1)), [Command::Replace(A), Command::Accept(B)]);
}

#[test]
fn max_readers_counts_and_frees() {
    let mut core = Core::new(PathSettings { max_readers: 1, ..PathSettings::default() });
    core.handle(publish(A), at(0));
    assert_eq!(core.handle(view(R), at(0)), [Command::Attach(R)]);
    let full = [Command::RefuseReader(B, Refusal::TooManyReaders)];
    assert_eq!(core.handle(view(B), at(0)), full);
    core.handle(Event::ReaderGone { id: R }, at(0));
    assert_eq!(core.handle(view(B), at(0)), [Command::Attach(B)]);
}

#[test]
fn changed_settings_hold_for_those_who_come() {
    let mut core = Core::new(PathSettings { max_readers: 2, ..PathSettings::default() });
    core.handle(publish(A), at(0));
    core.handle(view(R), at(0));
    let one = PathSettings { max_readers: 1, override_publisher: false, ..PathSettings::default() };
    assert_eq!(core.handle(Event::Settings(one), at(1)), []);
    assert_eq!(core.handle(view(B), at(1)), [Command::RefuseReader(B, Refusal::TooManyReaders)]);
    let stranger = publish_as(B, "other", Duration::ZERO);
    assert_eq!(core.handle(stranger, at(1)), [Command::RefusePublisher(B)]);
}

#[test]
fn demand_waits_attaches_and_lets_go() {
    let on_demand = OnDemand { start_timeout: Duration::from_secs(10), close_after: Duration::from_secs(5) };
    let mut core = Core::new(PathSettings { on_demand: Some(on_demand), ..PathSettings::default() });
    let wait = [Command::Wait(R), Command::Demand, Command::Arm(at(10))];
    assert_eq!(core.handle(view(R), at(0)), wait);
    assert_eq!(core.handle(publish(A), at(1)), [Command::Accept(A), Command::Attach(R)]);
    assert_eq!(core.handle(Event::ReaderGone { id: R }, at(2)), [Command::Arm(at(7))]);
    assert_eq!(core.handle(Event::Timer, at(7)), [Command::DemandGone]);
    assert_eq!(core.handle(Event::PublisherGone { id: A }, at(8)), [Command::Close]);
}

#[test]
fn demand_that_nobody_meets_is_refused() {
    let on_demand = OnDemand { start_timeout: Duration::from_secs(10), close_after: Duration::from_secs(5) };
    let mut core = Core::new(PathSettings { on_demand: Some(on_demand), ..PathSettings::default() });
    core.handle(view(R), at(0));
    let refused = [Command::RefuseReader(R, Refusal::NoStream), Command::DemandGone, Command::Close];
    assert_eq!(core.handle(Event::Timer, at(10)), refused);
}

#[test]
fn internal_readers_count_for_nobody_and_are_held_with_the_others() {
    let internal = |id| Event::Subscribe { id, role: ReaderRole::Internal, elsewhere: false };
    let mut core = Core::new(PathSettings { max_readers: 1, ..PathSettings::default() });
    let refused = Command::RefuseReader(R, Refusal::NoStream);
    assert_eq!(core.handle(internal(R), at(0)), [refused, Command::Close]);
    core.handle(publish(A), at(0));
    assert_eq!(core.handle(internal(R), at(0)), [Command::Attach(R)]);
    assert_eq!(core.handle(view(B), at(0)), [Command::Attach(B)]);
    assert_eq!(core.handle(Event::PublisherGone { id: A }, at(1)), [Command::Arm(at(11))]);
    assert_eq!(core.handle(Event::ReaderGone { id: B }, at(2)), []);
    assert_eq!(core.handle(Event::Timer, at(11)), [Command::EndReaders, Command::Close]);
}

#[test]
fn an_internal_reader_keeps_no_demand_alive() {
    let on_demand = OnDemand { start_timeout: Duration::from_secs(10), close_after: Duration::from_secs(5) };
    let mut core = Core::new(PathSettings { on_demand: Some(on_demand), ..PathSettings::default() });
    core.handle(view(R), at(0));
    core.handle(publish(A), at(1));
    core.handle(Event::Subscribe { id: B, role: ReaderRole::Internal, elsewhere: false }, at(1));
    assert_eq!(core.handle(Event::ReaderGone { id: R }, at(2)), [Command::Arm(at(7))]);
    assert_eq!(core.handle(Event::ReaderGone { id: B }, at(3)), []);
    assert_eq!(core.handle(Event::Timer, at(7)), [Command::DemandGone]);
}

fn on_demand() -> Core {
    let on_demand = OnDemand { start_timeout: Duration::from_secs(10), close_after: Duration::from_secs(5) };
    Core::new(PathSettings { on_demand: Some(on_demand), ..PathSettings::default() })
}

#[test]
fn a_source_that_came_from_a_dead_node_is_let_go_when_nobody_reads_it() {
    let mut core = on_demand();
    assert_eq!(core.handle(Event::Pulled, at(0)), [Command::Arm(at(5))]);
    assert_eq!(core.handle(publish(A), at(1)), [Command::Accept(A), Command::Arm(at(6))]);
    assert_eq!(core.handle(Event::Timer, at(6)), [Command::DemandGone]);
    let mut core = on_demand();
    core.handle(Event::Pulled, at(0));
    assert_eq!(core.handle(view(R), at(1)), [Command::Wait(R), Command::Arm(at(11))]);
    assert_eq!(core.handle(publish(A), at(2)), [Command::Accept(A), Command::Attach(R)]);
}

#[test]
fn a_source_that_is_pulled_here_instead_of_elsewhere_is_still_demanded() {
    let mut core = on_demand();
    core.handle(view(R), at(0));
    core.handle(Event::Relay { id: A }, at(0));
    core.handle(Event::Pulled, at(1));
    assert_eq!(core.handle(publish(B), at(1)), [Command::Replace(A), Command::EndRelay, Command::Accept(B)]);
    assert_eq!(core.handle(Event::ReaderGone { id: R }, at(2)), [Command::Arm(at(7))]);
    assert_eq!(core.handle(Event::Timer, at(7)), [Command::DemandGone]);
}

#[test]
fn a_relay_that_ended_before_it_began_is_asked_for_again() {
    let mut core = on_demand();
    core.handle(view(R), at(0));
    // The path has another owner, then another: who was asked may have found none in between, and says nothing.
    assert_eq!(core.handle(Event::Elsewhere, at(1)), [Command::Demand]);
    assert_eq!(core.handle(Event::Elsewhere, at(2)), [Command::Demand]);
}

#[test]
fn held_readers_of_a_source_on_demand_want_it_again_when_the_other_node_is_gone() {
    let mut core = on_demand();
    core.handle(view(R), at(0));
    core.handle(Event::Relay { id: A }, at(0));
    assert_eq!(core.handle(Event::PublisherGone { id: A }, at(1)), [Command::Arm(at(11)), Command::Demand]);
}

#[test]
fn a_rebuilt_core_goes_on_where_the_lost_one_stood() {
    let active = Standby { id: A, identity: Identity { user: "u".into(), address: None }, rank: 0 };
    let (mut core, commands) =
        Core::rebuild(settings(), Some(active), Standbys::new(), false, [(R, ReaderRole::Viewer)], at(5));
    assert_eq!(commands, []);
    assert_eq!(core.handle(Event::PublisherGone { id: A }, at(6)), [Command::Arm(at(16))]);
    let (_, commands) = Core::rebuild(settings(), None, Standbys::new(), false, [(R, ReaderRole::Viewer)], at(5));
    assert_eq!(commands, [Command::Arm(at(15))]);
}
