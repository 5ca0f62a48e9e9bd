//! receive: many datagrams with one call of the kernel, into buffers that are used again; and how
//! many the kernel threw away.
#![allow(unsafe_code, reason = "recvmmsg and SO_MEMINFO have no safe wrapper")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, OnceLock};

/// How many datagrams one call brings at most.
pub(super) const BATCH: usize = 64;

/// No UDP datagram is longer.
const LONGEST: usize = 64 * 1024;

/// The distance of two buffers. Not a power of two, because all of them would then lie in the same
/// few sets of the cache. Memory that no datagram reaches is never touched, so it costs nothing.
const STRIDE: usize = LONGEST + 4096;

/// Buffers for one call.
pub(super) struct Datagrams {
    bytes: Vec<u8>,
    headers: Vec<libc::mmsghdr>,
    /// The targets of the headers.
    pieces: Vec<libc::iovec>,
}

// SAFETY: the pointers in `headers` and `pieces` lead into vectors that this value owns and never
// resizes; nothing else has them.
unsafe impl Send for Datagrams {}

impl Datagrams {
    pub(super) fn new() -> Self {
        let mut bytes = vec![0u8; BATCH * STRIDE];
        let start = bytes.as_mut_ptr();
        let mut pieces: Vec<libc::iovec> = (0..BATCH)
            .map(|i| libc::iovec {
                iov_base: start.wrapping_add(i * STRIDE).cast(),
                iov_len: LONGEST,
            })
            .collect();
        let first = pieces.as_mut_ptr();
        let headers = (0..BATCH)
            .map(|i| {
                // SAFETY: all zeros is a valid msghdr: no name, no control data.
                let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
                header.msg_hdr.msg_iov = first.wrapping_add(i);
                header.msg_hdr.msg_iovlen = 1;
                header
            })
            .collect();
        Self { bytes, headers, pieces }
    }

    /// Fetches the waiting datagrams of a socket, without waiting; returns their number.
    pub(super) fn fetch(&mut self, socket: &OwnedFd) -> io::Result<usize> {
        debug_assert_eq!(self.pieces.len(), BATCH);
        // SAFETY: the headers are valid, and their pieces lie inside `bytes` (BATCH times STRIDE
        // long, each piece LONGEST); the kernel writes into those and into the headers.
        let n = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        if n >= 0 {
            return Ok(n as usize);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
            _ => Err(error),
        }
    }

    /// The i-th of those just fetched, and whether its end is missing.
    pub(super) fn get(&self, i: usize) -> (&[u8], bool) {
        let header = &self.headers[i];
        let length = (header.msg_len as usize).min(LONGEST);
        let truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        (&self.bytes[i * STRIDE..i * STRIDE + length], truncated)
    }
}

/// Datagrams that came while the receive buffer was full: the kernel's own count, which is also the
/// last column of /proc/net/udp. Asked of the socket itself: on a machine with many sockets that
/// file is long.
#[derive(Debug, Clone, Default)]
pub struct Drops {
    udp: Arc<OnceLock<(Arc<OwnedFd>, u64)>>,
}

impl Drops {
    /// Records that the UDP socket is open, with this many bytes of buffer.
    pub(super) fn opened(&self, socket: Arc<OwnedFd>, granted: u64) {
        // There is one UDP socket, which is opened once.
        let _unused = self.udp.set((socket, granted));
    }

    /// Since the socket was opened.
    pub fn total(&self) -> u64 {
        self.udp.get().map_or(0, |(socket, _)| u64::from(drops(socket)))
    }

    /// Bytes of receive buffer that the kernel gave the UDP socket; nothing: it is not open.
    pub fn granted(&self) -> Option<u64> {
        self.udp.get().map(|(_, granted)| *granted)
    }
}

fn drops(socket: &OwnedFd) -> u32 {
    /// SK_MEMINFO_VARS of linux/sock_diag.h, and SK_MEMINFO_DROPS among them.
    const VARS: usize = 9;
    const DROPS: usize = 8;
    let mut info = [0u32; VARS];
    let mut size = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes at most `size` bytes, which is what `info` has.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &mut size,
        )
    };
    if failed == 0 { info[DROPS] } else { 0 }
}
