//! tests: a Munin master's folder: at each of its four resolutions what rrdtool says; once and not
//! twice; after a kill; beside a daemon that records the same plugins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::*;
use crate::tool::*;

const DAY: i64 = 86_400;
pub const HOST: &str = "localhost.localdomain";

/// How a value goes over time, of each type.
fn value(kind: char, i: i64) -> String {
    let noise = (i * 7919).rem_euclid(1009);
    match kind {
        // Hours are missing each week, and a moment now and then.
        'g' if i % 2016 < 40 || i % 97 == 0 => "U".to_owned(),
        'g' => format!("{}", noise as f64 / 8.0 - 20.0),
        // Nothing is missing.
        'w' => format!("{}", noise as f64 / 8.0),
        'D' => format!("{}", 5_000_000_000 + i * 90_000 + noise),
        'd' if i % 3000 < 20 => "U".to_owned(),
        'd' => format!("{}", 5_000_000_000 + i * 90_000 + noise),
        // Wraps at 2^32.
        'c' => format!("{}", (i * 40_000_000 + noise).rem_euclid(1 << 32)),
        _ => format!("{}", noise * 3),
    }
}

pub fn make_one(path: &Path, kind: char, until: i64, days: i64) {
    let (name, min) = match kind {
        'g' => ("GAUGE", "U"),
        'w' => ("GAUGE", "U"),
        'd' | 'D' => ("DERIVE", "0"),
        'c' => ("COUNTER", "U"),
        _ => ("ABSOLUTE", "U"),
    };
    let count = days * 288;
    let updates: Vec<(i64, String)> =
        (0..count).map(|i| (until - (count - 1 - i) * 300 + 7, value(kind, i))).collect();
    make(path, 300, &format!("DS:42:{name}:600:{min}:U"), MUNIN_ROWS, &updates);
}

/// A master's folder with a field of each type.
fn tree(folder: &Folder, until: i64, days: i64) -> PathBuf {
    let dir = folder.join("munin");
    let group = dir.join("localdomain");
    std::fs::create_dir_all(&group).expect("made");
    for kind in ['g', 'd', 'c', 'a'] {
        make_one(&group.join(format!("{HOST}-room-x{kind}-{kind}.rrd")), kind, until, days);
    }
    let line = |rest: &str| format!("localdomain;{HOST}:room.{rest}\n");
    let text = [
        "graph_title The room",
        "graph_category house",
        "xg.label warm",
        "xg.info How warm it is",
        "xd.type DERIVE",
        "xd.min 0",
        "xc.type COUNTER",
        "xa.type ABSOLUTE",
        "xg.warning 40",
    ];
    let text: String = text.iter().map(|rest| line(rest)).collect();
    std::fs::write(dir.join("datafile"), format!("version 2.0.73\n{text}")).expect("written");
    dir
}

pub fn import(folder: &Folder, dir: &Path, more: &[&str]) -> Said {
    let dir = dir.display().to_string();
    let mut words = vec!["import", "munin", "--dir", &dir, "--plugins", NO_PLUGINS];
    words.extend(more);
    folder.ask(&words)
}

/// The rows of each length that nothing finer tells of: length, and where they begin and end.
fn eras(until: i64) -> Vec<(i64, i64, i64)> {
    let newest = |span: i64| until + 7 - (until + 7) % span;
    let mut to = i64::MAX;
    let mut out = Vec::new();
    for (span, rows) in [(300, 576), (1_800, 432), (7_200, 540), (DAY, 450)] {
        let from = newest(span) - rows * span;
        out.push((span, from, newest(span).min(to)));
        to = from;
    }
    out
}

#[test]
fn each_row_of_each_resolution_is_what_rrdtool_says() {
    let folder = Folder::new();
    folder.configure("");
    let until = recent();
    let dir = tree(&folder, until, 80);
    let said = import(&folder, &dir, &[]).well();
    assert!(said.starts_with("4 files read"), "{said}");
    let file = File::open(&folder.db());
    let gauge = dir.join(format!("localdomain/{HOST}-room-xg-g.rrd"));
    let key = "munin_room{field=\"xg\"}";
    let samples = file.samples(key);
    let rolled = file.reader.reach().expect("reads").rolled_until / 1000;
    for (span, from, to) in eras(until) {
        let rows = |how| fetch(&gauge, how, span, from, to, 0);
        let (mean, min, max) = (rows("AVERAGE"), rows("MIN"), rows("MAX"));
        let buckets = file.buckets(key, from, to);
        let asked = file.ask(key, from + span, to, span);
        let mut known = 0;
        for (ts, mean) in mean.iter().filter(|(ts, _)| **ts > from && **ts <= to) {
            let what = format!("{span} at {ts}");
            if span == 300 {
                assert!(agree(samples.get(ts).copied(), *mean), "{what}");
            }
            let got = asked.get(ts).copied();
            assert!(agree(got, *mean), "{what}: in PromQL {got:?} {mean}");
            // Buckets of what is not rolled up yet are made of samples, and begin with them.
            if *ts > rolled {
                continue;
            }
            if mean.is_nan() {
                assert!(buckets.range(ts - span + 1..=*ts).next().is_none(), "{what}: a gap");
                continue;
            }
            known += 1;
            let inside: Vec<_> = buckets.range(ts - span + 1..=*ts).map(|(_, b)| *b).collect();
            let weight: f64 = inside.iter().map(|b| b[0]).sum();
            assert_eq!(weight, (span / 300) as f64, "{what}: as many as were measured");
            for [count, sum, low, high, last] in inside {
                assert!(same(last, *mean), "{what}: {last} {mean}");
                assert!(near(sum, mean * count), "{what}");
                assert!(same(low, min[ts]) && same(high, max[ts]), "{what}");
            }
        }
        assert!(known > 30, "{span}: {known} known rows");
    }
    // In SQL, too: a day as one hour's row, by its mean, smallest and largest.
    let (span, from, to) = eras(until)[3];
    let (mean, max) =
        (fetch(&gauge, "AVERAGE", span, from, to, 0), fetch(&gauge, "MAX", span, from, to, 0));
    let (ts, value) = mean.iter().filter(|(_, v)| !v.is_nan()).nth(5).expect("some");
    let sql = format!(
        "select count, mean, max from history where key = '{key}' and timestamp = strftime('%Y-%m-%d %H:%M:%S', {}, 'unixepoch')",
        ts - 3_600
    );
    let row = sqlite3(&folder.db(), &sql);
    let row: Vec<f64> = row.split('|').map(|v| v.parse().expect("a number")).collect();
    assert!(row[0] == 288.0 && near(row[1], *value) && near(row[2], max[ts]), "{row:?} {value}");
    assert_eq!(file.wrong(), Vec::<String>::new());
}

#[test]
fn rates_are_the_same_curves() {
    let folder = Folder::new();
    folder.configure("");
    let until = recent();
    let dir = tree(&folder, until, 80);
    import(&folder, &dir, &[]).well();
    let file = File::open(&folder.db());
    for kind in ['d', 'c', 'a'] {
        let rrd = dir.join(format!("localdomain/{HOST}-room-x{kind}-{kind}.rrd"));
        let key = format!("munin_room{{field=\"x{kind}\"}}");
        for (span, from, to) in eras(until) {
            let mean = fetch(&rrd, "AVERAGE", span, from, to, 0);
            let window = if span == 300 { 600 } else { span };
            let asked = file.ask(&format!("rate({key}[{window}s])"), from + span, to, span);
            let level = file.ask(&format!("{key} offset {}s", window - 300), from + span, to, span);
            let near_zero =
                |ts: i64, gain: f64| level.get(&ts).is_some_and(|v| *v >= 0.0 && *v <= gain);
            let mut known = 0;
            // Up to a whole hour of samples, buckets are asked: the mean of two rows.
            let after = if span == 300 { from + 7_200 } else { from + span };
            for (ts, mean) in mean.iter().filter(|(ts, _)| **ts > after && **ts <= to) {
                let what = format!("{key} {span} at {ts}");
                match asked.get(ts) {
                    Some(got) if !mean.is_nan() => {
                        // Where it was 0, PromQL takes it for a beginning.
                        let zero = near_zero(*ts, *mean * window as f64);
                        assert!(near(*got, *mean) || zero, "{what}: {got}, rrdtool {mean}");
                        known += 1;
                    }
                    got => assert!(
                        mean.is_nan() && got.is_none_or(|g| g.abs() >= 0.0),
                        "{what}: {got:?} {mean}"
                    ),
                }
            }
            assert!(known > 30, "{key} {span}: {known}");
            // The peaks of longer rows.
            if span > 300 {
                let (min, max) =
                    (fetch(&rrd, "MIN", span, from, to, 0), fetch(&rrd, "MAX", span, from, to, 0));
                let buckets = file.buckets(&key.replace('{', ":rate{"), from, to);
                for (ts, max) in
                    max.iter().filter(|(ts, v)| !v.is_nan() && **ts > from && **ts <= to)
                {
                    let [_, _, low, high, last] = buckets[ts];
                    let fits = same(low, min[ts]) && same(high, *max) && same(last, mean[ts]);
                    assert!(fits, "{key} {span} {ts}: {low} {high} {last}");
                }
            }
        }
    }
    // A counter ends where it stood: what the plugin says next goes on from there.
    let (_, end) = file.samples("munin_room{field=\"xd\"}").pop_last().expect("samples");
    let last: f64 = value('d', 80 * 288 - 1).parse().expect("a number");
    assert!((last - end).abs() < 4_000.0, "{end} before {last}");
}

#[test]
fn twice_is_once_and_a_day_later_is_the_day() {
    let folder = Folder::new();
    folder.configure("");
    let until = recent() - DAY;
    let dir = tree(&folder, until, 70);
    import(&folder, &dir, &[]).well();
    let state = "select count(*), sum(length(data)), max(seq) from blocks; \
         select count(*), sum(sum), sum(count) from rollup_1h; select * from state order by name; \
         select * from graphs; select key, kind, help from series";
    let once = sqlite3(&folder.db(), state);
    assert!(once.contains("The room") && once.contains("How warm it is"), "{once}");
    let said = import(&folder, &dir, &[]).well();
    assert!(said.contains("nothing new"), "{said}");
    assert_eq!(sqlite3(&folder.db(), state), once);
    // The master goes on for a day.
    let rrd = dir.join(format!("localdomain/{HOST}-room-xg-g.rrd"));
    let before = File::open(&folder.db()).samples("munin_room{field=\"xg\"}");
    let mut text = format!("update {}", rrd.display());
    for i in 1..=288 {
        text.push_str(&format!(" {}:{}", until + i * 300 + 7, i));
    }
    rrdtool(&format!("{text}\n"));
    import(&folder, &dir, &[]).well();
    let after = File::open(&folder.db()).samples("munin_room{field=\"xg\"}");
    let rows = fetch(&rrd, "AVERAGE", 300, until, until + DAY, 0);
    let mut want = before.clone();
    let newest = *before.keys().next_back().expect("some");
    want.extend(rows.range(newest + 1..=until + DAY).filter(|(_, v)| !v.is_nan()));
    assert!(after.keys().eq(want.keys()), "other times");
    assert!(after.iter().all(|(ts, v)| same(*v, want[ts]) || *v == want[ts]), "other values");
    assert_eq!(after.len(), before.len() + 288);
}

/// A killed import goes on where it stood: what is there in the end is what one in one go brings.
#[test]
fn after_a_kill_it_goes_on() {
    let folder = Folder::new();
    folder.configure("");
    let until = recent();
    let dir = folder.join("munin");
    let group = dir.join("localdomain");
    std::fs::create_dir_all(&group).expect("made");
    let source = folder.join("one.rrd");
    make_one(&source, 'd', until, 60);
    for i in 0..60 {
        let name = format!("{HOST}-room-f{i}-d.rrd");
        std::fs::copy(&source, group.join(name)).expect("copied");
    }
    let dir_text = dir.display().to_string();
    let words = ["import", "munin", "--dir", &dir_text, "--plugins", NO_PLUGINS];
    let mut child = folder.plimsoll(&words).spawn().expect("starts");
    let past = "select count(*) from state where name like 'past:%'";
    eventually("the first groups", PATIENCE, || {
        let said = try_sqlite3(&folder.db(), past);
        match said.out.trim().parse::<u32>() {
            Ok(n) if n > 1 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    child.kill().expect("it is ours");
    child.wait().expect("it ends");
    let done: u32 = sqlite3(&folder.db(), past).parse().expect("a number");
    assert!(done < 120, "it was done before it was killed: {done}");
    import(&folder, &dir, &[]).well();
    let other = Folder::new();
    other.configure("");
    import(&other, &dir, &[]).well();
    let (a, b) = (File::open(&folder.db()).all(), File::open(&other.db()).all());
    assert_eq!(a.len(), 120);
    for (key, (samples, buckets)) in &a {
        let (others, other_buckets) = &b[key];
        assert_eq!(samples.len(), others.len(), "{key}");
        let differ = samples.iter().find(|(ts, v)| others.get(ts) != Some(v));
        assert_eq!(differ, None, "{key}");
        let at = buckets.bytes().zip(other_buckets.bytes()).position(|(a, b)| a != b);
        let around = |text: &str| {
            at.map(|at| text[at.saturating_sub(90)..(at + 60).min(text.len())].to_owned())
        };
        assert_eq!(around(buckets), around(other_buckets), "{key}");
    }
    assert_eq!(File::open(&folder.db()).wrong(), Vec::<String>::new());
}

/// The same plugin recorded here: one series, its own samples untouched, and no leap between.
#[test]
fn it_joins_what_a_plugin_records_beside_a_daemon() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("modes");
    let plugins = folder.join("plugins");
    std::fs::create_dir(&plugins).expect("made");
    let script = "#!/bin/sh\nif [ \"$1\" = config ]; then\n echo 'graph_title Own'\n\
         echo 'xd.label d'\n echo 'xd.type DERIVE'\n echo 'xd.min 0'\n echo 'xg.label g'\n exit 0\nfi\n\
         echo 'xd.value 5002100000'\necho 'xg.value 3'\n";
    std::fs::write(plugins.join("room"), script).expect("written");
    std::fs::set_permissions(plugins.join("room"), PermissionsExt::from_mode(0o755))
        .expect("modes");
    let until = recent();
    let dir = tree(&folder, until, 70);
    let config = format!(
        "{FAST}[plugins]\ndir = \"{0}\"\nconf_dir = \"{0}.d\"\ninterval = \"200ms\"\ntimeout = \"1s\"\n",
        plugins.display()
    );
    let daemon = folder.start(&config);
    let key = "munin_room{field=\"xd\"}";
    eventually(key, PATIENCE, || daemon.value(key).map(drop).ok_or("not yet".to_owned()));
    daemon.rows_after(now_ms());
    let own_from = File::open(&folder.db()).samples(key);
    let own_from = *own_from.keys().next().expect("its own");
    let said = import(&folder, &dir, &[]).well();
    assert!(said.starts_with("4 files read"), "{said}");
    let file = File::open(&folder.db());
    let samples = file.samples(key);
    let (last, at_end) = samples.range(..own_from).next_back().expect("imported");
    assert!(*last > until - 600, "up to the end");
    assert_eq!(samples[&own_from], 5_002_100_000.0);
    let stood: f64 = value('d', 70 * 288 - 1).parse().expect("a number");
    assert!((stood - at_end).abs() < 4_000.0, "{at_end} where it stood at {stood}");
    // In PromQL, years and the last minute are one line of one series.
    let day = until - until % DAY;
    let long = file.ask(&format!("count({key})"), day - 60 * DAY, day, DAY);
    assert!(long.len() >= 58 && long.values().all(|n| *n == 1.0), "{long:?}");
    // The chart's words are those of the plugin that runs here.
    let titles = sqlite3(&folder.db(), "select title from graphs where graph = 'munin/room'");
    assert_eq!(titles, "Own");
    assert!(import(&folder, &dir, &[]).well().contains("nothing new"));
    let own = daemon.value(key);
    assert_eq!(own, Some(5_002_100_000.0));
    daemon.healthy();
    daemon.stop();
    assert_eq!(File::open(&folder.db()).wrong(), Vec::<String>::new());
}

/// A plugin's field became DERIVE; the master keeps the file of the COUNTER that it was, and that one
/// comes first by name.
#[test]
fn the_file_that_the_datafile_names_comes_first() {
    let folder = Folder::new();
    folder.configure("");
    let dir = folder.join("munin");
    let group = dir.join("example.com");
    std::fs::create_dir_all(&group).expect("made");
    let until = recent();
    let old = group.join("web1.example.com-plug-f-c.rrd");
    make_one(&old, 'c', until, 2);
    make_one(&group.join("web1.example.com-plug-f-d.rrd"), 'd', until - DAY, 2);
    let line = |rest: &str| format!("example.com;web1.example.com:plug.{rest}\n");
    let text: String =
        ["graph_title P", "f.label f", "f.type DERIVE", "f.min 0"].map(line).concat();
    std::fs::write(dir.join("datafile"), format!("version 2.0.73\n{text}")).expect("written");
    let said = import(&folder, &dir, &["--host", "web1.example.com"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let told = said.err.lines().find(|l| l.starts_with(&old.display().to_string()));
    let told = told.unwrap_or_else(|| panic!("{said:?}"));
    assert!(told.contains("plug-f-d.rrd is named in the datafile"), "{told}");
    // A COUNTER wraps at 2^32; this one lies beyond.
    let samples = File::open(&folder.db()).samples("munin_plug{field=\"f\"}");
    assert!(samples.len() > 400 && samples.values().all(|v| *v > 4.9e9), "{samples:?}");
}

/// A host's folder lies on another disk, with a link to it; another link leads in a circle.
#[test]
fn folders_behind_links_are_looked_into_once() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    folder.configure("");
    let (dir, far) = (folder.join("munin"), folder.join("far/example.com"));
    std::fs::create_dir_all(dir.join("own.org")).expect("made");
    std::fs::create_dir_all(&far).expect("made");
    make_one(&far.join("web1.example.com-load-load-g.rrd"), 'g', recent(), 1);
    make_one(&dir.join("own.org/db.own.org-load-load-g.rrd"), 'g', recent(), 1);
    symlink(&far, dir.join("example.com")).expect("linked");
    symlink(&dir, dir.join("own.org/circle")).expect("linked");
    // It comes first by name, and yet the folder itself has the say.
    symlink(dir.join("own.org"), dir.join("another.org")).expect("linked");
    symlink("/nonexistent", dir.join("dangling")).expect("linked");
    let said = import(&folder, &dir, &[]).well();
    assert!(said.starts_with("2 files read"), "{said}");
    let systems = sqlite3(&folder.db(), "select distinct system from series order by 1");
    assert_eq!(systems, "db.own.org\nweb1.example.com");
}

#[test]
fn what_cannot_be_read_is_told_and_stops_nothing_else() {
    let folder = Folder::new();
    folder.configure("");
    let dir = folder.join("munin");
    let group = dir.join("example.com");
    std::fs::create_dir_all(&group).expect("made");
    let good = group.join("web-1.example.com-load-load-g.rrd");
    make_one(&good, 'g', recent(), 4);
    let bytes = std::fs::read(&good).expect("reads");
    std::fs::write(group.join("web-1.example.com-a-b-g.rrd"), &bytes[..bytes.len() / 2])
        .expect("written");
    std::fs::write(group.join("web-1.example.com-c-d-g.rrd"), "no rrd").expect("written");
    std::fs::write(group.join("nonsense.rrd"), &bytes).expect("written");
    let said = import(&folder, &dir, &[]);
    for told in [
        "it is cut off",
        "this is no RRD file",
        "the name of the file is not HOST-PLUGIN-FIELD",
        "3 files could not",
    ] {
        assert!(said.err.contains(told), "{told}: {said:?}");
    }
    assert_eq!(said.status.code(), Some(1));
    assert!(said.out.starts_with("1 file read"), "{said:?}");
    // Of another host, by the names of the files alone.
    let known = sqlite3(&folder.db(), "select system, key from series");
    assert_eq!(known, "web-1.example.com|munin_load{field=\"load\"}");
    let refused = import(&folder, &dir, &["--host", "nobody"]).refused();
    assert!(refused.contains("web-1.example.com"), "{refused}");
    let refused = import(&folder, &folder.join("nowhere"), &[]).refused();
    assert!(refused.contains("there is no folder"), "{refused}");
    let empty = folder.join("empty");
    std::fs::create_dir(&empty).expect("made");
    assert!(import(&folder, &empty, &[]).refused().contains("no RRD file in"));
    // That one host is this machine, if one says so.
    let other = Folder::new();
    other.configure("");
    let bare: BTreeMap<&str, &[&str]> = [
        ("--host", &["--host", "web-1.example.com"][..]),
        ("--here", &["--here", "web-1.example.com"]),
    ]
    .into();
    for words in bare.values() {
        import(&other, &dir, words);
    }
    let key = "munin_load{field=\"load\"}";
    assert_eq!(sqlite3(&other.db(), "select system_id, key from series"), format!("1|{key}"));
}
