//! alert: tests of templates. What is expected is what Prometheus 2.42 writes.

use std::sync::Arc;

use proptest::prelude::*;

use super::functions::sample;
use super::*;

fn filled(text: &str, value: f64) -> String {
    let labels = Labels::new([("instance", "web1:9100"), ("device", "sda")]);
    let ask = |expr: &str| match expr {
        "up" => Ok(vec![
            (Arc::new(Labels::new([("job", "b")])), 1.0),
            (Arc::new(Labels::new([("job", "a")])), 0.0),
        ]),
        _ => Ok(Vec::new()),
    };
    let outside = Outside::default();
    let scope = Scope { labels: &labels, value, query: &ask, outside: &outside };
    expand(text, &scope).unwrap_or_else(|why| format!("error: {why}"))
}

#[test]
fn the_constructs_that_public_rules_use() {
    for (text, value, shown) in [
        ("{{ $labels.instance }} {{$labels.none}}.", 1.0, "web1:9100 ."),
        ("{{ $value }} {{ .Value }} {{ .Labels.device }}", 0.1, "0.1 0.1 sda"),
        ("{{ $labels }}", 1.0, "map[device:sda instance:web1:9100]"),
        ("{{ printf \"%.2f%%\" $value }}", 12.345, "12.35%"),
        (
            "{{ $value | printf \"%.1f\" }} {{ printf \"%s-%d\" $labels.device 5 }}",
            2.0,
            "2.0 sda-5",
        ),
        ("{{ $value | humanize }}", 1_234_567.0, "1.235M"),
        ("{{ humanize $value }}", 0.000_12, "120u"),
        ("{{ $value | humanize1024 }}", 1536.0, "1.5ki"),
        ("{{ $value | humanizePercentage }}", 0.1234, "12.34%"),
        ("{{ $value | humanizeDuration }}", 93_784.0, "1d 2h 3m 4s"),
        ("{{ $value | humanizeDuration }}", 0.0123, "12.3ms"),
        (
            "{{ $value | humanizeTimestamp }}",
            1_435_065_584.128,
            "2015-06-23 13:19:44.128 +0000 UTC",
        ),
        ("{{ $value }}", 1e21, "1e+21"),
        ("{{ $value }}", 123_456_789.0, "1.23456789e+08"),
        ("{{ $labels.instance | stripPort | toUpper }}", 1.0, "WEB1"),
        ("{{ reReplaceAll \"(.*):.*\" \"$1\" $labels.instance }}", 1.0, "web1"),
    ] {
        assert_eq!(filled(text, value), shown, "{text}");
    }
}

#[test]
fn what_the_rules_of_ceph_need() {
    for (text, shown) in [
        ("{{ with query \"up\" }}{{ . | first | value }}{{ end }}", "1"),
        ("{{ query \"up\" | first | label \"job\" }}", "b"),
        ("{{ range query \"up\" }}{{ .Labels.job }}={{ .Value }} {{ end }}", "b=1 a=0 "),
        ("{{ range $i, $e := query \"up\" }}{{ $i }}:{{ $e.Labels.job }} {{ end }}", "0:b 1:a "),
        ("{{ range query \"none\" }}x{{ else }}nothing{{ end }}", "nothing"),
        ("{{ if gt $value 5.0 }}high{{ else if gt $value 1.0 }}some{{ else }}low{{ end }}", "some"),
        ("a {{- \" b \" -}} c", "a b c"),
        (
            "{{/* nothing */}}{{ if and (eq $labels.device \"sda\") (not false) }}yes{{ end }}",
            "yes",
        ),
        ("{{ $x := 5 }}{{ if ne $x 4 }}{{ $x }}{{ end }}", "5"),
        ("{{ range sortByLabel \"job\" (query \"up\") }}{{ .Labels.job }}{{ end }}", "ab"),
        ("{{ (query \"up\" | first).Labels.job }}", "b"),
        ("{{ index $labels \"device\" }} {{ len (query \"up\") }}", "sda 2"),
    ] {
        assert_eq!(filled(text, 2.0), shown, "{text}");
    }
    assert!(functions::call("value", vec![sample(&[], 3.0)]).is_ok());
}

#[test]
fn what_cannot_be_filled_says_why() {
    for (text, says) in [
        ("{{ query \"none\" | first | value }}", "error calling first: first() called on vector"),
        ("{{ $nothing }}", "undefined variable"),
        ("{{ nothing }}", "function \"nothing\" not defined"),
        ("{{ if $value }}", "unexpected EOF"),
        ("{{ end }}", "unexpected {{end}}"),
        ("{{ $value", "unclosed action"),
        ("{{ \"a }}", "unterminated quoted string"),
    ] {
        let said = filled(text, 1.0);
        assert!(said.starts_with("error: ") && said.contains(says), "{text}: {said}");
    }
}

/// Each of these would have taken gigabytes, minutes, or the stack.
#[test]
fn a_short_template_is_short_work() {
    let long = "the text gets longer than 65536 bytes";
    let slow = "the template takes too long";
    let text = "x".repeat(60_000);
    let dots = "$0".repeat(1_000);
    for (template, says) in [
        ("{{ $x := \"0123456789\" }}".to_owned() + &"{{ $x = print $x $x }}".repeat(40), long),
        ("{{ $x := args 1 1 }}".to_owned() + &"{{ $x = args $x $x }}".repeat(40), slow),
        (format!("{{{{ args 1{} }}}}", " | args".repeat(100_000)), slow),
        (format!("{{{{ printf \"{}\" 1 }}}}", "%1000d".repeat(10_000)), long),
        (format!("{{{{ len (printf \"{}\" 1) }}}}", "%1000d".repeat(10_000)), long),
        (format!("{{{{ reReplaceAll \".*\" \"{dots}\" \"{text}\" }}}}"), long),
        (format!("{{{{ len (reReplaceAll \"\" \"{text}\" \"{text}\") }}}}"), long),
        ("{{ match \"a\" \"b\" }}".repeat(2_000), slow),
        ("{{ if query \"up\" }}a{{ end }}".repeat(2_000), slow),
        ("{{ match \"(((a{50}){50}){50}){50}\" \"a\" }}".to_owned(), "exceeds size limit"),
    ] {
        let said = filled(&template, 1.0);
        assert!(said.contains(says), "{}: {}", &template[..50.min(template.len())], said.len());
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "(\\{\\{|\\}\\}|[a-z$.|()\" :=0-9-]|if|end|range|else|printf){0,30}") {
        let _unused = filled(&text, 1.0);
    }
}
