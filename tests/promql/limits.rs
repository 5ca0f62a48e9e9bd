//! What a query may take, and what it asks of a store.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use plimsoll::model::Labels;
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
