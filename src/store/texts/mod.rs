//! store: the texts of the file: names of series and machines, events, descriptions of charts, and rows
//! that other programs insert with SQL.
//!
//! ```text
//!   dictionary a series of this process -> its row, found or made once
//!   budget     how many bytes names, events and charts take, and how many they may
//!   sent       which names senders have brought, after a restart too
//!   alerts     alerts, messages about them, silences
//!   events     what happened
//!   graphs     charts and their fields, as their sources describe them
//!   inbox      rows that SQL clients insert into `metrics`
//!   not_utf8   finds and mends texts that are no UTF-8
//! ```

pub(super) mod alerts;
pub(super) mod budget;
pub(super) mod dictionary;
pub(super) mod events;
pub(super) mod graphs;
pub(super) mod inbox;
pub(super) mod not_utf8;
pub(super) mod sent;
