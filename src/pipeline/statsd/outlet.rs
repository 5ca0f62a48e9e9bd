//! pipeline: where the samples of statsd's senders go, and what is shared with the other sources.

use std::sync::Arc;

use super::Tally;
use crate::model::{Clock, Registry};
use crate::pipeline::{Counters, Latest, Names, Queue};

/// Where the samples go.
#[derive(Clone)]
pub struct Outlet {
    /// All series of this process.
    pub registry: Arc<Registry>,
    /// To be stored.
    pub queue: Arc<Queue>,
    /// To be seen at once.
    pub latest: Arc<Latest>,
    /// What is counted for all sources alike.
    pub counters: Arc<Counters>,
    /// How many names there may be, of all senders together.
    pub allowed: Arc<Names>,
    /// What is counted for statsd.
    pub tally: Arc<Tally>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Called after a flush that has freed much memory.
    pub rested: fn(),
}
