//! wire: samples of any origin as Prometheus' `/federate` writes them: no types and no help, for they
//! are those of somebody else; each with its time. Names as they are where the reader takes all of
//! UTF-8 (Prometheus 3), else made legal.

use std::borrow::Cow;

use super::super::value::{write_value, write_whole};
use super::write::escape;
use super::{is_label_name, is_metric_name, write_legal};

/// Which names the reader takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Letters, digits and `_`; each other character becomes `_`.
    Legal,
    /// All; those that are not legal in quotes.
    All,
}

impl Names {
    /// What to write to somebody who sends this `Accept` header.
    pub fn for_accept(accept: &str) -> Self {
        let all = accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            parts.next() == Some("text/plain") && parts.any(|p| p == "escaping=allow-utf-8")
        });
        if all { Names::All } else { Names::Legal }
    }

    /// For the HTTP header of that name.
    pub fn content_type(self) -> &'static str {
        match self {
            Names::Legal => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            Names::All => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        }
    }

    /// A metric's name as it is written.
    pub fn metric(self, name: &str) -> Cow<'_, str> {
        if self == Names::All || is_metric_name(name) {
            return Cow::Borrowed(name);
        }
        let mut out = String::new();
        write_legal(&mut out, name, true);
        Cow::Owned(out)
    }
}

/// Name, labels without it, time in ms since 1970 UTC, value: in the order of the names.
pub fn write<'a, L: Iterator<Item = (&'a str, &'a str)>>(
    names: Names,
    samples: impl Iterator<Item = (&'a str, L, i64, f64)>,
) -> String {
    let mut out = String::new();
    let mut family: Option<Cow<'_, str>> = None;
    for (name, labels, ts, value) in samples.filter(|(name, ..)| !name.is_empty()) {
        let name = names.metric(name);
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
        let mut first = true;
        if plain {
            out.push_str(&name);
        } else {
            out.push('{');
            quoted(&mut out, &name);
            first = false;
        }
        for (label, value) in labels.filter(|(_, value)| !value.is_empty()) {
            out.push(if first { '{' } else { ',' });
            first = false;
            match names {
                _ if is_label_name(label) => out.push_str(label),
                Names::All => quoted(&mut out, label),
                Names::Legal => write_legal(&mut out, label, false),
            }
            out.push('=');
            quoted(&mut out, value);
        }
        if !first {
            out.push('}');
        }
        out.push(' ');
        write_value(&mut out, value);
        out.push(' ');
        write_whole(&mut out, ts);
        out.push('\n');
        family = Some(name);
    }
    out
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
