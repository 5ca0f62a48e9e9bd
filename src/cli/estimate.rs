//! cli: `plimsoll estimate`: how large the database gets, from the bytes measured in this very one.

use std::io::Write;
use std::sync::Arc;

use serde_json::json;

use super::{Global, show};
use crate::collect::COLLECTORS;
use crate::config::Config;
use crate::model::{Interval, Recorder, Registry, format_size};
use crate::store::{OpenError, PLAIN, Part, Reader, SEALED};

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
/// What is usual, until this database has enough samples to be measured.
const USUAL_PLAIN: f64 = 15.0;
const USUAL_SEALED: f64 = 0.5;
/// Fewer say nothing: half-filled pages weigh too much.
const ENOUGH: u64 = 10_000;
const YEAR_MS: f64 = 365.0 * 86_400_000.0;

/// Bytes a sample of one kind, and where that is known from.
struct Each {
    bytes: f64,
    measured_on: Option<u64>,
}

impl Each {
    fn of(parts: &[Part], name: &str, usual: f64) -> Self {
        let part = parts.iter().find(|p| p.name == name && p.samples >= ENOUGH);
        match part.and_then(|p| Some((p.bytes_a_sample()?, p.samples))) {
            Some((bytes, samples)) => Self { bytes, measured_on: Some(samples) },
            None => Self { bytes: usual, measured_on: None },
        }
    }

    fn source(&self) -> String {
        match self.measured_on {
            Some(n) => format!("measured on {} samples in this database", show::count(n)),
            None => "usual; this database has too few samples to measure".to_owned(),
        }
    }
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let config = Config::find(global.config.as_deref())?;
    let (series, samples) = match args.series {
        Some(n) => {
            (n, n as f64 * YEAR_MS / args.interval.unwrap_or(config.interval).as_ms() as f64)
        }
        None => of_this_machine(&config, args.interval),
    };
    let parts = match Reader::open(&global.database()?) {
        Ok(reader) => reader.parts()?,
        Err(OpenError::Missing { .. }) => Vec::new(),
        Err(e) => return Err(e.into()),
    };
    let sealed = Each::of(&parts, SEALED, USUAL_SEALED);
    let plain = Each::of(&parts, PLAIN, USUAL_PLAIN);
    let file: u64 = parts.iter().map(|p| p.bytes).sum();
    let mut out = super::stdout();
    if args.json {
        let one = |e: &Each| {
            json!({
                "bytes_per_sample": e.bytes,
                "measured": e.measured_on.is_some(),
                "bytes_per_year": samples * e.bytes,
            })
        };
        let answer = json!({
            "series": series,
            "samples_per_year": samples,
            "sealed": one(&sealed),
            "plain_rows": one(&plain),
            "text_schema": { "bytes_per_sample": NAIVE_BYTES, "bytes_per_year": samples * NAIVE_BYTES },
            "max_size": config.limits.max_size,
            "database_bytes": file,
        });
        writeln!(out, "{answer}")?;
    } else {
        let mut line = |name: &str, value: String, text: &str| {
            writeln!(out, "{}", format!("{name:<18}{value:>16}   {text}").trim_end())
        };
        line("series", show::count(series), "")?;
        line("samples a year", show::count(samples.round() as u64), "")?;
        line("a sample, sealed", format!("{:.2} B", sealed.bytes), &sealed.source())?;
        line("a sample, plain", format!("{:.1} B", plain.bytes), &plain.source())?;
        line("a year, sealed", show::bytes(samples * sealed.bytes), "")?;
        line(
            "a year, plain",
            show::bytes(samples * plain.bytes),
            "if the budget of plain rows allowed it",
        )?;
        let naive = format!("in a text schema, at {NAIVE_BYTES:.0} bytes a row");
        line("", show::bytes(samples * NAIVE_BYTES), &naive)?;
        line(
            "never more than",
            format_size(config.limits.max_size),
            "max_size in the configuration",
        )?;
        if file > 0 {
            line("the file now", show::bytes(file as f64), "")?;
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
