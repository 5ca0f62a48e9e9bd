//! notify: all channels against a stub: what they ask, and what they make of the answers.

mod answers;
mod requests;
mod secrets;
mod stub;
