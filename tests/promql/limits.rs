//! What a query may take, and what it asks of a store.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use plimsoll::model::Labels;
use plimsoll::query::budget::{Budget, Pool, Spent};
use plimsoll::query::eval::{Answer, EvalError, Limits, Options, When, evaluate};
use plimsoll::query::parse;
use plimsoll::query::source::{
    Columns, Hints, MemorySource, Selection, SeriesSet, Source, SourceError,
};

const HOUR: When = When::Range { start: 3_600_000, end: 7_200_000, step: 60_000 };

/// Ten counters, two hours at 10 s.
fn source() -> MemorySource {
    let mut source = MemorySource::default();
    for i in 0..10 {
        let labels = Labels::new([("__name__", "c_total"), ("i", &*i.to_string())]);
        source.add(labels, (0..720).map(|t| (t * 10_000, t as f64)));
    }
    source
}

fn ask(source: &dyn Source, query: &str, limits: Limits<'_>) -> Result<Answer, EvalError> {
    evaluate(source, &parse(query).expect(query), HOUR, &Options::default(), limits)
}

#[test]
fn a_deadline_ends_a_query() {
    let limits = Limits { deadline: Some(Instant::now()), ..Limits::default() };
    let said = ask(&source(), "sum(rate(c_total[5m]))", limits);
    assert!(matches!(said, Err(EvalError::Timeout)), "{said:?}");
    // Long work within one series is no way around it.
    let mut one = MemorySource::default();
    let labels = Labels::new([("__name__", "c_total")]);
    one.add(labels, (0..200_000).map(|t| (t * 36, f64::from(t as i32 % 7))));
    let begin = Instant::now();
    let soon = Some(begin + Duration::from_millis(20));
    let limits = Limits { deadline: soon, cells: u64::MAX, ..Limits::default() };
    let expr = parse("quantile_over_time(0.5, c_total[1h])").expect("a query");
    let often = When::Range { start: 3_600_000, end: 7_200_000, step: 100 };
    let said = evaluate(&one, &expr, often, &Options::default(), limits);
    assert!(matches!(said, Err(EvalError::Timeout)), "{said:?}");
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn a_query_nobody_waits_for_ends() {
    let gone = AtomicBool::new(true);
    let limits = Limits { cancel: Some(&gone), ..Limits::default() };
    let said = ask(&source(), "c_total", limits);
    assert!(matches!(said, Err(EvalError::Canceled)), "{said:?}");
}

#[test]
fn samples_read_and_values_made_are_bounded() {
    let limits = |samples, cells| Limits { samples, cells, ..Limits::default() };
    assert!(ask(&source(), "c_total", limits(10_000, 10_000)).is_ok());
    for query in ["c_total", "c_total + c_total", "rate(c_total[5m])", "topk(3, c_total)"] {
        for limits in [limits(1000, 10_000), limits(10_000, 100)] {
            let said = ask(&source(), query, limits);
            assert!(matches!(said, Err(EvalError::TooManySamples)), "{query}: {said:?}");
        }
    }
    // A subquery may have any number of steps.
    let said = ask(&source(), "sum_over_time(vector(1)[100y:1ms])", limits(10_000, 10_000));
    assert!(matches!(said, Err(EvalError::TooManySamples)), "{said:?}");
}

/// A store that writes down what is asked of it.
struct Asked<'a> {
    inner: &'a MemorySource,
    selections: RefCell<Vec<(i64, i64, Hints)>>,
    reads: RefCell<Vec<usize>>,
}

struct AskedSet<'a> {
    inner: Box<dyn SeriesSet + 'a>,
    reads: &'a RefCell<Vec<usize>>,
}

impl Source for Asked<'_> {
    fn select(&self, selection: &Selection<'_>) -> Result<Box<dyn SeriesSet + '_>, SourceError> {
        self.selections.borrow_mut().push((selection.start, selection.end, selection.hints));
        Ok(Box::new(AskedSet { inner: self.inner.select(selection)?, reads: &self.reads }))
    }
}

impl SeriesSet for AskedSet<'_> {
    fn labels(&self) -> &[Arc<Labels>] {
        self.inner.labels()
    }

    fn read(&mut self, series: usize, into: &mut Columns) -> Result<(), SourceError> {
        self.reads.borrow_mut().push(series);
        self.inner.read(series, into)
    }
}

#[test]
fn a_selector_is_one_question_and_a_series_is_read_once() {
    let inner = source();
    for (query, start, end, step, range, function) in [
        ("c_total", 3_300_001, 7_200_000, 60_000, 0, ""),
        ("sum(rate(c_total[10m]))", 3_000_001, 7_200_000, 60_000, 600_000, "rate"),
        ("c_total offset 1h", -299_999, 3_600_000, 60_000, 0, ""),
        ("max_over_time(c_total[1m] @ 100)", 40_001, 100_000, 0, 60_000, "max_over_time"),
        ("max_over_time(c_total[10m:5m])", 3_000_001, 7_200_000, 300_000, 0, ""),
        ("rate(c_total[1m] smoothed)", 3_240_001, 7_500_000, 60_000, 60_000, "rate"),
    ] {
        let asked =
            Asked { inner: &inner, selections: RefCell::default(), reads: RefCell::default() };
        ask(&asked, query, Limits::default()).expect(query);
        let selections = asked.selections.into_inner();
        let [(from, to, hints)] = selections[..] else { panic!("{query}: {selections:?}") };
        assert_eq!((from, to), (start, end), "{query}");
        assert_eq!((hints.step, hints.range, hints.function), (step, range, function), "{query}");
        assert_eq!(asked.reads.into_inner(), (0..10).collect::<Vec<_>>(), "{query}");
    }
}

#[test]
fn a_store_that_cannot_be_read_is_an_error() {
    struct Broken;
    impl Source for Broken {
        fn select(&self, _: &Selection<'_>) -> Result<Box<dyn SeriesSet + '_>, SourceError> {
            Err(SourceError("the disk is gone".to_owned()))
        }
    }
    let said = ask(&Broken, "sum(c_total) or vector(1)", Limits::default());
    let message = said.expect_err("an error").to_string();
    assert_eq!(message, "expanding series: the disk is gone");
}

/// Four hundred series with a value a minute for two hours, of two names, with buckets among them.
fn crowd() -> MemorySource {
    let mut source = MemorySource::default();
    for i in 0..400_i64 {
        let (name, number) = (["c_total", "d_total"][i as usize % 2], i.to_string());
        let le = ["1", "2", "+Inf", "4"][i as usize / 2 % 4];
        let labels =
            [("__name__", name), ("i", &number), ("le", le), ("instance", "h"), ("job", "j")];
        let samples = (0..120).map(|t| (t * 60_000, (t * i) as f64));
        source.add(Labels::new(labels), samples);
    }
    let info = [("__name__", "target_info"), ("instance", "h"), ("job", "j"), ("version", "1")];
    source.add(Labels::new(info), (0..120).map(|t| (t * 60_000, 1.0)));
    source
}

/// A label made of itself, eight times as long each time.
fn growing(levels: usize) -> String {
    let more = r#","a","","a","a","a","a","a","a","a","a")"#;
    format!(
        r#"{}label_replace(c_total,"a","xxxxxxxxxxxxxxxxxxxx","",""){}"#,
        "label_join(".repeat(levels),
        more.repeat(levels)
    )
}

#[test]
fn labels_that_are_made_have_a_bound() {
    let source = crowd();
    let refused = |query: &str| {
        let said = ask(&source, query, Limits::default()).expect_err(query).to_string();
        assert!(said.contains("a label of more than 1000 bytes, the limit"), "{query}: {said}");
    };
    assert!(ask(&source, &growing(1), Limits::default()).is_ok());
    refused(&growing(9));
    refused(&growing(12));
    refused(&format!(
        r#"{}label_replace(c_total,"a","xxxxxxxxxxxxxxxxxxxx","",""){}"#,
        "label_replace(".repeat(10),
        r#","a","$1$1$1$1$1$1$1$1","a","(.*)")"#.repeat(10)
    ));
    refused(&format!(r#"label_replace(c_total,"a","{}","i","(.*)")"#, "$1".repeat(30_000)));
    refused(&format!(r#"label_join(c_total,"a","{}","i","i")"#, "s".repeat(1_001)));
    refused(&format!(r#"label_replace(c_total,"{}","x","","")"#, "n".repeat(1_001)));
    let long = format!(r#"count_values("{}", c_total)"#, "n".repeat(1_001));
    let said = ask(&source, &long, Limits::default()).expect_err("too long").to_string();
    assert!(said.contains("longer than 1000 bytes"), "{said}");
}

#[test]
fn memory_is_counted_while_a_question_works_and_is_refused_before_it_is_taken() {
    const LITTLE: u64 = 96 << 10;
    let source = crowd();
    for query in [
        "c_total",
        "rate(c_total[5m])",
        "-c_total",
        "abs(c_total)",
        "c_total + 1",
        "c_total and d_total",
        "c_total or d_total",
        "c_total unless on(i) d_total",
        "c_total + on(i) c_total",
        "c_total * on(job) group_left(version) target_info",
        "topk(1000, c_total)",
        "limit_ratio(0.9, c_total)",
        "quantile by (i) (0.5, c_total)",
        "sum by (i) (c_total)",
        "avg by (i) (c_total)",
        "stddev by (i) (c_total)",
        r#"count_values("v", c_total)"#,
        "histogram_quantile(0.5, c_total)",
        r#"histogram_quantiles(c_total, "q", 0.1, 0.5, 0.9)"#,
        "info(c_total)",
        "sort_by_label(last_over_time(c_total[2h]))",
        r#"label_replace(c_total, "a", "$1", "i", "(.*)")"#,
        r#"label_join(c_total, "a", "-", "i", "le")"#,
        "sum_over_time(vector(time())[100000s:1s])",
        "sum_over_time(vector(time() + (time() + (time() + time())))[10000s:1s])",
        "max_over_time(c_total[2h:1s])",
        "absent(max_over_time(vector(1)[100000s:1s]))",
    ] {
        let tried = |most: u64| {
            let budget = Budget::new(most);
            let limits = Limits { budget: Some(&budget), ..Limits::default() };
            let said = ask(&source, query, limits);
            let said = said.map(|answer| {
                assert!(budget.held() > 0, "{query}: the answer is held");
                drop(answer);
            });
            assert_eq!(budget.held(), 0, "{query}: it is all given back");
            (said, budget.peak())
        };
        let (said, needed) = tried(1 << 30);
        assert!(said.is_ok(), "{query}: {said:?}");
        assert!(needed > LITTLE, "{query}: {needed}");
        // Whatever there is, it takes no more; and with a third of what it needs it ends.
        for most in [LITTLE, needed / 3] {
            let (said, peak) = tried(most);
            assert!(peak <= most, "{query}: {peak}");
            let spent = matches!(said, Err(EvalError::Memory(Spent::One(_))));
            assert!(spent, "{query} with {most}: {:?}", said.err());
        }
    }
}

#[test]
fn what_all_questions_hold_together_is_told_apart() {
    let source = crowd();
    let pool = Pool::new(600 << 10);
    let (one, other) =
        (Budget::within(&pool, 1 << 20, 1 << 20), Budget::within(&pool, 1 << 20, 1 << 20));
    let within = |budget| Limits { budget: Some(budget), ..Limits::default() };
    let held = ask(&source, "c_total", within(&one)).expect("there is room");
    let heavy = "c_total + on(i) (c_total + on(i) (c_total + on(i) c_total))";
    let said = ask(&source, heavy, within(&other)).expect_err("all is taken");
    assert!(matches!(said, EvalError::Memory(Spent::All(_))), "{said}");
    assert!(said.to_string().ends_with("ask again in a moment"), "{said}");
    drop(held);
    assert_eq!((pool.held(), pool.peak() <= 600 << 10), (0, true));
}

/// A store whose asker goes when so many selectors have been read.
struct Going<'a> {
    inner: &'a MemorySource,
    gone: &'a AtomicBool,
    left: std::cell::Cell<usize>,
}

struct GoingSet<'a> {
    inner: Box<dyn SeriesSet + 'a>,
    going: &'a Going<'a>,
}

impl Source for Going<'_> {
    fn select(&self, selection: &Selection<'_>) -> Result<Box<dyn SeriesSet + '_>, SourceError> {
        Ok(Box::new(GoingSet { inner: self.inner.select(selection)?, going: self }))
    }
}

impl SeriesSet for GoingSet<'_> {
    fn labels(&self) -> &[Arc<Labels>] {
        self.inner.labels()
    }

    fn read(&mut self, series: usize, into: &mut Columns) -> Result<(), SourceError> {
        self.inner.read(series, into)
    }
}

impl Drop for GoingSet<'_> {
    fn drop(&mut self) {
        self.going.left.set(self.going.left.get() - 1);
        if self.going.left.get() == 0 {
            self.going.gone.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn every_part_of_a_question_notices_that_nobody_waits() {
    let source = source();
    let often = When::Range { start: 3_600_000, end: 7_200_000, step: 400 };
    for query in [
        "abs(@)",
        "round(@)",
        "clamp(@, 0, 1)",
        "-@",
        "@ + 1",
        "@ + on(i) @",
        "@ and on(i) @",
        "@ or on(i) @",
        "@ unless on(i) @",
        "topk(3, @)",
        "quantile(0.5, @)",
        "limit_ratio(0.5, @)",
        r#"count_values("v", @)"#,
        "scalar(@)",
        "absent(@)",
        "timestamp(@ + 0)",
        "day_of_week(@)",
        r#"label_replace(@, "a", "$1", "i", "(.*)")"#,
        r#"label_join(@, "a", "-", "i")"#,
        "sum_over_time(@[2s:400ms])",
    ] {
        let selectors = query.matches('@').count();
        let query = query.replace('@', "c_total");
        let gone = AtomicBool::new(false);
        let going = Going { inner: &source, gone: &gone, left: selectors.into() };
        let expr = parse(&query).expect(&query);
        let limits = Limits { cancel: Some(&gone), ..Limits::default() };
        let said = evaluate(&going, &expr, often, &Options::default(), limits);
        assert!(matches!(said, Err(EvalError::Canceled)), "{query}: {:?}", said.err());
        assert!(gone.load(Ordering::Relaxed), "{query}: all was read before");
    }
}
