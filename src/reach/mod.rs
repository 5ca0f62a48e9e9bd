//! reach: what this machine asks of others, or sends to them: it opens the connections. What the
//! answers mean is for other rooms.
//!
//! ```text
//!   munin      asks a node of Munin, as its master does
//!   tls        which certificates are trusted, and the handshake
//! ```

mod munin;
mod tls;

pub use munin::{NodeError, NodeSettings, Told, Wish, ask_node};
pub use tls::NodeTls;
