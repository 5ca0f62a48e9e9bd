//! alert: rules, and what becomes of them: when something is wrong, since when, and when it is over.
//!
//! ```text
//!   instance   one alert: a rule and a label set, with its state; and a change of it
//!   standing   how things stand, for every view, and commands of people
//! ```

pub mod instance;
pub mod standing;

pub use instance::{Change, Instance, State, Turn};
pub use standing::{Command, RuleShown, Shown, Stand, Standing};
