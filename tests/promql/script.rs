//! Runs scripts in Prometheus' test language: `clear`, `load`, `eval`, and what is expected. A
//! question about one moment is asked once more as a range around it, and has to be answered alike.

use std::collections::BTreeMap;

use plimsoll::model::Labels;
use plimsoll::query::annotation::Level;
use plimsoll::query::eval::{Answer, Limits, Options, Value, When, evaluate};
use plimsoll::query::matcher::MatchOp;
use plimsoll::query::number::parse_duration;
use plimsoll::query::source::MemorySource;
use plimsoll::query::{parse, parse_selector};
use regex::Regex;

/// The bits of the value that ends a series.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// One question with all that is expected of its answer.
#[derive(Default)]
struct Question {
    line: usize,
    expr: String,
    when: Option<When>,
    fail: Option<Vec<Wanted>>,
    warn: Option<Vec<Wanted>>,
    info: Option<Vec<Wanted>>,
    no_warn: bool,
    no_info: bool,
    ordered: bool,
    string: Option<String>,
    times: Option<(i64, i64, i64)>,
    scalar: Option<f64>,
    series: Vec<(Labels, Vec<Option<f64>>)>,
}

/// How a message has to look.
enum Wanted {
    Any,
    Message(String),
    Pattern(Regex),
}

impl Wanted {
    fn fits(&self, text: &str) -> bool {
        match self {
            Wanted::Any => true,
            Wanted::Message(message) => message == text,
            Wanted::Pattern(regex) => regex.is_match(text),
        }
    }
}

/// Runs a whole script; how many questions it asked, or the first line that was not as expected.
pub fn run(text: &str) -> Result<usize, String> {
    let mut source = MemorySource::default();
    let mut asked = 0;
    let mut lines = text.lines().enumerate().map(|(i, l)| (i + 1, l)).peekable();
    while let Some((number, line)) = lines.next() {
        let fault = |what: String| format!("{number}: {what}");
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let mut block = Vec::new();
        while let Some(&(at, next)) = lines.peek() {
            if next.trim().is_empty() || !next.starts_with([' ', '\t']) {
                break;
            }
            if !next.trim_start().starts_with('#') {
                block.push((at, next.trim()));
            }
            lines.next();
        }
        match line.split_once(' ').unwrap_or((line, "")) {
            ("clear", _) => source = MemorySource::default(),
            ("load", interval) => {
                let interval = time(interval).map_err(fault)?;
                for (_, line) in block {
                    let (labels, points) = series(line).map_err(fault)?;
                    let points = points.into_iter().enumerate();
                    let present = points.filter_map(|(i, v)| Some((i as i64 * interval, v?)));
                    source.add(labels, present);
                }
            }
            (verb, rest) if verb.starts_with("eval") => {
                let mut question = Question { line: number, ..Question::default() };
                verb_expects(verb, &mut question).map_err(fault)?;
                (question.when, question.expr) = moment(rest).map_err(fault)?;
                for (at, line) in block {
                    expect(&mut question, line).map_err(|e| format!("{at}: {e}"))?;
                }
                ask(&source, &question).map_err(|e| format!("{}: {e}", question.line))?;
                asked += 1;
            }
            (other, _) => return Err(fault(format!("`{other}` is not a command"))),
        }
    }
    Ok(asked)
}

fn verb_expects(verb: &str, question: &mut Question) -> Result<(), String> {
    match verb {
        "eval" => {}
        "eval_fail" => question.fail = Some(vec![Wanted::Any]),
        "eval_warn" => question.warn = Some(vec![Wanted::Any]),
        "eval_info" => question.info = Some(vec![Wanted::Any]),
        "eval_ordered" => question.ordered = true,
        other => return Err(format!("`{other}` is not a command")),
    }
    Ok(())
}

/// A time or a length: a duration, or a number of seconds.
fn time(text: &str) -> Result<i64, String> {
    let (sign, text) = text.trim().strip_prefix('-').map_or((1, text.trim()), |t| (-1, t));
    match text.parse::<f64>() {
        Ok(seconds) => Ok(sign * (seconds * 1000.0) as i64),
        Err(_) => Ok(sign * parse_duration(text)?),
    }
}

/// `instant at T EXPR`, `range from A to B step S EXPR`
fn moment(text: &str) -> Result<(Option<When>, String), String> {
    let word = |text: &str| -> Result<(String, String), String> {
        let (word, rest) = text.trim_start().split_once(' ').ok_or("the question is cut short")?;
        Ok((word.to_owned(), rest.to_owned()))
    };
    let key = |text: &str, key: &str| -> Result<(i64, String), String> {
        let (found, rest) = word(text)?;
        let (value, rest) = word(&rest)?;
        if found == key { Ok((time(&value)?, rest)) } else { Err(format!("`{key}` is missing")) }
    };
    let (kind, rest) = word(text)?;
    if kind == "instant" {
        let (at, expr) = key(&rest, "at")?;
        return Ok((Some(When::Instant(at)), expr));
    }
    let (start, rest) = key(&rest, "from")?;
    let (end, rest) = key(&rest, "to")?;
    let (step, expr) = key(&rest, "step")?;
    Ok((Some(When::Range { start, end, step }), expr))
}

/// One line of what is expected.
fn expect(question: &mut Question, line: &str) -> Result<(), String> {
    if let Some(message) = line.strip_prefix("expected_fail_message ") {
        question.fail = Some(vec![Wanted::Message(message.to_owned())]);
        return Ok(());
    }
    let Some(wanted) = line.strip_prefix("expect ") else {
        match line.parse::<f64>() {
            Ok(value) => question.scalar = Some(value),
            Err(_) => question.series.push(series(line)?),
        }
        return Ok(());
    };
    if let Some(range) = wanted.strip_prefix("range vector ") {
        let Some(When::Range { start, end, step }) = moment(&format!("range {range} x"))?.0 else {
            return Err("a range vector has times".to_owned());
        };
        question.times = Some((start, end, step));
        return Ok(());
    }
    if let Some(text) = wanted.strip_prefix("string ") {
        question.string = Some(text[1..text.len() - 1].to_owned());
        return Ok(());
    }
    let (what, how) = wanted.split_once(' ').unwrap_or((wanted, ""));
    let how = match how.split_once(':').map(|(k, v)| (k, v.trim())) {
        None => Wanted::Any,
        Some(("msg", message)) => Wanted::Message(message.to_owned()),
        Some(("regex", pattern)) => {
            Wanted::Pattern(Regex::new(pattern).map_err(|e| e.to_string())?)
        }
        Some((other, _)) => return Err(format!("`{other}` is not a way to match")),
    };
    match what {
        "fail" => question.fail.get_or_insert_default().push(how),
        "warn" => question.warn.get_or_insert_default().push(how),
        "info" => question.info.get_or_insert_default().push(how),
        "no_warn" => question.no_warn = true,
        "no_info" => question.no_info = true,
        "ordered" => question.ordered = true,
        other => return Err(format!("`{other}` cannot be expected")),
    }
    Ok(())
}

/// `name{label="value"} 1 2 _ 0+1x3 stale`
fn series(line: &str) -> Result<(Labels, Vec<Option<f64>>), String> {
    let mut quoted = false;
    let mut depth = 0;
    let end = line
        .char_indices()
        .find(|(_, c)| {
            match c {
                '"' => quoted = !quoted,
                '{' if !quoted => depth += 1,
                '}' if !quoted => depth -= 1,
                _ => {}
            }
            *c == ' ' && !quoted && depth == 0
        })
        .map_or(line.len(), |(at, _)| at);
    let (name, points) = line.split_at(end);
    let labels = if name == "{}" {
        Labels::default()
    } else {
        let matchers = parse_selector(name).map_err(|e| format!("{name}: {}", e.message))?;
        if matchers.iter().any(|m| m.op() != MatchOp::Equal) {
            return Err(format!("`{name}` is not a series"));
        }
        Labels::new(matchers.iter().map(|m| (m.name(), m.value())))
    };
    let mut values = Vec::new();
    for point in points.split_whitespace() {
        values.extend(self::points(point).ok_or_else(|| format!("`{point}` is not a number"))?);
    }
    Ok((labels, values))
}

/// One word of values: `1`, `_`, `stale`, `1x3`, `_x3`, `1+2x3`, `1-2x3`
fn points(word: &str) -> Option<Vec<Option<f64>>> {
    let one = |text: &str| match text {
        "_" => Some(None),
        "stale" => Some(Some(STALE)),
        text => text.parse::<f64>().ok().map(Some),
    };
    if let Some(value) = one(word) {
        return Some(vec![value]);
    }
    let (value, times) = word.rsplit_once('x')?;
    let times: usize = times.parse().ok()?;
    if value == "_" {
        return Some(vec![None; times]);
    }
    let sign = value
        .char_indices()
        .skip(1)
        .filter(|(at, c)| "+-".contains(*c) && !value[..*at].ends_with(['e', 'E']))
        .map(|(at, _)| at)
        .last();
    let (start, step) = match sign {
        Some(at) => (value[..at].parse::<f64>().ok()?, value[at..].parse::<f64>().ok()?),
        None => (value.parse::<f64>().ok()?, 0.0),
    };
    let mut at = start;
    let mut all = vec![Some(at)];
    for _ in 0..times {
        at += step;
        all.push(Some(at));
    }
    Some(all)
}

fn ask(source: &MemorySource, question: &Question) -> Result<(), String> {
    let when = question.when.expect("parsed");
    let said = answer(source, &question.expr, when);
    let answer = match (&question.fail, said) {
        (Some(_), Ok(_)) => return Err("no failure".to_owned()),
        (Some(wanted), Err(message)) => {
            return match wanted.iter().find(|w| !w.fits(&message)) {
                Some(_) => Err(format!("another failure: {message}")),
                None => Ok(()),
            };
        }
        (None, Err(message)) => return Err(format!("failed: {message}")),
        (None, Ok(answer)) => answer,
    };
    for (level, word, wanted, none) in [
        (Level::Warning, "warn", &question.warn, question.no_warn),
        (Level::Info, "info", &question.info, question.no_info),
    ] {
        let said = answer.annotations.shown(level, &question.expr, usize::MAX);
        if none && !said.is_empty() {
            return Err(format!("an unexpected {word}: {said:?}"));
        }
        if let Some(wanted) = wanted {
            if let Some(other) = said.iter().find(|s| !wanted.iter().any(|w| w.fits(s))) {
                return Err(format!("another {word}: {other}"));
            }
            if !wanted.iter().all(|w| said.iter().any(|s| w.fits(s))) {
                return Err(format!("no {word} like that: {said:?}"));
            }
        }
    }
    check(question, &answer.value, when)?;
    if let When::Instant(at) = when {
        as_range(source, question, &answer.value, at)?;
    }
    Ok(())
}

fn answer(source: &MemorySource, expr: &str, when: When) -> Result<Answer, String> {
    let tree = parse(expr).map_err(|e| e.one_line(expr))?;
    evaluate(source, &tree, when, &Options::default(), Limits::default()).map_err(|e| e.to_string())
}

/// Series and their values by time, in the order of the answer.
type Found = Vec<(Labels, Vec<(i64, f64)>)>;

fn found(value: &Value) -> Option<Found> {
    match value {
        Value::Vector(list) => {
            Some(list.iter().map(|s| ((*s.labels).clone(), vec![(s.time, s.value)])).collect())
        }
        Value::Matrix(matrix) => Some(
            matrix
                .labels()
                .enumerate()
                .map(|(i, labels)| ((**labels).clone(), matrix.points(i).collect()))
                .collect(),
        ),
        Value::Scalar(..) | Value::String(..) => None,
    }
}

fn check(question: &Question, value: &Value, when: When) -> Result<(), String> {
    let (start, step) = match (when, question.times) {
        (_, Some((start, _, step))) => (start, step),
        (When::Range { start, step, .. }, None) => (start, step),
        (When::Instant(at), None) => (at, 1),
    };
    let answer = match value {
        Value::String(_, text) => {
            return match &question.string {
                Some(wanted) if **wanted == **text => Ok(()),
                _ => Err(format!("the string {text:?}")),
            };
        }
        Value::Scalar(_, value) => {
            return match question.scalar {
                Some(wanted) if same(*value, wanted) => Ok(()),
                _ => Err(format!("the scalar {value}")),
            };
        }
        other => found(other).unwrap_or_default(),
    };
    if question.string.is_some() || question.scalar.is_some() {
        return Err(format!("series instead of a single value: {answer:?}"));
    }
    if question.ordered {
        let order: Vec<&Labels> = answer.iter().map(|(l, _)| l).collect();
        let wanted: Vec<&Labels> = question.series.iter().map(|(l, _)| l).collect();
        if order != wanted {
            return Err(format!("another order: {order:?}"));
        }
    }
    let mut wanted: BTreeMap<&Labels, Vec<(i64, f64)>> = BTreeMap::new();
    for (labels, points) in &question.series {
        let points = points.iter().enumerate();
        let points = points.filter_map(|(i, v)| Some((start + i as i64 * step, (*v)?))).collect();
        wanted.insert(labels, points);
    }
    for (labels, points) in &answer {
        let Some(expected) = wanted.remove(labels) else {
            return Err(format!("an unexpected series: {labels:?} {points:?}"));
        };
        let alike = expected.len() == points.len()
            && expected.iter().zip(points).all(|(a, b)| a.0 == b.0 && same(a.1, b.1));
        if !alike {
            return Err(format!("{labels:?} is {points:?}"));
        }
    }
    match wanted.into_iter().next() {
        Some((labels, _)) => Err(format!("missing: {labels:?}")),
        None => Ok(()),
    }
}

/// The same to within the decimals of the script.
fn same(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}

/// Asks for the minutes around the moment, too: what is computed for many steps at once has to be
/// what it is for one.
fn as_range(
    source: &MemorySource,
    question: &Question,
    value: &Value,
    at: i64,
) -> Result<(), String> {
    let own_times = ["start()", "end()", "range()", "step()"];
    if own_times.iter().any(|f| question.expr.contains(f)) {
        return Ok(());
    }
    let wanted: Found = match value {
        Value::Vector(_) => found(value).unwrap_or_default(),
        Value::Scalar(time, value) => vec![(Labels::default(), vec![(*time, *value)])],
        Value::Matrix(_) | Value::String(..) => return Ok(()),
    };
    let minute = 60_000;
    let range = When::Range { start: at - minute, end: at + minute, step: minute };
    // What is wrong a minute earlier or later is another question.
    let Ok(answer) = answer(source, &question.expr, range) else { return Ok(()) };
    let mut around: BTreeMap<Labels, f64> = BTreeMap::new();
    for (labels, points) in found(&answer.value).unwrap_or_default() {
        for (_, value) in points.into_iter().filter(|(t, _)| *t == at) {
            around.insert(labels.clone(), value);
        }
    }
    for (labels, points) in &wanted {
        match around.remove(labels) {
            Some(value) if value.to_bits() == points[0].1.to_bits() => {}
            Some(value) if value.is_nan() && points[0].1.is_nan() => {}
            other => {
                return Err(format!("as a range {labels:?} is {other:?}, alone {:?}", points[0].1));
            }
        }
    }
    match around.into_iter().next() {
        Some(more) => Err(format!("as a range there is {more:?}, too")),
        None => Ok(()),
    }
}
