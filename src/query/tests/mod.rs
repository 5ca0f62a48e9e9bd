//! query: tests of the language as a whole.

mod dashboards;
mod errors;
mod oracle;
mod texts;
