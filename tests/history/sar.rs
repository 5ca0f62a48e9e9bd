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
