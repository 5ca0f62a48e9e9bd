//! The same samples in Debian's Prometheus and in ours, the same questions put to both, and the
//! answers compared to the last bit.
//!
//! Debian's is 2.42. What Prometheus 3 does otherwise is kept out of the way: windows are open on
//! the left now, so no sample and no step of a subquery lies on an edge (samples carry odd
//! milliseconds, questions odd seconds); `sum` and `avg` add more exactly now, and logarithms and
//! angles are the platform's, so those stand outermost and may differ by [`LOOSE`].
//!
//! `ci/torture/promql` asks more questions, and others.

use std::collections::BTreeMap;

use plimsoll::model::Labels;
use plimsoll::query::eval::{Limits, Options, Value, When, evaluate};
use plimsoll::query::parse;
use plimsoll::query::source::MemorySource;

use crate::prometheus::{Answer, Prometheus};
use crate::random::Random;

/// How many questions in the short form.
const SHORT: usize = 1500;

/// By how much the answers of loose functions may differ, relative to their size.
const LOOSE: f64 = 1e-11;

/// Where the samples begin: seconds, a multiple of two hours.
const BEGIN: i64 = 1_699_999_200;

/// Samples lie this far past a whole second.
const ODD_MS: i64 = 337;

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        (self.bits() >> 11) % end
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len() as u64) as usize]
    }
}

/// Six hours of counters, gauges, a histogram, and values that are trouble.
fn samples(random: &mut Random) -> MemorySource {
    let mut source = MemorySource::default();
    let mut add = |labels: &[(&str, &str)], values: Vec<(i64, f64)>| {
        source.add(Labels::new(labels.iter().copied()), values);
    };
    let times = |step: i64| (0..6 * 3600 / step).map(move |i| (BEGIN + i * step) * 1000 + ODD_MS);
    for job in ["api", "web"] {
        for instance in ["a:1", "b:1", "c:1"] {
            for code in ["200", "500"] {
                let mut count = 1e6;
                let values = times(15).map(|t| {
                    count += random.below(30) as f64;
                    if random.chance(1) {
                        count = random.below(20) as f64;
                    }
                    (t, count)
                });
                let name = ("__name__", "requests_total");
                let labels = [name, ("job", job), ("instance", instance), ("code", code)];
                add(&labels, values.collect());
            }
        }
    }
    for instance in ["a:1", "b:1", "c:1"] {
        let mut bytes = 1e6;
        let mut gap = 0;
        let mut values = Vec::new();
        for t in times(30) {
            bytes += random.below(1_000_000) as f64 / 1e3;
            gap = if random.chance(3) { random.below(20) } else { gap.saturating_sub(1) };
            if gap == 0 {
                values.push((t, bytes));
            }
        }
        add(&[("__name__", "bytes_total"), ("instance", instance)], values);
        for room in ["hall", "kitchen"] {
            let mut gap = 0;
            let mut values = Vec::new();
            for t in times(15) {
                gap = if random.chance(2) { random.below(40) } else { gap.saturating_sub(1_u64) };
                if gap == 0 {
                    values.push((t, (1500 + random.below(1000)) as f64 / 100.0));
                }
            }
            add(&[("__name__", "temp"), ("instance", instance), ("room", room)], values);
        }
        let values = times(60).map(|t| (t, random.below(6) as f64));
        add(&[("__name__", "level"), ("instance", instance)], values.collect());
        let version = if instance == "a:1" { "1" } else { "2" };
        let labels = [("__name__", "build_info"), ("instance", instance), ("version", version)];
        add(&labels, times(60).map(|t| (t, 1.0)).collect());
    }
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, 5e-324, 1e308, -1e308, 0.1];
    for instance in ["a:1", "b:1"] {
        let values = times(30).map(|t| (t, odd[random.below(odd.len() as u64) as usize]));
        add(&[("__name__", "odd"), ("instance", instance)], values.collect());
        let mut counts = [0.0; 6];
        let mut rows = vec![Vec::new(); 6];
        for t in times(30) {
            let mut below = 0.0;
            for (count, row) in counts.iter_mut().zip(&mut rows) {
                below += random.below(4) as f64;
                *count += below;
                row.push((t, *count));
            }
        }
        for (le, row) in ["0.1", "0.5", "1", "2.5", "10", "+Inf"].into_iter().zip(rows) {
            add(&[("__name__", "latency_bucket"), ("instance", instance), ("le", le)], row);
        }
    }
    source
}

fn ours(source: &MemorySource, query: &str, when: When) -> Option<Answer> {
    let expr = parse(query).unwrap_or_else(|e| panic!("{query}: {e}"));
    let answer = evaluate(source, &expr, when, &Options::default(), Limits::default()).ok()?;
    Some(match answer.value {
        Value::Scalar(time, value) => vec![(Labels::default(), vec![(time, value)])],
        Value::Vector(list) => {
            list.iter().map(|s| ((*s.labels).clone(), vec![(s.time, s.value)])).collect()
        }
        Value::Matrix(matrix) => matrix
            .labels()
            .enumerate()
            .map(|(i, labels)| ((**labels).clone(), matrix.points(i).collect()))
            .collect(),
        Value::String(..) => return None,
    })
}

/// A question, whether its answer may differ a little, and whether its order counts.
struct Question {
    text: String,
    loose: bool,
    ordered: bool,
}

const COUNTERS: &[&str] = &[
    "requests_total",
    "requests_total{job=\"api\"}",
    "requests_total{code=~\"5..\",instance!=\"a:1\"}",
    "bytes_total",
    "bytes_total{instance=~\"a.*|c:1\"}",
    "latency_bucket",
];

const GAUGES: &[&str] = &[
    "temp",
    "temp{room=\"hall\"}",
    "level",
    "level{instance!~\"b.+\"}",
    "temp{instance=\"b:1\",room!=\"hall\"}",
    "build_info",
    "missing",
];

const RANGES: &[&str] = &["40s", "1m", "2m", "5m", "10m", "30m", "1h", "90s"];

fn around(random: &mut Random) -> String {
    match random.below(10) {
        0 => format!(" offset {}s", 10 + 10 * random.below(200)),
        1 => format!(" offset -{}s", 10 + 10 * random.below(60)),
        2 => format!(" @ {}", BEGIN + 7200 + 10 * random.below(700) as i64 + 7),
        3 => format!(
            " @ {} offset {}s",
            BEGIN + 7200 + 10 * random.below(700) as i64 + 7,
            10 + 10 * random.below(60)
        ),
        _ => String::new(),
    }
}

fn selector(random: &mut Random) -> String {
    let list = if random.chance(40) { COUNTERS } else { GAUGES };
    if random.chance(6) {
        return "odd".to_owned();
    }
    random.pick(list).to_owned()
}

/// A function over a window.
fn over(random: &mut Random, depth: u32) -> String {
    let range = random.pick(RANGES);
    let counter = ["rate", "increase", "irate", "resets"];
    let gauge = ["delta", "idelta", "deriv", "changes"];
    let any = [
        "count_over_time",
        "min_over_time",
        "max_over_time",
        "last_over_time",
        "present_over_time",
        "stddev_over_time",
        "stdvar_over_time",
        "sum_over_time",
    ];
    let window = if depth > 0 && random.chance(20) {
        let step = random.pick(&["10s", "30s", "1m", "2m", "70s", ""]);
        format!("({})[{range}:{step}]{}", vector(random, depth - 1), around(random))
    } else {
        let list = if random.chance(50) { COUNTERS } else { GAUGES };
        let selector = random.pick(list);
        format!("{selector}[{range}]{}", around(random))
    };
    match random.below(8) {
        0 | 1 => {
            let selector = random.pick(COUNTERS);
            format!("{}({selector}[{range}]{})", random.pick(&counter), around(random))
        }
        2 => {
            let selector = random.pick(GAUGES);
            format!("{}({selector}[{range}]{})", random.pick(&gauge), around(random))
        }
        3 => format!("quantile_over_time(0.{}, {window})", random.below(100)),
        // With `@` over several steps, 2.42 predicts otherwise than at each of them alone.
        4 if !window.contains('@') => {
            format!("predict_linear({window}, {})", random.below(7200))
        }
        5 => format!("double_exponential_smoothing({window}, 0.{}, 0.4)", 1 + random.below(8)),
        _ => format!("{}({window})", random.pick(&any)),
    }
}

/// An instant vector whose values are the same to the last bit in both versions.
fn vector(random: &mut Random, depth: u32) -> String {
    if depth == 0 {
        return format!("{}{}", selector(random), around(random));
    }
    let inner = |random: &mut Random| vector(random, depth - 1);
    match random.below(20) {
        0..=4 => over(random, depth),
        5 => {
            let f = random.pick(&["abs", "ceil", "floor", "sqrt", "sgn", "round", "deg", "rad"]);
            format!("{f}({})", inner(random))
        }
        6 => format!("clamp({}, {}, {})", inner(random), random.below(5), random.below(2000)),
        7 => {
            let op = random.pick(&["+", "-", "*", "/", "%", "^"]);
            let number = random.pick(&["2", "3", "0.5", "7", "-1", "10", "100"]);
            if random.chance(70) {
                format!("({} {op} {number})", inner(random))
            } else {
                let op = op.replace('^', "-");
                format!("({number} {op} {})", inner(random))
            }
        }
        8 | 9 => {
            let op = random.pick(&["==", "!=", ">", "<", ">=", "<="]);
            let bool = if random.chance(40) { "bool " } else { "" };
            let number = random.below(30);
            if random.chance(70) {
                format!("({} {op} {bool}{number})", inner(random))
            } else {
                format!("({number} {op} {bool}{})", inner(random))
            }
        }
        10 => {
            let f = random.pick(&["max", "min", "count", "group"]);
            format!("{f} {} ({})", grouping(random), inner(random))
        }
        11 => {
            let integers =
                random.pick(&["level", "requests_total", "build_info", "latency_bucket"]);
            format!("sum {} ({integers}{})", grouping(random), around(random))
        }
        12 => format!("quantile {} (0.{}, {})", grouping(random), random.below(99), inner(random)),
        13 => {
            let f = random.pick(&["topk", "bottomk"]);
            // Which of equals is kept is another one since: values that are never equal.
            let range = random.pick(RANGES);
            let inner =
                random.pick(&["bytes_total", "rate(bytes_total[R])", "delta(bytes_total[R])"]);
            let inner = inner.replace('R', range);
            format!("{f} {} ({}, {inner})", grouping(random), 1 + random.below(4))
        }
        14 => {
            let op = random.pick(&["and", "or", "unless"]);
            let on = random.pick(&["", "on (instance)", "ignoring (room, job, code)", "on ()"]);
            format!("({} {op} {on} {})", inner(random), inner(random))
        }
        15 => {
            let op = random.pick(&["+", "-", "*", "/", "==", ">", "< bool", "%"]);
            let (many, one) = random_pair(random, depth);
            if random.chance(50) {
                let with = random.pick(&["", "(version)", "(room)"]);
                format!("({many} {op} on (instance) group_left {with} {one})")
            } else {
                format!("({one} {op} on (instance) group_right () {many})")
            }
        }
        16 => {
            let op = random.pick(&["+", "-", "*", "/", "==", "!= bool", ">"]);
            let same = inner(random);
            let ignoring = random.pick(&["", "ignoring (code)", "on (instance, job, code, room)"]);
            format!(
                "({same} {op} {ignoring} {})",
                if random.chance(70) { same.clone() } else { inner(random) }
            )
        }
        17 => {
            format!("histogram_quantile(0.{}, latency_bucket{})", random.below(100), around(random))
        }
        18 => match random.below(6) {
            0 => format!(
                "label_replace({}, \"x\", \"<$1>\", \"instance\", \"(.*):.*\")",
                inner(random)
            ),
            1 => format!("label_join({}, \"x\", \"/\", \"room\", \"instance\")", inner(random)),
            2 => format!("absent({})", inner(random)),
            3 => format!("timestamp({})", selector(random)),
            4 => format!("count_values {} (\"v\", {})", grouping(random), inner(random)),
            _ => {
                let f = random.pick(&[
                    "hour",
                    "minute",
                    "month",
                    "year",
                    "day_of_week",
                    "day_of_month",
                    "day_of_year",
                    "days_in_month",
                ]);
                format!("{f}(timestamp({}) * {})", selector(random), 1 + random.below(3))
            }
        },
        _ => format!("vector(scalar({}))", inner(random)),
    }
}

fn random_pair(random: &mut Random, depth: u32) -> (String, &'static str) {
    let many = if random.chance(60) {
        random.pick(&["temp", "requests_total", "latency_bucket"]).to_owned()
    } else {
        vector(random, depth - 1)
    };
    (many, random.pick(&["level", "build_info", "bytes_total", "max by (instance) (temp)", "odd"]))
}

fn grouping(random: &mut Random) -> &'static str {
    random.pick(&[
        "",
        "by (instance)",
        "by (job, room)",
        "without (instance)",
        "without (le, code)",
        "by ()",
    ])
}

fn question(random: &mut Random) -> Question {
    let depth = random.below(4) as u32;
    let text = vector(random, depth);
    match random.below(10) {
        0 => {
            let f = random.pick(&["sum", "avg", "stddev", "stdvar"]);
            let list = random.pick(&["temp", "level", "requests_total", "rate(bytes_total[5m])"]);
            Question {
                text: format!("{f} {} ({list})", grouping(random)),
                loose: true,
                ordered: false,
            }
        }
        1 => {
            let list = random.pick(&["temp", "level", "bytes_total"]);
            let range = random.pick(RANGES);
            Question {
                text: format!("avg_over_time({list}[{range}])"),
                loose: true,
                ordered: false,
            }
        }
        2 => {
            let f = random.pick(&[
                "exp", "ln", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
                "cosh", "tanh", "asinh", "acosh", "atanh",
            ]);
            let list = random.pick(&["temp", "level", "temp / 100", "odd > 1e-300"]);
            Question { text: format!("{f}({list})"), loose: true, ordered: false }
        }
        3 => {
            let f = random.pick(&["sort", "sort_desc"]);
            let inner = random.pick(&["temp", "rate(requests_total[5m])", "odd", "bytes_total"]);
            Question { text: format!("{f}({inner})"), loose: false, ordered: true }
        }
        4 => {
            let f = random.pick(&["time()", "scalar(level{instance=\"a:1\"})", "pi()", "7"]);
            let op = random.pick(&["+", "-", "*", "/", "%", ">= bool"]);
            Question {
                text: format!("{f} {op} {}", 1 + random.below(100)),
                loose: false,
                ordered: false,
            }
        }
        _ => Question { text, loose: false, ordered: false },
    }
}

/// Whether Prometheus 3 answers otherwise than 2.42: the windows of a subquery in a subquery end on
/// its steps; sums of squares with infinities among them.
fn differs_since(text: &str) -> bool {
    text.matches(")[").count() > 1 || text.contains("odd") && text.contains("std")
}

/// Whether two vectors are compared, so that what does not hold is left out.
fn filters(text: &str) -> bool {
    ["== on", "> on", "== ignoring", "> ignoring"].iter().any(|op| text.contains(op))
}

fn same(a: f64, b: f64, loose: bool) -> bool {
    a.to_bits() == b.to_bits()
        || a.is_nan() && b.is_nan()
        || loose && (a - b).abs() <= LOOSE * a.abs().max(b.abs())
}

/// What is different, if anything is.
fn difference(
    question: &Question,
    theirs: &Answer,
    ours: &Answer,
    instant: bool,
) -> Option<String> {
    if question.ordered && instant {
        let order = |a: &Answer| a.iter().map(|(l, _)| l.clone()).collect::<Vec<_>>();
        if order(theirs) != order(ours) {
            return Some("another order".to_owned());
        }
    }
    let mut left: BTreeMap<&Labels, &Vec<(i64, f64)>> = ours.iter().map(|(l, p)| (l, p)).collect();
    for (labels, points) in theirs {
        let Some(mine) = left.remove(labels) else { return Some(format!("no {labels:?}")) };
        for at in 0..points.len().max(mine.len()) {
            let alike = match (points.get(at), mine.get(at)) {
                (Some(a), Some(b)) => {
                    // Which zero comes first is up to the way of sorting.
                    let zeros = a.1 == 0.0 && b.1 == 0.0 && question.text.contains("quantile");
                    a.0 == b.0 && (zeros || same(a.1, b.1, question.loose))
                }
                _ => false,
            };
            if !alike {
                let show = |p: Option<&(i64, f64)>| {
                    p.map_or("nothing".to_owned(), |(t, v)| format!("{v:?} at {t}"))
                };
                return Some(format!(
                    "{labels:?}: theirs {}, ours {}",
                    show(points.get(at)),
                    show(mine.get(at))
                ));
            }
        }
    }
    left.into_keys().next().map(|labels| format!("too much: {labels:?}"))
}

#[test]
fn answers_are_those_of_prometheus() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let seed = number("PLIMSOLL_DIFFERENTIAL_SEED").unwrap_or(0);
    let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ seed);
    let source = samples(&mut random);
    let prometheus = Prometheus::start(&source);
    let count = number("PLIMSOLL_DIFFERENTIAL").map(|n| n as usize);
    let (mut compared, mut empty, mut failed, mut wrong) = (0, 0, 0, Vec::new());
    for _ in 0..count.unwrap_or(SHORT) {
        let question = question(&mut random);
        if differs_since(&question.text) {
            continue;
        }
        let start = (BEGIN + 3600 + 10 * random.below(1400) as i64 + 7) * 1000;
        let when = if random.chance(50) {
            When::Instant(start)
        } else {
            let step = 1000 * [10, 30, 60, 300, 1700][random.below(5) as usize];
            When::Range { start, end: start + step * random.below(40) as i64, step }
        };
        let theirs = prometheus.ask(&question.text, when);
        let mine = ours(&source, &question.text, when);
        compared += 1;
        let instant = matches!(when, When::Instant(_));
        let what = match (&theirs, &mine) {
            (None, None) => {
                failed += 1;
                None
            }
            (Some(a), Some(b)) => {
                empty += usize::from(a.is_empty());
                difference(&question, a, b, instant)
            }
            // A comparison that does not hold is a match, too: 2.42 did not look that far.
            (Some(_), None) if filters(&question.text) => None,
            (Some(_), None) => Some("only ours fails".to_owned()),
            (None, Some(_)) => Some("only theirs fails".to_owned()),
        };
        if let Some(what) = what {
            wrong.push(format!("{} {when:?}\n    {what}", question.text));
        }
    }
    println!("{compared} compared, {failed} fail in both, {empty} without series");
    let first: Vec<_> = wrong.iter().take(20).cloned().collect();
    assert!(wrong.is_empty(), "{} of {compared} differ:\n{}", wrong.len(), first.join("\n"));
    assert!(failed + empty < compared / 2, "the questions are too hard to tell anything");
}
