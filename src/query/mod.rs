//! query: PromQL over samples: what an expression is, and how one is read, checked, printed and
//! answered. Knows nothing of HTTP, of files and of the command line.
//!
//! ```text
//!   functions    the table of functions: names, arguments, results
//!   matcher      label matchers, mostly without the regex engine
//!   ast          an expression as a tree; every node knows its place in the text
//!   float        sums, means, quantiles and texts of numbers, by Go's rules
//!   natural      texts in the order of the numbers in them
//!   window       functions over the windows of one series
//!   buckets      quantiles and fractions out of a classic histogram
//!   annotation   warnings and infos beside an answer
//!   source       what is asked of a store; a store in memory
//! ```

pub mod annotation;
pub mod ast;
pub mod buckets;
pub mod float;
pub mod functions;
pub mod matcher;
pub mod natural;
pub mod source;
pub mod window;
