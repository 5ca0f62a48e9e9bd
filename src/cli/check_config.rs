//! cli: `plimsoll check-config`: whether a configuration is right, and what it amounts to. Starts
//! nothing and opens no database.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::config::{Config, ConfigError, Listed, SAMPLE};
use crate::model::{format_duration, format_size};
use crate::receive::{NodeSettings, Settings};

/// Check a configuration file and show what it amounts to
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file; without it the one that `run` would use
    pub file: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Also print every option with its value, its default and what it means
    #[arg(long)]
    pub all: bool,
    /// Print a sample that documents every key, and check nothing
    #[arg(long, conflicts_with_all = ["file", "json", "all"])]
    pub sample: bool,
}

/// `config` is what `--config` says; the file named here goes before it.
pub fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if args.sample {
        out.write_all(SAMPLE.as_bytes())?;
        return Ok(());
    }
    let checked = Config::find(args.file.as_deref().or(config));
    let text = match &checked {
        _ if args.json => format!("{:#}\n", as_json(&checked)),
        Ok(config) => plan(config) + &options(config, args.all),
        Err(_) => String::new(),
    };
    out.write_all(text.as_bytes())?;
    out.flush()?;
    checked.map(drop).map_err(Into::into)
}

/// The verdict and what would run, for people.
pub fn plan(config: &Config) -> String {
    let mut out = match &config.source {
        Some(path) => format!("{}: ok\n\n", path.display()),
        None => "no configuration file, the defaults are used: ok\n\n".into(),
    };
    let mut row = |name: &str, text: String| {
        let _ = writeln!(out, "{name:<9}{text}");
    };
    // Collectors of the same interval share a line, the most frequent ones first.
    let mut intervals: Vec<_> = config.collectors.iter().map(|c| c.interval).collect();
    intervals.sort();
    intervals.dedup();
    if intervals.is_empty() {
        row("collect", "nothing".into());
    }
    for (i, interval) in intervals.iter().enumerate() {
        let same = config.collectors.iter().filter(|c| c.interval == *interval);
        let names: Vec<_> = same.map(|c| c.name).collect();
        row(if i == 0 { "collect" } else { "" }, format!("every {interval}: {}", names.join(", ")));
    }
    for (name, globs) in [("keep", &config.filter.keep), ("drop", &config.filter.drop)] {
        if !globs.is_empty() {
            let globs: Vec<_> = globs.iter().map(|g| g.as_str()).collect();
            row(name, globs.join(", "));
        }
    }
    for burst in &config.bursts {
        let who = if burst.collectors.is_empty() {
            "all collectors".into()
        } else {
            burst.collectors.join(", ")
        };
        let (interval, lasts) = (burst.interval, format_duration(burst.duration_ms));
        row("burst", format!("when {}: every {interval} for {lasts}, {who}", burst.text));
    }
    match config.http.listen {
        Some(address) if config.http.tls.is_some() => row("http", format!("https://{address}/")),
        Some(address) => row("http", format!("http://{address}/")),
        None => row("http", "off".into()),
    }
    if let Some(socket) = &config.http.socket {
        row("", format!("and {}", socket.display()));
    }
    if !config.http.hosts.is_empty() {
        row("", format!("also as {}", config.http.hosts.join(", ")));
    }
    let statsd = places(&config.statsd.receive);
    row("statsd", if statsd.is_empty() { "off".into() } else { statsd.join(", ") });
    if !statsd.is_empty() {
        let every = format_duration(config.statsd.gather.flush_ms);
        row("", format!("written every {every}"));
    }
    let graphite = places(&config.graphite);
    row("graphite", if graphite.is_empty() { "off".into() } else { graphite.join(", ") });
    row("push", format!("up to {} names of senders", config.max_names));
    let plugins = &config.plugins;
    if plugins.enabled && (plugins.folder().is_dir() || !plugins.said.is_empty()) {
        row("plugins", format!("{}, every {}", plugins.folder().display(), plugins.interval));
    }
    let node = &config.munin_node.node;
    if !node.listen.is_empty() {
        row("munin", strings(&node.listen).join(", "));
        row("", format!("for {}", strings(&node.allow).join(", ")));
    }
    if !config.munin_peers.is_empty() {
        let place = |p: &NodeSettings| format!("{}:{}, every {}", p.host, p.port, p.interval);
        for (at, peer) in config.munin_peers.iter().enumerate() {
            row(if at == 0 { "asking" } else { "" }, place(peer));
        }
    }
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

fn strings(of: &[impl ToString]) -> Vec<String> {
    of.iter().map(ToString::to_string).collect()
}

/// `udp 127.0.0.1:8125`, …
fn places(receive: &Settings) -> Vec<String> {
    let udp = receive.udp.map(|a| format!("udp {a}"));
    let tcp = receive.tcp.map(|a| format!("tcp {a}"));
    let unix = [&receive.unix_datagram, &receive.unix_stream].into_iter().flatten();
    let unix = unix.map(|path| format!("unix {}", path.display()));
    udp.into_iter().chain(tcp).chain(unix).collect()
}

/// The same for machines; times in milliseconds, lines and columns counted from 1.
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
    let collectors = config
        .collectors
        .iter()
        .map(|c| json!({ "name": c.name, "interval_ms": c.interval.as_ms() }))
        .collect::<Vec<_>>();
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
    json!({
        "ok": true,
        "file": path(&config.source),
        "db": path(&config.db),
        "system": config.system,
        "interval_ms": config.interval.as_ms(),
        "collectors": collectors,
        "keep": globs(&config.filter.keep),
        "drop": globs(&config.filter.drop),
        "bursts": bursts,
        "http": {
            "listen": config.http.listen.map(|a| a.to_string()),
            "hosts": config.http.hosts,
        },
        "statsd": {
            "listen": places(&config.statsd.receive),
            "flush_ms": config.statsd.gather.flush_ms,
            "percentiles": config.statsd.gather.percentiles,
            "gauge_ttl_ms": config.statsd.gather.ttl_ms,
            "legacy_names": config.statsd.gather.legacy_names,
        },
        "graphite": { "listen": places(&config.graphite) },
        "munin_node": {
            "listen": strings(&config.munin_node.node.listen),
            "allow": strings(&config.munin_node.node.allow),
            "spool": config.munin_node.node.spool,
        },
        "munin_peers": config.munin_peers.iter().map(|p| {
            json!({
                "host": p.host,
                "port": p.port,
                "name": p.name,
                "interval_ms": p.interval.as_ms(),
                "timeout_ms": p.timeout_ms,
            })
        }).collect::<Vec<_>>(),
        "max_names": config.max_names,
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Burst, CollectorConfig, Condition};

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

        collect  every 1s: cpu
                 every 10s: loadavg, meminfo
        drop     disk_/boot*
        burst    when cpu > 8: every 250ms for 5m, loadavg, cpu
        http     http://127.0.0.1:1876/
                 also as a.example
        statsd   udp 127.0.0.1:8125
                 written every 10s
        graphite off
        push     up to 20000 names of senders
        system   web1
        keep     samples 30d, 5 min 400d, hours 10y; 64MB as plain rows, 1GiB in all
        queue    15m in memory when the disk is full
        ");
    }

    #[test]
    fn a_plan_with_nothing_in_it() {
        let config =
            Config::parse("[collect]\ncollectors = []\n[http]\nlisten = \"off\"", "p.toml");
        insta::assert_snapshot!(plan(&config.unwrap()), @r"
        no configuration file, the defaults are used: ok

        collect  nothing
        http     off
        statsd   udp 127.0.0.1:8125
                 written every 10s
        graphite off
        push     up to 20000 names of senders
        keep     samples 30d, 5 min 400d, hours 10y; 64MB as plain rows, 1GiB in all
        queue    15m in memory when the disk is full
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
            "[push] max_names = 7 (default: 20000; a whole number from 1 to 1000000)\n    How";
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
        assert_eq!(said["collectors"][1], json!({ "name": "cpu", "interval_ms": 1000 }));
        assert_eq!(said["bursts"][0]["for_ms"], 300_000);
        assert_eq!(said["http"]["listen"], "127.0.0.1:1876");

        let said = as_json(&Config::parse("db = \"a\"\nintervall = \"1s\"", "p.toml"));
        insta::assert_snapshot!(said, @r#"{"ok":false,"file":"p.toml","errors":[{"line":2,"column":1,"key":"intervall","message":"unknown key `intervall`","hint":"did you mean `interval`?"}]}"#);

        let said = as_json(&Config::load(Path::new("/nowhere/p.toml")));
        assert_eq!(said["errors"][0]["message"], "there is no configuration file /nowhere/p.toml");
    }

    #[test]
    fn a_wrong_file_is_an_error() {
        let args =
            |file: &str| Args { file: Some(file.into()), json: false, all: false, sample: false };
        let said = run(&args("/nowhere/p.toml"), None).unwrap_err().to_string();
        assert!(said.starts_with("there is no configuration file /nowhere/p.toml"), "{said}");
    }
}
