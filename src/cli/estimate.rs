//! cli: `plimsoll estimate`: how large the database gets, from the bytes measured in this very one.

use std::io::Write;
use std::sync::Arc;

use serde_json::json;

use super::{Global, show};
use crate::collect::COLLECTORS;
use crate::config::Config;
use crate::daemon::Rate;
use crate::daemon::control::{Request, ask};
use crate::model::{Interval, Recorder, Registry, Unit};
use crate::store::{FIVE_MINUTES, HOURLY, Limits, OpenError, PLAIN, Reader, SEALED, Usage};

/// `plimsoll estimate`
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  plimsoll estimate --series 3 --interval 5m")]
pub struct Args {
    /// Number of series [default: those that the configuration collects here]
    #[arg(long, value_name = "N")]
    series: Option<u64>,
    /// Interval of all collectors [default: as configured]
    #[arg(long)]
    interval: Option<Interval>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A row of the text schema `metrics(key, value, timestamp)`, as estimated for the first design.
const NAIVE_BYTES: f64 = 45.0;
/// The typical size, until this database has enough samples to be measured.
const USUAL_PLAIN: f64 = 15.0;
const USUAL_SEALED: f64 = 0.5;
const USUAL_BUCKET: f64 = 7.0;
const USUAL_HOUR: f64 = 72.0;
/// Fewer samples are not representative: half-filled pages weigh too much.
const ENOUGH: u64 = 10_000;
const YEAR_MS: f64 = 365.0 * 86_400_000.0;

/// Bytes a sample of one kind, and where that is known from.
struct Each {
    bytes: f64,
    measured_on: Option<u64>,
}

impl Each {
    fn of(parts: &[Usage], name: &str, usual: f64) -> Self {
        let part = parts.iter().find(|p| p.name == name && p.samples >= ENOUGH);
        match part.and_then(|p| Some((p.bytes_a_sample()?, p.samples))) {
            Some((bytes, samples)) => Self { bytes, measured_on: Some(samples) },
            None => Self { bytes: usual, measured_on: None },
        }
    }

    fn source(&self) -> String {
        match self.measured_on {
            Some(n) => format!("measured on {} samples in this database", show::count(n)),
            None => "typical; this database has too few samples to measure".to_owned(),
        }
    }
}

/// The contents of a file.
pub(super) struct Held<'a> {
    limits: &'a Limits,
    series: f64,
    /// A year.
    samples: f64,
    /// Bytes of a sealed sample, a plain one, a bucket of five minutes, an hour.
    bytes: [f64; 4],
}

impl<'a> Held<'a> {
    /// What this configuration comes to, by what is usual: so many series, and samples a year.
    pub(super) fn usual(limits: &'a Limits, series: u64, samples: f64) -> Self {
        let bytes = [USUAL_SEALED, USUAL_PLAIN, USUAL_BUCKET, USUAL_HOUR];
        Self { limits, series: series as f64, samples, bytes }
    }

    /// What it comes to when everything is as old as it may become, if `max_size` does not hold it.
    pub(super) fn at_last(&self) -> f64 {
        let Limits { hours_ms, five_minutes_ms, raw_ms, .. } = self.limits;
        self.after(*(hours_ms.max(five_minutes_ms).max(raw_ms)) as f64 / YEAR_MS)
    }

    /// For how many days `max_size` holds samples, beside the summaries of all their time.
    pub(super) fn days_of_samples(&self) -> f64 {
        let limits = Limits { raw_ms: 0, ..*self.limits };
        let others = Held { limits: &limits, ..*self }.at_last();
        let room = self.limits.max_size as f64 - others;
        // The summaries become fewer, too, where they leave no room.
        let least = self.limits.max_size as f64 / 4.0;
        let day = self.samples / 365.0 * self.bytes[0];
        room.max(least) / day.max(1.0)
    }

    /// The size of the file after this many years, without `max_size`.
    pub(super) fn after(&self, years: f64) -> f64 {
        let kept = |ms: i64| years.min(ms as f64 / YEAR_MS);
        // A bucket begins with a sample.
        let buckets = |width_ms: f64| (self.series * YEAR_MS / width_ms).min(self.samples);
        let [sealed, plain, bucket, hour] = self.bytes;
        kept(self.limits.raw_ms) * self.samples * sealed
            + (years * self.samples * plain).min(self.limits.plain_rows as f64)
            + kept(self.limits.five_minutes_ms) * buckets(300_000.0) * bucket
            + kept(self.limits.hours_ms) * buckets(3_600_000.0) * hour
    }
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let path = global.database()?;
    let mut config = global.config_in_force(&path)?;
    let read_now = rates(&path);
    for collector in &mut config.collectors {
        let rate = read_now.iter().find(|rate| rate.collector == collector.name);
        // One that returns to its own by itself does not last.
        let lasting = rate.filter(|rate| rate.ends_in_ms.is_none());
        let interval = lasting.and_then(|rate| format!("{}ms", rate.interval_ms).parse().ok());
        collector.interval = interval.unwrap_or(collector.interval);
    }
    let (series, samples) = match args.series {
        Some(n) => {
            (n, n as f64 * YEAR_MS / args.interval.unwrap_or(config.interval).as_ms() as f64)
        }
        None => of_this_machine(&config, args.interval),
    };
    let about = match (args.series, read_now.is_empty()) {
        (Some(_), _) => "",
        (None, true) => "what this machine measures itself, by the configuration",
        (None, false) => "what this machine measures itself, at the rates of the running plimsoll",
    };
    let parts = match Reader::open(&path) {
        Ok(reader) => reader.parts()?,
        Err(OpenError::Missing { .. }) => Vec::new(),
        Err(e) => return Err(e.into()),
    };
    let sealed = Each::of(&parts, SEALED, USUAL_SEALED);
    let plain = Each::of(&parts, PLAIN, USUAL_PLAIN);
    let held = Held {
        limits: &config.limits,
        series: series as f64,
        samples,
        bytes: [
            sealed.bytes,
            plain.bytes,
            Each::of(&parts, FIVE_MINUTES, USUAL_BUCKET).bytes,
            Each::of(&parts, HOURLY, USUAL_HOUR).bytes,
        ],
    };
    let (one_year, at_last) = (held.after(1.0), held.at_last());
    let most = config.limits.max_size as f64;
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
            "after_a_year": one_year.min(most),
            "at_last": at_last.min(most),
            "at_last_without_max_size": at_last,
            "max_size": config.limits.max_size,
            "database_bytes": file,
        });
        writeln!(out, "{answer}")?;
    } else {
        let mut line = |name: &str, value: String, text: &str| {
            writeln!(out, "{}", format!("{name:<18}{value:>16}   {text}").trim_end())
        };
        line("series", show::count(series), about)?;
        let each_second = format!("{} a second", Unit::Plain.format(samples * 1_000.0 / YEAR_MS));
        line("samples a year", show::count(samples.round() as u64), &each_second)?;
        line("a sample, sealed", Unit::Bytes.format(sealed.bytes), &sealed.source())?;
        line("a sample, plain", Unit::Bytes.format(plain.bytes), &plain.source())?;
        line("a year, sealed", Unit::Bytes.format(samples * sealed.bytes), "")?;
        line(
            "a year, plain",
            Unit::Bytes.format(samples * plain.bytes),
            "if plain_rows allowed it",
        )?;
        let naive = format!("in a text schema, at {NAIVE_BYTES:.0} bytes a row");
        line("", Unit::Bytes.format(samples * NAIVE_BYTES), &naive)?;
        line(
            "after a year",
            Unit::Bytes.format(one_year.min(most)),
            "with five-minute and hourly rows, without expired samples",
        )?;
        line(
            "in the long run",
            Unit::Bytes.format(at_last.min(most)),
            if at_last > most { "max_size shortens the configured ages" } else { "" },
        )?;
        line("never more than", Unit::Bytes.format(most), "max_size in the configuration")?;
        if file > 0 {
            line("the file now", Unit::Bytes.format(file as f64), "")?;
        }
    }
    out.flush()?;
    Ok(())
}

/// How often the running plimsoll reads what; nothing if none runs.
fn rates(path: &std::path::Path) -> Vec<Rate> {
    let answer = ask(path, &Request::Rates).ok().filter(|answer| answer.ok);
    answer.and_then(|answer| serde_json::from_value(answer.data).ok()).unwrap_or_default()
}

/// The series of this machine, and their samples a year: takes one reading to count them.
pub(super) fn of_this_machine(config: &Config, interval: Option<Interval>) -> (u64, f64) {
    let registry = Arc::new(Registry::default());
    let filter = Arc::new(config.filter.clone());
    let mut all = (0, 0.0);
    for wanted in &config.collectors {
        let Some(entry) = COLLECTORS.iter().find(|e| e.name == wanted.name) else { continue };
        let mut recorder = Recorder::new(Arc::clone(&registry), "node", Arc::clone(&filter));
        recorder.begin();
        // A collector that fails here fails there, too; the values that it reported count.
        let _unused = (entry.make)(&config.collect).collect(&mut recorder);
        let n = recorder.samples().len() as u64;
        all.0 += n;
        all.1 += n as f64 * YEAR_MS / interval.unwrap_or(wanted.interval).as_ms() as f64;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_long_counts() {
        let limits = Limits::default();
        // 100 series every ten seconds.
        let samples = 100.0 * YEAR_MS / 10_000.0;
        let held = Held { limits: &limits, series: 100.0, samples, bytes: [0.5, 15.0, 7.0, 72.0] };
        let (raw, plain) = (100.0 * 8_640.0 * 30.0 * 0.5, 64e6);
        let (fine, hours) = (100.0 * 288.0 * 7.0, 100.0 * 24.0 * 72.0);
        assert_eq!(held.after(1.0), raw + plain + 365.0 * (fine + hours));
        assert_eq!(held.after(20.0), raw + plain + 400.0 * fine + 3_650.0 * hours);
        // Three every two hours: no bucket without a sample.
        let samples = 3.0 * 12.0 * 365.0;
        let held = Held { samples, series: 3.0, ..held };
        let month = 30.0 / 365.0;
        assert_eq!(held.after(1.0), samples * (month * 0.5 + 15.0 + 7.0 + 72.0));
    }
}
