//! config: the meaning of right files, and no crash for any file.

use proptest::prelude::*;

use crate::collect::{COLLECTORS, diskstats, filesystem, netdev};
use crate::config::resolve::{defaults, resolve};
use crate::config::sections::sections;
use crate::config::{CollectorConfig, Config};
use crate::model::Interval;

fn read(text: &str) -> Config {
    resolve(text, "plimsoll.toml").unwrap_or_else(|e| panic!("error: {e}"))
}

fn running(config: &Config) -> Vec<String> {
    config.collectors.iter().map(|c| format!("{} {}", c.name, c.interval)).collect()
}

#[test]
fn nothing_written_means_the_defaults() {
    for empty in ["", "\n", "# only a remark", "[collect]\n[http]\n[store]", "\u{feff}"] {
        let mut config = read(empty);
        config.text.clear();
        assert_eq!(format!("{config:?}"), format!("{:?}", defaults()), "{empty:?}");
    }
    let config = defaults();
    let all: Vec<_> = COLLECTORS
        .iter()
        .map(|entry| CollectorConfig { name: entry.name, interval: Interval::DEFAULT })
        .collect();
    assert_eq!(config.collectors, all);
    assert_eq!(config.http.listen.unwrap().to_string(), "127.0.0.1:1876");
    assert_eq!(config.queue_ms, 900_000);
    assert!(config.filter.wants("anything") && config.bursts.is_empty());
    assert!(config.source.is_none() && config.db.is_none() && config.system.is_none());
}

#[test]
fn which_collectors_run_and_how_often() {
    let config = read(
        r#"
        interval = "5m"
        [collect]
        collectors = ["cpu", "loadavg", "hwmon", "cpu"]
        [collect.cpu]
        interval = "1s"
        [collect.hwmon]
        enabled = false
        [collect.meminfo]
        enabled = true
        [collect.stat]
        interval = "1s"
        "#,
    );
    assert_eq!(running(&config), ["loadavg 5m", "meminfo 5m", "cpu 1s"]);
    assert_eq!(config.interval.to_string(), "5m");
    assert!(read("[collect]\ncollectors = []").collectors.is_empty());
}

#[test]
fn what_collectors_look_at() {
    let config = read(
        r#"
        [collect]
        keep = ["disk_*", "cpu"]
        drop = ["disk_/boot*"]
        filesystem = { mounts = ["/", "/srv*"], exclude_mounts = ["/media/*"], exclude_types = ["nfs*"] }
        diskstats.exclude_devices = ["sr*"]
        [collect.netdev]
        exclude_devices = ["veth*"]
        "#,
    );
    assert!(config.filter.wants("disk_/") && config.filter.wants("cpu"));
    assert!(!config.filter.wants("disk_/boot/efi") && !config.filter.wants("memory"));
    let s = &config.collect;
    let filesystem: filesystem::Options = s.of();
    let disks = s.of::<diskstats::Options>().exclude_devices;
    let devices = s.of::<netdev::Options>().exclude_devices;
    let filesystem::Options { mounts, exclude_mounts, exclude_types } = &filesystem;
    let lists = [mounts, exclude_mounts, exclude_types, &disks, &devices]
        .map(|globs| globs.iter().map(|g| g.as_str()).collect::<Vec<_>>().join(" "));
    assert_eq!(lists, ["/ /srv*", "/media/*", "nfs*", "sr*", "veth*"]);
    assert_eq!(s.proc, std::path::Path::new("/proc"));
}

#[test]
fn bursts() {
    let config = read(
        r#"
        [[burst]]
        when = "cpu > 8"
        interval = "1s"
        [[burst]]
        when = 'node_network_receive_errs_total{device="eth0"} > 0'
        interval = "500ms"
        for = "10m"
        collectors = ["netdev", "cpu"]
        [[burst]]
        when = "memory < 0.1"
        interval = "10m"
        "#,
    );
    let shown: Vec<String> = config
        .bursts
        .iter()
        .map(|b| format!("{} | {} {} {:?}", b.when, b.interval, b.duration_ms, b.collectors))
        .collect();
    assert_eq!(
        shown,
        [
            "cpu > 8 | 1s 300000 []",
            "node_network_receive_errs_total{device=\"eth0\"} > 0 | 500ms 600000 [\"cpu\", \"netdev\"]",
            // Shorter than its interval it would never be read once.
            "memory < 0.1 | 10m 600000 []",
        ]
    );
    assert_eq!(config.bursts[0].text, "cpu > 8");
}

#[test]
fn where_it_listens() {
    let listen = |text: &str| {
        let config = read(&format!("[http]\nlisten = \"{text}\""));
        config.http.listen.map(|a| a.to_string())
    };
    assert_eq!(listen("off"), None);
    for address in ["127.0.0.1:0", "127.8.8.8:80", "[::1]:1876", "[::ffff:127.0.0.1]:1876"] {
        assert_eq!(listen(address).as_deref(), Some(address));
    }
    for address in ["0.0.0.0:1876", "192.168.1.1:1876", "[::]:1876", "[::ffff:10.0.0.1]:1876"] {
        let text = format!("[http]\nlisten = \"{address}\"");
        let error = resolve(&text, "f").unwrap_err().to_string();
        assert!(error.contains("other machines can reach"), "{error}");
    }
    let config = read("[http]\nhosts = [\"Monitor.Example.org\", \"192.0.2.7\", \"fe80::1\"]");
    assert_eq!(config.http.hosts, ["monitor.example.org", "192.0.2.7", "fe80::1"]);
    let open = |more: &str| read(&format!("[http]\nlisten = \"0.0.0.0:1876\"\n{more}")).http;
    assert!(open("behind_proxy = true").behind_proxy);
    let tls = open("tls_cert = \"/a\"\ntls_key = \"/b\"").tls.expect("both files");
    assert_eq!((tls.cert.to_str(), tls.key.to_str()), (Some("/a"), Some("/b")));
    for (text, why) in [
        ("tls_cert = \"/a\"", "`tls_key` is missing"),
        ("tls_key = \"/a\"", "`tls_cert` is missing"),
        ("tls_cert = \"a\"\ntls_key = \"/b\"", "depends on the folder"),
        ("socket = \"\"", "the path is empty"),
    ] {
        let text = format!("[http]\n{text}");
        let error = resolve(&text, "t").expect_err(&text).to_string();
        assert!(error.contains(why), "{error}");
    }
}

/// The begin of every colour.
const ESCAPE: char = '\u{1b}';

/// Pieces of right files in wrong order find more than letters do.
fn pieces() -> impl Strategy<Value = String> {
    let mut words: Vec<String> =
        ["\n", "=", " ", "\"", "\"\"\"", "'", "[", "]", "[[", "]]", "{", "}"]
            .into_iter()
            .chain([
                ".",
                ",",
                "#",
                "10",
                "1.5",
                "true",
                "\"10s\"",
                "\"1s",
                "\"cpu > 8\"",
                "é",
                "\r\n",
            ])
            .chain(["\t", "\u{0}", "\u{feff}", "\u{202e}", "1979-05-27", "[[burst]]\n", "0x", "\\"])
            .map(str::to_owned)
            .collect();
    for row in sections() {
        words.push(format!("\n[{}]\n", row.path));
        words.extend(row.keys().map(|k| k.name.to_owned()));
        words.extend(row.keys().map(|k| format!("\n{} = {}\n", k.name, k.example)));
    }
    proptest::collection::vec(proptest::sample::select(words), 0..16).prop_map(|w| w.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_panics(text in prop_oneof![pieces(), "\\PC{0,60}", ".{0,60}"]) {
        if let Err(error) = resolve(&text, "plimsoll.toml") {
            prop_assert!(error.to_string().contains("plimsoll.toml:"));
            prop_assert!(error.render(true).contains(ESCAPE));
        }
    }
}
