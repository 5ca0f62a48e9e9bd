//! munin_node: `diskstats`: the activity of disks since a master asked about five minutes before.
//! The original keeps its counts in a state file and reports means and rates; this does so in
//! memory.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::path::Path;

use super::put;
use crate::collect::regular;
use crate::munin_node::picture::Picture;
use crate::wire::munin::clean_fields;

/// The stretch that rates are of, where masters ask that rarely.
const STRETCH_MS: i64 = 300_000;
/// Counts older than this are forgotten.
const OLDEST_MS: i64 = STRETCH_MS * 3 / 2;
/// A master that asks in a loop makes no more of them than this.
const APART_MS: i64 = 5_000;

const METRICS: [&str; 7] = [
    "node_disk_reads_completed_total",
    "node_disk_writes_completed_total",
    "node_disk_read_bytes_total",
    "node_disk_written_bytes_total",
    "node_disk_read_time_seconds_total",
    "node_disk_write_time_seconds_total",
    "node_disk_io_time_seconds_total",
];

/// The counts of a disk since the machine's start, in the order of [`METRICS`].
type Counts = [f64; METRICS.len()];

/// The counts of a disk over a stretch, and its length in seconds.
type Did = (Counts, f64);

/// The counts of disks at earlier moments, the oldest first; age and distance bound it to some
/// ninety.
#[derive(Debug, Default)]
pub(in crate::munin_node) struct History(VecDeque<(i64, BTreeMap<String, Counts>)>);

impl History {
    /// The entry closest to one stretch ago.
    fn before(&self, now: i64) -> Option<&(i64, BTreeMap<String, Counts>)> {
        let past = self.0.iter().filter(|(ts, _)| *ts < now);
        past.min_by_key(|(ts, _)| (now - ts - STRETCH_MS).abs())
    }

    fn note(&mut self, now: i64, counts: BTreeMap<String, Counts>) {
        // Set back, the clock would leave moments of the future here.
        self.0.retain(|(ts, _)| now - ts <= OLDEST_MS && *ts <= now);
        if self.0.back().is_none_or(|(ts, _)| now - ts >= APART_MS) {
            self.0.push_back((now, counts));
        }
    }
}

/// The disks that have done anything, and no partitions of them.
fn disks(p: &Picture<'_>) -> BTreeMap<String, Counts> {
    let mut all: BTreeMap<String, Counts> = BTreeMap::new();
    for (at, metric) in METRICS.iter().enumerate() {
        for (series, value) in p.each(metric) {
            let device = series.identity.labels.get("device").unwrap_or_default();
            match all.get_mut(device) {
                Some(counts) => counts[at] = value,
                None => {
                    let mut counts = [0.0; METRICS.len()];
                    counts[at] = value;
                    all.insert(device.to_owned(), counts);
                }
            }
        }
    }
    all.retain(|_, c| c[0] > 0.0 || c[1] > 0.0);
    let names: Vec<String> = all.keys().cloned().collect();
    all.retain(|device, _| !names.iter().any(|disk| is_part(device, disk)));
    all
}

fn is_part(device: &str, of: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match device.strip_prefix(of) {
        Some(rest) if rest.strip_prefix('p').is_some_and(digits) => true,
        Some(rest) => digits(rest) && !of.ends_with(|c: char| c.is_ascii_digit()),
        None => false,
    }
}

/// How people know it: `dm-0` is `vg/root` or `mapper/secret`.
fn pretty(sys: &Path, device: &str) -> String {
    let name = || {
        device.strip_prefix("dm-")?;
        let path = sys.join("block").join(device).join("dm/name");
        let text = regular::read_text(&path, 4_096).ok()?;
        let name = text.trim().to_owned();
        Some(volume(&name).unwrap_or_else(|| format!("mapper/{name}")))
    };
    let told = name().unwrap_or_else(|| device.to_owned());
    told.chars().filter(|c| !c.is_control()).collect()
}

/// `my--vg-root` as LVM means it: `my-vg/root`.
fn volume(name: &str) -> Option<String> {
    let bytes = name.as_bytes();
    let single = |at: &usize| {
        bytes.get(*at) == Some(&b'-')
            && bytes.get(at + 1) != Some(&b'-')
            && (*at == 0 || bytes.get(at - 1) != Some(&b'-'))
    };
    let at = (0..bytes.len()).find(single)?;
    let (group, rest) = name.split_at_checked(at)?;
    Some(format!("{}/{}", group.replace("--", "-"), rest.get(1..)?.replace("--", "-")))
}

fn there(p: &Picture<'_>, name: &str) -> Option<BTreeMap<String, Counts>> {
    (name == "diskstats").then(|| disks(p)).filter(|d| !d.is_empty())
}

fn waits(counts: &Counts) -> bool {
    counts[4] + counts[5] > 0.0
}

pub(super) fn names(p: &Picture<'_>, out: &mut Vec<String>) {
    if there(p, "diskstats").is_some() {
        out.push("diskstats".to_owned());
    }
}

/// A kind of graph, one for all disks and one for each: its name, its description, and whether it
/// needs disks that report their times.
struct Kind {
    name: &'static str,
    all: &'static str,
    one: &'static str,
    waits: bool,
    /// For the graph of all disks: fields after the disk's name, and their description.
    all_fields: &'static [(&'static str, &'static str)],
    /// For the graph of one disk.
    one_fields: &'static [(&'static str, &'static str)],
}

static KINDS: [Kind; 4] = [
    Kind {
        name: "latency",
        all: "graph_title Disk latency per device\ngraph_args --base 1000\n\
              graph_vlabel Average IO Wait (seconds)\ngraph_category disk\n",
        one: "graph_title Average latency for /dev/{}\ngraph_args --base 1000 --logarithmic\n\
              graph_vlabel seconds\ngraph_category disk\n",
        waits: true,
        all_fields: &[("avgwait", "label {}")],
        one_fields: &[
            ("svctm", "label Device IO time"),
            ("avgwait", "label IO Wait time"),
            ("avgrdwait", "label Read IO Wait time\nwarning 0:3"),
            ("avgwrwait", "label Write IO Wait time\nwarning 0:3"),
        ],
    },
    Kind {
        name: "utilization",
        all: "graph_title Utilization per device\n\
              graph_args --base 1000 --lower-limit 0 --upper-limit 100 --rigid\n\
              graph_vlabel % busy\ngraph_category disk\ngraph_scale no\n",
        one: "graph_title Disk utilization for /dev/{}\n\
              graph_args --base 1000 --lower-limit 0 --upper-limit 100 --rigid\n\
              graph_vlabel % busy\ngraph_category disk\ngraph_scale no\n",
        waits: true,
        all_fields: &[("util", "label {}")],
        one_fields: &[("util", "label Utilization")],
    },
    Kind {
        name: "throughput",
        all: "graph_title Throughput per device\ngraph_args --base 1024\n\
              graph_vlabel Bytes/${graph_period} read (-) / write (+)\ngraph_category disk\n",
        one: "graph_title Disk throughput for /dev/{}\ngraph_args --base 1024\n\
              graph_vlabel Pr ${graph_period} read (-) / write (+)\ngraph_category disk\n",
        waits: false,
        all_fields: &[("rdbytes", "label {}\ngraph no"), ("wrbytes", "label {}\nnegative rdbytes")],
        one_fields: &[
            ("rdbytes", "label invisible\ngraph no"),
            ("wrbytes", "label Bytes\nnegative rdbytes"),
        ],
    },
    Kind {
        name: "iops",
        all: "graph_title Disk IOs per device\ngraph_args --base 1000\n\
              graph_vlabel IOs/${graph_period} read (-) / write (+)\ngraph_category disk\n",
        one: "graph_title IOs for /dev/{}\ngraph_args --base 1000\n\
              graph_vlabel Units read (-) / write (+)\ngraph_category disk\n",
        waits: false,
        all_fields: &[("rdio", "label {}\ngraph no"), ("wrio", "label {}\nnegative rdio")],
        one_fields: &[
            ("rdio", "label dummy\ngraph no"),
            ("wrio", "label IO/sec\nnegative rdio"),
            ("avgrdrqsz", "label dummy\ngraph no"),
            ("avgwrrqsz", "label Req Size (KB)\nnegative avgrdrqsz"),
        ],
    },
];

pub(super) fn config(p: &Picture<'_>, sys: &Path, name: &str, out: &mut String) -> bool {
    let Some(disks) = there(p, name) else { return false };
    let disks: Vec<(String, Counts)> =
        disks.iter().map(|(device, counts)| (pretty(sys, device), *counts)).collect();
    let ids = clean_fields(disks.iter().map(|(disk, _)| (&**disk, &**disk)));
    for kind in &KINDS {
        let _unused = write!(out, "multigraph {name}_{}\n{}", kind.name, kind.all);
        for ((disk, counts), id) in disks.iter().zip(&ids) {
            if kind.waits && !waits(counts) {
                continue;
            }
            let short = disk.rsplit('/').next().unwrap_or(disk);
            let label = if kind.waits { disk } else { short };
            for (field, about) in kind.all_fields {
                let about = about.replace("{}", label);
                let about = about.replace("negative ", &format!("negative {id}_"));
                describe(out, &format!("{id}_{field}"), &about);
            }
        }
    }
    for ((disk, counts), id) in disks.iter().zip(&ids) {
        for kind in KINDS.iter().filter(|k| !k.waits || waits(counts)) {
            let about = kind.one.replace("{}", disk);
            let _unused = write!(out, "multigraph {name}_{}.{id}\n{about}", kind.name);
            for (field, about) in kind.one_fields {
                describe(out, field, about);
            }
        }
    }
    true
}

fn describe(out: &mut String, field: &str, about: &str) {
    for line in about.lines().chain(["type GAUGE", "min 0", "draw LINE1"]) {
        let _unused = writeln!(out, "{field}.{line}");
    }
}

/// The fields of a disk, by name, from its counts over this many seconds.
fn measured(did: &Counts, seconds: f64) -> impl Fn(&str) -> f64 {
    let [reads, writes, read, written, reading, writing, busy] = *did;
    let share = |of: f64, by: f64| if by > 0.0 { of / by } else { 0.0 };
    move |field| match field {
        "svctm" => share(busy, reads + writes),
        "avgwait" => share(reading + writing, reads + writes),
        "avgrdwait" => share(reading, reads),
        "avgwrwait" => share(writing, writes),
        "util" => busy / seconds * 100.0,
        "rdbytes" => read / seconds,
        "wrbytes" => written / seconds,
        "rdio" => reads / seconds,
        "wrio" => writes / seconds,
        "avgrdrqsz" => share(read / 1e3, reads),
        "avgwrrqsz" => share(written / 1e3, writes),
        _ => f64::NAN,
    }
}

pub(super) fn values(
    p: &Picture<'_>,
    sys: &Path,
    history: &mut History,
    name: &str,
    out: &mut String,
) -> bool {
    let Some(disks) = there(p, name) else { return false };
    let before = history.before(p.now);
    // A counter that began again since then has counted everything since then.
    let did = |device: &str, counts: &Counts| -> Option<Did> {
        let (then, before) = before?;
        let before = before.get(device)?;
        let mut did = *counts;
        for (did, before) in did.iter_mut().zip(before) {
            *did -= if *did >= *before { *before } else { 0.0 };
        }
        Some((did, (p.now - then) as f64 / 1e3))
    };
    let names: Vec<String> = disks.keys().map(|device| pretty(sys, device)).collect();
    let ids = clean_fields(names.iter().map(|disk| (&**disk, &**disk)));
    let counts = disks.iter().map(|(device, c)| (waits(c), did(device, c)));
    let told: Vec<(String, bool, Option<Did>)> =
        ids.into_iter().zip(counts).map(|(id, (waits, did))| (id, waits, did)).collect();
    let value = |did: &Option<Did>, field: &str| {
        did.as_ref().map_or(f64::NAN, |(did, seconds)| measured(did, *seconds)(field))
    };
    for kind in &KINDS {
        let _unused = writeln!(out, "multigraph {name}_{}", kind.name);
        for (id, _, did) in told.iter().filter(|(_, waits, _)| !kind.waits || *waits) {
            for (field, _) in kind.all_fields {
                put(out, &format!("{id}_{field}"), value(did, field), false);
            }
        }
    }
    for (id, waits, did) in &told {
        for kind in KINDS.iter().filter(|k| !k.waits || *waits) {
            let _unused = writeln!(out, "multigraph {name}_{}.{id}", kind.name);
            for (field, _) in kind.one_fields {
                put(out, field, value(did, field), false);
            }
        }
    }
    history.note(p.now, disks);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_belong_to_their_disks() {
        for (device, of, part) in [
            ("sda1", "sda", true),
            ("sdaa", "sda", false),
            ("nvme0n1p2", "nvme0n1", true),
            ("nvme0n12", "nvme0n1", false),
            ("md1p1", "md1", true),
            ("sda", "sda", false),
        ] {
            assert_eq!(is_part(device, of), part, "{device} {of}");
        }
    }

    #[test]
    fn volumes_have_the_names_of_lvm() {
        assert_eq!(volume("vg-root").as_deref(), Some("vg/root"));
        assert_eq!(volume("my--vg-my--root").as_deref(), Some("my-vg/my-root"));
        assert_eq!(volume("secret"), None);
        assert_eq!(volume("a--b"), None);
    }

    #[test]
    fn what_was_done_since_then() {
        let did = [2.0, 2.0, 8_000.0, 4_000.0, 0.5, 1.5, 1.0];
        let value = measured(&did, 10.0);
        let fields = ["svctm", "avgwait", "avgrdwait", "util", "wrbytes", "rdio", "avgrdrqsz"];
        assert_eq!(fields.map(value), [0.25, 0.5, 0.25, 10.0, 400.0, 0.2, 4.0]);
        assert_eq!(measured(&[0.0; 7], 10.0)("avgwait"), 0.0);
    }

    #[test]
    fn the_moment_nearest_to_five_minutes_ago() {
        let mut history = History::default();
        for at in [0, 100, 105, 150, 400, 401] {
            history.note(at * 1_000, BTreeMap::new());
        }
        let moments: Vec<i64> = history.0.iter().map(|(ts, _)| ts / 1_000).collect();
        assert_eq!(moments, [0, 100, 105, 150, 400], "one that is too near is left out");
        assert_eq!(history.before(405_000).map(|(ts, _)| *ts), Some(105_000));
        history.note(520_000, BTreeMap::new());
        assert_eq!(history.0.front().map(|(ts, _)| *ts), Some(100_000));
        assert_eq!(history.before(50_000), None);
    }
}
