//! alert: rules, and what becomes of them: when something is wrong, since when, and when it is over.
//!
//! ```text
//!   instance   one alert: a rule and a label set, with its state; and a change of it
//!   standing   how things stand, for every view, and commands of people
//!   record     an alert with what was told of it, as it lies in the file
//!   weekly     times of the week in a zone
//!   silence    what is not told for a while
//!   peace      who is left in peace, and why; reminders
//!   message    what happened to an alert -> the note that its message is made of
//!   teller     what was judged -> what is written and what is told
//! ```

pub mod instance;
pub mod message;
pub mod peace;
pub mod record;
pub mod silence;
pub mod standing;
pub mod teller;
pub mod weekly;

pub use instance::{Change, Instance, State, Turn};
pub use record::{Extra, Record, Told};
pub use standing::{Command, RuleShown, Shown, Stand, Standing};
pub use teller::{Facts, Judged, Teller};
