//! alert: a rule as a person writes it: `disk_/ > 95` or any PromQL, and what belongs to it.

use super::defaults::{LEAST_KEEP_MS, test};
use super::rule::{Limit, Measure, Query, Rule, Test, Way, split};
use crate::model::{Condition, Op, Severity, Unit, parse_duration, parse_key};
use crate::query::parse;
use crate::query::quote::quoted;
use crate::query::types::ValueType;

/// A rule as it stands in the configuration, or on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleText {
    /// Its name; nothing: it is made of what it measures.
    pub name: Option<String>,
    /// `disk_/ > 95`, or any PromQL. Of an expression without a limit everything is wrong that it returns.
    pub when: String,
    /// How long it has to hold: `5m`; nothing: not at all.
    pub r#for: Option<String>,
    /// Where it is over: `90`, or `< 90`; nothing: where it does not hold.
    pub clear: Option<String>,
    /// `info`, `warning` or `bad`; nothing: `warning`.
    pub severity: Option<String>,
    /// The sentence, with `{value}`, `{limit}` and `{LABEL}`.
    pub text: Option<String>,
    /// Who is told; empty: everybody.
    pub to: Vec<String>,
}

/// What is wrong with a rule: the field (`when`, `for`, …), what is wrong, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {hint}")]
pub struct Wrong {
    /// The field of [`RuleText`].
    pub field: &'static str,
    /// What is wrong with it, with the place where there is one.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

fn wrong(field: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Wrong {
    Wrong { field, message: message.into(), hint: hint.into() }
}

/// Longer names than this are cut where they are made of an expression.
const LONGEST_NAME: usize = 60;

impl Rule {
    /// Reads a rule. Fails with the first thing that is wrong with it.
    pub fn parse(text: &RuleText) -> Result<Self, Wrong> {
        let (query, fires) = measured(&text.when)?;
        let for_ms = match &text.r#for {
            None => 0,
            Some(given) => parse_duration(given).map_err(|e| wrong("for", e.message, e.hint))?,
        };
        let severity = match text.severity.as_deref() {
            None => Severity::Warning,
            Some(word) => Severity::of_word(word).ok_or_else(|| {
                wrong("severity", format!("`{word}` is no severity"), "write info, warning or bad")
            })?,
        };
        let clears = text.clear.as_deref().map(|clear| clears(clear, fires)).transpose()?;
        let name = match &text.name {
            Some(name) if name.trim().is_empty() => {
                return Err(wrong("name", "the name is empty", "leave it out, or write one"));
            }
            Some(name) => name.trim().to_owned(),
            None => text.when.trim().chars().take(LONGEST_NAME).collect(),
        };
        let sentence = match (&text.text, fires) {
            (Some(text), _) => text.clone(),
            (None, Some(test)) => {
                format!("{} is {{value}} ({} {{limit}})", shown(&text.when), test.op.sign())
            }
            (None, None) => format!("{} is {{value}}", text.when.trim()),
        };
        let limit = Limit {
            severity,
            fires,
            and: None,
            for_ms,
            clears,
            clear_unless: None,
            keep_ms: for_ms.max(LEAST_KEEP_MS),
        };
        Ok(Self {
            name: name.into(),
            measure: Measure::Query(query),
            limits: vec![limit],
            unit: Unit::Plain,
            text: sentence.into(),
            exists: None,
            also: Vec::new(),
            labels: Vec::new(),
            annotations: Vec::new(),
            to: text.to.iter().map(|to| to.as_str().into()).collect(),
            file: "".into(),
            once: false,
            way: Way::Plimsoll,
            every_ms: 0,
            offset_ms: 0,
            most: 0,
        })
    }
}

/// What is measured, without the limit: the sentence's subject.
fn shown(when: &str) -> &str {
    let end = when.rfind(['<', '>', '=', '!']).unwrap_or(when.len());
    when[..end].trim_end_matches(['<', '>', '=', '!', ' ']).trim()
}

/// What a `when` measures, and its limit.
fn measured(when: &str) -> Result<(Query, Option<Test>), Wrong> {
    if let Some(found) = key(when) {
        return Ok(found);
    }
    let expr = parse(when).map_err(|e| {
        let hint = match Condition::parse(when) {
            Err((message, hint)) if !when.contains(['(', '[']) => format!("{message}: {hint}"),
            _ => "write a key and a comparison, such as `disk_/ > 95`, or an expression in PromQL"
                .to_owned(),
        };
        wrong("when", e.shown(when).trim_end(), hint)
    })?;
    if !matches!(expr.value_type(), ValueType::Vector | ValueType::Scalar) {
        let what = expr.value_type().documented();
        let hint = "compare one number of each series, for example `rate(x[5m]) > 3`";
        return Err(wrong("when", format!("the expression gives a {what}"), hint));
    }
    Ok(match split(&expr) {
        Some((inner, test)) => {
            let text = inner.span().of(when);
            (Query::of(text, reread(text, inner)), Some(test))
        }
        None => (Query::of(when, expr), None),
    })
}

/// The inner expression with places in its own text.
pub(super) fn reread(text: &str, inner: &crate::query::ast::Expr) -> crate::query::ast::Expr {
    parse(text).unwrap_or_else(|_| inner.clone())
}

/// A key as views show it, where it is not PromQL: `disk_/ > 95`, `disk_/mnt/my disk > 95`.
fn key(when: &str) -> Option<(Query, Option<Test>)> {
    let Condition { key, op, value } = Condition::parse(when).ok()?;
    let (name, labels) = parse_key(&key);
    let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:".contains(&b));
    let special = key.starts_with("disk_/") || labels.is_empty() && !plain(&name);
    // `a / b > 5` is an expression; `disk_/home > 5` would be one, too.
    if !special || !key.starts_with("disk_/") && parse(when).is_ok() {
        return None;
    }
    let matchers = labels.iter().map(|(name, value)| format!(",{}={}", label(name), quoted(value)));
    let text = format!("{{__name__={}{}}}", quoted(&name), matchers.collect::<String>());
    let text = if plain(&name) {
        format!(
            "{name}{{{}}}",
            text.split_once(',').map_or("}", |(_, rest)| rest).trim_end_matches('}')
        )
    } else {
        text
    };
    Some((Query::parse(&text).ok()?, Some(Test { op, value })))
}

fn label(name: &str) -> String {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain { name.to_owned() } else { quoted(name) }
}

/// `90` or `< 90`, on the other side of the limit.
fn clears(clear: &str, fires: Option<Test>) -> Result<Test, Wrong> {
    let Some(fires) = fires else {
        let hint = "write `when` with a limit at its end, such as `… > 90`, or leave `clear` out";
        return Err(wrong("clear", "`when` has no limit that this could be beside", hint));
    };
    let example = || {
        let Test { op, value } = fires;
        format!(
            "for `{} {value}` write a number on the other side, or `{} N`",
            op.sign(),
            op.opposite().sign()
        )
    };
    let cleared = match clear.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Test {
            op: match fires.op {
                Op::Above | Op::AtLeast => Op::Below,
                Op::Below | Op::AtMost => Op::Above,
                other => other.opposite(),
            },
            value,
        },
        _ => test(clear).map_err(|why| wrong("clear", why, example()))?,
    };
    let sided = |test: Test| match test.op {
        Op::Above | Op::AtLeast => Some(true),
        Op::Below | Op::AtMost => Some(false),
        Op::Equal | Op::NotEqual => None,
    };
    let both = |value: f64| cleared.holds(value) && fires.holds(value);
    let same_side = sided(cleared).is_some() && sided(cleared) == sided(fires);
    let beyond = match sided(fires) {
        Some(true) => cleared.value > fires.value,
        Some(false) => cleared.value < fires.value,
        None => false,
    };
    if same_side || beyond || both(fires.value) || both(cleared.value) {
        let message =
            format!("`{}` is no end of `{} {}`", clear.trim(), fires.op.sign(), fires.value);
        return Err(wrong("clear", message, example()));
    }
    Ok(cleared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(when: &str) -> (String, Option<(Op, f64)>) {
        let rule = Rule::parse(&RuleText { when: when.into(), ..RuleText::default() }).expect(when);
        let Measure::Query(query) = &rule.measure else { panic!("{when}") };
        (query.text.to_string(), rule.limits[0].fires.map(|t| (t.op, t.value)))
    }

    #[test]
    fn keys_and_expressions_are_told_apart() {
        let some = |text: &str, op, value| (text.to_owned(), Some((op, value)));
        for (when, reads) in [
            ("cpu > 8", some("cpu", Op::Above, 8.0)),
            ("disk_/ > 95", some(r#"disk{mountpoint="/"}"#, Op::Above, 95.0)),
            ("disk_/home >= 95", some(r#"disk{mountpoint="/home"}"#, Op::AtLeast, 95.0)),
            (r#"disk_/a"b > 5"#, some(r#"disk{mountpoint="/a\"b"}"#, Op::Above, 5.0)),
            ("a-b > 5", some("a-b", Op::Above, 5.0)),
            ("my key > 5", some(r#"{__name__="my key"}"#, Op::Above, 5.0)),
            (r#"x{a="b"} < 1"#, some(r#"x{a="b"}"#, Op::Below, 1.0)),
            ("a / b > 5", some("a / b", Op::Above, 5.0)),
            ("sum(rate(x[5m])) > 5", some("sum(rate(x[5m]))", Op::Above, 5.0)),
        ] {
            assert_eq!(of(when), reads, "{when}");
        }
        assert_eq!(of("absent(x)"), ("absent(x)".to_owned(), None));
        assert_eq!(of("a > 1 and b < 2"), ("a > 1 and b < 2".to_owned(), None));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_field() {
        let text = |f: &dyn Fn(&mut RuleText)| {
            let mut text = RuleText { when: "cpu > 8".into(), ..RuleText::default() };
            f(&mut text);
            match Rule::parse(&text) {
                Ok(_) => "fine".to_owned(),
                Err(e) => format!("{}: {e}", e.field),
            }
        };
        for (edit, says) in [
            (&(|t: &mut RuleText| t.when = "cpu >".into()) as &dyn Fn(&mut RuleText), "when: 1:6"),
            (&|t| t.when = "cpu[5m]".into(), "when: the expression gives a range vector"),
            (&|t| t.r#for = Some("soon".into()), "for: "),
            (&|t| t.severity = Some("loud".into()), "severity: `loud` is no severity; write info"),
            (&|t| t.clear = Some("9".into()), "clear: `9` is no end of `> 8`; for `> 8` write"),
            (&|t| t.clear = Some("> 7".into()), "clear: `> 7` is no end of `> 8`"),
            (&|t| t.clear = Some("7".into()), "fine"),
            (&|t| t.clear = Some("< 7".into()), "fine"),
            (&|t| t.clear = Some("<= 8".into()), "fine"),
            (&|t| t.name = Some(" ".into()), "name: the name is empty"),
        ] {
            let said = text(edit);
            assert!(said.starts_with(says), "{said}");
        }
    }
}
