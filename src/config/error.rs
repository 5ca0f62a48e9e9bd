//! config: errors of a configuration: file, line, column and key, the line itself with a mark, and
//! a correction.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet, normalize_untrusted_str};

/// One mistake in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Which key, in full (`collect.cpu.interval`); empty if it is about no key.
    pub key: String,
    /// The fault.
    pub message: String,
    /// A correction.
    pub hint: String,
    /// Bytes from the beginning of the file.
    pub span: Range<usize>,
}

/// Why a configuration cannot be used.
///
/// Its text goes behind `error: ` and is without colours; [`ConfigError::render`] has them.
#[derive(Debug, Clone)]
pub enum ConfigError {
    /// The file could not be read.
    File {
        /// The error, with the file.
        message: String,
        /// The next step.
        hint: String,
    },
    /// The file cannot be understood.
    Content(Box<Content>),
}

/// A file and its mistakes.
#[derive(Debug, Clone)]
pub struct Content {
    /// The file's name.
    pub origin: String,
    /// All of it.
    pub text: String,
    /// At least one, in the order of the file.
    pub mistakes: Vec<Mistake>,
}

/// The number of mistakes that are shown; a file with more of them is hardly a configuration file.
const SHOWN: usize = 20;
/// The longest fault or correction, in characters, because a key may be as long as a file.
const LONGEST: usize = 400;

impl ConfigError {
    pub(super) fn content(origin: &str, text: &str, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|m| m.span.start);
        Self::Content(Box::new(Content { origin: origin.into(), text: text.into(), mistakes }))
    }

    /// The message for people, with ANSI colours if `colour`. It begins in the middle of a
    /// sentence, to be put behind `error: `.
    pub fn render(&self, colour: bool) -> String {
        match self {
            Self::File { message, hint } => format!("{message}\n{hint}"),
            Self::Content(content) => content.render(colour),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigError {}

impl Content {
    /// Line and column of a mistake, both counted from 1, the column in characters.
    pub fn position(&self, mistake: &Mistake) -> (usize, usize) {
        let before = &self.text[..self.boundary(mistake.span.start)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for (i, mistake) in self.mistakes.iter().take(SHOWN).enumerate() {
            // The caller writes the first `error: `.
            let level = if i == 0 { Level::ERROR.no_name() } else { Level::ERROR };
            let mark = AnnotationKind::Primary
                .span(self.mark(&mistake.span))
                .label(normalize_untrusted_str(&short(&mistake.hint)));
            let snippet = Snippet::source(&*self.text).path(&*self.origin).annotation(mark);
            let title = level.primary_title(normalize_untrusted_str(&short(&mistake.message)));
            if i > 0 {
                out.push_str("\n\n");
            }
            out.push_str(&renderer.render(&[title.element(snippet)]));
        }
        match self.mistakes.len().saturating_sub(SHOWN) {
            0 => {}
            more => out.push_str(&format!("\n\nand {more} more like these")),
        }
        out
    }

    /// The underlined part: never more than one line, as a whole section would be.
    fn mark(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.boundary(span.start);
        let line_end = self.text[start..].find(['\n', '\r']).map_or(self.text.len(), |n| start + n);
        start..self.boundary(span.end).clamp(start, line_end)
    }

    fn boundary(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// The candidate closest to `word`, if one is close.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .map(|c| (strsim::osa_distance(&word.to_lowercase(), c), c))
        .filter(|(d, _)| *d <= allowed)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_close_is_proposed() {
        let names = || ["interval", "system", "db"].into_iter();
        assert_eq!(nearest("Intervall", names()), Some("interval"));
        assert_eq!(nearest("dp", names()), Some("db"));
        assert_eq!(nearest("colour", names()), None);
    }
}
