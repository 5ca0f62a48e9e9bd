//! What the wire room writes is read back by it, and accepted by Prometheus' own promtool.

use std::io::Write;
use std::process::{Command, Stdio};

use plimsoll::model::{Identity, Kind, Labels, Series, parse_key};
use plimsoll::wire::exposition::{Dialect, Writer};
use plimsoll::wire::{Exporter, Format, Record};
use proptest::prelude::*;

/// A series with its samples: (milliseconds since 1970, value).
type Written = (Series, Vec<(i64, f64)>);

fn series(name: &str, labels: Labels, kind: Kind) -> Series {
    let identity = Identity::local("node", name, labels);
    Series {
        identity,
        kind,
        unit: "seconds".into(),
        help: "Some \"help\" \\ in\ntwo lines.".into(),
    }
}

fn export(format: Format, written: &[Written]) -> String {
    let mut out = String::new();
    let mut exporter = Exporter::new(format, &mut out);
    for (series, samples) in written {
        exporter.series(&mut out, series);
        for (ts, value) in samples {
            exporter.sample(&mut out, *ts, *value);
        }
    }
    exporter.finish(&mut out);
    out
}

fn import(format: Format, text: &str) -> Vec<Record> {
    let mut reader = format.reader(text.as_bytes(), 0);
    let mut record = Record::default();
    let mut out = Vec::new();
    while let Some(result) = reader.next(&mut record) {
        result.expect("a good row");
        out.push(record.clone());
    }
    out
}

fn promtool(arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is missing: apt-get install --no-install-recommends prometheus");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("promtool reads");
    drop(stdin);
    let output = child.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// Legal names, each once, in order, as OpenMetrics wants them.
fn legal() -> impl Strategy<Value = Vec<Written>> {
    let name = "[a-z]{1,3}(_seconds)?(_total)?";
    let labels = prop::collection::vec(("[a-z]{1,3}", "\\PC{0,5}[\\\\\"\n]{0,2}"), 0..3);
    let samples = prop::collection::btree_map(0..4_000_000_000_000_i64, any::<f64>(), 1..4);
    let one = (name, labels, any::<bool>(), samples);
    prop::collection::vec(one, 1..6).prop_map(|all| {
        let mut out: Vec<Written> = all
            .into_iter()
            .map(|(name, labels, counter, samples)| {
                let kind = if counter { Kind::Counter } else { Kind::Gauge };
                (series(&name, Labels::new(labels), kind), samples.into_iter().collect())
            })
            .collect();
        // A counter without its `_total` and a gauge may not share a family's name.
        let family = |w: &Written| w.0.identity.name.trim_end_matches("_total").to_owned();
        out.sort_by_key(family);
        out.dedup_by_key(|w| family(w));
        out
    })
}

proptest! {
    #[test]
    fn every_format_reads_back(written in legal()) {
        for format in Format::ALL {
            let text = export(format, &written);
            prop_assert_eq!(Format::sniff(text.as_bytes()), Some(format));
            let back = import(format, &text);
            let expected = written.iter().flat_map(|(series, samples)| {
                samples.iter().map(|(ts, value)| (series.identity.key(), *ts, *value))
            });
            prop_assert_eq!(back.len(), expected.clone().count());
            for (record, (key, ts, value)) in back.iter().zip(expected) {
                prop_assert_eq!(parse_key(&record.key), parse_key(&key));
                prop_assert_eq!((record.ts, record.value.to_bits()), (ts, value.to_bits()));
            }
        }
    }
}

proptest! {
    // Each case is a process.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn promtool_parses_what_we_write(written in legal(), odd in "\\PC{1,6}") {
        let mut out = String::new();
        let mut writer = Writer::new(Dialect::Classic);
        for (Series { identity, kind, unit, help }, samples) in &written {
            writer.family(&mut out, &identity.name, *kind, unit, help);
            writer.series(identity.labels.iter());
            writer.sample(&mut out, samples[0].1, Some(samples[0].0));
        }
        writer.family(&mut out, &format!("zzzz{odd}"), Kind::Gauge, "", &odd);
        writer.series([("a", &*odd), (&*odd, "b")].into_iter());
        writer.sample(&mut out, 1.0, None);
        writer.finish(&mut out);
        let (code, said) = promtool(&["check", "metrics"], &out);
        // 3 is for advice on names.
        prop_assert!(matches!(code, Some(0 | 3)), "{}\n{}", said, out);
    }
}

#[test]
fn promtool_has_no_advice_on_good_names() {
    let mut out = String::new();
    let mut writer = Writer::new(Dialect::Classic);
    writer.family(
        &mut out,
        "node_cpu_seconds_total",
        Kind::Counter,
        "seconds",
        "CPU time by mode.",
    );
    for cpu in ["0", "1"] {
        writer.series([("cpu", cpu), ("mode", "idle")].into_iter());
        writer.sample(&mut out, 1.5e9, None);
    }
    writer.finish(&mut out);
    assert_eq!(promtool(&["check", "metrics"], &out), (Some(0), String::new()));
    // And it would say so if the text were wrong.
    assert_eq!(promtool(&["check", "metrics"], &out.replace("idle\"", "idle")).0, Some(1));
}

#[test]
fn prometheus_takes_our_openmetrics_into_its_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let labels = Labels::new([("mode", "a \"b\" \\ \n")]);
    let base = 1_700_000_000_000;
    let samples = |step: i64| (0..5).map(|i| (base + i * step, i as f64 / 8.0)).collect();
    let written = [
        (series("a_seconds_total", labels.clone(), Kind::Counter), samples(250)),
        (series("b_seconds", labels, Kind::Gauge), samples(1000)),
        (series("c", Labels::default(), Kind::Counter), vec![(base, f64::NAN), (base + 1, 1e300)]),
    ];
    let text = export(Format::OpenMetrics, &written);
    let file = folder.path().join("in.om");
    std::fs::write(&file, &text).expect("written");
    let (file, data) = (file.display().to_string(), folder.path().join("data"));
    let data = data.display().to_string();
    let (code, said) = promtool(&["tsdb", "create-blocks-from", "openmetrics", &file, &data], "");
    assert_eq!(code, Some(0), "{said}\n{text}");
    // The dump wants to see a log, and there is none of what was imported.
    std::fs::create_dir(folder.path().join("data/wal")).expect("a folder");
    let (code, dump) = promtool(&["tsdb", "dump", &data], "");
    assert_eq!(code, Some(0), "{dump}");
    let mut lines: Vec<&str> = dump.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 12, "{dump}");
    let third = "{__name__=\"a_seconds_total\", mode=\"a \\\"b\\\" \\\\ \\n\"} 0.25 1700000000500";
    assert!(lines.contains(&third), "{dump}");
    assert!(lines.iter().any(|l| l.ends_with("} NaN 1700000000000")), "{dump}");
}

/// Gives what it has in small pieces, then fails, as a gzip file does that was cut short.
struct Cut<'a>(&'a [u8]);

impl std::io::Read for Cut<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let n = self.0.len().min(into.len()).min(7);
        if n == 0 {
            return Err(std::io::Error::other("cut short"));
        }
        let (now, later) = self.0.split_at(n);
        into[..n].copy_from_slice(now);
        self.0 = later;
        Ok(n)
    }
}

#[test]
fn when_reading_fails_what_came_before_counts_and_half_a_row_does_not() {
    let samples = (0..20).map(|i| (1_700_000_000_000 + i, 12.5)).collect();
    let written = [(series("a_seconds", Labels::default(), Kind::Gauge), samples)];
    for format in Format::ALL {
        let text = export(format, &written);
        for cut in 0..text.len() {
            let mut reader = format.reader(Cut(&text.as_bytes()[..cut]), 0);
            let mut record = Record::default();
            let (mut good, mut fatal) = (0_i64, 0);
            while let Some(result) = reader.next(&mut record) {
                match result {
                    Ok(()) => {
                        assert_eq!(fatal, 0, "{format:?} cut at {cut}");
                        assert_eq!((record.ts, record.value), (1_700_000_000_000 + good, 12.5));
                        good += 1;
                    }
                    Err(e) => {
                        assert!(e.fatal && e.reason.contains("cut short"), "{format:?} {cut}: {e}");
                        fatal += 1;
                    }
                }
            }
            let lines = text[..cut].split_inclusive('\n');
            let whole = lines.filter(|l| l.contains("12.5") && l.ends_with('\n')).count() as i64;
            // An object is whole without its line break.
            let rows = if format == Format::Json { whole..=whole + 1 } else { whole..=whole };
            assert!(fatal == 1 && rows.contains(&good), "{format:?} cut at {cut}: {good} rows");
        }
    }
}
