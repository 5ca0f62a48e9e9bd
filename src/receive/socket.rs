//! receive: opening sockets: what can be had is opened, what cannot is told.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::net::sockopt;

use super::{Drops, Settings};

/// A socket that could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Where it was to listen: `udp 127.0.0.1:8125`.
    pub place: String,
    /// What happened, and what to do next.
    pub message: String,
}

/// Open sockets, before a [`super::Reader`] takes them.
#[derive(Debug, Default)]
pub struct Sockets {
    pub(super) datagrams: Vec<Arc<OwnedFd>>,
    pub(super) listeners: Vec<Listener>,
    paths: Vec<Name>,
    udp: Vec<Arc<OwnedFd>>,
    places: Vec<String>,
    granted: Option<u64>,
}

/// Where connections come from.
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
        // Somebody may have removed it already.
        let _unused = std::fs::remove_file(&self.0);
    }
}

impl Sockets {
    /// Opens what it can; the rest is told.
    pub fn open(settings: &Settings) -> (Self, Vec<Trouble>) {
        let mut sockets = Self::default();
        let mut troubles = Vec::new();
        let mut tell = |place: String, result: io::Result<()>, hint: &str| {
            if let Err(e) = result {
                let message = format!("cannot listen on {place}: {e}; {hint}");
                troubles.push(Trouble { place, message });
            }
        };
        if let Some(address) = settings.udp {
            let done = sockets.udp(address, settings.buffer);
            tell(format!("udp {address}"), done, "set another address, or \"off\"");
        }
        if let Some(address) = settings.tcp {
            let done = sockets.tcp(address);
            tell(format!("tcp {address}"), done, "set another address, or \"off\"");
        }
        if let Some(path) = &settings.unix_datagram {
            let done = sockets.unix_datagram(path, settings.buffer);
            tell(format!("unix datagrams {}", path.display()), done, "set another path");
        }
        if let Some(path) = &settings.unix_stream {
            let done = sockets.unix_stream(path);
            tell(format!("unix stream {}", path.display()), done, "set another path");
        }
        (sockets, troubles)
    }

    fn udp(&mut self, address: SocketAddr, buffer: u64) -> io::Result<()> {
        let socket = UdpSocket::bind(address)?;
        let address = socket.local_addr()?;
        let socket = Arc::new(OwnedFd::from(socket));
        let granted = widen(&socket, buffer)?;
        self.granted = Some(granted);
        self.udp.push(Arc::clone(&socket));
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
        clear(path, |path| std::os::unix::net::UnixStream::connect(path).map(drop))?;
        let listener = UnixListener::bind(path)?;
        self.name(path)?;
        listener.set_nonblocking(true)?;
        self.listeners.push(Listener::Unix(listener));
        self.places.push(format!("unix {}", path.display()));
        Ok(())
    }

    /// Whoever may reach the loopback may write here too.
    fn name(&mut self, path: &Path) -> io::Result<()> {
        self.paths.push(Name(path.to_owned()));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Where they listen, each with its kind: `udp 127.0.0.1:8125`.
    pub fn places(&self) -> &[String] {
        &self.places
    }

    /// What the kernel drops.
    pub fn drops(&self) -> Drops {
        Drops { sockets: self.udp.clone() }
    }

    /// Bytes of receive buffer that the kernel gave the UDP socket.
    pub fn granted(&self) -> Option<u64> {
        self.granted
    }
}

/// Asks for a larger receive buffer: past the limit for all where that is allowed, else up to it.
/// What the kernel gave; it doubles what it is asked for, for its own book-keeping.
fn widen(socket: &OwnedFd, bytes: u64) -> io::Result<u64> {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(1 << 30);
    if sockopt::set_socket_recv_buffer_size_force(socket, bytes).is_err() {
        sockopt::set_socket_recv_buffer_size(socket, bytes)?;
    }
    Ok(sockopt::socket_recv_buffer_size(socket)? as u64 / 2)
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
