//! notify: a message and the ways to its receivers. Knows nothing of rules.
//!
//! ```text
//!   message   the message: one first line, some more lines, and its alerts for machines
//!   channel   a way to a receiver, and the outcome of sending by it
//!   target    ntfy:topic -> its parts
//!   secret    secrets out of files, and none in what is shown
//!   table     the kinds of channels; a target -> a channel
//!   way       what the kinds have in common
//!   channels  the kinds, one file each
//!   text      shortened to what a channel takes
//!   v4        the JSON of Alertmanager's webhooks
//!   mime      a mail
//!   form      a form with a file
//!   answer    what an answer of HTTP means
//!   program   another program that gets the message
//! ```

mod answer;
pub mod channel;
mod channels;
mod form;
pub mod message;
mod mime;
mod program;
mod secret;
mod table;
mod target;
mod text;
mod v4;
mod way;

#[cfg(test)]
mod tests;

pub use channel::{Channel, Outcome};
pub use channels::healthchecks::Heartbeat;
pub use message::{Alert, Chart, Message, Occasion, Picture};
pub use table::{ROWS, channel_of};
pub use target::TargetError;
pub use way::{Row, Settings};
