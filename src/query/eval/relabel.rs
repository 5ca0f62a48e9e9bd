//! query: label_replace and label_join: functions over labels, not values.

use regex::bytes::Captures;

use super::super::ast::{Call, Expr};
use super::error::{EvalError, Outcome};
use super::frame::Frame;
use super::grid::Grid;
use super::walk::Evaluator;

impl Evaluator<'_> {
    /// `label_replace(v, "to", "replacement", "from", "pattern")`
    pub(super) fn label_replace(&mut self, call: &Call, frame: Frame) -> Outcome<Grid> {
        let (to, replacement) = (text(call, 1)?, text(call, 2)?);
        let (from, pattern) = (text(call, 3)?, text(call, 4)?);
        let regex = super::super::pattern::groups(pattern).map_err(|_| {
            EvalError::at(
                call.args[4].span(),
                format!("invalid regular expression in label_replace(): {pattern}"),
            )
        })?;
        check_label(call, 1, "destination")?;
        short(call, to.len())?;
        let mut grid = self.vector(&call.args[0], frame)?;
        for row in 0..grid.len() {
            self.guard.check()?;
            let metric = &grid.metrics[row];
            let Some(found) = regex.captures(metric.get(from).as_bytes()) else { continue };
            let mut value = String::new();
            expand(replacement, &found, &mut value);
            short(call, value.len())?;
            let metric = metric.with(&[(to, &value)]);
            grid.rename(row, metric)?;
        }
        grid.join_same(&self.guard)
    }

    /// `label_join(v, "to", "separator", "from", …)`
    pub(super) fn label_join(&mut self, call: &Call, frame: Frame) -> Outcome<Grid> {
        let (to, separator) = (text(call, 1)?, text(call, 2)?);
        let mut from = Vec::new();
        for i in 3..call.args.len() {
            from.push(text(call, i)?);
            check_label(call, i, "source")?;
        }
        check_label(call, 1, "destination")?;
        short(call, to.len())?;
        let mut grid = self.vector(&call.args[0], frame)?;
        for row in 0..grid.len() {
            self.guard.check()?;
            let metric = &grid.metrics[row];
            let mut value = String::new();
            for (at, name) in from.iter().enumerate() {
                if at > 0 {
                    value.push_str(separator);
                }
                value.push_str(metric.get(name));
                short(call, value.len())?;
            }
            let metric = metric.with(&[(to, &value)]);
            grid.rename(row, metric)?;
        }
        grid.join_same(&self.guard)
    }
}

/// A label's name and its value may be as long as those of senders, in bytes. Without that bound a
/// label could be made of itself, several times as long each time.
pub(super) const LONGEST_LABEL: usize = 1_000;

/// Whether a label of this length may be made.
pub(super) fn short(call: &Call, length: usize) -> Outcome<()> {
    if length <= LONGEST_LABEL {
        return Ok(());
    }
    let name = call.function.name;
    let why = format!("{name}() would make a label of more than {LONGEST_LABEL} bytes, the limit");
    Err(EvalError::at(call.span, why))
}

/// An argument that names a label: some text, and UTF-8.
fn check_label(call: &Call, at: usize, side: &str) -> Outcome<()> {
    match call.args.get(at).map(Expr::unwrap_parens) {
        Some(Expr::String(s)) if s.value.is_empty() || !s.utf8 => Err(EvalError::at(
            s.span,
            format!("invalid {side} label name in {}(): {}", call.function.name, s.value),
        )),
        _ => Ok(()),
    }
}

/// An argument that is a text.
pub(super) fn text(call: &Call, at: usize) -> Outcome<&str> {
    match call.args.get(at).map(Expr::unwrap_parens) {
        Some(Expr::String(s)) => Ok(&s.value),
        other => Err(EvalError::at(
            other.map_or(call.span, Expr::span),
            format!("{}() needs a string here", call.function.name),
        )),
    }
}

/// Writes a replacement with its `$1`, `${1}`, `$name` and `$$` resolved, as Go's regexp does: a
/// bare name is as long as it can be, and one that is not in the pattern is empty. It ends early
/// where the label is longer than one may be.
fn expand(replacement: &str, found: &Captures<'_>, out: &mut String) {
    let mut rest = replacement;
    while let Some((before, after)) = rest.split_once('$') {
        if out.len() > LONGEST_LABEL {
            return;
        }
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let word = |c: char| c == '_' || c.is_alphanumeric();
        let (name, next) = match after.strip_prefix('{') {
            Some(braced) => match braced.split_once('}') {
                Some((name, next)) if !name.is_empty() && name.chars().all(word) => (name, next),
                _ => ("", after),
            },
            None => after.split_at(after.find(|c| !word(c)).unwrap_or(after.len())),
        };
        if name.is_empty() {
            out.push('$');
            rest = after;
            continue;
        }
        let number = name.bytes().all(|b| b.is_ascii_digit()).then(|| name.parse::<usize>());
        let value = match number {
            Some(number) => number.ok().and_then(|n| found.get(n)),
            None => found.name(name),
        };
        out.push_str(
            &value.map_or_else(Default::default, |m| String::from_utf8_lossy(m.as_bytes())),
        );
        rest = next;
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_are_resolved_as_go_does() {
        let regex = super::super::super::pattern::groups("(?P<first>[a-z]+)-([0-9]+)").unwrap();
        let found = regex.captures(b"abc-12").unwrap();
        for (replacement, expected) in [
            ("$1", "abc"),
            ("${2}x", "12x"),
            ("$2x", ""),
            ("$first!", "abc!"),
            ("$$1", "$1"),
            ("a$", "a$"),
            ("$3", ""),
            ("${", "${"),
            ("${-}", "${-}"),
        ] {
            let mut out = String::new();
            expand(replacement, &found, &mut out);
            assert_eq!(out, expected, "{replacement}");
        }
    }
}
