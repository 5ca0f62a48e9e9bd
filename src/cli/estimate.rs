//! cli: `plimsoll estimate`: how large the database gets, from the bytes measured in this very one.

use std::io::Write;
use std::sync::Arc;

use serde_json::json;

use super::{Global, show};
use crate::collect::COLLECTORS;
use crate::config::Config;
use crate::model::{Interval, Recorder, Registry};
use crate::store::{OpenError, Reader, Sizes};

/// `plimsoll estimate`
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  plimsoll estimate --series 3 --interval 5m")]
pub struct Args {
    /// This many series instead of what the configuration collects here
    #[arg(long, value_name = "N")]
    series: Option<u64>,
    /// This interval instead of the configured ones
    #[arg(long)]
    interval: Option<Interval>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A row of the text schema `metrics(key, value, timestamp)`, as estimated for the first design.
const NAIVE_BYTES: f64 = 45.0;
/// Measured in databases of a day and more; used until this one has enough rows to be measured.
const USUAL_BYTES: f64 = 15.0;
/// Fewer rows say nothing: half-filled pages weigh too much.
const ENOUGH_ROWS: u64 = 10_000;
const YEAR_MS: f64 = 365.0 * 86_400_000.0;

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let config = Config::find(global.config.as_deref())?;
    let (series, samples) = match args.series {
        Some(n) => {
            (n, n as f64 * YEAR_MS / args.interval.unwrap_or(config.interval).as_ms() as f64)
        }
        None => of_this_machine(&config, args.interval),
    };
    let path = global.database()?;
    let measured = match Reader::open(&path) {
        Ok(reader) => Some(reader.measure()?),
        Err(OpenError::Missing { .. }) => None,
        Err(e) => return Err(e.into()),
    };
    let enough = |s: &&Sizes| s.samples >= ENOUGH_ROWS;
    let bytes = measured
        .as_ref()
        .filter(enough)
        .map_or(USUAL_BYTES, |s| s.sample_bytes as f64 / s.samples as f64);
    let year = samples * bytes;
    let naive = samples * NAIVE_BYTES;
    let mut out = super::stdout();
    if args.json {
        let answer = json!({
            "series": series,
            "samples_per_year": samples,
            "bytes_per_sample": bytes,
            "measured": measured.as_ref().filter(enough).is_some(),
            "bytes_per_year": year,
            "text_schema_bytes_per_year": naive,
            "database": measured.map(|s| json!({ "samples": s.samples, "bytes": s.file_bytes })),
        });
        writeln!(out, "{answer}")?;
    } else {
        let source = match measured.as_ref().filter(enough) {
            Some(s) => {
                format!("measured on {} samples in {}", show::count(s.samples), path.display())
            }
            None => "usual; this database has too few samples to measure".to_owned(),
        };
        let series_word = show::count(series);
        let samples_word = show::count(samples.round() as u64);
        writeln!(out, "series            {series_word:>16}")?;
        writeln!(out, "samples a year    {samples_word:>16}")?;
        writeln!(out, "bytes a sample    {:>16}   {source}", format!("{bytes:.1}"))?;
        writeln!(out, "a year            {:>16}   as plain rows", show::bytes(year))?;
        writeln!(
            out,
            "                  {:>16}   in a text schema, at {NAIVE_BYTES:.0} bytes a row",
            show::bytes(naive)
        )?;
        if let Some(s) = &measured {
            writeln!(
                out,
                "the file now      {:>16}   {} samples",
                show::bytes(s.file_bytes as f64),
                show::count(s.samples)
            )?;
        }
    }
    out.flush()?;
    Ok(())
}

/// Takes one reading to count the series.
fn of_this_machine(config: &Config, interval: Option<Interval>) -> (u64, f64) {
    let registry = Arc::new(Registry::default());
    let filter = Arc::new(config.filter.clone());
    let mut all = (0, 0.0);
    for wanted in &config.collectors {
        let Some(entry) = COLLECTORS.iter().find(|e| e.name == wanted.name) else { continue };
        let mut recorder = Recorder::new(Arc::clone(&registry), "node", Arc::clone(&filter));
        recorder.begin();
        // A collector that fails here fails there too: what it reported counts.
        let _unused = (entry.make)(&config.collect).collect(&mut recorder);
        let n = recorder.samples().len() as u64;
        all.0 += n;
        all.1 += n as f64 * YEAR_MS / interval.unwrap_or(wanted.interval).as_ms() as f64;
    }
    all
}
