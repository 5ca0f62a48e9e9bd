//! query: any text as PromQL: an answer or an error, within limits.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use plimsoll::model::Labels;
use plimsoll::query::eval::{Limits, Options, Value, When, evaluate};
use plimsoll::query::matcher::{MatchOp, Matcher};
use plimsoll::query::print::pretty;
use plimsoll::query::source::MemorySource;
use plimsoll::query::tree::write_tree;
use plimsoll::query::{parse, parse_selector};

static SOURCE: LazyLock<MemorySource> = LazyLock::new(|| {
    let mut source = MemorySource::default();
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    let odd = [0.0, -0.0, 1.0, f64::NAN, f64::INFINITY, 1e308, 5e-324, stale, 3.0, 2.0];
    for (i, name) in ["a", "b_total", "c_bucket"].into_iter().enumerate() {
        for (j, le) in ["1", "2", "+Inf"].into_iter().enumerate() {
            let labels = Labels::new([("__name__", name), ("le", le), ("x", ["y", "z", ""][j])]);
            let value = |t: i64| if i == 0 { odd[(t as usize + j) % odd.len()] } else { t as f64 };
            source.add(labels, (0..60).map(|t| (t * 10_000, value(t))));
        }
    }
    source
});

/// Whatever parses is answered or refused, at one moment and over a range.
pub fn eval(text: &str) {
    let Ok(expr) = parse(text) else { return };
    for when in [When::Instant(300_000), When::Range { start: 0, end: 600_000, step: 7_000 }] {
        let limits = Limits {
            deadline: Some(Instant::now() + Duration::from_secs(2)),
            samples: 1 << 20,
            cells: 1 << 20,
            ..Limits::default()
        };
        let Ok(answer) = evaluate(&*SOURCE, &expr, when, &Options::default(), limits) else {
            continue;
        };
        if let Value::Matrix(matrix) = &answer.value {
            for series in 0..matrix.len() {
                let times: Vec<i64> = matrix.points(series).map(|(t, _)| t).collect();
                assert!(times.is_sorted() && !times.is_empty());
            }
        }
    }
}

/// The shortcuts of a pattern answer as the list does.
pub fn matcher(pattern: &str, value: &str) {
    let Ok(matcher) = Matcher::new(MatchOp::Regex, "a", pattern) else { return };
    let fits = matcher.matches(value);
    if fits {
        assert!(value.starts_with(matcher.prefix()));
    }
    if let Some(listed) = matcher.listed() {
        assert_eq!(listed.contains(&value), fits);
    }
}

/// An error has a place; an expression is printed to a text that reads back as the same.
pub fn parses(text: &str) {
    let _ = parse_selector(text);
    match parse(text) {
        Err(error) => assert!(error.shown(text).contains('^')),
        Ok(expr) => {
            let line = expr.to_string();
            let again = parse(&line).expect("what is printed reads back");
            assert_eq!(again.to_string(), line);
            assert_eq!(parse(&pretty(&expr)).expect("so do its lines").to_string(), line);
            write_tree(&mut String::new(), &expr);
        }
    }
}
