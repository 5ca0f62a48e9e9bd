//! daemon: the folder for the state of plugins, and the way of their readings into the queue; for
//! plugins of this machine and of others.

use std::path::{Path, PathBuf};

use crate::model::SeriesRef;
use crate::pipeline::{Batch, Flow, Source};
use crate::plugin::Samples;

/// The folder for the state of plugins, beside the database.
pub fn state_folder(database: &Path) -> PathBuf {
    database.parent().unwrap_or(Path::new("")).join("plugin-state")
}

/// Queues the samples of a plugin, and `own`, the metrics about its run.
pub fn hand_over(flow: &Flow, samples: Samples, ts: i64, own: &[(SeriesRef, f64)]) {
    let Samples { mut values, mut times, .. } = samples.with_markers(ts);
    values.extend_from_slice(own);
    if values.is_empty() {
        return;
    }
    times.resize(values.len(), ts);
    if times.iter().all(|t| *t == ts) {
        times.clear();
    }
    let arrived = flow.clock.wall_ms();
    let batch = Batch { times, arrived, ..Batch::of(Source::Plugin, ts, values) };
    let _spare = flow.queue.push(batch);
}
