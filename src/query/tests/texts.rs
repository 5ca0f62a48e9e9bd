//! query: texts of expressions, made up at random, and what holds for all of them.

use proptest::prelude::*;

use crate::query::parser::{MAX_DEPTH, MAX_LENGTH, MAX_NESTING};
use crate::query::print::pretty;
use crate::query::tree::write_tree;
use crate::query::{parse, parse_selector};

/// Selectors without modifiers.
pub(super) fn selector() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b:c", "node_load1", "sum", "by", "offset", "start"]);
    let matcher = prop::sample::select(vec![
        "x='1'",
        "y!=\"2\"",
        "z=~'a|b'",
        "w!~'c.*'",
        "on='q'",
        "v=`r`",
        "u=~'[a-c]+x'",
    ]);
    let matchers = prop::collection::vec(matcher, 0..3);
    prop_oneof![
        name.clone().prop_map(str::to_owned),
        (name, matchers).prop_map(|(name, m)| format!("{name}{{{}}}", m.join(", "))),
        Just("{__name__=~'a.+'}".to_owned()),
    ]
}

/// Expressions of vectors and scalars in the syntax that Prometheus has had for years.
pub(super) fn classic() -> impl Strategy<Value = String> {
    let modifier = prop::sample::select(vec![
        "",
        "",
        "",
        " offset 5m",
        " offset -1h",
        " @ 1700000000.5",
        " @ start()",
        " @ end() offset 1d",
    ]);
    let leaf = (selector(), modifier).prop_map(|(s, m)| s + m);
    leaf.prop_recursive(5, 40, 3, |inner| {
        let arithmetic = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<=", "and", "or",
            "unless", "> bool", "+ on (x)", "* ignoring (y)", "/ on (x) group_left (z)",
            "== on () group_right ()", "and on (x)", "unless ignoring (x, y)",
        ]);
        let function = prop::sample::select(vec!["abs", "ceil", "sort", "absent", "exp", "hour"]);
        let over = prop::sample::select(vec!["rate", "max_over_time", "deriv", "changes"]);
        let range = prop::sample::select(vec!["[5m]", "[1h30m] offset 1m", "[90s] @ end()"]);
        let sub = prop::sample::select(vec!["[5m:]", "[1h:30s]", "[1d:1h] offset 1w @ 5"]);
        let by = prop::sample::select(vec!["", "by (x)", "without (x, y)", "by ()", "without ()"]);
        let op = prop::sample::select(vec!["sum", "avg", "count", "min", "group", "stddev"]);
        let kop = prop::sample::select(vec!["topk", "bottomk", "quantile"]);
        prop_oneof![
            3 => (inner.clone(), arithmetic, inner.clone()).prop_map(|(l, o, r)| format!("{l} {o} {r}")),
            1 => inner.clone().prop_map(|e| format!("({e})")),
            1 => inner.clone().prop_map(|e| format!("-{e}")),
            1 => (inner.clone(), prop::sample::select(vec!["* 2", "- 0.5", "+ Inf", "% 0x10", "^ 2 ^ 3"]))
                .prop_map(|(e, o)| format!("{e} {o}")),
            1 => (function, inner.clone()).prop_map(|(f, e)| format!("{f}({e})")),
            1 => (over.clone(), selector(), range).prop_map(|(f, s, r)| format!("{f}({s}{r})")),
            1 => (over, inner.clone(), sub).prop_map(|(f, e, s)| format!("{f}(({e}){s})")),
            1 => (op.clone(), by.clone(), inner.clone()).prop_map(|(o, b, e)| format!("{o} {b} ({e})")),
            1 => (op, inner.clone(), by.clone()).prop_map(|(o, e, b)| format!("{o}({e}) {b}")),
            1 => (kop, by, inner.clone()).prop_map(|(o, b, e)| format!("{o} {b} (0.5, {e})")),
            1 => inner.clone().prop_map(|e| format!("label_replace({e}, 'd', '$1', \"s\", '(.*)')")),
            1 => inner.prop_map(|e| format!("histogram_quantile(0.9, {e})")),
        ]
    })
}

/// Anything that is made of the words of the language.
pub(super) fn soup() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "a",
        "b:c",
        "sum",
        "rate",
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "bool",
        "offset",
        "start",
        "step",
        "inf",
        "and",
        "or",
        "atan2",
        "(",
        ")",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "=",
        "=~",
        "==",
        "!=",
        "<",
        "+",
        "-",
        "*",
        "^",
        "@",
        "1",
        "0x1F",
        "5m",
        "1e3",
        "'s'",
        "\"t\"",
        "`u`",
        "5m:1m",
        "{x='1'}",
        "[5m]",
        "(a)",
        "# c\n",
    ]);
    prop::collection::vec(word, 0..12).prop_map(|words| words.join(" "))
}

fn newest() -> impl Strategy<Value = String> {
    let length = prop::sample::select(vec![
        "5m",
        "300",
        "step()",
        "range()",
        "-step()",
        "(5m + step())",
        "5m * 2",
        "2 ^ 3 ^ 2",
        "max_of(step(), 5m)",
        "min_of(1h, range() / 4)",
        "-(1m)",
        "+5m",
        "1h % 7m",
        "-5m + 1h",
    ]);
    (selector(), length.clone(), length).prop_map(|(s, range, step)| {
        format!("rate({s}[{range}] smoothed offset ({step})) + fill_left (1) {s}[{range}:{step}]")
            .replace(&format!(" {s}["), &format!(" last_over_time({s}["))
            + ")"
    })
}

/// A printed expression parses to the same tree, and printing it again does not change it.
fn round_trip(text: &str) -> Result<(), TestCaseError> {
    let Ok(expr) = parse(text) else { return Ok(()) };
    let line = expr.to_string();
    let again = parse(&line).map_err(|e| TestCaseError::fail(e.shown(&line)))?;
    prop_assert_eq!(again.to_string(), &line[..], "from {}", text);
    let tree = |expr| {
        let mut out = String::new();
        write_tree(&mut out, expr);
        out
    };
    prop_assert_eq!(tree(&again).len(), tree(&expr).len(), "the same tree from {}", text);
    let lines = pretty(&expr);
    let third = parse(&lines).map_err(|e| TestCaseError::fail(e.shown(&lines)))?;
    prop_assert_eq!(third.to_string(), line, "broken over lines from {}", text);
    Ok(())
}

/// Every place lies in the text, and what stands there is the part itself.
fn spans_hold(text: &str) -> Result<(), TestCaseError> {
    let Ok(expr) = parse(text) else { return Ok(()) };
    let mut all = vec![&expr];
    while let Some(part) = all.pop() {
        let there = part.span().of(text);
        let alone = crate::query::parser::parse_unchecked(there);
        let alone = alone.map_err(|e| TestCaseError::fail(format!("{there}: {e}")))?;
        prop_assert_eq!(alone.to_string(), part.to_string(), "in {}", text);
        all.extend(part.children());
    }
    Ok(())
}

proptest! {
    #[test]
    fn expressions_read_back(text in prop_oneof![classic(), newest()]) {
        parse(&text).map_err(|e| TestCaseError::fail(e.shown(&text))).or_else(|e| {
            // Made up at random, some ask two things of a label or have sides that do not fit.
            let reasons = ["must not occur in ON", "not allowed", "set twice", "only", "bool"];
            if reasons.iter().any(|r| e.to_string().contains(r)) { Ok(parse("1").unwrap()) } else { Err(e) }
        })?;
        round_trip(&text)?;
        spans_hold(&text)?;
    }

    #[test]
    fn whatever_is_read_reads_back(text in soup()) {
        round_trip(&text)?;
    }

    #[test]
    fn anything_ends_in_an_expression_or_an_error_with_a_place(
        text in prop_oneof![soup(), "\\PC{0,30}", "[a-z0-9_:{}()\\[\\]=~!\"'`\\\\, @+*/.#\n-]{0,40}"],
    ) {
        if let Err(error) = parse(&text) {
            prop_assert!(error.span.start as usize <= text.len());
            prop_assert!(error.shown(&text).contains('^'));
        }
        let _ = parse_selector(&text);
    }
}

#[test]
fn nothing_is_too_deep_or_too_long_for_the_stack() {
    let deep = |open: &str, n: usize, middle: &str, close: &str| {
        format!("{}{middle}{}", open.repeat(n), close.repeat(n))
    };
    for n in [MAX_DEPTH, 1_000, 20_000] {
        for text in [
            deep("(", n, "a", ")"),
            deep("(", n, "", ""),
            deep("-", n, "a", ""),
            deep("a + ", n, "a", ""),
            deep("a ^ ", n, "a", ""),
            deep("abs(", n, "a", ")"),
            deep("sum(", n, "a", ")"),
            deep("(", n, "a", ")[5m:]"),
            format!("a[{}]", deep("(", n, "5m", ")")),
            format!("a[{}]", deep("-", n, "step()", "")),
            format!("a[{}]", deep("5m + ", n, "5m", "")),
            format!("a[{}]", deep("max_of(1m, ", n, "5m", ")")),
            format!("{{a=~\"{}\"}}", deep("(", n, "b", ")")),
        ] {
            let error = parse(&text).unwrap_err();
            let known = ["nested deeper", "bytes long", "unclosed left parenthesis"];
            assert!(known.iter().any(|k| error.message.contains(k)), "{error}");
        }
    }
    let at_the_limit = deep("(", MAX_NESTING - 1, "a", ")");
    let expr = parse(&at_the_limit).unwrap();
    assert_eq!(expr.to_string(), at_the_limit);
    assert!(!pretty(&expr.clone()).is_empty());
    assert!(parse(&("a or ".repeat(MAX_DEPTH - 1) + "a")).is_ok());
    let long = "a".repeat(MAX_LENGTH + 1);
    assert!(parse(&long).unwrap_err().message.contains("bytes long"));
    assert!(parse(&long[1..]).is_ok());
}

#[test]
fn the_patterns_of_an_expression_are_bounded_together() {
    let one = |i: usize| format!(r#"a=~"x{i}[a-z]+(q|w)*y""#);
    let many = |count: usize| (0..count).map(one).collect::<Vec<_>>().join(",");
    for count in [1, 50] {
        assert!(crate::query::parse(&format!("{{{}}}", many(count))).is_ok(), "{count}");
    }
    // In one selector, or in one each.
    let apart = (0..1_000).map(|i| format!("{{{}}}", one(i))).collect::<Vec<_>>().join(" or ");
    for text in [format!("{{{}}}", many(1_000)), apart] {
        let error = crate::query::parse(&text).expect_err("too many").message;
        assert!(error.contains("more than 16 MiB of memory"), "{error}");
    }
    // A pattern that needs no engine costs nothing.
    let lists = (0..1_000).map(|i| format!(r#"a=~"x{i}|y""#)).collect::<Vec<_>>().join(",");
    assert!(crate::query::parse(&format!("{{{lists}}}")).is_ok());
}
