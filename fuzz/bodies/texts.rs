//! wire, model, receive, http: any bytes as a file of CSV, as the file of tokens, as the pieces of a
//! stream, and as the single words that people write: times, sizes, intervals, numbers, keys,
//! conditions, patterns, networks, names of hosts.

use std::path::Path;

use plimsoll::http::{Hosts, tokens};
use plimsoll::model::Condition;
use plimsoll::model::{Glob, parse_duration, parse_key, parse_size, write_key};
use plimsoll::receive::Network;
use plimsoll::receive::lines::Lines;
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
    match tokens::parse(Path::new("tokens"), &text) {
        Ok(tokens) => assert!(tokens.len() <= text.lines().count()),
        Err(e) => assert!(e.to_string().contains("line ")),
    }
    stream(data);
    for line in text.lines().take(4) {
        word(line);
    }
}

/// The pieces of a stream come out as they went in, in whole lines.
fn stream(data: &[u8]) {
    let (mut lines, mut out) = (Lines::default(), Vec::new());
    let mut whole = |text: &[u8]| out.extend_from_slice(text);
    for piece in data.chunks(usize::from(data.first().copied().unwrap_or(0) % 9) + 1) {
        assert_eq!(lines.feed(piece, &mut whole), 0);
    }
    lines.finish(&mut whole);
    assert!(out == data);
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
    if let Ok(network) = Network::parse(text) {
        let address = text.split('/').next().and_then(|a| a.parse().ok()).expect("it begins so");
        assert!(network.holds(address));
    }
    let _ours = Hosts::default().answer_to(text);
    Glob::new(text).matches("a/b");
}
