//! query: PromQL over samples: what an expression is, and how one is read, checked, printed and
//! answered. Knows nothing of HTTP, of files and of the command line.
//!
//! ```text
//!   functions    the table of functions: names, arguments, results
//!   matcher      label matchers, mostly without the regex engine
//!   ast          an expression as a tree; every node knows its place in the text
//! ```

pub mod ast;
pub mod functions;
pub mod matcher;
