//! query: PromQL over samples: what an expression is, and how one is read, checked, printed and
//! answered, and the desk where the views ask. Knows nothing of HTTP and of the command line.
//!
//! ```text
//!   functions    the table of functions: names, arguments, results
//!   matcher      label matchers             (pattern: mostly without the regex engine)
//!   types        the types of values that expressions have
//!   ast          an expression as a tree; every node knows its place in the text
//!   error        what is wrong with an expression, with a caret under the place
//!   quote        texts in quotes            (number: numbers and durations)
//!   lexer        text -> tokens            (token: what there is)
//!   parser       tokens -> tree             (check: whether its parts fit together)
//!   print        tree -> text, pretty or on one line (tree: as JSON)
//!   float        sums, means, quantiles and texts of numbers, by Go's rules
//!   natural      texts in the order of the numbers in them
//!   window       functions over the windows of one series
//!   buckets      quantiles and fractions out of a classic histogram
//!   annotation   warnings and infos beside an answer
//!   source       what is asked of a store; a store in memory
//!   plan         which resolution serves a selector
//!   store_source the file as a source    (ahead: a second thread that unpacks)
//!   budget       how much memory questions may hold, counted while they work
//!   eval         tree and source -> answer
//!   files        open readers and the names of all series, lent to questions
//!   turns        places for questions, shared out among clients
//!   desk         a question's turn, thread, deadline and memory
//!   explain      what an answer took, as a tree
//! ```

mod ahead;
pub mod annotation;
pub mod ast;
pub mod buckets;
pub mod budget;
mod check;
pub mod desk;
pub mod error;
pub mod eval;
pub mod explain;
pub mod files;
pub mod float;
pub mod functions;
mod lexer;
pub mod matcher;
pub mod natural;
pub mod number;
pub mod parser;
mod pattern;
pub mod plan;
pub mod print;
pub mod quote;
pub mod source;
mod store_source;
mod token;
pub mod tree;
pub mod turns;
pub mod types;
pub mod window;

pub use error::ParseError;
pub use parser::{parse, parse_selector};
pub use store_source::{Catalog, StoreSource};

#[cfg(test)]
mod tests;
