//! pipeline: where the samples of statsd's senders go, and what is shared with the other sources.

use std::ops::Deref;
use std::sync::Arc;

use super::Tally;
use crate::pipeline::Flow;

/// Where the samples go: the flow, and what only statsd needs.
#[derive(Clone)]
pub struct Outlet {
    /// What it shares with the other sources.
    pub flow: Flow,
    /// What is counted for statsd.
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
