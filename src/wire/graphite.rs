//! wire: Graphite plaintext: `path value timestamp`, one a line; tags behind the path, `path;k=v`.

use super::time::in_range;
use super::value::parse_value;
use super::{Record, shown};

/// Reads one line, without its line break, into `record`. The time is in seconds, with or without a
/// fraction; `-1` is `now_ms`. Returns false for an empty line.
pub fn parse(line: &[u8], now_ms: i64, record: &mut Record) -> Result<bool, String> {
    let Ok(line) = std::str::from_utf8(line) else { return Err("not UTF-8".to_owned()) };
    let mut tokens = line.split_ascii_whitespace();
    let Some(path) = tokens.next() else { return Ok(false) };
    let (Some(value), Some(time), None) = (tokens.next(), tokens.next(), tokens.next()) else {
        let found = line.split_ascii_whitespace().count();
        return Err(format!("{found} words where `path value timestamp` was expected"));
    };
    record.value = parse_value(value)?;
    if record.value.is_nan() {
        return Err("the value is NaN".to_owned());
    }
    record.ts = match time {
        "-1" => now_ms,
        time => {
            let seconds = time.parse::<f64>().ok().filter(|t| t.is_finite());
            let ms = seconds.map(|s| (s * 1000.0).round() as i64).and_then(in_range);
            ms.ok_or_else(|| format!("`{}` is not a time in seconds since 1970", shown(time)))?
        }
    };
    write_key(path, &mut record.key)?;
    Ok(true)
}

/// The key of `path;k=v;…`: tags become labels, the path stays as it is.
pub fn write_key(path: &str, key: &mut String) -> Result<(), String> {
    let plain = |c: char| if "{}\",=".contains(c) { '_' } else { c };
    key.clear();
    let mut parts = path.split(';');
    let name = parts.next().unwrap_or_default();
    if name.is_empty() {
        return Err("no path".to_owned());
    }
    key.extend(name.chars().map(|c| if "{}".contains(c) { '_' } else { c }));
    let mut open = false;
    for tag in parts {
        let Some((label, value)) =
            tag.split_once('=').filter(|(l, v)| !(l.is_empty() || v.is_empty()))
        else {
            return Err(format!("`{}` where a tag was expected", shown(tag)));
        };
        key.push(if open { ',' } else { '{' });
        open = true;
        key.extend(label.chars().map(plain));
        key.push_str("=\"");
        for c in value.chars() {
            if matches!(c, '\\' | '"') {
                key.push('\\');
            }
            key.push(c);
        }
        key.push('"');
    }
    if open {
        key.push('}');
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::parse_key;
    use proptest::prelude::*;

    fn read(line: &str) -> String {
        let mut record = Record::default();
        match parse(line.as_bytes(), 7_000, &mut record) {
            Ok(true) => format!("{} {} {}", record.key, record.value, record.ts),
            Ok(false) => "nothing".to_owned(),
            Err(reason) => reason,
        }
    }

    #[test]
    fn lines_and_what_is_wrong_with_them() {
        for (line, expected) in [
            ("a.b.c 1.5 1700000000", "a.b.c 1.5 1700000000000"),
            ("a.b.c\t-2e3 1700000000.25\r", "a.b.c -2000 1700000000250"),
            ("a 1 -1", "a 1 7000"),
            ("a 1 0", "a 1 0"),
            ("disk;host=web1;path=/a\"b 3 5", "disk{host=\"web1\",path=\"/a\\\"b\"} 3 5000"),
            ("a{b}=1 1 5", "a_b_=1 1 5000"),
            ("", "nothing"),
            ("  \r", "nothing"),
            ("a 1", "2 words where `path value timestamp` was expected"),
            ("a 1 2 3", "4 words where `path value timestamp` was expected"),
            ("a x 1", "`x` is not a number"),
            ("a nan 1", "the value is NaN"),
            ("rtp.play media_time_min 0.0 1", "4 words where `path value timestamp` was expected"),
            ("a 1 2016-08-19 15:46:19", "4 words where `path value timestamp` was expected"),
            (".uni.é 8 -1\r", ".uni.é 8 7000"),
            ("a 1 now", "`now` is not a time in seconds since 1970"),
            ("a 1 1e300", "`1e300` is not a time in seconds since 1970"),
            (";a=b 1 1", "no path"),
            ("a;b 1 1", "`b` where a tag was expected"),
            ("a;=b 1 1", "`=b` where a tag was expected"),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_sample_or_an_error(bytes: Vec<u8>, text in "[ab;=1. \"{}-]{0,40}") {
            let mut record = Record::default();
            for line in [&bytes[..], text.as_bytes()] {
                if let Ok(true) = parse(line, 0, &mut record) {
                    prop_assert!(!record.key.is_empty() && !record.value.is_nan());
                    let (name, _) = parse_key(&record.key);
                    prop_assert!(!name.is_empty());
                }
            }
        }
    }
}
