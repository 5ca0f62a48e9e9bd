//! receive: the pieces in which a stream arrives become whole lines. Pure.

/// Bytes of a line; the rest of a longer one is skipped.
pub const LONGEST: usize = 64 * 1024;

/// The unfinished line of a connection.
#[derive(Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
    /// The line at hand was too long: nothing of it counts.
    skipping: bool,
}

impl Lines {
    /// Takes the next piece. `whole` gets text that ends with a line, in place where that is
    /// possible. How many lines were too long.
    pub fn feed(&mut self, mut piece: &[u8], mut whole: impl FnMut(&[u8])) -> u64 {
        let mut too_long = 0;
        if self.skipping || !self.begun.is_empty() {
            let Some(end) = memchr::memchr(b'\n', piece) else {
                return u64::from(self.keep(piece));
            };
            let (first, rest) = piece.split_at(end + 1);
            piece = rest;
            if std::mem::take(&mut self.skipping) {
                self.begun.clear();
            } else if self.begun.len() + first.len() > LONGEST + 1 {
                too_long += 1;
                self.begun.clear();
            } else {
                self.begun.extend_from_slice(first);
                whole(&self.begun);
                self.begun.clear();
            }
        }
        let end = memchr::memrchr(b'\n', piece).map_or(0, |at| at + 1);
        let (lines, rest) = piece.split_at(end);
        if !lines.is_empty() {
            whole(lines);
        }
        too_long + u64::from(self.keep(rest))
    }

    /// Whether the line became too long just now.
    fn keep(&mut self, piece: &[u8]) -> bool {
        if self.skipping {
            return false;
        }
        if self.begun.len() + piece.len() > LONGEST {
            self.skipping = true;
            self.begun = Vec::new();
            return true;
        }
        self.begun.extend_from_slice(piece);
        false
    }

    /// The sender closed the connection in good order: its last line may lack the end.
    pub fn finish(&mut self, mut whole: impl FnMut(&[u8])) {
        if !self.begun.is_empty() {
            whole(&self.begun);
        }
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fed<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, u64) {
        let (mut lines, mut out, mut long) = (Lines::default(), Vec::new(), 0);
        for piece in pieces {
            long += lines.feed(piece, |text| {
                assert!(text.ends_with(b"\n"), "whole lines only");
                out.extend_from_slice(text);
            });
        }
        lines.finish(|text| out.extend_from_slice(text));
        (out, long)
    }

    #[test]
    fn a_line_that_is_too_long_takes_no_other_with_it() {
        let long = vec![b'x'; LONGEST + 1];
        let fits = vec![b'y'; LONGEST];
        let text = [b"a\n", &long[..], b"\nb\n", &fits[..], b"\nc"].concat();
        let right = [b"a\nb\n", &fits[..], b"\nc"].concat();
        for size in [1000, 1024, 65_535, LONGEST, LONGEST + 1] {
            let (out, lost) = fed(text.chunks(size));
            assert!(out == right, "pieces of {size}");
            assert_eq!(lost, 1, "pieces of {size}");
        }
        assert_eq!(fed([&long[..], &long[..], b"\nz\n"].into_iter()), (b"z\n".to_vec(), 1));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_moved(text in "[a\n]{0,60}", cuts in prop::collection::vec(1usize..8, 1..60)) {
            let mut rest = text.as_bytes();
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, more) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = more;
            }
            pieces.push(rest);
            prop_assert_eq!(fed(pieces.into_iter()), (text.into_bytes(), 0));
        }
    }
}
