//! cli: the same samples before every view: what the page is told by HTTP and in a snapshot, pictures,
//! `watch`, `status`. They show the same points, the same holes and the same words.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use super::current::gather;
use super::{snapshot, status, status_text, watch};
use crate::config;
use crate::draw::{self, Ask};
use crate::http;
use crate::model::{Clock, SystemClock, Unit};
use crate::overview::same::{BEAT, COUNT, GAUGES, LOAD, RATE, counter, file};
use crate::overview::{self, Span};
use crate::pipeline::{Flow, Names};
use crate::query::Catalog;
use crate::query::desk::Desk;
use crate::query::eval::Limits;
use crate::store::{Reader, Store};

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
fn told(line: &serde_json::Value, span: &Span) -> Pieces {
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

/// What the daemon answers by HTTP to who asks for this path.
fn asked(path: &Path, asks: &[String]) -> Vec<serde_json::Value> {
    let clock = Arc::new(SystemClock);
    let now = clock.wall_ms();
    let flow = Flow::new(clock, "here", 60_000, 1_000, Names::default());
    let registry = Arc::clone(&flow.registry);
    let store = Store::open(path, "here", registry).expect("opens");
    let access = http::Access::new(
        Arc::new(http::tokens::Tokens::new(path)),
        false,
        Arc::clone(&flow.board),
        Arc::clone(&flow.counters),
    );
    let state = http::AppState {
        alerts: Arc::default(),
        pushes: Arc::default(),
        desk: Arc::new(Desk::new(path.to_owned(), store.head(), Arc::clone(&flow.counters))),
        database: path.to_owned(),
        config: config::Running::new(Arc::new(config::Config::default()), now),
        system: "here".into(),
        started: now,
        hosts: http::Hosts::new(Vec::new()),
        access,
        flow,
        rested: || {},
        services: Arc::new(Vec::new),
    };
    let (tell, address) = std::sync::mpsc::sync_channel(1);
    // It serves until the test is over.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            tell.send(listener.local_addr().expect("bound")).expect("heard");
            let (router, _) = http::router(state);
            http::serve(http::Listener::Tcp(listener, None), router).await;
        });
    });
    let address = address.recv().expect("it listens");
    let one = |path: &String| {
        let mut stream = std::net::TcpStream::connect(address).expect("it listens");
        let ask = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(ask.as_bytes()).expect("taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{path}: {e}: {head} {body}"))
    };
    let all = asks.iter().map(one).collect();
    drop(store);
    all
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
    same("the page", &told(&serde_json::from_str(&json).expect("JSON"), &span));

    let (from, to) = (span.from, span.to);
    let answers = asked(
        &path,
        &[format!("/api/chart?id=io&from={from}&to={to}&points={COUNT}"), "/api/hosts".to_owned()],
    );
    assert_eq!(answers[0]["width"], BEAT);
    same("the HTTP API", &told(&answers[0]["charts"][0]["lines"][0], &span));
    let host = &answers[1]["hosts"][0];
    assert_eq!((&host["name"], host["load"].as_f64()), (&"here".into(), Some(LOAD.1)));

    let verdict = overview::verdict(&reader, &charts, next, &[], overview::Whose::Ours);
    let verdict = verdict.expect("reads");
    let data = snapshot::data(&reader, "here", &charts, &verdict, span).expect("reads");
    let snapshot::Page::Whole(data) = data else { panic!("it is small") };
    let data: serde_json::Value = serde_json::from_str(&data).expect("JSON");
    same("a snapshot", &told(&data["lines"]["io"][0], &span));
    let words = data["overview"]["verdict"]["words"].as_str();
    assert_eq!(words, Some(&*verdict.words()), "a snapshot");

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
    let look = status_text::Look { width: 100, colour: false, unicode: true, wraps: true };
    let mut text = Vec::new();
    status_text::print(&mut text, &status, &views, &path, status_text::Much::Screen, look)
        .expect("prints");
    let text = String::from_utf8(text).expect("a text");
    let line = |end: &str| text.lines().find(|l| l.ends_with(end)).unwrap_or_default();
    assert!(line("  vda").contains(" 1.64 MiB/s written"), "{text}");
    assert!(text.contains("  1 min 3\n"), "the newest value, as the list of hosts has it: {text}");
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
    let verdict =
        overview::verdict(&reader, &charts, status.now, &[], overview::Whose::Ours).expect("reads");
    assert!(text.contains(&format!("● {}\n", verdict.words())), "{text}");
}
