//! cli: `plimsoll import FILE`: samples in, from CSV, JSON and OpenMetrics.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{Global, show};
use crate::draw;
use crate::model::{Clock, SystemClock};
use crate::store::{Import, InboxSender, Limits, OpenError, Store};
use crate::wire::{About, Format, Record, Records, is_gzip};

/// `plimsoll import FILE`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "CSV has a header: key,timestamp,value in any order (unix_ts also names the time).\n\
    A time is RFC 3339, YYYY-MM-DD HH:MM:SS in UTC, or seconds or milliseconds since 1970.\n\
    Rows that cannot be read are reported with their line; all others are imported.\n\
    More than a million samples are sealed at once: samples_all() in SQL shows them, metrics does not."
)]
pub struct Args {
    /// Files, also packed with gzip; - is standard input, and pipes such as <(zcat …) work
    #[arg(required = true)]
    file: Vec<PathBuf>,
    /// csv, json or openmetrics [default: recognised by name or contents]
    #[arg(long, value_parser = crate::cli::export::parse_format)]
    format: Option<Format>,
}

/// Rows in one piece.
const BATCH: usize = 20_000;
/// Number of bad rows that are reported by line; more are only counted.
const TOLD: u64 = 10;
const SNIFF: usize = 4096;

/// The place where the rows go.
pub(super) enum Target<'s> {
    /// No daemon collects into the file.
    Store(Import<'s>),
    /// Its daemon takes them in.
    Daemon(InboxSender),
}

impl<'s> Target<'s> {
    /// The file itself, which is kept in `store`, or the daemon that has it.
    pub(super) fn open(
        path: &Path,
        limits: Limits,
        store: &'s mut Option<Store>,
    ) -> anyhow::Result<Self> {
        match Store::open(path, &crate::config::host_name(), Arc::default()) {
            Ok(opened) => {
                let store = store.insert(opened);
                store.set_limits(limits);
                Ok(Self::Store(store.begin_import()))
            }
            Err(OpenError::InUse { .. }) => Ok(Self::Daemon(InboxSender::open(path)?)),
            Err(e) => Err(e.into()),
        }
    }

    /// Stores the description of a new series.
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
            Self::Daemon(sender) => {
                sender.wait()?;
                sender.send(rows)?;
            }
        }
        Ok(())
    }
}

/// Files that failed, told by name as they do, while others go on.
#[derive(Default)]
pub(super) struct Failed(u64);

impl Failed {
    pub(super) fn add(&mut self, file: &Path, why: impl std::fmt::Display) -> io::Result<()> {
        self.0 += 1;
        writeln!(crate::cli::stderr(), "{}: {why}", file.display())
    }

    /// The result of the import.
    pub(super) fn end(&self) -> anyhow::Result<()> {
        let files = if self.0 == 1 { "file" } else { "files" };
        anyhow::ensure!(self.0 == 0, "{} {files} could not be imported", show::count(self.0));
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
    let limits = super::limits(global);
    let mut target = Target::open(&path, limits, &mut store)?;
    let mut all = Tally::default();
    let mut failed = Failed::default();
    for file in &args.file {
        let mut tally = Tally::default();
        let read = one(file, args.format, &mut target, &mut tally)?;
        all.taken += tally.taken;
        all.bad += tally.bad;
        if let Err(why) = read {
            failed.add(file, format!("{why:#}"))?;
        }
    }
    let mut out = crate::cli::stdout();
    let (goes, refused) = match target {
        Target::Store(import) => ("imported into", import.finish()?),
        Target::Daemon(_) => ("handed to the running plimsoll of", 0),
    };
    if all.taken > 0 || failed.0 == 0 {
        let taken = show::counted(all.taken - refused, "sample", "samples");
        writeln!(out, "{taken} {goes} {}", path.display())?;
    }
    if refused > 0 {
        writeln!(out, "{} refused: a database cannot hold more names", show::count(refused))?;
    }
    if all.bad > 0 {
        let bad = show::counted(all.bad, "bad row was", "bad rows were");
        writeln!(out, "{bad} left out")?;
    }
    out.flush()?;
    super::tell_of_room(store.is_some_and(|store| store.gave_way()), &limits)?;
    failed.end()?;
    anyhow::ensure!(all.taken > 0 || all.bad == 0, "no row could be read");
    Ok(())
}

/// Reads a file. The outer error is the database's, the inner one the file's.
fn one(
    path: &Path,
    format: Option<Format>,
    target: &mut Target<'_>,
    tally: &mut Tally,
) -> anyhow::Result<anyhow::Result<()>> {
    let (mut records, bar) = match open(path, format) {
        Ok(Some(opened)) => opened,
        Ok(None) => return Ok(Ok(())),
        Err(e) => return Ok(Err(e)),
    };
    let mut batch = vec![Record::default(); BATCH];
    let mut filled = 0;
    let mut described = String::new();
    let mut ended = Ok(());
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
            Err(e) if e.fatal => {
                let why = draw::clean(&e.to_string());
                // A wrong head comes before all rows.
                ended = Err(match tally.taken + filled as u64 {
                    0 => anyhow::anyhow!(why),
                    _ => anyhow::anyhow!(
                        "the file is cut off or damaged ({why}); the rows before that are imported"
                    ),
                });
            }
            Err(e) => {
                tally.bad += 1;
                if tally.bad <= TOLD {
                    bar.suspend(|| {
                        writeln!(
                            crate::cli::stderr(),
                            "{}: {}",
                            path.display(),
                            draw::clean(&e.to_string())
                        )
                    })?;
                }
            }
        }
    }
    target.write(&batch[..filled])?;
    tally.taken += filled as u64;
    bar.finish_and_clear();
    Ok(ended)
}

/// The rows of a file, and what shows how far they are read; nothing if the file is empty.
type Opened = (Box<dyn Records>, ProgressBar);

fn open(path: &Path, format: Option<Format>) -> anyhow::Result<Option<Opened>> {
    let (input, length): (Box<dyn Read>, u64) = if path == Path::new("-") {
        (Box::new(io::stdin().lock()), 0)
    } else {
        let file = File::open(path)?;
        anyhow::ensure!(!file.metadata()?.is_dir(), "it is a folder");
        let length = file.metadata()?.len();
        (Box::new(file), length)
    };
    let bar = progress(length);
    let (head, input) = peek(bar.wrap_read(input))?;
    let (head, input): (Vec<u8>, Box<dyn Read>) = if is_gzip(&head) {
        peek(flate2::read::MultiGzDecoder::new(input)).context("cannot unpack the file")?
    } else {
        (head, input)
    };
    if head.is_empty() {
        return Ok(None);
    }
    let format = format
        .or_else(|| Format::sniff(&head))
        .or_else(|| Format::from_path(&path.to_string_lossy()))
        .context("the format is neither CSV with a header, JSON nor OpenMetrics\n  name it: --format csv|json|openmetrics")?;
    Ok(Some((format.reader(input, SystemClock.wall_ms()), bar)))
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
