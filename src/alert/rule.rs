//! alert: a rule: a measured value, where it begins to be wrong and where it is over, how bad that is,
//! and the sentence for it. Data only; nothing is evaluated here.

use std::fmt::Write as _;

use crate::model::{Labels, Op, Severity, Unit};
use crate::query::ast::{AggregateOp, BinaryOp, Duration, Expr};
use crate::query::matcher::NAME;
use crate::query::{ParseError, parse};

/// A rule. Every label set of its measured value is an alert of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name among all rules: `disk_full`. Where a rule file has two of a name, the second one is
    /// `Name#2`.
    pub name: Box<str>,
    /// What is measured.
    pub measure: Measure,
    /// Where it begins to be wrong, the milder limit first: one or two.
    pub limits: Vec<Limit>,
    /// Where this is there, and not with the labels of an alert, what the alert is about is gone: it is
    /// over. Without it, a label set that is missing has no data.
    pub exists: Option<Query>,
    /// What the values are measured in, for the sentence.
    pub unit: Unit,
    /// The sentence: `{value}`, `{limit}`, `{LABEL}` and the names of [`Rule::also`] are filled in.
    /// Rules of Prometheus have their annotations instead, and this is empty.
    pub text: Box<str>,
    /// More values for the sentence.
    pub also: Vec<Also>,
    /// The rule file that it comes from; empty: none.
    pub file: Box<str>,
    /// Labels that alerts get; the values of rules of Prometheus may be templates.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// Annotations that alerts get; the values of rules of Prometheus may be templates.
    pub annotations: Vec<(Box<str>, Box<str>)>,
    /// Who is told: channels by name or target; everybody where it is empty.
    pub to: Vec<Box<str>>,
    /// It happens and is not over later: no message says that it ended.
    pub once: bool,
    /// Whose rules of states and times hold.
    pub way: Way,
    /// How far apart evaluations are, ms; 0: it is evaluated with every beat.
    pub every_ms: i64,
    /// It looks at what was this long before, ms.
    pub offset_ms: i64,
    /// With more alerts than this it fails, and has none; 0: as many as any rule may have.
    pub most: usize,
}

/// Whose rules of states and times hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Way {
    /// plimsoll's: only time with data counts, a limit that clears, no data is a state.
    #[default]
    Plimsoll,
    /// Prometheus': what the expression returns is active, all time counts.
    Prometheus,
}

/// What a rule measures.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// The value of an expression.
    Query(Query),
    /// In how many seconds nothing will be left of what an expression measures, by its last seven days;
    /// +Inf where they do not say so.
    Forecast(Query),
    /// What the daemon knows without the file, by this name; see [`super::look::Given`].
    Given(Box<str>),
}

/// A point where something begins to be wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// How bad it is beyond.
    pub severity: Severity,
    /// Beyond which value it is wrong; without one, whatever is measured is wrong.
    pub fires: Option<Test>,
    /// It is wrong only where this returns the same labels (the name aside).
    pub and: Option<Query>,
    /// How long it has to be seen to be wrong, ms.
    pub for_ms: i64,
    /// For which values it is over; without one, for those that are not wrong.
    pub clears: Option<Test>,
    /// It is over, too, where this returns nothing with the same labels.
    pub clear_unless: Option<Query>,
    /// How long it has to be over before that is believed, ms.
    pub keep_ms: i64,
}

/// A comparison with a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    /// How.
    pub op: Op,
    /// With what; in the unit of the rule.
    pub value: f64,
}

impl Test {
    /// Whether it is true of a value; it never is of NaN.
    pub fn holds(self, value: f64) -> bool {
        self.op.holds(value, self.value)
    }
}

/// A further value for the sentence of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Also {
    /// Its name in the sentence.
    pub name: Box<str>,
    /// What it is, by the labels of the alert; those labels that the expression has not do not count.
    pub query: Query,
    /// What it is measured in.
    pub unit: Unit,
}

/// An expression, read once.
#[derive(Debug, Clone)]
pub struct Query {
    /// As it was written.
    pub text: Box<str>,
    /// As a tree.
    pub expr: Expr,
    /// The longest of its windows, ms; 0 where it has none.
    pub range_ms: i64,
    /// Whether its series pass as they are: then a label set that is missing has no data. A filter
    /// (`>`, `and`, `topk`) makes it no.
    pub whole: bool,
}

impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Query {
    /// Reads an expression. Fails with a [`ParseError`] where it is none.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Ok(Self::of(text, parse(text)?))
    }

    /// An expression that was read already, with its text.
    pub fn of(text: &str, expr: Expr) -> Self {
        let (range_ms, whole) = (longest(&expr), is_whole(&expr));
        Self { text: text.trim().into(), expr, range_ms, whole }
    }
}

/// The length of the longest window in an expression, ms.
fn longest(expr: &Expr) -> i64 {
    let length = |range: &Duration| match range {
        Duration::Millis(ms) => *ms,
        Duration::Expr(_) => 0,
    };
    let own = match expr {
        Expr::Matrix(matrix) => length(&matrix.range),
        Expr::Subquery(subquery) => length(&subquery.range),
        _ => 0,
    };
    expr.children().map(longest).max().unwrap_or(0).max(own)
}

/// Whether no part of an expression leaves series out by their values.
fn is_whole(expr: &Expr) -> bool {
    let own = match expr {
        Expr::Binary(e) => (!e.op.is_comparison() || e.return_bool) && !e.op.is_set(),
        Expr::Aggregate(e) => !matches!(
            e.op,
            AggregateOp::Topk
                | AggregateOp::Bottomk
                | AggregateOp::Limitk
                | AggregateOp::LimitRatio
        ),
        Expr::Call(e) => !e.function.name.starts_with("absent"),
        _ => true,
    };
    own && expr.children().all(is_whole)
}

/// A comparison with a number at the top of an expression: what is compared, and with what.
pub fn split(expr: &Expr) -> Option<(&Expr, Test)> {
    let Expr::Binary(e) = expr.unwrap_parens() else { return None };
    if e.return_bool {
        return None;
    }
    let op = match e.op {
        BinaryOp::Gt => Op::Above,
        BinaryOp::Ge => Op::AtLeast,
        BinaryOp::Lt => Op::Below,
        BinaryOp::Le => Op::AtMost,
        BinaryOp::Eq => Op::Equal,
        BinaryOp::Ne => Op::NotEqual,
        _ => return None,
    };
    match (constant(&e.lhs), constant(&e.rhs)) {
        (None, Some(value)) => Some((&e.lhs, Test { op, value })),
        (Some(value), None) => Some((&e.rhs, Test { op: op.turned(), value })),
        _ => None,
    }
    .filter(|(_, test)| test.value.is_finite())
}

/// The value of an expression of numbers only.
pub fn constant(expr: &Expr) -> Option<f64> {
    Some(match expr {
        Expr::Number(n) => n.value,
        Expr::Paren(p) => constant(&p.expr)?,
        Expr::Unary(u) if u.negate => -constant(&u.expr)?,
        Expr::Unary(u) => constant(&u.expr)?,
        Expr::Binary(e) => {
            let (a, b) = (constant(&e.lhs)?, constant(&e.rhs)?);
            match e.op {
                BinaryOp::Add => a + b,
                BinaryOp::Sub => a - b,
                BinaryOp::Mul => a * b,
                BinaryOp::Div => a / b,
                BinaryOp::Pow => a.powf(b),
                BinaryOp::Mod => a % b,
                _ => return None,
            }
        }
        _ => return None,
    })
}

impl Rule {
    /// The name that its alerts carry as `alertname`.
    pub fn alertname(&self) -> &str {
        match self.way {
            Way::Plimsoll => &self.name,
            Way::Prometheus => self.name.rsplit_once('#').map_or(&*self.name, |(name, n)| {
                if n.bytes().all(|b| b.is_ascii_digit()) { name } else { &self.name }
            }),
        }
    }

    /// All its expressions.
    pub fn queries(&self) -> impl Iterator<Item = &Query> {
        let measure = match &self.measure {
            Measure::Query(query) => Some(query),
            Measure::Forecast(_) | Measure::Given(_) => None,
        };
        let limits = self.limits.iter().flat_map(|l| l.and.iter().chain(&l.clear_unless));
        let also = self.also.iter().map(|also| &also.query);
        measure.into_iter().chain(limits).chain(&self.exists).chain(also)
    }

    /// The longest window of what it measures, ms.
    pub fn range_ms(&self) -> i64 {
        match &self.measure {
            Measure::Query(query) => query.range_ms,
            Measure::Forecast(_) | Measure::Given(_) => 0,
        }
    }

    /// Whether an element that is missing means that there is no data, and not that all is well.
    pub fn misses(&self) -> bool {
        match &self.measure {
            Measure::Query(query) => self.limits.iter().all(|l| l.fires.is_some()) && query.whole,
            Measure::Forecast(_) => true,
            // Limits that a plugin brings with it: it has not been asked yet.
            Measure::Given(name) => &**name == "limits",
        }
    }

    /// Whether its values are an amount that tells something. A plain number that is compared with 1 first
    /// says yes or no.
    pub fn is_measured(&self) -> bool {
        let first = self.limits.first().and_then(|limit| limit.fires.as_ref());
        !self.once && (self.unit != Unit::Plain || first.is_none_or(|test| test.value != 1.0))
    }

    /// How bad it is where it begins to be wrong, and how bad it can get.
    pub fn severities(&self) -> (Severity, Severity) {
        let mild = self.limits.first().map_or(Severity::Warning, |l| l.severity);
        (mild, self.limits.last().map_or(mild, |l| l.severity))
    }

    /// The limit of a severity: the one that was passed.
    pub fn limit(&self, severity: Severity) -> Option<&Limit> {
        self.limits.iter().rev().find(|l| l.severity <= severity).or(self.limits.first())
    }

    /// Whether more is worse.
    pub fn is_upward(&self) -> bool {
        let test = self.limits.first().and_then(|l| l.fires);
        test.is_none_or(|test| test.op.is_upward())
    }

    /// What is judged, as an expression for a chart: without limits and guards.
    pub fn chart_expr(&self) -> Option<&str> {
        match &self.measure {
            Measure::Query(query) | Measure::Forecast(query) => Some(&query.text),
            Measure::Given(_) => None,
        }
    }

    /// The whole rule as one expression in PromQL, as Prometheus' interfaces show it. A further severity
    /// is not part of it.
    pub fn promql(&self) -> String {
        let mut out = match &self.measure {
            Measure::Query(query) => query.text.to_string(),
            Measure::Forecast(query) => format!("forecast({})", query.text),
            Measure::Given(name) => name.to_string(),
        };
        let Some(limit) = self.limits.first() else { return out };
        if let Some(test) = limit.fires {
            let binary =
                matches!(&self.measure, Measure::Query(q) if matches!(q.expr, Expr::Binary(_)));
            if binary {
                out = format!("({out})");
            }
            let _infallible = write!(out, " {} {}", test.op.sign(), test.value);
        }
        if let Some(and) = &limit.and {
            let _infallible = write!(out, " and ({})", and.text);
        }
        out
    }

    /// The labels of an alert: those of the result without its name, and those of the rule.
    pub fn labels_of(&self, result: &Labels) -> Labels {
        if self.labels.is_empty() && result.get(NAME).is_none() {
            return result.clone();
        }
        let own = result.iter().filter(|(name, _)| *name != NAME);
        Labels::new(own.chain(self.labels.iter().map(|(name, value)| (&**name, &**value))))
    }
}

/// A hash of a rule's name and an alert's labels that stays the same over restarts and builds: FNV-1a
/// over names and values, each ended by 0xff, with the rule's name as the label `alertname`, as
/// Alertmanager does it.
pub fn fingerprint(rule: &str, labels: &Labels) -> u64 {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash = START;
    let mut add = |text: &str| {
        for byte in text.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
        }
    };
    let mut told = false;
    for (name, value) in labels.iter() {
        if !told && name > "alertname" {
            add("alertname");
            add(rule);
            told = true;
        }
        if name != "alertname" {
            add(name);
            add(value);
        }
    }
    if !told {
        add("alertname");
        add(rule);
    }
    hash
}

/// Fills the places of a sentence: `{name}` by what `find` knows of it; what nobody knows is left out.
pub fn fill(text: &str, mut find: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, behind)) => {
                out.push_str(&find(name).unwrap_or_default());
                rest = behind;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<(String, Op, f64)> {
        let expr = parse(text).expect(text);
        split(&expr).map(|(e, t)| (e.span().of(text).to_owned(), t.op, t.value))
    }

    #[test]
    fn a_limit_at_the_top_is_taken_apart() {
        let some = |text: &str, op, value| Some((text.to_owned(), op, value));
        assert_eq!(of("cpu > 8"), some("cpu", Op::Above, 8.0));
        assert_eq!(of("((cpu * 2) >= 8 * 2)"), some("(cpu * 2)", Op::AtLeast, 16.0));
        assert_eq!(of("5 < rate(x[5m])"), some("rate(x[5m])", Op::Above, 5.0));
        assert_eq!(of("-1e3 != x"), some("x", Op::NotEqual, -1000.0));
        assert_eq!(of("a > b"), None);
        assert_eq!(of("a > bool 5"), None);
        assert_eq!(of("a > 5 and b < 3"), None);
        assert_eq!(of("a > Inf"), None);
    }

    #[test]
    fn what_filters_is_known() {
        let query = |text: &str| Query::parse(text).expect(text);
        assert!(query("a / b").whole && query("sum by (x) (a)").whole && query("a > bool 1").whole);
        for text in ["(a > 1) * 2", "a and b", "topk(3, a)", "absent(a)", "a unless b"] {
            assert!(!query(text).whole, "{text}");
        }
        assert_eq!(query("rate(a[5m]) + max_over_time(a[1h:1m])").range_ms, 3_600_000);
    }

    #[test]
    fn a_fingerprint_is_that_of_alertmanager() {
        // By Alertmanager 0.25 for {alertname="X",a="b"} and for one label more behind the name.
        let labels = Labels::new([("a", "b")]);
        let more = Labels::new([("a", "b"), ("z", "1")]);
        assert_ne!(fingerprint("X", &labels), fingerprint("X", &more));
        assert_ne!(fingerprint("X", &labels), fingerprint("Y", &labels));
        assert_eq!(fingerprint("X", &labels), fingerprint("X", &labels.clone()));
    }

    #[test]
    fn a_sentence_is_filled() {
        let find = |name: &str| (name == "a").then(|| "1".to_owned());
        assert_eq!(fill("x {a} {b}y {", find), "x 1 y {");
    }
}
