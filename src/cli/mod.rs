//! cli: the command line, one file a verb. A view: verbs read the store, ask the daemon over its
//! control socket, or start it.

mod alert;
mod backup;
pub mod check_config;
mod check_rules;
mod collect;
mod compact;
mod current;
mod doctor;
mod estimate;
mod export;
mod forget;
mod graph;
mod import;
pub mod install;
mod interval;
mod manual;
mod output;
mod outward;
mod plugin;
mod query;
mod reload;
#[cfg(test)]
mod same;
mod screen;
mod send;
pub mod service;
mod show;
mod silence;
mod snapshot;
mod sql;
mod status;
mod status_rest;
mod status_text;
mod table;
mod token;
mod told;
pub mod uninstall;
mod watch;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{config, daemon, store};

/// The stupidly simple monitor for a Linux server: one binary, one SQLite file.
///
/// Without a verb it runs: collects load, memory, disks and the rest of this machine into
/// metrics.sqlite until Ctrl-C. Read it with 'plimsoll status' or
/// sqlite3 metrics.sqlite 'select * from metrics'.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    global: Global,
}

/// Options that every verb takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// Configuration file [default: /etc/plimsoll/plimsoll.toml if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Database [default: $STATE_DIRECTORY/metrics.sqlite or ./metrics.sqlite]
    #[arg(long, global = true, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// Log more details
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Collect until Ctrl-C (what plimsoll does without a verb)
    Run,
    /// Show the state of this machine
    Status(status::Args),
    /// Show live charts in the terminal, until q
    Watch(watch::Args),
    /// Take one reading and print it, without a database
    Collect(collect::Args),
    /// Query the database in SQL, read-only
    Sql(sql::Args),
    /// Query the database in PromQL
    Query(query::Args),
    /// Draw a chart in the terminal, or as an SVG or PNG file
    Graph(graph::Args),
    /// Save the page with its numbers as one HTML file that opens anywhere
    Snapshot(snapshot::Args),
    /// Export samples as CSV, JSON or OpenMetrics
    Export(export::Args),
    /// Import samples: CSV, JSON, OpenMetrics, or the history of Munin, collectd, sar, RRD
    Import(import::Args),
    /// Store a value, or lines of values from standard input
    Send(send::Args),
    /// Show or change how often the running plimsoll reads
    Interval(interval::Args),
    /// Show alerts, receivers and rules; add and test receivers
    Alert(alert::Args),
    /// Silence alerts for a while
    Silence(silence::Args),
    /// Acknowledge an alert, which ends its reminders
    Ack(silence::AckArgs),
    /// Make the running plimsoll read its configuration again
    Reload(reload::Args),
    /// Say that a machine is gone, so that its silence alarms nobody
    Forget(forget::Args),
    /// List, test, run, enable and disable plugins
    Plugin(plugin::Args),
    /// Add, list and revoke tokens for programs on other machines
    Token(token::Args),
    /// Check a configuration file and show what it means
    CheckConfig(check_config::Args),
    /// Estimate the size of the database
    Estimate(estimate::Args),
    /// Seal, merge and prune the database at once, and show what that saves
    Compact(compact::Args),
    /// Check the database and repair it
    Doctor(doctor::Args),
    /// Copy the database while plimsoll runs
    Backup(backup::Args),
    /// Install plimsoll as a systemd service
    Install(install::Args),
    /// Remove the systemd service
    Uninstall(uninstall::Args),
    /// Print completions for a shell
    Completions(manual::CompletionsArgs),
    /// Print the manual page
    Man(manual::ManArgs),
}

impl Global {
    /// The database to read, from the command line or the configuration.
    pub fn database(&self) -> anyhow::Result<PathBuf> {
        if let Some(db) = &self.db {
            return Ok(store::to_read(Some(db)));
        }
        let config = config::Config::find(self.config.as_deref())?;
        Ok(store::to_read(config.db.as_deref()))
    }

    /// The configuration by which the plimsoll of this database runs, if one does and the command line
    /// names none; else the one that `run` would find.
    fn config_in_force(&self, database: &Path) -> anyhow::Result<config::Config> {
        if let (None, current::Daemon::Running(answer)) = (&self.config, current::daemon(database))
        {
            match answer.get("config").map(|path| path.as_str()) {
                Some(Some(path)) => return Ok(config::Config::load(Path::new(path))?),
                Some(None) => return Ok(config::Config::default()),
                // An older one does not say.
                None => {}
            }
        }
        Ok(config::Config::find(self.config.as_deref())?)
    }

    fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }
}

/// Runs the verb on the command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let global = &cli.global;
    if !matches!(cli.verb, None | Some(Verb::Run)) {
        // Damage that a reader finds is reported, too.
        daemon::log::start(tracing::Level::WARN);
    }
    let result = match &cli.verb {
        None | Some(Verb::Run) => daemon::run(&daemon::Options {
            config: global.config.clone(),
            db: global.db.clone(),
            verbose: global.verbose,
        }),
        Some(Verb::Status(args)) => status::run(args, global),
        Some(Verb::Watch(args)) => watch::run(args, global),
        Some(Verb::Collect(args)) => collect::run(args, global),
        Some(Verb::Sql(args)) => sql::run(args, global),
        Some(Verb::Query(args)) => query::run(args, global),
        Some(Verb::Graph(args)) => graph::run(args, global),
        Some(Verb::Snapshot(args)) => snapshot::run(args, global),
        Some(Verb::Export(args)) => export::run(args, global),
        Some(Verb::Import(args)) => import::run(args, global),
        Some(Verb::Send(args)) => send::run(args, global),
        Some(Verb::Interval(args)) => interval::run(args, global),
        Some(Verb::Alert(args)) => alert::run(args, global),
        Some(Verb::Silence(args)) => silence::run(args, global),
        Some(Verb::Ack(args)) => silence::ack(args, global),
        Some(Verb::Reload(args)) => reload::run(args, global),
        Some(Verb::Forget(args)) => forget::run(args, global),
        Some(Verb::Plugin(args)) => plugin::run(args, global),
        Some(Verb::Token(args)) => token::run(args, global),
        Some(Verb::CheckConfig(args)) => check_config::run(args, global),
        Some(Verb::Estimate(args)) => estimate::run(args, global),
        Some(Verb::Compact(args)) => compact::run(args, global),
        Some(Verb::Doctor(args)) => doctor::run(args, global),
        Some(Verb::Backup(args)) => backup::run(args, global),
        Some(Verb::Install(args)) => install::run(args, global.config()),
        Some(Verb::Uninstall(args)) => uninstall::run(args, global.config()),
        Some(Verb::Completions(args)) => manual::completions(args),
        Some(Verb::Man(args)) => manual::man(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of the output has enough: `plimsoll export | head`.
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            let _unused = writeln!(std::io::stderr(), "error: {}", explain(&e));
            ExitCode::FAILURE
        }
    }
}

/// The error as text: a wrong configuration with colours on a terminal.
fn explain(e: &anyhow::Error) -> String {
    match e.downcast_ref::<config::ConfigError>() {
        Some(e) => e.render(std::io::stderr().is_terminal()),
        None => screen::clean_lines(&format!("{e:#}")),
    }
}

fn is_broken_pipe(e: &anyhow::Error) -> bool {
    use std::io::ErrorKind::BrokenPipe;
    e.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        // It keeps the error of its writer to itself.
        let json = cause.downcast_ref::<serde_json::Error>().and_then(|e| e.io_error_kind());
        io.or(json) == Some(BrokenPipe)
    })
}

/// Standard output, buffered; flush it and hand the error on. On a terminal nothing that is printed
/// steers it.
fn stdout() -> std::io::BufWriter<screen::Plain<std::io::StdoutLock<'static>>> {
    let terminal = std::io::stdout().is_terminal();
    std::io::BufWriter::new(screen::Plain::new(std::io::stdout().lock(), terminal))
}

/// Standard error, for messages that contain file names or input. On a terminal they cannot control
/// it.
fn stderr() -> screen::Plain<std::io::StderrLock<'static>> {
    let terminal = std::io::stderr().is_terminal();
    screen::Plain::new(std::io::stderr().lock(), terminal)
}

/// Standard output for verbs with colours: their texts must be cleaned before.
fn painted_stdout() -> std::io::BufWriter<std::io::StdoutLock<'static>> {
    std::io::BufWriter::new(std::io::stdout().lock())
}
