//! wire: the commands of a Munin master, and the answers of a node that are not plugin output.

use super::is_plugin_name;

/// A command of a master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// The plugins of this host, or of the named one.
    List(Option<&'a str>),
    /// The master's capabilities, as words.
    Cap(&'a str),
    /// The end.
    Quit,
    /// The version of the node.
    Version,
    /// Which hosts the plugins are of.
    Nodes,
    /// The values of a plugin.
    Fetch(&'a str),
    /// The description of a plugin's fields.
    Config(&'a str),
    /// All values since this time, in seconds since 1970.
    Spool(i64),
    /// TLS from here on.
    StartTls,
    /// None of these.
    Unknown,
}

impl<'a> Command<'a> {
    /// Reads one line, with or without its end. As munin-node does: words in capitals or not, by
    /// how the line begins (`fetchload` asks for `load`), in the order in which it tries them.
    pub fn parse(line: &'a [u8]) -> Self {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Ok(line) = std::str::from_utf8(line) else { return Self::Unknown };
        let after = |word: &str| {
            let head = line.as_bytes().get(..word.len())?;
            if head.eq_ignore_ascii_case(word.as_bytes()) { line.get(word.len()..) } else { None }
        };
        let blank = |c: char| c.is_ascii_whitespace();
        let word = |rest: &'a str| {
            let rest = rest.strip_prefix(blank).unwrap_or(rest);
            rest.split(blank).next().unwrap_or_default()
        };
        if let Some(rest) = after("list") {
            let host = rest.trim_start_matches(blank);
            let part = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
            let end = host.find(|c| !part(c)).unwrap_or(host.len());
            return Self::List(host.get(..end).filter(|h| !h.is_empty()));
        }
        if let Some(rest) = after("cap") {
            return Self::Cap(rest.trim_matches(blank));
        }
        if after("quit").is_some() || line.starts_with('.') {
            return Self::Quit;
        }
        if after("version").is_some() {
            return Self::Version;
        }
        if after("nodes").is_some() {
            return Self::Nodes;
        }
        if let Some(rest) = after("fetch") {
            return Self::Fetch(word(rest));
        }
        if let Some(rest) = after("config") {
            return Self::Config(word(rest));
        }
        if let Some(rest) = line.strip_prefix("spoolfetch ") {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let digits = rest.get(..end).filter(|d| !d.is_empty());
            // Times beyond the range of a number have no values either.
            return digits.map_or(Self::Unknown, |d| Self::Spool(d.parse().unwrap_or(i64::MAX)));
        }
        match after("starttls") {
            Some(rest) if rest.chars().all(blank) => Self::StartTls,
            _ => Self::Unknown,
        }
    }
}

/// The name of a node in its greeting, if this line is one: `# munin node at web1`.
pub fn greeting(line: &str) -> Option<&str> {
    let lower = line.to_ascii_lowercase();
    let rest = lower.strip_prefix('#')?;
    let found = ["munin node at ", "munin client at ", "lrrd node at ", "lrrd client at "];
    let end = found.iter().find_map(|what| rest.find(what).map(|at| 1 + at + what.len()))?;
    let name = line.get(end..)?.split_whitespace().next()?;
    let fits = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
    (name.len() <= 200 && name.chars().all(fits)).then_some(name)
}

/// The plugins in a node's answer to `list`. Words that cannot be names of plugins are left out.
pub fn listed(line: &str) -> impl Iterator<Item = &str> {
    line.split_ascii_whitespace().filter(|name| is_plugin_name(name))
}

/// The part of a plugin's output that a master asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The description of its fields.
    Config,
    /// The description with values among it, for a master with dirtyconfig.
    Dirty,
    /// Values, with the graphs that they are of.
    Values,
}

/// Writes the output of a plugin for a master. `known`: its values are as new as can be expected;
/// otherwise each becomes `U`. No line of it can end the answer early.
pub fn relay(text: &[u8], part: Part, known: bool, out: &mut Vec<u8>) {
    for line in text.split(|b| *b == b'\n') {
        let line = line.trim_ascii_end();
        // Masters take carriage returns away wherever they are.
        if line.is_empty() || line.iter().filter(|b| **b != b'\r').eq(b".") {
            continue;
        }
        let head = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let value = head.ends_with(b".value");
        let wanted = match part {
            Part::Config => !value,
            Part::Dirty => true,
            Part::Values => value || head == b"multigraph" || head.ends_with(b".extinfo"),
        };
        if !wanted {
            continue;
        }
        if value && !known {
            out.extend_from_slice(head);
            out.extend_from_slice(b" U\n");
            continue;
        }
        out.extend_from_slice(line);
        out.push(b'\n');
    }
}

/// The `host_name` in the answer to `config`, which names the plugin's host.
pub fn host_of(config: &[u8]) -> Option<&str> {
    let line = config.split(|b| *b == b'\n').find_map(|l| l.strip_prefix(b"host_name "))?;
    std::str::from_utf8(line).ok()?.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_as_the_reference_takes_them() {
        use Command::*;
        for (line, command) in [
            ("list\n", List(None)),
            ("LIST web1.example.org\r\n", List(Some("web1.example.org"))),
            ("list web_1", List(Some("web"))),
            ("listening", List(Some("ening"))),
            ("cap multigraph dirtyconfig\r\n", Cap("multigraph dirtyconfig")),
            ("cap", Cap("")),
            ("quit", Quit),
            ("Quitting", Quit),
            (".", Quit),
            ("version", Version),
            ("nodes\n", Nodes),
            ("fetch load\r\n", Fetch("load")),
            ("fetchload", Fetch("load")),
            ("fetch  load", Fetch("")),
            ("fetch", Fetch("")),
            ("CONFIG if_eth0 more", Config("if_eth0")),
            ("spoolfetch 1700000000", Spool(1_700_000_000)),
            ("spoolfetch 99999999999999999999", Spool(i64::MAX)),
            ("spoolfetch x", Unknown),
            ("SPOOLFETCH 1", Unknown),
            ("starttls  \r\n", StartTls),
            ("starttls now", Unknown),
            ("help", Unknown),
            ("", Unknown),
            (" list", Unknown),
            ("lis", Unknown),
        ] {
            assert_eq!(Command::parse(line.as_bytes()), command, "{line:?}");
        }
        assert_eq!(Command::parse(b"list \xff"), Unknown);
    }

    #[test]
    fn greetings() {
        for (line, name) in [
            ("# munin node at web1.example.org", Some("web1.example.org")),
            ("# Munin Node at web1 and more", Some("web1")),
            ("# lrrd client at old\r", Some("old")),
            ("# munin node at ", None),
            ("munin node at web1", None),
            ("Welcome", None),
            ("# munin node at a\"b", None),
        ] {
            assert_eq!(greeting(line), name, "{line:?}");
        }
        assert_eq!(
            listed("load df ../x if_eth0\r\n").collect::<Vec<_>>(),
            ["load", "df", "if_eth0"]
        );
    }

    #[test]
    fn a_plugin_s_text_for_a_master() {
        let told = |part, known| {
            let mut out = Vec::new();
            relay(b"multigraph a\r\na.label x\n\n.\na.value 5\nb.value 3", part, known, &mut out);
            String::from_utf8(out).expect("text")
        };
        assert_eq!(told(Part::Dirty, true), "multigraph a\na.label x\na.value 5\nb.value 3\n");
        assert_eq!(told(Part::Dirty, false), "multigraph a\na.label x\na.value U\nb.value U\n");
        assert_eq!(told(Part::Config, true), "multigraph a\na.label x\n");
        assert_eq!(told(Part::Values, true), "multigraph a\na.value 5\nb.value 3\n");
        assert_eq!(host_of(b"a b\nhost_name Router.example\nc d"), Some("Router.example"));
        assert_eq!(host_of(b"a b\nhost_names x"), None);
    }
}
