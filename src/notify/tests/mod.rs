//! notify: all channels against a stub: their requests, and their reaction to its answers.

mod answers;
mod mails;
mod requests;
mod secrets;
mod stub;
