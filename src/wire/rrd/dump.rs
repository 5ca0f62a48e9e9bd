//! wire: the output of `rrdtool dump`. Only the needed tags are read. Rows have times only in
//! comments, so the times follow from the last update, as in rrdtool's own `src/rrd_restore.c`.

use super::layout::HERE;
use super::{Archive, Consolidation, DataSource, LATEST, Rrd, RrdError, SourceType};

/// The text between a tag and its end, and the rest.
fn between<'a>(text: &'a str, tag: &str) -> Option<(&'a str, &'a str)> {
    let open = format!("<{tag}>");
    let close = format!("</{tag}>");
    let start = text.find(&open)? + open.len();
    let end = start + text[start..].find(&close)?;
    Some((text[start..end].trim(), &text[end + close.len()..]))
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|v: &f64| !v.is_nan())
}

fn whole(text: &str, tag: &str) -> Result<i64, RrdError> {
    let found = between(text, tag).and_then(|(text, _)| text.parse().ok());
    found.filter(|n| (0..=LATEST).contains(n)).ok_or(RrdError::Damaged("a number of its head"))
}

pub(super) fn read(text: &str) -> Result<Rrd<'static>, RrdError> {
    let body = text.find("<rrd>").map(|at| &text[at..]).ok_or(RrdError::NotRrd)?;
    let archives_at = body.find("<rra>").unwrap_or(body.len());
    let (head, mut rest) = body.split_at(archives_at);
    let (step, updated) = (whole(head, "step")?, whole(head, "lastupdate")?);
    if step == 0 {
        return Err(RrdError::Damaged("no data source, or no step"));
    }
    let mut sources = Vec::new();
    let mut left = head;
    while let Some((ds, after)) = between(left, "ds") {
        let word = |tag: &str| between(ds, tag).map(|(word, _)| word).unwrap_or_default();
        sources.push(DataSource {
            name: word("name").to_owned(),
            kind: SourceType::from_word(word("type")),
            min: number(word("min")),
            max: number(word("max")),
            last: number(word("last_ds")),
        });
        left = after;
    }
    if sources.is_empty() {
        return Err(RrdError::Damaged("no data source, or no step"));
    }
    let (mut archives, mut data) = (Vec::new(), Vec::new());
    while let Some((archive, after)) = between(rest, "rra") {
        rest = after;
        let span = whole(archive, "pdp_per_row")?.checked_mul(step);
        let span = span.filter(|s| (1..=LATEST).contains(s));
        let span = span.ok_or(RrdError::Damaged("the length of a row"))?;
        let how = between(archive, "cf").map(|(word, _)| word).unwrap_or_default();
        let at = data.len();
        let mut values = archive.find("<database>").map_or("", |at| &archive[at..]);
        let mut found = 0;
        while let Some((value, after)) = between(values, "v") {
            data.extend(number(value).unwrap_or(f64::NAN).to_le_bytes());
            found += 1;
            values = after;
        }
        if found % sources.len() != 0 || found == 0 {
            return Err(RrdError::Damaged("a row"));
        }
        let rows = found / sources.len();
        archives.push(Archive {
            how: Consolidation::from_word(how),
            rows,
            span,
            newest: updated - updated % span,
            current: rows - 1,
            at,
        });
    }
    if !text.contains("</rrd>") {
        let found = text.len() as u64;
        return Err(RrdError::Short { found, expected: found + 1 });
    }
    Ok(Rrd { step, updated, sources, archives, data: data.into(), layout: HERE })
}
