//! model: label pairs, in order.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// Label pairs, sorted by label name, each name once. A copy costs nothing.
///
/// All pairs lie in one piece of memory, because a machine has hundreds of series and a server that
/// others send to has many thousands: the number of pairs, then for each pair the length of the name,
/// the name, the length of the value, the value. Equal labels are equal pieces.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

impl Labels {
    /// The number of copies of these labels. Equal labels that were made apart do not count.
    pub(super) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Sorts the pairs; of two with the same name the later one stays. An empty value is no label
    /// (as in Prometheus).
    pub fn new<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut sorted: Vec<(N, V)> = Vec::new();
        for (name, value) in pairs {
            match sorted.binary_search_by(|(n, _)| n.as_ref().cmp(name.as_ref())) {
                Ok(at) => sorted[at].1 = value,
                Err(at) => sorted.insert(at, (name, value)),
            }
        }
        sorted.retain(|(_, value)| !value.as_ref().is_empty());
        if sorted.is_empty() {
            // The empty one is no allocation.
            return Self::default();
        }
        let text: usize = sorted.iter().map(|(n, v)| n.as_ref().len() + v.as_ref().len()).sum();
        let mut piece = String::with_capacity(text + 4 * sorted.len());
        put(&mut piece, sorted.len());
        for (name, value) in &sorted {
            for part in [name.as_ref(), value.as_ref()] {
                put(&mut piece, part.len());
                piece.push_str(part);
            }
        }
        Self(piece.into())
    }

    /// The pairs in order.
    pub fn iter(&self) -> Pairs<'_> {
        if self.0.is_empty() {
            return Pairs { rest: "", left: 0 };
        }
        let (left, rest) = take(&self.0);
        Pairs { rest, left }
    }

    /// The value of one label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().take_while(|(n, _)| *n <= name).find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// Whether there are no labels.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of labels.
    pub fn len(&self) -> usize {
        self.iter().len()
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

/// The pairs of [`Labels`]: name and value, in the order of the names.
#[derive(Debug, Clone)]
pub struct Pairs<'a> {
    rest: &'a str,
    left: usize,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (length, rest) = take(self.rest);
        let (name, rest) = rest.split_at(length);
        let (length, rest) = take(rest);
        let (value, rest) = rest.split_at(length);
        self.rest = rest;
        Some((name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

/// Bits of a number in one byte. They are characters of ASCII, so that the whole piece is text.
const BITS: u32 = 6;

/// Set in all bytes of a number but its last.
const MORE: u8 = 1 << BITS;

/// Writes a number, its lowest bits first.
fn put(piece: &mut String, mut number: usize) {
    while number >= usize::from(MORE) {
        piece.push(char::from(MORE | (number as u8 & (MORE - 1))));
        number >>= BITS;
    }
    piece.push(char::from(number as u8));
}

/// A number at the beginning of a piece, and what follows it.
fn take(piece: &str) -> (usize, &str) {
    let mut number = 0;
    for (at, byte) in piece.bytes().enumerate() {
        number |= usize::from(byte & (MORE - 1)) << (BITS * at as u32);
        if byte & MORE == 0 {
            return (number, &piece[at + 1..]);
        }
    }
    (number, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_odd_values_come_back() {
        for length in [1, 63, 64, 65, 4095, 4096, 300_000] {
            let value = "ü".repeat(length);
            let labels = Labels::new([("zone", "\0"), ("path", &value), ("none", "")]);
            let pairs: Vec<_> = labels.iter().collect();
            assert_eq!(pairs, [("path", &*value), ("zone", "\0")], "{length}");
            assert_eq!((labels.len(), labels.get("zone")), (2, Some("\0")));
            assert_eq!((labels.get("a"), labels.get("none"), labels.get("zz")), (None, None, None));
        }
    }

    #[test]
    fn of_two_values_the_later_one_stays() {
        let labels = Labels::new([("b", "1"), ("a", "2"), ("b", "3")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        let emptied = Labels::new([("b", "1"), ("b", "")]);
        assert!(emptied.is_empty() && emptied == Labels::default());
    }

    #[test]
    fn the_order_is_that_of_the_pairs_and_not_of_their_lengths() {
        let long = Labels::new([("a", "a long value")]);
        let short = Labels::new([("a", "b")]);
        let both = Labels::new([("a", "b"), ("c", "d")]);
        assert!(long < short && short < both);
        assert_eq!(format!("{both:?}"), r#"{"a": "b", "c": "d"}"#);
    }
}
