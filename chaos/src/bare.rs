//! The machine's own limit: one thread that only writes frames to sockets. No server can do better with one core,
//! for on loopback the sender also pays for the receiver's side of the network stack.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use crate::probe::ProbeError;
use crate::probe::clock::{now_ns, sleep_until, thread_cpu};
use crate::probe::door::{Media, Seat, Transport};
use crate::probe::reader::{ReaderThread, Ticket};
use crate::probe::rtp::{PACKET_MAX, Packer, PacketBuf};
use crate::probe::stamp::Stamp;

/// The kernel takes at most 64 segments and 64 KiB in one send (UDP_MAX_SEGMENTS, IPv4's total length).
const SEND_MAX: usize = 45 * PACKET_MAX;
/// Frames under way to each socket. With more, datagrams are dropped, and a TCP write only queues: the sending is
/// then done, and paid for, by whoever brings the acknowledgement, which is the receiver.
const ROUNDS_UNDER_WAY: u64 = 2;
/// Datagrams under way for longer are lost.
const UNDER_WAY_NS: u64 = 50_000_000;
const RECV_BUFFER: usize = 4 << 20;
const WARMUP: Duration = Duration::from_millis(500);

/// What to write.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// To which kind of socket.
    pub transport: Transport,
    /// To how many.
    pub sockets: u32,
    /// Bytes of a frame without packet headers.
    pub frame_bytes: usize,
    /// Rounds per second; without a pause if there is none. A thread that sleeps between rounds wakes to cold caches and
    /// sleeping receivers, as a server under this load does: its limit is lower.
    pub fps: Option<u32>,
    /// For how long.
    pub duration: Duration,
    /// Threads that drain the sockets.
    pub read_threads: u32,
}

/// What came of it.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Bare {
    /// As asked.
    pub transport: Transport,
    /// As asked.
    pub fps: Option<u32>,
    /// Received, with packet headers.
    pub gbit: f64,
    /// Share of the bytes that the readers' sockets dropped.
    pub dropped: f64,
    /// CPU time of the writing thread.
    pub cpu_seconds: f64,
    /// The limit.
    pub gbit_per_cpu_second: f64,
}

/// Measures. Takes a little longer than `config.duration`.
pub fn measure(config: &Config) -> Result<Bare, ProbeError> {
    let failed = ProbeError::io("measure bare writing");
    let readers = (0..config.read_threads).map(|_| ReaderThread::start(Duration::from_secs(1), 1));
    let readers: Vec<ReaderThread> = readers.collect::<Result<_, _>>()?;
    let written = thread::scope(|scope| {
        let writer = scope.spawn(|| match config.transport {
            Transport::Tcp => write_tcp(config, &readers),
            Transport::Udp => write_udp(config, &readers),
        });
        writer.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
    });
    readers.into_iter().for_each(|reader| drop(reader.stop()));
    let Written { sent, received, cpu } = written.map_err(failed)?;
    let (gbit, cpu_seconds) = (received as f64 * 8.0 / 1e9, cpu.as_secs_f64());
    let dropped = 1.0 - (received as f64 / sent as f64).min(1.0);
    let Config { transport, fps, .. } = *config;
    Ok(Bare { transport, fps, gbit, dropped, cpu_seconds, gbit_per_cpu_second: gbit / cpu_seconds })
}

struct Written {
    sent: u64,
    received: u64,
    cpu: Duration,
}

fn write_tcp(config: &Config, readers: &[ReaderThread]) -> io::Result<Written> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut sockets = Vec::new();
    for index in 0..config.sockets as usize {
        let control = TcpStream::connect(listener.local_addr()?)?;
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        sockets.push(socket);
        let media = Media::Interleaved { video: 0, audio: None, early: Vec::new() };
        readers[index % readers.len()].entrance().add(seat(Some(control), media), ticket(index));
    }
    let frame = frame(config.frame_bytes, Some(0));
    let frame = frame.as_bytes();
    Rounds { readers, fps: config.fps, sent: 0, lost: 0 }.measure(config, || {
        for socket in &mut sockets {
            socket.write_all(frame)?;
        }
        Ok(frame.len() as u64 * u64::from(config.sockets))
    })
}

fn write_udp(config: &Config, readers: &[ReaderThread]) -> io::Result<Written> {
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    segment(&sender, PACKET_MAX)?;
    let mut targets: Vec<SocketAddr> = Vec::new();
    for index in 0..config.sockets as usize {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(RECV_BUFFER)?;
        socket.connect(sender.local_addr()?)?;
        targets.push(socket.local_addr()?);
        let reports = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        readers[index % readers.len()]
            .entrance()
            .add(seat(None, Media::Datagrams { video: (socket, reports), audio: None }), ticket(index));
    }
    let frame = frame(config.frame_bytes, None);
    let frame = frame.as_bytes();
    Rounds { readers, fps: config.fps, sent: 0, lost: 0 }.measure(config, || {
        for target in &targets {
            for part in frame.chunks(SEND_MAX) {
                sender.send_to(part, target)?;
            }
        }
        Ok(frame.len() as u64 * u64::from(config.sockets))
    })
}

fn ticket(turn: usize) -> Ticket {
    Ticket { turn, ..Ticket::default() }
}

/// Calls `write`, which puts a frame into each socket and says how many bytes that was, again and again.
struct Rounds<'a> {
    readers: &'a [ReaderThread],
    fps: Option<u32>,
    sent: u64,
    lost: u64,
}

impl Rounds<'_> {
    fn received(&self) -> u64 {
        self.readers.iter().map(|reader| reader.counts().bytes).sum()
    }

    /// Warms up and measures.
    fn measure(&mut self, config: &Config, mut write: impl FnMut() -> io::Result<u64>) -> io::Result<Written> {
        self.run(WARMUP, &mut write)?;
        let (cpu, sent, received) = (thread_cpu(), self.sent, self.received());
        self.run(config.duration, &mut write)?;
        let cpu = thread_cpu() - cpu;
        Ok(Written { sent: self.sent - sent, received: self.received() - received, cpu })
    }

    fn run(&mut self, duration: Duration, write: &mut impl FnMut() -> io::Result<u64>) -> io::Result<()> {
        let mut next_ns = now_ns();
        let end_ns = next_ns + duration.as_nanos() as u64;
        while now_ns() < end_ns {
            let bytes = write()?;
            self.sent += bytes;
            if let Some(fps) = self.fps {
                next_ns += 1_000_000_000 / u64::from(fps);
                sleep_until(next_ns);
            }
            self.keep_up(bytes * ROUNDS_UNDER_WAY);
        }
        Ok(())
    }

    /// Waits until at most `most` bytes are under way. Sleeping costs this thread next to nothing.
    fn keep_up(&mut self, most: u64) {
        let give_up_ns = now_ns() + UNDER_WAY_NS;
        while self.sent - self.lost > self.received() + most {
            thread::sleep(Duration::from_micros(50));
            if now_ns() > give_up_ns {
                self.lost = self.sent.saturating_sub(self.received());
            }
        }
    }
}

/// A frame as our readers know it: one SEI in full packets, so that only the last segment is shorter.
fn frame(bytes: usize, channel: Option<u8>) -> PacketBuf {
    let (mut sei, mut packets) = (Vec::new(), PacketBuf::new(channel));
    Stamp { path: 0, seq: 0, key: true, sent_ns: now_ns(), pad_len: Stamp::pad_for(bytes) }.write_sei(&mut sei);
    Packer::new(96, 1, 0).video(&[&sei], 0, &mut packets);
    packets
}

fn seat(control: Option<TcpStream>, media: Media) -> Seat {
    Seat { asked_ns: now_ns(), joined_ns: now_ns(), control, keepalive: None, media }
}

/// Lets the kernel cut what is sent into datagrams of `size` bytes (udp(7), UDP_SEGMENT).
fn segment(socket: &UdpSocket, size: usize) -> io::Result<()> {
    let size = size as libc::c_int;
    // SAFETY: the option takes an int, which outlives the call.
    let failed = unsafe {
        let value = (&raw const size).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, value, size_of_val(&size) as u32)
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_transports_give_a_figure() {
        for (transport, fps) in [(Transport::Tcp, Some(100)), (Transport::Udp, None)] {
            let duration = Duration::from_millis(100);
            let config = Config { transport, sockets: 3, frame_bytes: 8_333, fps, duration, read_threads: 1 };
            let bare = measure(&config).unwrap();
            assert!(bare.gbit > 0.0 && bare.gbit_per_cpu_second > 0.0, "{bare:?}");
        }
    }

    #[test]
    fn a_frame_is_as_large_as_asked_and_cuts_evenly() {
        let packets = frame(8_333, None);
        let lens: Vec<usize> = packets.packets().map(<[u8]>::len).collect();
        assert!(lens[..lens.len() - 1].iter().all(|&len| len == PACKET_MAX));
        assert!((8_333..8_333 + 14 * 7).contains(&packets.as_bytes().len()));
    }
}
