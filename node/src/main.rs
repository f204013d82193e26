//! The `weft` binary.

use std::process::ExitCode;

use weft_node::cli::{self, Exit};
use weft_node::telemetry::logs;

fn main() -> ExitCode {
    let exit = cli::run(std::env::args_os(), |loaded, _source| {
        let guard = match logs::init(&loaded.config.log) {
            Ok(guard) => guard,
            Err(error) => {
                cli::complain(&error.to_string());
                return Exit::Configuration;
            }
        };
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        tracing::error!("this build has no server yet");
        drop(guard);
        Exit::Failure
    });
    exit.into()
}
