//! receive: opens sockets, and reports those that could not be opened.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;

use super::{Drops, Settings};

/// The interval of attempts to open missing sockets.
pub(super) const AGAIN: Duration = Duration::from_secs(2);

/// A socket that could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The address: `udp 127.0.0.1:8125`.
    pub place: String,
    /// The fault, and a correction.
    pub message: String,
}

/// Open sockets, before a [`super::SocketReader`] takes them, and those that it still has to open.
#[derive(Default)]
pub struct Sockets {
    pub(super) datagrams: Vec<Arc<OwnedFd>>,
    pub(super) listeners: Vec<Listener>,
    paths: Vec<Name>,
    drops: Drops,
    places: Vec<String>,
    /// Sockets that could not be opened yet: another program has the port, or the address comes
    /// later.
    missing: Settings,
    tell: Option<Tell>,
}

/// Hears of a place that could not be opened at first: that it is open, or why it is not.
type Tell = Box<dyn FnMut(&str, Result<(), &str>) + Send>;

impl std::fmt::Debug for Sockets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sockets")
            .field("places", &self.places)
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}

/// The source of connections.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The name of a unix socket; goes with it.
#[derive(Debug)]
struct Name(PathBuf);

impl Drop for Name {
    fn drop(&mut self) {
        // It may have been removed already.
        let _unused = std::fs::remove_file(&self.0);
    }
}

impl Sockets {
    /// Opens all sockets that it can; the others are reported, and tried again by the reader.
    pub fn open(settings: &Settings) -> (Self, Vec<Trouble>) {
        let mut sockets = Self { missing: settings.clone(), ..Self::default() };
        let (_, troubles) = sockets.try_missing();
        (sockets, troubles)
    }

    /// `tell` hears from the reader how later attempts went.
    pub fn tell_later(&mut self, tell: impl FnMut(&str, Result<(), &str>) + Send + 'static) {
        self.tell = Some(Box::new(tell));
    }

    /// Whether something could not be opened yet.
    pub fn is_waiting(&self) -> bool {
        let Settings { udp, tcp, unix_datagram, unix_stream, buffer: _ } = &self.missing;
        udp.is_some() || tcp.is_some() || unix_datagram.is_some() || unix_stream.is_some()
    }

    /// Tries once more, and logs the result.
    pub(super) fn try_again(&mut self) {
        let (opened, troubles) = self.try_missing();
        let Some(tell) = &mut self.tell else { return };
        opened.iter().for_each(|place| tell(place, Ok(())));
        troubles.iter().for_each(|trouble| tell(&trouble.place, Err(&trouble.message)));
    }

    /// Opens missing sockets: returns the addresses that are open now, and those that are not.
    fn try_missing(&mut self) -> (Vec<String>, Vec<Trouble>) {
        let (mut opened, mut troubles) = (Vec::new(), Vec::new());
        let mut tell = |place: String, result: io::Result<()>, hint: &str| match result {
            Ok(()) => {
                opened.push(place);
                true
            }
            Err(e) => {
                let message = format!(
                    "cannot listen on {place}: {e}; it is tried again every {} s (or {hint})",
                    AGAIN.as_secs()
                );
                troubles.push(Trouble { place, message });
                false
            }
        };
        let mut missing = self.missing.clone();
        let buffer = missing.buffer;
        missing.udp = missing.udp.filter(|address| {
            let done = self.udp(*address, buffer);
            !tell(format!("udp {address}"), done, "set another address, or \"off\"")
        });
        missing.tcp = missing.tcp.filter(|address| {
            let done = self.tcp(*address);
            !tell(format!("tcp {address}"), done, "set another address, or \"off\"")
        });
        missing.unix_datagram = missing.unix_datagram.filter(|path| {
            let done = self.unix_datagram(path, buffer);
            !tell(format!("unix datagrams {}", path.display()), done, "set another path")
        });
        missing.unix_stream = missing.unix_stream.filter(|path| {
            let done = self.unix_stream(path);
            !tell(format!("unix stream {}", path.display()), done, "set another path")
        });
        self.missing = missing;
        (opened, troubles)
    }

    fn udp(&mut self, address: SocketAddr, buffer: u64) -> io::Result<()> {
        let socket = UdpSocket::bind(address)?;
        let address = socket.local_addr()?;
        let socket = Arc::new(OwnedFd::from(socket));
        let granted = widen(&socket, buffer)?;
        self.drops.opened(Arc::clone(&socket), granted);
        self.datagrams.push(socket);
        self.places.push(format!("udp {address}"));
        Ok(())
    }

    fn tcp(&mut self, address: SocketAddr) -> io::Result<()> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        self.places.push(format!("tcp {}", listener.local_addr()?));
        self.listeners.push(Listener::Tcp(listener));
        Ok(())
    }

    fn unix_datagram(&mut self, path: &Path, buffer: u64) -> io::Result<()> {
        clear(path, |path| UnixDatagram::unbound()?.connect(path))?;
        let socket = OwnedFd::from(UnixDatagram::bind(path)?);
        self.name(path)?;
        widen(&socket, buffer)?;
        self.datagrams.push(Arc::new(socket));
        self.places.push(format!("unix {}", path.display()));
        Ok(())
    }

    fn unix_stream(&mut self, path: &Path) -> io::Result<()> {
        clear_stream(path)?;
        let listener = UnixListener::bind(path)?;
        self.name(path)?;
        listener.set_nonblocking(true)?;
        self.listeners.push(Listener::Unix(listener));
        self.places.push(format!("unix {}", path.display()));
        Ok(())
    }

    /// All users may write here, as on the loopback.
    fn name(&mut self, path: &Path) -> io::Result<()> {
        self.paths.push(Name(path.to_owned()));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))
    }

    /// Whether there are no sockets.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The open addresses with their kinds: `udp 127.0.0.1:8125`.
    pub fn places(&self) -> &[String] {
        &self.places
    }

    /// The counter of datagrams that the kernel drops.
    pub fn drops(&self) -> Drops {
        self.drops.clone()
    }

    /// Bytes of receive buffer that the kernel gave the UDP socket.
    pub fn granted(&self) -> Option<u64> {
        self.drops.granted()
    }
}

/// Asks for a larger receive buffer: beyond the system's limit if that is allowed, else up to it.
/// Returns the granted size; the kernel doubles the request for its own book-keeping.
fn widen(socket: &OwnedFd, bytes: u64) -> io::Result<u64> {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(1 << 30);
    if sockopt::set_socket_recv_buffer_size_force(socket, bytes).is_err() {
        sockopt::set_socket_recv_buffer_size(socket, bytes)?;
    }
    Ok(sockopt::socket_recv_buffer_size(socket)? as u64 / 2)
}

/// Removes a socket of streams that a process left behind when it was killed; fails where a program
/// listens on it, or where it is no socket.
pub fn clear_stream(path: &Path) -> io::Result<()> {
    clear(path, |path| UnixStream::connect(path).map(drop))
}

/// Removes a socket that a process left behind when it was killed; one that is listened on, and
/// whatever is no socket, stays.
fn clear(path: &Path, connect: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is something else"))
        }
        Ok(_) => match connect(path) {
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
            _ => Err(io::Error::new(io::ErrorKind::AddrInUse, "another program listens there")),
        },
        Err(_) => Ok(()),
    }
}
