//! Plugins as a user meets them: they are found, run, charted; what is hostile harms nobody; and
//! Debian's say the same here as under the real munin-node.

pub mod debian;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::*;

/// A plugin folder that anybody may read, as plugins run as nobody when plimsoll is root.
pub fn plugins(folder: &Folder) -> PathBuf {
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("modes");
    let dir = folder.join("plugins");
    std::fs::create_dir(&dir).expect("made");
    dir
}

pub fn put(dir: &Path, name: &str, script: &str) {
    std::fs::write(dir.join(name), script).expect("written");
    std::fs::set_permissions(dir.join(name), PermissionsExt::from_mode(0o755)).expect("modes");
}

fn config(dir: &Path, more: &str) -> String {
    let dir = dir.display();
    format!(
        "{FAST}[plugins]\ndir = \"{dir}\"\nconf_dir = \"{dir}.d\"\ninterval = \"200ms\"\ntimeout = \"1s\"\n{more}"
    )
}

/// Waits until /api/status has the series; its value.
fn value(daemon: &Daemon, key: &str) -> f64 {
    eventually(key, PATIENCE, || {
        daemon.value(key).ok_or_else(|| format!("{:?}", daemon.problems()))
    })
}

fn threads(daemon: &Daemon) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("it runs");
    let name = |e: std::fs::DirEntry| std::fs::read_to_string(e.path().join("comm")).ok();
    tasks.flatten().filter_map(name).map(|n| n.trim().to_owned()).collect()
}

const MUNIN: &str = r#"#!/bin/sh
if [ "$1" = config ]; then
    echo "graph_title Queue <img src=x onerror=alert(1)>"
    echo "graph_category Mail"
    echo 'graph_vlabel mails per ${graph_period}'
    echo "waiting.label waiting mails"
    echo "waiting.warning 2"
    echo "sent.label sent"
    echo "sent.type DERIVE"
    echo "sent.min 0"
    echo "sent.cdef sent,60,*"
    echo "unknown.label never known"
    exit 0
fi
echo "waiting.value 3"
echo "sent.value $(cut -d. -f1 /proc/uptime)00"
echo "unknown.value U"
"#;

/// Two exporters say the same names: each is a job, and `up` says how its last run went.
#[test]
fn two_programs_that_print_prometheus_text_are_two_jobs() {
    let folder = Folder::new();
    let dir = plugins(&folder);
    let script = |value: u32| {
        format!(
            "#!/bin/sh\n[ -e \"{}/down\" ] && exit 1\necho '# TYPE go_goroutines gauge'\n\
             echo 'go_goroutines {value}'\n",
            folder.path().display()
        )
    };
    put(&dir, "redis", &script(5));
    put(&dir, "mysqld", &script(7));
    let daemon = folder.start(&config(&dir, ""));
    let known = "SELECT group_concat(job || ' ' || key) FROM (SELECT job, key FROM series
                 WHERE key IN ('up', 'go_goroutines') ORDER BY 1, 2)";
    eventually("two jobs", PATIENCE, || match sqlite3(&folder.db(), known) {
        jobs if jobs == "mysqld go_goroutines,mysqld up,node up,redis go_goroutines,redis up" => {
            Ok(())
        }
        jobs => Err(jobs),
    });
    let ask = |query: &str| {
        let said = daemon.json(&format!("/api/v1/query?query={query}"));
        said["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
    };
    assert_eq!(ask("go_goroutines%7Bjob=%22redis%22%7D").as_deref(), Some("5"));
    assert_eq!(ask("go_goroutines%7Bjob=%22mysqld%22%7D").as_deref(), Some("7"));
    assert_eq!(ask("up%7Bjob=%22redis%22%7D").as_deref(), Some("1"));
    std::fs::write(folder.join("down"), "").expect("written");
    eventually("down", PATIENCE, || match ask("up%7Bjob=%22redis%22%7D").as_deref() {
        Some("0") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    daemon.stop();
}

#[test]
fn they_are_found_run_and_charted() {
    let folder = Folder::new();
    let dir = plugins(&folder);
    put(&dir, "queue", MUNIN);
    put(&dir, "room", "#!/bin/sh\necho temperature 21.5\necho 'fan: 800'\n");
    put(&dir, "json", "#!/bin/sh\necho '{\"a\": {\"b\": 7}}'\n");
    put(
        &dir,
        "prom",
        "#!/bin/sh\necho '# TYPE jobs_total counter'\necho 'jobs_total{queue=\"a b\"} 5'\n",
    );
    put(
        &dir,
        "dirty",
        "#!/bin/sh\necho multigraph first\necho graph_title F\necho a.label A\necho a.value 1\necho multigraph first.child\necho graph_title C\necho a.label A\necho a.value 1700000000:2\n",
    );
    put(
        &dir,
        "counts",
        "#!/bin/sh\nn=$(cat \"$MUNIN_STATEFILE\" 2>/dev/null || echo 0); n=$((n+1)); echo $n > \"$MUNIN_STATEFILE\"; echo runs $n\n",
    );
    let more = "[[plugin]]\nname = \"check_it\"\ncommand = [\"/bin/sh\", \"-c\", \"echo 'IT WARNING | load=2.5ms;1;4'; exit 1\"]\nkind = \"nagios\"\n";
    let daemon = folder.start(&config(&dir, more));
    for (key, want) in [
        (r#"munin_queue{field="waiting"}"#, 3.0),
        (r#"munin_room{field="temperature"}"#, 21.5),
        (r#"munin_room{field="fan"}"#, 800.0),
        (r#"munin_json{field="a.b"}"#, 7.0),
        (r#"jobs_total{queue="a b"}"#, 5.0),
        (r#"munin_dirty{field="a",graph="first"}"#, 1.0),
        (r#"munin_check_it{field="status"}"#, 1.0),
        (r#"munin_check_it{field="load"}"#, 0.0025),
        (r#"munin_check_it{field="load.warning_max"}"#, 0.001),
        (r#"plimsoll_collect_success{collector="plugin/queue"}"#, 1.0),
        (r#"up{plugin="queue"}"#, 1.0),
        (r#"plimsoll_collect_interval_seconds{collector="plugin/queue"}"#, 0.2),
    ] {
        assert_eq!(value(&daemon, key), want, "{key}");
    }
    assert_eq!(daemon.value(r#"munin_queue{field="unknown"}"#), None, "U is no value");
    eventually("what it remembers", PATIENCE, || {
        match daemon.value(r#"munin_counts{field="runs"}"#) {
            Some(runs) if runs >= 3.0 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let child = r#"munin_dirty{field="a",graph="first.child"}"#;
    eventually("a value of then", PATIENCE, || match timestamps(&folder.db(), child) {
        at if at == [1_700_000_000_000] => Ok(()),
        at => Err(format!("{at:?}")),
    });
    let graphs = eventually("what the charts look like", PATIENCE, || {
        let graphs = daemon.json("/api/graphs");
        let has =
            |id: &&str| graphs.as_array().is_some_and(|all| all.iter().any(|g| g["id"] == **id));
        if ["munin/check_it", "munin/dirty/first.child", "munin/queue"].iter().all(has) {
            Ok(graphs)
        } else {
            Err(graphs.to_string())
        }
    });
    let graph = |id: &str| {
        let all = graphs.as_array().expect("a list");
        all.iter().find(|g| g["id"] == id).unwrap_or_else(|| panic!("{id}: {graphs:#}")).clone()
    };
    let queue = graph("munin/queue");
    assert_eq!(queue["title"], "Queue <img src=x onerror=alert(1)>", "text, for who shows it");
    assert_eq!((&queue["category"], &queue["unit"]), (&"mail".into(), &"mails per second".into()));
    let fields = queue["fields"].as_array().expect("fields");
    assert_eq!(fields[0]["label"], "waiting mails");
    assert_eq!(fields[0]["warning"], serde_json::json!([null, 2.0]));
    assert_eq!(fields[1]["kind"], "counter");
    let query = r#"rate(munin_queue{field="sent"}[5m]) * 60"#;
    assert_eq!(fields[1]["query"], query);
    // What is to be drawn can be asked for.
    eventually("a rate", PATIENCE, || {
        let escaped: String = query.bytes().map(|b| format!("%{b:02x}")).collect();
        let answer = daemon.json(&format!("/api/v1/query?query={escaped}"));
        let rate = answer["data"]["result"][0]["value"][1].as_str().unwrap_or_default().to_owned();
        match rate.parse::<f64>() {
            Ok(rate) if rate > 0.0 => Ok(()),
            _ => Err(format!("{answer}")),
        }
    });
    graph("munin/dirty/first.child");
    let of_check = graph("munin/check_it");
    assert_eq!(of_check["category"], "checks");
    let sql = "select title, category from graphs where graph = 'munin/room'";
    assert_eq!(sqlite3(&folder.db(), sql), "room|other");
    let sql = "select label, warning_max from graph_fields where graph = 'munin/queue' and field = 'waiting'";
    assert_eq!(sqlite3(&folder.db(), sql), "waiting mails|2.0");
    let status = folder.ask(&["status"]).well();
    assert!(status.contains("3  waiting mails"), "{status}");
    let list = folder.ask(&["plugin", "list"]).well();
    assert!(list.lines().any(|l| l.starts_with("queue") && l.contains("ok")), "{list}");
    daemon.stop();
}

#[test]
fn without_plugins_there_is_no_thread_and_the_first_one_brings_it() {
    let folder = Folder::new();
    let dir = plugins(&folder);
    let daemon = folder.start(&config(&dir, ""));
    assert!(!threads(&daemon).contains(&"plugins".to_owned()));
    std::fs::create_dir_all(folder.join("lib/plugins")).expect("made");
    put(&folder.join("lib/plugins"), "one", "#!/bin/sh\necho a 1\n");
    let lib = folder.join("lib");
    let with_lib = config(&dir, &format!("libdir = \"{}\"\n", lib.display()));
    folder.configure(&with_lib);
    let said = folder.ask(&["plugin", "enable", "one"]).well();
    assert!(said.contains("the running plimsoll has taken the change"), "{said}");
    value(&daemon, r#"munin_one{field="a"}"#);
    assert!(threads(&daemon).contains(&"plugins".to_owned()));
    // It goes, and its series ends.
    folder.ask(&["plugin", "disable", "one"]).well();
    let sql = "select count(*) from samples join series on _id = series_id \
        where key like 'munin_one%' and typeof(value) = 'blob'";
    eventually("the end of the series", PATIENCE, || match sqlite3(&folder.db(), sql).as_str() {
        "1" => Ok(()),
        other => Err(other.to_owned()),
    });
    assert_eq!(daemon.value(r#"munin_one{field="a"}"#), None);
    daemon.stop();
}

#[test]
fn the_five_lines_of_the_documentation_work() {
    let text = include_str!("../../docs/PLUGINS.md");
    let scripts: Vec<String> = text
        .split("#!/bin/sh\n")
        .skip(1)
        .map(|rest| {
            let lines = rest.lines().take_while(|l| l.starts_with("    "));
            let lines: Vec<&str> = lines.map(|l| l.trim_start_matches("    ")).collect();
            format!("#!/bin/sh\n{}\n", lines.join("\n"))
        })
        .collect();
    assert_eq!(scripts.len(), 2);
    assert!(scripts[0].lines().count() <= 5, "{}", scripts[0]);
    let folder = Folder::new();
    let dir = plugins(&folder);
    put(&dir, "room", &scripts[0]);
    put(&dir, "mail", &scripts[1]);
    folder.configure(&config(&dir, ""));
    for name in ["room", "mail"] {
        let said = folder.ask(&["plugin", "test", name]).well();
        assert!(said.ends_with("no faults found\n"), "{said}");
        assert!(!said.contains("could be better"), "{said}");
    }
    let daemon = folder.start(&config(&dir, ""));
    for key in [
        r#"munin_room{field="users"}"#,
        r#"munin_room{field="files"}"#,
        r#"munin_mail{field="waiting"}"#,
        r#"munin_mail{field="sent"}"#,
    ] {
        value(&daemon, key);
    }
    daemon.stop();
}

/// In pages of its own and their share of others', in bytes.
fn memory(daemon: &Daemon) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", daemon.pid()));
    let text = text.expect("it runs");
    let line = text.lines().find_map(|l| l.strip_prefix("Pss_Anon:")).expect("a line");
    line.split_whitespace().next().expect("a number").parse::<u64>().expect("a number") << 10
}

fn processes(word: &str) -> usize {
    let entries = std::fs::read_dir("/proc").expect("proc").flatten();
    let line = |e: std::fs::DirEntry| std::fs::read_to_string(e.path().join("cmdline")).ok();
    entries.filter_map(line).filter(|l| l.contains(word) && !l.contains("plimsoll")).count()
}

#[test]
fn alone_hostile_ones_harm_nobody() {
    let folder = Folder::new();
    let dir = plugins(&folder);
    put(
        &dir,
        "good",
        "#!/bin/sh\n[ \"$1\" = config ] && { echo graph_title G; echo a.label A; exit; }\necho a.value 1\n",
    );
    let daemon = folder.start(&config(&dir, ""));
    value(&daemon, r#"munin_good{field="a"}"#);
    let before = memory(&daemon);
    for (name, script) in [
        ("sleeps", "sleep 86501"),
        ("stubborn", "trap '' TERM; while :; do sleep 86502; done"),
        ("grandchild", "setsid sleep 86503 & sleep 86503"),
        ("floods", "yes abcdefghijklmnop"),
        ("endless_line", "tr '\\0' x </dev/zero"),
        ("million", "seq 1000000 | sed 's/.*/f&.value &/'"),
        ("many", "seq 60000 | sed 's/.*/f&.label &/'"),
        ("garbage", "head -c 500000 /dev/urandom"),
        ("daemon", "(setsid env -i sh -c 'sleep 86504' &) ; echo a 1"),
    ] {
        put(&dir, name, &format!("#!/bin/sh\n{script}\n"));
    }
    folder.ask(&["reload"]).well();
    let timeouts =
        |name: &str| daemon.value(&format!("plimsoll_plugin_timeouts_total{{plugin=\"{name}\"}}"));
    let cuts =
        |name: &str| daemon.value(&format!("plimsoll_plugin_cut_total{{plugin=\"{name}\"}}"));
    let mut most = 0;
    eventually("their ends", Duration::from_secs(60), || {
        most = most.max(memory(&daemon));
        let slow = ["sleeps", "stubborn", "grandchild"].map(timeouts);
        let cut = ["floods", "endless_line", "million"].map(cuts);
        let enough = slow.iter().chain(&cut).all(|n| n.is_some_and(|n| n >= 2.0));
        if enough { Ok(()) } else { Err(format!("{slow:?} {cut:?}")) }
    });
    let grown = most.saturating_sub(before);
    assert!(grown <= 8 << 20, "memory grew by {} KiB", grown >> 10);
    // The good one kept its beat of 200 ms all the while.
    let ticks = timestamps(&folder.db(), r#"munin_good{field="a"}"#);
    let widest = ticks.windows(2).map(|w| w[1] - w[0]).max().expect("several");
    assert!(widest <= 1_000, "the good one waited {widest} ms");
    let problems = daemon.problems().join("\n");
    for name in ["sleeps", "floods", "garbage"] {
        assert!(problems.contains(&format!("plugin {name}")), "{problems}");
    }
    daemon.stop();
    for word in ["86501", "86502", "86503", "86504"] {
        eventually("no survivors", Duration::from_secs(1), || match processes(word) {
            0 => Ok(()),
            n => Err(format!("{n} of {word}")),
        });
    }
}

/// User and system time of a process itself, in seconds.
fn cpu(daemon: &Daemon) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).expect("it runs");
    let after = stat.rsplit(')').next().expect("fields");
    let number = |n: usize| -> f64 {
        after.split_whitespace().nth(n).and_then(|f| f.parse().ok()).expect("a number")
    };
    (number(11) + number(12)) / 100.0
}

#[test]
fn alone_fifty_of_them_cost_little() {
    const RUNS: f64 = 500.0;
    let folder = Folder::new();
    let dir = plugins(&folder);
    for n in 0..50 {
        put(
            &dir,
            &format!("p{n:02}"),
            "#!/bin/sh\n[ \"$1\" = config ] && { echo graph_title G; for f in a b c d e; do echo $f.label $f; done; exit; }\nfor f in a b c d e; do echo $f.value 1; done\n",
        );
    }
    let text = config(&dir, "").replace("200ms", "1s").replace("\"100ms\"", "\"1d\"");
    let daemon = folder.start(&text);
    value(&daemon, r#"munin_p49{field="e"}"#);
    let runs = || -> usize {
        let sql = "select count(*) from samples join series on _id = series_id where key like 'munin_p%{field=\"a\"}'";
        sqlite3(&folder.db(), sql).parse().expect("a number")
    };
    let (before, first) = (cpu(&daemon), runs());
    let mut done = 0;
    eventually("five hundred runs", Duration::from_secs(90), || {
        pause(Duration::from_millis(500));
        done = runs() - first;
        if done as f64 >= RUNS { Ok(()) } else { Err(format!("{done}")) }
    });
    let each = (cpu(&daemon) - before) / done as f64;
    // Fifty a minute, on one core.
    let share = each * 50.0 / 60.0;
    println!("{:.2} ms a run, {:.3} % of a core for fifty a minute", each * 1e3, share * 100.0);
    assert!(share <= 0.01, "{:.2} % of a core", share * 100.0);
    daemon.stop();
}

#[test]
fn a_plugin_by_hand() {
    let folder = Folder::new();
    let dir = plugins(&folder);
    put(&dir, "queue", MUNIN);
    put(&dir, "fails", "#!/bin/sh\necho broken pipe of beer >&2\nexit 3\n");
    put(
        &dir,
        "wrong",
        "#!/bin/sh\n[ \"$1\" = config ] && { echo graph_title G; echo a.labl A; exit; }\necho a.value x\n",
    );
    folder.configure(&config(&dir, ""));
    let said = folder.ask(&["plugin", "run", "queue", "config"]).well();
    assert!(said.starts_with("graph_title Queue"), "{said}");
    let said = folder.ask(&["plugin", "run", "queue"]).well();
    assert!(said.starts_with("waiting.value 3\n"), "{said}");
    let error = folder.ask(&["plugin", "run", "fails"]).refused();
    assert!(error.contains("status 3: broken pipe of beer"), "{error}");
    let error = folder.ask(&["plugin", "run", "nosuch"]).refused();
    assert!(error.contains("plugin list"), "{error}");
    let said = folder.ask(&["plugin", "test", "wrong"]);
    assert!(
        said.out.contains(
            "config, line 2: a.labl A\n    unknown attribute of a field: `labl`; did you mean `label`?"
        ),
        "{}",
        said.out
    );
    assert!(said.out.contains("fetch, line 1: a.value x\n"), "{}", said.out);
    said.refused();
    let error = folder.ask(&["plugin", "disable", "queue"]).refused();
    assert!(error.contains("not deleted") && error.contains("enabled = false"), "{error}");
}

#[test]
fn each_has_its_own_beat_and_none_runs_beside_itself() {
    let folder = Folder::new();
    let dir = plugins(&folder);
    put(
        &dir,
        "slow",
        "#!/bin/sh\n[ \"$1\" = config ] && exit\nlock=$MUNIN_STATEFILE.lock\nif mkdir \"$lock\"; then beside=0; else beside=1; fi\nsleep 0.5\nrmdir \"$lock\"\necho beside $beside\n",
    );
    put(
        &dir,
        "lazy",
        "#!/bin/sh\n[ \"$1\" = config ] && { echo graph_title L; echo update_rate 2; echo a.label A; exit; }\necho a.value 1\n",
    );
    put(&dir, "quick", "#!/bin/sh\necho a 1\n");
    let more = "[[plugin]]\nname = \"quick\"\ninterval = \"100ms\"\n[[plugin]]\nname = \"off\"\nenabled = false\n";
    put(&dir, "off", "#!/bin/sh\necho a 1\n");
    let daemon = folder.start(&config(&dir, more));
    let interval = |name: &str| {
        value(&daemon, &format!("plimsoll_collect_interval_seconds{{collector=\"plugin/{name}\"}}"))
    };
    eventually("what it says of its rate", PATIENCE, || match interval("lazy") {
        2.0 => Ok(()),
        other => Err(other.to_string()),
    });
    assert_eq!((interval("quick"), interval("slow")), (0.1, 0.2));
    let beside = r#"munin_slow{field="beside"}"#;
    eventually("several slow runs", PATIENCE, || match timestamps(&folder.db(), beside).len() {
        n if n >= 4 => Ok(()),
        n => Err(n.to_string()),
    });
    let sql = format!("select max(value) from metrics where key = '{beside}'");
    assert_eq!(sqlite3(&folder.db(), &sql), "0.0");
    let on_grid = |name: &str, ms: i64| {
        let all = timestamps(&folder.db(), &format!("munin_{name}{{field=\"a\"}}"));
        assert!(!all.is_empty() && all.iter().skip(1).all(|ts| ts % ms == 0), "{name}: {all:?}");
    };
    on_grid("quick", 100);
    on_grid("lazy", 1_000);
    assert!(value(&daemon, "plimsoll_ticks_skipped_total") >= 2.0, "missed ones are counted");
    assert_eq!(daemon.value(r#"munin_off{field="a"}"#), None);
    daemon.stop();
}

#[test]
fn a_rate_asked_for_by_hand_reaches_a_plugin_and_ends_by_itself() {
    let folder = Folder::new();
    let dir = plugins(&folder);
    put(&dir, "queue", MUNIN);
    put(&dir, "stat", "#!/bin/sh\necho a 1\n");
    let daemon = folder.start(&config(&dir, "").replace("200ms", "1h"));
    let key = r#"munin_queue{field="waiting"}"#;
    value(&daemon, key);
    value(&daemon, r#"munin_stat{field="a"}"#);
    let from = now_ms();
    let said = folder.ask(&["interval", "200ms", "queue", "--for", "4s"]).well();
    let line = said.lines().find(|l| l.starts_with("plugin:queue ")).unwrap_or_default();
    assert!(["200ms", "1h", "more"].iter().all(|w| line.contains(w)), "{said}");
    let listed = |name: &str| -> String {
        let said = folder.ask(&["plugin", "list"]).well();
        let line = said.lines().find(|l| l.starts_with(name)).map(str::to_owned);
        line.unwrap_or(said)
    };
    assert!(listed("queue").contains("200ms for "), "{}", listed("queue"));
    eventually("its readings", PATIENCE, || {
        let all = timestamps(&folder.db(), key);
        let quick: Vec<i64> = all.into_iter().filter(|ts| *ts > from).collect();
        let enough = quick.len() >= 5 && quick.iter().all(|ts| ts % 200 == 0);
        if enough { Ok(()) } else { Err(format!("{quick:?}")) }
    });
    eventually("its own rate", PATIENCE, || match listed("queue") {
        line if line.contains("1h") && !line.contains("200ms") => Ok(()),
        line => Err(line),
    });
    assert_eq!(timestamps(&folder.db(), r#"munin_stat{field="a"}"#).len(), 1, "the other waits");
    // A plugin that is called as a collector is.
    folder.ask(&["interval", "300ms", "plugin:stat"]).well();
    let said = folder.ask(&["interval", "--json"]).well();
    let rates: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let now = |name: &str| {
        let all = rates.as_array().expect("a list");
        let one = all.iter().find(|r| r["collector"] == name);
        one.and_then(|r| r["interval_ms"].as_i64())
    };
    assert_eq!(
        (now("plugin:stat"), now("stat"), now("plugin:queue")),
        (Some(300), Some(100), Some(3_600_000))
    );
    folder.ask(&["interval", "default", "plugin:stat"]).well();
    assert!(!listed("stat").contains("300ms"), "{}", listed("stat"));
    let error = folder.ask(&["interval", "1s", "plugin:nosuch"]).refused();
    for name in ["no plugin `plugin:nosuch`", "plugins: queue, plugin:stat", "meminfo"] {
        assert!(error.contains(name), "{name}: {error}");
    }
    daemon.healthy();
    daemon.stop();
}

/// A counter of 32 bits goes past its end, and plimsoll is started anew after that: what is stored
/// goes on, and no rate sees a new beginning.
#[test]
fn a_counter_that_has_wrapped_goes_on_after_a_restart() {
    let folder = Folder::new();
    let dir = plugins(&folder);
    let told = folder.join("told");
    let tell = |value: u64| std::fs::write(&told, value.to_string()).expect("written");
    put(
        &dir,
        "wraps",
        &format!(
            "#!/bin/sh\n[ \"$1\" = config ] && {{ echo graph_title W; echo a.label A; echo a.type COUNTER; exit; }}\n\
             echo a.value $(cat {})\n",
            told.display()
        ),
    );
    let key = r#"munin_wraps{field="a"}"#;
    let past = 4_294_967_296.0;
    tell(4_294_967_000);
    let daemon = folder.start(&config(&dir, ""));
    let is = |daemon: &Daemon, wanted: f64| {
        eventually(key, PATIENCE, || match daemon.value(key) {
            Some(v) if v == wanted => Ok(()),
            other => Err(format!("{other:?} {:?}", daemon.problems())),
        });
    };
    is(&daemon, past - 296.0);
    tell(100);
    is(&daemon, past + 100.0);
    daemon.stop();
    tell(300);
    let daemon = folder.start(&config(&dir, ""));
    is(&daemon, past + 300.0);
    // Killed without a word: it had been kept when it wrapped.
    daemon.kill();
    tell(500);
    let daemon = folder.start(&config(&dir, ""));
    is(&daemon, past + 500.0);
    daemon.stop();
    let falls = "select count(*) from (select value, lag(value) over (order by timestamp) before \
         from metrics where key = '{}') where value < before"
        .replace("{}", key);
    assert_eq!(sqlite3(&folder.db(), &falls), "0");
}

#[test]
fn with_the_rights_of_the_drop_in_plugins_become_others_and_keep_none_of_them() {
    need_root("another user");
    let folder = Folder::new();
    let dir = plugins(&folder);
    let said = "#!/bin/sh\necho uid $(id -u)\necho caps $((0x$(sed -n 's/^CapPrm:\\t//p' /proc/self/status)))\necho x > \"$MUNIN_PLUGSTATE/seen\" && echo kept 1\n";
    put(&dir, "plain", said);
    put(&dir, "other", said);
    let text = config(&dir, "[[plugin]]\nname = \"other\"\nuser = \"games\"\n");
    folder.configure(&text);
    // As the service is: a user of its own, who owns the folder of the database.
    let chown = run(tool("chown", "coreutils").args(["man"]).arg(folder.path()));
    chown.well();
    // Where the tests are built, others may have no way to it.
    let binary = folder.join("plimsoll");
    std::fs::copy(PLIMSOLL, &binary).expect("copied");
    let plain = folder.plimsoll(&["run"]);
    let caps = "+setuid,+setgid,+chown,+kill";
    let mut command = tool("setpriv", "util-linux");
    command.args([
        "--reuid=man",
        "--regid=man",
        "--clear-groups",
        "--bounding-set=-all,+setuid,+setgid,+chown,+kill",
    ]);
    command.arg(format!("--inh-caps={caps}")).arg(format!("--ambient-caps={caps}"));
    command.args(["--no-new-privs", "sh", "-c", "umask 027; exec \"$0\" \"$@\""]).arg(&binary);
    command.args(plain.get_args()).current_dir(folder.path());
    // What is read at the start is root's, and readable.
    let daemon = Daemon::spawn(command, &folder.join("log"));
    daemon.ready(PATIENCE);
    let uid = |user: &str| -> f64 {
        let said = run(tool("id", "coreutils").args(["-u", user])).well();
        said.trim().parse().expect("a number")
    };
    for (name, user) in [("plain", "nobody"), ("other", "games")] {
        let of = |field: &str| value(&daemon, &format!("munin_{name}{{field=\"{field}\"}}"));
        assert_eq!((of("uid"), of("caps"), of("kept")), (uid(user), 0.0, 1.0), "{name}");
    }
    daemon.stop();
}
