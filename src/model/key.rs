//! model: a series in one string, the form people type and SQL users read.

use std::fmt::Write;

use super::Labels;

/// The one label that the origin's schema wrote into the key itself: `disk_` + mount point.
const DISK: &str = "disk";
const DISK_LABEL: &str = "mountpoint";

/// Appends the key of a series: the bare name without labels, `disk_/home` for
/// `disk{mountpoint="/home"}`, otherwise `name{label="value",…}` with `\`, `"` and newline escaped
/// as in the Prometheus text format.
pub fn write_key<'a>(
    out: &mut String,
    name: &str,
    labels: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
) {
    let mut labels = labels.peekable();
    if name == DISK
        && labels.len() == 1
        && let Some((DISK_LABEL, mount)) = labels.peek()
        && mount.starts_with('/')
    {
        out.push_str("disk_");
        out.push_str(mount);
        return;
    }
    out.push_str(name);
    if labels.peek().is_none() {
        return;
    }
    out.push('{');
    for (i, (name, value)) in labels.enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(name);
        out.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => {
                    let _ = out.write_char(c);
                }
            }
        }
        out.push('"');
    }
    out.push('}');
}

/// The reverse of [`write_key`]. Every string is a key: one that does not read as
/// `name{label="value",…}` is a bare name.
pub fn parse_key(key: &str) -> (String, Labels) {
    if let Some(mount) = key.strip_prefix("disk_")
        && mount.starts_with('/')
    {
        return (DISK.to_owned(), Labels::new([(DISK_LABEL, mount)]));
    }
    parse_labelled(key).unwrap_or_else(|| (key.to_owned(), Labels::default()))
}

fn parse_labelled(key: &str) -> Option<(String, Labels)> {
    let (name, rest) = key.strip_suffix('}')?.split_once('{')?;
    if name.is_empty() || rest.is_empty() {
        return None;
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut rest = rest;
    loop {
        let (label, after) = rest.split_once("=\"")?;
        if label.is_empty() || label.contains(['"', ',', '{', '}']) {
            return None;
        }
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    c @ ('\\' | '"') => value.push(c),
                    _ => return None,
                },
                (_, c) => value.push(c),
            }
        };
        pairs.push((label.to_owned(), value));
        match after[end + 1..].strip_prefix(',') {
            Some(more) => rest = more,
            None if after.len() == end + 1 => break,
            None => return None,
        }
    }
    Some((name.to_owned(), Labels::new(pairs)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(name: &str, labels: &Labels) -> String {
        let mut out = String::new();
        write_key(&mut out, name, labels.iter());
        out
    }

    #[test]
    fn the_origin_s_three_keys() {
        assert_eq!(key("cpu", &Labels::default()), "cpu");
        assert_eq!(key("disk", &Labels::new([("mountpoint", "/home")])), "disk_/home");
        assert_eq!(parse_key("disk_/").1.get("mountpoint"), Some("/"));
        assert_eq!(parse_key("disk_used"), ("disk_used".into(), Labels::default()));
    }

    #[test]
    fn what_does_not_read_as_labels_is_a_name() {
        for odd in ["a{", "a}", "{a=\"b\"}", "a{b=c}", "a{b=\"c\"x}", "a{b=\"c\\x\"}", "", "x{}"] {
            assert_eq!(parse_key(odd), (odd.to_owned(), Labels::default()), "{odd}");
        }
    }

    proptest! {
        #[test]
        fn keys_read_back(name in "[a-z_:]{1,8}", pairs in prop::collection::vec(("[a-z_]{1,4}", ".{1,6}"), 0..4)) {
            let labels = Labels::new(pairs);
            prop_assert_eq!(parse_key(&key(&name, &labels)), (name, labels));
        }
    }
}
