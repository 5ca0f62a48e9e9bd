//! http: the contents of the page: the charts of a system, and its verdict.

use std::sync::{Arc, Mutex};

use super::{Page, failed};
use crate::alert::forecast::Forecast;
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::http::respond::Sheet;
use crate::overview::{
    Chart, Verdict, disk_forecasts, verdict as judge, write_overview, write_verdict,
};
use crate::store::Reader;

/// A verdict serves all requests within this time, ms.
const FRESH_MS: i64 = 5_000;
/// The number of systems whose verdicts are cached.
const MOST: usize = 64;

/// The findings, and the forecasts of charts.
type Found = Arc<(Verdict, Vec<(String, Forecast)>)>;

/// The newest verdicts: system, when.
#[derive(Default)]
pub(super) struct Verdicts(Mutex<Vec<(String, i64, Found)>>);

impl Page {
    /// The verdict on a system, at most a few seconds old.
    pub(super) fn judged(&self, system: &str) -> Result<Found, ApiError> {
        self.known_verdict(system).map_or_else(
            || self.with_charts(system, |reader, charts| self.judge(system, reader, charts)),
            Ok,
        )
    }

    fn known_verdict(&self, system: &str) -> Option<Found> {
        let now = self.api.state().clock.wall_ms();
        let mut known = self.verdicts.0.lock().unwrap_or_else(|e| e.into_inner());
        known.retain(|(_, at, _)| (0..FRESH_MS).contains(&(now - at)));
        known.iter().find(|(of, _, _)| of == system).map(|(_, _, found)| Arc::clone(found))
    }

    /// Judges a system by these charts.
    pub(super) fn judge(
        &self,
        system: &str,
        reader: &Reader,
        charts: &[Chart],
    ) -> Result<Found, ApiError> {
        if let Some(found) = self.known_verdict(system) {
            return Ok(found);
        }
        let now = self.api.state().clock.wall_ms();
        let troubles = self.troubles(system);
        let verdict = judge(reader, charts, now, &troubles, self.whose(system)).map_err(failed)?;
        let forecasts = disk_forecasts(reader, charts, now + verdict.ahead).map_err(failed)?;
        let forecasts = forecasts.into_iter().map(|(c, f)| (c.id.clone(), f)).collect();
        let found: Found = Arc::new((verdict, forecasts));
        let mut known = self.verdicts.0.lock().unwrap_or_else(|e| e.into_inner());
        if known.len() < MOST {
            known.push((system.to_owned(), now, Arc::clone(&found)));
        }
        Ok(found)
    }
}

/// `GET /api/verdict?host=`
pub(super) fn verdict(page: &Page, params: &Params, _: &Sheet<'_>) -> Result<String, ApiError> {
    let found = page.judged(page.system(params))?;
    let (verdict, forecasts) = &*found;
    let mut out = String::from("{");
    write_verdict(&mut out, page.api.state().clock.wall_ms(), verdict, named(forecasts));
    out.push('}');
    Ok(out)
}

fn named(forecasts: &[(String, Forecast)]) -> impl Iterator<Item = (&str, &Forecast)> {
    forecasts.iter().map(|(chart, forecast)| (&**chart, forecast))
}

/// A number or null.
pub(super) fn number(value: Option<i64>) -> String {
    value.map_or_else(|| "null".to_owned(), |v| v.to_string())
}

/// `GET /api/overview?host=`: the systems, the verdict and every chart without its numbers.
pub(super) fn overview(
    page: &Page,
    params: &Params,
    sheet: &Sheet<'_>,
) -> Result<String, ApiError> {
    let system = page.system(params);
    let charts = page.with_charts(system, |_, charts| Ok(Arc::clone(charts)))?;
    sheet.task.check()?;
    let (found, now) = (page.judged(system)?, page.api.state().clock.wall_ms());
    let (verdict, forecasts) = &*found;
    let mut out = String::new();
    write_overview(&mut out, system, &page.systems(), &charts, now, verdict, named(forecasts));
    sheet.room(&mut out, 0)?;
    Ok(out)
}
