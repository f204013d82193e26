//! The `weft` command: flags, tasks and exit codes. Serving itself is handed in by whoever calls [`run`].

mod args;
mod ask;
mod cluster;
mod config;
mod configuration;
mod drain;
mod health;
mod paths;
mod table;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::Write;

use clap::error::ErrorKind;

use crate::config::{Config, ConfigErrors, LoadSource, Loaded};
use crate::exit::Exit;
use args::{ConfigTask, Task};

/// Runs a command line, the program's name first. Without a task, loads the configuration and serves with it.
///
/// Warnings are not shown here: `serve` has them in [`Loaded`] and logs them once it has set up logging. The second
/// argument of `serve` is where to load from again, for a reload.
pub fn run<T>(arguments: T, serve: impl FnOnce(Loaded, LoadSource) -> Exit) -> Exit
where
    T: IntoIterator<Item: Into<OsString> + Clone>,
{
    let parsed = args::command().try_get_matches_from(arguments).and_then(|matches| args::understand(&matches));
    let (cli, source) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return usage(&error),
    };
    match cli.command {
        Some(Task::Config(ConfigTask::Check { file })) => config::check(file, source),
        Some(Task::Config(ConfigTask::Import { file, dry_run, ask })) => configuration::import(&ask, &file, dry_run),
        Some(Task::Config(ConfigTask::Diff { from, to, ask })) => configuration::diff(&ask, from, to),
        Some(Task::Config(ConfigTask::History(ask))) => configuration::history(&ask),
        Some(Task::Config(ConfigTask::Rollback { revision, dry_run, ask })) => {
            configuration::rollback(&ask, revision, dry_run)
        }
        Some(Task::Config(ConfigTask::Sample)) => config::sample(),
        Some(Task::Config(ConfigTask::Docs)) => config::docs(),
        Some(Task::Cluster(task)) => cluster::run(task, &source),
        Some(Task::Paths(how)) => paths::run(&how),
        Some(Task::Health { ready, ask }) => health::run(&ask, ready),
        None => match Config::load(&source) {
            Ok(loaded) => serve(loaded, source),
            Err(errors) => refuse(&errors),
        },
    }
}

/// Help and version are what was asked for; anything else is a mistake.
fn usage(error: &clap::Error) -> Exit {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Ok,
        _ => Exit::Configuration,
    }
}

fn refuse(errors: &ConfigErrors) -> Exit {
    complain(&errors.to_string());
    Exit::Configuration
}

/// Writes to standard output. A reader that went away is no error.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Writes to standard error, for what cannot be logged.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
