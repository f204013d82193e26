//! A UDP socket of QUIC on which faults are injected.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep_until};

use super::queue::{Packet, Queue};
use super::{Faults, Way};

/// Puts faults between a socket and the endpoint that uses it. To be called on the endpoint's runtime, where a task is
/// started that sends what is late; it ends with the socket.
pub fn wrap(inner: Arc<dyn AsyncUdpSocket>, faults: Faults) -> Arc<dyn AsyncUdpSocket> {
    let late = Arc::new(Late {
        inner: inner.clone(),
        faults: faults.clone(),
        queue: Mutex::default(),
        wake: Notify::new(),
        is_over: AtomicBool::new(false),
    });
    tokio::spawn(send_late(late.clone()));
    let received = Mutex::new(Received { queue: Queue::default(), timer: None });
    Arc::new(FaultySocket { inner, faults, late, received })
}

struct FaultySocket {
    inner: Arc<dyn AsyncUdpSocket>,
    faults: Faults,
    late: Arc<Late>,
    received: Mutex<Received>,
}

/// What is to be sent later.
struct Late {
    inner: Arc<dyn AsyncUdpSocket>,
    faults: Faults,
    queue: Mutex<Queue>,
    wake: Notify,
    is_over: AtomicBool,
}

/// What has come and is to be seen later.
struct Received {
    queue: Queue,
    timer: Option<Pin<Box<Sleep>>>,
}

impl fmt::Debug for FaultySocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultySocket({:?})", self.inner)
    }
}

impl Drop for FaultySocket {
    fn drop(&mut self) {
        self.late.is_over.store(true, Ordering::Relaxed);
        self.late.wake.notify_one();
    }
}

impl AsyncUdpSocket for FaultySocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if !self.faults.is_any() {
            return self.inner.try_send(transmit);
        }
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        let mut queue = self.late.queue.lock();
        for bytes in transmit.contents.chunks(size) {
            for arrival in self.faults.pass(transmit.destination, Way::Out, bytes.len()) {
                let (peer, local, ecn) = (transmit.destination, transmit.src_ip, transmit.ecn);
                queue.push(arrival, Packet { peer, local, ecn, bytes: bytes.to_vec() });
            }
        }
        drop(queue);
        self.late.wake.notify_one();
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut received = self.received.lock();
        loop {
            let count = received.arrived(&self.faults, buffers, meta);
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
            match self.inner.poll_recv(context, buffers, meta) {
                Poll::Ready(Ok(count)) if !self.faults.is_any() && received.queue.next().is_none() => {
                    return Poll::Ready(Ok(count));
                }
                Poll::Ready(Ok(count)) => received.take(&self.faults, buffers, &meta[..count]),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if received.poll_timer(&self.faults, context).is_pending() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }

    fn max_transmit_segments(&self) -> usize {
        // Or one fate would befall a whole batch; asked anew for each.
        if self.faults.is_any() { 1 } else { self.inner.max_transmit_segments() }
    }

    fn max_receive_segments(&self) -> usize {
        // Asked once, for the size of buffers. Batches are taken apart here.
        self.inner.max_receive_segments()
    }
}

impl Received {
    /// Decides about packets that have just come.
    fn take(&mut self, faults: &Faults, buffers: &[IoSliceMut<'_>], meta: &[RecvMeta]) {
        for (buffer, meta) in buffers.iter().zip(meta) {
            let batch = buffer.get(..meta.len).unwrap_or_default();
            for bytes in batch.chunks(meta.stride.max(1)) {
                for arrival in faults.pass(meta.addr, Way::In, bytes.len()) {
                    let packet = Packet { peer: meta.addr, local: meta.dst_ip, ecn: meta.ecn, bytes: bytes.to_vec() };
                    self.queue.push(arrival, packet);
                }
            }
        }
    }

    /// Hands out those whose time has come.
    fn arrived(&mut self, faults: &Faults, buffers: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> usize {
        let now = faults.clock().now();
        let mut count = 0;
        for (buffer, meta) in buffers.iter_mut().zip(meta) {
            let Some(packet) = self.queue.pop(now) else { break };
            let length = packet.bytes.len().min(buffer.len());
            buffer[..length].copy_from_slice(&packet.bytes[..length]);
            let mut own = RecvMeta::default();
            (own.addr, own.dst_ip, own.ecn) = (packet.peer, packet.local, packet.ecn);
            (own.len, own.stride) = (length, length);
            *meta = own;
            count += 1;
        }
        count
    }

    /// Ready when the next one's time has come.
    fn poll_timer(&mut self, faults: &Faults, context: &mut Context<'_>) -> Poll<()> {
        let Some(next) = self.queue.next() else { return Poll::Pending };
        let at = faults.clock().instant(next).into();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        timer.as_mut().poll(context)
    }
}

/// Sends what is late, when its time has come.
async fn send_late(late: Arc<Late>) {
    let clock = late.faults.clock();
    while !late.is_over.load(Ordering::Relaxed) {
        let packet = late.queue.lock().pop(clock.now());
        if let Some(packet) = packet {
            late.send(&packet).await;
            continue;
        }
        let next = late.queue.lock().next();
        let timer = async {
            match next {
                Some(at) => sleep_until(clock.instant(at).into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timer => {}
            () = late.wake.notified() => {}
        }
    }
}

impl Late {
    async fn send(&self, packet: &Packet) {
        let transmit = Transmit {
            destination: packet.peer,
            ecn: packet.ecn,
            contents: &packet.bytes,
            segment_size: None,
            src_ip: packet.local,
        };
        let mut poller = self.inner.clone().create_io_poller();
        loop {
            match self.inner.try_send(&transmit) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let writable = std::future::poll_fn(|context| poller.as_mut().poll_writable(context)).await;
                    if writable.is_err() {
                        return;
                    }
                }
                // What cannot be sent is lost, as it is on a network.
                Ok(()) | Err(_) => return,
            }
        }
    }
}
