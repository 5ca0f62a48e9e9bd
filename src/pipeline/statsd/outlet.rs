//! pipeline: the outlet for the samples of statsd, and the parts shared with other sources.

use std::ops::Deref;
use std::sync::Arc;

use super::Tally;
use crate::pipeline::Flow;

/// The outlet: the flow, and statsd's own counters.
#[derive(Clone)]
pub struct Outlet {
    /// The parts shared with other sources.
    pub flow: Flow,
    /// The counters of statsd.
    pub tally: Arc<Tally>,
    /// Called after a flush that has freed much memory.
    pub rested: fn(),
}

impl Deref for Outlet {
    type Target = Flow;

    fn deref(&self) -> &Flow {
        &self.flow
    }
}
