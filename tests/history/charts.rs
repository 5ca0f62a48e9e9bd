//! tests: charts of imported history over HTTP: rows of days, of two hours and of minutes hang
//! together, whatever stretch is looked at, and what was not measured is a gap.

use crate::munin::{HOST, import, make_one};
use crate::support::*;
use crate::tool::*;

const DAY: i64 = 86_400;

/// The lines of a chart on the page: how many buckets there are, and which of them are not known
/// though some before and behind are.
fn holes(daemon: &Daemon, from: i64, to: i64) -> Vec<(usize, Vec<usize>)> {
    let answer = daemon.json(&format!(
        "/api/chart?id=munin/room&from={}&to={}&points=300",
        from * 1000,
        to * 1000
    ));
    let lines = answer["charts"][0]["lines"].as_array().expect("lines").clone();
    let hole = |line: &serde_json::Value| {
        let mean = line["m"].as_array().expect("means");
        let known: Vec<usize> = (0..mean.len()).filter(|i| !mean[*i].is_null()).collect();
        let (first, last) = (known.first().copied(), known.last().copied());
        let inside = first.unwrap_or(0)..last.unwrap_or(0);
        (known.len(), inside.filter(|i| mean[*i].is_null()).collect())
    };
    lines.iter().map(hole).collect()
}

#[test]
fn a_year_has_no_gaps_but_those_that_were_measured() {
    let folder = Folder::new();
    folder.configure("");
    let until = recent();
    let dir = folder.join("munin");
    let group = dir.join("localdomain");
    std::fs::create_dir_all(&group).expect("made");
    let whole = group.join(format!("{HOST}-room-all-g.rrd"));
    make_one(&whole, 'w', until, 400);
    make_one(&group.join(format!("{HOST}-room-down-d.rrd")), 'D', until, 400);
    let line = |rest: &str| format!("localdomain;{HOST}:room.{rest}\n");
    let said = [
        "graph_title The room",
        "all.label all",
        "down.label down",
        "down.type DERIVE",
        "down.min 0",
    ]
    .map(line)
    .concat();
    std::fs::write(dir.join("datafile"), format!("version 2.0.73\n{said}")).expect("written");
    import(&folder, &dir, &[]).well();
    let daemon = folder.start(FAST);
    for (from, to) in [
        // Samples and rows of 30 minutes; rows of 30 minutes; of two hours; of two hours and days;
        // of days; a few of those; a year.
        (0, 2),
        (4, 8),
        (12, 42),
        (20, 110),
        (60, 120),
        (200, 207),
        (0, 365),
    ] {
        let (from, to) = (until - to * DAY, until - from * DAY);
        let lines = holes(&daemon, from, to);
        assert_eq!(lines.len(), 2, "{lines:?}");
        for (known, holes) in lines {
            assert!(known > 2 && holes.is_empty(), "{from} {to}: {known} known, not {holes:?}");
        }
        for key in ["munin_room{field=\"all\"}", "munin_room{field=\"down\"}"] {
            let key = key.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
            let path = format!("/graph.svg?expr={key}&from={from}&to={to}");
            let svg = daemon.http("GET", &path).body;
            // A rate begins with the second row that is looked at.
            let (left, right, width) = extent(&svg);
            assert!(
                left < 0.25 * width && right > 0.9 * width,
                "{path}: {left} to {right} of {width}"
            );
        }
    }
    daemon.stop();
}

/// Where the longest line of a picture begins and ends, and how wide the picture is.
fn extent(svg: &str) -> (f64, f64, f64) {
    let strokes = svg.split("<path d=\"M").filter(|p| p.contains("fill=\"none\""));
    let line = strokes.filter_map(|p| p.split('"').next()).max_by_key(|d| d.len());
    let all: Vec<f64> =
        line.unwrap_or_default().split(' ').filter_map(|n| n.parse().ok()).collect();
    let width = svg.split(" width=\"").nth(1).and_then(|w| w.split('"').next()?.parse().ok());
    assert!(all.len() >= 4, "no line: {svg}");
    (all[0], all[all.len() - 2], width.expect("a width"))
}
