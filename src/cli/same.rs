//! cli: the same samples before every view: the page, pictures, `watch`, `status`. They must show
//! the same points, the same holes and the same words.

use super::current::gather;
use super::{status, status_text, watch};
use crate::draw::{self, Ask};
use crate::model::Unit;
use crate::overview::same::{BEAT, COUNT, GAUGES, RATE, counter, file};
use crate::overview::{self, Span};
use crate::query::Catalog;
use crate::query::eval::Limits;
use crate::store::Reader;

const KEY: &str = "node_disk_written_bytes_total{device=\"vda\"}";

/// Points and the pieces that are drawn of them, each as beats and values.
type Pieces = Vec<Vec<(i64, f64)>>;

/// The expected result: the rates of the samples, with a hole where there is none.
fn expected() -> Pieces {
    let mut pieces: Pieces = vec![Vec::new()];
    for (beat, _, rate) in counter().into_iter().skip(1) {
        match rate {
            Some(rate) => pieces.last_mut().expect("one").push((beat, rate)),
            None => pieces.push(Vec::new()),
        }
    }
    pieces
}

/// The line as a picture or a terminal draws it.
fn drawn(line: &draw::Line, start: i64) -> Pieces {
    let point = |i: usize| ((line.ts[i] - start) / BEAT, line.mean[i].abs());
    line.pieces().into_iter().map(|piece| piece.map(point).collect()).collect()
}

/// The line as the page draws it, see `joined` in `data.ts`.
fn told(json: &str, span: &Span) -> Pieces {
    let line: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let gap = line["gap"].as_i64().expect("a number");
    let mut pieces: Pieces = Vec::new();
    let mut last = i64::MIN;
    for (at, value) in (0i64..).zip(line["m"].as_array().expect("values")) {
        let Some(value) = value.as_f64() else { continue };
        if last == i64::MIN || (at - last) * span.width > gap {
            pieces.push(Vec::new());
        }
        last = at;
        pieces.last_mut().expect("one").push((at * span.width / BEAT, value.abs()));
    }
    pieces
}

fn same(view: &str, found: &Pieces) {
    let expected = expected();
    let beats = |all: &Pieces| -> Vec<Vec<i64>> {
        all.iter().map(|piece| piece.iter().map(|(beat, _)| *beat).collect()).collect()
    };
    assert_eq!(beats(found), beats(&expected), "{view}: points and holes");
    for ((beat, a), (_, b)) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!((a - b).abs() < 1e-4 * b, "{view}, beat {beat}: {a} {b}");
    }
}

#[test]
fn every_view_shows_the_same_points_and_the_same_holes() {
    let (_dir, path, next) = file();
    let reader = Reader::open(&path).expect("opens");
    let known = reader.series().expect("reads");
    let charts = overview::charts(&known, &[], "here");
    let start = next - COUNT * BEAT;

    let span = Span::new(start, next - 1, BEAT);
    let chart = charts.iter().find(|c| c.id == "io").expect("a chart");
    let mut json = String::new();
    let read = overview::read(&reader, &chart.lines[0], span.from, span.to, span.width);
    overview::write_line(&mut json, &read.expect("reads"), &span);
    same("the page", &told(&json, &span));

    let ask = Ask {
        expression: KEY,
        from: start,
        to: next,
        points: COUNT as u32,
        limits: Limits::default(),
    };
    let picture = draw::gather(&reader, &Catalog::default(), &ask).expect("a picture");
    same("a picture", &drawn(&picture.lines[0], start));
    let now = picture.unit.format(picture.lines[0].last);

    let watched = watch::drawn(&path, "io", next);
    same("watch", &drawn(&watched.lines[0], start));
    assert_eq!(watched.unit, picture.unit);
    assert_eq!(watched.unit.format(watched.lines[0].last.abs()), now);
    assert_eq!(now, Unit::BytesPerSecond.format(RATE));
    assert_eq!(now, "1.64 MiB/s");
}

#[test]
fn every_view_writes_the_same_words() {
    let (_dir, path, next) = file();
    let reader = Reader::open(&path).expect("opens");
    let status = gather(&path, &reader).expect("reads");
    let views = status::views(&reader, &status, false).expect("reads");
    let look = status_text::Look { width: 100, colour: false, unicode: true };
    let mut text = Vec::new();
    status_text::print(&mut text, &status, &views, &path, false, look).expect("prints");
    let text = String::from_utf8(text).expect("a text");
    let line = |end: &str| text.lines().find(|l| l.ends_with(end)).unwrap_or_default();
    assert!(line("  vda").contains(" 1.64 MiB/s written"), "{text}");
    for (key, _, value, words) in GAUGES {
        assert!(line(key).contains(&format!(" {words}  ")), "{key}: {text}");
        let ask = Ask {
            expression: key,
            from: next - COUNT * BEAT,
            to: next,
            points: 50,
            limits: Limits::default(),
        };
        let chart = draw::gather(&reader, &Catalog::default(), &ask).expect("a picture");
        assert_eq!(chart.unit.format(chart.lines[0].last), words, "{key}");
        let known = reader.series().expect("reads");
        let charts = overview::charts(&known, &[], "here");
        let chart = charts.iter().find(|c| c.title == key).expect("a chart");
        // The page writes it as its own test says that `Unit` does.
        assert_eq!(Unit::of_word(&chart.unit).format(value), words, "{key}");
    }
    // The verdict is that of the page, word for word.
    let charts = overview::charts(&reader.series().expect("reads"), &[], "here");
    let verdict = overview::verdict(&reader, &charts, status.now, &[], None).expect("reads");
    assert!(text.contains(&format!("● {}\n", verdict.words())), "{text}");
}
