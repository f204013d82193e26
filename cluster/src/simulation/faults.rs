//! The storm: every fault that we can think of, at any moment.

use std::time::Duration;

use rand::RngExt;
use tokio::time::{Instant, sleep};

use super::net::Weather;
use super::world::World;
use crate::ownership::{Answer, Entry, NodeId, Refusal};
use crate::raft::Standing;

/// Something that happens to a cluster.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    KillAndRestart,
    KillLeader,
    KillAll,
    Stop,
    StopLeader,
    Isolate,
    Split,
    OneWay,
    Bridge,
    Weather,
    Heal,
    SlowDisk,
    FullDisk,
    ClockJump,
    FalseAlarm,
    Replace,
    Snapshot,
    HandOver,
    LateVerdict,
    JoinWhileAway,
}

const FAULTS: [Fault; 21] = [
    Fault::Kill,
    Fault::KillAndRestart,
    Fault::KillLeader,
    Fault::KillAll,
    Fault::Stop,
    Fault::StopLeader,
    Fault::Isolate,
    Fault::Split,
    Fault::OneWay,
    Fault::Bridge,
    Fault::Weather,
    Fault::Heal,
    Fault::SlowDisk,
    Fault::FullDisk,
    Fault::ClockJump,
    Fault::FalseAlarm,
    Fault::Replace,
    Fault::Snapshot,
    Fault::HandOver,
    Fault::LateVerdict,
    Fault::JoinWhileAway,
];

/// More machines are not added: each makes a run longer.
const MACHINES_MAX: usize = 6;

/// So often a newcomer is asked to lead.
const HAND_OVERS: usize = 10;

/// Lets faults happen for some seconds.
pub(super) async fn storm(world: &mut World) {
    let end = Instant::now() + Duration::from_millis(world.chance.random_range(3_000..8_000));
    while Instant::now() < end {
        let calm = Duration::from_millis(world.chance.random_range(20..700));
        sleep(calm).await;
        let fault = FAULTS[world.chance.random_range(0..FAULTS.len())];
        strike(world, fault).await;
        revive(world);
    }
}

/// What is down or stopped comes back some time.
fn revive(world: &mut World) {
    for n in 0..world.machines.len() {
        if world.chance.random_range(0..3) != 0 {
            continue;
        }
        if world.machines[n].process.is_none() {
            world.start(n);
        } else if world.machines[n].stopped {
            world.machines[n].stopped = false;
            if let Some(process) = &world.machines[n].process {
                process.resume();
            }
        }
    }
}

async fn strike(world: &mut World, fault: Fault) {
    let count = world.machines.len();
    let n = world.chance.random_range(0..count);
    let lose = world.chance.random_range(0..2) == 0;
    world.checker.event(format_args!("{fault:?} ({n})"));
    match fault {
        Fault::Kill => world.kill(n, lose),
        Fault::KillAndRestart => restart(world, n, lose).await,
        Fault::KillLeader => {
            if let Some(leader) = leader(world) {
                world.kill(leader, lose);
                world.checker.count("leaders killed");
            }
        }
        Fault::KillAll => {
            (0..count).for_each(|n| world.kill(n, lose));
            world.checker.count("all killed at once");
            (0..count).for_each(|n| world.start(n));
        }
        Fault::Stop => stop(world, n),
        Fault::StopLeader => leader(world).into_iter().for_each(|leader| stop(world, leader)),
        Fault::Isolate | Fault::Split | Fault::OneWay | Fault::Bridge => part(world, fault, n),
        Fault::Weather => weather(world),
        Fault::Heal => world.net.heal(),
        Fault::SlowDisk => {
            let latency = Duration::from_millis(world.chance.random_range(5..300));
            world.machines[n].disk.set_latency(latency);
            world.checker.count("slow disks");
        }
        Fault::FullDisk => {
            world.machines[n].disk.set_full(true);
            world.checker.count("full disks");
            sleep(Duration::from_millis(300)).await;
            // Somebody makes room, and the process is started again.
            world.machines[n].disk.set_full(false);
            world.kill(n, lose);
            world.start(n);
        }
        Fault::ClockJump => {
            let seconds = world.chance.random_range(-3_600..3_600);
            world.jump(n, seconds * 1_000_000);
            world.checker.count("clock jumps");
        }
        Fault::FalseAlarm => {
            world.net.set_weather(Weather { deaf_to_signals: true, ..Weather::default() });
            world.checker.count("false alarms");
            sleep(Duration::from_millis(world.chance.random_range(100..1_200))).await;
            world.net.set_weather(Weather::default());
        }
        Fault::Replace => replace(world, n).await,
        Fault::Snapshot => snapshot(world, n).await,
        Fault::HandOver => hand_over(world, n).await,
        Fault::LateVerdict => late_verdict(world, n, lose).await,
        Fault::JoinWhileAway => join_while_away(world, n, lose).await,
    }
}

async fn restart(world: &mut World, n: usize, lose: bool) {
    world.kill(n, lose);
    sleep(Duration::from_millis(world.chance.random_range(0..100))).await;
    world.start(n);
    world.checker.count("restarts within 100 ms");
}

fn stop(world: &mut World, n: usize) {
    let machine = &mut world.machines[n];
    if let Some(process) = &machine.process {
        process.stop();
        machine.stopped = true;
        world.checker.count("processes stopped");
    }
}

fn leader(world: &World) -> Option<usize> {
    let leader = leader_standing(world)?.leader?;
    world.machines.iter().position(|machine| machine.id == leader)
}

fn leader_standing(world: &World) -> Option<Standing> {
    world.members().map(|member| member.consensus().standing()).find(|standing| standing.leads)
}

/// Partitions of all kinds. `n` is the one that it is about.
fn part(world: &mut World, kind: Fault, n: usize) {
    let ids: Vec<NodeId> = world.machines.iter().map(|machine| machine.id).collect();
    let cut: Vec<usize> = (0..ids.len()).filter(|_| world.chance.random_range(0..2) == 0).collect();
    for a in 0..ids.len() {
        for b in (0..ids.len()).filter(|b| *b != a) {
            let walled = match kind {
                Fault::Isolate => a == n || b == n,
                Fault::Split => cut.contains(&a) != cut.contains(&b),
                Fault::OneWay => a == n,
                // Everybody sees the one in the middle, and only those of their own half.
                _ => a != n && b != n && cut.contains(&a) != cut.contains(&b),
            };
            if walled {
                world.net.wall(ids[a], ids[b]);
            }
        }
    }
    world.checker.count(match kind {
        Fault::Isolate => "isolations",
        Fault::Split => "splits",
        Fault::OneWay => "one-way partitions",
        _ => "bridges",
    });
}

fn weather(world: &mut World) {
    let ms = |ms| Duration::from_millis(ms);
    let weather = Weather {
        delay: ms(world.chance.random_range(0..15)),
        jitter: ms(world.chance.random_range(0..40)),
        loss: world.chance.random_range(0..40),
        duplicates: world.chance.random_range(0..30),
        deaf_to_signals: false,
    };
    world.net.set_weather(weather);
    world.checker.count("bad weather");
}

/// A machine burns down; a new one comes in its place, under another id.
async fn replace(world: &mut World, n: usize) {
    // Nobody sane takes away a voter while others are missing or cannot be reached.
    world.net.heal();
    if !world.is_well() {
        return;
    }
    let old = world.machines[n].id;
    let others: Vec<_> = world.members().filter(|member| member.id() != old).collect();
    let Some(other) = others.first() else { return };
    let removed = other.consensus().propose(Entry::Remove { node: old }, Duration::from_secs(1)).await;
    if removed.is_err() {
        return;
    }
    let is_out = |world: &World| {
        let mut leaders = world.members().map(|member| (member.id(), member.consensus().standing()));
        leaders.any(|(id, standing)| standing.leads && id != old && !standing.voters.contains(&old))
    };
    world.wait_until("a removed voter votes no more", is_out).await;
    world.kill(n, true);
    world.forget(n);
    world.machines[n].id = NodeId(world.next_id);
    world.next_id += 1;
    world.checker.count("machines replaced");
    let id = world.machines[n].id;
    world.let_in(id).await;
    world.start(n);
}

/// A machine is added while another one is away, and leads when that one comes back: nobody else can tell it of the newcomer.
async fn join_while_away(world: &mut World, n: usize, lose: bool) {
    world.net.heal();
    if world.machines.len() >= MACHINES_MAX || !world.is_well() {
        return;
    }
    let away = world.machines[n].id;
    // Nobody takes the place of one that does not vote.
    if !leader_standing(world).is_some_and(|standing| standing.voters.contains(&away)) {
        return;
    }
    world.kill(n, lose);
    let newcomer = world.add_machine();
    let new = world.machines[newcomer].id;
    world.let_in(new).await;
    world.start(newcomer);
    // Where it does not vote at once, it takes the place of the one that is away.
    let votes = |world: &World| leader_standing(world).is_some_and(|standing| standing.voters.contains(&new));
    world.wait_until("a newcomer votes", votes).await;
    // One that is asked to lead need not succeed.
    for _ in 0..HAND_OVERS {
        hand_over(world, newcomer).await;
        sleep(Duration::from_millis(200)).await;
        if leader(world) == Some(newcomer) {
            world.checker.count("newcomers led when one came back");
            break;
        }
    }
    world.start(n);
    let knows = |world: &World| world.members().any(|member| member.id() == away && member.knows(new));
    world.wait_until("one that was away hears of a newcomer", knows).await;
}

async fn snapshot(world: &World, n: usize) {
    let id = world.machines[n].id;
    let member = world.members().find(|member| member.id() == id);
    if let Some(member) = member {
        member.consensus().compact().await;
        world.checker.count("snapshots");
    }
}

/// A process dies and starts again before anybody says that it is dead; the verdict comes when the new one is up.
async fn late_verdict(world: &mut World, n: usize, lose: bool) {
    let node = world.machines[n].id;
    let known = |world: &World| {
        let other = world.members().find(|member| member.id() != node)?;
        let incarnation = other.consensus().state().read().members().get(node)?.incarnation;
        Some((other, incarnation))
    };
    let Some((_, incarnation)) = known(world) else { return };
    world.kill(n, lose);
    world.start(n);
    sleep(Duration::from_millis(world.chance.random_range(0..800))).await;
    if let Some((other, _)) = known(world) {
        let down = Entry::NodeDown { node, incarnation, plan: Vec::new() };
        let said = other.consensus().propose(down, Duration::from_secs(1)).await;
        if matches!(said, Ok((_, Answer::Refused(Refusal::OtherIncarnation)))) {
            world.checker.count("late verdicts");
        }
    }
}

async fn hand_over(world: &World, n: usize) {
    let to = world.machines[n].id;
    let leader = world.members().find(|member| member.consensus().standing().leads);
    if let Some(leader) = leader.filter(|leader| leader.id() != to) {
        leader.consensus().transfer(to).await;
        world.checker.count("leadership handed over");
    }
}
