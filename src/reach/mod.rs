//! reach: connections that this machine opens, to ask others or to send to them. Other rooms read the
//! answers.
//!
//! ```text
//!   connect    a connection before a deadline, in the clear or within TLS
//!   http       one request by HTTP/1.1, one answer
//!   smtp       hands a mail to a server
//!   munin      asks a node of Munin, as its master does
//!   tls        which certificates are trusted, and the handshake
//! ```

mod connect;
mod http;
mod munin;
mod smtp;
#[cfg(test)]
mod tests;
mod tls;

pub use connect::ReachError;
pub use http::{HttpAnswer, HttpRequest, HttpWay, ask_http, ask_http_on, basic, pass_proxy};
pub use munin::{NodeError, NodeSettings, Told, Wish, ask_node, ask_node_on};
pub use smtp::{Letter, SmtpError, SmtpServer, SmtpTls, submit, submit_on};
pub use tls::NodeTls;
