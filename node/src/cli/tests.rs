//! Command lines in, exit codes and configurations out.

use super::*;
use crate::config::value::Address;

fn config_of(arguments: &[&str]) -> Result<Config, Exit> {
    let mut found = None;
    // A file that exists keeps whatever lies in the working directory out of the test.
    let exit = run([&["weft", "--config", "/dev/null"], arguments].concat(), |loaded, _| {
        found = Some(loaded.config);
        Exit::Ok
    });
    found.ok_or(exit)
}

#[test]
fn the_command_is_consistent() {
    args::command().debug_assert();
}

#[test]
fn flags_set_keys() {
    let config = config_of(&[
        "--data",
        "/x",
        "--rtsp-port",
        "9554",
        "--rtp-port",
        "9000",
        "--set",
        "logLevel=debug",
        "--set",
        "paths.cam.maxReaders=2",
        "--set",
        "apiAddress=127.0.0.1:1",
        "--api-port",
        "0",
    ])
    .unwrap();
    let any = |port| Address { host: String::new(), port };
    assert_eq!(config.data_dir.to_str(), Some("/x"));
    assert_eq!(config.rtsp.address, any(9554));
    assert_eq!((config.rtsp.rtp_address, config.rtsp.rtcp_address), (any(9000), any(9001)));
    assert_eq!(config.api.address, Address { host: "127.0.0.1".into(), port: 1 });
    assert_eq!(config.log.level, crate::config::LogLevel::Debug);
}

#[test]
fn mistakes_have_their_exit_code() {
    for arguments in [
        &["--rtsp-port", "x"][..],
        &["--set", "logLevel"],
        &["--set", "logLevel=loud"],
        &["--set", "nonsense=1"],
        &["--unknown"],
        &["--rtp-port", "9001"],
        &["--mode", "alone"],
    ] {
        assert_eq!(config_of(arguments), Err(Exit::Configuration), "{arguments:?}");
    }
    assert_eq!(config_of(&["--version"]), Err(Exit::Ok));
    assert_eq!(config_of(&["config", "check"]), Err(Exit::Ok));
    assert_eq!(config_of(&["config", "check", "/nonexistent.yml"]), Err(Exit::Configuration));
    assert_eq!(Exit::DataFolder as u8, 4);
}

#[test]
fn a_file_may_be_named_as_in_mediamtx() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my.yml");
    std::fs::write(&file, "logLevel: error\n").unwrap();
    let mut level = None;
    let exit = run(["weft".into(), file.into_os_string()], |loaded, source| {
        level = Some((loaded.config.log.level, source.file == loaded.file));
        Exit::PortTaken
    });
    assert_eq!((exit, level), (Exit::PortTaken, Some((crate::config::LogLevel::Error, true))));
}
