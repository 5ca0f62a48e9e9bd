//! receive: the thread that reads. One for each kind of sender: it owns its sockets, its buffers
//! and its sink, so nothing on the way from the kernel to the sink is locked or copied.
//!
//! While much comes in it naps between two rounds: datagrams gather in the kernel's buffer, and one
//! call and one wake-up bring hundreds instead of a few.

use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::datagrams::{BATCH, Datagrams};
use super::lines::Lines;
use super::socket::{AGAIN, Listener};
use super::{Carrier, Lost, Sink, Sockets, Turn};

/// The largest number of connections. A new one beyond it is accepted, and the one whose last whole
/// line is oldest is closed.
pub const CONNECTIONS: usize = 256;

/// Rounds at one socket before the others, and the sink, get their turn.
const ROUNDS: usize = 8;

/// Bytes read from a connection at once.
const PIECE: usize = 64 * 1024;

/// How long it naps, and from how many datagrams in a millisecond on.
const NAP: Duration = Duration::from_millis(1);
const BUSY: u32 = 10;
/// Over so long that is counted.
const WINDOW: Duration = Duration::from_millis(5);
/// A smaller buffer could overflow during a nap.
const NAP_BUFFER: u64 = 2 << 20;

/// Errors of a socket that come at once again must not make a busy loop.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// A running reader, to be stopped.
#[derive(Debug)]
pub struct SocketReader {
    stopping: Arc<AtomicBool>,
    bell: Arc<OwnedFd>,
}

impl SocketReader {
    /// Starts the thread. `held` is dropped when it ends, however it does.
    pub fn spawn(
        name: &str,
        sockets: Sockets,
        sink: impl Sink + 'static,
        held: impl Send + 'static,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let bell = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let stopping = Arc::new(AtomicBool::new(false));
        let mut running = Running {
            datagrams: None,
            may_nap: false,
            tried: Instant::now(),
            sockets,
            connections: Vec::new(),
            piece: Vec::new(),
            stopping: Arc::clone(&stopping),
            bell: Arc::clone(&bell),
            sink,
        };
        running.prepare();
        let thread = std::thread::Builder::new().name(name.into()).stack_size(256 << 10).spawn(
            move || {
                let _held = held;
                running.run();
            },
        )?;
        Ok((Self { stopping, bell }, thread))
    }

    /// Stops the reader; input that has come in by now is still taken.
    pub fn stop(&self) {
        self.stopping.store(true, Relaxed);
        // Full means it has rung unheard: it still wakes.
        let _unused = rustix::io::write(&*self.bell, &1u64.to_ne_bytes());
    }
}

struct Running<S> {
    sockets: Sockets,
    datagrams: Option<Datagrams>,
    may_nap: bool,
    /// The time of the last attempt to open missing sockets.
    tried: Instant,
    connections: Vec<Connection>,
    piece: Vec<u8>,
    stopping: Arc<AtomicBool>,
    bell: Arc<OwnedFd>,
    sink: S,
}

struct Connection {
    stream: Stream,
    lines: Lines,
    /// When it brought its last whole line, or came.
    heard: Instant,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(s) => s.read(into),
            Stream::Unix(s) => s.read(into),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(s) => s.as_fd(),
            Stream::Unix(s) => s.as_fd(),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(l) => l.as_fd(),
            Listener::Unix(l) => l.as_fd(),
        }
    }
}

impl Listener {
    fn accept(&self) -> io::Result<Stream> {
        let stream = match self {
            Listener::Tcp(l) => Stream::Tcp(l.accept()?.0),
            Listener::Unix(l) => Stream::Unix(l.accept()?.0),
        };
        match &stream {
            Stream::Tcp(s) => {
                s.set_nonblocking(true)?;
                // A peer that vanished without a word must not keep its place for ever.
                rustix::net::sockopt::set_socket_keepalive(s, true)?;
            }
            Stream::Unix(s) => s.set_nonblocking(true)?,
        }
        Ok(stream)
    }
}

/// The events that [`Running::wait`] found.
#[derive(Default)]
struct Ready {
    listeners: Vec<usize>,
    connections: Vec<usize>,
}

impl<S: Sink> Running<S> {
    /// Prepares for the open sockets.
    fn prepare(&mut self) {
        if self.datagrams.is_none() && !self.sockets.datagrams.is_empty() {
            self.datagrams = Some(Datagrams::new());
        }
        self.may_nap = self.sockets.granted().is_some_and(|bytes| bytes >= NAP_BUFFER);
    }

    /// Tries to open missing sockets, from time to time. Returns the time until the next attempt.
    fn open_missing(&mut self) -> Option<Duration> {
        if !self.sockets.is_waiting() {
            return None;
        }
        if self.tried.elapsed() >= AGAIN {
            self.sockets.try_again();
            self.prepare();
            self.tried = Instant::now();
        }
        Some(AGAIN)
    }

    fn run(&mut self) {
        let mut window = (Instant::now(), 0u32);
        let mut busy = false;
        let mut wait = Duration::ZERO;
        loop {
            // Checked before the last round, so that input from before the stop is read.
            let last = self.stopping.load(Relaxed);
            let streams = !self.sockets.listeners.is_empty();
            let ready = if streams || !wait.is_zero() { self.wait(wait) } else { Ready::default() };
            let (got, mut drained) = self.read_datagrams(last);
            drained &= self.read_streams(&ready);
            let turn = self.sink.turn();
            if last {
                self.sink.end();
                return;
            }
            window.1 += got;
            if window.1 >= BUSY * WINDOW.as_millis() as u32 || !drained {
                let passed = window.0.elapsed();
                if passed >= WINDOW {
                    let enough = f64::from(BUSY) * passed.as_secs_f64() * 1e3;
                    busy = self.may_nap && f64::from(window.1) >= enough;
                    window = (Instant::now(), 0);
                }
            } else if got == 0 {
                busy = false;
            }
            wait = match turn {
                _ if !drained => Duration::ZERO,
                Turn::Again => Duration::ZERO,
                Turn::In(_) if busy => {
                    rest(&self.bell, NAP);
                    Duration::ZERO
                }
                Turn::In(time) => time,
            };
            if let Some(most) = self.open_missing() {
                wait = wait.min(most);
            }
        }
    }

    /// Waits for input, for the bell, or until the time has passed.
    fn wait(&self, time: Duration) -> Ready {
        let mut fds = vec![PollFd::new(&*self.bell, PollFlags::IN)];
        fds.extend(self.sockets.datagrams.iter().map(|fd| PollFd::new(&**fd, PollFlags::IN)));
        let listeners = fds.len();
        fds.extend(self.sockets.listeners.iter().map(|l| PollFd::new(l, PollFlags::IN)));
        let connections = fds.len();
        fds.extend(self.connections.iter().map(|c| PollFd::new(&c.stream, PollFlags::IN)));
        match poll(&mut fds, Some(&timespec(time))) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ready::default(),
            Err(_) => {
                rest(&self.bell, ERROR_PAUSE);
                return Ready::default();
            }
        }
        let rung = |range: &[PollFd<'_>]| -> Vec<usize> {
            (0..).zip(range).filter(|(_, fd)| !fd.revents().is_empty()).map(|(i, _)| i).collect()
        };
        Ready {
            listeners: rung(&fds[listeners..connections]),
            connections: rung(&fds[connections..]),
        }
    }

    /// How many datagrams came, and whether no more wait.
    fn read_datagrams(&mut self, to_the_end: bool) -> (u32, bool) {
        let Some(datagrams) = &mut self.datagrams else { return (0, true) };
        let (mut got, mut drained) = (0, true);
        for socket in &self.sockets.datagrams {
            let mut rounds = 0;
            loop {
                let n = match datagrams.fetch(socket) {
                    Ok(n) => n,
                    // An ICMP error of something that was sent, or no memory: the next call tells.
                    Err(_) => {
                        rest(&self.bell, ERROR_PAUSE);
                        break;
                    }
                };
                for i in 0..n {
                    let (text, truncated) = datagrams.get(i);
                    self.sink.take(Carrier::Datagram, text);
                    if truncated {
                        self.sink.lost(Lost::Datagram);
                    }
                }
                got += n as u32;
                rounds += 1;
                if n < BATCH {
                    break;
                }
                if rounds >= ROUNDS && !to_the_end {
                    drained = false;
                    break;
                }
            }
        }
        (got, drained)
    }

    /// Whether no more waits, as far as is known.
    fn read_streams(&mut self, ready: &Ready) -> bool {
        let mut drained = true;
        if self.piece.is_empty() && !ready.connections.is_empty() {
            self.piece = vec![0; PIECE];
        }
        let mut gone = Vec::new();
        for &i in &ready.connections {
            let Connection { stream, lines, heard } = &mut self.connections[i];
            match stream.read(&mut self.piece) {
                Ok(0) => {
                    lines.finish(|text| self.sink.take(Carrier::Stream, text));
                    gone.push(i);
                }
                Ok(n) => {
                    let piece = &self.piece[..n];
                    let mut whole = false;
                    let too_long = lines.feed(piece, |text| {
                        whole = true;
                        self.sink.take(Carrier::Stream, text);
                    });
                    for _ in 0..too_long {
                        self.sink.lost(Lost::Line);
                    }
                    if whole {
                        *heard = Instant::now();
                    }
                    drained &= n < PIECE;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // Half a line of a connection that was torn might be another value than was meant.
                Err(_) => gone.push(i),
            }
        }
        for i in gone.into_iter().rev() {
            self.connections.swap_remove(i);
        }
        for &i in &ready.listeners {
            // At most as many at once as there are places: each is read before it may have to go.
            for _ in 0..CONNECTIONS / 2 {
                let Ok(stream) = self.sockets.listeners[i].accept() else { break };
                if self.connections.len() >= CONNECTIONS {
                    self.make_room();
                }
                let heard = Instant::now();
                self.connections.push(Connection { stream, lines: Lines::default(), heard });
            }
        }
        drained
    }

    /// Closes the connection whose last whole line is oldest. Its pending lines are taken; half a
    /// line is not.
    fn make_room(&mut self) {
        let all = self.connections.iter().enumerate();
        let Some((at, _)) = all.min_by_key(|(_, c)| c.heard) else { return };
        let Connection { mut stream, mut lines, .. } = self.connections.swap_remove(at);
        if self.piece.is_empty() {
            self.piece = vec![0; PIECE];
        }
        if let Ok(n) = stream.read(&mut self.piece) {
            let piece = &self.piece[..n];
            lines.feed(piece, |text| self.sink.take(Carrier::Stream, text));
        }
        self.sink.lost(Lost::Connection);
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs().min(i32::MAX as u64) as i64,
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}

/// A pause that the bell ends.
fn rest(bell: &OwnedFd, time: Duration) {
    // An error would come again at once, and only shortens the pause.
    let _unused = poll(&mut [PollFd::new(bell, PollFlags::IN)], Some(&timespec(time)));
}

#[cfg(test)]
mod tests;
