//! alert: generated rules and series, asked of promtool: it has to say of each alert at each step what is
//! said here, firing and pending, with labels and annotations.
//!
//! Each case is a test of a file that expects what plimsoll says; promtool accepts the whole file or not.
//! `PROMTOOL_CASES` says how many; without promtool the test passes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use crate::alert::files::{self, FileRule};
use crate::alert::judge::Judge;
use crate::model::Labels;
use crate::query::eval::Limits;
use crate::query::float::is_absent;
use crate::query::source::MemorySource;

/// The number of cases in a file; all rules of a file are evaluated in each of its tests.
const A_FILE: usize = 40;
const STEPS: i64 = 40;
const STEP_MS: i64 = 60_000;
/// No sample lies where the edge of a window is: promtool 2.42 takes it in, later ones do not.
const SAMPLE_MS: i64 = 59_000;

/// xorshift64: the same cases with the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    fn of<'t>(&mut self, list: &[&'t str]) -> &'t str {
        list[self.below(list.len() as u64) as usize]
    }
}

/// A rule about the series `m{n}`, and their values.
struct Case {
    rule: String,
    series: Vec<(String, String)>,
}

fn case(random: &mut Random, n: usize) -> Case {
    let expr = random
        .of(&[
            "M > 5",
            "M >= 5 and M < 9",
            "M < 3 or M > 8",
            // No window that ends on a sample: Prometheus 2.42 counts that one too.
            "sum_over_time(M[170s]) > 9",
            "max_over_time(M[170s]) > 4",
            "sum by (i) (M) > 9",
            "max(M) > 8",
            "absent(M)",
            "count(M > 4) >= 2",
            "M unless M < 6",
            "M > bool 5",
            "changes(M[230s]) > 1",
        ])
        .replace('M', &format!("m{n}"));
    let durations = ["0s", "1m", "2m", "3m", "5m", "7m"];
    let (held, keep) = (random.of(&durations), random.of(&["0s", "0s", "1m", "3m", "6m"]));
    let labels = random.of(&[
        "{severity: page}",
        // Never empty: of an empty one Prometheus stores the template itself in `ALERTS`.
        "{severity: 'i{{ $labels.i }}'}",
        "{}",
        "{level: '{{ if gt $value 6.0 }}high{{ else }}low{{ end }}'}",
    ]);
    let text = random.of(&[
        "{{ $labels.i }} is at {{ $value }}",
        "{{ $value | humanize }} {{ printf \"%.2f\" $value }}",
        "{{ $value | humanizePercentage }} {{ humanizeDuration $value }}",
        // Not `{{ $labels }}` whole: Prometheus then shows the metric's name too, where it was kept.
        "plain",
    ]);
    let rule = format!(
        "  - alert: A{n}\n    expr: {expr}\n    for: {held}\n    keep_firing_for: {keep}\n    \
         labels: {labels}\n    annotations: {{text: '{text}'}}\n"
    );
    let count = 1 + random.below(3);
    let series = (0..count).map(|i| (format!("m{n}{{i=\"{i}\"}}"), values(random))).collect();
    Case { rule, series }
}

/// Runs of values, holes and ends; the first moment is a hole.
fn values(random: &mut Random) -> String {
    let mut out = "_".to_owned();
    let mut left = 40;
    while left > 0 {
        let run = 1 + random.below(8);
        let value = random.below(11);
        let _infallible = match random.below(8) {
            0 => write!(out, " _x{run}"),
            1 => write!(out, " stale"),
            2 => write!(out, " {value}+1x{run}"),
            3 => write!(out, " {value}-2x{run}"),
            4 => write!(out, " {value}.5x{run}"),
            _ => write!(out, " {value}x{run}"),
        };
        left -= run as i64 + 1;
    }
    out
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn map(pairs: impl Iterator<Item = (String, String)>) -> String {
    let each: Vec<String> =
        pairs.map(|(name, value)| format!("{name}: {}", quoted(&value))).collect();
    format!("{{{}}}", each.join(", "))
}

/// The test of a case, with what plimsoll says.
fn test(case: &Case, n: usize) -> String {
    let file = format!("groups:\n- name: g\n  rules:\n{}", case.rule);
    let groups = files::read(&file).expect("a rule file");
    let FileRule::Alert(rule) = groups[0].rules[0].clone() else { panic!("an alert") };
    let mut judge = Judge::new(vec![*rule], STEP_MS);
    let mut out = format!("- interval: {}s\n  input_series:\n", SAMPLE_MS / 1000);
    let mut source = MemorySource::default();
    for (series, values) in &case.series {
        let _infallible =
            writeln!(out, "  - series: {}\n    values: {}", quoted(series), quoted(values));
        let labels = super::labels_of(&crate::wire::yaml::read("a").expect("right"), series);
        let values = super::values(values, 100_000).expect("values");
        let samples = (0..).zip(values).filter_map(|(at, v)| Some((at * SAMPLE_MS, v?)));
        source.add(labels.expect("labels"), samples.collect::<Vec<_>>());
    }
    let mut alerts = String::new();
    let mut exprs = String::new();
    for step in 0..STEPS {
        let at = step * STEP_MS;
        let pass = judge.pass_over(at, &source, Limits::default(), &[]);
        assert!(pass.errors.is_empty(), "{:?} of {}", pass.errors, case.rule);
        let _infallible =
            writeln!(alerts, "  - eval_time: {step}m\n    alertname: A{n}\n    exp_alerts:");
        for alert in judge.instances().filter(|alert| alert.is_firing()) {
            let labels = map(alert.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())));
            let annotations = map(alert.annotations.clone().into_iter());
            let _infallible = writeln!(
                alerts,
                "    - exp_labels: {labels}\n      exp_annotations: {annotations}"
            );
        }
        let now = pass.samples.iter().filter(|(_, value)| !is_absent(*value));
        let mut lines: Vec<String> = now.map(|(labels, value)| sample(labels, *value)).collect();
        lines.sort();
        let _infallible = writeln!(
            exprs,
            "  - expr: '{{__name__=~\"ALERTS|ALERTS_FOR_STATE\",alertname=\"A{n}\"}}'\n    \
             eval_time: {step}m\n    exp_samples:\n{}",
            lines.concat()
        );
    }
    let _infallible = write!(out, "  alert_rule_test:\n{alerts}  promql_expr_test:\n{exprs}");
    out
}

fn sample(labels: &Labels, value: f64) -> String {
    let name = labels.get("__name__").unwrap_or_default();
    let pairs = labels.iter().filter(|(n, _)| *n != "__name__");
    let pairs: Vec<String> =
        pairs.map(|(n, v)| format!("{n}={}", crate::query::quote::quoted(v))).collect();
    let series = format!("{name}{{{}}}", pairs.join(","));
    format!("    - labels: {}\n      value: {value}\n", quoted(&series))
}

fn ask_promtool(cases: usize, seed: u64) {
    if Command::new("promtool").arg("--version").output().is_err() {
        return;
    }
    let mut random = Random(seed);
    for from in (0..cases).step_by(A_FILE) {
        let made: Vec<Case> =
            (from..cases.min(from + A_FILE)).map(|n| case(&mut random, n)).collect();
        accepted(&made, from);
    }
}

/// promtool has to accept what plimsoll says of these cases; the first one's number is `from`.
fn accepted(made: &[Case], from: usize) {
    let dir = tempfile::tempdir().expect("a folder");
    let rules: String = made.iter().map(|case| case.rule.as_str()).collect();
    let rules = format!("groups:\n- name: g\n  rules:\n{rules}");
    std::fs::write(dir.path().join("rules.yml"), rules).expect("a file");
    let tests: String = (from..).zip(made).map(|(n, case)| test(case, n)).collect();
    let tests = format!("rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n{tests}");
    let path = dir.path().join("tests.yml");
    std::fs::write(&path, tests).expect("a file");
    let answer = Command::new("promtool").args(["test", "rules"]).arg(&path).output();
    let answer = answer.expect("it was there before");
    if answer.status.success() {
        return;
    }
    let said = String::from_utf8_lossy(&answer.stderr).into_owned()
        + &String::from_utf8_lossy(&answer.stdout);
    if let Some(differs) = first_difference(&said) {
        panic!("promtool fills a template otherwise: {differs}");
    }
    let first: String = said.chars().take(2_000).collect();
    let name = first.split("alertname: A").nth(1).and_then(|t| t.split(',').next());
    let number = name.and_then(|n| n.parse::<usize>().ok()).unwrap_or(from);
    let case = &made[(number - from).min(made.len() - 1)];
    panic!("promtool says otherwise:\n{first}\n{}\n{:?}", case.rule, case.series);
}

/// The annotations that promtool expected and did not find, and what it got.
fn first_difference(said: &str) -> Option<String> {
    let pairs = |mark: &str| -> BTreeMap<String, String> {
        let part = said.split(mark).nth(1).unwrap_or_default();
        let part = part.split("Annotations:{").nth(1).unwrap_or_default();
        let part = part.split("\"}").next().unwrap_or_default();
        let each = part.split("\", ").filter_map(|pair| pair.split_once("=\""));
        each.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let (ours, theirs) = (pairs("exp:["), pairs("got:["));
    let differ = ours.iter().filter(|(name, value)| theirs.get(*name) != Some(*value));
    let lines: Vec<String> =
        differ.map(|(name, value)| format!("{name}: {value} | {:?}", theirs.get(name))).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[test]
fn promtool_says_the_same_of_generated_rules() {
    let cases = std::env::var("PROMTOOL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(80);
    ask_promtool(cases, 88_172_645_463_325_252);
}

/// Templates of annotations, each with many inputs.
fn templates() -> Vec<String> {
    let numbers = [
        "0",
        "1",
        "-1",
        "0.5",
        "12.345",
        "59.9",
        "60",
        "61.5",
        "999.9999",
        "1000",
        "1023",
        "1024",
        "1025",
        "3599",
        "3600",
        "3661",
        "86399",
        "86400",
        "90061.7",
        "1e6",
        "2559384123",
        "1e9",
        "1e15",
        "1e24",
        "1e30",
        "-1234567",
        "-90061",
        "0.001",
        "0.00001",
        "1e-9",
        "1e-27",
        "33.333333",
        "1435065584.128",
        "1700000000.5",
        "9.9995",
        "NaN",
        "+Inf",
        "-Inf",
    ];
    let texts = [
        "",
        "a",
        "a b-c",
        "Foo.BAR",
        "\u{fc}n\u{ef}",
        "x:9100",
        "10.0.0.1:9100",
        "host.example.org:90",
        "host:",
        "[::1]:90",
        "::1",
        "a<b>&'=",
        "http://x/y?z=1&w=2 3",
        "a_b'c d",
        "1h30m",
    ];
    let formats = [
        "%v", "%.2f", "%g", "%e", "%8.3f", "%d", "%s", "%.0f", "%.3g", "%06.1f", "%-9.2f|",
        "%+.1f", "% .1f", "%G", "%E", "%q", "%t", "%5d", "%05d", "%%", "%.1f%%", "%f %f", "%T",
        "%c", "%o", "%6.2f%s", "%.1e", "%z", "%", "%.f", "%.5v", "%+v", "%+d", "%5.1s|", "%-5s|",
    ];
    let mut all = Vec::new();
    // Beyond 64 bits Go's whole numbers are those of the processor; so they are left out.
    let fits = |name: &str, number: &str| match number.parse::<f64>() {
        Ok(value) if value.is_finite() => match name {
            "humanizeDuration" => value.abs() < 9e18,
            "humanizeTimestamp" => value.abs() < 9e9,
            _ => true,
        },
        _ => true,
    };
    for name in
        ["humanize", "humanize1024", "humanizeDuration", "humanizePercentage", "humanizeTimestamp"]
    {
        let numbers = numbers.iter().filter(|number| fits(name, number));
        all.extend(numbers.map(|number| format!("{{{{ {name} \"{number}\" }}}}")));
    }
    for name in [
        "title",
        "toUpper",
        "toLower",
        "stripPort",
        "stripDomain",
        "safeHtml",
        "html",
        "js",
        "urlquery",
        "graphLink",
        "tableLink",
        "len",
        "print",
        "printf \"%q\"",
        "printf \"%x\"",
        "printf \"%X\"",
        "not",
    ] {
        all.extend(texts.iter().map(|text| format!("{{{{ {name} \"{text}\" }}}}")));
    }
    let values = ["1.5", "42", "\"abc\"", "true", "1e21", "0.000001", "-3.14159", "-7", "$value"];
    for format in formats {
        all.extend(values.map(|value| format!("{{{{ printf \"{format}\" {value} }}}}")));
    }
    for period in ["1h", "1m30s", "10s", "5ms", "1d", "1w", "1y", "0"] {
        all.push(format!("{{{{ parseDuration \"{period}\" | humanizeDuration }}}}"));
    }
    let others = r#"{{ $labels }}|{{ .Labels }}|{{ $labels.alertname }}{{ $labels.__name__ }}|{{ $labels.missing }}
        {{ . }}|{{ .Value }}|{{ $value | printf "%.3f" }}|{{ $labels.severity }}
        {{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}{{ range $labels }}{{ . }};{{ end }}{{ len $labels }}
        {{ with $labels.i }}<{{ . }}>{{ end }}{{ with $labels.zz }}x{{ else }}none{{ end }}
        {{ with query "m" }}{{ . | first | value }}{{ end }}{{ query "m" | first | label "i" }}
        {{ range query "m" | sortByLabel "i" }}{{ . }}{{ .Labels.i }}={{ .Value }};{{ end }}{{ query "m" | len }}
        {{ (query "m" | first).Labels.i }}{{ if not (query "nothing") }}none{{ end }}
        {{ gt $value 1.0 }}{{ lt 1 2 }}{{ eq "a" "b" "a" }}{{ ne 1 2 }}{{ le 1.5 1.5 }}{{ ge "b" "a" }}{{ eq true true }}
        {{ and 1 0 }}{{ or 0 "x" }}{{ and 1 2 3 }}{{ or "" "" }}{{ not 0 }}
        {{ print 1 2 "a" 3 4 nil }}|{{ println 1 2 | len }}|{{ 1.0 }}|{{ 1e21 }}|{{ 0x1F }}|{{ 1_000 }}|{{ `raw` }}
        {{ args "a" 2 }}{{ (args "a" "b").arg1 }}{{ args 1 2 | len }}{{ range args 1 2 }}{{ . }},{{ end }}
        {{ reReplaceAll "a(.)" "<$1>" "abac" }}{{ reReplaceAll "(?P<x>a)" "${x}$x1" "aab" }}{{ match "^a.c$" "abc" }}
        {{ slice "abcdef" 1 3 }}{{ slice "abc" 1 }}|{{ toTime 1.5 }}|{{ html "a" "b" }}{{ js 5.5 }}{{ urlquery 5 }}
        {{ $x := 5 }}{{ if true }}{{ $x := 6 }}{{ $x }}{{ end }}{{ $x }}{{ if true }}{{ $x = 7 }}{{ end }}{{ $x }}
        {{- "a" -}}  b  {{- "c" }}{{/* c */}}{{- /* c */ -}}x
        {{ if and (gt $value 1.0) (lt $value 2.0) }}in{{ else if true }}out{{ end }}
        {{ $labels.i | toUpper | printf "%s!" }}{{ "a" | printf "%s-%s" "b" }}{{ printf "%q" $labels }}"#;
    all.extend(others.lines().map(|line| line.trim_start().to_owned()));
    all
}

#[test]
fn promtool_fills_templates_the_same() {
    if Command::new("promtool").arg("--version").output().is_err() {
        return;
    }
    let templates = templates();
    assert!(templates.len() > 500, "{}", templates.len());
    let each: Vec<String> =
        (0..).zip(&templates).map(|(n, text)| format!("t{n}: {}", quoted(text))).collect();
    // The name stays and a label is replaced: neither changes what templates see.
    let rule = format!(
        "  - alert: A0\n    expr: m > 5\n    labels: {{severity: page, i: '<{{{{ $labels.i }}}}>'}}\n    \
         annotations:\n      {}\n",
        each.join("\n      ")
    );
    let series = [("m{i=\"a\",severity=\"own\"}", "_ 7.25x90"), ("m{i=\"b\"}", "_ 2.5x90")];
    let series = series.map(|(name, values)| (name.to_owned(), values.to_owned())).to_vec();
    accepted(&[Case { rule, series }], 0);
}

/// Files of tests that other projects have, with their rules beside them: `UNIT_TESTS` names them, with
/// `:` between. What plimsoll says of each is printed; promtool's own words can be laid beside it.
#[test]
#[allow(clippy::print_stderr, reason = "it is for a person who tries files by hand")]
fn files_of_others_can_be_tried() {
    let Ok(paths) = std::env::var("UNIT_TESTS") else { return };
    for path in paths.split(':').map(std::path::Path::new) {
        let text = std::fs::read_to_string(path).expect("a file");
        let tests = match super::read(&text) {
            Ok(tests) => tests,
            Err(e) => {
                eprintln!("{}: cannot be read: {e}", path.display());
                continue;
            }
        };
        let mut groups = Vec::new();
        let mut wrong = Vec::new();
        for name in &tests.rule_files {
            let file = path.parent().expect("a folder").join(name);
            let read = std::fs::read_to_string(&file).map_err(|e| e.to_string());
            match read.and_then(|text| files::read(&text).map_err(|e| e.to_string())) {
                Ok(read) => groups.extend(read),
                Err(e) => wrong.push(format!("{name}: {e}")),
            }
        }
        let failures = super::run(&tests, &groups);
        eprintln!(
            "{}: {} failures, {} rule files wrong",
            path.display(),
            failures.len(),
            wrong.len()
        );
        wrong.iter().take(3).for_each(|w| eprintln!("    {w}"));
        failures.iter().take(4).for_each(|f| eprintln!("    line {}: {}", f.line, f.message));
    }
}
