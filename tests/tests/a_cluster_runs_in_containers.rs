//! The cluster of `deploy/compose`, as its README has it: up, one killed while its stream is watched, a fourth one, down.
//!
//! `tests/docker` runs it: it needs a container engine.

use std::time::{Duration, Instant};

use weft_tests::clients::{Capture, Client, Way};
use weft_tests::compose::{Container, Project};
use weft_tests::deadline::Deadline;
use weft_tests::media::{Audio, FRAME_RATE, Media, Video};
use weft_tests::process::Process;

const MEDIA: Media = Media::new(Video::H264, Audio::Aac);

/// From the end of `up` to three nodes that are ready. How long an engine takes to start containers is not ours: on a machine
/// that had no time for it `up` took 76 s.
const READY_WITHIN: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs a container engine: tests/docker runs it"]
#[expect(clippy::print_stdout, reason = "figures are for people")]
fn a_stream_outlives_the_container_of_its_owner() {
    let _limit = Deadline::seconds(240);
    // Made before the clock runs.
    MEDIA.nut();
    let project = Project::prepare();
    let [a, b, c] = ["a", "b", "c"].map(|service| project.container(service));
    println!("three containers are ready after {:.1} s", start(&project, [a, b, c]).as_secs_f64());
    confined(a);

    let publisher = publish(&project, a);
    let reader = Client::Ffmpeg.capture(&b, Way::Tcp, "cam", MEDIA);
    let viewer = Client::Ffmpeg.capture_hls(&c, "cam");
    watch(&project, &[&reader, &viewer]);

    let (was, killed) = (a.address(), Instant::now());
    project.run(&["kill", "a"]);
    drop(publisher);
    let _publisher = publish(&project, c);
    watch(&project, &[&reader, &viewer]);
    println!("the reader goes on, and has a second more {:.1} s after the kill", killed.elapsed().as_secs_f64());

    // The newcomer first: it may get the address that the dead one had.
    let token = b.weft(&["cluster", "token"]).stdout;
    let token = String::from_utf8_lossy(&token).trim().to_owned();
    project.run_with(&["--profile", "more", "up", "--detach", "d"], &[("WEFT_JOIN", &token)]);
    let d = project.container("d");
    wait_up(&project, &[b, c, d], &["b", "c", "d"]);
    let started = Instant::now();
    project.run(&["start", "a"]);
    wait_up(&project, &[a, b, c, d], &["a", "b", "c", "d"]);
    let (is, took) = (a.address(), started.elapsed().as_secs_f64());
    assert_ne!(is, was, "it was to come back at another address");
    println!("the dead one is up again after {took:.1} s, at {is} instead of {was}");

    for node in [a, d] {
        watch(&project, &[&Client::Ffmpeg.capture(&node, Way::Tcp, "cam", MEDIA)]);
        watch(&project, &[&Client::Ffmpeg.capture_hls(&node, "cam")]);
    }
    watch(&project, &[&reader, &viewer]);

    project.run(&["--profile", "more", "stop"]);
    for node in [a, b, c, d] {
        assert_eq!(node.inspect(".State.ExitCode"), "0", "{} was killed\n{}", node.service, project.logs());
    }
    assert_eq!(project.remove(), "", "something is left");
}

/// Starts the three and says how long it took until the last one was ready.
fn start(project: &Project, nodes: [Container<'_>; 3]) -> Duration {
    let begun = Instant::now();
    project.run(&["up", "--detach"]);
    let started = Instant::now();
    let mut apis = nodes.map(|node| (node, node.port(9997))).to_vec();
    project.wait("three nodes to be ready", || {
        apis.retain(|(node, api)| !node.is_ready(*api));
        apis.is_empty().then_some(())
    });
    let took = begun.elapsed();
    let since = started.elapsed();
    assert!(since < READY_WITHIN, "{since:?}\n{}", project.logs());
    // What `docker-compose ps` shows says it, too.
    for node in nodes {
        project.wait("a healthy container", || (node.inspect(".State.Health.Status") == "healthy").then_some(()));
    }
    took
}

/// It runs as nobody in particular, may do nothing, and writes only to its volume.
fn confined(node: Container<'_>) {
    assert_eq!(node.inspect(".Config.User"), "10554:10554");
    assert_eq!(node.inspect(".HostConfig.ReadonlyRootfs"), "true");
    assert_eq!(node.inspect(".HostConfig.CapDrop"), "[ALL]");
    assert_eq!(node.inspect(".HostConfig.SecurityOpt"), "[no-new-privileges:true]");
}

/// Publishes at a node, as an encoder does that tries again until it is let in.
fn publish(project: &Project, node: Container<'_>) -> Process {
    let start = || Client::Ffmpeg.publish_for_ever(&node, Way::Tcp, "cam", MEDIA);
    let mut publisher = start();
    project.wait(&format!("a publisher at {}", node.service), || {
        if publisher.ended().is_some() {
            publisher = start();
        }
        let paths = String::from_utf8_lossy(&node.weft(&["paths"]).stdout).into_owned();
        let mut lines = paths.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.any(|line| line.starts_with(&["cam", node.service, "online"])).then_some(())
    });
    publisher
}

/// Waits until each has a second more than it has now. None may have ended.
fn watch(project: &Project, captures: &[&Capture]) {
    let frames = |capture: &Capture| capture.recording().video.len();
    let before: Vec<usize> = captures.iter().map(|capture| frames(capture)).collect();
    project.wait("pictures", || {
        let mut both = captures.iter().zip(&before);
        both.all(|(capture, before)| frames(capture) >= before + FRAME_RATE as usize).then_some(())
    });
}

/// Waits until these nodes all see those up.
fn wait_up(project: &Project, nodes: &[Container<'_>], names: &[&str]) {
    project.wait(&format!("{names:?} to be up"), || nodes.iter().all(|node| node.nodes_up() == names).then_some(()));
}
