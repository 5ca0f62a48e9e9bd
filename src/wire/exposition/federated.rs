//! wire: samples of any origin as in Prometheus' `/federate`: with times, but without types and
//! help, which belong to their sources. Names stay as they are if the reader accepts all of UTF-8
//! (Prometheus 3); otherwise they are made legal.

use std::borrow::Cow;
use std::collections::HashSet;

use super::super::value::{write_value, write_whole};
use super::write::escape;
use super::{KEY, is_label_name, is_metric_name, legal_name, write_legal};
use crate::model::write_key;

/// Which names the reader takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Letters, digits and `_`; each other character becomes `_`.
    Legal,
    /// All; those that are not legal in quotes.
    All,
}

impl Names {
    /// The format for this `Accept` header.
    pub fn for_accept(accept: &str) -> Self {
        let all = accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            parts.next() == Some("text/plain") && parts.any(|p| p == "escaping=allow-utf-8")
        });
        if all { Names::All } else { Names::Legal }
    }

    /// The value of the header `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Names::Legal => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            Names::All => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        }
    }

    /// A metric's name as it is written.
    pub fn metric(self, name: &str) -> Cow<'_, str> {
        match self {
            Names::All => name.into(),
            Names::Legal => legal_name(name),
        }
    }
}

/// Writes samples (name, labels without it, time in ms since 1970 UTC, value) in the order of the
/// written names. Two series that become equal through legal names get one more label.
pub fn write<'a, L: Iterator<Item = (&'a str, &'a str)> + Clone>(
    names: Names,
    samples: impl Iterator<Item = (&'a str, L, i64, f64)> + Clone,
) -> String {
    let mut out = String::new();
    let mut family: Option<Cow<'_, str>> = None;
    let samples = samples.filter(|(name, ..)| !name.is_empty());
    let altered = |original: &str, mut labels: L| {
        names == Names::Legal
            && !(is_metric_name(original) && labels.all(|(label, _)| is_label_name(label)))
    };
    let mut seen: HashSet<String> = HashSet::new();
    if samples.clone().any(|(name, labels, ..)| altered(name, labels)) {
        // Those that are written as they are stay so.
        for (name, labels, ..) in samples.clone() {
            if !altered(name, labels.clone()) {
                let mut one = String::new();
                series(&mut one, names, name, labels);
                seen.insert(one);
            }
        }
    }
    let mut one = String::new();
    for (original, labels, ts, value) in samples {
        let name = names.metric(original);
        let plain = is_metric_name(&name);
        if family.as_ref() != Some(&name) {
            out.push_str("# TYPE ");
            if plain {
                out.push_str(&name)
            } else {
                quoted(&mut out, &name)
            }
            out.push_str(" untyped\n");
        }
        one.clear();
        series(&mut one, names, &name, labels.clone());
        if altered(original, labels.clone()) && !seen.insert(one.clone()) {
            let mut key = String::new();
            let of_key = labels.clone().filter(|(label, _)| !["instance", "job"].contains(label));
            write_key(&mut key, original, of_key.collect::<Vec<_>>().into_iter());
            one.clear();
            let mut all: Vec<(&str, &str)> = Vec::new();
            for (label, value) in labels {
                all.push((label, value));
            }
            all.push((KEY, &key));
            series(&mut one, names, &name, all.into_iter());
        }
        out.push_str(&one);
        out.push(' ');
        write_value(&mut out, value);
        out.push(' ');
        write_whole(&mut out, ts);
        out.push('\n');
        family = Some(name);
    }
    out
}

/// Name and labels.
fn series<'a>(
    out: &mut String,
    names: Names,
    name: &str,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
) {
    let mut first = true;
    if is_metric_name(name) {
        out.push_str(name);
    } else {
        out.push('{');
        quoted(out, name);
        first = false;
    }
    for (label, value) in labels.filter(|(_, value)| !value.is_empty()) {
        out.push(if first { '{' } else { ',' });
        first = false;
        match names {
            _ if is_label_name(label) => out.push_str(label),
            Names::All => quoted(out, label),
            Names::Legal => write_legal(out, label, false),
        }
        out.push('=');
        quoted(out, value);
    }
    if !first {
        out.push('}');
    }
}

fn quoted(out: &mut String, text: &str) {
    out.push('"');
    escape(out, text, true);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    type Series<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

    #[test]
    fn for_old_readers_and_new_ones() {
        let series: [Series<'_>; 3] = [
            ("disk_/home", &[("instance", "a\"b"), ("mount.point", "/")], 1.5),
            ("load", &[], f64::NAN),
            ("load", &[("job", "node"), ("none", "")], f64::INFINITY),
        ];
        let written = |names| {
            write(
                names,
                series.iter().map(|(n, l, v)| (*n, l.iter().copied(), 1_700_000_000_250, *v)),
            )
        };
        assert_eq!(
            written(Names::Legal),
            "# TYPE disk__home untyped\n\
             disk__home{instance=\"a\\\"b\",mount_point=\"/\"} 1.5 1700000000250\n\
             # TYPE load untyped\nload NaN 1700000000250\nload{job=\"node\"} +Inf 1700000000250\n"
        );
        assert!(written(Names::All).starts_with(
            "# TYPE \"disk_/home\" untyped\n\
             {\"disk_/home\",instance=\"a\\\"b\",\"mount.point\"=\"/\"} 1.5 1700000000250\n# TYPE load "
        ));
    }

    #[test]
    fn what_looks_alike_stays_apart() {
        let series: [Series<'_>; 5] = [
            ("a-b", &[("job", "x")], 1.0),
            ("a.b", &[("job", "x")], 2.0),
            ("a_b", &[("job", "x")], 3.0),
            ("c", &[("l-m", "v")], 4.0),
            ("c", &[("l_m", "v")], 5.0),
        ];
        let written =
            |names| write(names, series.iter().map(|(n, l, v)| (*n, l.iter().copied(), 1_000, *v)));
        assert_eq!(
            written(Names::Legal),
            "# TYPE a_b untyped\n\
             a_b{job=\"x\",plimsoll_key=\"a-b\"} 1 1000\n\
             a_b{job=\"x\",plimsoll_key=\"a.b\"} 2 1000\n\
             a_b{job=\"x\"} 3 1000\n\
             # TYPE c untyped\n\
             c{l_m=\"v\",plimsoll_key=\"c{l-m=\\\"v\\\"}\"} 4 1000\n\
             c{l_m=\"v\"} 5 1000\n"
        );
        assert!(!written(Names::All).contains(KEY));
    }

    #[test]
    fn who_takes_all_names() {
        let three = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                     text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3";
        assert_eq!(Names::for_accept(three), Names::All);
        for old in [
            "",
            "*/*",
            "text/plain;version=0.0.4",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
        ] {
            assert_eq!(Names::for_accept(old), Names::Legal);
        }
    }
}
