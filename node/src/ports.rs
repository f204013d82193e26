//! Who holds a port, to say more than "address in use".
//!
//! Linux only, by `/proc`: sockets by port in `/proc/net/*`, then the process whose descriptor has that socket's inode.
//! Other people's processes can be looked into by root only; then the answer is `None`. Slow (it visits every process):
//! for messages, not for hot paths.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proto {
    /// TCP; only listening sockets count.
    Tcp,
    /// UDP; only unconnected sockets count.
    Udp,
}

/// A process that holds a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Its short name, as `ps` shows it.
    pub name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// Finds the process that holds a port on any address.
pub fn who_holds(port: u16, proto: Proto) -> Option<Holder> {
    find(&sockets(port, proto).into_iter().map(|(_, inode)| inode).collect::<Vec<_>>())
}

/// A sentence as [`taken`] gives it, if another process than this one holds a part of an address: the port on the same
/// host, or either of them on all hosts. Looks at nothing but the kernel's tables, so a shared port shows as well.
pub fn taken_by_another(address: SocketAddr, proto: Proto) -> Option<String> {
    let own = format!("/proc/{}", std::process::id());
    let overlaps = |ip: IpAddr| {
        ip.is_unspecified() || address.ip().is_unspecified() || ip.to_canonical() == address.ip().to_canonical()
    };
    let sockets = sockets(address.port(), proto).into_iter().filter(|(ip, _)| overlaps(*ip));
    let others: Vec<u64> = sockets.map(|(_, inode)| inode).filter(|inode| !holds(&own, &[*inode])).collect();
    (!others.is_empty()).then(|| sentence(address.port(), proto, find(&others)))
}

fn find(inodes: &[u64]) -> Option<Holder> {
    if inodes.is_empty() {
        return None;
    }
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid: &u32| holds(&format!("/proc/{pid}"), inodes)).map(|pid| Holder { pid, name: name(pid) })
}

/// A sentence for a port that could not be bound: `port 8554 (TCP) is taken by ffmpeg (pid 123)`.
pub fn taken(port: u16, proto: Proto) -> String {
    sentence(port, proto, who_holds(port, proto))
}

fn sentence(port: u16, proto: Proto, holder: Option<Holder>) -> String {
    let word = match proto {
        Proto::Tcp => "TCP",
        Proto::Udp => "UDP",
    };
    match holder {
        Some(holder) => format!("port {port} ({word}) is taken by {holder}"),
        None => format!("port {port} ({word}) is taken by another process"),
    }
}

/// The sockets of all processes on a port: address and inode.
fn sockets(port: u16, proto: Proto) -> Vec<(IpAddr, u64)> {
    // The kernel's names: 0A is LISTEN; 07 is CLOSE, which for UDP means bound and not connected.
    let (tables, state) = match proto {
        Proto::Tcp => (["/proc/net/tcp", "/proc/net/tcp6"], "0A"),
        Proto::Udp => (["/proc/net/udp", "/proc/net/udp6"], "07"),
    };
    let texts = tables.iter().filter_map(|table| std::fs::read_to_string(table).ok());
    texts
        .flat_map(|text| text.lines().skip(1).filter_map(|line| socket(line, port, state)).collect::<Vec<_>>())
        .collect()
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`, all numbers of addresses in hexadecimal.
fn socket(line: &str, port: u16, state: &str) -> Option<(IpAddr, u64)> {
    let mut fields = line.split_whitespace();
    let (ip, local_port) = fields.nth(1)?.rsplit_once(':')?;
    let found = u16::from_str_radix(local_port, 16).ok()? == port && fields.nth(1)? == state;
    let inode = fields.nth(5)?.parse().ok().filter(|inode| found && *inode != 0)?;
    Some((address(ip)?, inode))
}

/// Words of 32 bits, each as the machine keeps it.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            Some(IpAddr::from(<[u8; 16]>::try_from(words.as_flattened()).ok()?))
        }
        _ => None,
    }
}

fn holds(process: &str, inodes: &[u64]) -> bool {
    let Ok(descriptors) = std::fs::read_dir(format!("{process}/fd")) else { return false };
    descriptors.flatten().any(|descriptor| inode(&descriptor.path()).is_some_and(|inode| inodes.contains(&inode)))
}

/// The inode of `socket:[12345]`.
fn inode(descriptor: &Path) -> Option<u64> {
    let target = std::fs::read_link(descriptor).ok()?;
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn name(pid: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    // A process chooses its own name; keep terminals and logs safe from it.
    name.trim_end().escape_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_ports_lead_to_us() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = std::net::UdpSocket::bind("[::]:0").unwrap();
        let ports = [(tcp.local_addr(), Proto::Tcp), (udp.local_addr(), Proto::Udp)];
        for (port, proto) in ports.map(|(address, proto)| (address.unwrap().port(), proto)) {
            let holder = who_holds(port, proto).unwrap();
            assert_eq!(holder.pid, std::process::id());
            assert!(taken(port, proto).ends_with(&format!("is taken by {holder}")));
        }
        let free = tcp.local_addr().unwrap().port();
        drop(tcp);
        assert_eq!(who_holds(free, Proto::Tcp), None);
    }

    #[test]
    fn our_own_sockets_are_no_strangers() {
        let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(taken_by_another(own.local_addr().unwrap(), Proto::Tcp), None);
    }

    #[test]
    fn a_line_of_the_kernel() {
        let line = "   0: 0100007F:216A 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 12345 1 0 100";
        assert_eq!(socket(line, 0x216A, "0A"), Some(("127.0.0.1".parse().unwrap(), 12345)));
        assert_eq!(socket(line, 0x216A, "07"), None);
        assert_eq!(socket(line, 1, "0A"), None);
        assert_eq!(socket("garbage", 1, "0A"), None);
        assert_eq!(address("00000000000000000000000001000000"), Some("::1".parse().unwrap()));
        assert_eq!(address("0000000000000000FFFF00000100007F"), Some("::ffff:127.0.0.1".parse().unwrap()));
        assert_eq!(address("ä0000000"), None);
    }
}
