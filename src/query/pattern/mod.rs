//! query: the patterns of `=~`. They are Go's (RE2): here they are read, turned into what the regex
//! engine here takes for the same, and, where a pattern only lists texts or says how values begin
//! and end, into something that needs no engine. Pure; bounded in time and memory.

mod forms;
mod read;

use regex::bytes::{Regex, RegexBuilder};

use forms::{Form, Forms, Gap};
use read::{DEEPEST, Reader, wrong};

/// The most memory that a compiled pattern may take, in bytes.
const ENGINE_SIZE: usize = 1 << 20;

/// The largest cache of the engine while it matches, in bytes; for a small pattern a multiple of
/// its own size.
const CACHE_SIZE: usize = 1 << 20;
const CACHE_TIMES: usize = 8;

/// The most memory that the patterns of one expression may take together, in bytes.
pub(super) const TOGETHER: usize = 16 << 20;

/// The engine does not report the size of a compiled pattern, only whether it exceeds a limit. So a
/// pattern counts for the smallest of these that is enough.
const SIZES: [usize; 4] = [16 << 10, 64 << 10, 256 << 10, ENGINE_SIZE];

/// The longest pattern, in bytes.
const LONGEST: usize = 64 << 10;

/// A pattern that a whole value fits or not.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// One of these texts, sorted.
    Texts(Vec<Box<str>>),
    /// Begins, ends and contains as one of these says.
    Shapes(Vec<Shape>),
    /// Begins so, and the engine says the rest.
    Engine(Box<str>, Regex),
}

/// Texts with anything between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// The first text.
    first: Box<str>,
    /// The texts after it, each after a gap.
    rest: Vec<(Gap, Box<str>)>,
}

/// The engine for a whole value, with the pattern's groups: what `label_replace` takes apart.
pub(super) fn groups(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > LONGEST {
        return Err(too_long(pattern));
    }
    engine(&Reader::read_groups(pattern)?, pattern, &mut TOGETHER.clone())
}

fn too_long(pattern: &str) -> String {
    wrong(&format!("longer than {LONGEST} bytes"), pattern)
}

/// The engine for a pattern in its own syntax; errors show the user's pattern. `left` is the number
/// of bytes it may take, and is reduced.
fn engine(ours: &str, pattern: &str, left: &mut usize) -> Result<Regex, String> {
    let text = format!("^(?s:{ours})$");
    for size in SIZES {
        let cache = CACHE_SIZE.min(CACHE_TIMES * size);
        let Some(rest) = left.checked_sub(size + cache) else {
            let most = TOGETHER >> 20;
            return Err(format!(
                "the patterns of this expression take more than {most} MiB of memory"
            ));
        };
        let built = RegexBuilder::new(&text)
            .size_limit(size)
            .dfa_size_limit(cache)
            .nest_limit(2 * DEEPEST as u32)
            .build();
        match built {
            Err(regex::Error::CompiledTooBig(_)) if size < ENGINE_SIZE => {}
            Err(e) => return Err(wrong(&last_line(&e), pattern)),
            Ok(regex) => {
                *left = rest;
                return Ok(regex);
            }
        }
    }
    Err(wrong(&format!("takes more than {ENGINE_SIZE} bytes of memory"), pattern))
}

impl Pattern {
    /// Reads a pattern by itself.
    #[cfg(test)]
    pub fn new(pattern: &str) -> Result<Self, String> {
        Self::within(pattern, &mut TOGETHER.clone())
    }

    /// Parses a pattern within this many bytes of memory, and reduces them. The error says what is
    /// wrong with the pattern.
    pub fn within(pattern: &str, left: &mut usize) -> Result<Self, String> {
        Self::read(pattern, left).map_err(|why| format!("error parsing regexp: {why}"))
    }

    fn read(pattern: &str, left: &mut usize) -> Result<Self, String> {
        if pattern.len() > LONGEST {
            return Err(too_long(pattern));
        }
        let (forms, ours) = Reader::read(pattern)?;
        match forms {
            Forms::Some(forms) => Ok(Self::without_engine(forms)),
            Forms::Engine(prefix) => Ok(Self::Engine(prefix.into(), engine(&ours, pattern, left)?)),
        }
    }

    fn without_engine(forms: Vec<Form>) -> Self {
        if forms.iter().all(|f| f.rest.is_empty()) {
            let mut texts: Vec<Box<str>> = forms.into_iter().map(|f| f.first.into()).collect();
            texts.sort_unstable();
            texts.dedup();
            return Self::Texts(texts);
        }
        let shape = |form: Form| Shape {
            first: form.first.into(),
            rest: form.rest.into_iter().map(|(gap, text)| (gap, text.into())).collect(),
        };
        Self::Shapes(forms.into_iter().map(shape).collect())
    }

    /// Whether the whole value fits.
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Self::Texts(texts) => match &texts[..] {
                [one] => **one == *value,
                many => many.binary_search_by(|t| (**t).cmp(value)).is_ok(),
            },
            Self::Shapes(shapes) => shapes.iter().any(|shape| shape.matches(value)),
            Self::Engine(prefix, regex) => {
                value.starts_with(&**prefix) && regex.is_match(value.as_bytes())
            }
        }
    }

    /// The values that fit, in order, where they can be listed.
    pub fn texts(&self) -> Option<&[Box<str>]> {
        match self {
            Self::Texts(texts) => Some(texts),
            _ => None,
        }
    }

    /// The prefix of all matching values.
    pub fn prefix(&self) -> &str {
        match self {
            Self::Texts(texts) => match &texts[..] {
                [one] => one,
                _ => "",
            },
            Self::Shapes(shapes) => match &shapes[..] {
                [one] => &one.first,
                _ => "",
            },
            Self::Engine(prefix, _) => prefix,
        }
    }
}

impl Shape {
    fn matches(&self, value: &str) -> bool {
        let Some(mut left) = value.as_bytes().strip_prefix(self.first.as_bytes()) else {
            return false;
        };
        let Some(((last_gap, last), middle)) = self.rest.split_last() else {
            return left.is_empty();
        };
        // The first place where a text fits leaves the most room for those after it.
        for (gap, text) in middle {
            let skipped = usize::from(*gap == Gap::Some);
            let Some(after) = left.get(skipped..) else { return false };
            let Some(at) = memchr::memmem::find(after, text.as_bytes()) else { return false };
            left = &after[at + text.len()..];
        }
        let skipped = usize::from(*last_gap == Gap::Some);
        left.len() >= last.len() + skipped && left.ends_with(last.as_bytes())
    }
}

fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    match error {
        regex::Error::CompiledTooBig(_) => format!("takes more than {ENGINE_SIZE} bytes of memory"),
        _ => {
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
