//! wire: the text formats of Prometheus: classic (`text/plain; version=0.0.4`) and OpenMetrics 1.0.
//! Written strictly, read tolerantly: one parser takes both, and Prometheus 3's quoted names.

pub mod federated;
mod read;
mod write;

pub use read::{Line, Reader, Sample, unescape_help};
pub use write::Writer;

/// Which of the two is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Prometheus text 0.0.4: times in milliseconds.
    Classic,
    /// OpenMetrics 1.0: times in seconds, units, and `# EOF` at the end.
    OpenMetrics,
}

impl Dialect {
    /// The value of the header `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Dialect::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Dialect::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The format for this `Accept` header: OpenMetrics only if it is named, because all other
    /// readers understand the classic format.
    pub fn for_accept(accept: &str) -> Self {
        let named = accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let wanted = parts.next() == Some("application/openmetrics-text");
            wanted && !parts.any(|p| p == "q=0" || p.starts_with("version=0"))
        });
        if named { Dialect::OpenMetrics } else { Dialect::Classic }
    }
}

/// Whether both formats take this as a metric's name unchanged: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_metric_name(name: &str) -> bool {
    legal(name, true)
}

/// Whether both formats take this as a label's name unchanged: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_label_name(name: &str) -> bool {
    legal(name, false)
}

fn legal(name: &str, colon: bool) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|c| legal_byte(c, colon))
}

fn legal_byte(c: u8, colon: bool) -> bool {
    c.is_ascii_alphanumeric() || c == b'_' || colon && c == b':'
}

/// Appends a legal name: each other character becomes `_`, and one is put before a leading digit.
/// So `a.b` and `a-b` look alike; quoting them, as Prometheus 3 can, would shut out everything
/// older than it.
fn write_legal(out: &mut String, name: &str, colon: bool) {
    if legal(name, colon) {
        return out.push_str(name);
    }
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    let stand_in = |c: char| match u8::try_from(c) {
        Ok(byte) if legal_byte(byte, colon) => c,
        _ => '_',
    };
    out.extend(name.chars().map(stand_in));
}

/// A metric's name as both formats take it; see [`is_metric_name`]. Others may look the same.
pub fn legal_name(name: &str) -> std::borrow::Cow<'_, str> {
    if is_metric_name(name) {
        return name.into();
    }
    let mut out = String::new();
    write_legal(&mut out, name, true);
    out.into()
}

/// The label with the key, which distinguishes series whose legal names are equal.
pub const KEY: &str = "plimsoll_key";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_is_answered_in_openmetrics() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,\
                          application/openmetrics-text;version=0.0.1;q=0.4,text/plain;q=0.2,*/*;q=0.1";
        assert_eq!(Dialect::for_accept(prometheus), Dialect::OpenMetrics);
        for classic in ["", "*/*", "text/plain", "application/openmetrics-text; version=0.0.1"] {
            assert_eq!(Dialect::for_accept(classic), Dialect::Classic, "{classic}");
        }
    }

    proptest! {
        #[test]
        fn names_become_legal(name in "\\PC{0,10}", colon: bool) {
            let mut out = String::new();
            write_legal(&mut out, &name, colon);
            prop_assert!(legal(&out, colon));
            prop_assert!(out == name || !legal(&name, colon));
        }
    }
}
