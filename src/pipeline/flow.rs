//! pipeline: the parts that all ways of a sample share, from a source to the store and to readers.
//! A room that needs more makes a struct of its own around it.

use std::sync::Arc;

use super::{Board, Committed, Counters, Intake, Latest, Names, Queue};
use crate::model::{Clock, Registry};

/// See the module's text; clones share everything.
#[derive(Clone)]
pub struct Flow {
    /// All series of this process.
    pub registry: Arc<Registry>,
    /// The samples that wait to be stored.
    pub queue: Arc<Queue>,
    /// The entrance for samples of senders.
    pub intake: Arc<Intake>,
    /// How many names senders may bring, all of them together.
    pub names: Arc<Names>,
    /// The newest value of each series.
    pub latest: Arc<Latest>,
    /// The problems at the moment.
    pub board: Arc<Board>,
    /// plimsoll's counters about itself.
    pub counters: Arc<Counters>,
    /// The newest reading in the database.
    pub committed: Arc<Committed>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Flow {
    /// An empty one. `system` is this machine's name, `queue_ms` and `max_samples` bound the queue as
    /// [`Queue::new`] has it, `names` the names of senders.
    pub fn new(
        clock: Arc<dyn Clock>,
        system: &str,
        queue_ms: i64,
        max_samples: usize,
        names: Names,
    ) -> Self {
        let (counters, registry, names) = (Arc::default(), Arc::default(), Arc::new(names));
        let (latest, queue) =
            (Arc::default(), Arc::new(Queue::new(queue_ms, max_samples, Arc::clone(&counters))));
        let intake = Intake::new(
            Arc::clone(&registry),
            Arc::clone(&queue),
            Arc::clone(&counters),
            Arc::clone(&names),
            system,
        )
        .beside(Arc::clone(&latest));
        let board = Arc::new(Board::new(Arc::clone(&clock)));
        Self {
            registry,
            queue,
            intake: Arc::new(intake),
            names,
            latest,
            board,
            counters,
            committed: Arc::default(),
            clock,
        }
    }
}
