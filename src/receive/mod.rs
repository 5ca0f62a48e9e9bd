//! receive: sockets of senders, and framing: bytes go to a [`Sink`], which interprets them. No
//! parsing, no store, no configuration file.
//!
//! ```text
//!   socket     opens what was asked for; what cannot be opened is told, not fatal
//!   datagrams  recvmmsg into buffers that are used again; what the kernel dropped
//!   lines      the pieces of a stream -> whole lines
//!   network    which addresses may connect, where that is asked
//!   reader     one thread: waits for all of them, hands over, gives the sink its turns
//! ```
//!
//! Bounds: [`lines::LONGEST`] bytes a line, [`reader::CONNECTIONS`] connections a reader, and the
//! kernel's receive buffer. Anything beyond is lost and reported to [`Sink::lost`], or counted by
//! the kernel ([`Drops`]).

mod datagrams;
pub mod lines;
mod network;
pub mod reader;
mod socket;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use datagrams::Drops;
pub use network::Network;
pub use reader::SocketReader;
pub use socket::{Sockets, Trouble, clear_stream};

/// The addresses to listen on; `None` for none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Datagrams.
    pub udp: Option<SocketAddr>,
    /// Lines.
    pub tcp: Option<SocketAddr>,
    /// Datagrams at a path.
    pub unix_datagram: Option<PathBuf>,
    /// Lines at a path.
    pub unix_stream: Option<PathBuf>,
    /// Bytes that the kernel keeps for each datagram socket while the reader is busy.
    pub buffer: u64,
}

impl Settings {
    /// The addresses in words: `udp 127.0.0.1:8125`, ...
    pub fn places(&self) -> Vec<String> {
        let udp = self.udp.map(|a| format!("udp {a}"));
        let tcp = self.tcp.map(|a| format!("tcp {a}"));
        let unix = [&self.unix_datagram, &self.unix_stream].into_iter().flatten();
        let unix = unix.map(|path| format!("unix {}", path.display()));
        udp.into_iter().chain(tcp).chain(unix).collect()
    }
}

/// How a piece of text came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// One whole datagram.
    Datagram,
    /// One or more whole lines of a connection.
    Stream,
}

/// Input that was lost before it could be handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// A line longer than [`lines::LONGEST`].
    Line,
    /// The end of a datagram that was longer than any buffer.
    Datagram,
    /// A connection that was closed for a newer one, because there were [`reader::CONNECTIONS`].
    Connection,
}

/// When a sink wants its next turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// As soon as the pending input has been handed over.
    Again,
    /// When this has passed, or something came in.
    In(Duration),
}

/// The receiver of the input. It lives on the reader's thread, so it needs no locks, and while it
/// works the kernel's buffer fills.
pub trait Sink: Send {
    /// Text with whole lines, `\n` between them; the last one may lack it. The text is gone when
    /// this returns.
    fn take(&mut self, from: Carrier, text: &[u8]);

    /// Reports a loss in framing.
    fn lost(&mut self, what: Lost);

    /// Called after each round of reading, and when the time has come that it asked for.
    fn turn(&mut self) -> Turn;

    /// Reports the end of the input.
    fn end(&mut self);
}
