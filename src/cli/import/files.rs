//! cli: `plimsoll import FILE`: samples in, from CSV, JSON and OpenMetrics.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{Global, show};
use crate::model::{Clock, SystemClock};
use crate::store::{Import, OpenError, Sender, Store};
use crate::wire::{About, Format, Record, is_gzip};

/// `plimsoll import FILE`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "CSV has a header: key,timestamp,value in any order (unix_ts also names the time).\n\
    A time is RFC 3339, YYYY-MM-DD HH:MM:SS in UTC, or seconds or milliseconds since 1970.\n\
    Rows that cannot be read are told with their line and counted; the others are taken.\n\
    More than a million samples are sealed at once: samples_all() in SQL has them, metrics has not."
)]
pub struct Args {
    /// Files, packed with gzip or not; - is standard input
    #[arg(required = true)]
    file: Vec<PathBuf>,
    /// csv, json or openmetrics [default: as the contents or the name say]
    #[arg(long, value_parser = crate::cli::export::parse_format)]
    format: Option<Format>,
}

/// Rows handed over at once.
const BATCH: usize = 20_000;
/// Bad rows told by line; the others are only counted.
const TOLD: u64 = 10;
const SNIFF: usize = 4096;

/// Where the rows go.
pub(super) enum Target<'s> {
    /// Nobody else collects into the file.
    Store(Import<'s>),
    /// Its daemon takes them in.
    Daemon(Sender),
}

impl<'s> Target<'s> {
    /// The file itself, which is kept in `store`, or the daemon that has it.
    pub(super) fn open(path: &Path, store: &'s mut Option<Store>) -> anyhow::Result<Self> {
        match Store::open(path, &crate::daemon::host_name(), Arc::default()) {
            Ok(opened) => Ok(Self::Store(store.insert(opened).begin_import())),
            Err(OpenError::InUse { .. }) => Ok(Self::Daemon(Sender::open(path)?)),
            Err(e) => Err(e.into()),
        }
    }

    /// What the file says of a series that is new.
    fn describe(&mut self, key: &str, about: &About<'_>) -> anyhow::Result<()> {
        let About { kind, unit, help } = *about;
        match self {
            Self::Store(import) => import.describe(key, kind, unit, help)?,
            Self::Daemon(sender) => sender.describe(key, kind, unit, help)?,
        }
        Ok(())
    }

    pub(super) fn write(&mut self, rows: &[Record]) -> anyhow::Result<()> {
        let rows = rows.iter().map(|r| (r.key.as_str(), r.ts, r.value));
        match self {
            Self::Store(import) => import.put(rows)?,
            Self::Daemon(sender) => sender.send(rows)?,
        }
        Ok(())
    }
}

#[derive(Default)]
struct Tally {
    taken: u64,
    bad: u64,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let path = match &global.db {
        Some(db) => db.clone(),
        None => global.database()?,
    };
    let mut store = None;
    let mut target = Target::open(&path, &mut store)?;
    let mut all = Tally::default();
    for file in &args.file {
        let tally =
            one(file, args.format, &mut target).with_context(|| format!("{}", file.display()))?;
        all.taken += tally.taken;
        all.bad += tally.bad;
    }
    let mut out = crate::cli::stdout();
    let (goes, refused) = match target {
        Target::Store(import) => ("imported into", import.finish()?),
        Target::Daemon(_) => ("handed to the running plimsoll of", 0),
    };
    let taken = show::count(all.taken - refused);
    writeln!(out, "{taken} samples {goes} {}", path.display())?;
    if refused > 0 {
        writeln!(out, "{} refused: more names than one database takes", show::count(refused))?;
    }
    if all.bad > 0 {
        writeln!(out, "{} bad rows were left out", show::count(all.bad))?;
    }
    out.flush()?;
    anyhow::ensure!(all.taken > 0 || all.bad == 0, "no row could be read");
    Ok(())
}

fn one(path: &Path, format: Option<Format>, target: &mut Target<'_>) -> anyhow::Result<Tally> {
    let (input, length): (Box<dyn Read>, u64) = if path == Path::new("-") {
        (Box::new(io::stdin().lock()), 0)
    } else {
        let file = File::open(path)?;
        anyhow::ensure!(!file.metadata()?.is_dir(), "this is a folder");
        let length = file.metadata()?.len();
        (Box::new(file), length)
    };
    let bar = progress(length);
    let (head, input) = peek(bar.wrap_read(input))?;
    let (head, input): (Vec<u8>, Box<dyn Read>) = if is_gzip(&head) {
        peek(flate2::read::MultiGzDecoder::new(input)).context("cannot unpack it")?
    } else {
        (head, input)
    };
    if head.is_empty() {
        return Ok(Tally::default());
    }
    let format = format
        .or_else(|| Format::sniff(&head))
        .or_else(|| Format::from_path(&path.to_string_lossy()))
        .context("this is neither CSV with a header, JSON nor OpenMetrics\n  say which: --format csv|json|openmetrics")?;
    let mut records = format.reader(input, SystemClock.wall_ms());
    let mut tally = Tally::default();
    let mut batch = vec![Record::default(); BATCH];
    let mut filled = 0;
    let mut described = String::new();
    while let Some(result) = records.next(&mut batch[filled]) {
        match result {
            Ok(()) => {
                let key = &batch[filled].key;
                if described != *key {
                    if let Some(about) = records.about() {
                        target.describe(key, &about)?;
                    }
                    described.clone_from(key);
                }
                filled += 1;
                if filled == BATCH {
                    target.write(&batch)?;
                    tally.taken += filled as u64;
                    filled = 0;
                }
            }
            Err(e) => {
                tally.bad += 1;
                if e.fatal || tally.bad <= TOLD {
                    bar.suspend(|| writeln!(io::stderr(), "{}: {e}", path.display()))?;
                }
            }
        }
    }
    target.write(&batch[..filled])?;
    tally.taken += filled as u64;
    bar.finish_and_clear();
    Ok(tally)
}

/// The first bytes, and a reader that still begins with them.
fn peek<'a>(mut input: impl Read + 'a) -> io::Result<(Vec<u8>, Box<dyn Read + 'a>)> {
    let mut head = Vec::new();
    input.by_ref().take(SNIFF as u64).read_to_end(&mut head)?;
    let again = io::Cursor::new(head.clone()).chain(input);
    Ok((head, Box::new(again)))
}

fn progress(length: u64) -> ProgressBar {
    if length == 0 || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template(
        "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
    ) {
        bar.set_style(style);
    }
    bar
}
