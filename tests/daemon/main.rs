//! End-to-end tests: the real binary, real files, real signals. What a user would notice, and what
//! docs promise when things go wrong. Several need root, as ci/test has it: they mount a small disk
//! or become another user, and say so when they cannot.

mod alert_delivery;
mod alert_kill;
mod alert_rules;
mod alert_stub;
mod alerts;
mod asking;
mod damage;
mod disk_full;
#[path = "../fuse/mod.rs"]
mod fuse;
mod graph;
mod hostile;
mod http;
mod hung;
mod io_errors;
mod kill;
mod kill_migration;
mod kill_upkeep;
mod long_reader;
mod meddling;
mod munin_node;
mod odd_files;
mod oracle;
mod page;
mod plugins;
mod power;
mod promql;
mod push;
mod readers;
mod receivers;
mod refusals;
mod services;
mod shown;
mod sql;
mod start;
mod statsd;
mod support;
mod systemd;
mod terminal;
mod timers;
mod told;
mod verbs;
mod viewers;
mod watch;
