//! config: the sample is right, complete, and says the truth about the defaults.

use super::KNOWN;
use crate::collect::COLLECTORS;
use crate::config::raw::{Key, SECTIONS, Shape};
use crate::config::resolve::{defaults, resolve};
use crate::config::{Config, SAMPLE};

/// Every commented key switched on: `#key`, as against `# prose`.
fn uncommented() -> String {
    let line = |line: &'static str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest,
        _ => line,
    };
    SAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn read(text: &str) -> Config {
    resolve(text, "sample.toml", &KNOWN).unwrap_or_else(|e| panic!("error: {e}"))
}

#[test]
fn as_it_is_it_changes_nothing() {
    assert_eq!(format!("{:?}", read(SAMPLE)), format!("{:?}", defaults(&KNOWN)));
    // Also with the collectors of this build, for that is what `install` puts in place.
    Config::parse(SAMPLE, "sample.toml").unwrap_or_else(|e| panic!("error: {e}"));
}

#[test]
fn what_it_shows_are_the_defaults() {
    let mut shown = read(&uncommented());
    // These have no default that could be written; an example stands there.
    assert_eq!(shown.db.take(), Some("/var/lib/plimsoll/metrics.sqlite".into()));
    assert_eq!(shown.system.take().as_deref(), Some("web1"));
    assert!(shown.http.socket.take().is_some() && shown.http.tls.take().is_some());
    assert!(shown.collect.textfiles.take().is_some());
    assert_eq!(shown.plugins.dir.take(), Some("/etc/munin/plugins".into()));
    assert_eq!(shown.plugins.said.len(), 1);
    shown.plugins.said.clear();
    assert!(shown.munin_node.tls.take().is_some());
    assert_eq!(shown.munin_node.node.host_name.take().as_deref(), Some("web1.example.org"));
    assert_eq!(shown.munin_peers.len(), 1);
    shown.munin_peers.clear();
    assert_eq!(shown.bursts.len(), 1);
    shown.bursts.clear();
    assert_eq!(format!("{shown:?}"), format!("{:?}", defaults(&KNOWN)));
}

#[test]
fn the_default_of_for_is_the_one_it_shows() {
    let text = uncommented().replace("for = \"5m\"\n", "");
    assert_eq!(read(&text).bursts, read(&uncommented()).bursts);
    assert_ne!(text, uncommented());
}

#[test]
fn every_key_is_in_it() {
    let text = uncommented();
    for (path, keys) in SECTIONS {
        // The part of the file between this section's header and the next.
        let start = match *path {
            "" => 0,
            path => text.find(&format!("[{path}]")).unwrap_or_else(|| panic!("no [{path}]")),
        };
        let rest = &text[start..];
        let end = rest[1..].find("\n[").map_or(rest.len(), |at| at + 1);
        for Key { name, shape, .. } in *keys {
            let there = match shape {
                Shape::Section => text.contains(&format!("\n[{name}]\n")),
                Shape::Sections if !path.is_empty() => {
                    text.contains(&format!("\n[[{path}.{name}]]\n"))
                }
                Shape::Sections => text.contains(&format!("\n[[{name}]]\n")),
                _ => rest[..end].contains(&format!("\n{name} = ")),
            };
            assert!(there, "the sample lacks `{name}` in [{path}]");
        }
    }
}

#[test]
fn every_collector_is_in_it() {
    for collector in COLLECTORS {
        assert!(KNOWN.contains(&collector.name), "add {} here and in the sample", collector.name);
    }
}

#[test]
fn the_examples_in_messages_are_right() {
    for (path, keys) in SECTIONS {
        for Key { name, example, .. } in keys.iter().filter(|k| !k.example.is_empty()) {
            let header = match *path {
                "" => String::new(),
                "http" | "munin_node" if name.starts_with("tls_") => {
                    let other = if *name == "tls_key" { "tls_cert" } else { "tls_key" };
                    format!("[{path}]\n{other} = \"/x\"\n")
                }
                "munin.node" if matches!(*name, "tls_cert" | "tls_key") => {
                    let other = if *name == "tls_key" { "tls_cert" } else { "tls_key" };
                    format!("[[munin.node]]\nhost = \"x\"\n{other} = \"/x\"\n")
                }
                "munin.node" => "[[munin.node]]\nhost = \"x\"\n".into(),
                "burst" => "[[burst]]\nwhen = \"a > 1\"\ninterval = \"2s\"\n".into(),
                "plugin" => "[[plugin]]\nname = \"x\"\n".into(),
                path => format!("[{path}]\n"),
            };
            // A key that is set twice is the one mistake this cannot help making.
            let header = match header.find(&format!("\n{name} =")) {
                Some(at) => {
                    let end = header[at + 1..].find('\n').map_or(header.len(), |n| at + 1 + n);
                    format!("{}{}\n", &header[..=at], header[end..].trim_start())
                }
                None => header,
            };
            read(&format!("{header}{name} = {example}\n"));
        }
    }
}
