//! config: its tests.

mod file;
mod listed;
mod messages;
mod munin;
mod sample;
mod senders;
mod values;
