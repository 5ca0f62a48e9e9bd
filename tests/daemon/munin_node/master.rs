//! Debian's `munin-update` asks plimsoll and the real munin-node, and the RRD files that it writes of
//! the two are alike.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::*;
use crate::plugins::debian::Node;
use crate::plugins::plugins;

/// What plimsoll has of its own, as Debian's plugins.
const PLUGINS: [&str; 11] = [
    "load",
    "df",
    "df_inode",
    "memory",
    "cpu",
    "diskstats",
    "swap",
    "uptime",
    "forks",
    "interrupts",
    "open_files",
];

/// What `rrdtool info` says of one file.
#[derive(Debug, PartialEq, Clone)]
struct Rrd {
    kind: String,
    min: String,
    max: String,
    last: Option<f64>,
}

/// One run of munin-update, with folders of its own; what it wrote, by service and field.
fn update(
    folder: &Folder,
    run_name: &str,
    host: &str,
    address: SocketAddr,
    more: &str,
) -> BTreeMap<String, Rrd> {
    let dir = folder.join(run_name);
    for part in ["", "db", "db/group", "html", "log", "run"] {
        std::fs::create_dir_all(dir.join(part)).expect("made");
        open(&dir.join(part));
    }
    let here = dir.display();
    let conf = format!(
        "dbdir {here}/db\nhtmldir {here}/html\nlogdir {here}/log\nrundir {here}/run\n{more}\n\
         [group;{host}]\n    address 127.0.0.1\n    port {}\n    use_node_name no\n",
        address.port()
    );
    std::fs::write(dir.join("munin.conf"), conf).expect("written");
    tool("rrdtool", "rrdtool");
    assert!(Path::new("/usr/share/munin/munin-update").is_file(), "apt-get install munin");
    let said = run(tool("setpriv", "util-linux")
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
        .args(["/usr/share/munin/munin-update", "--nofork", "--config_file"])
        .arg(dir.join("munin.conf"))
        .current_dir("/"));
    let log = std::fs::read_to_string(dir.join("log/munin-update.log")).unwrap_or_default();
    assert!(said.status.success(), "{said:?}\n{log}");
    let faults: Vec<&str> =
        log.lines().filter(|l| l.contains("[ERROR]") || l.contains("[FATAL]")).collect();
    // It tunes each file before it makes it.
    let fault = faults.iter().find(|l| !l.contains("Tuning "));
    assert!(fault.is_none(), "{fault:?}");
    let mut out = BTreeMap::new();
    let mut folders = vec![dir.join("db/group")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(field) = name.strip_suffix(".rrd") else { continue };
            let field = field.strip_prefix(&format!("{host}-")).expect("of this host").to_owned();
            out.insert(field, info(&path));
        }
    }
    assert!(!out.is_empty(), "{log}");
    out
}

fn info(path: &Path) -> Rrd {
    let text = run(tool("rrdtool", "rrdtool").arg("info").arg(path)).well();
    let value = |key: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(&format!("ds[42].{key} = ")));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    let last = value("last_ds").parse().ok().filter(|v: &f64| v.is_finite());
    Rrd { kind: value("type"), min: value("min"), max: value("max"), last }
}

/// The real plugins, enabled.
fn enable(dir: &Path, more: &[String]) {
    for name in PLUGINS.iter().map(|n| (*n).to_owned()).chain(more.iter().cloned()) {
        let of = match &*name {
            n if n.starts_with("if_err_") => "if_err_",
            n if n.starts_with("if_") => "if_",
            n => n,
        };
        let plugin = Path::new("/usr/share/munin/plugins").join(of);
        assert!(plugin.exists(), "apt-get install munin-plugins-core");
        std::os::unix::fs::symlink(plugin, dir.join(name)).expect("linked");
    }
}

#[test]
fn munin_update_writes_the_same_files_of_both() {
    let folder = Folder::new();
    let dir = plugins(&folder);
    let (daemon, address) = node(&folder, "");
    measured(&daemon);
    let mut line = Line::to(address);
    line.say("cap multigraph");
    line.line();
    line.say("list");
    let list = line.line();
    let interfaces: Vec<String> =
        list.split_whitespace().filter(|n| n.starts_with("if_")).map(str::to_owned).collect();
    enable(&dir, &interfaces);
    let real = Node::start(&folder, &dir);
    let before = update(&folder, "before", "here", real.address, "");
    // So that what was measured between the two is at hand.
    let now = now_ms();
    eventually("a beat", PATIENCE, || {
        let newest = newest(&folder.db()).filter(|ts| *ts > now + 1_000);
        newest.map(drop).ok_or_else(|| "not yet".to_owned())
    });
    let ours = update(&folder, "ours", "ours", address, "");
    eventually("a second", PATIENCE, || {
        (now_ms() > now + 2_000).then_some(()).ok_or_else(|| "not yet".to_owned())
    });
    let theirs = update(&folder, "after", "here", real.address, "");
    // Which mounts and disks a container shows to which of the two is another matter.
    let some = |field: &str| {
        field.starts_with("df-") || field.starts_with("df_inode-") || field.starts_with("diskstats")
    };
    let all = |of: &BTreeMap<String, Rrd>| -> Vec<String> {
        of.keys().filter(|f| !some(f)).cloned().collect()
    };
    assert_eq!(all(&ours), all(&theirs));
    assert!(all(&ours).len() > 30, "{:?}", all(&ours));
    let disks = ours.keys().filter(|f| some(f)).count();
    assert!(disks > 0 || !list.contains("df"), "{list}");
    let total =
        theirs["memory-apps-g"].last.expect("known") + theirs["memory-free-g"].last.expect("known");
    let mut compared = 0;
    for (field, mine) in &ours {
        let real = theirs.get(field).unwrap_or_else(|| panic!("munin-node has no {field}"));
        let shape = |r: &Rrd| (r.kind.clone(), r.min.clone(), r.max.clone());
        assert_eq!(shape(mine), shape(real), "{field}");
        let (Some(a), Some(b)) = (before.get(field).and_then(|r| r.last), real.last) else {
            continue;
        };
        // Not collected: it is part of another field.
        let Some(value) = mine.last.filter(|_| field != "cpu-guest-d") else {
            assert!(field == "cpu-guest-d" || field.starts_with("diskstats"), "{field} is unknown");
            continue;
        };
        // Between what the real one said before and after, and somewhat beside for what goes up and down.
        let slack = match &*field.split('-').next().unwrap_or_default().to_owned() {
            _ if mine.kind != "GAUGE" => 0.02 * a.abs().max(100.0),
            "memory" => 0.05 * total,
            "load" => 2.0,
            "open_files" => 0.2 * a,
            "df" | "df_inode" => 2.0,
            "uptime" => 0.011,
            _ => f64::INFINITY,
        };
        assert!(value >= a.min(b) - slack && value <= a.max(b) + slack, "{field}: {a} {value} {b}");
        compared += 1;
    }
    assert!(compared > 30, "{compared}");
    drop(real);
    daemon.stop();
    // All of that tree comes back by an import, under the names that the plugins have here.
    let other = Folder::new();
    other.configure("");
    let dir = folder.join("after/db").display().to_string();
    let words = ["import", "munin", "--dir", &dir, "--host", "here", "--plugins", "/nonexistent"];
    let said = other.ask(&words).well();
    assert!(said.starts_with(&format!("{} files read", theirs.len())), "{said}");
    let known = sqlite3(&other.db(), "select key, kind from series where system_id = 1");
    for key in [
        "munin_load{field=\"load\"}|gauge",
        "munin_cpu{field=\"user\"}|counter",
        "munin_memory{field=\"free\"}|gauge",
        "munin_interrupts{field=\"ctx\"}|counter",
        "munin_uptime{field=\"uptime\"}|gauge",
    ] {
        assert!(known.lines().any(|l| l == key), "{key}: {known}");
    }
}

#[test]
fn munin_update_by_tls() {
    let folder = Folder::new();
    plugins(&folder);
    let files = certificate(&folder);
    let (daemon, address) = node(&folder, &files);
    measured(&daemon);
    // `enabled`: it goes on without TLS under no circumstances.
    let tls = "tls enabled\ntls_verify_certificate no\n";
    let written = update(&folder, "tls", "ours", address, tls);
    assert_eq!(written["load-load-g"].kind, "GAUGE");
    assert_eq!(written["cpu-user-d"].kind, "DERIVE");
    // Without a certificate there is none.
    daemon.stop();
}

#[test]
fn what_a_master_missed_comes_with_its_times() {
    let folder = Folder::new();
    plugins(&folder);
    // Two hours of load, a value every minute, from before the daemon was started.
    let (daemon, address) = node(&folder, "spool = true\n");
    measured(&daemon);
    daemon.stop();
    let start = now_ms() / 300_000 * 300_000 - 7_200_000;
    let mut rows = String::from("BEGIN;");
    let db = folder.db();
    let id = sqlite3(&db, "SELECT _id FROM series WHERE key = 'node_load5'");
    for minute in 0..110 {
        let ts = start + minute * 60_000;
        rows.push_str(&format!("INSERT INTO samples VALUES ({ts}, {}, {minute});", id.trim()));
    }
    sqlite3(&db, &(rows + "COMMIT;"));
    let (daemon, address) = {
        let _before = address;
        node(&folder, "spool = true\n")
    };
    measured(&daemon);
    let mut line = Line::to(address);
    line.say("cap multigraph dirtyconfig");
    assert_eq!(line.line(), "cap multigraph dirtyconfig spool\n");
    let since = start / 1_000 + 600;
    let told = line.ask(&format!("spoolfetch {since}"));
    let values: Vec<&str> = told.lines().filter(|l| l.starts_with("load.value ")).collect();
    assert_eq!(values[0], format!("load.value {}:15", since + 300), "{told}");
    assert_eq!(values[1], format!("load.value {}:20", since + 600));
    assert!(values.len() >= 19, "{values:?}");
    assert!(told.contains("multigraph load\ngraph_title Load average\n"), "{told}");
    // Nothing new: nothing told.
    let next = line.ask(&format!("spoolfetch {}", now_ms() / 1_000));
    assert_eq!(next, "");
    // The real master takes it.
    let written = update(&folder, "spool", "ours", address, "");
    assert_eq!(written["load-load-g"].kind, "GAUGE");
    let rrd = std::process::Command::new("find")
        .arg(folder.join("spool/db"))
        .args(["-name", "ours-load-load-g.rrd"])
        .output()
        .expect("find");
    let rrd = String::from_utf8_lossy(&rrd.stdout).trim().to_owned();
    let fetched = run(tool("rrdtool", "rrdtool")
        .args(["fetch", &rrd, "AVERAGE", "-s"])
        .arg((since + 900).to_string())
        .arg("-e")
        .arg((since + 1_200).to_string()))
    .well();
    let known = fetched.lines().filter(|l| l.contains(": ") && !l.contains("nan")).count();
    assert!(known >= 1, "{fetched}");
    daemon.stop();
    the_tree_comes_back(&folder.join("spool/db"), Path::new(&rrd));
}

/// What the real master wrote, imported: every file of it under the name that its plugin has here,
/// with the titles of its `datafile`, and each row of one as rrdtool has it.
fn the_tree_comes_back(tree: &Path, load: &Path) {
    let folder = Folder::new();
    folder.configure("");
    let dir = tree.display().to_string();
    let words = ["import", "munin", "--dir", &dir, "--host", "ours", "--plugins", "/nonexistent"];
    let said = folder.ask(&words).well();
    let reader = plimsoll::store::Reader::open(&folder.db()).expect("opens");
    let known = reader.series().expect("reads");
    assert!(said.starts_with("1 file read"), "{said}");
    let title = "select title from graphs where graph = 'munin/load'";
    assert_eq!(sqlite3(&folder.db(), title), "Load average");
    let id = known.iter().find(|k| k.key == "munin_load{field=\"load\"}").expect("there").id;
    let (times, values) = reader.samples(id, i64::MIN, i64::MAX).expect("reads");
    let now = now_ms() / 1_000;
    let fetched = run(tool("rrdtool", "rrdtool").arg("fetch").arg(load).args([
        "AVERAGE",
        "-r",
        "300",
        "-s",
        &(now - 10_800).to_string(),
        "-e",
        &now.to_string(),
    ]))
    .well();
    let mut rows = 0;
    for line in fetched.lines() {
        let Some((ts, value)) = line.split_once(": ") else { continue };
        let (ts, value): (i64, f64) =
            (ts.trim().parse().expect("a time"), value.trim().parse().expect("a number"));
        let at = times.iter().position(|t| *t == ts * 1_000);
        if value.is_nan() {
            assert_eq!(at, None, "{line}");
        } else {
            let ours = values[at.unwrap_or_else(|| panic!("{line}: {times:?}"))];
            assert!((ours - value).abs() <= 1e-9 * value.abs(), "{line}: {ours}");
            rows += 1;
        }
    }
    assert!(rows > 10 && rows == times.len(), "{rows} of {}: {fetched}", times.len());
}
