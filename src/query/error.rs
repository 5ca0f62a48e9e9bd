//! query: errors in an expression, with their places.

use std::fmt::{self, Write};

use super::ast::Span;

/// An error in an expression. It does not hold the text; [`ParseError::one_line`] and
/// [`ParseError::shown`] need it to show the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    /// The place in the text.
    pub span: Span,
    /// The fault.
    pub message: Box<str>,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parse error at byte {}: {}", self.span.start, self.message)
    }
}

impl ParseError {
    /// A fault at this place.
    pub fn new(span: Span, message: impl Into<Box<str>>) -> Self {
        Self { span, message: message.into() }
    }

    /// The error in the words of Prometheus: `1:5: parse error: unexpected …`, with line and column
    /// (in bytes) counted from 1.
    pub fn one_line(&self, text: &str) -> String {
        let (line, column) = line_and_column(text, self.span.start as usize);
        format!("{line}:{column}: parse error: {}", self.message)
    }

    /// For people: the message, and below it the line with a caret under the place.
    pub fn shown(&self, text: &str) -> String {
        let mut out = self.one_line(text);
        out.push('\n');
        write_place(&mut out, text, self.span);
        out
    }
}

/// Line and column (in bytes) of a place, both counted from 1.
pub fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    (line, column)
}

/// The most characters of a line that are shown.
const WIDEST: usize = 100;

/// Appends the line of the place, with carets under it; of a long line what lies around it.
pub fn write_place(out: &mut String, text: &str, span: Span) {
    let start = floor_boundary(text, span.start as usize);
    let end = floor_boundary(text, span.end as usize).max(start);
    let from = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let to = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let before = text[from..start].chars().count();
    let marked = text[start..end.min(to)].chars().count().max(1);
    let skipped = before.saturating_sub(WIDEST / 2);
    let line = text[from..to].chars().skip(skipped).take(WIDEST);
    out.push_str("  ");
    // Characters that are wider or narrower than one column would move the caret.
    out.extend(line.map(|c| if c.is_control() { ' ' } else { c }));
    let pad = 2 + before - skipped;
    let carets = marked.min(WIDEST + 1 - (before - skipped));
    let _ = write!(out, "\n{:pad$}{:^<carets$}\n", "", "");
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, start: u32, end: u32) -> String {
        ParseError::new(Span::new(start, end), "no").shown(text)
    }

    #[test]
    fn the_place_is_marked() {
        assert_eq!(shown("1 + ü + 2", 4, 6), "1:5: parse error: no\n  1 + ü + 2\n      ^\n");
        assert_eq!(shown("a\n\tb c", 5, 6), "2:4: parse error: no\n   b c\n     ^\n");
        assert_eq!(shown("sum(", 4, 4), "1:5: parse error: no\n  sum(\n      ^\n");
        assert_eq!(shown("a\nb", 0, 3), "1:1: parse error: no\n  a\n  ^\n");
        assert_eq!(shown("", 0, 0), "1:1: parse error: no\n  \n  ^\n");
    }

    #[test]
    fn a_long_line_is_cut_around_it() {
        let text = "x".repeat(1000);
        let shown = shown(&text, 500, 1000);
        for line in shown.lines() {
            assert!(line.len() <= WIDEST + 3, "{line}");
        }
        let marks = shown.lines().last().unwrap();
        assert_eq!(marks.find('^'), Some(2 + WIDEST / 2));
    }

    #[test]
    fn places_outside_the_text_or_inside_a_character_do_no_harm() {
        for (start, end) in [(1, 1), (1, 2), (7, 9), (9, 1), (u32::MAX, u32::MAX)] {
            assert!(shown("é", start, end).contains('^'));
        }
    }
}
