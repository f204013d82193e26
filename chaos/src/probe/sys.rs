//! The few system calls that std and socket2 do not offer, each behind a safe function.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Readiness of many sockets.
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers; the result is checked before it is owned.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel just gave us this descriptor and nobody else has it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Watches `fd` for input, level-triggered. It leaves by being closed.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: both descriptors are open and `event` outlives the call, which copies it.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &raw mut event) })?;
        Ok(())
    }

    /// Waits and fills `tokens` with what is ready.
    pub(crate) fn wait(&self, tokens: &mut Vec<u64>, timeout_ms: i32) -> io::Result<()> {
        const EVENTS: usize = 256;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        // SAFETY: `events` holds EVENTS entries and outlives the call.
        let got = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), EVENTS as i32, timeout_ms) };
        tokens.clear();
        match check(got) {
            Ok(count) => tokens.extend(events[..count as usize].iter().map(|event| event.u64)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// A descriptor by which one thread wakes another out of [`Epoll::wait`].
pub(crate) fn event_fd() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers; the result is checked before it is owned.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })?;
    // SAFETY: the kernel just gave us this descriptor and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes an [`event_fd`] ready.
pub(crate) fn wake(fd: &OwnedFd) {
    let one = 1u64;
    // SAFETY: an event descriptor takes eight bytes from a valid u64. A full counter is awake already.
    unsafe { libc::write(fd.as_raw_fd(), (&raw const one).cast(), 8) };
}

/// Makes an [`event_fd`] unready.
pub(crate) fn quiet(fd: &OwnedFd) {
    let mut count = 0u64;
    // SAFETY: an event descriptor gives eight bytes into a valid u64.
    unsafe { libc::read(fd.as_raw_fd(), (&raw mut count).cast(), 8) };
}

/// Reads without waiting.
pub(crate) fn recv(fd: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `into` is valid for writes of its length.
    let got = unsafe { libc::recv(fd.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), libc::MSG_DONTWAIT) };
    if got < 0 { Err(io::Error::last_os_error()) } else { Ok(got as usize) }
}

/// Writes without waiting and without SIGPIPE.
pub(crate) fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `bytes` is valid for reads of its length.
    let sent = unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
}

/// Many datagrams in one call, of each only the first bytes: the kernel need not copy what nobody looks at.
pub(crate) struct Batch {
    buffer: Vec<u8>,
    stride: usize,
    iovecs: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

impl Batch {
    /// Room for `count` datagrams of which `stride` bytes are kept.
    pub(crate) fn new(count: usize, stride: usize) -> Self {
        let mut buffer = vec![0u8; count * stride];
        let mut iovecs: Vec<libc::iovec> = buffer
            .chunks_mut(stride)
            .map(|chunk| libc::iovec { iov_base: chunk.as_mut_ptr().cast(), iov_len: stride })
            .collect();
        let headers = iovecs
            .iter_mut()
            .map(|iovec| {
                // SAFETY: all zeros is a valid msghdr: no name, no control data.
                let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
                header.msg_iov = iovec;
                header.msg_iovlen = 1;
                libc::mmsghdr { msg_hdr: header, msg_len: 0 }
            })
            .collect();
        Self { buffer, stride, iovecs, headers }
    }

    /// Takes what is there and returns how many datagrams it was.
    pub(crate) fn recv(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        debug_assert_eq!(self.iovecs.len(), self.headers.len());
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // SAFETY: headers point at the iovecs and these into the buffer, all heap memory that lives and stays in place as
        // long as `self`; nothing else borrows the buffer during the call.
        let got = unsafe {
            let headers = self.headers.as_mut_ptr();
            libc::recvmmsg(fd.as_raw_fd(), headers, self.headers.len() as u32, flags, std::ptr::null_mut())
        };
        check(got).map(|count| count as usize)
    }

    /// The kept beginning of datagram `index` of the last call, and its real length.
    pub(crate) fn datagram(&self, index: usize) -> (&[u8], usize) {
        let len = self.headers[index].msg_len as usize;
        let start = index * self.stride;
        (&self.buffer[start..start + len.min(self.stride)], len)
    }

    /// How many datagrams fit.
    pub(crate) fn capacity(&self) -> usize {
        self.headers.len()
    }
}

/// Lets this process open as many sockets as it may.
pub(crate) fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for both calls; failure leaves the limit as it was.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn datagrams_come_with_their_real_length() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        let (epoll, mut tokens) = (Epoll::new().unwrap(), Vec::new());
        epoll.add(receiver.as_fd(), 7).unwrap();
        sender.send(&[9; 1_000]).unwrap();
        sender.send(&[8; 3]).unwrap();
        epoll.wait(&mut tokens, 1_000).unwrap();
        assert_eq!(tokens, [7]);
        let mut batch = Batch::new(4, 16);
        assert_eq!(batch.recv(receiver.as_fd()).unwrap(), 2);
        assert_eq!(batch.datagram(0), (&[9u8; 16][..], 1_000));
        assert_eq!(batch.datagram(1), (&[8u8; 3][..], 3));
    }

    #[test]
    fn waking_ends_a_wait() {
        let (epoll, event, mut tokens) = (Epoll::new().unwrap(), event_fd().unwrap(), Vec::new());
        epoll.add(event.as_fd(), 1).unwrap();
        wake(&event);
        epoll.wait(&mut tokens, 1_000).unwrap();
        assert_eq!(tokens, [1]);
        quiet(&event);
        epoll.wait(&mut tokens, 0).unwrap();
        assert!(tokens.is_empty());
    }
}
