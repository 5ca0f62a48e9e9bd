//! query: PromQL over samples: what an expression is, and how one is read, checked, printed and
//! answered. Knows nothing of HTTP, of files and of the command line.
//!
//! ```text
//!   functions    the table of functions: names, arguments, results
//!   matcher      label matchers             (pattern: mostly without the regex engine)
//!   ast          an expression as a tree; every node knows its place in the text
//!   error        what is wrong with an expression, with a caret under the place
//!   quote        texts in quotes            (number: numbers and durations)
//!   lexer        text -> tokens            (token: what there is)
//!   parser       tokens -> tree             (check: whether its parts fit together)
//!   print        tree -> text, pretty or on one line (tree: as JSON)
//! ```

pub mod ast;
mod check;
pub mod error;
pub mod functions;
mod lexer;
pub mod matcher;
pub mod number;
pub mod parser;
mod pattern;
pub mod print;
pub mod quote;
mod token;
pub mod tree;

pub use error::ParseError;
pub use parser::{parse, parse_selector};

#[cfg(test)]
mod tests;
