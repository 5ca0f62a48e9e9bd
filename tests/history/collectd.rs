//! tests: the files that a real collectd writes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::*;
use crate::tool::*;

fn files(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            out.extend(files(&entry.path()))
        } else {
            out.push(entry.path())
        }
    }
    out
}

/// What collectd's write_prometheus says: kinds by key, without its label for the host.
fn exported(port: u16) -> BTreeMap<String, String> {
    use std::io::{Read, Write};
    let page = eventually("its page", PATIENCE, || -> Result<String, String> {
        let mut stream =
            std::net::TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").map_err(|e| e.to_string())?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map_err(|e| e.to_string())?;
        if text.contains("collectd_load") { Ok(text) } else { Err(text) }
    });
    let (mut out, mut kinds) = (BTreeMap::new(), BTreeMap::new());
    for line in page.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            kinds.insert(name.to_owned(), kind.trim().to_owned());
            continue;
        }
        let Some((name, rest)) = line.split_once('{').filter(|(n, _)| n.starts_with("collectd_"))
        else {
            continue;
        };
        let Some((labels, _)) = rest.rsplit_once('}') else { continue };
        // None of these values has a comma in it.
        let mut labels: Vec<&str> =
            labels.split(',').filter(|l| !l.starts_with("instance=")).collect();
        labels.sort_unstable();
        let key = if labels.is_empty() {
            name.to_owned()
        } else {
            format!("{name}{{{}}}", labels.join(","))
        };
        out.insert(key, kinds.get(name).cloned().unwrap_or_default());
    }
    out
}

#[test]
fn a_real_collectd() {
    let folder = Folder::new();
    folder.configure("");
    let base = folder.path().display().to_string();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("bound").port();
    drop(free);
    let config = format!(
        "Hostname \"localhost\"\nFQDNLookup false\nBaseDir \"{base}\"\nPIDFile \"{base}/pid\"\n\
         TypesDB \"/usr/share/collectd/types.db\"\nInterval 1\nLoadPlugin load\nLoadPlugin cpu\n\
         LoadPlugin memory\nLoadPlugin df\nLoadPlugin disk\nLoadPlugin interface\nLoadPlugin swap\n\
         LoadPlugin uptime\nLoadPlugin users\nLoadPlugin processes\nLoadPlugin rrdtool\n\
         LoadPlugin write_prometheus\n<Plugin write_prometheus>\n Port \"{port}\"\n</Plugin>\n\
         <Plugin rrdtool>\n DataDir \"{base}/rrd\"\n RRARows 100\n CacheTimeout 1\n</Plugin>\n"
    );
    std::fs::write(folder.join("collectd.conf"), config).expect("written");
    let sbin = "/usr/sbin/collectd";
    assert!(
        std::path::Path::new(sbin).exists(),
        "apt-get install --no-install-recommends collectd-core"
    );
    let mut child = std::process::Command::new(sbin)
        .args(["-f", "-C"])
        .arg(folder.join("collectd.conf"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("collectd starts");
    let load = folder.join("rrd/localhost/load/load.rrd");
    eventually("rows of the load", PATIENCE, || {
        let rows = load.exists().then(|| rrdtool(&format!("lastupdate {}\n", load.display())));
        let newest =
            rows.and_then(|r| r.lines().find_map(|l| l.split_once(": ")?.0.parse::<i64>().ok()));
        let count = files(&folder.join("rrd")).len();
        match newest {
            Some(ts) if ts > now_ms() / 1000 - 5 && count > 5 => Ok(()),
            other => Err(format!("{other:?}, {count} files")),
        }
    });
    pause(std::time::Duration::from_secs(4));
    let page = exported(port);
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it is ours");
    child.wait().expect("it ends");
    let dir = folder.join("rrd").display().to_string();
    folder.ask(&["import", "collectd", "--dir", &dir]).well();
    let file = File::open(&folder.db());
    let now = now_ms() / 1000;
    let mut compared = 0;
    for (rrd, source, key) in [
        ("load/load.rrd", 0, "collectd_load_shortterm"),
        ("load/load.rrd", 2, "collectd_load_longterm"),
        ("memory/memory-free.rrd", 0, "collectd_memory{memory=\"free\"}"),
    ] {
        let rows = fetch(
            &folder.join(&format!("rrd/localhost/{rrd}")),
            "AVERAGE",
            1,
            now - 60,
            now,
            source,
        );
        let samples = file.samples(key);
        for (ts, value) in rows.iter().filter(|(_, v)| !v.is_nan()) {
            assert!(agree(samples.get(ts).copied(), *value), "{key} at {ts}");
            compared += 1;
        }
    }
    assert!(compared > 3, "{compared} rows");
    // Every name is one that its own exporter gives to the same reading, of the same kind.
    let ours = sqlite3(
        &folder.db(),
        "select key, kind from series where name like 'collectd_%' and name not like '%:rate'",
    );
    let ours: Vec<(&str, &str)> = ours.lines().filter_map(|l| l.rsplit_once('|')).collect();
    for (key, kind) in &ours {
        let theirs = page.get(*key).map(String::as_str);
        assert_eq!(theirs, Some(*kind), "{key}: {:?}", page.keys().take(400).collect::<Vec<_>>());
    }
    let plugins: std::collections::BTreeSet<&str> =
        ours.iter().filter_map(|(key, _)| key.split(['_', '{']).nth(1)).collect();
    assert!(plugins.len() >= 6 && ours.len() > 30, "{plugins:?}");
    let kinds = sqlite3(
        &folder.db(),
        "select key, kind from series where name = 'collectd_cpu_total' order by key limit 1",
    );
    assert!(
        kinds.starts_with("collectd_cpu_total{cpu=\"0\",type=\"") && kinds.ends_with("counter"),
        "{kinds}"
    );
    // What lies elsewhere in the tree is told.
    std::fs::create_dir_all(folder.join("rrd/localhost/a/b")).expect("made");
    std::fs::copy(&load, folder.join("rrd/localhost/a/b/c.rrd")).expect("copied");
    let said = folder.ask(&["import", "collectd", "--dir", &dir]);
    assert!(said.err.contains("HOST/PLUGIN/TYPE.rrd"), "{said:?}");
}
