//! notify: a message and the ways to its receivers. Knows nothing of rules.
//!
//! ```text
//!   message    the message: one first line, some more lines, and its alerts for machines
//!   channel    a way to a receiver, and the outcome of sending by it
//!   note       one change that is to be told, stored until it is
//!   compose    all changes that wait for a channel -> one message
//!   desk       what is told to whom and when: a queue a channel; no I/O
//!   delivery   the threads that send, and the way into the file and out of it
//!   tally      what is counted of it
//! ```

pub mod channel;
pub mod compose;
pub mod delivery;
pub mod desk;
pub mod message;
pub mod note;
pub mod tally;

pub use channel::{Channel, Outcome};
pub use compose::{Place, compose};
pub use delivery::{ChannelStand, Delivery, Draw, Way};
pub use message::{Alert, Chart, Message, Occasion, Picture};
pub use note::Note;
pub use tally::Tally;
