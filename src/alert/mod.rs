//! alert: rules, and what becomes of them: when something is wrong, since when, and when it is over.
//!
//! ```text
//!   instance   one alert: a rule and a label set, with its state; and a change of it
//! ```

pub mod instance;

pub use instance::{Change, Instance, State, Turn};
