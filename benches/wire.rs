//! Rows a second through the file formats. `cargo bench --bench wire` uses rows made up here;
//! `PLIMSOLL_BENCH_CSV=FILE[.gz]` a recording.

use std::hint::black_box;
use std::io::Read;
use std::time::Instant;

use plimsoll::model::{Identity, Kind, Series, parse_key};
use plimsoll::wire::{Exporter, Format, Record, is_gzip};

fn main() {
    let csv = match std::env::var_os("PLIMSOLL_BENCH_CSV") {
        Some(path) => unpacked(std::fs::read(path).expect("the file can be read")),
        None => made_up().into_bytes(),
    };
    let mut records = Vec::new();
    each(Format::Csv, &csv, |r| records.push(r.clone()));
    println!("{} rows, {} bytes of CSV as given", records.len(), csv.len());
    time("read csv as given", records.len(), || {
        each(Format::Csv, &csv, |r| {
            black_box(r.ts);
        })
    });
    // The exporter wants series sorted by name.
    records.sort_by(|a, b| a.key.cmp(&b.key).then(a.ts.cmp(&b.ts)));
    for format in Format::ALL {
        let mut text = String::new();
        time(&format!("write {}", format.name()), records.len(), || {
            text.clear();
            export(format, &records, &mut text);
        });
        time(&format!("read {}", format.name()), records.len(), || {
            each(format, text.as_bytes(), |r| {
                black_box(r.ts);
            });
        });
    }
}

fn each(format: Format, text: &[u8], mut take: impl FnMut(&Record)) {
    let mut reader = format.reader(text, 0);
    let mut record = Record::default();
    while let Some(result) = reader.next(&mut record) {
        result.expect("a good row");
        take(&record);
    }
}

fn export(format: Format, records: &[Record], out: &mut String) {
    let mut exporter = Exporter::new(format, out);
    for chunk in records.chunk_by(|a, b| a.key == b.key) {
        let (name, labels) = parse_key(&chunk[0].key);
        let identity = Identity::local("node", &name, labels);
        let series = Series { identity, kind: Kind::Gauge, unit: "".into(), help: "".into() };
        exporter.series(out, &series);
        for r in chunk {
            exporter.sample(out, r.ts, r.value);
        }
    }
    exporter.finish(out);
}

/// The best of five, as what disturbs a run only ever makes it slower.
fn time(what: &str, rows: usize, mut run: impl FnMut()) {
    let best = (0..5)
        .map(|_| {
            let begun = Instant::now();
            run();
            begun.elapsed()
        })
        .min()
        .expect("five runs");
    let rate = rows as f64 / best.as_secs_f64();
    println!("{what:20} {:8.1} ms {:12.0} rows/s", best.as_secs_f64() * 1e3, rate);
}

fn unpacked(bytes: Vec<u8>) -> Vec<u8> {
    if !is_gzip(&bytes) {
        return bytes;
    }
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut out).expect("gzip");
    out
}

/// A hundred series at a beat of ten seconds, in whole numbers and in hundredths.
fn made_up() -> String {
    let mut out = "key,timestamp,value\n".to_owned();
    for series in 0..100 {
        for beat in 0..5_000 {
            let (ts, wave) = (1_700_000_000 + beat * 10, (beat * 7919 + series * 13) % 10_007);
            let value = if series % 2 == 0 { f64::from(wave) } else { f64::from(wave) / 100.0 };
            out.push_str(&format!(
                "\"node_cpu_seconds_total{{cpu=\"\"{series}\"\"}}\",{ts},{value}\n"
            ));
        }
    }
    out
}
