//! munin_node: the own plugins on made-up values.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::model::{Identity, Labels, Registry, Series};
use crate::munin_node::picture::Catalog;
use crate::wire::munin::{Described, Line, lines as read_lines};

/// A metric, its labels, its value.
type Given = (&'static str, &'static [(&'static str, &'static str)], f64);

/// A machine with these values.
fn machine(values: &[Given]) -> (Catalog, Vec<f64>) {
    let registry = Arc::new(Registry::default());
    let mut numbers = Vec::new();
    for (name, labels, value) in values {
        let labels = Labels::new(labels.iter().copied());
        let identity = Identity::local("node", name, labels);
        registry.intern(Series::undescribed(identity));
        numbers.push(*value);
    }
    let mut catalog = Catalog::default();
    catalog.update(&registry);
    (catalog, numbers)
}

fn ask(values: &[Given], plugin: &str) -> (Vec<String>, String, String) {
    let (catalog, numbers) = machine(values);
    let value =
        |s: crate::model::SeriesRef| numbers.get(s.place()).copied().filter(|v| v.is_finite());
    let picture = Picture { catalog: &catalog, value: &value, now: 1_700_000_000_000 };
    let mut disks = History::default();
    let mut own = Own { picture, sys: Path::new("/nonexistent"), disks: &mut disks };
    let config = own.config(plugin).unwrap_or_default();
    (own.names(), config, own.values(plugin).unwrap_or_default())
}

const ROOT: &[(&str, &str)] = &[("device", "/dev/sda1"), ("mountpoint", "/"), ("fstype", "ext4")];
const AGAIN: &[(&str, &str)] =
    &[("device", "/dev/sda1"), ("mountpoint", "/srv/again"), ("fstype", "ext4")];
const RUN: &[(&str, &str)] = &[("device", "tmpfs"), ("mountpoint", "/run"), ("fstype", "tmpfs")];

#[test]
fn disks_that_fill() {
    let values: &[Given] = &[
        ("node_filesystem_size_bytes", AGAIN, 1000.0),
        ("node_filesystem_free_bytes", AGAIN, 500.0),
        ("node_filesystem_avail_bytes", AGAIN, 300.0),
        ("node_filesystem_size_bytes", ROOT, 1000.0),
        ("node_filesystem_free_bytes", ROOT, 500.0),
        ("node_filesystem_avail_bytes", ROOT, 300.0),
        ("node_filesystem_size_bytes", RUN, 10.0),
        ("node_filesystem_free_bytes", RUN, 10.0),
        ("node_filesystem_avail_bytes", RUN, 10.0),
    ];
    let (names, config, told) = ask(values, "df");
    assert_eq!(names, ["df"]);
    assert_eq!(told, "_dev_sda1.value 62.5\n_run.value 0\n");
    assert!(config.contains("_dev_sda1.label /\n_dev_sda1.warning 92\n"), "{config}");
}

#[test]
fn disks_that_munin_would_call_alike_are_each_a_field() {
    const A: &[(&str, &str)] = &[("device", "nas1:/x"), ("mountpoint", "/a"), ("fstype", "nfs")];
    const B: &[(&str, &str)] = &[("device", "nas1_/x"), ("mountpoint", "/b"), ("fstype", "nfs")];
    let mut values: Vec<Given> = Vec::new();
    for (labels, free) in [(B, 25.0), (A, 50.0)] {
        values.push(("node_filesystem_size_bytes", labels, 100.0));
        values.push(("node_filesystem_free_bytes", labels, free));
        values.push(("node_filesystem_avail_bytes", labels, free));
    }
    let (_, config, told) = ask(&values, "df");
    let (first, second) = told.split_once('\n').expect("two lines");
    assert_eq!(first, "nas1__x.value 50");
    let (field, value) = second.split_once('.').expect("a field");
    assert_eq!(value, "value 75\n");
    assert!(field.starts_with("nas1__x_"), "{told}");
    assert!(config.contains(&format!("{field}.label /b\n")), "{config}");
    // Volumes of LVM, as disks.
    let values: &[Given] = &[
        ("node_disk_reads_completed_total", &[("device", "a-b")], 1.0),
        ("node_disk_reads_completed_total", &[("device", "a_b")], 2.0),
    ];
    let (_, config, told) = ask(values, "diskstats");
    let described = Described::read("diskstats", config.as_bytes());
    let graph = described.graphs.iter().find(|g| g.name == "diskstats_iops").expect("a graph");
    assert_eq!(graph.fields.len(), 4, "{config}");
    let sub =
        |text: &str| text.lines().filter(|l| l.starts_with("multigraph diskstats_iops.")).count();
    assert_eq!((sub(&config), sub(&told)), (2, 2));
}

#[test]
fn what_is_unknown_now_is_u_and_what_never_was_is_not_there() {
    let gib = 1_073_741_824.0;
    let values: &[Given] = &[
        ("node_memory_MemTotal_bytes", &[], 8.0 * gib),
        ("node_memory_MemFree_bytes", &[], 2.0 * gib),
        ("node_memory_Cached_bytes", &[], 3.0 * gib),
        ("node_memory_Shmem_bytes", &[], gib),
        ("node_memory_Mapped_bytes", &[], f64::NAN),
        ("node_load5", &[], 0.25),
    ];
    let (names, config, told) = ask(values, "memory");
    assert_eq!(names, ["load", "memory"]);
    assert_eq!(
        told,
        "apps.value 3221225472\nshmem.value 1073741824\ncached.value 2147483648\n\
         free.value 2147483648\nmapped.value U\n"
    );
    assert!(config.contains("--upper-limit 8589934592\n") && !config.contains("slab.label"));
    assert_eq!(ask(values, "load").2, "load.value 0.25\n");
    assert_eq!(ask(values, "cpu"), (names, String::new(), String::new()));
}

#[test]
fn counters_are_whole_numbers_and_interfaces_have_two_plugins() {
    let eth: &[(&str, &str)] = &[("device", "eth0")];
    let values: &[Given] = &[
        ("node_cpu_seconds_total", &[("cpu", "0"), ("mode", "user")], 1.239),
        ("node_cpu_seconds_total", &[("cpu", "1"), ("mode", "user")], 2.0),
        ("node_network_receive_bytes_total", eth, 1e15),
        ("node_network_transmit_bytes_total", eth, 7.0),
        ("node_network_receive_errs_total", eth, 1.0),
        ("node_network_receive_bytes_total", &[("device", "lo")], 5.0),
        ("node_boot_time_seconds", &[], 1_700_000_000.0 - 86_400.0 * 1.5),
    ];
    let (names, config, told) = ask(values, "cpu");
    assert_eq!(names, ["cpu", "if_err_eth0", "if_eth0", "uptime"]);
    assert_eq!(told, "user.value 324\n");
    assert!(config.contains("--upper-limit 200\n"), "{config}");
    assert_eq!(ask(values, "if_eth0").2, "down.value 1000000000000000\nup.value 7\n");
    assert_eq!(
        ask(values, "if_err_eth0").2,
        "rcvd.value 1\ntrans.value U\nrxdrop.value U\ntxdrop.value U\ncollisions.value U\n"
    );
    assert_eq!(ask(values, "if_eth1").1, "");
    assert_eq!(ask(values, "uptime").2, "uptime.value 1.5\n");
}

#[test]
fn every_field_with_a_value_is_described() {
    let sda: &[(&str, &str)] = &[("device", "sda")];
    let values: &[Given] = &[
        ("node_disk_reads_completed_total", sda, 10.0),
        ("node_disk_read_time_seconds_total", sda, 1.0),
        ("node_disk_reads_completed_total", &[("device", "sda1")], 10.0),
        ("node_disk_reads_completed_total", &[("device", "sr0")], 0.0),
        ("node_vmstat_pswpin", &[], 1.0),
        ("node_vmstat_pswpout", &[], 1.0),
        ("node_forks_total", &[], 1.0),
        ("node_intr_total", &[], 1.0),
        ("node_context_switches_total", &[], 1.0),
        ("node_filefd_allocated", &[], 1.0),
        ("node_filefd_maximum", &[], 1e6),
        ("node_load5", &[], 1.0),
        ("node_memory_MemTotal_bytes", &[], 1.0),
        ("node_filesystem_files", ROOT, 1000.0),
        ("node_filesystem_files_free", ROOT, 900.0),
        ("node_filesystem_size_bytes", ROOT, 1.0),
        ("node_network_receive_bytes_total", &[("device", "eth0")], 1.0),
        ("node_cpu_seconds_total", &[("cpu", "0"), ("mode", "steal")], 1.0),
        ("node_boot_time_seconds", &[], 1_600_000_000.0),
    ];
    let (names, ..) = ask(values, "");
    assert_eq!(names.len(), 13, "{names:?}");
    for name in &names {
        let (_, config, told) = ask(values, name);
        let described = Described::read(name, config.as_bytes());
        assert_eq!(described.faults, [], "{config}");
        assert!(described.graphs.iter().all(|g| !g.title.is_empty() && !g.category.is_empty()));
        let mut graph = name.as_str();
        let mut fields = 0;
        for (_, line) in read_lines(told.as_bytes()) {
            match line.expect("a line that is right") {
                Line::Graph(other) => graph = other,
                Line::Value { field, .. } => {
                    fields += 1;
                    let found = described.find(graph, field);
                    assert!(found.is_some_and(|f| !f.label.is_empty()), "{graph} {field}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(fields > 0 || name == "df", "{name}: {told}");
    }
}
