//! config: `[munin_node]` and `[[munin.node]]`: their meaning, and the messages for mistakes.

use crate::config::Config;
use crate::config::resolve::resolve;

fn read(text: &str) -> Config {
    resolve(text, "plimsoll.toml").unwrap_or_else(|e| panic!("error: {e}"))
}

#[test]
fn nothing_listens_and_nobody_is_asked_by_default() {
    let config = read("");
    assert!(config.munin_node.node.listen.is_empty() && config.munin_peers.is_empty());
    let allowed: Vec<String> =
        config.munin_node.node.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, ["127.0.0.0/8", "::1/128"]);
}

#[test]
fn one_or_several_places() {
    let node = read("[munin_node]\nlisten = \"0.0.0.0:4949\"\nallow = \"192.0.2.0/24\"").munin_node;
    assert_eq!(node.node.listen, ["0.0.0.0:4949".parse().expect("an address")]);
    assert_eq!(node.node.allow.len(), 1, "the default goes when something else is said");
    let node = read("[munin_node]\nlisten = [\"127.0.0.1:4949\", \"[::1]:4949\"]\nallow = []");
    assert_eq!(node.munin_node.node.listen.len(), 2);
    assert!(node.munin_node.node.allow.is_empty());
}

#[test]
fn nodes_that_are_asked() {
    let text = "[[munin.node]]\nhost = \"web7\"\n[[munin.node]]\nhost = \"[::1]:5\"\n\
                name = \"six\"\ninterval = \"5m\"\ntimeout = \"30s\"\n";
    let peers = read(text).munin_peers;
    assert_eq!((&*peers[0].host, peers[0].port, peers[0].timeout_ms), ("web7", 4949, 10_000));
    assert_eq!((&*peers[1].host, peers[1].port, peers[1].timeout_ms), ("::1", 5, 30_000));
    assert_eq!(peers[1].name.as_deref(), Some("six"));
    assert_eq!(peers[1].interval.as_ms(), 300_000);
}

#[test]
fn mistakes_are_told_with_what_to_write() {
    for (text, message, hint) in [
        (
            "[munin_node]\nallow = [\"192.0.2.10/24\"]",
            "`munin_node.allow`: `192.0.2.10/24` has more bits than it says",
            "did you mean `192.0.2.0/24` or `192.0.2.10`?",
        ),
        ("[munin_node]\nallow = \"master\"", "`master` is not a network", "write for example"),
        ("[munin_node]\nlisten = \"4949\"", "is not an address with a port", "127.0.0.1:4949"),
        (
            "[munin_node]\nlisten = 4949",
            "must be text in quotes or a list of texts, this is a number",
            "for example `listen = \"127.0.0.1:4949\"`",
        ),
        ("[munin_node]\nallow = [1]", "a list of texts, there is a number in it", "for example"),
        (
            "[munin_node]\nhost_name = \"a b\"",
            "`a b` is not a name for a machine",
            "letters, digits",
        ),
        ("[munin_node]\ntls_cert = \"/x\"", "`tls_key` is missing", "add `tls_key"),
        ("[[munin.node]]\nname = \"a\"", "`munin.node.host`: this is missing", "host = "),
        ("[[munin.node]]\nhost = \"a:b\"", "is neither a name nor an address", "web7.example.org"),
        (
            "[[munin.node]]\nhost = \"a\"\n[[munin.node]]\nhost = \"a:4949\"",
            "`a:4949` is listed twice",
            "remove one",
        ),
        (
            "[[munin.node]]\nhost = \"a\"\nallow = \"::1\"",
            "unknown key `allow` in `[[munin.node]]`",
            "this belongs in `[munin_node]`",
        ),
        ("[munin]\nhost = \"a\"", "unknown key `host`", "this belongs in a `[[munin.node]]`"),
    ] {
        let said = resolve(text, "plimsoll.toml").expect_err(text).to_string();
        assert!(said.contains(message) && said.contains(hint), "{text}:\n{said}");
    }
}
