//! The command line as `clap` sees it, and its flags as overrides of keys.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, value_parser};

use crate::config::value::parse_duration;
use crate::config::{Change, LoadSource, Override};

/// Clustered live-media server.
#[derive(Debug, Parser)]
#[command(name = "weft", version, after_help = AFTER_HELP, subcommand_negates_reqs = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Task>,
    #[command(flatten)]
    pub(super) serve: ServeArgs,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub(super) enum Task {
    /// Look at the configuration, and change what all nodes share
    #[command(subcommand)]
    Config(ConfigTask),
    /// Look at a cluster and change it, through any of its nodes
    #[command(subcommand)]
    Cluster(ClusterTask),
    /// The paths of the whole cluster, with their publishers and readers
    Paths(Ask),
    /// Ask a node whether it lives: exit code 0 or 1, for health checks
    Health {
        /// Whether it serves publishers as well: it belongs to a cluster that can agree, and is not about to end
        #[arg(long)]
        ready: bool,
        #[command(flatten)]
        ask: Ask,
    },
}

/// What to do with the cluster.
#[derive(Debug, Subcommand)]
pub(super) enum ClusterTask {
    /// Who belongs, who leads, and whether the nodes can agree
    Status(Ask),
    /// The nodes and the ways to them
    Nodes(Ask),
    /// Which node owns which path
    Paths(Ask),
    /// Why a path is where it is
    Why {
        /// The path
        path: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Let another node pull a path's source
    Move {
        /// The path
        path: String,
        /// The node, by its label or its id
        node: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Make a token that lets one node in, once
    Token {
        /// How long it is valid, in seconds; at most a day
        #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
        valid_for: u64,
        #[command(flatten)]
        ask: Ask,
    },
    /// Remove a node for good
    Remove {
        /// Its name or its id
        node: String,
        /// Even if the others cannot agree without it
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        ask: Ask,
    },
    /// Empty a node before it is stopped: it takes nothing new, lets another one lead, and asks publishers and readers to go
    Drain {
        /// Its name or its id [default: the node that is asked]
        node: Option<String>,
        /// Wait until nobody publishes or reads there
        #[arg(long)]
        wait: bool,
        /// Send away whoever is still there after this time
        #[arg(long, value_name = "TIME", value_parser = duration)]
        deadline: Option<Duration>,
        #[command(flatten)]
        ask: Ask,
    },
    /// Let a drained node take everything again
    Undrain {
        /// Its name or its id [default: the node that is asked]
        node: Option<String>,
        #[command(flatten)]
        ask: Ask,
    },
    /// Write what the nodes agree on to a file, without keys and tokens
    Backup {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        ask: Ask,
    },
    /// Begin a new cluster on this machine with what a backup holds; its data folder must be new
    Restore {
        /// The file
        file: PathBuf,
    },
    /// Go on alone with what this machine's node has, when the majority of the voters is lost for good
    Recover {
        /// Yes: what the lost nodes alone had agreed to is lost
        #[arg(long, required = true)]
        force: bool,
    },
}

/// How to ask a node.
#[derive(Debug, Args)]
pub(super) struct Ask {
    /// The API of any node
    #[arg(long, value_name = "URL", env = "WEFT_API", default_value = "http://127.0.0.1:9997")]
    pub(super) api: String,
    /// Answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("{text:?} is no time: write 30s or 2m"))
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigTask {
    /// Check a configuration file and say all that is wrong with it
    Check {
        /// The file; without it, the one that `weft` would use
        file: Option<PathBuf>,
    },
    /// Let the cluster take what a file says of paths, users and whatever else all nodes share
    Import {
        /// The file
        file: PathBuf,
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        ask: Ask,
    },
    /// Say what differs between two revisions of what all nodes share
    Diff {
        /// The older one [default: what is in force, against the file of the node that is asked]
        from: Option<u64>,
        /// The newer one [default: what is in force]
        to: Option<u64>,
        #[command(flatten)]
        ask: Ask,
    },
    /// Who has changed what all nodes share, and when
    History(Ask),
    /// Go back to what a revision said, as a new revision
    Rollback {
        /// Its number
        revision: u64,
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        ask: Ask,
    },
    /// Print a configuration file with every key, its default and what it does
    Sample,
    /// Print the table of keys as Markdown
    #[command(hide = true)]
    Docs,
}

/// Flags of a node.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Configuration file [default: weft.yml or mediamtx.yml, if there is one]
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) config: Option<PathBuf>,
    /// The same without the flag, as MediaMTX takes it
    #[arg(value_name = "FILE", hide = true, conflicts_with = "config")]
    pub(super) file: Option<PathBuf>,
    /// Where the node keeps its state [default: weft-data]
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<String>,
    /// standalone, cluster or witness [default: cluster with a `cluster` section or --join, else standalone]
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// Join a cluster with a token of `weft cluster token`, if the node is in none
    #[arg(long, value_name = "TOKEN", env = "WEFT_JOIN", hide_env_values = true)]
    join: Option<String>,
    /// Set any key: --set logLevel=debug --set paths.cam.maxReaders=5
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value, global = true)]
    set: Vec<(String, String)>,
}

const AFTER_HELP: &str = "Without a file and without a flag, weft serves on MediaMTX's ports.

Exit codes: 0 ok; 1 failed while running; 2 wrong usage or configuration; 3 a port is taken; 4 the data folder cannot be used;\n5 what was compared differs.";

/// Flags that replace a listener's port, and the keys whose address they change. Several: each takes the next port.
const PORTS: [(&str, &[&str]); 13] = [
    ("rtsp-port", &["rtspAddress"]),
    ("rtsps-port", &["rtspsAddress"]),
    ("rtp-port", &["rtpAddress", "rtcpAddress"]),
    ("srtp-port", &["srtpAddress", "srtcpAddress"]),
    ("rtmp-port", &["rtmpAddress"]),
    ("rtmps-port", &["rtmpsAddress"]),
    ("hls-port", &["hlsAddress"]),
    ("webrtc-port", &["webrtcAddress"]),
    ("webrtc-udp-port", &["webrtcLocalUDPAddress"]),
    ("srt-port", &["srtAddress"]),
    ("api-port", &["apiAddress"]),
    ("metrics-port", &["metricsAddress"]),
    ("playback-port", &["playbackAddress"]),
];

/// The command with its flags, those of the listeners from the table above.
pub(super) fn command() -> Command {
    let port = |(flag, keys): &(&'static str, &[&str])| {
        let help = format!("Port of `{}`; 0 is any free one", keys.join("`, then `"));
        Arg::new(*flag).long(*flag).value_name("N").value_parser(value_parser!(u16)).help(help)
    };
    Cli::command().args(PORTS.iter().map(port))
}

/// The parsed flags and where to load the configuration from.
pub(super) fn understand(matches: &ArgMatches) -> Result<(Cli, LoadSource), clap::Error> {
    let cli = Cli::from_arg_matches(matches)?;
    let mut source = LoadSource::standard();
    source.file = cli.serve.config.clone().or_else(|| cli.serve.file.clone());
    source.overrides = overrides(&cli.serve, matches);
    Ok((cli, source))
}

fn overrides(serve: &ServeArgs, matches: &ArgMatches) -> Vec<Override> {
    let set = |flag: &str, key: &str, value: &str| Override {
        flag: flag.to_owned(),
        change: Change::Set(key.to_owned(), value.to_owned()),
    };
    let mut overrides = Vec::new();
    overrides.extend(serve.data.iter().map(|value| set("--data", "dataDir", value)));
    overrides.extend(serve.join.iter().map(|value| set("--join", "cluster.join", value)));
    overrides.extend(serve.mode.iter().map(|value| set("--mode", "mode", value)));
    for (flag, keys) in &PORTS {
        let Some(first) = matches.get_one::<u16>(flag) else { continue };
        for (key, above) in keys.iter().zip(0u16..) {
            // 0 is any free port, for all of them.
            let port = if *first == 0 { 0 } else { first.saturating_add(above) };
            overrides.push(Override { flag: format!("--{flag}"), change: Change::Port(key, port) });
        }
    }
    overrides.extend(serve.set.iter().map(|(key, value)| set("--set", key, value)));
    overrides
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}
