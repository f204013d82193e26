//! The `weft` binary.

use std::process::ExitCode;

use weft_node::exit::Exit;
use weft_node::telemetry::logs;
use weft_node::{app, cli};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let exit = cli::run(std::env::args_os(), |loaded, source| {
        let guard = match logs::init(&loaded.config.log) {
            Ok(guard) => guard,
            Err(error) => {
                cli::complain(&error.to_string());
                return Exit::Configuration;
            }
        };
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let exit = app::serve(loaded, source, guard.levels());
        drop(guard);
        exit
    });
    exit.into()
}
