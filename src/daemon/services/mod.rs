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

use super::service::Service;

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
