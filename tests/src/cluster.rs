//! Clusters of real processes on the loopback, that tests kill, stop, wipe, and cut off.
//!
//! Each cluster is watched by [`watch`] from its beginning: whatever a test does, no two nodes own a path under one epoch,
//! and no node ever goes back to an older epoch. A violation fails the test at its end.

mod doors;
mod node;
mod watch;

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

pub use self::node::{Node, Setup};
use self::watch::Watch;
use crate::numbered::Numbered;
use crate::publisher::{Publisher, Refused};
use crate::standin::StandIn;
use crate::{tools, wait};

/// A cluster. Dropped, its processes are killed.
#[derive(Debug)]
pub struct Cluster {
    /// Its nodes, by the order in which they were made.
    pub nodes: Vec<Node>,
    watch: Watch,
    folder: TempDir,
}

/// Seconds that a cluster may take to form, and a state to come.
const SECONDS: u64 = 30;

/// Between two looks where time is measured.
const LOOK: Duration = Duration::from_millis(2);

impl Cluster {
    /// Nodes with these labels that share a secret, when all are up.
    pub fn form(names: &[&str]) -> Self {
        Self::with(&names.iter().map(|name| Setup::new(name)).collect::<Vec<_>>())
    }

    /// The same with settings of their own.
    pub fn with(setups: &[Setup]) -> Self {
        // A port that was free may have been taken meanwhile, and only then is starting again allowed.
        for _ in 0..5 {
            let mut cluster = Self::begin_with(setups);
            if !cluster.port_was_taken() {
                cluster.wait_formed();
                return cluster;
            }
        }
        panic!("no port stays free");
    }

    /// Nodes with these labels that share a secret and have just begun to look for each other.
    pub fn begin(names: &[&str]) -> Self {
        Self::begin_with(&names.iter().map(|name| Setup::new(name)).collect::<Vec<_>>())
    }

    fn begin_with(setups: &[Setup]) -> Self {
        let folder = TempDir::new().expect("make a temporary folder");
        fs::write(folder.path().join("secret"), "a secret of thirty-two characters").expect("write a secret");
        let mut nodes: Vec<Node> = setups.iter().map(|setup| Node::new(setup, folder.path())).collect();
        let peers: Vec<String> = nodes.iter().map(Node::peer).collect();
        for node in &mut nodes {
            node.bootstrap(&peers);
            node.start();
        }
        let watch = Watch::start(&nodes);
        Self { nodes, watch, folder }
    }

    /// Whether a node has ended, because a port of it was taken.
    fn port_was_taken(&mut self) -> bool {
        wait::until("the nodes' APIs", SECONDS, || {
            let ended = self.nodes.iter_mut().find_map(Node::ended);
            if let Some(log) = ended {
                assert!(log.contains("taken") || log.contains("in use"), "a node did not start; it said:\n{log}");
                return Some(true);
            }
            self.nodes.iter().all(|node| node.ready().is_some()).then_some(false)
        })
    }

    /// A node that is not there yet and shares no secret; to be started with a token.
    pub fn add(&mut self, setup: &Setup) -> usize {
        self.nodes.push(Node::new(setup, self.folder.path()));
        let node = self.nodes.last().expect("just pushed");
        self.watch.add(node);
        self.nodes.len() - 1
    }

    /// Waits until every running node sees every running one up, a leader, and as many voters as there should be: one that
    /// has just founded a cluster is its only voter for a moment.
    pub fn wait_formed(&mut self) {
        let running: Vec<String> =
            self.nodes.iter().filter(|node| node.is_running()).map(|node| node.name.clone()).collect();
        self.wait("all nodes to be up", |cluster| {
            cluster.nodes.iter().filter(|node| node.is_running()).all(|node| {
                node.status().is_some_and(|status| {
                    let up = |name: &String| state_of(&status, name) == Some("up");
                    let has_leader = status["quorum"] == true && status["leader"].is_string();
                    has_leader && voters(&status) >= voters_of(running.len()) && running.iter().all(up)
                })
            })
        });
        // While voters change, the old ones decide as well, and one of them may have been alone: it must not die before all
        // have read the end of it.
        self.wait("all nodes to have read the same", |cluster| {
            let running = cluster.nodes.iter().filter(|node| node.is_running());
            let logs: Vec<Option<Value>> = running.map(|node| Some(node.status()?["log"].clone())).collect();
            logs.iter().all(|log| log.as_ref().is_some_and(|log| log[0] == log[1]) && *log == logs[0])
        });
    }

    /// Waits for a state. Panics with the logs of all nodes when it does not come.
    pub fn wait(&self, what: &str, state: impl Fn(&Self) -> bool) {
        let what = fmt::from_fn(|f| write!(f, "{what}\n{}", Logs(self)));
        wait::until(what, SECONDS, || state(self).then_some(()));
    }

    /// Waits, looking often, and says how long it took from `since`.
    pub fn measure(&self, what: &str, since: Instant, mut state: impl FnMut(&Self) -> bool) -> Duration {
        while !state(self) {
            assert!(since.elapsed().as_secs() < SECONDS, "still waiting for {what}\n{}", Logs(self));
            std::thread::sleep(LOOK);
        }
        since.elapsed()
    }

    /// Fails, with what all nodes said.
    pub fn fail(&self, what: &str) -> ! {
        panic!("{what}\n{}", Logs(self));
    }

    /// Which node leads, as a majority's view says. Waits until there is one that runs.
    pub fn leader(&self) -> usize {
        let what = fmt::from_fn(|f| write!(f, "a leader\n{}", Logs(self)));
        wait::until(what, SECONDS, || {
            let status = self.nodes.iter().filter(|node| node.is_running()).find_map(Node::status)?;
            let leader = status["leader"].as_str()?;
            self.nodes.iter().position(|node| node.name == leader && node.is_running())
        })
    }

    /// The node that owns a path and its epoch, as this node knows it.
    pub fn owner(&self, at: usize, path: &str) -> Option<(Option<String>, u64)> {
        let paths = self.nodes[at].get("/cluster/paths")?;
        let found = paths.as_array()?.iter().find(|one| one["name"] == path)?;
        let epoch = found["epoch"].as_str()?.parse().ok()?;
        Some((found["node"].as_str().map(str::to_owned), epoch))
    }

    /// The node that owns a path, as any that runs knows it.
    pub fn owner_of(&self, path: &str) -> Option<usize> {
        let at = self.nodes.iter().position(Node::is_running)?;
        let (owner, _) = self.owner(at, path)?;
        self.nodes.iter().position(|node| Some(&node.name) == owner.as_ref())
    }

    /// Lets a node pull a path's source, as another one is told to see to.
    pub fn move_to(&self, node: usize, path: &str) {
        let wish = json!({"path": path, "node": self.nodes[node].name});
        let answer = self.nodes[(node + 1) % self.nodes.len()].send("POST", "/cluster/paths/move", &wish);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Waits until one and no more takes each of these things.
    pub fn wait_pulled(&self, server: &StandIn, names: &[String]) {
        self.wait("each source to be pulled by one", |_| names.iter().all(|name| server.readers(name) == 1));
    }

    /// Waits until all running nodes agree on the owner, and gives the epoch.
    pub fn wait_owner(&self, path: &str, owner: Option<&str>) -> u64 {
        self.wait(&format!("{owner:?} to own {path}"), |cluster| {
            let running = (0..cluster.nodes.len()).filter(|at| cluster.nodes[*at].is_running());
            let mut seen = running.map(|at| cluster.owner(at, path));
            seen.all(|seen| seen.and_then(|(node, _)| node).as_deref() == owner)
        });
        let at = self.nodes.iter().position(Node::is_running).expect("a node runs");
        self.owner(at, path).map_or(0, |(_, epoch)| epoch)
    }

    /// Waits until all running nodes know that a publisher on this one waits for its turn.
    pub fn wait_standby(&self, path: &str, at: usize) {
        let name = &self.nodes[at].name;
        self.wait("the standby to be registered", |cluster| {
            cluster.nodes.iter().filter(|node| node.is_running()).all(|node| {
                let paths = node.get("/cluster/paths").unwrap_or_default();
                let found = paths.as_array().into_iter().flatten().find(|one| one["name"] == path);
                found.is_some_and(|one| one["standbys"].as_array().is_some_and(|all| all.iter().any(|one| one == name)))
            })
        });
    }

    /// Publishes frames that say whose they are, trying again while the cluster cannot agree. `path` may have a query.
    pub fn publish_numbered(&self, at: usize, path: &str, who: u8) -> Numbered {
        let server = self.nodes[at].rtsp_address();
        wait::until(format!("{path} to be published"), SECONDS, || match Numbered::start(server, path, who) {
            Ok(publisher) => Some(publisher),
            Err(Refused::Status(503)) => None,
            Err(error) => self.fail(&format!("{path}: {error:?}")),
        })
    }

    /// Publishes at a node, trying again while the node starts or the cluster cannot agree.
    pub fn publish(&self, at: usize, path: &str) -> Publisher {
        let what = fmt::from_fn(|f| write!(f, "{path} to be published\n{}", Logs(self)));
        wait::until(what, SECONDS, || match self.try_publish(at, path) {
            Ok(publisher) => Some(publisher),
            Err(Refused::Status(503)) => None,
            // It is about to start.
            Err(Refused::Io(error)) if error.kind() == ErrorKind::ConnectionRefused => None,
            Err(error) => panic!("{path}: {error:?}\n{}", Logs(self)),
        })
    }

    /// Asks once to publish at a node.
    pub fn try_publish(&self, at: usize, path: &str) -> Result<Publisher, Refused> {
        let node = &self.nodes[at];
        node.inside(|| Publisher::start(node.rtsp_address(), path))
    }

    /// Whether a node sees another one like that: `up`, `down`.
    pub fn sees(&self, by: usize, of: usize, state: &str) -> bool {
        let status = self.nodes[by].status();
        status.is_some_and(|status| state_of(&status, &self.nodes[of].name) == Some(state))
    }

    /// Fails if anything was seen that must never be. Called at the end, too.
    pub fn check(&self) {
        let seen = self.watch.violations();
        assert!(seen.is_empty(), "{}\n{}", seen.join("\n"), Logs(self));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.watch.stop();
        if std::thread::panicking() {
            self.keep_logs("");
        } else {
            self.check();
        }
    }
}

impl Cluster {
    /// Leaves what the nodes of a test that failed have said beside its programs, for people to look at, in a folder of the
    /// test or one in that.
    #[expect(clippy::print_stdout, reason = "a test says where to look")]
    pub fn keep_logs(&self, within: &str) {
        let thread = std::thread::current();
        let folder = tools::target().join("failed").join(thread.name().unwrap_or("test")).join(within);
        let kept = fs::create_dir_all(&folder).and_then(|()| {
            self.nodes.iter().try_for_each(|node| fs::write(folder.join(format!("{}.log", node.name)), node.log()))
        });
        // A panic is on its way: all that can be done is to say so.
        println!("logs of the nodes: {} ({kept:?})", folder.display());
    }
}

/// An odd number, at most five.
fn voters_of(nodes: usize) -> usize {
    nodes.min(5).saturating_sub(1) / 2 * 2 + 1
}

fn voters(status: &Value) -> usize {
    let nodes = status["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    nodes.iter().filter(|node| node["role"] != "learner").count()
}

/// What a status says of a node.
pub fn state_of<'a>(status: &'a Value, name: &str) -> Option<&'a str> {
    status["nodes"].as_array()?.iter().find(|node| node["name"] == name)?["state"].as_str()
}

/// The end of what each node said.
struct Logs<'a>(&'a Cluster);

impl fmt::Display for Logs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.0.nodes {
            let log = node.log();
            let lines: Vec<&str> = log.lines().collect();
            let from = lines.len().saturating_sub(60);
            writeln!(f, "--- {}:\n{}", node.name, lines[from..].join("\n"))?;
        }
        Ok(())
    }
}
