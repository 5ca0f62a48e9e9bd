//! The verbs that work on a file: samples out and in again, a copy, an estimate, SQL at a prompt, and
//! what a shell wants of the command line.

use std::path::Path;

use crate::support::*;
use crate::terminal::Terminal;

/// Times in every form, a key with labels, numbers that are easily lost; and two rows that are none.
const ROWS: &str = r#"timestamp,key,value
2017-07-31 04:09:27,memory,0.862006869908057
1501474168,memory,0.1
1501474169.25,memory,-0
1501474170000,memory,1e300
2017-07-31T06:09:31+02:00,"disk{mountpoint=""/srv""}",5e-324
2017-07-31 04:09:32,"http_requests{code=""200"",path=""/a,b \""c\""""}",12345678901234567
nonsense,memory,1
2017-07-31 04:09:40,memory,abc
"#;

/// Every sample of a file, its numbers by their bits.
fn samples(db: &Path) -> Vec<String> {
    let sql = "SELECT key, ts, typeof(value), quote(value) FROM samples
               JOIN series ON _id = series_id ORDER BY key, ts";
    sqlite3(db, sql).lines().map(str::to_owned).collect()
}

fn with_rows() -> Folder {
    let folder = Folder::new();
    folder.configure("");
    std::fs::write(folder.join("rows.csv"), ROWS).expect("writable");
    folder.ask(&["import", "rows.csv"]).well();
    folder
}

fn gzip(folder: &Folder, name: &str) {
    run(tool("gzip", "gzip").arg(folder.join(name))).well();
}

#[test]
fn bad_rows_are_told_by_line_and_the_others_are_taken() {
    let folder = Folder::new();
    folder.configure("");
    std::fs::write(folder.join("rows.csv"), ROWS).expect("writable");
    gzip(&folder, "rows.csv");
    let said = folder.ask(&["import", "rows.csv.gz"]);
    assert!(said.err.contains("rows.csv.gz: line 8: `nonsense` is not a time"), "{}", said.err);
    assert!(said.err.contains("rows.csv.gz: line 9: `abc` is not a number"), "{}", said.err);
    let out = said.well();
    assert!(out.contains("6 samples imported into"), "{out}");
    assert!(out.contains("2 bad rows were left out"), "{out}");
    let newest = "select key, timestamp, value from metrics
                  where key = 'memory'
                  order by timestamp desc limit 1";
    assert_eq!(sqlite3(&folder.db(), newest), "memory|2017-07-31 04:09:30|1.0e+300");

    let none = folder.ask(&["import", "nothere.csv"]).refused();
    assert!(none.contains("nothere.csv: No such file"), "{none}");
}

#[test]
fn a_file_that_is_cut_off_fails_and_the_others_go_on() {
    let folder = Folder::new();
    folder.configure("");
    let mut rows = String::from("key,timestamp,value\n");
    for i in 0..20_000_u64 {
        rows.push_str(&format!("room,{},{}\n", 1_700_000_000 + i, i * 7_919 % 10_007));
    }
    std::fs::write(folder.join("cut.csv"), rows).expect("writable");
    gzip(&folder, "cut.csv");
    let packed = std::fs::read(folder.join("cut.csv.gz")).expect("readable");
    std::fs::write(folder.join("cut.csv.gz"), &packed[..packed.len() / 2]).expect("writable");
    std::fs::write(folder.join("one.csv"), "key,timestamp,value\nb,1700000000,1\nb,x,1\n")
        .expect("writable");
    let said = folder.ask(&["import", "cut.csv.gz", "one.csv"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(said.err.contains("cut.csv.gz: the file is cut off or damaged (line "), "{}", said.err);
    assert!(said.err.contains("the rows before that are imported"), "{}", said.err);
    assert!(said.err.contains("1 file could not be imported"), "{}", said.err);
    assert!(said.out.contains("1 bad row was left out"), "{}", said.out);
    let keys = sqlite3(&folder.db(), "select distinct key from series order by key");
    assert_eq!(keys, "b\nroom");
}

#[test]
fn what_is_exported_reads_in_again_bit_for_bit() {
    let folder = with_rows();
    let was = samples(&folder.db());
    assert_eq!(was.len(), 6, "{was:?}");
    for name in ["all.csv", "all.json", "all.om"] {
        let format: &[&str] = if name.ends_with("om") { &["--format", "openmetrics"] } else { &[] };
        let words: Vec<&str> = ["export", "-o", name].iter().chain(format).copied().collect();
        folder.ask(&words).well();
        let again = Folder::new();
        again.configure("");
        std::fs::copy(folder.join(name), again.join(name)).expect("it was written");
        gzip(&again, name);
        again.ask(&["import", &format!("{name}.gz")]).well();
        assert_eq!(samples(&again.db()), was, "{name}");
    }
}

#[test]
fn an_export_takes_what_is_asked_for() {
    let folder = with_rows();
    let keys = |words: &[&str]| -> Vec<String> {
        let all: Vec<&str> = ["export"].iter().chain(words).copied().collect();
        let text = folder.ask(&all).well();
        assert_eq!(text.lines().next(), Some("key,timestamp,value"));
        text.lines().skip(1).map(str::to_owned).collect()
    };
    assert_eq!(keys(&["--key", "disk*"]), ["disk_/srv,2017-07-31T04:09:31.000Z,5e-324"]);
    let between = ["--from", "2017-07-31 04:09:28", "--to", "1501474169.25", "--key", "memory"];
    assert_eq!(
        keys(&between),
        ["memory,2017-07-31T04:09:28.000Z,0.1", "memory,2017-07-31T04:09:29.250Z,-0"]
    );
    assert_eq!(keys(&["--from", "-1h"]), [] as [&str; 0], "nothing is as new as that");
    let when = folder.ask(&["export", "--from", "tomorow"]).refused();
    assert!(when.contains("`tomorow` is not a time") && when.contains("2h ago"), "{when}");
    let what = folder.ask(&["export", "--key", "nix*"]).refused();
    assert!(what.contains("no series has a key like `nix*`"), "{what}");
}

#[test]
fn a_backup_beside_a_running_daemon_is_whole() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let before = now_ms();
    daemon.rows_after(before);
    let said = folder.ask(&["backup", "copy.sqlite"]).well();
    assert!(said.starts_with("copy.sqlite: "), "{said}");
    let copy = folder.join("copy.sqlite");
    assert!(newest(&copy).is_some_and(|ts| ts > before), "what was committed is in it");
    assert_eq!(sqlite3(&copy, "pragma integrity_check"), "ok");
    let size = std::fs::metadata(&copy).expect("a file").len();
    let twice = folder.ask(&["backup", "copy.sqlite"]).refused();
    assert!(twice.contains("copy.sqlite exists and was not changed"), "{twice}");
    assert_eq!(std::fs::metadata(&copy).expect("a file").len(), size);
    // A copy is a database like any other: a daemon goes on in it.
    daemon.stop();
    std::fs::rename(&copy, folder.db()).expect("in its place");
    for ending in ["-wal", "-shm"] {
        let _gone = std::fs::remove_file(folder.join(&format!("metrics.sqlite{ending}")));
    }
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    daemon.stop();
}

#[test]
fn the_estimate_is_of_this_file_and_of_what_is_asked() {
    let folder = with_rows();
    let words = ["estimate", "--series", "3", "--interval", "5m", "--json"];
    let estimate = |folder: &Folder| -> serde_json::Value {
        serde_json::from_str(&folder.ask(&words).well()).expect("JSON")
    };
    let usual = estimate(&folder);
    assert_eq!(usual["samples_per_year"], 3.0 * 365.0 * 288.0);
    assert_eq!(usual["sealed"]["measured"], false, "six samples say nothing");
    assert_eq!(usual["text_schema"]["bytes_per_year"], 3.0 * 365.0 * 288.0 * 45.0);
    let text = folder.ask(&words[..5]).well();
    assert!(text.contains("13.5 MiB   in a text schema, at 45 bytes a row"), "{text}");

    // A constant takes next to nothing, and the estimate knows it of this file.
    let from = now_ms() / 1000 - 100_000;
    let rows: String = (0..12_000).map(|i| format!("level,{},4\n", from + i)).collect();
    std::fs::write(folder.join("many.csv"), format!("key,unix_ts,value\n{rows}")).expect("written");
    folder.ask(&["import", "many.csv"]).well();
    folder.ask(&["compact"]).well();
    let measured = estimate(&folder);
    assert_eq!(measured["sealed"]["measured"], true, "{measured}");
    let bytes = measured["sealed"]["bytes_per_sample"].as_f64().expect("a number");
    assert!(bytes < 0.4, "{measured}");
}

#[test]
fn sql_reads_in_every_form_and_changes_nothing() {
    let folder = with_rows();
    let ask = |format: &str| {
        let sql = "select key, value from metrics where key like 'disk%'";
        folder.ask(&["sql", "--format", format, sql]).well()
    };
    assert_eq!(ask("list"), "disk_/srv|5e-324\n");
    assert_eq!(ask("csv"), "key,value\ndisk_/srv,5e-324\n");
    assert_eq!(ask("json"), "[{\"key\":\"disk_/srv\",\"value\":5e-324}]\n");
    assert!(ask("table").contains("disk_/srv"), "{}", ask("table"));
    let was = samples(&folder.db());
    for statement in ["delete from samples", "insert into metrics (key, value) values ('x', 1)"] {
        let no = folder.ask(&["sql", statement]).refused();
        assert!(no.contains("'plimsoll sql' only reads"), "{statement}: {no}");
    }
    assert_eq!(samples(&folder.db()), was);
    let (copy, beside) = (folder.join("copy"), folder.join("beside"));
    std::fs::copy(folder.db(), &beside).expect("copied");
    for statement in [
        format!("vacuum into '{}'", copy.display()),
        format!("attach '{}' as other", beside.display()),
        "attach ':memory:' as other".to_owned(),
    ] {
        let no = folder.ask(&["sql", &statement]).refused();
        assert!(no.contains("'plimsoll sql' only reads"), "{statement}: {no}");
    }
    assert!(!copy.exists(), "a file was made");
    let no = folder.ask(&["sql", "select * from metric"]).refused();
    assert!(no.contains("no such table: metric") && no.contains("docs/SCHEMA.md"), "{no}");
}

#[test]
fn the_prompt_answers_and_remembers() {
    let folder = with_rows();
    let state = folder.join("state");
    let command =
        format!("XDG_STATE_HOME={} {PLIMSOLL} sql --db {}", state.display(), folder.db().display());
    let terminal = Terminal::new(folder, 80, 24);
    terminal.line(&command);
    terminal.shows("a prompt", |screen| screen.contains("plimsoll>"));
    terminal.line("select count(*) as n");
    terminal.shows("more is awaited", |screen| screen.contains("...>"));
    terminal.line("from metrics where key = 'memory';");
    terminal.shows("the answer", |screen| screen.lines().any(|line| line.trim() == "4"));
    terminal.line("selekt;");
    terminal.shows("what is wrong", |screen| screen.contains("near \"selekt\": syntax error"));
    terminal.line(".help");
    terminal.shows("the tables", |screen| screen.contains("samples_all(KEY, FROM, TO)"));
    terminal.line(".quit");
    terminal.shows("the shell again", |screen| screen.trim_end().ends_with('$'));
    terminal.line(&command);
    terminal.shows("a prompt", |screen| screen.trim_end().ends_with("plimsoll>"));
    terminal.key("Up");
    terminal.key("Up");
    terminal.shows("what was asked before", |screen| {
        screen.trim_end().ends_with("from metrics where key = 'memory';")
    });
}

#[test]
fn a_shell_gets_completions_and_a_page_for_every_verb() {
    let folder = Folder::new();
    folder.configure("");
    let bash = folder.ask(&["completions", "bash"]).well();
    std::fs::write(folder.join("completions"), &bash).expect("writable");
    // What it proposes after `plimsoll int`.
    let ask = "source ./completions; COMP_WORDS=(plimsoll int); COMP_CWORD=1; \
               _plimsoll plimsoll int plimsoll; echo ${COMPREPLY[@]}";
    let said = run(tool("bash", "bash").args(["-c", ask]).current_dir(folder.path())).well();
    assert_eq!(said.trim(), "interval");
    let help = folder.ask(&["--help"]).well();
    let verbs: Vec<&str> = (help.lines().skip_while(|l| !l.starts_with("Commands:")).skip(1))
        .take_while(|l| l.starts_with("  "))
        .filter(|l| !l.starts_with("   "))
        .filter_map(|l| l.split_whitespace().next())
        .collect();
    assert!(verbs.len() > 15 && verbs.contains(&"export"), "{verbs:?}");
    for verb in verbs.iter().filter(|v| **v != "help") {
        let page = folder.ask(&["man", verb]).well();
        assert!(page.contains(&format!(".TH plimsoll-{verb} 1")), "{verb}: {page}");
        for shell in ["bash", "zsh", "fish"] {
            let text = folder.ask(&["completions", shell]).well();
            assert!(text.contains(verb), "{shell}: {verb}");
        }
    }
}

/// Series of several machines and jobs, odd labels, and numbers that are easily lost.
const MACHINES: &str = r#"key,timestamp,value
up,1501474168,1
"up{instance=""web1"",job=""probe""}",1501474168,2
"up{instance=""web2"",job=""probe""}",1501474168,3
"up{instance=""web2"",job=""other""}",1501474168,4
"odd{instance=""web1"",job=""probe"",path=""/a,b \""c\"" é\\d""}",1501474168,NaN
"odd{instance=""web1"",job=""probe"",path=""/a,b \""c\"" é\\d""}",1501474169,-0
"odd{instance=""web1"",job=""probe"",path=""/a,b \""c\"" é\\d""}",1501474170,+Inf
"odd{instance=""web1"",job=""probe"",path=""/a,b \""c\"" é\\d""}",1501474171,-Inf
"bytes_total{device=""sda""}",1501474168,12345678901234567
"#;

#[test]
fn an_exported_file_imports_to_what_it_was_machine_by_machine() {
    let from = Folder::new();
    from.configure("");
    std::fs::write(from.join("machines.csv"), MACHINES).expect("writable");
    from.ask(&["import", "machines.csv"]).well();
    let all = "SELECT system, key, job, kind, ts, quote(value) FROM samples
               JOIN series ON _id = series_id WHERE system_id > 1 OR job = 'import' ORDER BY 1, 2, 3, 5";
    let own = "SELECT DISTINCT name FROM system_dict WHERE id = 1";
    let was = sqlite3(&from.db(), all);
    assert_eq!(was.lines().count(), 9, "{was}");
    assert_eq!(was.lines().filter(|line| line.starts_with("web2|up|")).count(), 2, "{was}");
    for name in ["all.csv", "all.jsonl", "all.om"] {
        let format = ["--format", if name == "all.om" { "openmetrics" } else { "csv" }];
        let format: &[&str] = if name == "all.jsonl" { &["--format", "json"] } else { &format };
        from.ask(&[&["export", "-o", name], format].concat()).well();
        let to = Folder::new();
        to.configure("");
        std::fs::copy(from.join(name), to.join(name)).expect("copied");
        to.ask(&["import", name]).well();
        assert_eq!(sqlite3(&to.db(), own), sqlite3(&from.db(), own));
        assert_eq!(sqlite3(&to.db(), all), was, "{name}");
    }
    let told =
        from.ask(&["sql", "--format", "list", "select distinct system from samples_all('up')"]);
    assert_eq!(told.well().lines().count(), 3);
}

#[test]
fn an_output_does_not_go_over_the_database() {
    let folder = with_rows();
    let was = samples(&folder.db());
    let db = folder.db();
    let db = db.to_str().expect("text");
    for to in [db.to_owned(), format!("{db}-wal"), format!("{db}-shm"), format!("{db}.lock")] {
        let said = folder.ask(&["export", "-o", &to]).refused();
        assert!(said.contains("it belongs to the database, and was not changed"), "{said}");
    }
    assert_eq!(samples(&folder.db()), was);
}

#[test]
fn who_may_only_read_reads_after_plimsoll_has_stopped() {
    need_root("to become a user who may only read");
    let folder = with_rows();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("allowed");
    let daemon = folder.start("");
    let ask = || {
        let mut command = tool("setpriv", "util-linux");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sqlite3", "-readonly"]);
        run(command.arg(folder.db()).arg("select count(*) > 0 from metrics")).well()
    };
    daemon.ready(std::time::Duration::from_secs(10));
    assert_eq!(ask().trim(), "1");
    daemon.stop();
    assert_eq!(ask().trim(), "1");
}
