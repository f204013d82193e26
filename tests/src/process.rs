//! Children: clients and servers that end with their test.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::wait;

/// Bytes kept of what a child says.
const LOG_BYTES_MAX: usize = 4 << 20;

/// A running child. Dropped, it is killed by its own pid and awaited.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: Arc<Mutex<String>>,
    listeners: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts `command`. Its output is kept. It dies with the thread that started it.
    pub fn start(name: impl Into<String>, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: prctl is async-signal-safe and touches nothing that belongs to the parent.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let log = Arc::new(Mutex::new(String::new()));
        let outputs: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
            child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        ];
        let listeners = outputs.into_iter().flatten().map(|pipe| listen(pipe, log.clone())).collect();
        Self { name: name.into(), child, log, listeners }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("no listener panics").clone()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: the child has not been waited for, so its pid is still its own.
        unsafe { libc::kill(self.child.id().cast_signed(), signal) };
    }

    /// Waits for its end. Panics, with what it said, when it goes on.
    pub fn wait(&mut self, seconds: u64) -> ExitStatus {
        let (name, log) = (self.name.clone(), self.log.clone());
        let said = std::fmt::from_fn(|f| write!(f, "{name} to end; it said:\n{}", log.lock().expect("kept")));
        wait::until(&said, seconds, || self.ended())
    }

    /// Panics, with what it said, when it has ended.
    pub fn assert_running(&mut self) {
        if let Some(status) = self.ended() {
            panic!("{} ended with {status}; it said:\n{}", self.name, self.log());
        }
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kilobytes.unwrap_or_else(|| panic!("{} has no memory: it is gone", self.name)) * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.signal(libc::SIGKILL);
            let _ = self.child.wait();
        }
        // A grandchild may hold the pipe open; then the listener is left to itself.
        self.listeners.retain(|listener| !listener.is_finished());
    }
}

/// The code a process ended with; a signal is an error.
pub fn code(status: ExitStatus) -> Result<i32, String> {
    status.code().ok_or_else(|| format!("killed by signal {:?}", status.signal()))
}

fn listen(pipe: impl Read + Send + 'static, log: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut lines = BufReader::new(pipe);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            let mut log = log.lock().expect("no test panics with the log held");
            if log.len() < LOG_BYTES_MAX {
                log.push_str(&String::from_utf8_lossy(&line));
            }
            line.clear();
        }
    })
}
