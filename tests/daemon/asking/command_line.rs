//! `plimsoll query` with a daemon and without one; and a file that is another one all at once.

use super::{data, send};
use crate::promql::{START, filled};
use crate::support::*;

#[test]
fn the_same_answers_with_a_daemon_and_without() {
    let (folder, daemon) = filled();
    let at = (START + 600).to_string();
    let at = ["--at", &at];
    let span = ["--range", "2m", "--step", "20s"];
    let questions: Vec<Vec<&str>> = vec![
        vec!["paint_total"],
        vec!["paint_total", "--json"],
        vec!["sum by (color) (rate(paint_total[5m]))", "--format", "csv"],
        vec!["paint_total / 7", "--range", "2m", "--step", "20s"],
        [&["max(paint_total) ^ 9 * 1e300"][..], &span, &["--json"]].concat(),
        [&["paint_total{color='none'}"][..], &span].concat(),
        vec!["paint_total{color='red'}[1m]"],
        vec!["label_replace(paint_total, 'a', 'é \"$1\"', 'color', '(.*)')"],
        vec!["1e30"],
        vec!["(-1) / 0"],
        vec!["\"a text: 1e5\""],
        vec!["quantile(2, paint_total)"],
        vec!["rate(paint_total[5m]) + sqrt(-paint_total)"],
        vec!["histogram_quantile(0.5, paint_total)"],
        // Wrong ones say the same, with a caret.
        vec!["sum(("],
        vec!["label_replace(paint_total, 'a', 'b', 'c', '(')"],
        // More steps than the API takes.
        vec!["vector(1)", "--range", "12000s", "--step", "1s", "--format", "csv"],
    ];
    let ask = |question: &[&str]| {
        let said = folder.ask(&[&["query"][..], question, &at].concat());
        (said.status.code(), said.out, said.err)
    };
    let done = || daemon.json("/api/status")["queries"]["done"].as_u64().expect("a number");
    let mut with = Vec::new();
    for question in &questions {
        let before = done();
        with.push(ask(question));
        let wrong = question[0] == "sum((";
        assert!(done() > before || wrong, "{question:?}: the daemon was asked");
    }
    daemon.stop();
    for (question, with) in questions.iter().zip(&with) {
        assert_eq!(&ask(question), with, "{question:?}");
    }
    assert!(with[0].1.contains("600") && with[0].0 == Some(0), "{:?}", with[0]);
    assert!(with[11].2.contains("quantile value should be between 0 and 1"), "{:?}", with[11]);
    assert!(with[15].2.contains("invalid regular expression"), "{:?}", with[15]);
}

#[test]
fn a_daemon_that_does_not_serve_http_answers_too() {
    let folder = Folder::new();
    folder.configure("interval = \"100ms\"\n[http]\nlisten = \"off\"\n");
    let daemon = Daemon::spawn(folder.plimsoll(&["run"]), &folder.join("log"));
    daemon.says("nowhere (no HTTP)");
    daemon.rows_after(0);
    let load = folder.ask(&["query", "node_load1"]).well();
    assert!(load.contains("node_load1{"), "{load}");
    daemon.stop();
}

/// Readers that stay open must not go on answering from a file that is set aside.
#[test]
fn a_file_that_took_its_place_is_read_after_a_restart() {
    let (folder, daemon) = filled();
    let values = |daemon: &Daemon| send(daemon, "GET", "/api/v1/label/color/values", &[], "");
    assert_eq!(data(&values(&daemon)).to_string(), r#"["blue","green","red"]"#);
    let other = Folder::new();
    let rows = format!("key,timestamp,value\n\"paint_total{{color=\"\"gold\"\"}}\",{START},1\n");
    std::fs::write(other.join("rows.csv"), rows).expect("writable");
    other.ask(&["import", "rows.csv"]).well();
    let _checkpoint =
        sqlite3(&other.db(), "pragma journal_mode = delete; pragma journal_mode = wal");
    for part in ["-wal", "-shm"] {
        let _gone = std::fs::remove_file(folder.join(&format!("metrics.sqlite{part}")));
    }
    std::fs::rename(other.db(), folder.db()).expect("one file system");
    // What the daemon has in memory is not what is in this file.
    let refused = values(&daemon);
    assert_eq!(refused.status, 500, "{refused:?}");
    assert!(refused.body.contains("restart it"), "{refused:?}");
    daemon.stop();
    let daemon = folder.start("[store]\nraw = \"100y\"\n[http]\nlisten = \"127.0.0.1:0\"\n");
    assert_eq!(data(&values(&daemon)).to_string(), r#"["gold"]"#);
    drop(daemon);
}
