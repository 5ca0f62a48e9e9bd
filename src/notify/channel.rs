//! notify: a way to a receiver, and the outcome of sending by it.

use std::time::{Duration, Instant};

use super::message::{Message, Picture};

/// The outcome of sending one message once. `said` holds the receiver's own words, or the error, for
/// people: at most 200 printable characters, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has taken it.
    Sent {
        /// The receiver's own words, such as `250 2.0.0 Ok: queued`.
        said: String,
    },
    /// Another attempt may succeed.
    Retry {
        /// The error.
        said: String,
        /// The receiver asked to wait for this long.
        after: Option<Duration>,
    },
    /// Another attempt cannot succeed before somebody changes something.
    Refused {
        /// The error, and what to do about it.
        said: String,
    },
}

/// A way to a receiver, made from a target such as `ntfy:my-topic`.
pub trait Channel: Send + Sync {
    /// The kind of channel, as the table of channels names it: `mail`, `ntfy`.
    fn kind(&self) -> &'static str;

    /// The target without its secrets, for logs, pages and errors: `ntfy:my-topic`.
    fn shown(&self) -> String;

    /// Whether the channel takes a picture.
    fn takes_picture(&self) -> bool;

    /// A receiver that forgets what fires unless it is told again within this time. While an alert
    /// fires, it is told again so often, in a message that is listed nowhere.
    fn repeats(&self) -> Option<Duration> {
        None
    }

    /// Sends the message, shortened to what the channel takes; its first line always stays whole.
    /// Blocks until `deadline` at the latest.
    fn send(&self, message: &Message, picture: Option<&Picture>, deadline: Instant) -> Outcome;
}
