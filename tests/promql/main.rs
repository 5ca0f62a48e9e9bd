//! PromQL as a user of it sees it: scripts of samples and questions, and the same questions put to
//! Debian's Prometheus.

mod differential;
mod limits;
mod many;
mod prometheus;
#[path = "../random/mod.rs"]
mod random;
mod rollups;
mod script;

use std::path::Path;

/// Runs a script of this folder.
fn run(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promql").join(name);
    let text = std::fs::read_to_string(&path).expect("the script");
    let ran = script::run(&text).unwrap_or_else(|e| panic!("{name}:{e}"));
    assert!(ran > 0, "{name} asks nothing");
}

macro_rules! scripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(concat!(stringify!($name), ".test"));
        })*

        #[test]
        fn every_script_is_run() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promql");
            let mut found: Vec<String> = std::fs::read_dir(folder)
                .expect("the folder")
                .filter_map(|e| e.ok()?.file_name().to_str()?.strip_suffix(".test").map(str::to_owned))
                .collect();
            found.sort();
            assert_eq!(found, [$(stringify!($name)),*]);
        }
    };
}

scripts! {
    absent
    aggregates
    annotations
    at_and_offset
    binary
    counters
    dates
    durations
    edges
    histograms
    info
    instants
    labels
    literals
    matching
    names
    over_time
    ranked
    selectors
    sets
    sorting
    subqueries
}

/// A runner that finds nothing wrong is worth nothing: planted faults have to be found.
#[test]
fn a_wrong_expectation_is_found() {
    let load = "load 1m\n  a{x=\"1\"} 1 2 3\n\n";
    for (question, complaint) in [
        ("eval instant at 1m a\n  a{x=\"1\"} 3\n", "2"),
        ("eval instant at 1m a\n  a{x=\"2\"} 2\n", "x"),
        ("eval instant at 1m a\n", "unexpected"),
        ("eval instant at 1m a\n  a{x=\"1\"} 2\n  a{x=\"9\"} 2\n", "missing"),
        ("eval range from 0 to 2m step 1m a\n  a{x=\"1\"} 1 2\n", "3"),
        ("eval instant at 1m a\n  expect fail\n", "no failure"),
        ("eval instant at 1m a +\n  a 1\n", "failed"),
        ("eval instant at 1m a\n  expect warn\n  a{x=\"1\"} 2\n", "no warn"),
        ("eval instant at 1m rate(a[2m])\n  expect no_info\n  {x=\"1\"} 0.01\n", "info"),
        ("eval instant at 1m 7\n  8\n", "7"),
    ] {
        let said = script::run(&format!("{load}{question}")).expect_err(question);
        assert!(said.contains(complaint), "{question}: {said}");
    }
}
