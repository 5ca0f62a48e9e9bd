//! config: every option is listed with its state.

use crate::config::sections::sections;
use crate::config::{Config, Listed};

fn listed(text: &str) -> Vec<Listed> {
    Config::parse(text, "p.toml").unwrap_or_else(|e| panic!("error: {e}")).listed()
}

fn find<'l>(list: &'l [Listed], section: &str, key: &str) -> &'l Listed {
    let here = |l: &&Listed| l.section == section && l.key == key;
    list.iter().find(here).unwrap_or_else(|| panic!("`{key}` of [{section}] is not listed"))
}

#[test]
fn every_option_of_every_section() {
    let text = "[[plugin]]\nname = \"a\"\n[[munin.node]]\nhost = \"a\"\n\
                [[burst]]\nwhen = \"cpu > 1\"\ninterval = \"1s\"\n\
                [[alert]]\nwhen = \"cpu > 1\"\n";
    let list = listed(text);
    let mut count = 0;
    for row in sections() {
        let section = if row.list { format!("{} 1", row.path) } else { row.path.clone() };
        for key in row.keys() {
            assert!(!find(&list, &section, key.name).about.is_empty());
            count += 1;
        }
    }
    assert_eq!(list.len(), count);
}

#[test]
fn the_value_in_force_beside_the_default() {
    let list = listed(
        r#"
        interval = "30s"
        [collect]
        collectors = ["cpu", "netdev"]
        [collect.netdev]
        interval = "1s"
        exclude_devices = ["veth*"]
        [graphite]
        listen = "127.0.0.1:2003"
        [push]
        max_names = 7
        [statsd]
        flush = "2h"
        "#,
    );
    let values = |section: &str, key: &str| {
        let Listed { value, default, .. } = find(&list, section, key);
        (value.clone().unwrap_or_default(), default.clone().unwrap_or_default())
    };
    for (section, key, value, default) in [
        ("", "interval", "\"30s\"", "\"10s\""),
        ("", "db", "", ""),
        ("collect.cpu", "interval", "\"30s\"", "\"30s\""),
        ("collect.netdev", "interval", "\"1s\"", "\"30s\""),
        ("collect.stat", "enabled", "false", "false"),
        ("collect.netdev", "exclude_devices", "[\"veth*\"]", "[]"),
        ("graphite", "listen", "\"127.0.0.1:2003\"", "\"off\""),
        ("push", "max_names", "7", "20000"),
        // As long as `flush`, which is longer than its default.
        ("statsd", "gauge_ttl", "\"2h\"", "\"1h\""),
    ] {
        assert_eq!(values(section, key), (value.into(), default.into()), "{section} {key}");
    }
    let range = find(&list, "push", "max_names").range.clone();
    assert_eq!(range.as_deref(), Some("a whole number from 1 to 1000000"));
}
