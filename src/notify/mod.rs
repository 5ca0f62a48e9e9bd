//! notify: a message and the ways to its receivers. Knows nothing of rules.
//!
//! ```text
//!   message    the message: one first line, some more lines, and its alerts for machines
//!   channel    a way to a receiver, and the outcome of sending by it
//!   note       one change that is to be told, stored until it is
//!   compose    all changes that wait for a channel -> one message
//!   outbox       what is told to whom and when: a queue a channel; no I/O
//!   delivery   the threads that send, and the way into the file and out of it
//!   tally      what is counted of it
//!
//!   table      the kinds of channels; a target -> a channel
//!   target     ntfy:topic -> its parts
//!   secret     secrets out of files, and none in what is shown
//!   kind       what the kinds of channels have in common
//!   channels   the kinds, one file each
//!   text       shortened to what a channel takes
//!   v4         the JSON of Alertmanager's webhooks
//!   mime       a mail
//!   form       a form with a file
//!   answer     what an answer of HTTP means
//!   program    another program that gets the message
//! ```

mod answer;
pub mod channel;
mod channels;
pub mod compose;
pub mod delivery;
mod form;
mod kind;
pub mod message;
mod mime;
pub mod note;
pub mod outbox;
pub mod program;
mod secret;
mod table;
pub mod tally;
mod target;
mod text;
mod v4;

#[cfg(test)]
mod tests;

pub use channel::{Channel, Outcome};
pub use channels::healthchecks::Heartbeat;
pub use compose::{Place, compose};
pub use delivery::{ChannelStand, Delivery, Draw, Way};
pub use kind::{Asks, ChannelSettings, Row};
pub use message::{Alert, Chart, Message, Occasion, Picture, test_message};
pub use note::Note;
pub use outbox::Settings as DeliverySettings;
pub use secret::filled;
pub use table::{ROWS, answered, channel_of, redacted};
pub use tally::Tally;
pub use target::{Host, TargetError, host_of_target};
