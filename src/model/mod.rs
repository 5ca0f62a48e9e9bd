//! model: samples, series, keys and clocks. The only I/O here is reading the clock.

mod clock;
mod condition;
pub mod counter;
mod event;
mod glob;
mod graph;
mod interval;
mod key;
mod kind;
mod kinds;
mod labels;
pub mod options;
mod past;
mod recorder;
mod registry;
mod series;
mod severity;
mod size;
pub mod unit;

pub use clock::{Clock, ManualClock, SystemClock, uptime_ms};
pub use condition::{Condition, Op};
pub use event::Event;
pub use glob::{Glob, KeyFilter};
pub use graph::{Field, Graph, Range};
pub use interval::{DurationError, Interval, format_duration, parse_duration};
pub use key::{parse_key, write_key};
pub use kind::Kind;
pub use labels::Labels;
pub use past::{Past, Stretch};
pub use recorder::{Metric, Recorder};
pub use registry::{Live, Pinned, Registry, Released, Sample, SeriesRef};
pub use series::{Identity, Series};
pub use severity::Severity;
pub use size::{format_size, parse_size};
pub use unit::Unit;
