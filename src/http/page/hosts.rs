//! http: all systems at a glance: how each is, and three numbers of it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::overview::number;
use super::{Page, failed};
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::http::respond::{SOME, Sheet};
use crate::overview::glance::brief;
use crate::overview::{Chart, charts, write_short};
use crate::store::{Known, Reader};
use crate::wire::json::write_string;

/// More systems than this are not looked at in one answer, which says how many are left out.
const MOST: usize = 200;
/// An answer serves all requests within this time, ms.
const FRESH_MS: i64 = 2_000;

/// The newest answer, and when it was ready.
#[derive(Default)]
pub(super) struct Newest(Mutex<Option<(i64, String)>>);

/// `GET /api/hosts`: name, verdict, load, memory in use and the fullest disk, both in percent, all as of now. What is
/// known of the file is read once for all hosts. A machine that is gone has no numbers.
pub(super) fn hosts(page: &Page, _: &Params, sheet: &Sheet<'_>) -> Result<String, ApiError> {
    let newest = || page.hosts.0.lock().unwrap_or_else(|e| e.into_inner());
    let now = || page.api.state().clock.wall_ms();
    if let Some((at, text)) = &*newest()
        && (0..FRESH_MS).contains(&(now() - at))
    {
        return Ok(text.clone());
    }
    let own = page.api.state().system.as_str();
    let out = page.with_charts(own, |reader, charts_here| {
        let series = reader.series().map_err(failed)?;
        let graphs = reader.graphs().map_err(failed)?;
        let mut of: BTreeMap<&str, &[Known]> = BTreeMap::new();
        for one in series.chunk_by(|a, b| a.system_id == b.system_id) {
            of.insert(&one[0].system, one);
        }
        of.remove(own);
        let mut out = String::from(r#"{"hosts":["#);
        write_host(page, sheet, reader, &mut out, own, charts_here)?;
        for (host, series) in of.iter().take(MOST - 1) {
            out.push(',');
            write_host(page, sheet, reader, &mut out, host, &charts(series, &graphs, host))?;
        }
        out.push_str(&format!(r#"],"left_out":{}}}"#, (of.len() + 1).saturating_sub(MOST)));
        Ok(out)
    })?;
    *newest() = Some((now(), out.clone()));
    Ok(out)
}

fn write_host(
    page: &Page,
    sheet: &Sheet<'_>,
    reader: &Reader,
    out: &mut String,
    host: &str,
    charts: &[Chart],
) -> Result<(), ApiError> {
    sheet.room(out, SOME)?;
    let found = page.judge(host, reader, charts)?;
    let verdict = &found.0;
    out.push_str(r#"{"name":"#);
    write_string(out, host);
    out.push_str(&format!(
        r#","level":"{}","newest":{},"text":"#,
        verdict.level.name(),
        number(verdict.newest)
    ));
    let said = match verdict.findings.first() {
        Some(finding) => format!("{} {}", finding.subject, finding.text),
        None if verdict.gone => verdict.words(),
        None => String::new(),
    };
    write_string(out, &said);
    if verdict.gone {
        out.push_str(r#","gone":1"#);
    }
    // By that machine's clock.
    let now = page.api.state().clock.wall_ms() + verdict.ahead;
    let values = brief(reader, charts, now).map_err(failed)?;
    for (name, value) in ["load", "memory", "disk"].into_iter().zip(values) {
        out.push_str(&format!(r#","{name}":"#));
        write_short(out, value);
    }
    out.push('}');
    Ok(())
}
