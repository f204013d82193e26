//! `weft-chaos`: the storm's command line.

use std::process::ExitCode;

use clap::Parser;
use weft_chaos::cli::{Cli, Command};
use weft_chaos::load;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Load(args) => load::main(&args),
    }
}
