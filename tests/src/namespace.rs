//! A network of a test's own: a namespace with nothing but a loopback interface that carries multicast.

use std::process::Command;

use crate::tools;

/// Tells the inner run that it is inside.
const INSIDE: &str = "WEFT_TEST_NAMESPACE";

/// Runs `test`, whose full name is `name`, in a network namespace of its own, in a process of its own.
///
/// Multicast leaves the machine by its default route, which a test must not do; here the loopback is all there is.
/// Panics, with what the inner run said, when that fails; what it said otherwise is said on.
#[expect(clippy::print_stdout, reason = "figures are for people")]
pub fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        for arguments in ["link set lo up multicast on", "route add 224.0.0.0/4 dev lo"] {
            tools::run(Command::new("ip").args(arguments.split(' ')));
        }
        return test();
    }
    let itself = std::env::current_exe().expect("a test knows its own file");
    let mut inner = Command::new("unshare");
    // A user namespace makes an ordinary user the root of the network namespace. Root needs none, and inside a changed
    // root folder gets none.
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        inner.arg("--map-root-user");
    }
    inner.args(["--net", "--"]).arg(itself).args(["--exact", name, "--nocapture"]);
    let output = inner.env(INSIDE, "1").output().unwrap_or_else(|error| panic!("unshare (util-linux): {error}"));
    let said = [&output.stdout[..], &output.stderr].concat();
    assert!(output.status.success(), "in a namespace of its own:\n{}", String::from_utf8_lossy(&said));
    print!("{}", String::from_utf8_lossy(&output.stdout));
}
