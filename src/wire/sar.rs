//! wire: the output of sysstat's `sadf -j`: moment by moment, as keys and values.
//!
//! Source: sysstat 12.7, `sadf(1)`, `json_stats.c` and `sar(1)` for the meaning of each number.
//! Numbers that node_exporter has, too, except for their unit, get its names. Values that sar
//! computes from counters (rates, shares) have no such name, and are `sar_SECTION_FIELD`.

use serde_json::Value;

use crate::model::{Labels, write_key};
use crate::wire::time::parse_when;

/// Section, field, name, factor to the base unit. A flat table.
const SAME: &[(&str, &str, &str, f64)] = &[
    ("queue", "ldavg-1", "node_load1", 1.0),
    ("queue", "ldavg-5", "node_load5", 1.0),
    ("queue", "ldavg-15", "node_load15", 1.0),
    ("queue", "blocked", "node_procs_blocked", 1.0),
    ("memory", "memfree", "node_memory_MemFree_bytes", 1024.0),
    ("memory", "avail", "node_memory_MemAvailable_bytes", 1024.0),
    ("memory", "buffers", "node_memory_Buffers_bytes", 1024.0),
    ("memory", "cached", "node_memory_Cached_bytes", 1024.0),
    ("memory", "commit", "node_memory_Committed_AS_bytes", 1024.0),
    ("memory", "active", "node_memory_Active_bytes", 1024.0),
    ("memory", "inactive", "node_memory_Inactive_bytes", 1024.0),
    ("memory", "dirty", "node_memory_Dirty_bytes", 1024.0),
    ("memory", "anonpg", "node_memory_AnonPages_bytes", 1024.0),
    ("memory", "slab", "node_memory_Slab_bytes", 1024.0),
    ("memory", "kstack", "node_memory_KernelStack_bytes", 1024.0),
    ("memory", "pgtbl", "node_memory_PageTables_bytes", 1024.0),
    ("memory", "vmused", "node_memory_VmallocUsed_bytes", 1024.0),
    ("memory", "swpfree", "node_memory_SwapFree_bytes", 1024.0),
    ("memory", "swpcad", "node_memory_SwapCached_bytes", 1024.0),
    ("kernel", "file-nr", "node_filefd_allocated", 1.0),
    ("net-sock", "totsck", "node_sockstat_sockets_used", 1.0),
    ("net-sock", "tcpsck", "node_sockstat_TCP_inuse", 1.0),
    ("net-sock", "udpsck", "node_sockstat_UDP_inuse", 1.0),
    ("net-sock", "tcp-tw", "node_sockstat_TCP_tw", 1.0),
];

/// Sections within sections end here.
const DEEPEST: usize = 4;

/// The host that the text is of, from its head.
pub fn node_name(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("\"nodename\":")?;
    rest.split('"').nth(1).filter(|name| !name.is_empty())
}

/// Reads one element of `statistics`: each number with its key and the moment in ms since 1970 UTC,
/// at which sar took it. A moment without statistics (a restart) has none.
pub fn moment(text: &str, mut each: impl FnMut(&str, i64, f64)) -> Result<(), String> {
    let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let Value::Object(sections) = value else { return Err("this is no object".to_owned()) };
    let Some(stamp) = sections.get("timestamp") else { return Ok(()) };
    let word = |name: &str| stamp.get(name).and_then(Value::as_str);
    let (Some(date), Some(time)) = (word("date"), word("time")) else {
        return Err("a timestamp without date and time".to_owned());
    };
    if stamp.get("utc").and_then(Value::as_u64) != Some(1) {
        return Err("its times are local; they have to be UTC".to_owned());
    }
    let ts = parse_when(&format!("{date} {time}"), 0).map_err(|e| e.to_string())?;
    let mut key = String::new();
    for (name, section) in sections.iter().filter(|(name, _)| *name != "timestamp") {
        let mut put = |section: &str, field: &str, labels: &Labels, value: f64| {
            let same = SAME.iter().find(|(s, f, ..)| *s == section && *f == field);
            let (name, factor) = match same.filter(|_| labels.is_empty()) {
                Some((.., name, factor)) => ((*name).to_owned(), *factor),
                None => (metric(section, field), 1.0),
            };
            key.clear();
            write_key(&mut key, &name, labels.iter());
            each(&key, ts, value * factor);
        };
        walk(name, section, &mut put, 0);
    }
    Ok(())
}

fn walk(
    section: &str,
    value: &Value,
    put: &mut impl FnMut(&str, &str, &Labels, f64),
    depth: usize,
) {
    if depth > DEEPEST {
        return;
    }
    match value {
        Value::Array(rows) => rows.iter().for_each(|row| walk(section, row, put, depth + 1)),
        Value::Object(fields) => {
            // The subject of a row is its first field, or a text: a disk, an interface, a line.
            let labels = Labels::new(fields.iter().enumerate().filter_map(|(i, (name, value))| {
                let of = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(n) if i == 0 && is_name(name) => n.to_string(),
                    _ => return None,
                };
                Some((name.replace('-', "_"), of))
            }));
            for (i, (name, value)) in fields.iter().enumerate() {
                match value {
                    Value::Number(n) if i > 0 || !is_name(name) => {
                        if let Some(value) = n.as_f64() {
                            put(section, name, &labels, value);
                        }
                    }
                    Value::Object(_) | Value::Array(_) => walk(name, value, put, depth + 1),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// Numbers that are names.
fn is_name(field: &str) -> bool {
    matches!(field, "line" | "number" | "cpu" | "bus_number" | "bus" | "intr" | "node")
}

fn metric(section: &str, field: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("sar_{section}_{field}").chars().map(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment() {
        let text = r#"{"timestamp": {"date": "2026-11-22", "time": "22:26:28", "utc": 1, "interval": 1},
            "cpu-load": [{"cpu": "all", "usr": 95.52}],
            "io": {"tps": 11.88, "io-reads": {"rtps": 5.94}},
            "memory": {"memfree": 16, "memused-percent": 10.13},
            "queue": {"ldavg-1": 4.51}, "serial": [{"line": 0, "rcvin": 1.5}],
            "network": {"net-dev": [{"iface": "eth0", "rxkB": 2.5}]}}"#;
        let mut got = Vec::new();
        moment(text, |key, ts, value| got.push((key.to_owned(), ts, value))).expect("reads");
        let at = 1_795_386_388_000;
        let want = [
            (r#"sar_cpu_load_usr{cpu="all"}"#, 95.52),
            ("sar_io_tps", 11.88),
            ("sar_io_reads_rtps", 5.94),
            ("node_memory_MemFree_bytes", 16_384.0),
            ("sar_memory_memused_percent", 10.13),
            ("node_load1", 4.51),
            (r#"sar_serial_rcvin{line="0"}"#, 1.5),
            (r#"sar_net_dev_rxkB{iface="eth0"}"#, 2.5),
        ];
        let want: Vec<_> = want.iter().map(|(k, v)| ((*k).to_owned(), at, *v)).collect();
        assert_eq!(got, want);
        assert!(moment("[]", |_, _, _| ()).is_err());
        let local = text.replace("\"utc\": 1", "\"utc\": 0");
        assert!(moment(&local, |_, _, _| ()).is_err());
        assert_eq!(node_name("{\"hosts\": [{\"nodename\": \"vm\", "), Some("vm"));
    }
}
