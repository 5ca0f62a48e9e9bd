//! cli: `plimsoll check-config`: whether a configuration is right, and what it amounts to. Starts
//! nothing; a database that is there says which series the rules can look at.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::check_rules::{self, Found};
use super::estimate::{Held, of_this_machine};
use super::{Global, current};
use crate::config::{Config, ConfigError, Listed, PushOptions, SAMPLE};
use crate::daemon::SERVICES;
use crate::model::{Unit, format_duration, format_size};
use crate::store;

/// Check a configuration file and show what it amounts to
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file [default: the one that `run` would use]
    pub file: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Also print all options with value, default and meaning
    #[arg(long)]
    pub all: bool,
    /// Print a commented sample of all options, and check nothing
    #[arg(long, conflicts_with_all = ["file", "json", "all"])]
    pub sample: bool,
}

/// The file that is named here goes before `--config`.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if args.sample {
        out.write_all(SAMPLE.as_bytes())?;
        return Ok(());
    }
    let checked = Config::find(args.file.as_deref().or(global.config()));
    let found =
        checked.as_ref().map_or_else(|_| Found::default(), |c| check_rules::look(c, global));
    let text = match &checked {
        _ if args.json => {
            let mut told = as_json(&checked);
            add_rules(&mut told, &found);
            format!("{told:#}\n")
        }
        Ok(config) => {
            plan(config)
                + &rules(&found)
                + &options(config, args.all)
                + &size(config)
                + &taken(config, global)
        }
        Err(_) => String::new(),
    };
    out.write_all(text.as_bytes())?;
    out.flush()?;
    checked?;
    anyhow::ensure!(
        found.errors.is_empty(),
        "{}\nplimsoll would run without these rules",
        found.errors.join("\n")
    );
    Ok(())
}

/// The rules, and those that do nothing, for people.
fn rules(found: &Found) -> String {
    let mut out = format!("{:<12}{}\n", "rules", found.row());
    for warning in &found.warnings {
        let _ = writeln!(out, "warning: {warning}");
    }
    out
}

/// What was found in rules, for programs.
fn add_rules(told: &mut Value, found: &Found) {
    if let Some(warnings) = told["warnings"].as_array_mut() {
        warnings.extend(found.warnings.iter().map(|warning| json!(warning)));
    }
    if !found.errors.is_empty() {
        told["ok"] = json!(false);
        let one = |why: &String| json!({ "message": why });
        told["errors"] = found.errors.iter().map(one).collect::<Vec<_>>().into();
    }
}

/// What the database comes to, and what of the configuration contradicts itself in size, for people.
fn size(config: &Config) -> String {
    let (series, samples) = of_this_machine(config, None);
    let held = Held::usual(&config.limits, series, samples);
    let mut out = format!(
        "\nsize        {series} series of this machine, {} samples a second: {} after a year, as far as \
         max_size ({}) allows\n",
        Unit::Plain.format(samples / YEAR_S),
        Unit::Bytes.format(held.after(1.0)),
        format_size(config.limits.max_size)
    );
    for warning in warnings(config, &held) {
        let _ = writeln!(out, "warning: {warning}");
    }
    out
}

/// Places of which another program has taken one, for people: the plimsoll that runs is none.
fn taken(config: &Config, global: &Global) -> String {
    let database = store::to_read(global.db.as_deref().or(config.db.as_deref()));
    let ours = match current::daemon(&database) {
        current::Daemon::Running(answer) => {
            answer.get("services").map_or_else(String::new, ToString::to_string)
        }
        current::Daemon::Stopped => String::new(),
        // It may be the one that listens.
        current::Daemon::Unknown(_) => return String::new(),
    };
    let (statsd, graphite) = (&config.statsd.receive, &config.graphite);
    let tcp = [
        ("http.listen", config.http.listen),
        ("statsd.tcp", statsd.tcp),
        ("graphite.listen", graphite.tcp),
    ];
    let munin = config.munin_node.node.listen.iter().map(|at| ("munin_node.listen", Some(*at)));
    let udp = [("statsd.listen", statsd.udp), ("graphite.listen", graphite.udp)];
    let by = |word: &'static str| move |(option, at): (&'static str, _)| (option, word, at);
    let mut out = String::new();
    for (option, how, at) in
        tcp.into_iter().chain(munin).map(by("tcp")).chain(udp.into_iter().map(by("udp")))
    {
        let Some(at) = at.filter(|at: &SocketAddr| at.port() != 0) else { continue };
        // It is open for a moment only.
        let tried = match how {
            "tcp" => TcpListener::bind(at).map(drop),
            _ => UdpSocket::bind(at).map(drop),
        };
        let told = ours.contains(&format!("{at}\""));
        if tried.is_err_and(|e| e.kind() == std::io::ErrorKind::AddrInUse) && !told {
            let _ = writeln!(
                out,
                "warning: `{option}`: another program listens on {how} {at}; plimsoll goes on without \
                 it and tries again"
            );
        }
    }
    out
}

const YEAR_S: f64 = 365.0 * 86_400.0;

/// What is allowed and hardly meant.
fn warnings(config: &Config, held: &Held<'_>) -> Vec<String> {
    let limits = &config.limits;
    let (mut out, most) = (Vec::new(), limits.max_size as f64);
    let (days, raw) = (held.days_of_samples(), limits.raw_ms as f64 / 86_400_000.0);
    let at_last = Unit::Bytes.format(held.at_last());
    let remedy = "allow more by `max_size`, look less often by `interval`, or keep less: \
                  `plimsoll estimate` shows what each takes";
    if days < 1.0 {
        out.push(format!(
            "`max_size` ({}) does not hold the samples of a single day: {} of them ({remedy})",
            format_size(limits.max_size),
            Unit::Bytes.format(most / days)
        ));
    } else if held.at_last() > most && days < raw {
        out.push(format!(
            "the ages in [store] come to {at_last}, and `max_size` is {}: samples will be kept for \
             about {} d, not {} ({remedy})",
            format_size(limits.max_size),
            Unit::Plain.format(days.round()),
            format_duration(limits.raw_ms)
        ));
    }
    if limits.plain_rows > limits.max_size / 2 {
        out.push(format!(
            "`plain_rows` ({}) is more than half of `max_size` ({}): hardly anything is left for \
             years; a plain row takes thirty times the room of a sealed sample",
            format_size(limits.plain_rows),
            format_size(limits.max_size)
        ));
    }
    for burst in &config.bursts {
        let named = |name: &&str| burst.collectors.is_empty() || burst.collectors.contains(name);
        let mut all = config.collectors.iter().filter(|c| named(&c.name));
        if all.all(|collector| collector.interval <= burst.interval) {
            out.push(format!(
                "the [[burst]] `{}` looks every {}, and nothing is looked at more rarely: it changes \
                 nothing",
                burst.text, burst.interval
            ));
        }
    }
    out
}

/// The verdict and what would run, for people.
pub fn plan(config: &Config) -> String {
    let mut out = match &config.source {
        Some(path) => format!("{}: ok\n\n", path.display()),
        None => "no configuration file, so the defaults apply: ok\n\n".into(),
    };
    let mut row = |name: &str, text: String| {
        let _ = writeln!(out, "{name:<12}{text}");
    };
    for service in SERVICES {
        let lines = (service.plan)(config);
        let off = lines.is_empty().then(|| "off".to_owned());
        for (at, line) in lines.into_iter().chain(off).enumerate() {
            row(if at == 0 { service.name } else { "" }, line);
        }
    }
    for (name, globs) in [("keep", &config.filter.keep), ("drop", &config.filter.drop)] {
        if !globs.is_empty() {
            let globs: Vec<_> = globs.iter().map(|g| g.as_str()).collect();
            row(name, globs.join(", "));
        }
    }
    row("push", format!("up to {} names from senders", config.of::<PushOptions>().max_names));
    if let Some(db) = &config.db {
        row("db", db.display().to_string());
    }
    if let Some(system) = &config.system {
        row("system", system.clone());
    }
    let limits = &config.limits;
    row(
        "keep",
        format!(
            "samples {}, 5 min {}, hours {}; {} as plain rows, {} in all",
            format_duration(limits.raw_ms),
            format_duration(limits.five_minutes_ms),
            format_duration(limits.hours_ms),
            format_size(limits.plain_rows),
            format_size(limits.max_size)
        ),
    );
    row("queue", format!("{} in memory when the disk is full", format_duration(config.queue_ms)));
    out
}

/// The options that are not at their defaults, or `all` with what they mean.
fn options(config: &Config, all: bool) -> String {
    let mut out = String::new();
    for option in config.listed() {
        let Listed { section, key, value, default, range, about } = option;
        if !all && value == default {
            continue;
        }
        let unset = || "not set".to_owned();
        let section = if section.is_empty() { section } else { format!("[{section}] ") };
        let (value, default) = (value.unwrap_or_else(unset), default.unwrap_or_else(unset));
        let _ = write!(out, "{section}{key} = {value} (default: {default}");
        if all && let Some(range) = range {
            let _ = write!(out, "; {range}");
        }
        let _ = writeln!(out, "){}", if all { format!("\n    {about}") } else { String::new() });
    }
    if out.is_empty() { out } else { format!("\noptions\n{out}") }
}

/// Verdict and plan as JSON; times in milliseconds, lines and columns counted from 1.
pub fn as_json(checked: &Result<Config, ConfigError>) -> Value {
    let config = match checked {
        Ok(config) => config,
        Err(ConfigError::File { message, hint }) => {
            return json!({ "ok": false, "errors": [{ "message": message, "hint": hint }] });
        }
        Err(ConfigError::Content(content)) => {
            let errors: Vec<Value> = content
                .mistakes
                .iter()
                .map(|m| {
                    let (line, column) = content.position(m);
                    json!({
                        "line": line,
                        "column": column,
                        "key": (!m.key.is_empty()).then_some(&m.key),
                        "message": m.message,
                        "hint": m.hint,
                    })
                })
                .collect();
            return json!({ "ok": false, "file": content.origin, "errors": errors });
        }
    };
    let globs = |globs: &[crate::model::Glob]| {
        globs.iter().map(|g| g.as_str().into()).collect::<Vec<Value>>()
    };
    // A path that is not UTF-8 cannot be JSON as it is.
    let path = |p: &Option<PathBuf>| p.as_ref().map(|p| p.to_string_lossy().into_owned());
    let bursts = config
        .bursts
        .iter()
        .map(|b| {
            json!({
                "when": b.text,
                "interval_ms": b.interval.as_ms(),
                "for_ms": b.duration_ms,
                "collectors": b.collectors,
            })
        })
        .collect::<Vec<_>>();
    let mut out = json!({
        "ok": true,
        "file": path(&config.source),
        "db": path(&config.db),
        "system": config.system,
        "keep": globs(&config.filter.keep),
        "drop": globs(&config.filter.drop),
        "bursts": bursts,
        "max_names": config.of::<PushOptions>().max_names,
        "queue_ms": config.queue_ms,
        "max_size": config.limits.max_size,
        "plain_rows": config.limits.plain_rows,
        "raw_ms": config.limits.raw_ms,
        "five_minutes_ms": config.limits.five_minutes_ms,
        "hours_ms": config.limits.hours_ms,
        "options": config.listed().into_iter().map(|o| {
            json!({
                "section": o.section,
                "key": o.key,
                "value": o.value,
                "default": o.default,
                "range": o.range,
                "about": o.about,
            })
        }).collect::<Vec<_>>(),
    });
    for service in SERVICES {
        out[service.name] = (service.json)(config);
    }
    let (series, samples) = of_this_machine(config, None);
    let held = Held::usual(&config.limits, series, samples);
    out["warnings"] = warnings(config, &held).into();
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Burst, CollectorConfig};
    use crate::model::Condition;

    /// By hand, so that the test does not change with the table of collectors.
    fn config() -> Config {
        let every =
            |name, interval: &str| CollectorConfig { name, interval: interval.parse().unwrap() };
        let mut config = Config::parse(
            "system = \"web1\"\n[collect]\ndrop = [\"disk_/boot*\"]\n[http]\nhosts = [\"a.example\"]",
            "p.toml",
        )
        .unwrap();
        config.source = Some("/etc/plimsoll/plimsoll.toml".into());
        config.collectors =
            vec![every("loadavg", "10s"), every("cpu", "1s"), every("meminfo", "10s")];
        config.bursts = vec![Burst {
            when: Condition::parse("cpu > 8").unwrap(),
            text: "cpu > 8".into(),
            interval: "250ms".parse().unwrap(),
            duration_ms: 300_000,
            collectors: vec!["loadavg", "cpu"],
        }];
        config
    }

    #[test]
    fn the_plan_is_short_and_complete() {
        insta::assert_snapshot!(plan(&config()), @r"
        /etc/plimsoll/plimsoll.toml: ok

        collect     every 1s: cpu
                    every 10s: loadavg, meminfo
                    when cpu > 8: every 250ms for 5m, loadavg, cpu
        http        http://127.0.0.1:1876/
                    also as a.example
        statsd      udp 127.0.0.1:8125, written every 10s
        graphite    off
        plugins     off
        munin_node  off
        munin_peers off
        alerts      off
        drop        disk_/boot*
        push        up to 20000 names from senders
        system      web1
        keep        samples 30d, 5 min 400d, hours 10y; 64MB as plain rows, 1GiB in all
        queue       15m in memory when the disk is full
        ");
    }

    #[test]
    fn a_plan_with_nothing_in_it() {
        let config =
            Config::parse("[collect]\ncollectors = []\n[http]\nlisten = \"off\"", "p.toml");
        insta::assert_snapshot!(plan(&config.unwrap()), @r"
        no configuration file, so the defaults apply: ok

        collect     nothing
        http        off
        statsd      udp 127.0.0.1:8125, written every 10s
        graphite    off
        plugins     off
        munin_node  off
        munin_peers off
        alerts      off
        push        up to 20000 names from senders
        keep        samples 30d, 5 min 400d, hours 10y; 64MB as plain rows, 1GiB in all
        queue       15m in memory when the disk is full
        ");
    }

    #[test]
    fn options_that_are_not_at_their_defaults() {
        let text = "[graphite]\nlisten = \"127.0.0.1:2003\"\n[push]\nmax_names = 7";
        let config = Config::parse(text, "p.toml").unwrap();
        insta::assert_snapshot!(options(&config, false), @r#"

        options
        [graphite] listen = "127.0.0.1:2003" (default: "off")
        [push] max_names = 7 (default: 20000)
        "#);
        assert_eq!(options(&Config::default(), false), "");
        let all = options(&config, true);
        let said =
            "[push] max_names = 7 (default: 20000; a whole number from 1 to 1000000)\n    Largest";
        assert!(all.contains(said) && all.contains("\ndb = not set (default: not set)\n"), "{all}");

        let said = as_json(&Ok(config));
        let mut options = said["options"].as_array().unwrap().iter();
        let pushed = options.find(|o| o["section"] == "push").unwrap();
        assert_eq!((&pushed["key"], &pushed["value"]), (&json!("max_names"), &json!("7")));
    }

    #[test]
    fn machines_get_the_same() {
        let said = as_json(&Ok(config()));
        assert_eq!(said["ok"], true);
        assert_eq!(said["collect"]["collectors"][1], json!({ "name": "cpu", "interval_ms": 1000 }));
        assert_eq!(said["bursts"][0]["for_ms"], 300_000);
        assert_eq!(said["http"]["listen"], "127.0.0.1:1876");

        let said = as_json(&Config::parse("db = \"a\"\nintervall = \"1s\"", "p.toml"));
        insta::assert_snapshot!(said, @r#"{"ok":false,"file":"p.toml","errors":[{"line":2,"column":1,"key":"intervall","message":"unknown key `intervall`","hint":"did you mean `interval`?"}]}"#);

        let said = as_json(&Config::load(Path::new("/nowhere/p.toml")));
        assert_eq!(said["errors"][0]["message"], "there is no configuration file /nowhere/p.toml");
    }

    #[test]
    fn sizes_that_contradict_each_other_are_told() {
        let told = |text: &str| {
            let config = Config::parse(text, "p.toml").unwrap();
            // A machine of 200 series, whatever this one has.
            let samples = 200.0 * YEAR_S * 1_000.0 / config.interval.as_ms() as f64;
            warnings(&config, &Held::usual(&config.limits, 200, samples))
        };
        assert_eq!(told(""), Vec::<String>::new());
        for (text, wanted) in [
            (
                "interval = \"100ms\"\n[store]\nraw = \"10y\"",
                &[
                    "come to 295 GiB, and `max_size` is 1GiB: samples will be kept for about 3 d, not 10y",
                ][..],
            ),
            (
                "interval = \"100ms\"\n[store]\nmax_size = \"4MiB\"",
                &[
                    "`max_size` (4MiB) does not hold the samples of a single day",
                    "`plain_rows` (64MB) is more than half of `max_size` (4MiB)",
                ],
            ),
            (
                "[[burst]]\nwhen = \"cpu > 8\"\ninterval = \"1m\"",
                &["the [[burst]] `cpu > 8` looks every 1m, and nothing is looked at more rarely"],
            ),
        ] {
            let said = told(text);
            assert_eq!(said.len(), wanted.len(), "{text}: {said:?}");
            for (said, wanted) in said.iter().zip(wanted) {
                assert!(said.contains(wanted), "{wanted}: {said}");
            }
        }
    }

    #[test]
    fn a_wrong_file_is_an_error() {
        let args =
            |file: &str| Args { file: Some(file.into()), json: false, all: false, sample: false };
        let global = Global { config: None, db: None, verbose: false };
        let said = run(&args("/nowhere/p.toml"), &global).unwrap_err().to_string();
        assert!(said.starts_with("there is no configuration file /nowhere/p.toml"), "{said}");
    }
}
