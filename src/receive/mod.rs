//! receive: sockets and framing of what others send, and nothing of what it means: bytes go to a
//! [`Sink`]. No parsing, no store, no configuration file.
//!
//! ```text
//!   socket     opens what was asked for; what cannot be opened is told, not fatal
//!   datagrams  recvmmsg into buffers that are used again; what the kernel dropped
//!   lines      the pieces of a stream -> whole lines
//!   network    which addresses may connect, where that is asked
//!   node       asks a node of Munin, as its master does
//!   secure     TLS towards such a node
//!   reader     one thread: waits for all of them, hands over, gives the sink its turns
//! ```
//!
//! Bounds: [`lines::LONGEST`] bytes a line, [`reader::CONNECTIONS`] connections a reader, and the
//! kernel's receive buffer. What does not fit is lost and told to [`Sink::lost`], or counted by the
//! kernel ([`Drops`]).

mod datagrams;
pub mod lines;
mod network;
mod node;
pub mod reader;
mod secure;
mod socket;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use datagrams::Drops;
pub use network::Network;
pub use node::{NodeError, NodeSettings, Told, Wish, ask_node};
pub use reader::Reader;
pub use secure::NodeTls;
pub use socket::{Sockets, Trouble, clear_stream};

/// Where to listen; nothing: not there.
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
    /// Where it listens, for people: `udp 127.0.0.1:8125`, ...
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

/// What was lost before it could be handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// A line longer than [`lines::LONGEST`].
    Line,
    /// The end of a datagram that was longer than any buffer.
    Datagram,
    /// A connection that had to go for a newer one, because there were [`reader::CONNECTIONS`].
    Connection,
}

/// When a sink wants its next turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// As soon as what has come in has been handed over.
    Again,
    /// When this has passed, or something came in.
    In(Duration),
}

/// Takes what comes in. It lives on the reader's thread: nothing in it needs a lock, and while it
/// works the kernel's buffer fills.
pub trait Sink: Send {
    /// Text with whole lines, `\n` between them; the last one may lack it. The text is gone when
    /// this returns.
    fn take(&mut self, from: Carrier, text: &[u8]);

    /// Something was lost by framing.
    fn lost(&mut self, what: Lost);

    /// Called after each round of reading, and when the time has come that it asked for.
    fn turn(&mut self) -> Turn;

    /// Nothing more will come.
    fn end(&mut self);
}
