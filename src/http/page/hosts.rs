//! http: all systems at a glance: how each is, and three numbers of it.

use super::overview::number;
use super::{Page, failed};
use crate::http::prometheus::error::ApiError;
use crate::http::prometheus::params::Params;
use crate::http::prometheus::{SOME, Sheet};
use crate::overview::{Chart, Line, read, write_short};
use crate::store::Reader;
use crate::wire::json::write_string;

/// More systems than this are not looked at in one answer.
const MOST: usize = 200;
/// The numbers are means of the newest of these, ms.
const WIDTH_MS: i64 = 300_000;

/// `GET /api/hosts`: name, verdict, load, memory in use and the fullest disk, both in percent.
pub(super) fn hosts(page: &Page, _: &Params, sheet: &Sheet<'_>) -> Result<String, ApiError> {
    let own = page.api.state().system.clone();
    page.with_charts(&own, |_, _| Ok(()))?;
    let mut out = String::from(r#"{"hosts":["#);
    for (at, host) in page.systems().iter().take(MOST).enumerate() {
        sheet.room(&mut out, SOME)?;
        if at > 0 {
            out.push(',');
        }
        out.push_str(r#"{"name":"#);
        write_string(&mut out, host);
        let found = page.judged(host)?;
        let verdict = &found.0;
        out.push_str(&format!(
            r#","level":"{}","newest":{},"text":"#,
            verdict.level.name(),
            number(verdict.newest)
        ));
        let said = verdict.findings.first().map(|f| format!("{} {}", f.subject, f.text));
        write_string(&mut out, said.as_deref().unwrap_or_default());
        // By that machine's clock.
        let now = page.api.state().clock.wall_ms() + verdict.ahead;
        let numbers = page.with_charts(host, |reader, charts| numbers(reader, charts, now))?;
        for (name, value) in ["load", "memory", "disk"].into_iter().zip(numbers) {
            out.push_str(&format!(r#","{name}":"#));
            write_short(&mut out, value);
        }
        out.push('}');
    }
    out.push_str("]}");
    Ok(out)
}

fn numbers(reader: &Reader, charts: &[Chart], now: i64) -> Result<[f64; 3], ApiError> {
    let newest = |line: &Line| {
        let columns = read(reader, line, now - 2 * WIDTH_MS, now, WIDTH_MS).map_err(failed)?;
        Ok(columns.mean.last().copied().unwrap_or(f64::NAN))
    };
    let [mut load, mut memory, mut disk] = [f64::NAN; 3];
    for chart in charts.iter().take_while(|c| c.group.is_empty()) {
        let values = || chart.lines.iter().map(newest).collect::<Result<Vec<f64>, ApiError>>();
        match chart.id.split(':').next() {
            Some("load") => load = values()?.first().copied().unwrap_or(f64::NAN),
            Some("memory") => {
                let values = values()?;
                memory = 100.0 * values.first().copied().unwrap_or(f64::NAN)
                    / values.iter().sum::<f64>();
            }
            Some("disk") => disk = disk.max(values()?.first().copied().unwrap_or(f64::NAN)),
            _ => {}
        }
    }
    Ok([load, memory, disk])
}
