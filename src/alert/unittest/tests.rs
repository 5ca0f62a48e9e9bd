//! alert: tests of unit tests, by hand; promtool is asked in tests/alert.

use super::*;
use crate::alert::files;

const RULES: &str = r"
groups:
- name: g
  rules:
  - record: x:double
    expr: x * 2
  - alert: High
    expr: x > 5
    for: 2m
    keep_firing_for: 3m
    labels: {severity: page}
    annotations: {summary: '{{ $labels.i }} is at {{ $value }}'}
";

/// As promtool 2.42 answers it: the fallen one fires from 2m to 6m, the vanished one to 10m.
const TESTS: &str = r#"
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
- name: both
  interval: 1m
  input_series:
  - series: 'x{i="fallen"}'
    values: '9 9 9 9 1x20'
  - series: 'x{i="vanished"}'
    values: '9x2'
  alert_rule_test:
  - {eval_time: 1m, alertname: High}
  - eval_time: 2m
    alertname: High
    exp_alerts:
    - {exp_labels: {severity: page, i: fallen}, exp_annotations: {summary: fallen is at 9}}
    - {exp_labels: {severity: page, i: vanished}, exp_annotations: {summary: vanished is at 9}}
  - eval_time: 6m
    alertname: High
    exp_alerts:
    - {exp_labels: {severity: page, i: fallen}, exp_annotations: {summary: fallen is at 9}}
    - {exp_labels: {severity: page, i: vanished}, exp_annotations: {summary: vanished is at 9}}
  - eval_time: 7m
    alertname: High
    exp_alerts:
    - {exp_labels: {severity: page, i: vanished}, exp_annotations: {summary: vanished is at 9}}
  - {eval_time: 11m, alertname: High}
  promql_expr_test:
  - expr: x:double
    eval_time: 4m
    exp_samples:
    - {labels: 'x:double{i="fallen"}', value: 2}
    - {labels: 'x:double{i="vanished"}', value: 18}
  - expr: ALERTS{alertstate="pending"}
    eval_time: 1m
    exp_samples:
    - {labels: 'ALERTS{alertname="High",alertstate="pending",i="fallen",severity="page"}', value: 1}
    - {labels: 'ALERTS{alertname="High",alertstate="pending",i="vanished",severity="page"}', value: 1}
"#;

fn failures(tests: &str) -> Vec<String> {
    let groups = files::read(RULES).expect("right");
    let tests = read(tests).expect("right");
    run(&tests, &groups).into_iter().map(|f| format!("line {}: {}", f.line, f.message)).collect()
}

#[test]
fn what_promtool_says_is_said() {
    assert_eq!(failures(TESTS), [""; 0]);
}

#[test]
fn what_is_expected_wrongly_fails_with_its_line() {
    let wrong = TESTS
        .replace("{eval_time: 1m, alertname: High}", "{eval_time: 2m, alertname: High}")
        .replace("value: 18", "value: 19");
    let said = failures(&wrong);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with("line 13: both: alert High at 2m: expected nothing, got {i=\"fallen\"")
    );
    assert!(
        said[1].contains("x:double at 4m: expected x:double{i=\"fallen\"} 2; x:double"),
        "{said:?}"
    );
    let error = read("rule_file: [a]").expect_err("unknown").to_string();
    assert_eq!(error, "line 1: `rule_file` is not known in a file of tests");
}

#[test]
fn a_test_with_native_histograms_is_told_and_the_others_run() {
    let histogram = "- name: native\n  input_series:\n  - series: h\n    \
                     values: '{{schema:1 sum:3 count:22 buckets:[5 10 7]}}x10'\n";
    let said = failures(&format!("{TESTS}{histogram}"));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains(": native: this test is not run: it has a native histogram"),
        "{said:?}"
    );
    let expected = TESTS.replace("value: 18}", "histogram: '{{schema:1}}'}");
    let said = failures(&expected);
    assert!(said.len() == 1 && said[0].contains("both: this test is not run"), "{said:?}");
    let wrong = TESTS.replace("value: 18", "value: 19");
    assert_eq!(failures(&format!("{wrong}{histogram}")).len(), 2, "the others run");
}

#[test]
fn labels_and_address_from_outside_reach_the_templates() {
    let rules = RULES.replace(
        "{{ $labels.i }} is at {{ $value }}",
        "{{ $externalLabels.env }} {{ externalURL }} {{ .ExternalLabels }}",
    );
    let tests = "tests:\n- external_labels: {env: test}\n  external_url: http://x/y\n  input_series:\n  \
                 - {series: x, values: 9x9}\n  alert_rule_test:\n  - eval_time: 5m\n    alertname: High\n    \
                 exp_alerts:\n    - exp_labels: {severity: page, alertname: High}\n      \
                 exp_annotations: {summary: 'test http://x/y map[env:test]'}\n";
    let groups = files::read(&rules).expect("right");
    assert_eq!(run(&read(tests).expect("right"), &groups), []);
}

#[test]
fn values_are_written_in_short() {
    let some = |list: &[f64]| list.iter().map(|v| Some(*v)).collect::<Vec<_>>();
    let values = |text| super::values(text, 9);
    assert_eq!(values("1+2x3"), Ok(some(&[1.0, 3.0, 5.0, 7.0])));
    assert_eq!(values("3-1x2 -1 1e-3"), Ok(some(&[3.0, 2.0, 1.0, -1.0, 0.001])));
    assert_eq!(values("2x1 _ _x2"), Ok([some(&[2.0, 2.0]), vec![None; 3]].concat()));
    assert_eq!(values("-2-1x1"), Ok(some(&[-2.0, -3.0])));
    assert_eq!(values("stale").expect("right")[0].map(f64::to_bits), Some(ABSENT.to_bits()));
    assert!(values("1+2y3").is_err() && values("1x99999999999").is_err());
    assert!(values("1x8").is_ok() && values("_x8 1").is_ok());
    for long in ["1x9", "_x9", "1x8 1", "1x8 _x1", "1 2 3 4 5 6 7 8 9 stale"] {
        let said = values(long).expect_err(long);
        assert!(said.starts_with("a file of tests has at most"), "{long}: {said}");
    }
}

/// A file of some hundred bytes would have taken 16 GB for its series, and days for its steps.
#[test]
fn a_short_file_is_short_work() {
    let series = "  - {series: a, values: 0x400000}\n".repeat(3);
    let said = read(&format!("tests:\n- input_series:\n{series}")).expect_err("too many");
    assert!(said.to_string().contains("line 5: a file of tests has at most"), "{said}");
    let far = "evaluation_interval: 1y\ntests:\n- interval: 1ms\n  input_series: [{series: a, values: 7}]\n  \
               promql_expr_test: [{expr: vector(1), eval_time: 200y, exp_samples: [{value: 1}]}]";
    assert_eq!(failures(far), [""; 0]);
}
