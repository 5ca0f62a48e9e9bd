//! wire: the output of a simple plugin: `key value`, a line each, or one JSON object. Prometheus
//! text and records in JSON are only recognised here, and read by [`super::exposition`] and
//! [`super::json`].

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::shown;
use super::value::parse_value;

/// The largest number of values in one answer. A plugin with more is faulty.
const MAX_VALUES: usize = 5_000;
/// Longest key, in bytes.
const MAX_KEY: usize = 200;

/// The format of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// `key value` lines.
    Pairs,
    /// One JSON object of numbers, or of objects with numbers.
    Object,
    /// JSON objects with `key` and `value`, as `plimsoll send` takes them.
    Records,
    /// The Prometheus text format: labels in braces, or `# TYPE` and `# HELP`.
    Exposition,
}

impl Look {
    /// The format of this text.
    pub fn of(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let text = text.trim_start();
        if text.starts_with(['{', '[']) {
            let record = text.starts_with('[') || {
                let first = text.lines().next().unwrap_or_default();
                first.contains("\"key\"") && first.contains("\"value\"")
            };
            return if record { Self::Records } else { Self::Object };
        }
        let typed = |l: &str| l.starts_with("# TYPE ") || l.starts_with("# HELP ");
        let labelled = |l: &str| !l.starts_with('#') && l.contains("=\"") && l.contains('{');
        let prom = text.lines().any(|l| typed(l) || labelled(l));
        if prom { Self::Exposition } else { Self::Pairs }
    }
}

/// Reads `key value`, `key: value` or `key=value`, a line each; `U` is an unknown value. Comments
/// (`#`) and empty lines are skipped. Faults are reported with their line.
pub fn pairs(
    text: &[u8],
    mut each: impl FnMut(&str, Option<f64>),
    mut wrong: impl FnMut(usize, String),
) {
    let mut taken = 0;
    for (at, line) in text.split(|b| *b == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        match pair(line) {
            Ok(_) if taken == MAX_VALUES => {
                return wrong(at + 1, format!("more than {MAX_VALUES} values"));
            }
            Ok((key, value)) => {
                taken += 1;
                each(key, value);
            }
            Err(reason) => wrong(at + 1, reason),
        }
    }
}

fn pair(line: &[u8]) -> Result<(&str, Option<f64>), String> {
    let line = std::str::from_utf8(line).map_err(|_| "this is not UTF-8 text".to_owned())?;
    let cut = |c: char| c.is_ascii_whitespace() || c == '=';
    let Some((key, value)) = line.rsplit_once(cut) else {
        return Err(format!("`{}` is not `key value`", shown(line)));
    };
    let key = key.trim_end_matches(|c: char| c.is_ascii_whitespace() || c == '=' || c == ':');
    let value = match value {
        "U" => None,
        text => Some(parse_value(text).map_err(|_| {
            format!("`{}` is not `key value`: the last word has to be a number", shown(line))
        })?)
        .filter(|v| !v.is_nan()),
    };
    is_key(key).map(|()| (key, value))
}

fn is_key(key: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err("a value without a key".to_owned());
    }
    if key.len() > MAX_KEY || key.chars().any(char::is_control) {
        return Err(format!("`{}` is not a key: up to {MAX_KEY} plain characters", shown(key)));
    }
    Ok(())
}

/// Reads one JSON object: `{"temperature": 21.5, "fan": {"front": 800}}` gives `temperature` and
/// `fan.front`. True and false are 1 and 0; texts, lists and null are left out.
pub fn object(text: &[u8], mut each: impl FnMut(&str, f64)) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let mut taken = 0;
    let flat = Flat { key: &mut String::new(), taken: &mut taken, each: &mut each };
    flat.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|e| e.to_string())
}

struct Flat<'a, F> {
    key: &'a mut String,
    taken: &'a mut usize,
    each: &'a mut F,
}

impl<F: FnMut(&str, f64)> Flat<'_, F> {
    fn put<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        is_key(self.key).map_err(E::custom)?;
        *self.taken += 1;
        if *self.taken > MAX_VALUES {
            return Err(E::custom(format!("more than {MAX_VALUES} values")));
        }
        (self.each)(self.key, value);
        Ok(())
    }
}

impl<'de, F: FnMut(&str, f64)> DeserializeSeed<'de> for Flat<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&str, f64)> Visitor<'de> for Flat<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Flat { key, taken, each } = self;
        let length = key.len();
        while let Some(name) = map.next_key::<String>()? {
            if length > 0 {
                key.push('.');
            }
            key.push_str(&name);
            map.next_value_seed(Flat { key: &mut *key, taken: &mut *taken, each: &mut *each })?;
            key.truncate(length);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.put(value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.put(value as f64)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.put(value as f64)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.put(f64::from(u8::from(value)))
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> (Vec<(String, Option<f64>)>, Vec<usize>) {
        let (mut out, mut bad) = (Vec::new(), Vec::new());
        pairs(text.as_bytes(), |k, v| out.push((k.to_owned(), v)), |line, _| bad.push(line));
        (out, bad)
    }

    fn flat(text: &str) -> Result<Vec<(String, f64)>, String> {
        let mut out = Vec::new();
        object(text.as_bytes(), |k, v| out.push((k.to_owned(), v))).map(|()| out)
    }

    #[test]
    fn keys_and_values() {
        let (out, bad) =
            read("# hi\ntemp 21.5\nfan: 800\nx=1\nfree space 3\nlost U\n\nhello\na b\n 7");
        let want = [
            ("temp", Some(21.5)),
            ("fan", Some(800.0)),
            ("x", Some(1.0)),
            ("free space", Some(3.0)),
            ("lost", None),
        ];
        assert_eq!(out, want.map(|(k, v)| (k.to_owned(), v)));
        assert_eq!(bad, [8, 9, 10]);
    }

    #[test]
    fn an_object_is_flat_afterwards() {
        let out = flat(
            r#"{"t":21.5,"fan":{"front":800,"on":true},"who":"me","l":[1,2],"n":null,"z":-1}"#,
        );
        let want = [("t", 21.5), ("fan.front", 800.0), ("fan.on", 1.0), ("z", -1.0)];
        assert_eq!(out, Ok(want.map(|(k, v)| (k.to_owned(), v)).to_vec()));
        for bad in ["", "{", "7", "{\"a\":1} x", "{\"\":1}", &"{\"a\":".repeat(1_000)] {
            assert!(flat(bad).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..=MAX_VALUES).map(|n| format!("\"k{n}\":1")).collect();
        assert!(flat(&format!("{{{}}}", many.join(","))).is_err());
    }

    #[test]
    fn looks() {
        for (text, look) in [
            ("temp 21", Look::Pairs),
            ("# a remark\ntemp 21", Look::Pairs),
            (" {\"temp\": 21}", Look::Object),
            ("{\"key\":\"a\",\"value\":1}\n", Look::Records),
            ("[{\"key\":\"a\",\"value\":1}]", Look::Records),
            ("# TYPE a gauge\na 1", Look::Exposition),
            ("a{b=\"c\"} 1", Look::Exposition),
        ] {
            assert_eq!(Look::of(text.as_bytes()), look, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_in_is_a_pair_or_a_fault(text in "[ -~\\n\\u{0}é]{0,60}") {
            let (out, bad) = read(&text);
            let says = |l: &&str| {
                let l = l.as_bytes().trim_ascii();
                !l.is_empty() && !l.starts_with(b"#")
            };
            prop_assert_eq!(out.len() + bad.len(), text.split('\n').filter(says).count());
            let _unused = flat(&text);
        }
    }
}
