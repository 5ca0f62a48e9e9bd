//! http: series, their labels, and the metadata of their names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::escape::unescaped;
use super::json::{write_labels, write_list, write_text};
use super::{Ask, Notes};
use crate::http::error::{ApiError, Kind};
use crate::http::params::ALWAYS;
use crate::http::respond::SOME;
use crate::model::Labels;
use crate::query::budget::Held;
use crate::query::matcher::Matcher;
use crate::query::{Catalog, parse_selector};
use crate::store::Reader;

/// The series of all `match[]` together, of all there are where none is given, that have a sample
/// between `start` and `end`; and their memory.
fn matching(ask: &Ask<'_>) -> Result<(Vec<Arc<Labels>>, Held), ApiError> {
    // A wrong one is reported before anything is read. They are parsed again one at a time, because
    // patterns take memory.
    let (start, end) = (ask.params.time("start")?, ask.params.time("end")?);
    let read = |text| parse_selector(text).map_err(|e| ApiError::expression("match[]", &e, text));
    for text in ask.params.all("match[]") {
        ask.task.check()?;
        read(text)?;
    }
    let bounded = start.is_some_and(|t| t > ALWAYS.0) || end.is_some_and(|t| t < ALWAYS.1);
    ask.api.files().with_catalog(|reader: &Reader, catalog: &Catalog| {
        let mut room = ask.task.budget.hold();
        let mut all: Vec<(Arc<Labels>, i64)> = Vec::new();
        let mut add = |matchers: &[Matcher]| -> Result<(), ApiError> {
            let goes_on = || ask.task.check().is_ok();
            let Some(found) = catalog.matching_while(matchers, goes_on) else {
                return Ok(ask.task.check()?);
            };
            if all.len() + found.len() > 2 * catalog.len() {
                all.sort();
                all.dedup();
            }
            room.reserve(&mut all, found.len())?;
            all.extend(found.into_iter().cloned());
            Ok(())
        };
        let mut texts = ask.params.all("match[]").peekable();
        if texts.peek().is_none() {
            add(&[])?;
        }
        for text in texts {
            add(&read(text)?)?;
        }
        all.sort();
        all.dedup();
        ask.task.check()?;
        if bounded {
            room.take_for::<[i64; 4]>(all.len())?;
            let ids: Vec<i64> = all.iter().map(|(_, id)| *id).collect();
            let (from, to) = (start.unwrap_or(ALWAYS.0), end.unwrap_or(ALWAYS.1));
            let there = reader
                .present(from, to, &ids)
                .map_err(|e| ApiError::new(Kind::Internal, e.to_string()))?;
            all.retain(|(_, id)| there.binary_search(id).is_ok());
            ask.task.check()?;
        }
        room.take_for::<Arc<Labels>>(all.len())?;
        Ok((all.into_iter().map(|(labels, _)| labels).collect(), room))
    })
}

/// Appends a list, cut at the limit.
fn write_limited<T>(
    ask: &Ask<'_>,
    out: &mut String,
    items: impl ExactSizeIterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) -> Result<Notes, ApiError> {
    let limit = ask.params.limit("limit")?;
    let mut notes = Notes::default();
    if items.len() > limit {
        notes.warnings.push("results truncated due to limit".to_owned());
    }
    ask.write_list(out, items.take(limit), |out, item| {
        write(out, item);
        Ok(())
    })?;
    Ok(notes)
}

/// The different ones of some texts, in order; and their memory.
fn different<'t>(
    ask: &Ask<'_>,
    texts: impl Iterator<Item = &'t str>,
) -> Result<(BTreeSet<&'t str>, Held), ApiError> {
    let (mut found, mut room) = (BTreeSet::new(), ask.task.budget.hold());
    for (at, text) in texts.enumerate() {
        if at.is_multiple_of(1_024) {
            ask.task.check()?;
        }
        if found.insert(text) {
            // A place in a tree takes twice its size.
            room.take_for::<[&str; 2]>(1)?;
        }
    }
    Ok((found, room))
}

/// `series`
pub(super) fn series(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    if ask.params.all("match[]").next().is_none() {
        return Err(ApiError::new(Kind::BadData, "no match[] parameter provided"));
    }
    let (found, _room) = matching(ask)?;
    write_limited(ask, out, found.iter(), |out, labels| write_labels(out, labels))
}

/// `labels`
pub(super) fn labels(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let (found, _room) = matching(ask)?;
    let names = found.iter().flat_map(|l| l.iter()).map(|(name, _)| name);
    let (names, _more) = different(ask, names)?;
    write_limited(ask, out, names.into_iter(), write_text)
}

/// `label/NAME/values`
pub(super) fn values(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let name = unescaped(ask.name);
    if name.is_empty() {
        return Err(ApiError::new(Kind::BadData, "invalid label name: it is empty, or not UTF-8"));
    }
    let (found, _room) = matching(ask)?;
    let (values, _more) = different(ask, found.iter().filter_map(|labels| labels.get(&name)))?;
    write_limited(ask, out, values.into_iter(), write_text)
}

/// `metadata`
pub(super) fn metadata(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let (limit, each) = (ask.params.most("limit")?, ask.params.most("limit_per_metric")?);
    // No metric is without a type: for this one, 0 means all, too.
    let each = if each == 0 { usize::MAX } else { each };
    let wanted = ask.params.get("metric");
    let known = ask.api.files().with_reader(|reader, _| {
        reader.series().map_err(|e| ApiError::new(Kind::Internal, e.to_string()))
    })?;
    let mut by_name: BTreeMap<&str, BTreeSet<(&str, &str, &str)>> = BTreeMap::new();
    for series in known.iter().filter(|s| wanted.is_empty() || s.name == wanted) {
        let one = (series.kind.as_str(), series.help.as_str(), series.unit.as_str());
        by_name.entry(&series.name).or_default().insert(one);
    }
    out.push('{');
    for (at, (name, all)) in by_name.iter().take(limit).enumerate() {
        ask.room(out, SOME)?;
        if at > 0 {
            out.push(',');
        }
        write_text(out, name);
        out.push(':');
        write_list(out, all.iter().take(each), |out, (kind, help, unit)| {
            out.push_str(r#"{"type":"#);
            write_text(out, kind);
            out.push_str(r#","help":"#);
            write_text(out, help);
            out.push_str(r#","unit":"#);
            write_text(out, unit);
            out.push('}');
        });
    }
    out.push('}');
    Ok(Notes::default())
}
