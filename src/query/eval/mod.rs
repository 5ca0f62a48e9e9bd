//! query: the evaluator: an expression and a source of samples in, an answer out. It thinks in
//! columns: a selector is fetched once for all steps, series by series, and what comes of it are
//! rows of numbers, one a step. Knows nothing of text, HTTP or files.
//!
//! ```text
//!   guard      deadline, cancelling, how much may be read and held
//!   error      why there is no answer, in Prometheus' words
//!   lengths    lengths of time in selectors that are computed
//!   frame      the moments of an evaluation, and what comes of it at each
//!   grid       rows of values and their labels
//!   walk       expressions -> scalars and grids; what is the same at all steps is computed once
//!   select     selectors and subqueries -> series, one at a time
//!   ranges     functions over windows     (coarse: where buckets stand for samples;
//!              stretch: which steps those are)
//!   instants   functions over values at a step; dates, histograms, relabel, sorting beside it
//!   aggregate  values of many series into one; ranked: topk and its like; sampling: limit_ratio
//!   info       labels of info series beside those of others
//!   binary     operators with scalars; matching: between vectors
//!   watch      what was looked at, by selector and step
//!   answer     what is handed out, in Prometheus' order
//! ```

mod aggregate;
mod answer;
mod binary;
mod coarse;
mod dates;
mod error;
mod frame;
mod grid;
mod guard;
mod histograms;
mod info;
mod instants;
mod lengths;
mod matching;
mod ranges;
mod ranked;
mod relabel;
mod sampling;
mod select;
mod sorting;
mod stretch;
mod walk;
mod watch;

pub use answer::{Answer, Matrix, Stats, Value, VectorSample};
pub use error::EvalError;
pub use frame::{Options, When};
pub use guard::Limits;
pub use walk::evaluate;
pub use watch::{Looked, Watched};
