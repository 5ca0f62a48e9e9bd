//! config: the sample is what the table of options gives, and says the truth about the defaults.

use crate::collect::textfile;
use crate::config::Alerts;
use crate::config::resolve::{defaults, resolve};
use crate::config::sections::{Row, sections};
use crate::config::{Config, SAMPLE, sample};
use crate::model::options::Key;

/// Every commented key switched on: `#key`, as against `# prose`.
fn uncommented() -> String {
    let line = |line: &'static str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest,
        _ => line,
    };
    SAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn read(text: &str) -> Config {
    let mut config = resolve(text, "sample.toml").unwrap_or_else(|e| panic!("error: {e}"));
    config.text.clear();
    config
}

/// After a change of an option, `PLIMSOLL_WRITE_SAMPLE=1 cargo nextest run --lib sample` writes it.
#[test]
fn it_is_what_the_table_gives() {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/sample.toml");
    if std::env::var_os("PLIMSOLL_WRITE_SAMPLE").is_some() {
        std::fs::write(place, sample()).expect("the sample is written");
    }
    let committed = std::fs::read_to_string(place).expect("the sample is there");
    assert!(
        committed == sample(),
        "src/config/sample.toml is not what the options say; write it with \
         `PLIMSOLL_WRITE_SAMPLE=1 cargo nextest run --lib sample`"
    );
}

#[test]
fn as_it_is_it_changes_nothing() {
    assert_eq!(format!("{:?}", read(SAMPLE)), format!("{:?}", defaults()));
}

#[test]
fn what_it_shows_are_the_defaults() {
    let mut shown = read(&uncommented());
    // These have no default that could be written; an example stands there.
    assert_eq!(shown.db.take(), Some("/var/lib/plimsoll/metrics.sqlite".into()));
    assert_eq!(shown.system.take().as_deref(), Some("web1"));
    assert!(shown.http.socket.take().is_some() && shown.http.tls.take().is_some());
    assert!(shown.collect.of::<textfile::Options>().dir.is_some());
    assert_eq!(shown.plugins.dir.take(), Some("/etc/munin/plugins".into()));
    assert_eq!(shown.plugins.said.len(), 1);
    shown.plugins.said.clear();
    assert!(shown.munin_node.tls.take().is_some());
    assert_eq!(shown.munin_node.node.host_name.take().as_deref(), Some("web1.example.org"));
    assert_eq!(shown.munin_peers.len(), 1);
    shown.munin_peers.clear();
    assert_eq!(shown.bursts.len(), 1);
    shown.bursts.clear();
    assert_eq!(
        (shown.alerts.own.len(), &*shown.alerts.options.to.0),
        (1, &["ntfy:my-topic".to_owned()][..])
    );
    shown.alerts = Alerts::default();
    let without_folder = |config: &Config| {
        let text = format!("{config:?}");
        text.replace("dir: Some(\"/var/lib/plimsoll/textfile\")", "dir: None")
    };
    assert_eq!(without_folder(&shown), format!("{:?}", defaults()));
}

#[test]
fn the_default_of_for_is_the_one_it_shows() {
    let text = uncommented().replace("for = \"5m\"\n", "");
    assert_eq!(read(&text).bursts, read(&uncommented()).bursts);
    assert_ne!(text, uncommented());
}

/// The keys that a section needs beside this one to be complete.
fn beside(row: &Row, key: &str) -> String {
    let needed: &[(&str, &str)] = match &*row.path {
        "munin.node" => &[("host", "\"x\""), ("tls_ca", "\"/x\"")],
        "burst" => &[("when", "\"a > 1\""), ("interval", "\"1s\"")],
        "plugin" => &[("name", "\"x\"")],
        "alert" => &[("when", "\"a > 1\"")],
        _ => &[],
    };
    let pair = match key {
        "tls_cert" => Some(("tls_key", "\"/x\"")),
        "tls_key" => Some(("tls_cert", "\"/x\"")),
        _ => None,
    };
    let lines = needed.iter().chain(&pair).filter(|(name, _)| *name != key);
    lines.map(|(name, value)| format!("{name} = {value}\n")).collect()
}

#[test]
fn the_examples_in_messages_are_right() {
    for row in sections() {
        for key @ Key { name, example, .. } in row.keys() {
            let header = if row.path.is_empty() { String::new() } else { row.brackets() };
            read(&format!("{header}\n{}{name} = {example}\n", beside(&row, name)));
            assert!(!key.about.trim().is_empty(), "{name} in [{}] is not explained", row.path);
        }
    }
}
