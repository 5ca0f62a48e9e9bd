//! Columns alone: those of all times in tests/fixtures/chunk, those that are written today, and
//! what the crate pco may write for floats but does not choose in any of these.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use pco::wrapped::FileCompressor;
use pco::{ChunkConfig, DeltaSpec, ModeSpec};
use plimsoll::store::chunk::{
    Scratch, decode_timestamps, decode_values, encode_timestamps, encode_values,
};

use super::{KINDS, Random, next_value, read};

/// How many samples each fixture has.
const FIXTURES: [(&str, usize); 26] = [
    ("accelerating", 800),
    ("all_stale", 40),
    ("bursts", 600),
    ("busy_and_idle", 1200),
    ("constant", 500),
    ("constant_bits", 500),
    ("counter", 1000),
    ("decimals", 1000),
    ("exceptions", 800),
    ("full_floats", 300),
    ("levels", 600),
    ("multiples", 600),
    ("one", 1),
    ("packed", 12),
    ("percent", 360),
    ("product", 600),
    ("ramp", 400),
    ("rates", 900),
    ("rates_near", 900),
    ("ratio", 360),
    ("steps", 900),
    ("steps_near", 900),
    ("ts_gaps", 997),
    ("ts_list", 500),
    ("ts_regular", 1000),
    ("wide_counter", 600),
];

/// What the reader is asked, and what it has to answer.
#[derive(Default)]
struct Questions {
    names: Vec<String>,
    asked: String,
    expected: Vec<String>,
}

impl Questions {
    fn values(&mut self, name: String, column: &[u8], values: &[f64]) {
        let words: Vec<String> = values.iter().map(|v| format!("{:016x}", v.to_bits())).collect();
        self.put(name, "values", column, &words);
    }

    fn timestamps(&mut self, name: String, column: &[u8], list: &[i64]) {
        let words: Vec<String> = list.iter().map(i64::to_string).collect();
        self.put(name, "timestamps", column, &words);
    }

    fn put(&mut self, name: String, kind: &str, column: &[u8], words: &[String]) {
        let hex: String = column.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(self.asked, "{kind} {} {hex}", words.len()).unwrap();
        self.names.push(name);
        self.expected.push(words.join(" "));
    }

    #[track_caller]
    fn ask(&self) {
        let answers = read(&["columns"], &self.asked);
        assert_eq!(answers.lines().count(), self.names.len());
        for ((answer, expected), name) in answers.lines().zip(&self.expected).zip(&self.names) {
            let first = answer.split(' ').zip(expected.split(' ')).position(|(a, b)| a != b);
            assert!(answer == expected, "{name}: from value {first:?} on: {answer:.60}");
        }
    }
}

#[test]
fn every_fixture_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chunk");
    let there: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .filter_map(|file| {
            Some(file.unwrap().file_name().to_str()?.strip_suffix(".hex")?.to_owned())
        })
        .collect();
    assert!(there.iter().eq(FIXTURES.map(|(name, _)| name).iter()), "the list above: {there:?}");

    let mut questions = Questions::default();
    let mut scratch = Scratch::default();
    for (name, count) in FIXTURES {
        let text = std::fs::read_to_string(folder.join(format!("{name}.hex"))).unwrap();
        let digits: String = text.split_whitespace().collect();
        let column: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect();
        if name.starts_with("ts_") {
            let times = decode_timestamps(&column, count, &mut scratch).unwrap();
            questions.timestamps(name.to_owned(), &column, &times.iter().collect::<Vec<i64>>());
        } else {
            let mut values = Vec::new();
            decode_values(&column, count, &mut scratch, &mut values).unwrap();
            questions.values(name.to_owned(), &column, &values);
        }
    }
    questions.ask();
}

#[test]
fn what_is_written_today_is_read() {
    let mut questions = Questions::default();
    let mut scratch = Scratch::default();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for kind in 0..KINDS {
        for count in [1, 2, 3, 40, 257, 900, 2_600] {
            let mut level = 0;
            let values: Vec<f64> =
                (0..count).map(|i| next_value(kind, i, &mut level, &mut random)).collect();
            let mut column = Vec::new();
            encode_values(&values, &mut scratch, &mut column);
            questions.values(format!("{count} values of kind {kind}"), &column, &values);
        }
    }
    for kind in 0..12 {
        for count in [1, 2, 3, 700] {
            let mut at = [1_795_342_660_123, 0, -62_135_596_800_000][kind % 3];
            let list: Vec<i64> = (0..count)
                .map(|i| {
                    at += match kind / 3 {
                        0 => 10_000,
                        1 if random.one_in(50) => 1_000 * random.below(5_000),
                        1 => 1_000,
                        2 => 1_000 + random.below(9) * random.below(2),
                        _ => random.below(1 << (i % 40)),
                    };
                    at
                })
                .collect();
            let mut column = Vec::new();
            encode_timestamps(&list, &mut scratch, &mut column);
            questions.timestamps(format!("{count} times of kind {kind}"), &column, &list);
        }
    }
    questions.ask();
}

/// Form 6 in the modes and delta encodings that the document allows.
#[test]
fn floats_as_pco_writes_them_are_read() {
    let mut questions = Questions::default();
    let mut random = Random(1876);
    let mut scratch = Scratch::default();
    let mut told = BTreeSet::new();
    for (mode, kinds) in [
        (ModeSpec::Classic, &[19, 22, 24][..]),
        (ModeSpec::TryFloatMult(0.017_345_678_912_3), &[20, 24]),
        (ModeSpec::TryFloatMult(-0.01), &[14, 26]),
        (ModeSpec::TryFloatQuant(29), &[21, 24]),
        (ModeSpec::TryFloatQuant(52), &[26]),
    ] {
        for (kind, order, count) in kinds.iter().flat_map(|kind| {
            let shapes = [(0, 1), (0, 600), (1, 1), (1, 257), (2, 700), (3, 514), (7, 5), (7, 520)];
            shapes.map(|(order, count)| (*kind, order, count))
        }) {
            let mut level = 0;
            let values: Vec<f64> =
                (0..count).map(|i| next_value(kind, i, &mut level, &mut random)).collect();
            let delta = if order == 0 { DeltaSpec::NoOp } else { DeltaSpec::TryConsecutive(order) };
            let config = ChunkConfig::default().with_mode_spec(mode.clone()).with_delta_spec(delta);
            let mut chunk =
                FileCompressor::default().chunk_compressor(&values, &config).expect("a chunk");
            let mut column = vec![6];
            chunk.write_meta(&mut column).expect("metadata");
            chunk.write_page(0, &mut column).expect("a page");
            told.insert(column[1] & 0xF);

            let mut own = Vec::new();
            decode_values(&column, count, &mut scratch, &mut own).expect("plimsoll reads it");
            assert!(own.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits())));
            questions.values(format!("{mode:?}, order {order}, {count} values"), &column, &values);
        }
    }
    assert_eq!(told, BTreeSet::from([0, 2, 3]), "the modes");
    questions.ask();
}
