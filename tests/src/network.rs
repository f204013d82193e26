//! Machines of a test's own: a network namespace for each, with an interface that ends at a switch.
//!
//! All of it lives inside the namespace of [`crate::namespace::alone`]: nothing has a name outside, and the kernel clears it
//! away with the processes that hold it. A partition is another switch: packets do not arrive, and nobody is told.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::Arc;

use crate::process::Process;
use crate::tools;

/// A network of some machines. Dropped, it is gone.
#[derive(Debug)]
pub struct Network {
    machines: Vec<Arc<Machine>>,
}

/// One machine of it.
#[derive(Debug)]
pub struct Machine {
    number: usize,
    namespace: File,
    holder: Process,
}

fn ip(arguments: &str) {
    tools::run(Command::new("ip").args(arguments.split(' ')));
}

/// The namespace that this thread is in.
fn current() -> File {
    File::open("/proc/thread-self/ns/net").expect("a thread has a network namespace")
}

fn enter(namespace: &File) {
    // SAFETY: takes a descriptor that is open, and changes this thread alone.
    let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    assert!(entered == 0, "setns: {}", std::io::Error::last_os_error());
}

impl Network {
    /// So many machines that all reach each other. In a namespace of the test's own.
    pub fn of(count: usize) -> Self {
        for switch in ["left", "right"] {
            ip(&format!("link add {switch} type bridge"));
            ip(&format!("link set {switch} up"));
        }
        let network = Self { machines: (0..count).map(|number| Arc::new(Machine::new(number))).collect() };
        network.heal();
        network
    }

    /// A machine.
    pub fn machine(&self, number: usize) -> Arc<Machine> {
        self.machines[number].clone()
    }

    /// These reach each other and nobody else, and the others each other.
    pub fn split(&self, right: &[usize]) {
        for machine in &self.machines {
            let switch = if right.contains(&machine.number) { "right" } else { "left" };
            ip(&format!("link set port{} master {switch}", machine.number));
        }
    }

    /// The cable of a machine is pulled out.
    pub fn unplug(&self, number: usize) {
        ip(&format!("link set port{number} down"));
    }

    /// All reach each other.
    pub fn heal(&self) {
        self.split(&[]);
        self.machines.iter().for_each(|machine| ip(&format!("link set port{} up", machine.number)));
    }
}

impl Machine {
    fn new(number: usize) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "--", "sleep", "infinity"]);
        let holder = Process::start(format!("machine {number}"), command);
        let outside = std::fs::read_link("/proc/thread-self/ns/net").expect("a namespace");
        let path = format!("/proc/{}/ns/net", holder.pid());
        // It is a namespace of its own as soon as `unshare` has done its part.
        let namespace = crate::wait::until("a namespace", 10, || {
            let there = std::fs::read_link(&path).ok()?;
            (there != outside).then(|| File::open(&path).expect("a namespace that is there"))
        });
        let machine = Self { number, namespace, holder };
        ip(&format!("link add port{number} type veth peer name mesh netns {}", machine.holder.pid()));
        machine.inside(|| {
            ip("link set lo up");
            ip(&format!("addr add {}/24 dev mesh", machine.address()));
            ip("link set mesh up");
        });
        machine
    }

    /// Where the others find it.
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, u8::try_from(self.number + 1).expect("few machines"))
    }

    /// Does something on that machine: sockets that are opened there, and processes that are started, belong to it.
    pub fn inside<R>(&self, work: impl FnOnce() -> R) -> R {
        let home = current();
        enter(&self.namespace);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        enter(&home);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// This thread is on that machine from now on.
    pub fn stay(&self) {
        enter(&self.namespace);
    }
}
