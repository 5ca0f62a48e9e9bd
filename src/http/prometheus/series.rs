//! http: which series there are, their labels, and what is known of their names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::{ApiError, Kind};
use super::escape::unescaped;
use super::json::{write_labels, write_list, write_text};
use super::params::ALWAYS;
use super::{Ask, Notes};
use crate::model::Labels;
use crate::query::{Catalog, parse_selector};
use crate::store::Reader;

/// So many series are looked at, for all `match[]` together, without a thread.
const LISTED_HERE: usize = 2_048;

/// The series of all `match[]` together, of all there are where none is given, that have a sample
/// between `start` and `end`.
fn matching(ask: &Ask<'_>) -> Result<Vec<Arc<Labels>>, ApiError> {
    // A wrong one is told before anything is read.
    let (start, end) = (ask.params.time("start")?, ask.params.time("end")?);
    let mut selectors = Vec::new();
    for text in ask.params.all("match[]") {
        let selector = parse_selector(text);
        selectors.push(selector.map_err(|e| ApiError::expression("match[]", &e, text))?);
    }
    if selectors.is_empty() {
        selectors.push(Vec::new());
    }
    let bounded = start.is_some_and(|t| t > ALWAYS.0) || end.is_some_and(|t| t < ALWAYS.1);
    let find = |reader: &Reader, catalog: &Catalog| {
        let mut all: Vec<(Arc<Labels>, i64)> =
            selectors.iter().flat_map(|matchers| catalog.matching(matchers)).cloned().collect();
        all.sort();
        all.dedup();
        if bounded {
            let ids: Vec<i64> = all.iter().map(|(_, id)| *id).collect();
            let (from, to) = (start.unwrap_or(ALWAYS.0), end.unwrap_or(ALWAYS.1));
            let there = reader
                .present(from, to, &ids)
                .map_err(|e| ApiError::new(Kind::Internal, e.to_string()))?;
            all.retain(|(_, id)| there.binary_search(id).is_ok());
        }
        Ok(all.into_iter().map(|(labels, _)| labels).collect())
    };
    match ask.near {
        // Which series have a sample in a stretch of time is in the blocks.
        true if bounded => Err(ApiError::new(Kind::Timeout, "not here")),
        true => ask.api.files.with_catalog_at_hand(LISTED_HERE / selectors.len(), find),
        false => ask.api.files.with_catalog(find),
    }
}

/// Appends a list, cut at the limit.
fn write_limited<T>(
    ask: &Ask<'_>,
    out: &mut String,
    items: impl ExactSizeIterator<Item = T>,
    write: impl FnMut(&mut String, T),
) -> Result<Notes, ApiError> {
    let limit = ask.params.limit("limit")?;
    let mut notes = Notes::default();
    if items.len() > limit {
        notes.warnings.push("results truncated due to limit".to_owned());
    }
    write_list(out, items.take(limit), write);
    Ok(notes)
}

/// `series`
pub(super) fn series(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    if ask.params.all("match[]").next().is_none() {
        return Err(ApiError::new(Kind::BadData, "no match[] parameter provided"));
    }
    let found = matching(ask)?;
    write_limited(ask, out, found.iter(), |out, labels| write_labels(out, labels))
}

/// `labels`
pub(super) fn labels(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let found = matching(ask)?;
    let names: BTreeSet<&str> = found.iter().flat_map(|l| l.iter()).map(|(name, _)| name).collect();
    write_limited(ask, out, names.into_iter(), write_text)
}

/// `label/NAME/values`
pub(super) fn values(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let name = unescaped(ask.name);
    if name.is_empty() {
        return Err(ApiError::new(Kind::BadData, "invalid label name: it is empty, or not UTF-8"));
    }
    let found = matching(ask)?;
    let values: BTreeSet<&str> = found.iter().filter_map(|labels| labels.get(&name)).collect();
    write_limited(ask, out, values.into_iter(), write_text)
}

/// `metadata`
pub(super) fn metadata(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let (limit, each) = (ask.params.most("limit")?, ask.params.most("limit_per_metric")?);
    // No metric is without a type: for this one, 0 means all, too.
    let each = if each == 0 { usize::MAX } else { each };
    let wanted = ask.params.get("metric");
    let known = ask.api.files.with_reader(|reader, _| {
        reader.series().map_err(|e| ApiError::new(Kind::Internal, e.to_string()))
    })?;
    let mut by_name: BTreeMap<&str, BTreeSet<(&str, &str, &str)>> = BTreeMap::new();
    for series in known.iter().filter(|s| wanted.is_empty() || s.name == wanted) {
        let one = (series.kind.as_str(), series.help.as_str(), series.unit.as_str());
        by_name.entry(&series.name).or_default().insert(one);
    }
    out.push('{');
    for (at, (name, all)) in by_name.iter().take(limit).enumerate() {
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
