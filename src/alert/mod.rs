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
//!   recent     the newest samples of the series that rules look at, in memory
//!   judge      all rules at one moment
//! ```

pub mod check;
pub mod defaults;
pub mod forecast;
pub mod instance;
pub mod judge;
pub mod look;
pub mod machine;
pub mod recent;
pub mod rule;
pub mod template;
pub mod when;

pub use defaults::{Limits, defaults};
pub use instance::{Change, Instance, State, Turn};
pub use judge::{Judge, Pass};
pub use recent::Recent;
pub use rule::Rule;
pub use when::{RuleText, Wrong};
