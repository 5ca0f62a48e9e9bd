//! config: the messages for wrong `[statsd]`, `[graphite]`, `[push]` and `[http]` sections: every
//! key that can be wrong.

use insta::assert_snapshot;

use crate::config::resolve::resolve;

fn error(text: &str) -> String {
    format!("error: {}", resolve(text, "plimsoll.toml").unwrap_err())
}

#[test]
fn every_key_of_statsd() {
    let text = r#"[statsd]
listen = "8125"
tcp = "localhost:8125"
unix = "statsd.sock"
unix_stream = "/run/plimsoll/"
remote = "yes"
flush = "0s"
percentiles = [0, 50, 150, -10, 50]
gauge_ttl = "1s"
max_names = 0
legacy_names = 1
receive_buffer = "1KiB"
intervall = "10s""#;
    assert_snapshot!(error(text), @r###"
    error: `statsd.listen`: `8125` is not an address with a port
     --> plimsoll.toml:2:10
      |
    2 | listen = "8125"
      |          ^^^^^^ for example `127.0.0.1:8125`, or `off`

    error: `statsd.tcp`: `localhost:8125` is not an address with a port
     --> plimsoll.toml:3:7
      |
    3 | tcp = "localhost:8125"
      |       ^^^^^^^^^^^^^^^^ for example `127.0.0.1:8125`, or `off`

    error: `statsd.unix`: `statsd.sock` is not a usable path for a socket
     --> plimsoll.toml:4:8
      |
    4 | unix = "statsd.sock"
      |        ^^^^^^^^^^^^^ a path that begins with /, of at most 107 bytes, or `off`

    error: `statsd.unix_stream`: `/run/plimsoll/` is not a usable path for a socket
     --> plimsoll.toml:5:15
      |
    5 | unix_stream = "/run/plimsoll/"
      |               ^^^^^^^^^^^^^^^^ a path that begins with /, of at most 107 bytes, or `off`

    error: `statsd.remote` must be true or false, this is text
     --> plimsoll.toml:6:10
      |
    6 | remote = "yes"
      |          ^^^^^ for example `remote = true`

    error: `statsd.flush`: `0s` is too short: an interval lies between 100ms and 1d
     --> plimsoll.toml:7:9
      |
    7 | flush = "0s"
      |         ^^^^ for example `10s`

    error: `statsd.percentiles`: 0 is not a percentile
     --> plimsoll.toml:8:16
      |
    8 | percentiles = [0, 50, 150, -10, 50]
      |                ^ above 0, up to 100, for example [50, 90, 99.9]

    error: `statsd.percentiles`: 150 is not a percentile
     --> plimsoll.toml:8:23
      |
    8 | percentiles = [0, 50, 150, -10, 50]
      |                       ^^^ above 0, up to 100, for example [50, 90, 99.9]

    error: `statsd.percentiles`: -10: negative percentiles need legacy_names
     --> plimsoll.toml:8:28
      |
    8 | percentiles = [0, 50, 150, -10, 50]
      |                            ^^^ above 0, up to 100, for example [50, 90, 99.9]

    error: `statsd.percentiles`: 50 is listed twice
     --> plimsoll.toml:8:33
      |
    8 | percentiles = [0, 50, 150, -10, 50]
      |                                 ^^ above 0, up to 100, for example [50, 90, 99.9]

    error: `statsd.gauge_ttl`: `1s` is too short
     --> plimsoll.toml:9:13
      |
    9 | gauge_ttl = "1s"
      |             ^^^^ from 10s to 1y

    error: unknown key `max_names` in `[statsd]`
      --> plimsoll.toml:10:1
       |
    10 | max_names = 0
       | ^^^^^^^^^ this belongs in `[push]`

    error: `statsd.legacy_names` must be true or false, this is a number
      --> plimsoll.toml:11:16
       |
    11 | legacy_names = 1
       |                ^ for example `legacy_names = true`

    error: `statsd.receive_buffer`: `1KiB` is too small
      --> plimsoll.toml:12:18
       |
    12 | receive_buffer = "1KiB"
       |                  ^^^^^^ 4KiB or more

    error: unknown key `intervall` in `[statsd]`
      --> plimsoll.toml:13:1
       |
    13 | intervall = "10s"
       | ^^^^^^^^^ known here: listen, tcp, unix, unix_stream, remote, flush, percentiles, gauge_ttl, legacy_names, receive_buffer
    "###);
}

#[test]
fn statsd_where_others_can_send() {
    let text = r#"[statsd]
listen = "0.0.0.0:8125"
tcp = "192.0.2.7:8125"
unix = "/run/s.sock"
unix_stream = "/run/s.sock"
percentiles = "90"
port = 8125

[graphite]
listen = "0.0.0.0:2003"
tcp = "127.0.0.1:2003"
remote = 1"#;
    assert_snapshot!(error(text), @r###"
    error: `statsd.listen`: other machines can reach `0.0.0.0:8125`, and statsd has no passwords
     --> plimsoll.toml:2:10
      |
    2 | listen = "0.0.0.0:8125"
      |          ^^^^^^^^^^^^^^ let only your senders through a firewall, and add `remote = true`

    error: `statsd.tcp`: other machines can reach `192.0.2.7:8125`, and statsd has no passwords
     --> plimsoll.toml:3:7
      |
    3 | tcp = "192.0.2.7:8125"
      |       ^^^^^^^^^^^^^^^^ let only your senders through a firewall, and add `remote = true`

    error: `statsd.unix_stream`: /run/s.sock is where `statsd.unix` listens
     --> plimsoll.toml:5:15
      |
    5 | unix_stream = "/run/s.sock"
      |               ^^^^^^^^^^^^^ give each of the two a place of its own

    error: `statsd.percentiles` must be a list of numbers, this is text
     --> plimsoll.toml:6:15
      |
    6 | percentiles = "90"
      |               ^^^^ for example `percentiles = [50, 90, 99]`

    error: unknown key `port` in `[statsd]`
     --> plimsoll.toml:7:1
      |
    7 | port = 8125
      | ^^^^ known here: listen, tcp, unix, unix_stream, remote, flush, percentiles, gauge_ttl, legacy_names, receive_buffer

    error: `graphite.listen`: other machines can reach `0.0.0.0:2003`, and Graphite's protocol has no passwords
      --> plimsoll.toml:10:10
       |
    10 | listen = "0.0.0.0:2003"
       |          ^^^^^^^^^^^^^^ let only your senders through a firewall, and add `remote = true`

    error: unknown key `tcp` in `[graphite]`
      --> plimsoll.toml:11:1
       |
    11 | tcp = "127.0.0.1:2003"
       | ^^^ this belongs in `[statsd]`

    error: `graphite.remote` must be true or false, this is a number
      --> plimsoll.toml:12:10
       |
    12 | remote = 1
       |          ^ for example `remote = true`
    "###);
}

#[test]
fn graphite_and_push_and_http() {
    let text = r#"[graphite]
listen = "2003"
buffer = 1

[push]
max_names = 2.5
names = 3

[http]
listen = "0.0.0.0:1876"
tls_cert = "/etc/cert.pem"
behind_proxy = "no"
socket = "http.sock"
token = "x"

[statsd]
max_names = 100
percentiles = [90, "x"]"#;
    assert_snapshot!(error(text), @r###"
    error: `graphite.listen`: `2003` is not an address with a port
     --> plimsoll.toml:2:10
      |
    2 | listen = "2003"
      |          ^^^^^^ for example `127.0.0.1:2003`, or `off`

    error: unknown key `buffer` in `[graphite]`
     --> plimsoll.toml:3:1
      |
    3 | buffer = 1
      | ^^^^^^ known here: listen, remote

    error: `push.max_names`: 2.5 is not a whole number
     --> plimsoll.toml:6:13
      |
    6 | max_names = 2.5
      |             ^^^ a whole number from 1 to 1000000

    error: unknown key `names` in `[push]`
     --> plimsoll.toml:7:1
      |
    7 | names = 3
      | ^^^^^ known here: max_names

    error: `http.tls_cert`: `tls_key` is missing
     --> plimsoll.toml:9:1
      |
    9 | [http]
      | ^^^^^^ add `tls_key = "/etc/plimsoll/key.pem"`

    error: `http.behind_proxy` must be true or false, this is text
      --> plimsoll.toml:12:16
       |
    12 | behind_proxy = "no"
       |                ^^^^ for example `behind_proxy = true`

    error: `http.socket`: `http.sock` depends on the folder in which plimsoll is started
      --> plimsoll.toml:13:10
       |
    13 | socket = "http.sock"
       |          ^^^^^^^^^^^ write the whole path, beginning with /

    error: unknown key `token` in `[http]`
      --> plimsoll.toml:14:1
       |
    14 | token = "x"
       | ^^^^^ known here: listen, tls_cert, tls_key, behind_proxy, socket, hosts

    error: unknown key `max_names` in `[statsd]`
      --> plimsoll.toml:17:1
       |
    17 | max_names = 100
       | ^^^^^^^^^ this belongs in `[push]`

    error: `statsd.percentiles` must be a list of numbers, there is text in it
      --> plimsoll.toml:18:20
       |
    18 | percentiles = [90, "x"]
       |                    ^^^ for example `percentiles = [50, 90, 99]`
    "###);
}

#[test]
fn a_page_for_everybody() {
    let text = r#"[http]
listen = "0.0.0.0:1876""#;
    assert_snapshot!(error(text), @r###"
    error: `http.listen`: other machines can reach `0.0.0.0:1876`, and nothing protects it
     --> plimsoll.toml:2:10
      |
    2 | listen = "0.0.0.0:1876"
      |          ^^^^^^^^^^^^^^ set `tls_cert` and `tls_key`, or `behind_proxy = true` if a proxy does TLS; or listen on `127.0.0.1:1876`
    "###);
}

/// A port or a socket that two options name: only the first one could open it.
#[test]
fn two_that_would_listen_at_one_place() {
    let told = |text: &str| match resolve(text, "plimsoll.toml") {
        Ok(_) => String::new(),
        Err(e) => e.to_string(),
    };
    for (text, said) in [
        (
            "[http]\nlisten = \"127.0.0.1:99\"\n[graphite]\nlisten = \"127.0.0.1:99\"",
            "`graphite.listen`: tcp 127.0.0.1:99 is where `http.listen` listens\n --> plimsoll.toml:4:10",
        ),
        (
            "[graphite]\nlisten = \"127.0.0.1:1876\"",
            "`graphite.listen`: tcp 127.0.0.1:1876 is where `http.listen` listens by default",
        ),
        (
            "[http]\nlisten = \"127.0.0.1:8125\"\n[statsd]\ntcp = \"127.0.0.1:8125\"",
            "`statsd.tcp`: tcp 127.0.0.1:8125 is where `http.listen` listens\n",
        ),
        (
            "[graphite]\nlisten = \"127.0.0.1:8125\"",
            "`graphite.listen`: udp 127.0.0.1:8125 is where `statsd.listen` listens by default",
        ),
        (
            "[munin_node]\nlisten = [\"127.0.0.1:4949\", \"0.0.0.0:4949\"]",
            "`munin_node.listen`: tcp 0.0.0.0:4949 is where `munin_node.listen` listens\n --> plimsoll.toml:2:29",
        ),
        (
            "[munin_node]\nlisten = \"[::]:1876\"",
            "`munin_node.listen`: tcp [::]:1876 is where `http.listen` listens by default",
        ),
        (
            "[http]\nsocket = \"/run/a.sock\"\n[statsd]\nunix = \"/run/a.sock\"",
            "`statsd.unix`: /run/a.sock is where `http.socket` listens\n",
        ),
    ] {
        assert!(told(text).contains(said), "{text}: {said}: {}", told(text));
    }
    for fine in [
        // By TCP and by UDP, at other addresses, or at a port that the kernel chooses.
        "[http]\nlisten = \"127.0.0.1:8125\"",
        "[http]\nlisten = \"127.0.0.1:99\"\n[graphite]\nlisten = \"127.0.0.2:99\"",
        "[http]\nlisten = \"127.0.0.1:0\"\n[graphite]\nlisten = \"127.0.0.1:0\"",
        "[munin_node]\nlisten = [\"0.0.0.0:99\", \"[::1]:99\"]",
        "[http]\nlisten = \"off\"\n[graphite]\nlisten = \"127.0.0.1:1876\"",
    ] {
        assert_eq!(told(fine), "", "{fine}");
    }
}
