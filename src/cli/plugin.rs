//! cli: `plimsoll plugin`: lists, runs, tests, enables and disables plugins.

use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

use super::{Global, interval, show, table};
use crate::config::{Config, host_name};
use crate::daemon::Rate;
use crate::daemon::control::{AskError, Request, ask};
use crate::daemon::plugins::{RATE_PREFIX, state_folder};
use crate::model::{Clock, SystemClock, format_duration};
use crate::plugin::{self, Action, Kind, Plugin};
use crate::store::{self, Reader};

/// `plimsoll plugin`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A plugin is a program that prints values: a Munin plugin, a program that prints \
    `key value` lines, or a Nagios check. docs/PLUGINS.md shows how to write one. Examples:\n  \
    plimsoll plugin suggest --apply\n  \
    plimsoll plugin enable if_eth0\n  \
    plimsoll plugin test ./my_plugin"
)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List the plugins that run, and those that do not run with the reason
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a plugin once, as the daemon would, and print its output
    Run {
        /// Name or file of the plugin
        name: String,
        /// config (the description of its fields), autoconf or suggest [default: fetch its values]
        #[arg(value_parser = parse_action)]
        action: Option<Action>,
    },
    /// Check a plugin and show its faults with their lines
    Test {
        /// Name or file of the plugin
        file: String,
    },
    /// Enable an installed plugin by a link in the plugin folder
    Enable {
        /// Name or file of the plugin; `if_eth0` enables the wildcard plugin `if_` for eth0
        name: String,
        /// Name of the link [default: the name of the plugin]
        as_: Option<String>,
    },
    /// Disable a plugin by removing its link
    Disable {
        /// Name of the plugin
        name: String,
    },
    /// Find the installed plugins that work on this machine
    Suggest {
        /// Enable them all
        #[arg(long)]
        apply: bool,
    },
}

fn parse_action(text: &str) -> Result<Action, String> {
    match text {
        "config" => Ok(Action::Config),
        "fetch" => Ok(Action::Fetch),
        "autoconf" => Ok(Action::Autoconf),
        "suggest" => Ok(Action::Suggest),
        _ => Err("use config, autoconf or suggest, or leave it out to fetch its values".into()),
    }
}

struct Here {
    config: Config,
    database: PathBuf,
    state: PathBuf,
    host: String,
}

impl Here {
    fn one(&self, name: &str) -> anyhow::Result<Plugin> {
        let plugin = plugin::one(&self.config.plugins, &self.state, &self.host, name);
        let plugin = plugin.map_err(|e| anyhow::anyhow!("{name}: {e}"))?;
        if let Err(e) = plugin.prepare() {
            writeln!(
                super::stderr(),
                "plimsoll: the state that it keeps between runs is lost: {}: {e}",
                self.state.display()
            )?;
        }
        Ok(plugin)
    }

    /// The rates in force; none without a daemon.
    fn rates(&self) -> Vec<Rate> {
        let answer = ask(&self.database, &Request::Rates).ok().filter(|answer| answer.ok);
        answer.and_then(|answer| serde_json::from_value(answer.data).ok()).unwrap_or_default()
    }

    /// A running daemon takes in what changed.
    fn tell_daemon(&self, out: &mut impl Write) -> std::io::Result<()> {
        match ask(&self.database, &Request::Reload) {
            Ok(answer) if answer.ok => writeln!(out, "the running plimsoll has taken the change"),
            Ok(answer) => writeln!(out, "{}", answer.message),
            Err(AskError::NotRunning(_)) => Ok(()),
            Err(e) => writeln!(out, "{e}\n  it takes the change at its next 'plimsoll reload'"),
        }
    }
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let config = Config::find(global.config.as_deref())?;
    let database = store::to_read(global.db.as_deref().or(config.db.as_deref()));
    let state = std::path::absolute(state_folder(&database))?;
    let here = Here { config, database, state, host: host_name() };
    let settings = &here.config.plugins;
    let mut out = super::stdout();
    match &args.what {
        What::List { json } => list(&here, *json, &mut out)?,
        What::Run { name, action } => {
            let plugin = here.one(name)?;
            let action = action.unwrap_or(Action::Fetch);
            let output = plugin::run_one(&plugin, action, &SystemClock);
            out.write_all(&output.stdout)?;
            out.flush()?;
            let mut err = super::stderr();
            err.write_all(&output.stderr)?;
            err.flush()?;
            let fine = if plugin.kind == Some(Kind::Nagios) { 0..=3 } else { 0..=0 };
            if let Some(failure) = output.failure(fine) {
                anyhow::bail!("{}: {failure}", plugin.name);
            }
        }
        What::Test { file } => test(&here, file, &mut out)?,
        What::Enable { name, as_ } => {
            let link = plugin::enable(settings, name, as_.as_deref());
            let link = link.map_err(anyhow::Error::msg)?;
            writeln!(out, "{} is enabled", link.display())?;
            here.tell_daemon(&mut out)?;
        }
        What::Disable { name } => {
            let link = plugin::disable(settings, name).map_err(anyhow::Error::msg)?;
            writeln!(out, "{} is removed; its samples stay in the database", link.display())?;
            here.tell_daemon(&mut out)?;
        }
        What::Suggest { apply } => suggest(&here, *apply, &mut out)?,
    }
    out.flush()?;
    Ok(())
}

/// The database's knowledge about a plugin: the title of its charts, and whether its last run
/// succeeded.
#[derive(Default)]
struct Known {
    titles: Vec<(String, String)>,
    success: Vec<(String, f64)>,
}

fn known(here: &Here) -> Option<Known> {
    let reader = Reader::open(&here.database).ok()?;
    let mut known = Known::default();
    for (_, graph) in reader.graphs().ok()? {
        let plugin = graph.id.strip_prefix("munin/").and_then(|id| id.split('/').next());
        // The parts of a whole come after it.
        let part = graph.id.splitn(3, '/').nth(2).is_some_and(|name| name.contains('.'));
        let title = plugin.map(|p| (p.to_owned(), graph.title.to_string()));
        let at = if part { known.titles.len() } else { 0 };
        known.titles.splice(at..at, title);
    }
    let now = SystemClock.wall_ms();
    for series in reader.series().ok()? {
        if series.name != "plimsoll_collect_success" || series.system_id != 1 {
            continue;
        }
        let collector = series.labels.get("collector").unwrap_or_default();
        if let Some(name) = collector.strip_prefix("plugin/") {
            let (_, values) = reader.samples(series.id, now - 7 * 86_400_000, now).ok()?;
            known.success.extend(values.last().map(|v| (name.to_owned(), *v)));
        }
    }
    Some(known)
}

fn list(here: &Here, as_json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let settings = &here.config.plugins;
    let found = plugin::find(settings, &here.state, &here.host);
    let known = known(here).unwrap_or_default();
    let title = |p: &Plugin| {
        known.titles.iter().find(|(n, _)| *n == p.name).map_or("", |(_, title)| title.as_str())
    };
    let last = |p: &Plugin| match known.success.iter().find(|(n, _)| *n == p.name) {
        Some((_, 1.0)) => "ok",
        Some(_) => "failed",
        None => "not yet",
    };
    let rates = here.rates();
    let rate =
        |p: &Plugin| rates.iter().find(|r| r.collector.strip_prefix(RATE_PREFIX) == Some(&*p.name));
    let usual = |p: &Plugin| match rate(p) {
        Some(rate) => format_duration(rate.configured_ms),
        None => p.interval.unwrap_or(settings.interval).to_string(),
    };
    let every = |p: &Plugin| match rate(p) {
        Some(rate) => format_duration(rate.interval_ms),
        None => usual(p),
    };
    // Rates that were set by hand, with their duration.
    let shown = |p: &Plugin| match rate(p).map(interval::until).filter(|u| !u.is_empty()) {
        Some(until) => format!("{} {until}", every(p)),
        None => every(p),
    };
    if as_json {
        let plugins: Vec<_> = (found.plugins.iter())
            .map(|p| {
                json!({
                    "name": p.name, "file": p.file, "kind": p.kind.map(Kind::as_str),
                    "user": p.account.name, "interval": every(p), "configured": usual(p),
                    "title": title(p),
                    "timeout": format_duration(p.timeout_ms), "last": last(p),
                })
            })
            .collect();
        let refused: Vec<_> =
            found.refused.iter().map(|(n, why)| json!({"name": n, "reason": why})).collect();
        let all = json!({"plugins": plugins, "refused": refused, "faults": found.faults});
        serde_json::to_writer_pretty(&mut *out, &all)?;
        writeln!(out)?;
        return Ok(());
    }
    if !settings.enabled {
        writeln!(out, "plugins are switched off in the configuration ([plugins] enabled = false)")?;
    } else if found.plugins.is_empty() && found.refused.is_empty() {
        let dir = settings.folder();
        writeln!(out, "no plugins in {}", dir.display())?;
        writeln!(out, "  'plimsoll plugin suggest' shows what could run here")?;
    }
    let rows: Vec<Vec<String>> = (found.plugins.iter())
        .map(|p| {
            let texts = [&*p.name, last(p), &shown(p), &p.account.name, title(p)];
            texts.map(str::to_owned).to_vec()
        })
        .collect();
    if !rows.is_empty() {
        table::print(out, &["plugin", "last run", "every", "as", "title"], &rows)?;
    }
    for (name, why) in &found.refused {
        writeln!(out, "\n{name} does not run: {why}")?;
    }
    for fault in &found.faults {
        writeln!(out, "\n{fault}")?;
    }
    Ok(())
}

fn test(here: &Here, file: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let here_file = std::path::Path::new(file);
    // A file in the current folder is meant before one that is installed.
    let name =
        if !file.contains('/') && here_file.is_file() { format!("./{file}") } else { file.into() };
    let plugin = here.one(&name)?;
    let (kind, remarks) = plugin::lint(&plugin, &SystemClock);
    let sort = match kind {
        Kind::Munin => "a Munin plugin",
        Kind::Simple => "a plugin that prints values",
        Kind::Nagios => "a Nagios check",
    };
    let wrong = remarks.iter().filter(|r| r.wrong).count();
    writeln!(out, "{}: {sort}, run as {}", plugin.name, plugin.account.name)?;
    for remark in &remarks {
        let mark = if remark.wrong { "wrong" } else { "could be better" };
        if remark.place.is_empty() {
            writeln!(out, "  {mark}: {}", remark.text)?;
        } else {
            writeln!(out, "  {mark}: {}\n    {}", remark.place, remark.text)?;
        }
    }
    if wrong == 0 {
        writeln!(out, "no faults found")?;
        return Ok(());
    }
    out.flush()?;
    anyhow::bail!(
        "{} wrong",
        show::count(wrong as u64) + if wrong == 1 { " thing is" } else { " things are" }
    )
}

fn suggest(here: &Here, apply: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let settings = &here.config.plugins;
    let found = plugin::find(settings, &here.state, &here.host);
    let said = plugin::suggest(settings, &here.state, &here.host, &found, &SystemClock);
    let said = said.map_err(anyhow::Error::msg)?;
    let dir = settings.folder();
    let missing: Vec<_> = said.iter().filter(|s| !s.there).collect();
    let mut made = 0;
    for s in &missing {
        if apply {
            let file = s.file.to_string_lossy();
            let link =
                plugin::enable(settings, &file, Some(&s.name)).map_err(anyhow::Error::msg)?;
            writeln!(out, "{} -> {}", link.display(), s.file.display())?;
            made += 1;
        } else {
            writeln!(out, "ln -s {} {}", s.file.display(), dir.join(&s.name).display())?;
        }
    }
    let there = said.len() - missing.len();
    match (missing.len(), apply) {
        (0, _) => writeln!(out, "all {there} that work here are enabled already")?,
        (_, false) => writeln!(
            out,
            "# 'plimsoll plugin suggest --apply' makes these links; {there} exist already"
        )?,
        (_, true) => writeln!(out, "{made} made, {there} existed already")?,
    }
    if made > 0 {
        here.tell_daemon(out)?;
    }
    Ok(())
}
