//! query: texts in quotes, as Prometheus writes and reads them.

use std::borrow::Cow;
use std::fmt::Write;

/// A text in double quotes, with escapes for characters that cannot be shown.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_quoted(&mut out, text);
    out
}

/// Appends a text in double quotes, with escapes for characters that cannot be shown. Parsing
/// restores the text.
pub fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    text.chars().for_each(|c| write_char(out, c, '"'));
    out.push('"');
}

/// A character in single quotes.
pub fn quoted_char(c: char) -> String {
    let mut out = String::from("'");
    write_char(&mut out, c, '\'');
    out.push('\'');
    out
}

fn write_char(out: &mut String, c: char, quote: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        c if c == quote => {
            out.push('\\');
            out.push(c);
        }
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        ' '..='~' => out.push(c),
        '\0'..='\u{7f}' => {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        }
        // Spaces other than the plain one, joiners, directions and the private: nothing to see.
        c if c.is_whitespace() || c.is_control() || is_invisible(c) => {
            let _ = match u32::from(c) {
                code @ ..=0xffff => write!(out, "\\u{code:04x}"),
                code => write!(out, "\\U{code:08x}"),
            };
        }
        c => out.push(c),
    }
}

fn is_invisible(c: char) -> bool {
    matches!(u32::from(c),
        0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e | 0x200b..=0x200f | 0x202a..=0x202e
        | 0x2060..=0x206f | 0xe000..=0xf8ff | 0xfeff | 0xfff0..=0xfffb | 0xfffe..=0xffff
        | 0xe0000..=0x10_ffff)
}

/// The contents of a quoted token, which the lexer has checked. Bytes that are not UTF-8 (`\xff`)
/// are replaced, because no label can hold them.
pub fn unquoted(token: &str) -> Box<str> {
    String::from_utf8_lossy(&unquoted_bytes(token)).into()
}

/// Whether what the quotes of a token hold is UTF-8.
pub(super) fn is_utf8(token: &str) -> bool {
    std::str::from_utf8(&unquoted_bytes(token)).is_ok()
}

fn unquoted_bytes(token: &str) -> Cow<'_, [u8]> {
    let inside = match token.len() {
        0..=1 => "",
        len => token.get(1..len - 1).unwrap_or_default(),
    };
    if token.starts_with('`') || !inside.contains('\\') {
        return inside.as_bytes().into();
    }
    let mut out = Vec::with_capacity(inside.len());
    let mut rest = inside.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some((&kind, after)) = rest.split_first() else { break };
        rest = after;
        match kind {
            b'a' => out.push(7),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(11),
            b'x' => out.push(take(&mut rest, 2, 16, 0) as u8),
            b'0'..=b'7' => out.push(take(&mut rest, 2, 8, u32::from(kind - b'0')) as u8),
            b'u' | b'U' => {
                let code = take(&mut rest, if kind == b'u' { 4 } else { 8 }, 16, 0);
                let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => out.push(other),
        }
    }
    out.into()
}

fn take(rest: &mut &[u8], digits: usize, base: u32, first: u32) -> u32 {
    let (now, later) = rest.split_at(digits.min(rest.len()));
    *rest = later;
    now.iter().fold(first, |value, b| {
        value.wrapping_mul(base).wrapping_add(char::from(*b).to_digit(base).unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_resolved() {
        for (token, value) in [
            (r#""""#, ""),
            (r#"'a"b'"#, "a\"b"),
            (r#""a\"b\\""#, "a\"b\\"),
            (r"`a\nb`", "a\\nb"),
            (r#""\a\b\f\n\r\t\v""#, "\u{7}\u{8}\u{c}\n\r\t\u{b}"),
            (r#""\x41\102\u00e9\U0001F600""#, "ABé😀"),
            (r#""\xe2\x98\xba""#, "☺"),
            (r#""\xff""#, "\u{fffd}"),
        ] {
            assert_eq!(&*unquoted(token), value, "{token}");
        }
        assert!(!is_utf8(r#""a\xff""#) && is_utf8(r#""\ufffd""#) && is_utf8("'\u{fffd}'"));
    }

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        assert_eq!(quoted("a\"b\\c'é\u{1}\u{7f}\u{a0}\u{200b}\n"), {
            r#""a\"b\\c'é\x01\x7f\u00a0\u200b\n""#
        });
        assert_eq!(quoted_char('\''), r"'\''");
        assert_eq!(quoted_char('"'), "'\"'");
    }

    proptest! {
        #[test]
        fn quoted_texts_read_back(text in "\\PC{0,8}|[\\x00-\\x7f]{0,8}|.{0,8}") {
            prop_assert_eq!(&*unquoted(&quoted(&text)), &*text);
        }
    }
}
