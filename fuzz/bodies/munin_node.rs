//! wire: any bytes as a master's line, as a node's greeting, and as what is passed on of a plugin.

use plimsoll::wire::munin::{Command, Part, greeting, host_of, is_plugin_name, listed, relay};

pub fn run(data: &[u8]) {
    for line in data.split_inclusive(|b| *b == b'\n') {
        match Command::parse(line) {
            Command::Fetch(name) | Command::Config(name) => {
                assert!(!name.contains(|c: char| c.is_ascii_whitespace()));
            }
            Command::Spool(since) => assert!(since >= 0),
            _ => {}
        }
    }
    let text = String::from_utf8_lossy(data);
    if let Some(name) = greeting(&text) {
        assert!(!name.is_empty() && !name.contains(['"', '\n', ' ']));
    }
    assert!(listed(&text).all(is_plugin_name));
    assert!(host_of(data).is_none_or(|host| !host.is_empty()));
    for part in [Part::Config, Part::Dirty, Part::Values] {
        for known in [true, false] {
            let mut out = Vec::new();
            relay(data, part, known, &mut out);
            // Nothing that a plugin prints ends the answer for the master.
            assert!(out.is_empty() || out.ends_with(b"\n"));
            out.retain(|b| *b != b'\r');
            assert!(out.split(|b| *b == b'\n').all(|line| line != b"."));
        }
    }
}
