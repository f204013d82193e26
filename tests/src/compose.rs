//! The cluster of `deploy/compose` in containers, for tests that kill some.
//!
//! Needs a container engine that answers, an image, and a Compose: `tests/docker` has them and runs these tests.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::rust_files::root;
use crate::urls::Urls;
use crate::{http, tools, wait};

/// A project of Compose. Dropped, its containers, networks and volumes are removed; `tests/docker` removes what is left when
/// the test is ended from outside.
#[derive(Debug)]
pub struct Project {
    /// `docker compose`, or `docker-compose`.
    compose: Vec<String>,
    image: String,
    name: String,
    folder: TempDir,
}

/// A container of it.
#[derive(Clone, Copy, Debug)]
pub struct Container<'a> {
    project: &'a Project,
    /// Its service, which is its node's name.
    pub service: &'static str,
}

/// Seconds that a state of containers may take to come.
const SECONDS: u64 = 30;

impl Project {
    /// What `deploy/compose/README.md` tells a user to do before the first start.
    pub fn prepare() -> Self {
        let set =
            |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: tests/docker sets it"));
        let project = Self {
            compose: set("WEFT_COMPOSE").split(' ').map(str::to_owned).collect(),
            image: set("WEFT_IMAGE"),
            name: set("WEFT_PROJECT"),
            folder: TempDir::new().expect("make a temporary folder"),
        };
        let (here, secrets) = (project.home(), project.home().join("secrets"));
        std::fs::create_dir_all(&secrets).expect("make folders");
        for file in ["docker-compose.yml", "weft.yml"] {
            std::fs::copy(root().join("deploy/compose").join(file), here.join(file)).expect("copy a file");
        }
        std::fs::write(secrets.join("cluster.key"), "a secret of thirty-two characters").expect("write a secret");
        // Nobody but the owner gets into the temporary folder; the containers' user gets the files themselves.
        tools::run(Command::new("chmod").args(["-R", "a+rX"]).arg(&here));
        project
    }

    /// As deep as in the repository, which the file names as what the image is built from.
    fn home(&self) -> PathBuf {
        self.folder.path().join("deploy/compose")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.compose[0]);
        command.args(&self.compose[1..]).args(["--project-name", &self.name]).current_dir(self.home());
        command.env("WEFT_IMAGE", &self.image).env_remove("WEFT_BIND").env_remove("WEFT_JOIN");
        command
    }

    /// Runs a command of Compose, and gives what it printed.
    pub fn run(&self, arguments: &[&str]) -> String {
        self.run_with(arguments, &[])
    }

    /// The same with more variables.
    pub fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        tools::run(self.command().args(arguments).envs(variables.iter().copied()))
    }

    /// A container of a service.
    pub fn container(&self, service: &'static str) -> Container<'_> {
        Container { project: self, service }
    }

    /// Waits for a state. Panics with what the containers said when it does not come.
    pub fn wait<T>(&self, what: &str, state: impl FnMut() -> Option<T>) -> T {
        let what = std::fmt::from_fn(|f| write!(f, "{what}\n{}", self.logs()));
        wait::until(what, SECONDS, state)
    }

    /// The end of what the containers said.
    pub fn logs(&self) -> String {
        let output = self.command().args(["--profile", "more", "logs", "--no-color", "--tail", "60"]).output();
        output.map_or_else(|error| error.to_string(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Stops and removes everything, and says what is left of it: nothing.
    pub fn remove(&self) -> String {
        self.run(&["--profile", "more", "down", "--volumes", "--timeout", "10"]);
        let label = format!("label=com.docker.compose.project={}", self.name);
        let list = |arguments: &[&str]| {
            tools::run(Command::new("docker").args(arguments).args(["--quiet", "--filter", &label]))
        };
        [&["ps", "--all"][..], &["volume", "ls"], &["network", "ls"]].map(list).concat()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // Whatever the test has left.
        let _ = self.command().args(["--profile", "more", "down", "--volumes", "--timeout", "0"]).output();
    }
}

fn docker(arguments: &[&str]) -> String {
    tools::run(Command::new("docker").args(arguments))
}

impl Container<'_> {
    /// Where a port of it is opened on this machine.
    pub fn port(&self, inside: u16) -> SocketAddr {
        let said = docker(&["port", &self.id(), &inside.to_string()]);
        said.trim().parse().unwrap_or_else(|error| panic!("port {inside} of {}: {error}: {said:?}", self.service))
    }

    /// What Docker says of it, under a key of `docker inspect`: `.State.Health.Status`.
    pub fn inspect(&self, key: &str) -> String {
        docker(&["inspect", "--format", &format!("{{{{{key}}}}}"), &self.id()]).trim().to_owned()
    }

    /// Docker's name for it. Compose takes a second of a busy machine for each question; Docker does not.
    fn id(&self) -> String {
        let label = |key: &str, value: &str| format!("label=com.docker.compose.{key}={value}");
        let (project, service) = (label("project", &self.project.name), label("service", self.service));
        docker(&["ps", "--all", "--quiet", "--filter", &project, "--filter", &service]).trim().to_owned()
    }

    /// Its address in the network of the containers.
    pub fn address(&self) -> String {
        self.inspect("range .NetworkSettings.Networks}}{{.IPAddress}}{{end")
    }

    /// Runs `weft` inside.
    pub fn weft(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("docker");
        command.args(["exec", &self.id(), "weft"]).args(arguments);
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// What the cluster looks like from it: the names of nodes that are up, in order.
    pub fn nodes_up(&self) -> Vec<String> {
        let output = self.weft(&["cluster", "status", "--json"]);
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let nodes = status["nodes"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        let up = nodes.filter(|node| node["state"] == "up" && status["quorum"] == true);
        let mut names: Vec<String> = up.filter_map(|node| node["name"].as_str().map(str::to_owned)).collect();
        names.sort();
        names
    }

    /// Whether its node says that it is ready, through the opened port.
    pub fn is_ready(&self, api: SocketAddr) -> bool {
        http::get(api, "/ready").is_ok_and(|answer| answer.status == 200)
    }
}

impl Urls for Container<'_> {
    fn rtsp(&self, path: &str) -> String {
        format!("rtsp://{}/{path}", self.port(8554))
    }

    fn rtsps(&self, path: &str) -> String {
        panic!("{path}: {} has no RTSPS", self.service)
    }

    fn rtmp(&self, path: &str) -> String {
        format!("rtmp://{}/{path}", self.port(1935))
    }

    fn rtmps(&self, path: &str) -> String {
        panic!("{path}: {} has no RTMPS", self.service)
    }

    fn hls(&self, path: &str) -> String {
        format!("http://{}/{path}/index.m3u8", self.port(8888))
    }

    fn webrtc(&self) -> String {
        format!("http://{}", self.port(8889))
    }
}
