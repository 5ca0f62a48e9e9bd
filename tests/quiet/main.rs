//! The rules are silent until it matters. Every default rule is judged over generated machines with a
//! clock that is moved by hand: through nights with backups, reboots, suspends and set clocks nobody is
//! told anything, and each planted fault is told once and ends once.
//!
//! ```text
//!   world      a generated machine: its readings at each beat, from a seed
//!   scene      store, judge, teller and one receiver around it, as the daemon has them
//!   ordinary   what happens on machines that are well: no message
//!   recorded   an hour that was recorded on a real machine: no message
//!   faults     each default rule with a fault that it has to tell
//!   talk       how many messages come of much that is wrong
//! ```
//!
//! `QUIET_DAYS`, `QUIET_BEAT` (seconds) and `QUIET_SEED` make the long run longer; `ci/torture/false-alarms`
//! sets them.

mod faults;
mod ordinary;
#[path = "../random/mod.rs"]
mod random;
mod recorded;
mod scene;
mod talk;
mod world;

/// A second, in ms.
pub const SECOND: i64 = 1_000;
/// A minute, in ms.
pub const MINUTE: i64 = 60 * SECOND;
/// An hour, in ms.
pub const HOUR: i64 = 60 * MINUTE;
/// A day, in ms.
pub const DAY: i64 = 24 * HOUR;
