//! collect: lines, words and numbers in kernel text. Pure: bytes in, values out; no files here.

use std::borrow::Cow;
use std::fmt;
use std::io::BufRead;

/// The longest quotation from a damaged file, because it goes into a log line.
const SHOWN: usize = 80;

/// A text that a parser did not understand; the reader of the file adds its path. It allocates
/// nothing, because a line may be odd at every beat.
#[derive(Clone, PartialEq, Eq)]
pub struct Odd {
    /// Nothing: the text is missing.
    what: &'static str,
    text: [u8; SHOWN],
    len: usize,
}

impl Odd {
    /// An odd text: `what` describes the fault in `text`.
    pub fn new(what: &'static str, text: &[u8]) -> Self {
        let len = text.len().min(SHOWN);
        let mut shown = [0; SHOWN];
        shown[..len].copy_from_slice(&text[..len]);
        Self { what, text: shown, len }
    }

    /// A required word or line is missing.
    pub fn missing(name: &str) -> Self {
        Self::new("", name.as_bytes())
    }
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.text[..self.len]);
        match self.what {
            "" => write!(f, "{text} is missing"),
            what => write!(f, "{what} in {text:?}"),
        }
    }
}

impl fmt::Debug for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The lines that are not empty, without their ends.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    numbered(text).map(|(_, line)| line)
}

/// The lines of a text with their numbers, from 1.
pub fn numbered(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let (mut rest, mut number) = (text, 0);
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let start = rest;
            // The standard library's memchr: the interrupt line of a big machine has 100 kB.
            let taken = rest.skip_until(b'\n').ok()?;
            number += 1;
            let line = &start[..taken];
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if !line.is_empty() {
                return Some((number, line));
            }
        }
        None
    })
}

/// The words of a line, separated by spaces and tabs.
pub fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|b| matches!(b, b' ' | b'\t' | b'\n')).filter(|word| !word.is_empty())
}

/// A whole number without sign.
pub fn integer(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0u64, |sum, b| {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The powers of ten by which a number of 15 digits may be divided with one rounding only.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A decimal number: exactly the value that `str::parse` gives, but neither `inf` nor `nan`.
pub fn number(word: &[u8]) -> Option<f64> {
    if let Some(whole) = integer(word) {
        return Some(whole as f64);
    }
    if let Some(dot) = word.iter().position(|b| *b == b'.')
        && word.len() <= 16
        && let (Some(whole), Some(part)) = (integer(&word[..dot]), integer(&word[dot + 1..]))
    {
        // Both operands are exact below 2^53, so the single rounding of the division is right.
        let power = POWERS[word.len() - dot - 1];
        return Some((whole as f64 * power + part as f64) / power);
    }
    let first = word.strip_prefix(b"-").unwrap_or(word).first()?;
    if !first.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The range of a counter of the kernel that is an `int`.
const BITS_32: f64 = 4_294_967_296.0;

/// A count of the kernel. Some counters are printed as signed numbers of 32 bits: past 2^31 they
/// appear negative, and 2^32 is added.
pub fn count(word: &[u8]) -> Option<f64> {
    match number(word)? {
        value if value >= 0.0 => Some(value),
        value => Some(value + BITS_32).filter(|v| *v >= BITS_32 / 2.0),
    }
}

/// The word must be there and be a number.
pub fn want(word: Option<&[u8]>, what: &'static str, line: &[u8]) -> Result<f64, Odd> {
    word.and_then(number).ok_or_else(|| Odd::new(what, line))
}

/// A name as text. Bytes that are not UTF-8 become U+FFFD, because a label must be text.
pub fn name(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds a parser with noise and with damaged copies of a good text. It may refuse, not panic.
    pub fn survives(good: &[u8], parser: impl Fn(&[u8])) {
        parser(good);
        for end in 0..good.len().min(400) {
            parser(&good[..end]);
        }
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let noise = prop::collection::vec(any::<u8>(), 0..300);
        let hit = (0..good.len(), prop::collection::vec(any::<u8>(), 0..8), 0..9usize);
        let hits = prop::collection::vec(hit, 1..6);
        let outcome = runner.run(&(noise, hits), |(noise, hits)| {
            parser(&noise);
            let mut text = good.to_vec();
            for (at, put, cut) in hits {
                let at = at.min(text.len());
                let end = (at + cut).min(text.len());
                text.splice(at..end, put);
            }
            parser(&text);
            Ok(())
        });
        assert_eq!(outcome, Ok(()));
    }

    #[test]
    fn lines_and_words() {
        let found: Vec<_> = lines(b"a b\n\n c\td \nend").collect();
        assert_eq!(found, [&b"a b"[..], b" c\td ", b"end"]);
        assert_eq!(words(b" c\t d ").collect::<Vec<_>>(), [b"c", b"d"]);
        assert_eq!(lines(b"").count() + words(b"  ").count(), 0);
        assert_eq!(numbered(b"a\n\nb").map(|(n, _)| n).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn what_is_no_number() {
        for bad in ["", "-", ".", ".5", "inf", "nan", "-inf", "+1", "1x", "0x10", "1 2", "é"] {
            assert_eq!(number(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(integer(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(integer(b"18446744073709551616"), None);
        assert_eq!(number(b"18446744073709551616"), Some(18446744073709551616.0));
        assert_eq!(number(b"-12"), Some(-12.0));
    }

    #[test]
    fn a_counter_below_zero_has_passed_the_sign() {
        assert_eq!(count(b"-2045677862"), Some(2249289434.0));
        assert_eq!(count(b"-1"), Some(4294967295.0));
        assert_eq!(count(b"-2147483649"), None);
        assert_eq!(count(b"7"), Some(7.0));
        assert_eq!(count(b"x"), None);
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_the_standard_library(
            whole in any::<u64>(), part in "[0-9]{1,18}", cut in 0usize..20,
        ) {
            let whole = &whole.to_string()[..];
            let text = format!("{}.{part}", &whole[..whole.len().min(cut + 1)]);
            for text in [whole, &text] {
                let expected: f64 = text.parse().unwrap();
                let bits = number(text.as_bytes()).map(f64::to_bits);
                prop_assert_eq!(bits, Some(expected.to_bits()), "{}", text);
            }
        }
    }
}
