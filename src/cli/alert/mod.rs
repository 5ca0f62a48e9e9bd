//! cli: `plimsoll alert`: what is wrong, who is told, the rules; receivers, tests, and the rules judged over
//! what is stored.

mod history;
mod now;
mod to;
mod unittest;

use super::Global;
use crate::alert::Command;
use crate::daemon::control::{Request, ask};

/// `plimsoll alert`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    plimsoll alert                                what is wrong, and who is told\n  \
    plimsoll alert to ntfy:my-topic               tell this receiver, and send it a test\n  \
    plimsoll alert test                           send a test to every receiver\n  \
    plimsoll alert rules                          the rules and their limits\n  \
    plimsoll alert test rules/*_test.yml          promtool's unit tests of rule files\n  \
    plimsoll alert suggest node_load5             a limit that would have been quiet\n  \
    plimsoll alert replay --from -90d             what they would have sent\n  \
    plimsoll alert replay --rule 'disk_/ > 90' --for 10m\n\n\
    docs/ALERTS.md has a recipe for each kind of receiver.")]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Tell a receiver of alerts from now on, and send it a test
    To(to::Args),
    /// Send a test message; with a file: run promtool's unit tests of rules
    Test(TestArgs),
    /// List the rules
    Rules(now::RulesArgs),
    /// Judge the past: when rules would have fired, and what they would have sent
    Replay(history::ReplayArgs),
    /// Find a limit that would have sent at most one message a month
    Suggest(history::SuggestArgs),
}

/// `plimsoll alert test`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    plimsoll alert test                           a message to every receiver\n  \
    plimsoll alert test ntfy:my-topic             a message to this one\n  \
    plimsoll alert test rules_test.yml            unit tests as promtool knows them\n\n\
    Names of rule files in a file of tests start at that file. The exit code is 0 where all went well,\n\
    and 1 otherwise.")]
struct TestArgs {
    /// A receiver as `plimsoll alert` shows it, or files of unit tests [default: all receivers]
    what: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    match &args.what {
        None => now::run(global),
        Some(What::To(args)) => to::run(args, global),
        Some(What::Test(args)) => test(args, global),
        Some(What::Rules(args)) => now::rules(args, global),
        Some(What::Replay(args)) => history::run_replay(args, global),
        Some(What::Suggest(args)) => history::run_suggest(args, global),
    }
}

fn test(args: &TestArgs, global: &Global) -> anyhow::Result<()> {
    let is_file = |what: &String| {
        let ending = std::path::Path::new(what).extension();
        ending.is_some_and(|ending| ending == "yml" || ending == "yaml")
            || std::path::Path::new(what).is_file()
    };
    match &*args.what {
        files @ [_, ..] if files.iter().all(is_file) => unittest::run(files),
        [] => tell(global, Command::Test { what: String::new() }),
        [what] => tell(global, Command::Test { what: what.clone() }),
        _ => anyhow::bail!("name one receiver, or files of unit tests that end in .yml"),
    }
}

/// Has the running daemon carry a command out, and prints its words.
pub(super) fn tell(global: &Global, command: Command) -> anyhow::Result<()> {
    use std::io::Write;
    let response = ask(&global.database()?, &Request::Alert { command })?;
    anyhow::ensure!(response.ok, "{}", response.message);
    let mut out = super::stdout();
    writeln!(out, "{}", response.message)?;
    out.flush()?;
    Ok(())
}

/// Who uses this terminal, for the list of silences.
pub(super) fn user() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_default()
}

/// The present, ms since 1970 UTC.
pub(super) fn now_ms() -> i64 {
    use crate::model::{Clock, SystemClock};
    SystemClock.wall_ms()
}

/// A moment in local time: `2026-12-01 03:12`.
pub(super) fn moment(ms: i64) -> String {
    let stamp = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    stamp.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}
