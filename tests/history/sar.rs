//! tests: what sadc wrote, against what sar says of it.

use crate::support::*;
use crate::tool::*;

#[test]
fn what_sadc_wrote() {
    let folder = Folder::new();
    folder.configure("");
    let file = folder.join("sa").display().to_string();
    run(tool("/usr/lib/sysstat/sadc", "sysstat").args(["-S", "ALL", "1", "3", &file])).well();
    folder.ask(&["import", "sar", &file]).well();
    let imported = File::open(&folder.db());
    // timestamp;… as sadf -d prints them.
    let said = |options: &[&str]| {
        let mut command = tool("sadf", "sysstat");
        run(command
            .args(["-d", "-U", &file, "--"])
            .args(options)
            .env("LC_ALL", "C")
            .env("TZ", "UTC"))
        .well()
    };
    let table = |options: &[&str], column: &str, row: &str| -> Vec<(i64, f64)> {
        let text = said(options);
        let mut at = 0;
        let mut out = Vec::new();
        for line in text.lines() {
            let cells: Vec<&str> = line.split(';').collect();
            if line.starts_with('#') {
                at = cells.iter().position(|c| *c == column).expect("the column");
            } else if row.is_empty() || cells.contains(&row) {
                out.push((cells[2].parse().expect("a time"), cells[at].parse().expect("a number")));
            }
        }
        assert!(!out.is_empty(), "{text}");
        out
    };
    for (options, column, row, key, factor) in [
        (&["-q"][..], "ldavg-1", "", "node_load1", 1.0),
        (&["-r", "ALL"], "kbmemfree", "", "node_memory_MemFree_bytes", 1024.0),
        (&["-r", "ALL"], "kbdirty", "", "node_memory_Dirty_bytes", 1024.0),
        (&["-n", "SOCK"], "totsck", "", "node_sockstat_sockets_used", 1.0),
        (&["-w"], "cswch/s", "", "sar_process_and_context_switch_cswch", 1.0),
        (&["-n", "DEV"], "rxkB/s", "lo", "sar_net_dev_rxkB{iface=\"lo\"}", 1.0),
        (&["-u", "ALL"], "%idle", "-1", "sar_cpu_load_idle{cpu=\"all\"}", 1.0),
    ] {
        let samples = imported.samples(key);
        for (ts, value) in table(options, column, row) {
            assert_eq!(samples.get(&ts), Some(&(value * factor)), "{key} at {ts}");
        }
    }
    // Nothing comes twice.
    let count = "select count(*) from samples";
    let once = sqlite3(&folder.db(), count);
    folder.ask(&["import", "sar", &file]).well();
    assert_eq!(sqlite3(&folder.db(), count), once);
    std::fs::write(folder.join("no"), "no sar file").expect("written");
    let refused =
        folder.ask(&["import", "sar", &folder.join("no").display().to_string()]).refused();
    assert!(refused.contains("sadf: "), "{refused}");
    assert!(folder.ask(&["import", "sar", "nowhere"]).refused().contains("nowhere"));
}

/// A `sadf` that prints this and ends like that.
fn stand_in(folder: &Folder, script: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin).expect("made");
    let text = format!("#!/bin/sh\n{script}\n");
    std::fs::write(bin.join("sadf"), text).expect("written");
    std::fs::set_permissions(bin.join("sadf"), PermissionsExt::from_mode(0o755)).expect("modes");
    format!("{}:/usr/bin:/bin", bin.display())
}

#[test]
fn what_sadf_says_of_a_file_that_is_cut_off_is_told() {
    let folder = Folder::new();
    folder.configure("");
    let file = folder.join("sa").display().to_string();
    run(tool("/usr/lib/sysstat/sadc", "sysstat").args(["-S", "ALL", "1", "4", &file])).well();
    let bytes = std::fs::read(&file).expect("reads");
    std::fs::write(&file, &bytes[..bytes.len() - 500]).expect("written");
    let said = folder.ask(&["import", "sar", &file]);
    assert!(said.status.success(), "{said:?}");
    assert!(said.err.contains("sadf: End of system activity file unexpected"), "{said:?}");
    assert_eq!(said.err.matches("unexpected").count(), 1, "once: {said:?}");
}

#[test]
fn a_sadf_that_fails_says_why_and_costs_its_file_only() {
    let folder = Folder::new();
    folder.configure("");
    let moment = |text: &str| format!("printf '\\t\\t\\t\\t{{\\n%s\\n\\t\\t\\t\\t}},\\n' '{text}'");
    let good = moment(
        r#""timestamp": {"date": "2026-11-22", "time": "22:26:28", "utc": 1}, "queue": {"ldavg-1": 4.5}"#,
    );
    let bad = moment(r#""timestamp": {"date": "yesterday", "time": "x", "utc": 1}"#);
    let flood = "head -c 300000 /dev/zero | tr '\\0' 'x' >&2";
    // By the file that it is asked for: $3.
    let script = format!(
        "case $3 in */killed) {good}; kill -SEGV $$;; */silent) exit 3;; \
         */odd) {bad}; {good}; {flood};; *) {good}; esac"
    );
    let path = stand_in(&folder, &script);
    let files = ["killed", "silent", "odd", "fine"].map(|name| {
        std::fs::write(folder.join(name), "x").expect("written");
        folder.join(name).display().to_string()
    });
    let mut words = vec!["import", "sar"];
    words.extend(files.iter().map(String::as_str));
    let said = run(folder.plimsoll(&words).env("PATH", path));
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    for told in [
        "killed: signal 11 ended sadf; the samples before that were imported",
        "silent: sadf failed without a message: exit status: 3",
        "odd: 1 moment was left out",
        "2 files could not be imported",
    ] {
        assert!(said.err.contains(told), "{told}: {said:?}");
    }
    assert!(said.out.starts_with("3 samples imported"), "{said:?}");
    assert_eq!(sqlite3(&folder.db(), "select key, value from metrics"), "node_load1|4.5");
}
