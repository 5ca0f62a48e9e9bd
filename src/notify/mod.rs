//! notify: a message and the ways to its receivers. Knows nothing of rules.
//!
//! ```text
//!   message   the message: one first line, some more lines, and its alerts for machines
//!   channel   a way to a receiver, and the outcome of sending by it
//! ```

pub mod channel;
pub mod message;

pub use channel::{Channel, Outcome};
pub use message::{Alert, Chart, Message, Occasion, Picture};
