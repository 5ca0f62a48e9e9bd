//! wire: any bytes as what senders bring: records or errors, and an end.

use plimsoll::model::parse_key;
use plimsoll::wire::remote_write::{Request, Version};
use plimsoll::wire::statsd::{Item, Items, Value, clean_name, labels};
use plimsoll::wire::{Record, Records, exposition, graphite, influx, json, mixed};

pub fn exposition(data: &[u8]) {
    ends(exposition::Reader::new(data, 0), data);
}

pub fn influx(data: &[u8]) {
    ends(influx::Reader::new(data, Default::default(), 0), data);
}

pub fn json(data: &[u8]) {
    ends(json::Reader::pushed(data, 0), data);
}

pub fn mixed(data: &[u8]) {
    ends(mixed::Reader::new(data, None, 0), data);
}

fn ends(mut reader: impl Records, data: &[u8]) {
    let mut record = Record::default();
    let mut turns = 0;
    while let Some(result) = reader.next(&mut record) {
        assert!(result.is_err() || !record.key.is_empty());
        let _said = reader.about();
        turns += 1;
        assert!(turns <= data.len() + 1, "it ends");
    }
}

/// A line.
pub fn graphite(data: &[u8]) {
    let mut record = Record::default();
    if let Ok(true) = graphite::parse(data, 0, &mut record) {
        assert!(!record.value.is_nan());
        assert!(!parse_key(&record.key).0.is_empty());
    }
}

/// Either version.
pub fn remote_write(data: &[u8]) {
    for version in [Version::V1, Version::V2] {
        let Ok(mut request) = Request::new(version, data) else { continue };
        let (mut alias, mut turns) = (Vec::new(), 0);
        while let Some(Ok(series)) = request.next_series() {
            alias.clear();
            let _any = (series.alias(&mut alias), series.labels(), series.metadata());
            assert!(series.samples().count() <= data.len());
            turns += 1;
            assert!(turns <= data.len(), "it ends");
        }
    }
}

/// A packet: every line is an item at least, and what is said twice is understood alike.
pub fn statsd(data: &[u8]) {
    let mut name = String::new();
    let mut items = Items::new(data);
    let mut count = 0u64;
    for item in items.by_ref() {
        count += 1;
        match item {
            Ok(Item::Metric(m)) => {
                assert!(!m.name.is_empty() && m.rate > 0.0 && m.rate.is_finite());
                if let Value::Number(n) | Value::Delta(n) = m.value {
                    assert!(n.is_finite());
                }
                if clean_name(m.name, &mut name).is_ok() {
                    assert!(!name.is_empty() && name.is_ascii());
                }
                let _ = labels(m.name, m.tags);
            }
            Ok(Item::Event(e)) => assert!(!e.title.is_empty()),
            Ok(Item::Check(c)) => assert!(c.status < 4),
            Err(_) => {}
        }
    }
    assert!(count >= items.lines());
    // A line feed at the end changes nothing: the short way and the long way agree on lines.
    if !data.ends_with(b"\r") {
        let more = [data, b"\n"].concat();
        assert!(
            Items::new(&more)
                .map(|i| format!("{i:?}"))
                .eq(Items::new(data).map(|i| format!("{i:?}")))
        );
    }
}
