//! cli: the abilities of the terminal: width, colours, Unicode; and a filter for characters that
//! would control it.

use std::io::{self, Write};

use crate::draw::{self, spark};

/// Letters across; 80 where there is no terminal.
pub(super) fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout()).map_or(80, |w| match w.ws_col {
        // A terminal that does not say.
        0 => 80,
        columns => usize::from(columns).max(40),
    })
}

/// See no-color.org; a terminal that calls itself dumb has none either.
pub(super) fn has_colours() -> bool {
    let said = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    !said("NO_COLOR") && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// Whether letters may be more than ASCII, by what the environment says.
pub(super) fn is_unicode() -> bool {
    let words = ["LC_ALL", "LC_CTYPE", "LANG"].map(|name| std::env::var(name).ok());
    spark::is_unicode(words.each_ref().map(Option::as_deref))
}

/// The text in lines of so many letters at the most, parted between words; a word that is longer than a
/// line is parted where the line ends.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines: Vec<String> = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for word in text.split(' ') {
        let long = word.chars().count();
        if used > 0 && used + 1 + long > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        for letter in word.chars() {
            if used == width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(letter);
            used += 1;
        }
    }
    lines.push(line);
    lines
}

/// The output of a verb. Text from people and programs must not control the terminal, so such
/// characters are replaced there. Pipes and files get every byte unchanged.
pub(super) struct Plain<W: Write> {
    out: W,
    cleans: bool,
    /// The beginning of a letter whose other bytes come with the next piece.
    rest: Vec<u8>,
}

impl<W: Write> Plain<W> {
    /// `cleans`: it is a terminal.
    pub(super) fn new(out: W, cleans: bool) -> Self {
        Self { out, cleans, rest: Vec::new() }
    }
}

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if !self.cleans {
            return self.out.write(piece);
        }
        self.rest.extend_from_slice(piece);
        let whole = match std::str::from_utf8(&self.rest) {
            Err(e) if e.error_len().is_none() => e.valid_up_to(),
            _ => self.rest.len(),
        };
        let text = String::from_utf8_lossy(&self.rest[..whole]);
        self.out.write_all(clean_lines(&text).as_bytes())?;
        self.rest.drain(..whole);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        self.out.write_all(String::from_utf8_lossy(&rest).as_bytes())?;
        self.out.flush()
    }
}

/// Cleans like [`draw::clean`], but keeps line breaks and tabs.
pub(super) fn clean_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for part in text.split_inclusive(['\n', '\t']) {
        let end = if part.ends_with(['\n', '\t']) { part.len() - 1 } else { part.len() };
        let (part, end) = part.split_at(end);
        out.push_str(&draw::clean(part));
        out.push_str(end);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_steered_and_a_file_gets_every_byte() {
        let text = "a\x1b]0;t\x07\tb\u{9b}1m é\u{202e}\n";
        // In pieces that split characters.
        let through = |cleans| {
            let mut plain = Plain::new(Vec::new(), cleans);
            for piece in text.as_bytes().chunks(1) {
                plain.write_all(piece).unwrap();
            }
            plain.flush().unwrap();
            String::from_utf8(plain.out).unwrap()
        };
        assert_eq!(through(false), text);
        assert_eq!(through(true), "a\u{fffd}]0;t\u{fffd}\tb\u{fffd}1m é\u{fffd}\n");
        let mut plain = Plain::new(Vec::new(), true);
        plain.write_all(b"a\xff\xffb\xc3").unwrap();
        plain.flush().unwrap();
        assert_eq!(String::from_utf8(plain.out).unwrap(), "a\u{fffd}\u{fffd}b\u{fffd}");
    }
}
