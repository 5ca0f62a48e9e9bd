//! tests: RRD files of any shape: every type of source, every consolidation, steps that do not fit
//! into each other, and another machine's layout.

use crate::support::*;
use crate::tool::*;

/// Six sources of six types at a step of 10 s, rows of 10, 70 and 500 s.
fn make_mixed(path: &std::path::Path, until: i64) {
    let sources = "DS:g:GAUGE:20:U:U DS:c:COUNTER:20:0:U DS:d:DERIVE:20:0:U DS:f:DERIVE:20:U:U \
         DS:a:ABSOLUTE:20:0:U DS:k:COMPUTE:g,2,*";
    let rows = "RRA:AVERAGE:0.1:1:200 RRA:MIN:0.1:7:300 RRA:MAX:0.1:7:300 RRA:AVERAGE:0.1:7:300 \
         RRA:LAST:0.5:50:400 RRA:MAX:0.5:50:400 RRA:HWPREDICT:100:0.1:0.0035:20";
    let updates: Vec<(i64, String)> = (0..6_000i64)
        .map(|i| {
            let (ts, noise) = (until - (5_999 - i) * 10 + i % 3, (i * 7919) % 101);
            let gauge =
                if i % 500 < 30 { "U".to_owned() } else { format!("{}", noise as f64 / 4.0) };
            let change = (i * i) % 977 - 400;
            (ts, format!("{gauge}:{}:{}:{change}:{noise}", i * 100 + noise, i * 7 + noise % 7))
        })
        .collect();
    make(path, 10, sources, rows, &updates);
}

fn check(folder: &Folder, path: &std::path::Path, until: i64) {
    let file = File::open(&folder.db());
    let newest = |span: i64| (until + 2) - (until + 2) % span;
    for (source, ds) in ["g", "f", "k"].iter().zip([0, 3, 5]) {
        let key = format!("house{{ds=\"{source}\",room=\"attic\"}}");
        let samples = file.samples(&key);
        let rows = fetch(path, "AVERAGE", 10, newest(10) - 2_000, newest(10), ds);
        let mut known = 0;
        for (ts, value) in rows.range(newest(10) - 1_999..=newest(10)) {
            let got = samples.get(ts).copied();
            assert!(agree(got, *value), "{key} at {ts}: {got:?} {value}");
            known += usize::from(got.is_some());
        }
        assert!(known > 40, "{key}: {known}");
        let (from, to) = (newest(70) - 300 * 70, newest(10) - 2_000);
        for (ts, value) in fetch(path, "AVERAGE", 70, from, to, ds).range(from + 1..=to) {
            let got = samples.get(ts).copied();
            assert!(agree(got, *value), "{key} at {ts}: {got:?} {value}");
        }
        // Rows of 500 s are buckets: what LAST and MAX of them say.
        let (from, to) = (newest(500) - 400 * 500, newest(70) - 300 * 70);
        let (last, max) =
            (fetch(path, "LAST", 500, from, to, ds), fetch(path, "MAX", 500, from, to, ds));
        let buckets = file.buckets(&key, from, to);
        let mut known = 0;
        for (ts, value) in last.range(from + 1..=to).filter(|(_, v)| !v.is_nan()) {
            let at = buckets.range(ts + 1 - 500..).take_while(|(end, _)| **end < ts + 300);
            let fits = |b: &[f64; 5]| same(b[4], *value) && b[3] >= b[4] && near(b[3], max[ts]);
            assert!(at.into_iter().any(|(_, b)| fits(b)), "{key} at {ts}: {value}");
            known += 1;
        }
        assert!(known > 30, "{key}: {known}");
    }
    for (source, ds) in ["c", "d", "a"].iter().zip([1, 2, 4]) {
        let key = format!("house{{ds=\"{source}\",room=\"attic\"}}");
        let (from, to) = (newest(10) - 1_900, newest(10));
        let rows = fetch(path, "AVERAGE", 10, from, to, ds);
        let asked = file.ask(&format!("rate({key}[20s])"), from, to, 10);
        for (ts, value) in rows.range(from + 20..=to).filter(|(_, v)| !v.is_nan()) {
            assert!(near(asked[ts], *value), "{key} at {ts}: {} {value}", asked[ts]);
        }
    }
    assert_eq!(file.wrong(), Vec::<String>::new());
}

#[test]
fn any_rrd_as_rrdtool_reads_it() {
    let folder = Folder::new();
    folder.configure("");
    let (path, until) = (folder.join("mixed.rrd"), recent());
    make_mixed(&path, until);
    let text = path.display().to_string();
    let words = ["import", "rrd", &text, "--key", "house", "--label", "room=attic"];
    let said = folder.ask(&words).well();
    assert!(said.starts_with("1 file read"), "{said}");
    check(&folder, &path, until);
    assert!(folder.ask(&words).well().contains("nothing new"));
}

/// A file whose head says that doubles lie otherwise: rrdtool itself would refuse it, so one stands in
/// that prints what the real one said of the whole file.
#[test]
fn another_layout_goes_through_rrdtool_dump() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    folder.configure("");
    let (path, until) = (folder.join("mixed.rrd"), recent());
    make_mixed(&path, until);
    let dumped = rrdtool(&format!("dump {}\n", path.display()));
    std::fs::write(folder.join("dump.xml"), dumped.split("\nOK ").next().expect("text"))
        .expect("written");
    let foreign = folder.join("foreign.rrd");
    let mut bytes = std::fs::read(&path).expect("reads");
    bytes[16..24].reverse();
    std::fs::write(&foreign, &bytes).expect("written");
    let bin = folder.join("bin");
    std::fs::create_dir(&bin).expect("made");
    let script =
        format!("#!/bin/sh\n[ \"$1\" = dump ] && exec cat {}/dump.xml\n", folder.path().display());
    std::fs::write(bin.join("rrdtool"), script).expect("written");
    std::fs::set_permissions(bin.join("rrdtool"), PermissionsExt::from_mode(0o755)).expect("modes");
    let text = foreign.display().to_string();
    let words = ["import", "rrd", &text, "--key", "house", "--label", "room=attic"];
    let without = run(folder.plimsoll(&words).env("PATH", "/nonexistent")).refused();
    assert!(without.contains("apt install rrdtool"), "{without}");
    let path_env = format!("{}:/usr/bin:/bin", bin.display());
    run(folder.plimsoll(&words).env("PATH", path_env)).well();
    check(&folder, &path, until);
    // The real one says why it cannot.
    let other = Folder::new();
    other.configure("");
    assert!(other.ask(&words).refused().contains("rrdtool: "));
}

/// What `rrdtool dump` prints is read as the file itself is, packed or not.
#[test]
fn what_rrdtool_dump_printed() {
    let folder = Folder::new();
    folder.configure("");
    let (path, until) = (folder.join("house.rrd"), recent());
    make_mixed(&path, until);
    let dumped = rrdtool(&format!("dump {}\n", path.display()));
    let text = dumped.split("\nOK ").next().expect("text");
    let plain = folder.join("house.xml");
    std::fs::write(&plain, text).expect("written");
    let words = |file: &std::path::Path| {
        ["import", "rrd", "--label", "room=attic"]
            .map(str::to_owned)
            .into_iter()
            .chain([file.display().to_string()])
            .collect::<Vec<_>>()
    };
    let ask = |folder: &Folder, file: &std::path::Path| {
        let words = words(file);
        folder.ask(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    ask(&folder, &plain).well();
    check(&folder, &path, until);
    let other = Folder::new();
    other.configure("");
    run(std::process::Command::new("gzip").arg(&plain)).well();
    ask(&other, &folder.join("house.xml.gz")).well();
    check(&other, &path, until);
    std::fs::write(&plain, "<html></html>").expect("written");
    assert!(ask(&other, &plain).refused().contains("this is no RRD file"));
}

/// The file of an i386: `unsigned long` and `time_t` have 4 bytes, and doubles stand on multiples of 4.
#[test]
fn a_file_of_a_machine_of_32_bits() {
    let folder = Folder::new();
    folder.configure("");
    let (path, until) = (folder.join("mixed.rrd"), recent());
    make_mixed(&path, until);
    let bytes = std::fs::read(&path).expect("reads");
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"));
    let (sources, archives) = (number(24) as usize, number(32) as usize);
    let short = |n: u64| (n as u32).to_le_bytes();
    let mut out = bytes[..9].to_vec();
    out.resize(12, 0);
    out.extend(&bytes[16..24]);
    [24, 32, 40].iter().for_each(|at| out.extend(short(number(*at))));
    out.extend(&bytes[48..128 + sources * 120]);
    let mut at = 128 + sources * 120;
    for _ in 0..archives {
        out.extend(&bytes[at..at + 20]);
        out.extend(short(number(at + 24)));
        out.extend(short(number(at + 32)));
        out.extend(&bytes[at + 40..at + 120]);
        at += 120;
    }
    out.extend(short(number(at)));
    out.extend(short(number(at + 8)));
    let prepared = sources * 112 + sources * archives * 80;
    out.extend(&bytes[at + 16..at + 16 + prepared]);
    at += 16 + prepared;
    for i in 0..archives {
        out.extend(short(number(at + i * 8)));
    }
    out.extend(&bytes[at + archives * 8..]);
    let old = folder.join("old.rrd");
    std::fs::write(&old, out).expect("written");
    let text = old.display().to_string();
    let said = folder.ask(&["import", "rrd", &text, "--key", "house", "--label", "room=attic"]);
    assert!(said.status.success(), "{said:?}");
    assert!(said.err.contains("32 bits, lowest byte first") && said.err.contains("rrdtool dump"));
    check(&folder, &path, until);
}

/// Two files of one series: the one that was written last is taken.
#[test]
fn the_newer_of_two_files_of_one_series() {
    let folder = Folder::new();
    folder.configure("");
    let until = recent();
    let one = |name: &str, end: i64, value: &str| {
        std::fs::create_dir_all(folder.join(name)).expect("made");
        let path = folder.join(name).join("x.rrd");
        let updates: Vec<(i64, String)> =
            (0..50).map(|i| (end - (49 - i) * 10, value.to_owned())).collect();
        make(&path, 10, "DS:v:GAUGE:20:U:U", "RRA:AVERAGE:0.1:1:100", &updates);
        path.display().to_string()
    };
    let (old, new) = (one("a", until - 5_000, "1"), one("b", until, "2"));
    let said = folder.ask(&["import", "rrd", &old, &new]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let why = format!("{old}: another file has the same series: {new} is newer");
    assert!(said.err.contains(&why), "{said:?}");
    let samples = File::open(&folder.db()).samples("x");
    assert!(samples.len() > 40 && samples.values().all(|v| *v == 2.0), "{samples:?}");
}

#[test]
fn wrong_arguments_say_so() {
    let folder = Folder::new();
    folder.configure("");
    let refused = folder.ask(&["import", "rrd", "a.rrd", "b.rrd", "--key", "x"]).refused();
    assert!(refused.contains("--key names the series of one file"), "{refused}");
    let refused = folder.ask(&["import", "rrd", "nowhere.rrd"]).refused();
    assert!(refused.contains("No such file") && refused.contains("1 file could"), "{refused}");
    let folder_itself = folder.path().display().to_string();
    assert!(folder.ask(&["import", "rrd", &folder_itself]).refused().contains("it is a folder"));
    assert!(!folder.db().exists(), "nothing was to be imported");
    assert_eq!(folder.ask(&["import", "rrd"]).status.code(), Some(2));
    assert_eq!(folder.ask(&["import", "rrd", "x", "--label", "no"]).status.code(), Some(2));
    assert_eq!(folder.ask(&["import"]).status.code(), Some(2));
}
