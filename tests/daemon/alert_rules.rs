//! Rules as a person meets them: rule files of Prometheus, other limits for a default, what check-config
//! finds in them, and the verbs that judge the past and run unit tests.

use crate::support::*;

const RULES: &str = r#"
groups:
- name: mine
  rules:
  - record: load:five
    expr: node_load5 + 100
  - alert: LoadKnown
    expr: load:five >= 100
    labels: {severity: warning}
    annotations:
      summary: "{{ $labels.instance }}: {{ $value | humanize }}"
  - alert: Plain
    expr: load:five >= 100
"#;

fn wait(what: &str, is: impl Fn() -> bool) {
    eventually(what, PATIENCE, || is().then_some(()).ok_or_else(String::new));
}

fn write(folder: &Folder, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, text).expect("written");
}

const FILES: &str =
    "interval = \"1s\"\n[http]\nlisten = \"127.0.0.1:0\"\n[alerts]\nrules = [\"rules/*.yml\"]\n";

#[test]
fn a_rule_file_is_judged_and_a_wrong_one_keeps_its_rules() {
    let folder = Folder::new();
    write(&folder, "rules/a.yml", RULES);
    let daemon = folder.start(FILES);
    // What a recording rule writes is a series, and an alerting rule sees it.
    wait("the series", || folder.ask(&["query", "load:five"]).well().contains("load:five"));
    wait("the series", || folder.ask(&["query", "ALERTS"]).well().contains("LoadKnown"));
    let list = folder.ask(&["alert", "rules"]).well();
    assert!(list.contains("LoadKnown") && list.contains("rules/a.yml"), "{list}");
    assert!(list.contains("writes node_load5 + 100"), "{list}");
    // Tools that ask Prometheus for alerts get the annotations, and the labels that the file has.
    wait("both alerts", || {
        daemon.http("GET", "/api/v1/alerts").body.matches("alertname").count() > 1
    });
    let answer = daemon.json("/api/v1/alerts");
    let alerts = answer["data"]["alerts"].as_array().expect("a list");
    let alert = |name: &str| alerts.iter().find(|a| a["labels"]["alertname"] == name).expect("it");
    let summary = alert("LoadKnown")["annotations"]["summary"].as_str().expect("one");
    // A hundred and the load, which a busy machine has in two digits.
    assert!(summary.contains(": 1"), "{summary}");
    assert_eq!(alert("LoadKnown")["labels"]["severity"], "warning");
    assert!(alert("Plain")["labels"]["severity"].is_null(), "{alerts:?}");
    // The rule that records stands in the group of its file.
    let answer = daemon.json("/api/v1/rules?type=record");
    let groups = answer["data"]["groups"].as_array().expect("a list");
    assert_eq!(groups.len(), 1, "{groups:?}");
    assert!(groups[0]["file"].as_str().is_some_and(|f| f.ends_with("rules/a.yml")), "{groups:?}");
    let rule = &groups[0]["rules"][0];
    assert_eq!(groups[0]["rules"].as_array().map(Vec::len), Some(1), "{groups:?}");
    assert_eq!(
        (&rule["type"], &rule["name"], &rule["query"], &rule["health"]),
        (&"recording".into(), &"load:five".into(), &"node_load5 + 100".into(), &"ok".into())
    );
    assert!(rule["evaluationTime"].as_f64().is_some_and(|took| took > 0.0), "{rule}");
    assert!(rule["lastEvaluation"].as_str().is_some_and(|at| at.starts_with("20")), "{rule}");
    let both = daemon.json("/api/v1/rules?rule_name[]=load:five&rule_name[]=Plain");
    let rules = both["data"]["groups"][0]["rules"].as_array().expect("a list").clone();
    let kinds: Vec<_> = rules.iter().map(|rule| rule["type"].as_str()).collect();
    assert_eq!(kinds, [Some("recording"), Some("alerting")], "{both}");

    // A second file comes, and the first one breaks: its rules stay.
    write(&folder, "rules/a.yml", "groups:\n- name: mine\n  rule: []\n");
    write(&folder, "rules/b.yml", &RULES.replace("LoadKnown", "Second").replace("five", "b"));
    let said = folder.ask(&["reload"]).well();
    assert!(said.contains("left out: "), "{said}");
    assert!(said.contains("a.yml: line 3: `rule` is not known in a group"), "{said}");
    assert!(said.contains("the rules that it had before stay in force"), "{said}");
    wait("the series", || folder.ask(&["query", "ALERTS"]).well().contains("Second"));
    let now = folder.ask(&["query", "ALERTS"]).well();
    assert!(now.contains("LoadKnown"), "{now}");

    // Mended, with other names: what was before ends.
    write(&folder, "rules/a.yml", &RULES.replace("LoadKnown", "Third").replace("five", "c"));
    let said = folder.ask(&["reload"]).well();
    assert!(!said.contains("left out"), "{said}");
    wait("the series", || folder.ask(&["query", "load:c"]).well().contains("load:c"));
    wait("the series", || !folder.ask(&["query", "load:five"]).well().contains("load:five"));
    daemon.stop();
}

#[test]
fn a_default_gets_other_limits_by_its_name() {
    let folder = Folder::new();
    let file = |text: &str| {
        write(&folder, "plimsoll.toml", text);
        folder.join("plimsoll.toml").to_string_lossy().into_owned()
    };
    file("[alerts.disk_full]\nwarning = 85\n");
    let list = folder.ask(&["alert", "rules"]).well();
    let row = list.lines().find(|line| line.starts_with("disk_full ")).expect("the rule");
    assert!(row.contains("warning >= 85"), "{row}");
    let path = file("[alerts.disk_ful]\nwarning = 85\n");
    let why = folder.ask(&["check-config", &path]).refused();
    assert!(why.contains("did you mean `disk_full`?"), "{why}");
    let path = file("[alerts.disk_full]\nwarning = 99\n");
    let why = folder.ask(&["check-config", &path]).refused();
    assert!(why.contains("would be bad at 97 before it is a warning at 99"), "{why}");
    let path = file("[alerts]\noff = [\"stael\"]\n");
    let why = folder.ask(&["check-config", &path]).refused();
    assert!(why.contains("there is no rule `stael`; did you mean `steal`?"), "{why}");
}

#[test]
fn check_config_finds_rules_that_do_nothing() {
    let folder = Folder::new();
    let daemon = folder.start("interval = \"1s\"\n[http]\nlisten = \"127.0.0.1:0\"\n");
    wait("the series", || folder.ask(&["query", "node_load1"]).well().contains("node_load1"));
    daemon.stop();
    write(
        &folder,
        "plimsoll.toml",
        "[[alert]]\nwhen = \"node_laod1 > 3\"\n[[alert]]\nwhen = \"node_load1 > 5 and node_load1 < 3\"\n\
         [alerts]\nrules = [\"r.yml\"]\n",
    );
    write(&folder, "r.yml", RULES);
    let path = folder.join("plimsoll.toml").to_string_lossy().into_owned();
    let said = folder.ask(&["check-config", &path]).well();
    assert!(said.contains("there never was a series `node_laod1`; did you mean"), "{said}");
    assert!(said.contains("can never fire: nothing is > 5 and < 3 at once"), "{said}");
    // What a recording rule makes is no mistake.
    assert!(!said.contains("load:five"), "{said}");
    assert!(said.contains("4 of your own, 1 that record"), "{said}");
    let json = folder.ask(&["check-config", "--json", &path]).well();
    let told: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let warnings = told["warnings"].to_string();
    assert!(told["ok"] == true && warnings.contains("node_laod1"), "{warnings}");

    write(&folder, "r.yml", "groups: [{name: x, rules: [{alert: A, expr: 'up =='}]}]");
    let why = folder.ask(&["check-config", &path]).refused();
    assert!(why.contains("r.yml: line 1: expr: "), "{why}");
    let json = folder.ask(&["check-config", "--json", &path]).out;
    assert!(json.contains("\"ok\": false") && json.contains("r.yml: line 1"), "{json}");
}

#[test]
fn unit_tests_are_run_as_promtool_runs_them() {
    let folder = Folder::new();
    write(&folder, "deep/rules/r.yml", RULES);
    let test = "rule_files: ['rules/*.yml']\ntests:\n- interval: 1m\n  input_series:\n  - {series: \
                'node_load5{instance=\"a\"}', values: '1x5'}\n  alert_rule_test:\n  - eval_time: 3m\n    \
                alertname: LoadKnown\n    exp_alerts:\n    - exp_labels: {severity: warning, instance: a}\n      \
                exp_annotations: {summary: 'a: 101'}\n";
    write(&folder, "deep/good.yml", test);
    write(&folder, "deep/bad.yml", &test.replace("a: 101", "a: 102"));
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let said = folder.ask(&["alert", "test", &path("deep/good.yml")]).well();
    assert!(said.contains("SUCCESS"), "{said}");
    let both = folder.ask(&["alert", "test", &path("deep/good.yml"), &path("deep/bad.yml")]);
    assert!(both.out.contains("SUCCESS") && both.out.contains("FAILED"), "{both:?}");
    assert!(both.out.contains("line 7: "), "{both:?}");
    assert!(both.refused().contains("1 of 2 files failed"));
}

/// Ten days of minutes: a peak of an hour each day.
#[test]
fn the_past_is_judged() {
    let folder = Folder::new();
    let start = now_ms() as u64 / 60_000 * 60 - 10 * 86_400;
    let mut text = String::from("key,timestamp,value\n");
    for minute in 0..10 * 1_440_u64 {
        let value = if (600..660).contains(&(minute % 1_440)) { 95.0 } else { 40.0 };
        text.push_str(&format!("depth,{},{value}\n", start + minute * 60));
    }
    write(&folder, "in.csv", &text);
    folder.ask(&["import", &folder.join("in.csv").to_string_lossy()]).well();
    write(&folder, "plimsoll.toml", "interval = \"1m\"\n[alerts]\nto = \"exec:/bin/true\"\n");
    let ask = |args: &[&str]| folder.ask(args);
    let said = ask(&["alert", "replay", "--rule", "depth > 90", "--for", "10m"]).well();
    assert!(said.contains("10 alerts from "), "{said}");
    assert!(said.contains("exec:/bin/true") && said.contains("a week"), "{said}");
    let json = ask(&["alert", "replay", "--rule", "depth > 90", "--from", "-3d", "--json"]).well();
    let told: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(told["incidents"].as_array().map(Vec::len), Some(3), "{json}");
    assert_eq!(told["incidents"][0]["peak"], 95.0);
    let said = ask(&["alert", "replay", "--rule", "depth > 90", "--for", "2h"]).well();
    assert!(said.contains("nothing would have fired"), "{said}");
    let why = ask(&["alert", "replay", "--name", "disk_ful"]).refused();
    assert!(why.contains("did you mean `disk_full`?"), "{why}");
    let why = ask(&["alert", "replay", "--rule", "depth >"]).refused();
    assert!(why.contains("--rule: "), "{why}");

    // Hourly peaks are too often, unless a limit has to hold for longer or lies above them.
    let said = ask(&["alert", "suggest", "depth > 0"]).well();
    assert!(said.contains("depth > 95") && said.contains("[[alert]]"), "{said}");
    let why = ask(&["alert", "suggest", "nothing_like_it"]).refused();
    assert!(why.contains("no samples of `nothing_like_it`"), "{why}");

    // And what the rules in force would have sent.
    write(
        &folder,
        "plimsoll.toml",
        "interval = \"1m\"\n[[alert]]\nwhen = \"depth > 90\"\nfor = \"10m\"\n",
    );
    let said = ask(&["alert"]).well();
    assert!(said.contains("these rules would have sent you 20 messages in 10 days"), "{said}");
}
