//! wire, model, config: any bytes as a file of CSV, as a configuration, and as the single words that
//! people write: times, sizes, intervals, numbers, keys, conditions, patterns.

use plimsoll::config::{Condition, Config};
use plimsoll::model::{Glob, parse_duration, parse_key, parse_size, write_key};
use plimsoll::wire::time::{in_range, parse_timestamp, parse_when};
use plimsoll::wire::value::parse_value;
use plimsoll::wire::{Format, Record, Records, csv};

const NOW_MS: i64 = 1_700_000_000_000;

pub fn run(data: &[u8]) {
    let mut record = Record::default();
    let mut rows = csv::Reader::new(data);
    let mut turns = 0;
    while let Some(result) = rows.next(&mut record) {
        assert!(result.is_err() || !record.key.is_empty());
        turns += 1;
        assert!(turns <= data.len() + 1, "it ends");
    }
    let text = String::from_utf8_lossy(data);
    let _format = (Format::sniff(data), Format::from_path(&text));
    if let Err(e) = Config::parse(&text, "fuzz.toml") {
        assert!(!e.to_string().is_empty());
    }
    for line in text.lines().take(20) {
        word(line);
    }
}

fn word(text: &str) {
    for ms in [parse_timestamp(text), parse_when(text, NOW_MS)].into_iter().flatten() {
        assert_eq!(in_range(ms), Some(ms));
    }
    if let Ok(ms) = parse_duration(text) {
        assert!(ms >= 0);
    }
    let _number = (parse_size(text), parse_value(text));
    if let Ok(condition) = Condition::parse(text) {
        condition.holds(1.0);
    }
    let (name, labels) = parse_key(text);
    let mut again = String::new();
    write_key(&mut again, &name, labels.iter());
    assert_eq!(parse_key(&again), (name, labels), "a key that is written reads back");
    Glob::new(text).matches("a/b");
}
