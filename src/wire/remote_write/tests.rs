//! wire: remote write, against messages put together by hand.

use super::*;
use proptest::prelude::*;

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn bytes(number: u64, text: &[u8], out: &mut Vec<u8>) {
    varint(number << 3 | 2, out);
    varint(text.len() as u64, out);
    out.extend_from_slice(text);
}

fn sample_of(ts: i64, value: f64) -> Vec<u8> {
    let mut out = vec![1 << 3 | 1];
    out.extend_from_slice(&value.to_bits().to_le_bytes());
    out.push(2 << 3);
    varint(ts as u64, &mut out);
    out
}

type Series<'a> = (&'a [(&'a str, &'a str)], &'a [(i64, f64)]);

fn v1(series: &[Series<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (labels, samples) in series {
        let mut message = Vec::new();
        for (name, value) in *labels {
            let mut label = Vec::new();
            bytes(1, name.as_bytes(), &mut label);
            bytes(2, value.as_bytes(), &mut label);
            bytes(1, &label, &mut message);
        }
        for (ts, value) in *samples {
            bytes(2, &sample_of(*ts, *value), &mut message);
        }
        bytes(1, &message, &mut body);
    }
    body
}

fn v2(series: &[Series<'_>]) -> Vec<u8> {
    let mut symbols = vec![""];
    let mut all = Vec::new();
    for (labels, samples) in series {
        let mut message = Vec::new();
        let mut refs = Vec::new();
        for text in labels.iter().flat_map(|(n, v)| [*n, *v]) {
            let at = symbols.iter().position(|s| *s == text).unwrap_or_else(|| {
                symbols.push(text);
                symbols.len() - 1
            });
            varint(at as u64, &mut refs);
        }
        bytes(1, &refs, &mut message);
        for (ts, value) in *samples {
            bytes(2, &sample_of(*ts, *value), &mut message);
        }
        // counter, help: the first name
        bytes(5, &[1 << 3, 1, 3 << 3, 1], &mut message);
        bytes(5, &message, &mut all);
    }
    let mut body = Vec::new();
    for symbol in symbols {
        bytes(4, symbol.as_bytes(), &mut body);
    }
    body.extend_from_slice(&all);
    body
}

const STALE: u64 = 0x7ff0_0000_0000_0002;

#[test]
fn both_versions_say_the_same() {
    let stale = f64::from_bits(STALE);
    let series: [Series<'_>; 2] = [
        (&[("__name__", "up"), ("job", "a")], &[(1_700_000_000_000, 1.0), (-5, stale)]),
        (&[("__name__", "b"), ("c", "é\"\\")], &[]),
    ];
    let mut aliases = Vec::new();
    for (version, body) in [(Version::V1, v1(&series)), (Version::V2, v2(&series))] {
        let mut request = Request::new(version, &body).unwrap();
        let first = request.next_series().unwrap().unwrap();
        let (name, labels) = first.labels().unwrap();
        assert_eq!((&*name, labels), ("up", vec![("job".to_owned(), "a".to_owned())]));
        let samples: Vec<_> = first.samples().map(|s| s.unwrap()).collect();
        assert_eq!(samples[0], (1_700_000_000_000, 1.0));
        assert_eq!((samples[1].0, samples[1].1.to_bits()), (-5, STALE));
        let metadata = first.metadata();
        assert_eq!(metadata.map(|m| (kind_word(m.kind), m.help)).is_some(), version == Version::V2);
        let mut alias = Vec::new();
        first.alias(&mut alias).unwrap();
        aliases.push(alias);
        let second = request.next_series().unwrap().unwrap();
        assert_eq!(second.labels().unwrap().1, [("c".to_owned(), "é\"\\".to_owned())]);
        assert_eq!((second.samples().count(), second.histograms()), (0, 0));
        assert!(request.next_series().is_none());
    }
    assert_eq!(aliases[0], aliases[1]);
}

#[test]
fn labels_that_are_none() {
    for (labels, why) in [
        (&[("a", "b")][..], "no label `__name__`"),
        (&[("__name__", "")], "no label `__name__`"),
        (&[("__name__", "a"), ("b", "1"), ("b", "2")], "the label `b` twice"),
        (&[("__name__", "a"), ("__name__", "a")], "the label `__name__` twice"),
        (&[("__name__", "a"), ("", "2")], "a label without a name"),
    ] {
        for (version, body) in
            [(Version::V1, v1(&[(labels, &[])])), (Version::V2, v2(&[(labels, &[])]))]
        {
            let mut request = Request::new(version, &body).unwrap();
            let series = request.next_series().unwrap().unwrap();
            assert_eq!(series.labels().unwrap_err(), why);
        }
    }
    // A symbol that is not there.
    let mut message = Vec::new();
    bytes(1, &[9, 9], &mut message);
    let mut body = Vec::new();
    bytes(5, &message, &mut body);
    let mut request = Request::new(Version::V2, &body).unwrap();
    let series = request.next_series().unwrap().unwrap();
    assert_eq!(series.labels().unwrap_err(), "there is no symbol 9");
}

/// A body of a few kilobytes must not become gigabytes, nor a search among thousands of labels.
#[test]
fn labels_are_bounded_before_they_are_copied() {
    let long = "v".repeat(100_000);
    let names: Vec<String> = (0..1_000).map(|i| format!("k{i}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "v")).collect();
    let bulky: Vec<(&str, &str)> = names.iter().take(100).map(|n| (n.as_str(), &*long)).collect();
    let most: Vec<(&str, &str)> = many.iter().take(127).copied().collect();
    for (labels, expected) in [
        (&many, Some("more than 128 labels")),
        (&bulky, Some("labels of more than 131072 bytes")),
        (&most, None),
    ] {
        let mut labels = labels.clone();
        labels.insert(0, ("__name__", "a"));
        for (version, body) in [
            (Version::V1, v1(&[(&labels, &[(1, 1.0)])])),
            (Version::V2, v2(&[(&labels, &[(1, 1.0)])])),
        ] {
            let mut request = Request::new(version, &body).unwrap();
            let series = request.next_series().unwrap().unwrap();
            assert_eq!(series.labels().err().as_deref(), expected, "{version:?}");
            let mut alias = Vec::new();
            assert_eq!(series.alias(&mut alias).err().as_deref(), expected, "{version:?}");
            assert!(alias.capacity() < 1 << 20, "{version:?}: {} bytes", alias.capacity());
        }
    }
    let long = "k".repeat(60_000);
    let twice = [("__name__", "a"), (&*long, "1"), (&*long, "2")];
    let body = v2(&[(&twice, &[(1, 1.0)])]);
    let mut request = Request::new(Version::V2, &body).unwrap();
    let why = request.next_series().unwrap().unwrap().labels().unwrap_err();
    assert!(why.len() < 100 && why.ends_with("twice"), "{} bytes", why.len());
}

#[test]
fn a_message_cut_short_is_broken_and_never_more() {
    let body = v1(&[(&[("__name__", "up")], &[(1, 1.0)])]);
    for cut in 1..body.len() {
        let mut request = Request::new(Version::V1, &body[..cut]).unwrap();
        assert!(request.next_series().unwrap().is_err(), "{cut}");
        assert!(request.next_series().is_none(), "it ends there");
    }
    assert!(Request::new(Version::V2, &[4 << 3 | 2, 200]).is_err());
    assert!(Request::new(Version::V2, &[0x0f]).is_err(), "no such type");
    assert!(Request::new(Version::V2, &[0xff; 11]).is_err(), "no end of a number");
}

proptest! {
    #[test]
    fn any_bytes_are_series_or_broken(body: Vec<u8>, cut: prop::sample::Index, flip: u8) {
        let mut real = v2(&[(&[("__name__", "up"), ("a", "b")], &[(1, 1.0), (2, 2.0)])]);
        let at = cut.index(real.len());
        real[at] ^= flip;
        for body in [&body, &real] {
            for version in [Version::V1, Version::V2] {
                let Ok(mut request) = Request::new(version, body) else { continue };
                let mut turns = 0;
                while let Some(Ok(series)) = request.next_series() {
                    let mut alias = Vec::new();
                    let _any = (series.alias(&mut alias), series.labels(), series.metadata());
                    prop_assert!(series.samples().count() <= body.len());
                    turns += 1;
                    prop_assert!(turns <= body.len());
                }
            }
        }
    }
}
