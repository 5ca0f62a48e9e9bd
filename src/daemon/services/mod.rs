//! daemon: the table of services, one file each. What a service is stands in service.rs.

mod alerting;
mod collect;
mod graphite;
mod listen;
mod munin_node;
mod munin_peers;
mod plugins;
mod statsd;
mod web;

pub use collect::describe as collecting;

use std::sync::Arc;

use anyhow::Context;

use super::service::{Service, Start};
use super::shared::Shared;
use crate::config::Config;
use crate::store::Store;

/// Every service. They are started from the last to the first, and shown from the first to the last.
pub static SERVICES: &[Service] = &[
    collect::SERVICE,
    web::SERVICE,
    statsd::SERVICE,
    graphite::SERVICE,
    plugins::SERVICE,
    munin_node::SERVICE,
    munin_peers::SERVICE,
    alerting::SERVICE,
];

/// Starts what the configuration asks for, the last row first: the first row, which collects, then
/// finds all others there when it reports on them.
pub fn start(shared: &Shared, store: &Store) -> anyhow::Result<()> {
    for (at, service) in SERVICES.iter().enumerate().rev() {
        let started = match service.start {
            Start::First(start) => start(shared, store),
            Start::Any(start) => start(shared),
        };
        if let Some(started) = started.with_context(|| format!("cannot start {}", service.name))? {
            shared.services.add(at, service.row(), started);
        }
    }
    Ok(())
}

/// Puts another configuration to use. Returns what has changed, in lines. After an error, which is for
/// people, all services work by the configuration before, also one that answers only later.
pub async fn configure(
    shared: &Shared,
    old: &Config,
    new: &Arc<Config>,
) -> Result<Vec<String>, String> {
    let running = shared.services.places();
    let mut said = Vec::new();
    for (at, service) in SERVICES.iter().enumerate() {
        let first = shared.config.first();
        said.extend(service.settings.iter().filter_map(|s| s.change(first, old, new)));
        if let Err(e) = shared.services.configure(at, new).await {
            let before = shared.config();
            (0..=at).for_each(|told| shared.services.tell(told, &before));
            return Err(e);
        }
    }
    shared.config.set(Arc::clone(new), shared.clock.wall_ms());
    for (at, service) in SERVICES.iter().enumerate() {
        let Start::Any(start) = service.start else { continue };
        if running.contains(&at) {
            continue;
        }
        match start(shared) {
            Ok(Some(started)) => shared.services.add(at, service.row(), started),
            Ok(None) => {}
            Err(e) => shared.board.fail(service.name, format!("it cannot start: {e}")),
        }
    }
    Ok(said)
}
