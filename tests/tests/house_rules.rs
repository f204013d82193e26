//! The walls of the house stand: who may use whom, and what each room must never have.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use weft_tests::rust_files::{RustFile, production, root};

/// Crates in the order of the one straight line; each may use those before it.
const LINE: &[&str] = &["weft-proto", "weft-cluster", "weft-node"];

/// Crates at the end of the line; nobody uses them.
const ENDS: &[&str] = &["weft-chaos", "weft-tests"];

/// Production lines of one file, and of nine files in ten.
const LINES_MAX: usize = 800;
const LINES_P90_MAX: usize = 400;

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().expect("run cargo");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The direct dependencies of a crate, without those of its tests.
fn dependencies(name: &str) -> BTreeSet<String> {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--no-deps", "--offline"])).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let package = packages.iter().find(|package| package["name"] == name).unwrap_or_else(|| panic!("no crate {name}"));
    let all = package["dependencies"].as_array().expect("dependencies").iter();
    all.filter(|one| one["kind"] != "dev").map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}

/// Fails with every line of code in which `is_bad` finds something.
fn assert_nowhere(files: &[RustFile], is_bad: impl Fn(&RustFile, &str) -> Option<String>) {
    assert!(!files.is_empty(), "no source found");
    let found: Vec<String> = files
        .iter()
        .flat_map(|file| file.code.iter().map(move |(number, line)| (file, number, line)))
        .filter_map(|(file, number, line)| Some(format!("{}:{number}: {}", file.path.display(), is_bad(file, line)?)))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn names(line: &str, words: &[&str]) -> Option<String> {
    words.iter().find(|word| line.contains(**word)).map(|word| format!("`{word}` in `{}`", line.trim()))
}

#[test]
fn crates_use_only_those_to_their_left() {
    for (index, name) in LINE.iter().enumerate() {
        let forbidden: Vec<String> = dependencies(name)
            .into_iter()
            .filter(|used| LINE[index..].contains(&used.as_str()) || ENDS.contains(&used.as_str()))
            .collect();
        assert!(forbidden.is_empty(), "{name} uses {forbidden:?}");
    }
}

#[test]
fn proto_depends_on_no_runtime_socket_clock_or_chance() {
    let allowed: BTreeSet<&str> = [
        "base64",
        "bincode",
        "bytes",
        "crc32fast",
        "hmac",
        "md-5",
        "sdp-types",
        "sha1",
        "sha2",
        "smallvec",
        "subtle",
        "thiserror",
    ]
    .into();
    let others: Vec<String> =
        dependencies("weft-proto").into_iter().filter(|used| !allowed.contains(used.as_str())).collect();
    assert!(others.is_empty(), "is {others:?} free of input, output, clocks and chance? Then allow it here");
    let tree = cargo(&["tree", "-p", "weft-proto", "-e", "normal", "--prefix", "none", "--offline"]);
    for banned in ["tokio", "mio", "socket2", "rand", "getrandom", "async-std", "chrono", "time", "actix"] {
        let is_there = tree.lines().any(|line| line.split(' ').next() == Some(banned));
        assert!(!is_there, "weft-proto brings in {banned}");
    }
}

#[test]
fn proto_opens_nothing_and_asks_no_clock() {
    let words = &[
        "std::net::Tcp",
        "std::net::Udp",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "std::fs",
        "std::io",
        "std::env",
        "std::process",
        "std::thread",
        "Instant",
        "SystemTime",
        "RandomState",
        "HashMap::new",
        "unsafe ",
    ];
    assert_nowhere(&production("proto/src"), |_, line| names(line, words));
}

#[test]
fn cluster_names_no_protocol() {
    let words = ["rtsp", "rtmp", "webrtc", "whip", "whep", "hls", "srt", "moq", "http", "sdp", "rtcp"];
    assert_nowhere(&production("cluster/src"), |_, line| {
        let lower = line.to_ascii_lowercase();
        let mut spoken = lower.split(|c: char| !c.is_ascii_alphanumeric());
        spoken.find(|word| words.contains(word)).map(|word| format!("`{word}` in `{}`", line.trim()))
    });
}

#[test]
fn protocols_of_the_node_do_not_know_each_other() {
    let doors = ["rtsp", "rtmp", "webrtc", "hls", "srt", "moq", "mpegts", "http"];
    let folders: Vec<&str> = doors.into_iter().filter(|door| root().join("node/src").join(door).is_dir()).collect();
    assert!(folders.contains(&"rtsp"), "node/src/rtsp is gone; is this test still looking at the right place?");
    for own in &folders {
        let others: Vec<String> = folders
            .iter()
            .filter(|other| other != &own)
            .flat_map(|other| [format!("crate::{other}"), format!("super::super::{other}")])
            .collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        assert_nowhere(&production(&format!("node/src/{own}")), |_, line| names(line, &others));
    }
}

#[test]
fn files_stay_small() {
    let mut sizes: Vec<(usize, String)> = ["proto", "cluster", "node", "chaos", "tests"]
        .iter()
        .flat_map(|part| production(&format!("{part}/src")))
        .map(|file| (file.production_lines, file.path.display().to_string()))
        .collect();
    sizes.sort_unstable();
    let too_long: Vec<_> = sizes.iter().filter(|(lines, _)| *lines > LINES_MAX).collect();
    assert!(too_long.is_empty(), "more than {LINES_MAX} lines: {too_long:?}");
    let (p90, path) = &sizes[sizes.len() * 9 / 10];
    assert!(
        *p90 <= LINES_P90_MAX,
        "one file in ten has more than {LINES_P90_MAX} lines; the shortest of them is {path}"
    );
}

#[test]
fn one_cryptography_and_it_is_not_ring_or_openssl() {
    for banned in ["ring", "openssl", "openssl-sys", "native-tls"] {
        // When nothing depends on it, cargo prints nothing to stdout.
        let users = cargo(&["tree", "--workspace", "-i", banned, "--target", "x86_64-unknown-linux-gnu", "--offline"]);
        assert!(users.is_empty(), "{banned} came in:\n{users}");
    }
}

#[test]
fn every_crate_follows_the_workspace_lints() {
    for part in ["proto", "cluster", "node", "chaos", "tests"] {
        let manifest = root().join(part).join("Cargo.toml");
        let text =
            std::fs::read_to_string(&manifest).unwrap_or_else(|error| panic!("{}: {error}", Path::new(part).display()));
        assert!(text.contains("[lints]\nworkspace = true"), "{part} has lints of its own");
    }
}
