//! munin_node: the answer to each command. No sockets; the clock and all values come in.

use super::own::Own;
use super::picture::Picture;
use super::{Kept, Node};
use crate::model::SeriesRef;
use crate::wire::munin::{Command, Line, Part, lines, relay};

/// The capabilities of a master.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Caps {
    multigraph: bool,
    dirty: bool,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// A text to send.
    Text(Vec<u8>),
    /// Values to read from the store, since this time, in seconds since 1970.
    Spool(i64),
    /// TLS begins behind this.
    StartTls,
    /// The end.
    Close,
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }
}

const UNKNOWN: &str = "# Unknown command. Try cap, list, nodes, config, fetch, version or quit\n";

impl Node {
    pub(super) fn greeting(&self) -> String {
        format!("# munin node at {}\n", self.name)
    }

    /// Answers one line, and stores the master's capabilities in `caps`.
    pub(super) fn answer(&self, caps: &mut Caps, line: &[u8]) -> Answer {
        match Command::parse(line) {
            Command::List(host) => self.list(*caps, host),
            Command::Cap(words) => {
                let has = |word| words.split_ascii_whitespace().any(|w| w == word);
                *caps = Caps { multigraph: has("multigraph"), dirty: has("dirtyconfig") };
                let spool = if self.settings.spool { " spool" } else { "" };
                Answer::Text(format!("cap multigraph dirtyconfig{spool}\n").into())
            }
            Command::Quit => Answer::Close,
            Command::Version => {
                let version = env!("CARGO_PKG_VERSION");
                let name = &self.name;
                Answer::Text(format!("munins node on {name} version: plimsoll {version}\n").into())
            }
            Command::Nodes => {
                let mut nodes = vec![self.name.to_ascii_lowercase()];
                nodes.extend(
                    self.from.shelf.names().into_iter().filter_map(|(_, h)| h).map(String::from),
                );
                nodes.sort();
                nodes.dedup();
                Answer::Text((nodes.join("\n") + "\n.\n").into())
            }
            Command::Fetch(name) => self.plugin(name, Part::Values),
            Command::Config(name) => {
                self.plugin(name, if caps.dirty { Part::Dirty } else { Part::Config })
            }
            Command::Spool(since) => Answer::Spool(since),
            Command::StartTls if self.tls.is_some() => Answer::StartTls,
            Command::StartTls | Command::Unknown => UNKNOWN.into(),
        }
    }

    fn list(&self, caps: Caps, host: Option<&str>) -> Answer {
        let own = self.name.to_ascii_lowercase();
        let asked = host.map_or_else(|| own.clone(), str::to_ascii_lowercase);
        let mut names: Vec<String> = Vec::new();
        for (name, host) in self.from.shelf.names() {
            if host.as_deref().unwrap_or(&own) == asked {
                let multigraph = || {
                    let said = self.from.shelf.get(&name);
                    said.is_some_and(|s| is_multigraph(&s.config))
                };
                if caps.multigraph || !multigraph() {
                    names.push(name.into());
                }
            }
        }
        if asked == own {
            let more = self.with_own(|mine| mine.names());
            let real = |name: &String| self.from.shelf.has(name);
            let shown = |name: &String| caps.multigraph || name != "diskstats";
            names.extend(more.into_iter().filter(|n| !real(n) && shown(n)));
        }
        names.sort();
        Answer::Text((names.join(" ") + "\n").into())
    }

    /// Answers with the last output of a plugin, or with this machine's own values.
    fn plugin(&self, name: &str, part: Part) -> Answer {
        let mut out = Vec::new();
        if let Some(said) = self.from.shelf.get(name) {
            let known = self.from.clock.boot_ms() <= said.good_until;
            match part {
                Part::Values if said.values.is_empty() => unknown(&said.config, &mut out),
                Part::Values => relay(&said.values, part, known, &mut out),
                Part::Config | Part::Dirty => relay(&said.config, part, known, &mut out),
            }
        } else {
            let told = self.with_own(|mine| match part {
                Part::Values => mine.values(name),
                Part::Config | Part::Dirty => mine.config(name),
            });
            let Some(told) = told else { return "# Unknown service\n.\n".into() };
            out = told.into_bytes();
        }
        out.extend_from_slice(b".\n");
        Answer::Text(out)
    }

    /// Calls `then` with the current values of the collectors.
    fn with_own<T>(&self, then: impl FnOnce(&mut Own<'_>) -> T) -> T {
        let now = self.from.clock.wall_ms();
        let mut kept = self.kept();
        let Kept { catalog, disks } = &mut *kept;
        catalog.update(&self.from.registry);
        let value = |series: SeriesRef| {
            let (ts, value) = self.from.latest.get(series)?;
            (now - ts <= self.from.fresh_ms).then_some(value)
        };
        let picture = Picture { catalog, value: &value, now };
        then(&mut Own { picture, sys: &self.from.sys, disks })
    }
}

fn is_multigraph(config: &[u8]) -> bool {
    config.split(|b| *b == b'\n').any(|line| line.starts_with(b"multigraph "))
}

/// Writes the values of a plugin that has not reported any yet: each field is unknown.
fn unknown(config: &[u8], out: &mut Vec<u8>) {
    for (_, line) in lines(config) {
        match line {
            Ok(Line::Graph(name)) => {
                out.extend_from_slice(format!("multigraph {name}\n").as_bytes())
            }
            Ok(Line::Attribute { field, name: "label", .. }) => {
                out.extend_from_slice(format!("{field}.value U\n").as_bytes());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Settings, Sources};
    use super::*;
    use crate::model::{Clock, Identity, Labels, ManualClock, Series};
    use crate::pipeline::{Flow, Names};
    use crate::plugin::Shelf;
    use crate::query::desk::Desk;

    struct Bench {
        node: Node,
        clock: Arc<ManualClock>,
        shelf: Arc<Shelf>,
        caps: Caps,
    }

    impl Bench {
        fn new() -> Self {
            let clock = Arc::new(ManualClock::at(1_000_000));
            let flow = Flow::new(clock.clone(), "web1", 1_000, 1_000, Names::default());
            let (registry, latest) = (&flow.registry, &flow.latest);
            let load = Identity::local("node", "node_load5", Labels::default());
            let load = registry.intern(Series::undescribed(load));
            let disk = [("device", "sda")];
            let reads = "node_disk_reads_completed_total";
            let disk = Identity::local("node", reads, Labels::new(disk));
            let disk = registry.intern(Series::undescribed(disk));
            latest.update(latest.group(), 1_000_000, &[(load, 0.5), (disk, 7.0)]);
            let shelf = Arc::new(Shelf::default());
            let counters = Arc::clone(&flow.counters);
            let from = Sources {
                flow,
                shelf: Arc::clone(&shelf),
                desk: Arc::new(Desk::new("/nonexistent".into(), Arc::default(), counters)),
                sys: "/nonexistent".into(),
                fresh_ms: 60_000,
            };
            let node = Node::new(Settings::default(), "Web1", None, from);
            Self { node, clock, shelf, caps: Caps::default() }
        }

        fn ask(&mut self, line: &str) -> String {
            match self.node.answer(&mut self.caps, line.as_bytes()) {
                Answer::Text(text) => String::from_utf8(text).expect("text"),
                other => format!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_words_of_the_reference() {
        let mut b = Bench::new();
        assert_eq!(b.node.greeting(), "# munin node at Web1\n");
        assert_eq!(b.ask("nodes\n"), "web1\n.\n");
        assert_eq!(b.ask("help\n"), UNKNOWN);
        assert_eq!(b.ask("starttls\n"), UNKNOWN, "there is no certificate");
        assert_eq!(b.ask("fetch nothing\n"), "# Unknown service\n.\n");
        assert_eq!(b.ask("config\r\n"), "# Unknown service\n.\n");
        assert!(b.ask("version\n").starts_with("munins node on Web1 version: "));
        assert_eq!(b.ask("list elsewhere\n"), "\n");
        assert_eq!(b.ask("list\n"), "load\n", "who takes no multigraph does not see any");
        assert_eq!(b.ask("cap multigraph dirtyconfig\r\n"), "cap multigraph dirtyconfig\n");
        assert_eq!(b.ask("list WEB1\n"), "diskstats load\n");
        assert_eq!(b.ask("fetch load\n"), "load.value 0.5\n.\n");
        assert_eq!(b.ask("."), "Close");
    }

    #[test]
    fn what_is_too_old_is_unknown() {
        let mut b = Bench::new();
        b.clock.advance(60_000);
        assert_eq!(b.ask("fetch load"), "load.value 0.5\n.\n");
        b.clock.advance(1);
        assert_eq!(b.ask("fetch load"), "load.value U\n.\n");
    }

    #[test]
    fn a_plugin_of_that_name_goes_first_and_keeps_its_words() {
        let mut b = Bench::new();
        let config = b"graph_title Mine\nload.label mine\nload.value 3\n";
        b.shelf.describe("load", None, config);
        assert_eq!(b.ask("config load"), "graph_title Mine\nload.label mine\n.\n");
        assert_eq!(b.ask("fetch load"), "load.value U\n.\n", "nothing has come yet");
        b.shelf.values("load", config, b.clock.boot_ms() + 10);
        assert_eq!(b.ask("fetch load"), "load.value 3\n.\n");
        b.ask("cap dirtyconfig");
        assert_eq!(b.ask("config load"), "graph_title Mine\nload.label mine\nload.value 3\n.\n");
        b.clock.advance(11);
        assert_eq!(b.ask("fetch load"), "load.value U\n.\n");
        b.shelf.forget("load");
        assert_eq!(b.ask("fetch load"), "load.value 0.5\n.\n");
    }

    #[test]
    fn plugins_of_other_machines() {
        let mut b = Bench::new();
        b.shelf.describe("snmp_r1", Some("R1.example"), b"multigraph a\na.label x\n");
        b.shelf.describe("temp", Some("r1.example"), b"a.label x\n");
        assert_eq!(b.ask("nodes"), "r1.example\nweb1\n.\n");
        assert_eq!(b.ask("list r1.EXAMPLE"), "temp\n");
        b.ask("cap multigraph");
        assert_eq!(b.ask("list r1.example"), "snmp_r1 temp\n");
        assert_eq!(b.ask("list"), "diskstats load\n");
    }
}
