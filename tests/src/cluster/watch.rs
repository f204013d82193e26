//! Looks at all nodes all the time, for what must never be.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Node;
use super::node::get;

/// Between two looks at a node.
const EVERY: Duration = Duration::from_millis(25);

#[derive(Debug)]
pub(super) struct Watch {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Who owned a path under an epoch.
    owners: BTreeMap<(String, u64), String>,
    violations: Vec<String>,
}

impl Watch {
    pub(super) fn start(nodes: &[Node]) -> Self {
        let mut watch = Self { shared: Arc::default(), threads: Vec::new() };
        nodes.iter().for_each(|node| watch.add(node));
        watch
    }

    pub(super) fn add(&mut self, node: &Node) {
        let (shared, name, api, lives) = (self.shared.clone(), node.name.clone(), node.api_address(), node.lives());
        let machine = node.machine();
        self.threads.push(std::thread::spawn(move || {
            if let Some(machine) = machine {
                machine.stay();
            }
            follow(&shared, &name, api, &lives);
        }));
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.shared.seen.lock().expect("no watcher panics").violations.clone()
    }

    pub(super) fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn follow(shared: &Shared, name: &str, api: SocketAddr, lives: &AtomicU64) {
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let mut life = 0;
    while !shared.stop.load(Ordering::Acquire) {
        std::thread::sleep(EVERY);
        let before = lives.load(Ordering::Acquire);
        let Some(paths) = get(api, "/cluster/paths") else { continue };
        if lives.load(Ordering::Acquire) != before {
            continue;
        }
        // A process that has just begun knows less than the one before did, until it has heard from the others.
        if before != life {
            last.clear();
            life = before;
        }
        let mut seen = shared.seen.lock().expect("no watcher panics");
        for path in paths.as_array().into_iter().flatten() {
            let (Some(path_name), Some(epoch)) = (path["name"].as_str(), path["epoch"].as_str()) else { continue };
            let epoch: u64 = epoch.parse().unwrap_or(0);
            let known = last.entry(path_name.to_owned()).or_default();
            if epoch < *known {
                seen.violations.push(format!("{name} went from epoch {known} of {path_name} back to {epoch}"));
            }
            *known = epoch;
            let Some(owner) = path["node"].as_str() else { continue };
            let first = seen.owners.entry((path_name.to_owned(), epoch)).or_insert_with(|| owner.to_owned()).clone();
            if first != owner {
                seen.violations.push(format!("{first} and {owner} own {path_name} under epoch {epoch}"));
            }
        }
    }
}
