//! cli: `plimsoll export`: samples out, in the open formats.

use std::io::Write;
use std::path::PathBuf;

use super::Global;
use crate::model::{Clock, Glob, Identity, Labels, Series, SystemClock, parse_key};
use crate::store::{Known, Reader, SqlError};
use crate::wire::{Exporter, Format, time};

/// `plimsoll export`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    plimsoll export --from -1d --key 'disk_*' > disks.csv\n  \
    plimsoll export --from 2026-07-01 --to 2026-08-01 -o july.csv\n\n\
    Series of other machines carry the name of their machine. Those of this machine carry none: they\n\
    become series of the machine that imports the file.")]
pub struct Args {
    /// Begin: a date or time (UTC), seconds since 1970, or -1h, -7d [default: the first sample]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// End, inclusive [default: the last sample]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// Only series whose key matches, with * and ?
    #[arg(long, value_name = "GLOB", default_value = "*")]
    key: String,
    /// csv, json or openmetrics [default: by the ending of the file, else csv]
    #[arg(long, value_parser = parse_format)]
    format: Option<Format>,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn parse_format(name: &str) -> Result<Format, String> {
    Format::from_name(name).ok_or_else(|| {
        let names = Format::ALL.map(Format::name);
        format!("use one of {}", names.join(", "))
    })
}

/// Text is handed on in pieces of about this size.
const PIECE: usize = 64 << 10;

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let now = SystemClock.wall_ms();
    let when = |text: &Option<String>, default| {
        text.as_deref().map_or(Ok(default), |t| time::parse_when(t, now))
    };
    let from = when(&args.from, i64::MIN)?;
    let to = when(&args.to, i64::MAX)?;
    anyhow::ensure!(from <= to, "--from is later than --to");
    let format = args
        .format
        .or_else(|| Format::from_path(&args.output.as_ref()?.to_string_lossy()))
        .unwrap_or(Format::Csv);
    let reader = Reader::open(&global.database()?)?;
    // By name, as OpenMetrics wants its families.
    let mut wanted = reader.matching(&Glob::new(&args.key))?;
    wanted.sort_by(|a, b| (&a.name, &a.key, a.system_id).cmp(&(&b.name, &b.key, b.system_id)));
    anyhow::ensure!(
        !wanted.is_empty(),
        "no series has a key like `{}`\n  'plimsoll sql \"select key from series\"' lists them",
        args.key
    );
    let samples = |series: &Known| reader.samples(series.id, from, to);
    match &args.output {
        None => write(&mut super::stdout(), format, &wanted, samples),
        Some(path) => {
            let file = super::output::create(path, reader.path())?;
            let mut out = std::io::BufWriter::new(file);
            write(&mut out, format, &wanted, samples)?;
            match out.get_ref().sync_all() {
                // A pipe or /dev/null: nothing that a power cut could take.
                Err(e) if e.kind() != std::io::ErrorKind::InvalidInput => Err(e.into()),
                _ => Ok(()),
            }
        }
    }
}

fn write(
    out: &mut impl Write,
    format: Format,
    wanted: &[Known],
    samples: impl Fn(&Known) -> Result<(Vec<i64>, Vec<f64>), SqlError>,
) -> anyhow::Result<()> {
    let mut text = String::new();
    let mut exporter = Exporter::new(format, &mut text);
    let own = |known: &&Known| known.system_id == 1;
    let mut keys: Vec<&str> = wanted.iter().filter(own).map(|k| k.key.as_str()).collect();
    keys.sort_unstable();
    for series in wanted {
        let (times, values) = samples(series)?;
        if !times.is_empty() {
            let from = keys.partition_point(|key| *key < series.key.as_str());
            let double = keys.get(from + 1).is_some_and(|next| *next == series.key);
            exporter.series(&mut text, &as_series(series, double));
        }
        for (ts, value) in times.into_iter().zip(values) {
            exporter.sample(&mut text, ts, value);
            if text.len() >= PIECE {
                out.write_all(text.as_bytes())?;
                text.clear();
            }
        }
    }
    exporter.finish(&mut text);
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// A series of another machine is written with the labels `instance` and `job`, one of this machine
/// with its `job` where another one of the same key is written, too: so an import tells them apart.
fn as_series(known: &Known, double: bool) -> Series {
    let (name, mut labels) = parse_key(&known.key);
    let foreign = known.system_id != 1;
    if foreign || double {
        let instance = foreign.then_some(("instance", known.system.as_str()));
        let more = instance.into_iter().chain([("job", known.job.as_str())]);
        labels = Labels::new(labels.iter().chain(more));
    }
    Series {
        identity: Identity::local(&known.job, &name, labels),
        kind: known.kind,
        unit: known.unit.as_str().into(),
        help: known.help.as_str().into(),
    }
}
