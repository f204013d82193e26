//! A load balancer without sticky sessions: each request goes to the next node.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Longest head of a request.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
    counts: Arc<Vec<AtomicUsize>>,
    ended: Arc<AtomicBool>,
}

impl Balancer {
    /// Before these nodes.
    pub fn before(nodes: &[SocketAddr]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let counts: Arc<Vec<AtomicUsize>> = Arc::new(nodes.iter().map(|_| AtomicUsize::new(0)).collect());
        let ended = Arc::new(AtomicBool::new(false));
        let (nodes, own_counts, own_ended) = (nodes.to_vec(), counts.clone(), ended.clone());
        thread::spawn(move || {
            for (turn, client) in listener.incoming().enumerate() {
                if own_ended.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = client else { continue };
                let at = turn % nodes.len();
                own_counts[at].fetch_add(1, Ordering::Relaxed);
                let node = nodes[at];
                // Fails when one of the two goes away, as clients do.
                thread::spawn(move || carry(client, node).ok());
            }
        });
        Self { address, counts, ended }
    }

    /// Where clients connect.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests each node got.
    pub fn counts(&self) -> Vec<usize> {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Lets it see that.
        let _ = TcpStream::connect(self.address);
    }
}

/// One request and its answer. The node is told to close behind it, so that the client's next request is another turn.
fn carry(mut client: TcpStream, node: SocketAddr) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let mut some = [0; 4096];
        let count = client.read(&mut some)?;
        if count == 0 || head.len() > HEAD_BYTES_MAX {
            return Ok(());
        }
        head.extend_from_slice(&some[..count]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let lines = text.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let text = lines.collect::<Vec<_>>().join("\r\n").replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let mut server = TcpStream::connect(node)?;
    server.set_nodelay(true)?;
    server.write_all(text.as_bytes())?;
    // Tells the node when the client gives up waiting.
    let (mut gone, back) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        while gone.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
        // Fails when it is closed already.
        let _ = back.shutdown(Shutdown::Write);
    });
    io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}
