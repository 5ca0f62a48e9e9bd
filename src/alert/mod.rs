//! alert: rules, and what becomes of them: when something is wrong, since when, and when it is over.
//!
//! ```text
//!   instance   one alert: a rule and a label set, with its state; and a change of it
//!   rule       what a rule is: a measured value, limits, a sentence
//!   defaults   the rules of defaults.toml, and other limits for them
//!   when       a rule as a person writes it: `disk_/ > 95`, or any PromQL
//!   check      rules that can never fire, and series that never were
//!   forecast   what is left of something -> the day it is used up
//!   machine    states and times, pure: what was seen -> changes
//!   look       a rule and a source of samples -> what is seen
//!   template   the annotations of rules of Prometheus
//!   files      rule files of Prometheus
//!   shelf      the rule files that a configuration names
//!   unittest   promtool's tests of rule files
//!   recent     the newest samples of the series that rules look at, in memory
//!   names      the names of the series that rules look at
//!   recording  rules that write series
//!   judge      all rules at one moment
//!   record     an alert with what was told of it, as it lies in the file
//!   weekly     times of the week in a zone
//!   silence    what is not told for a while
//!   peace      who is left in peace, and why; reminders
//!   message    what happened to an alert -> the note that its message is made of
//!   teller     what was judged -> what is written and what is told
//!   standing   how things stand, for every view, and commands of people
//!   replay     the same over what was stored
//!   suggest    limits that would have been quiet
//! ```

pub mod check;
pub mod defaults;
pub mod files;
pub mod forecast;
pub mod instance;
pub mod judge;
pub mod look;
pub mod machine;
pub mod message;
pub mod names;
pub mod peace;
pub mod recent;
pub mod record;
mod recording;
pub mod replay;
pub mod rule;
pub mod shelf;
pub mod silence;
pub mod standing;
pub mod suggest;
pub mod teller;
pub mod template;
pub mod unittest;
pub mod weekly;
pub mod when;

pub use defaults::{Limits, default_names, defaults, defaults_at};
pub use instance::{Change, Instance, State, Turn};
pub use judge::{Cause, Judge, Pass, Report};
pub use peace::{Quiet, Withheld, host_of};
pub use recent::Recent;
pub use record::{Extra, Record, Told};
pub use rule::{Limit, Measure, Rule, Test, Way};
pub use shelf::{Filed, Shelf};
pub use silence::What;
pub use standing::{Command, RecordShown, RuleShown, Shown, Stand, Standing};
pub use teller::{Facts, Judged, Teller};
pub use weekly::Weekly;
pub use when::{RuleText, Wrong};
