//! config: a section of plimsoll.toml, checked against its options. Values are read as they are;
//! `resolve` interprets them.
//!
//! Sections are read off toml's spanned tree and not through serde's derive: serde stops at the
//! first unknown key and at the first wrong type, and a person wants to see all of them at once.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::error::{Mistake, nearest};
use super::sections::{Row, child};
use crate::model::options::{Given, Key, Shape};

/// A section whose keys are known and whose values have the right shape. Faults have been reported,
/// and are left out.
pub struct Section<'t> {
    rows: &'t [Row],
    row: &'t Row,
    span: Range<usize>,
    table: &'t DeTable<'t>,
    values: Vec<(&'t str, &'t Spanned<DeValue<'t>>)>,
}

impl<'t> Section<'t> {
    /// Checks the whole file, given the table of sections. The first row is that of the top.
    pub fn top(
        rows: &'t [Row],
        table: &'t Spanned<DeTable<'t>>,
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        Self::of(rows, &rows[0], table.get_ref(), table.span(), mistakes)
    }

    fn of(
        rows: &'t [Row],
        row: &'t Row,
        table: &'t DeTable<'t>,
        span: Range<usize>,
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        let mut section = Section { rows, row, span, table, values: Vec::new() };
        for (name, value) in table {
            let written = &**name.get_ref();
            let misfit = if let Some(key) = row.key(written) {
                misfit(key.shape, value).map(|odd| section.wrong(key, odd))
            } else if let Some(row) = child(rows, &row.path, written) {
                section.misplaced(row, value)
            } else {
                Some(section.unknown(written, value, name.span()))
            };
            match misfit {
                None => section.values.push((written, value)),
                Some(mistake) => mistakes.push(mistake),
            }
        }
        section
    }

    /// The section's own place: where to point when something is missing in it.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The place of a key's value, or of one item of it; that of the section if there is none.
    pub fn place(&self, name: &str, item: Option<usize>) -> Range<usize> {
        let Some((_, value)) = self.values.iter().find(|(n, _)| *n == name) else {
            return self.span();
        };
        let item = item.and_then(|at| value.get_ref().as_array()?.get(at));
        item.unwrap_or(value).span()
    }

    /// The full name of a key in it: `collect.cpu.interval`.
    pub fn full(&self, name: &str) -> String {
        match &*self.row.path {
            "" => name.into(),
            path => format!("{path}.{name}"),
        }
    }

    /// Whether a key stands there, right or wrong.
    pub fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// The value of an option, if it is written and has the right shape. Texts are trimmed.
    pub fn given(&self, name: &str) -> Option<Given<'t>> {
        let key = self.row.key(name)?;
        let (_, value) = self.values.iter().find(|(n, _)| *n == name)?;
        let texts = |list: &'t DeArray<'t>| {
            list.iter().filter_map(|v| v.get_ref().as_str().map(str::trim)).collect()
        };
        match value.get_ref() {
            DeValue::String(text) => Some(Given::Text(text.trim())),
            DeValue::Boolean(flag) => Some(Given::Flag(*flag)),
            DeValue::Array(list) if key.shape == Shape::Numbers => {
                Some(Given::Numbers(list.iter().filter_map(|v| number(v.get_ref())).collect()))
            }
            DeValue::Array(list) => Some(Given::Texts(texts(list))),
            other => number(other).map(Given::Number),
        }
    }

    /// Which item of a list of texts this is.
    pub fn position(&self, name: &str, text: &str) -> Option<usize> {
        self.given(name)?.texts().iter().position(|item| *item == text)
    }

    /// A section in this one.
    pub fn section(&self, name: &str, mistakes: &mut Vec<Mistake>) -> Option<Section<'t>> {
        let row = child(self.rows, &self.row.path, name)?;
        let (_, value) = self.values.iter().find(|(n, _)| *n == name)?;
        let table = value.get_ref().as_table()?;
        Some(Self::of(self.rows, row, table, value.span(), mistakes))
    }

    /// The sections of a list in this one.
    pub fn sections(&self, name: &str, mistakes: &mut Vec<Mistake>) -> Vec<Section<'t>> {
        let list = self.values.iter().find(|(n, _)| *n == name);
        let (Some(row), Some(list)) = (
            child(self.rows, &self.row.path, name),
            list.and_then(|(_, v)| v.get_ref().as_array()),
        ) else {
            return Vec::new();
        };
        list.iter()
            .filter_map(|v| Some((v.get_ref().as_table()?, v.span())))
            .map(|(table, span)| Self::of(self.rows, row, table, span, mistakes))
            .collect()
    }

    fn unknown(&self, name: &str, value: &Spanned<DeValue<'_>>, span: Range<usize>) -> Mistake {
        let path = &*self.row.path;
        let below: Vec<&str> = self.rows.iter().filter_map(|row| row.below(path)).collect();
        let what = match path {
            _ if !value.get_ref().is_table() || below.is_empty() => "key",
            "collect" => "collector",
            _ => "section",
        };
        let here = || self.row.keys().map(|key| key.name).chain(below.iter().copied());
        let hint = if let Some(better) = nearest(name, here()) {
            format!("did you mean `{better}`?")
        } else if self.rows[0].key(name).is_some() {
            "this belongs at the top of the file, before the first [section]".into()
        } else if let Some(places) = self.places(name) {
            format!("this belongs in {places}")
        } else {
            format!("known here: {}", here().collect::<Vec<_>>().join(", "))
        };
        let place = match path {
            "" => String::new(),
            _ => format!(" in `{}`", self.row.brackets()),
        };
        let message = format!("unknown {what} `{name}`{place}");
        Mistake { key: self.full(name), message, hint, span }
    }

    /// The sections in which a key may be written: `[http]`, `[statsd]` or `[graphite]`.
    fn places(&self, name: &str) -> Option<String> {
        let mut places: Vec<String> = Vec::new();
        for row in self.rows.iter().filter(|row| row.key(name).is_some()) {
            let place = match row.is_common(name) {
                true => "`[collect.NAME]`".into(),
                false if row.list => format!("a `{}`", row.brackets()),
                false => format!("`{}`", row.brackets()),
            };
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let last = places.pop()?;
        Some(if places.is_empty() { last } else { format!("{} or {last}", places.join(", ")) })
    }

    fn wrong(&self, key: &Key, (span, found): (Range<usize>, String)) -> Mistake {
        let full = self.full(key.name);
        let wanted = match key.shape {
            Shape::Text => "text in quotes",
            Shape::Texts => "a list of texts",
            Shape::OneOrMore => "text in quotes or a list of texts",
            Shape::Flag => "true or false",
            Shape::Number => "a number",
            Shape::Numbers => "a list of numbers",
        };
        let message = format!("`{full}` must be {wanted}, {found}");
        Mistake {
            key: full,
            message,
            hint: format!("for example `{} = {}`", key.name, key.example),
            span,
        }
    }

    /// A name of a section that is not written as one.
    fn misplaced(&self, row: &Row, value: &Spanned<DeValue<'_>>) -> Option<Mistake> {
        let (span, found) = match (row.list, value.get_ref()) {
            (false, DeValue::Table(_)) => return None,
            (true, DeValue::Array(list)) => match list.iter().find(|v| !v.get_ref().is_table()) {
                None => return None,
                Some(odd) => (odd.span(), format!("there is {} in it", called(odd.get_ref()))),
            },
            (_, other) => (value.span(), format!("this is {}", called(other))),
        };
        let wanted = if row.list { "a list of sections" } else { "a section" };
        let message = format!("`{}` must be {wanted}, {found}", row.path);
        let hint = format!("write `{}` and its keys below", row.brackets());
        Some(Mistake { key: row.path.clone(), message, hint, span })
    }
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        // Hexadecimal and underscores are toml's affair; it has checked the digits.
        DeValue::Integer(i) => {
            i64::from_str_radix(i.as_str(), i.radix()).ok().map(|whole| whole as f64)
        }
        DeValue::Float(f) => f.as_str().parse().ok(),
        _ => None,
    }
}

/// The part that does not have the shape, and its place.
fn misfit(shape: Shape, value: &Spanned<DeValue<'_>>) -> Option<(Range<usize>, String)> {
    let odd = |list: &DeArray<'_>, fits: fn(&DeValue<'_>) -> bool| {
        let odd = list.iter().find(|v| !fits(v.get_ref()))?;
        Some((odd.span(), format!("there is {} in it", called(odd.get_ref()))))
    };
    match (shape, value.get_ref()) {
        (Shape::Text | Shape::OneOrMore, DeValue::String(_))
        | (Shape::Flag, DeValue::Boolean(_))
        | (Shape::Number, DeValue::Integer(_) | DeValue::Float(_)) => None,
        (Shape::Texts | Shape::OneOrMore, DeValue::Array(list)) => odd(list, |v| v.is_str()),
        (Shape::Numbers, DeValue::Array(list)) => odd(list, |v| number(v).is_some()),
        (_, other) => Some((value.span(), format!("this is {}", called(other)))),
    }
}

fn called(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
