//! Five nodes on machines of their own, whose network is split: the minority takes no publishers and says why, and serves what
//! it has; the majority goes on; when the network is whole again, so is the cluster.
//!
//! Two runs always, more when `WEFT_RUNS` says so:
//!
//! ```text
//! WEFT_RUNS=30 cargo test -p weft-tests --test clusters_hold_in_a_network_that_is_split -- --nocapture --test-threads=1
//! ```

use std::time::{Duration, Instant};

use weft_tests::cluster::{Cluster, Setup};
use weft_tests::deadline::Deadline;
use weft_tests::figures::Figures;
use weft_tests::network::Network;
use weft_tests::publisher::Refused;
use weft_tests::rtsp::Player;
use weft_tests::{namespace, wait};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn runs() -> usize {
    std::env::var("WEFT_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(2)
}

fn cluster_on(network: &Network) -> Cluster {
    let setup = |(number, name): (usize, &&str)| Setup::new(name).on(network.machine(number));
    Cluster::with(&NAMES.iter().enumerate().map(setup).collect::<Vec<_>>())
}

/// The leader and another node are cut off from the other three, or the three from them.
fn split(cluster: &Cluster, network: &Network, run: usize, figures: &mut [Figures; 3]) {
    let leader = cluster.leader();
    // Sometimes the leader is among the few, sometimes it is not.
    let few = if run.is_multiple_of(2) { [leader, (leader + 1) % 5] } else { [(leader + 1) % 5, (leader + 2) % 5] };
    let many: Vec<usize> = (0..5).filter(|at| !few.contains(at)).collect();
    let (alone, other) = (few[0], many[0]);
    let (stays, moves) = (format!("stays{run}"), format!("moves{run}"));
    let kept = cluster.publish(alone, &stays);
    let taken = cluster.publish(alone, &moves);
    let first = cluster.wait_owner(&moves, Some(&cluster.nodes[alone].name));
    let node = &cluster.nodes[alone];
    let uri = format!("rtsp://{}/{stays}", node.rtsp_address());
    let mut player = node.inside(|| Player::start(node.rtsp_address(), &uri));
    let mut plays = || {
        let unit = player.next(Instant::now() + Duration::from_secs(5));
        unit.expect("the stream goes on").expect("a unit");
    };
    plays();

    let cut = Instant::now();
    network.split(&few);
    let not_ready = |cluster: &Cluster| cluster.nodes[alone].ready() == Some(503);
    figures[0].add(cluster.measure("the few to be not ready", cut, not_ready));
    let refused = cluster.try_publish(alone, &format!("new{run}"));
    assert!(matches!(refused, Err(Refused::Status(503))), "{refused:?}");
    wait::until("the refusal to be logged", 5, || {
        node.log().contains("publisher refused: the cluster has no quorum").then_some(())
    });
    figures[1].add(
        cluster.measure("the many to see the few down", cut, |cluster| {
            few.iter().all(|at| cluster.sees(other, *at, "down"))
        }),
    );
    let elsewhere = cluster.publish(other, &moves);
    for _ in 0..25 {
        plays();
    }
    assert!(kept.is_going() && taken.is_going(), "streams go on");

    let healed = Instant::now();
    network.heal();
    let all_up = |cluster: &Cluster| (0..5).all(|by| (0..5).all(|of| cluster.sees(by, of, "up")));
    figures[2].add(cluster.measure("all to see all up", healed, all_up));
    let second = cluster.wait_owner(&moves, Some(&cluster.nodes[other].name));
    assert!(second > first, "{second} after {first}");
    assert!(cluster.wait_owner(&stays, Some(&cluster.nodes[alone].name)) > 0);
    wait::until("the publisher whose path was taken to be told", 20, || (!taken.is_going()).then_some(()));
    assert!(kept.is_going() && elsewhere.is_going());
    plays();
    cluster.check();
}

#[test]
fn the_few_refuse_and_serve_and_the_many_go_on() {
    namespace::alone("the_few_refuse_and_serve_and_the_many_go_on", || {
        let _limit = Deadline::seconds(180 + 20 * runs() as u64);
        let network = Network::of(5);
        let mut cluster = cluster_on(&network);
        let mut figures = ["split: not ready", "split: the few down", "split: healed"].map(Figures::new);
        for run in 0..runs() {
            split(&cluster, &network, run, &mut figures);
            cluster.wait_formed();
        }
        figures.iter().for_each(Figures::print);
    });
}

#[test]
fn two_of_five_die_at_once_the_leader_among_them() {
    namespace::alone("two_of_five_die_at_once_the_leader_among_them", || {
        let _limit = Deadline::seconds(180 + 20 * runs() as u64);
        let network = Network::of(5);
        let mut cluster = cluster_on(&network);
        let (mut claimed, mut down) = (Figures::new("two killed: claimed"), Figures::new("two killed: both down"));
        for run in 0..runs() {
            let leader = cluster.leader();
            let dead = [leader, (leader + 1 + run % 4) % 5];
            let alive: Vec<usize> = (0..5).filter(|at| !dead.contains(at)).collect();
            let lost = cluster.publish(dead[1], &format!("lost{run}"));
            cluster.wait_owner(&format!("lost{run}"), Some(&cluster.nodes[dead[1]].name));
            let killed = cluster.nodes[dead[0]].kill();
            cluster.nodes[dead[1]].kill();
            let publisher = cluster.publish(alive[0], &format!("cam{run}"));
            claimed.add(killed.elapsed());
            down.add(cluster.measure("both to be down", killed, |cluster| {
                dead.iter().all(|at| cluster.sees(alive[1], *at, "down"))
            }));
            let again = cluster.publish(alive[2], &format!("lost{run}"));
            cluster.wait_owner(&format!("lost{run}"), Some(&cluster.nodes[alive[2]].name));
            drop(lost);
            dead.iter().for_each(|at| cluster.nodes[*at].start());
            cluster.wait_formed();
            assert!(publisher.is_going() && again.is_going());
        }
        claimed.print();
        down.print();
    });
}

#[test]
fn a_node_whose_cable_is_pulled_out_is_down_and_comes_back() {
    namespace::alone("a_node_whose_cable_is_pulled_out_is_down_and_comes_back", || {
        let _limit = Deadline::seconds(180 + 20 * runs() as u64);
        let network = Network::of(5);
        let mut cluster = cluster_on(&network);
        let mut down = Figures::new("cable out: down");
        for run in 0..runs() {
            let leader = cluster.leader();
            let alone = (leader + run % 2) % 5;
            let other = (leader + 2) % 5;
            let pulled = Instant::now();
            network.unplug(alone);
            down.add(cluster.measure("it to be down", pulled, |cluster| cluster.sees(other, alone, "down")));
            let _elsewhere = cluster.publish(other, &format!("cam{run}"));
            network.heal();
            cluster.wait_formed();
        }
        down.print();
    });
}
