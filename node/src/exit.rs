//! How a process ends, for scripts and service managers.

/// Exit codes of the `weft` binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or ended because it was asked to.
    Ok = 0,
    /// Failed while running; the log says why. Starting again may help.
    Failure = 1,
    /// Wrong usage or configuration. Starting again does not help before somebody changes it.
    Configuration = 2,
    /// A port is taken by another process.
    PortTaken = 3,
    /// The data folder cannot be used: no permission, no space, or another node uses it.
    DataFolder = 4,
    /// What was compared differs, or would be changed.
    Differs = 5,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
