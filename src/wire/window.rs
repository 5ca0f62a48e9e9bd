//! wire: a moving window on a reader: the row at hand in one piece, never more than that.

use std::io::{ErrorKind, Read};

use memchr::{memchr, memchr_iter};

use super::{BOM, LineError};

/// The longest row. A key is a few hundred bytes; a longer row is a broken file, and must not fill
/// the memory.
pub(super) const LONGEST_ROW: usize = 64 * 1024;

/// Larger than a row, so that the unread rest is seldom moved.
const BUFFER: usize = 4 * LONGEST_ROW;

/// Bytes of the input from the row at hand on.
pub(super) struct Window<R> {
    input: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    line: u64,
    state: State,
}

enum State {
    New,
    Open,
    Ended,
    Failed(Option<std::io::Error>),
}

/// The end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// Behind its line break, or at the end of the input; counted from the window's beginning.
    Ends(usize),
    /// There is no end within the longest row.
    TooLong,
    /// There is no further line: the input has ended.
    Nothing,
}

impl<R: Read> Window<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            line: 1,
            state: State::New,
        }
    }

    /// The bytes that were read and not consumed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// An error about the row at hand.
    pub(super) fn error(&self, reason: impl Into<String>) -> LineError {
        LineError { line: self.line, reason: reason.into(), fatal: false }
    }

    /// The failure of reading, reported once. The rows before it remain valid.
    pub(super) fn failure(&mut self) -> Option<LineError> {
        let State::Failed(error) = &mut self.state else { return None };
        let error = error.take()?;
        let reason = format!("reading stopped here: {error}");
        Some(LineError { line: self.line, reason, fatal: true })
    }

    /// Reads on; `false` when the input has ended or the window holds the longest row.
    pub(super) fn more(&mut self) -> bool {
        if self.end - self.start >= LONGEST_ROW {
            return false;
        }
        if matches!(self.state, State::New) {
            self.state = State::Open;
            while self.end < BOM.len() && self.read() {}
            if self.bytes().starts_with(BOM) {
                self.start = BOM.len();
            }
            if self.start < self.end {
                return true;
            }
        }
        self.read()
    }

    /// Marks this many bytes as consumed.
    pub(super) fn consume(&mut self, bytes: usize) {
        let to = self.end.min(self.start + bytes);
        self.line += memchr_iter(b'\n', &self.buffer[self.start..to]).count() as u64;
        self.start = to;
    }

    /// The end of the line that begins `from` bytes into the window.
    pub(super) fn line_end(&mut self, from: usize) -> Line {
        let mut searched = from;
        loop {
            let bytes = self.bytes();
            if let Some(at) = bytes.get(searched..).and_then(|b| memchr(b'\n', b)) {
                return Line::Ends(searched + at + 1);
            }
            searched = bytes.len().max(from);
            if self.more() {
                continue;
            }
            return match self.state {
                State::Ended if self.bytes().len() > from => Line::Ends(self.bytes().len()),
                // Half a row is no row: `cpu,1,25` cut short would read `cpu,1,2`.
                State::Ended | State::Failed(_) => Line::Nothing,
                State::New | State::Open => Line::TooLong,
            };
        }
    }

    /// Consumes the rest of the line, however long it is.
    pub(super) fn skip_line(&mut self) {
        loop {
            if let Some(at) = memchr(b'\n', self.bytes()) {
                return self.consume(at + 1);
            }
            self.consume(self.bytes().len());
            if !self.more() {
                return;
            }
        }
    }

    /// Drops the bytes that were read, and reads no more.
    pub(super) fn close(&mut self) {
        self.start = self.end;
        self.state = State::Ended;
    }

    fn read(&mut self) -> bool {
        if !matches!(self.state, State::Open) {
            return false;
        }
        if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.state = State::Ended,
                Ok(n) => {
                    self.end = self.buffer.len().min(self.end + n);
                    return true;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => self.state = State::Failed(Some(e)),
            }
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte a time, then the end or an error.
    struct Trickle<'a> {
        rest: &'a [u8],
        fails: bool,
    }

    impl Read for Trickle<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            match self.rest {
                [] if self.fails => Err(std::io::Error::other("cut")),
                [] => Ok(0),
                [first, rest @ ..] => {
                    into[0] = *first;
                    self.rest = rest;
                    Ok(1)
                }
            }
        }
    }

    #[test]
    fn lines_and_their_numbers() {
        let rest = b"\xef\xbb\xbfone\n\nthree";
        let mut w = Window::new(Trickle { rest, fails: false });
        assert_eq!(w.line_end(0), Line::Ends(4));
        assert_eq!(w.bytes(), b"one\n");
        assert_eq!(w.line_end(4), Line::Ends(5));
        w.consume(5);
        assert_eq!(w.line, 3);
        assert_eq!(w.line_end(0), Line::Ends(5));
        w.consume(5);
        assert_eq!((w.line_end(0), w.failure()), (Line::Nothing, None));
    }

    #[test]
    fn a_row_cut_short_by_an_error_is_no_row() {
        let mut w = Window::new(Trickle { rest: b"one\ntw", fails: true });
        w.line_end(0);
        w.consume(4);
        assert_eq!(w.line_end(0), Line::Nothing);
        let error = w.failure().unwrap();
        assert_eq!((error.line, error.fatal), (2, true));
        assert_eq!(w.failure(), None);
    }

    #[test]
    fn a_line_without_end_is_skipped_in_bounded_memory() {
        let long = [b"x".repeat(10 * LONGEST_ROW), b"\nshort\n".to_vec()].concat();
        let mut w = Window::new(&long[..]);
        assert_eq!(w.line_end(0), Line::TooLong);
        w.skip_line();
        assert_eq!((w.line, w.line_end(0)), (2, Line::Ends(6)));
        assert_eq!(&w.bytes()[..6], b"short\n");
    }
}
