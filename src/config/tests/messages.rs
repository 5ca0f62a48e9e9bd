//! config: the messages for a wrong file, as a whole.

use insta::assert_snapshot;

use crate::config::resolve::resolve;

fn error(text: &str) -> String {
    format!("error: {}", resolve(text, "plimsoll.toml").unwrap_err())
}

#[test]
fn an_unknown_key() {
    let text = r#"intervall = "10s""#;
    assert_snapshot!(error(text), @r###"
    error: unknown key `intervall`
     --> plimsoll.toml:1:1
      |
    1 | intervall = "10s"
      | ^^^^^^^^^ did you mean `interval`?
    "###);
}

#[test]
fn an_unknown_section() {
    let text = r#"[htttp]
listen = "off""#;
    assert_snapshot!(error(text), @r###"
    error: unknown section `htttp`
     --> plimsoll.toml:1:2
      |
    1 | [htttp]
      |  ^^^^^ did you mean `http`?
    "###);
}

#[test]
fn an_unknown_key_that_is_known_elsewhere() {
    let text = r#"[http]
interval = "3s"
mounts = ["/"]
when = "cpu > 8""#;
    assert_snapshot!(error(text), @r###"
    error: unknown key `interval` in `[http]`
     --> plimsoll.toml:2:1
      |
    2 | interval = "3s"
      | ^^^^^^^^ this belongs at the top of the file, before the first [section]

    error: unknown key `mounts` in `[http]`
     --> plimsoll.toml:3:1
      |
    3 | mounts = ["/"]
      | ^^^^^^ this belongs in `[collect.filesystem]`

    error: unknown key `when` in `[http]`
     --> plimsoll.toml:4:1
      |
    4 | when = "cpu > 8"
      | ^^^^ this belongs in a `[[burst]]` or a `[[alert]]`
    "###);
}

#[test]
fn an_unknown_key_like_no_other() {
    let text = r#"[store]
colour = "red""#;
    assert_snapshot!(error(text), @r###"
    error: unknown key `colour` in `[store]`
     --> plimsoll.toml:2:1
      |
    2 | colour = "red"
      | ^^^^^^ known here: max_size, plain_rows, raw, five_minutes, hours, queue
    "###);
}

#[test]
fn a_wrong_type() {
    let text = r#"interval = 10
[collect]
keep = "cpu"
drop = ["a", 3]
[collect.cpu]
enabled = "no""#;
    assert_snapshot!(error(text), @r###"
    error: `interval` must be text in quotes, this is a number
     --> plimsoll.toml:1:12
      |
    1 | interval = 10
      |            ^^ for example `interval = "10s"`

    error: `collect.keep` must be a list of texts, this is text
     --> plimsoll.toml:3:8
      |
    3 | keep = "cpu"
      |        ^^^^^ for example `keep = ["cpu", "memory", "disk_*"]`

    error: `collect.drop` must be a list of texts, there is a number in it
     --> plimsoll.toml:4:14
      |
    4 | drop = ["a", 3]
      |              ^ for example `drop = ["node_hwmon_*"]`

    error: `collect.cpu.enabled` must be true or false, this is text
     --> plimsoll.toml:6:11
      |
    6 | enabled = "no"
      |           ^^^^ for example `enabled = false`
    "###);
}

#[test]
fn a_section_in_the_wrong_brackets() {
    let text = r#"[[http]]
[burst]
when = "cpu > 8""#;
    assert_snapshot!(error(text), @r###"
    error: `http` must be a section, this is a list
     --> plimsoll.toml:1:1
      |
    1 | [[http]]
      | ^^^^^^^^ write `[http]` and its keys below

    error: `burst` must be a list of sections, this is a section
     --> plimsoll.toml:2:1
      |
    2 | [burst]
      | ^^^^^^^ write `[[burst]]` and its keys below
    "###);
}

#[test]
fn every_bad_interval_at_once() {
    let text = r#"interval = "10 sec"

[collect.cpu]
interval = "50ms"

[collect.netdev]
interval = "2d""#;
    assert_snapshot!(error(text), @r###"
    error: `interval`: `10 sec` is not a length of time
     --> plimsoll.toml:1:12
      |
    1 | interval = "10 sec"
      |            ^^^^^^^^ did you mean `10s`?

    error: `collect.cpu.interval`: `50ms` is too short: an interval lies between 100ms and 1d
     --> plimsoll.toml:4:12
      |
    4 | interval = "50ms"
      |            ^^^^^^ for example `10s`

    error: `collect.netdev.interval`: `2d` is too long: an interval lies between 100ms and 1d
     --> plimsoll.toml:7:12
      |
    7 | interval = "2d"
      |            ^^^^ for example `10s`
    "###);
}

#[test]
fn an_unknown_collector() {
    let text = r#"[collect]
collectors = ["cpu", "filesytem", "gpu"]

[collect.filesytem]
interval = "1s""#;
    assert_snapshot!(error(text), @r###"
    error: `collect.collectors`: unknown collector `filesytem`
     --> plimsoll.toml:2:22
      |
    2 | collectors = ["cpu", "filesytem", "gpu"]
      |                      ^^^^^^^^^^^ did you mean `filesystem`?

    error: `collect.collectors`: unknown collector `gpu`
     --> plimsoll.toml:2:35
      |
    2 | collectors = ["cpu", "filesytem", "gpu"]
      |                                   ^^^^^ did you mean `cpu`?

    error: unknown collector `filesytem` in `[collect]`
     --> plimsoll.toml:4:10
      |
    4 | [collect.filesytem]
      |          ^^^^^^^^^ did you mean `filesystem`?
    "###);
}

#[test]
fn a_key_of_another_collector() {
    let text = r#"[collect.cpu]
mounts = ["/"]"#;
    assert_snapshot!(error(text), @r###"
    error: unknown key `mounts` in `[collect.cpu]`
     --> plimsoll.toml:2:1
      |
    2 | mounts = ["/"]
      | ^^^^^^ this belongs in `[collect.filesystem]`
    "###);
}

#[test]
fn a_bad_condition() {
    let text = r#"[[burst]]
when = "cpu = 8"
interval = "1s"

[[burst]]
when = "memory < 10%"
interval = "1s""#;
    assert_snapshot!(error(text), @r###"
    error: `burst.when`: `=` is not a comparison
     --> plimsoll.toml:2:8
      |
    2 | when = "cpu = 8"
      |        ^^^^^^^^^ did you mean `cpu == 8`?

    error: `burst.when`: `10%` is not a number
     --> plimsoll.toml:6:8
      |
    6 | when = "memory < 10%"
      |        ^^^^^^^^^^^^^^ write KEY OPERATOR NUMBER, for example `cpu > 8`
    "###);
}

#[test]
fn a_burst_that_lacks_its_keys() {
    let text = r#"[[burst]]
for = "1m""#;
    assert_snapshot!(error(text), @r###"
    error: `burst.when`: this is missing in a [[burst]]
     --> plimsoll.toml:1:1
      |
    1 | [[burst]]
      | ^^^^^^^^^ add `when = "cpu > 8"`

    error: `burst.interval`: this is missing in a [[burst]]
     --> plimsoll.toml:1:1
      |
    1 | [[burst]]
      | ^^^^^^^^^ add `interval = "1s"`
    "###);
}

#[test]
fn a_burst_shorter_than_its_interval() {
    let text = r#"[[burst]]
when = "cpu > 8"
interval = "1m"
for = "30s""#;
    assert_snapshot!(error(text), @r###"
    error: `burst.for`: `30s` is too short
     --> plimsoll.toml:4:7
      |
    4 | for = "30s"
      |       ^^^^^ from 1m to 1y
    "###);
}

#[test]
fn a_burst_of_a_collector_that_is_off() {
    let text = r#"[collect.hwmon]
enabled = false
[[burst]]
when = "cpu > 8"
interval = "1s"
collectors = ["hwmon"]"#;
    assert_snapshot!(error(text), @r###"
    error: `burst.collectors`: `hwmon` is switched off
     --> plimsoll.toml:6:15
      |
    6 | collectors = ["hwmon"]
      |               ^^^^^^^ switch it on in [collect], or leave it out here
    "###);
}

#[test]
fn an_address_others_can_reach() {
    let text = r#"[http]
listen = "0.0.0.0:8080""#;
    assert_snapshot!(error(text), @r###"
    error: `http.listen`: other machines can reach `0.0.0.0:8080`, and nothing protects it
     --> plimsoll.toml:2:10
      |
    2 | listen = "0.0.0.0:8080"
      |          ^^^^^^^^^^^^^^ set `tls_cert` and `tls_key`, or `behind_proxy = true` if a proxy does TLS; or listen on `127.0.0.1:8080`
    "###);
}

#[test]
fn an_address_without_port() {
    let text = r#"[http]
listen = "127.0.0.1""#;
    assert_snapshot!(error(text), @r###"
    error: `http.listen`: `127.0.0.1` is not an address with a port
     --> plimsoll.toml:2:10
      |
    2 | listen = "127.0.0.1"
      |          ^^^^^^^^^^^ for example `127.0.0.1:1876`, or `off`
    "###);
}

#[test]
fn an_address_by_name() {
    let text = r#"[http]
listen = "localhost:80""#;
    assert_snapshot!(error(text), @r###"
    error: `http.listen`: `localhost:80` is not an address with a port
     --> plimsoll.toml:2:10
      |
    2 | listen = "localhost:80"
      |          ^^^^^^^^^^^^^^ for example `127.0.0.1:80`, or `off`
    "###);
}

#[test]
fn a_host_with_scheme() {
    let text = r#"[http]
hosts = ["http://monitor.example.org/"]"#;
    assert_snapshot!(error(text), @r###"
    error: `http.hosts`: `http://monitor.example.org/` is not a host name
     --> plimsoll.toml:2:10
      |
    2 | hosts = ["http://monitor.example.org/"]
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ write the bare name, without http:// and port, for example `monitor.example.org`
    "###);
}

#[test]
fn a_queue_out_of_range() {
    let text = r#"[store]
queue = "2d""#;
    assert_snapshot!(error(text), @r###"
    error: `store.queue`: `2d` is too long
     --> plimsoll.toml:2:9
      |
    2 | queue = "2d"
      |         ^^^^ from 1s to 1d
    "###);
}

#[test]
fn patterns_that_fit_nothing() {
    let text = r#"[collect]
keep = [""]
[collect.filesystem]
mounts = ["home"]"#;
    assert_snapshot!(error(text), @r###"
    error: `collect.keep`: an empty pattern fits nothing
     --> plimsoll.toml:2:9
      |
    2 | keep = [""]
      |         ^^ write a name, or a pattern with * and ?

    error: `collect.filesystem.mounts`: `home` fits no mount point
     --> plimsoll.toml:4:11
      |
    4 | mounts = ["home"]
      |           ^^^^^^ a mount point begins with /
    "###);
}

#[test]
fn paths_and_names_that_are_none() {
    let text = r#"db = "/var/lib/plimsoll/"
system = " ""#;
    assert_snapshot!(error(text), @r###"
    error: `db`: the path is a directory
     --> plimsoll.toml:1:6
      |
    1 | db = "/var/lib/plimsoll/"
      |      ^^^^^^^^^^^^^^^^^^^^ name the file too: `/var/lib/plimsoll/metrics.sqlite`

    error: `system`: the name is empty
     --> plimsoll.toml:2:10
      |
    2 | system = " "
      |          ^^^ remove the line to use the host name
    "###);
}

#[test]
fn syntax_an_open_quote() {
    let text = r#"interval = "10s
db = 3"#;
    assert_snapshot!(error(text), @r###"
    error: invalid basic string
     --> plimsoll.toml:1:16
      |
    1 | interval = "10s
      |                ^ expected `"`
    "###);
}

#[test]
fn syntax_no_quotes() {
    let text = r#"interval = 10s
db ="#;
    assert_snapshot!(error(text), @r###"
    error: `10s` is neither text nor a number
     --> plimsoll.toml:1:12
      |
    1 | interval = 10s
      |            ^^^ write "10s"

    error: the value is missing
     --> plimsoll.toml:2:5
      |
    2 | db =
      |     ^ write one after the =
    "###);
}

#[test]
fn syntax_on_several_lines() {
    let text = r#"[http
listen = "off"
= 3"#;
    assert_snapshot!(error(text), @r###"
    error: unclosed table
     --> plimsoll.toml:1:6
      |
    1 | [http
      |      ^ expected `]`

    error: unquoted keys cannot be empty
     --> plimsoll.toml:3:1
      |
    3 | = 3
      | ^ expected letters, numbers, `-`, `_`
    "###);
}

#[test]
fn a_key_twice() {
    let text = r#"interval = "1s"
interval = "2s""#;
    assert_snapshot!(error(text), @r###"
    error: `interval` is set twice
     --> plimsoll.toml:2:1
      |
    2 | interval = "2s"
      | ^^^^^^^^ it was already set above; remove one of the two
    "###);
}

#[test]
fn of_many_mistakes_the_first_are_shown_and_none_is_endless() {
    let long = "k".repeat(50_000);
    let text: String = (0..300).map(|n| format!("{long}{n} = 1\n")).collect();
    let told = error(&text);
    assert!(told.ends_with("and 280 more like these"), "{}", &told[told.len() - 200..]);
    assert!(told.len() < 50_000, "{} bytes", told.len());
    let few: String = (0..20).map(|n| format!("x{n} = 1\n")).collect();
    assert!(!error(&few).contains("more like these"));
}
