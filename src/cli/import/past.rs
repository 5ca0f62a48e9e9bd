//! cli: RRD files of any program into the database: read and prepared on all cores, written by one.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{Global, show};
use crate::collect::regular;
use crate::model::{Clock, Graph, Identity, Kind, Past, Series, SystemClock};
use crate::store::{History, OpenError, Place, Prepared, Store, prepare};
use crate::wire::is_gzip;
use crate::wire::rrd::{DataSource, Rrd, RrdError, SourceType, eras};

/// A file that is larger was not made by rrdtool: its rows alone would be ten thousand years.
const LARGEST: u64 = 1 << 30;
/// Files that failed are told by name up to here.
const TOLD: usize = 20;
/// Groups that wait to be written.
const WAITING: usize = 4;

/// Which of two files of one series is taken: the smaller one in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Whether the master's datafile names another file.
    unnamed: bool,
    /// Seconds since it was last written, as far as that tells two files apart.
    age: i64,
}

/// One source of one file, and its series.
pub(super) struct Unit {
    pub(super) file: usize,
    pub(super) source: usize,
    pub(super) series: Series,
    /// Only rows of which the smallest and largest are known: of a counter's rates.
    pub(super) peaks: bool,
}

/// The files to import.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) files: Vec<PathBuf>,
    /// By file.
    ranks: Vec<Rank>,
    /// Files of another kind of machine: the first, what machine that is, and how many.
    foreign: Option<(PathBuf, &'static str, u64)>,
    pub(super) units: Vec<Unit>,
    pub(super) graphs: Vec<Graph>,
    pub(super) failed: Failures,
}

/// Files that could not be read, with why.
#[derive(Default)]
pub(super) struct Failures {
    first: Vec<(PathBuf, String)>,
    all: u64,
}

impl Failures {
    pub(super) fn add(&mut self, path: &Path, why: impl ToString) {
        if self.first.iter().any(|(p, _)| p == path) {
            return;
        }
        self.all += 1;
        if self.first.len() < TOLD {
            self.first.push((path.to_owned(), why.to_string()));
        }
    }
}

impl Plan {
    /// Adds a file that has been looked at; `series` names each of its sources, or passes it over.
    /// Of a counter the rates of longer rows come too, as `NAME:rate`: their peaks.
    pub(super) fn add(
        &mut self,
        path: PathBuf,
        rrd: &Rrd<'_>,
        mut series: impl FnMut(usize, &DataSource) -> Option<Series>,
    ) {
        let file = self.files.len();
        let longer = rrd.archives.iter().any(|a| a.span > rrd.step);
        for (source, ds) in rrd.sources.iter().enumerate() {
            let Some(named) = series(source, ds) else { continue };
            if named.kind == Kind::Counter && longer {
                let identity = Identity {
                    name: format!("{}:rate", named.identity.name).into(),
                    ..named.identity.clone()
                };
                let help = "imported rate a second, with its smallest and largest value";
                let rates =
                    Series { identity, kind: Kind::Gauge, help: help.into(), unit: "".into() };
                self.units.push(Unit { file, source, series: named, peaks: false });
                self.units.push(Unit { file, source, series: rates, peaks: true });
            } else {
                self.units.push(Unit { file, source, series: named, peaks: false });
            }
        }
        if let Some(machine) = rrd.machine() {
            self.foreign.get_or_insert_with(|| (path.clone(), machine, 0)).2 += 1;
        }
        self.files.push(path);
        self.ranks.push(Rank { unnamed: true, age: rrd.updated.saturating_neg() });
    }

    /// The file that was added last is the one of its series, whatever others there are.
    pub(super) fn prefer_last(&mut self) {
        if let Some(rank) = self.ranks.last_mut() {
            rank.unnamed = false;
        }
    }

    /// None of the files could be used: the database is not touched.
    pub(super) fn nothing(&self) -> anyhow::Result<()> {
        report(Path::new(""), self, &Counts::default(), 0, &self.failed)
    }
}

/// Whether what a source was given is a counter: it cannot fall.
pub(super) fn kind_of(ds: &DataSource) -> Kind {
    match ds.kind {
        SourceType::Counter | SourceType::Absolute => Kind::Counter,
        SourceType::Derive if ds.min.is_some_and(|min| min >= 0.0) => Kind::Counter,
        _ => Kind::Gauge,
    }
}

/// Reads an RRD file, or the output of `rrdtool dump`, packed or not. Other files are given to
/// `rrdtool dump`.
pub(super) fn with_rrd<T>(path: &Path, work: impl FnOnce(&Rrd<'_>) -> T) -> anyhow::Result<T> {
    let mut bytes = regular::read(path, LARGEST)?;
    if is_gzip(&bytes) {
        let mut plain = Vec::new();
        let packed = flate2::read::MultiGzDecoder::new(&*bytes);
        packed.take(LARGEST + 1).read_to_end(&mut plain).context("cannot unpack the file")?;
        anyhow::ensure!(plain.len() as u64 <= LARGEST, "larger than a gigabyte when unpacked");
        bytes = plain;
    }
    if bytes.trim_ascii_start().starts_with(b"<") {
        return Ok(work(&Rrd::read_dump(&String::from_utf8_lossy(&bytes))?));
    }
    match Rrd::read(&bytes) {
        Ok(rrd) => Ok(work(&rrd)),
        Err(RrdError::Foreign) => {
            let text = dump(path).context(RrdError::Foreign)?;
            Ok(work(&Rrd::read_dump(&text)?))
        }
        Err(e) => Err(e.into()),
    }
}

fn dump(path: &Path) -> anyhow::Result<String> {
    let said = Command::new("rrdtool")
        .arg("dump")
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .context("cannot run rrdtool, which could read the file: apt install rrdtool")?;
    let words = String::from_utf8_lossy(&said.stderr);
    anyhow::ensure!(said.status.success(), "rrdtool: {}", words.trim());
    Ok(String::from_utf8(said.stdout)?)
}

fn past(rrd: &Rrd<'_>, unit: &Unit, place: &Place) -> Past {
    let mut stretches = eras(rrd, unit.source);
    if unit.peaks {
        stretches.retain(|s| s.span > rrd.step * 1000);
    }
    let source = &rrd.sources[unit.source];
    let anchored = matches!(source.kind, SourceType::Counter | SourceType::Derive);
    let anchor = source.last.filter(|_| anchored && place.kind == Kind::Counter);
    Past {
        stretches,
        step: rrd.step * 1000,
        anchor: anchor.map(|value| (rrd.updated * 1000, value)),
    }
}

/// The counts of the result.
#[derive(Default)]
struct Counts {
    points: AtomicU64,
    files: AtomicUsize,
}

/// Imports the planned files into the database of the command line, and prints the result.
pub(super) fn bring(mut plan: Plan, what: &str, global: &Global) -> anyhow::Result<()> {
    let path = match &global.db {
        Some(db) => db.clone(),
        None => global.database()?,
    };
    let (now, limits) = (SystemClock.wall_ms(), super::limits(global));
    let mut store;
    let mut history = match Store::open(&path, &crate::config::host_name(), Arc::default()) {
        Ok(opened) => {
            store = opened;
            store.set_limits(limits);
            store.begin_history(now)?
        }
        Err(OpenError::InUse { .. }) => History::beside(&path, now, limits)?,
        Err(e) => return Err(e.into()),
    };
    let series: Vec<Series> = plan.units.iter().map(|u| u.series.clone()).collect();
    let places = history.places(&series)?;
    let mut work: Vec<(Place, Unit)> = places.into_iter().zip(plan.units.drain(..)).collect();
    // Of two files of one series (its type was changed), the newer one is imported.
    work.sort_by_key(|(place, unit)| (place.id, plan.ranks[unit.file], unit.file));
    let mut twice = BTreeMap::new();
    work.dedup_by(|later, kept| {
        let same = later.0.id == kept.0.id;
        if same {
            twice.insert(later.1.file, kept.1.file);
        }
        same
    });
    for (file, taken) in twice {
        let [path, other] = [file, taken].map(|at| &plan.files[at]);
        let why = match plan.ranks[taken].unnamed {
            false => "is named in the datafile",
            true => "is newer",
        };
        let why = format!("another file has the same series: {} {why}", other.display());
        plan.failed.add(path, why);
    }
    let groups: Vec<&[(Place, Unit)]> = work.chunk_by(|a, b| a.0.group() == b.0.group()).collect();
    let counts = Counts::default();
    let failed = Mutex::new(std::mem::take(&mut plan.failed));
    let progress = Progress::new(plan.files.len(), what);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(8);
    let next = AtomicUsize::new(0);
    let (send, ready) = sync_channel::<Prepared>(WAITING);
    let mut added = 0;
    std::thread::scope(|scope| -> anyhow::Result<()> {
        for _ in 0..threads {
            let send = send.clone();
            let (groups, plan, next) = (&groups, &plan, &next);
            let (counts, failed) = (&counts, &failed);
            scope.spawn(move || {
                while let Some(group) = groups.get(next.fetch_add(1, Relaxed)) {
                    // The writer has given up.
                    if make_ready(group, plan, counts, failed)
                        .is_some_and(|p| send.send(p).is_err())
                    {
                        return;
                    }
                }
            });
        }
        drop(send);
        // Owned here, so that the threads end when writing fails.
        let ready = ready;
        for prepared in &ready {
            added += prepared.size();
            history.put(&prepared)?;
            progress.at(counts.files.load(Relaxed));
        }
        Ok(())
    })?;
    history.describe(&plan.graphs)?;
    progress.done();
    let failed = failed.into_inner().unwrap_or_else(|e| e.into_inner());
    let gave_way = history.gave_way();
    let told = report(&path, &plan, &counts, added, &failed);
    super::tell_of_room(gave_way, &limits)?;
    told
}

/// Reads the files of a group. Each file's sources mostly lie in one group.
fn make_ready(
    group: &[(Place, Unit)],
    plan: &Plan,
    counts: &Counts,
    failed: &Mutex<Failures>,
) -> Option<Prepared> {
    let mut pasts = Vec::with_capacity(group.len());
    for of_file in group.chunk_by(|a, b| a.1.file == b.1.file) {
        let path = &plan.files[of_file[0].1.file];
        let read = with_rrd(path, |rrd| {
            // It may have changed since it was checked.
            let there = |unit: &Unit| unit.source < rrd.sources.len();
            for (place, unit) in of_file.iter().filter(|(_, unit)| there(unit)) {
                pasts.push((*place, past(rrd, unit, place)));
            }
            if of_file.iter().any(|(_, unit)| unit.source == 0 && !unit.peaks) {
                counts.points.fetch_add(rrd.points(), Relaxed);
                counts.files.fetch_add(1, Relaxed);
            }
        });
        if let Err(e) = read {
            failed.lock().unwrap_or_else(|e| e.into_inner()).add(path, format!("{e:#}"));
        }
    }
    prepare(pasts)
}

fn report(
    path: &Path,
    plan: &Plan,
    counts: &Counts,
    added: u64,
    failed: &Failures,
) -> anyhow::Result<()> {
    let (files, points) = (counts.files.load(Relaxed), counts.points.load(Relaxed));
    if files > 0 {
        let mut out = crate::cli::stdout();
        writeln!(
            out,
            "{} read, {} in {}; {} added to {}",
            show::counted(files as u64, "file", "files"),
            show::counted(points, "value", "values"),
            if files == 1 { "it" } else { "them" },
            show::counted(added, "sample or bucket", "samples and buckets"),
            path.display()
        )?;
        if added == 0 {
            writeln!(out, "nothing new: the database has all of these samples")?;
        }
        out.flush()?;
    }
    let mut err = crate::cli::stderr();
    if let Some((path, machine, count)) = &plan.foreign {
        let (files, were) = if *count == 1 { ("file", "was") } else { ("files", "were") };
        writeln!(
            err,
            "{} {files} {were} written on another kind of machine ({machine}), and read as such: {}\n  \
             if a value is wrong, import what 'rrdtool dump' prints of it there",
            show::count(*count),
            path.display()
        )?;
    }
    for (path, why) in &failed.first {
        writeln!(err, "{}: {why}", path.display())?;
    }
    if failed.all > failed.first.len() as u64 {
        writeln!(err, "and {} more", show::count(failed.all - failed.first.len() as u64))?;
    }
    if failed.all > 0 {
        let rest = if files > 0 { "; all others were" } else { "" };
        let files = if failed.all == 1 { "file" } else { "files" };
        anyhow::bail!("{} {files} could not be imported{rest}", show::count(failed.all));
    }
    anyhow::ensure!(!plan.files.is_empty(), "no RRD file matches");
    Ok(())
}

/// A bar on a terminal, a line for every tenth elsewhere.
struct Progress<'a> {
    bar: Option<ProgressBar>,
    what: &'a str,
    all: usize,
    told: AtomicUsize,
}

impl<'a> Progress<'a> {
    fn new(all: usize, what: &'a str) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(all as u64);
            let style = "{bar:40} {pos} of {len} files, {eta} left";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, what, all, told: AtomicUsize::new(0) }
    }

    fn at(&self, files: usize) {
        if let Some(bar) = &self.bar {
            bar.set_position(files as u64);
            return;
        }
        let tenth = files * 10 / self.all.max(1);
        if tenth > self.told.swap(tenth, Relaxed) && self.all >= 100 {
            // Standard error may be closed, which is fine.
            let _unused = writeln!(io::stderr(), "{}: {files} of {} files", self.what, self.all);
        }
    }

    fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Every file below a folder whose name ends in `.rrd`, in the order of their names; what cannot be
/// looked into is a failure. Links to folders are followed, after all folders that lie there themselves:
/// each folder is looked into once.
pub(super) fn below(folder: &Path, failed: &mut Failures) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    // The first one must be readable; later ones are counted.
    let first = std::fs::read_dir(folder).with_context(|| match folder.exists() {
        true => format!(
            "cannot read {}; run this as a user who may, for example with sudo",
            folder.display()
        ),
        false => format!("there is no folder {}; say where it is: --dir DIR", folder.display()),
    })?;
    let identity = |path: &Path| std::fs::metadata(path).map(|m| (m.dev(), m.ino()));
    let mut looked: HashSet<_> = identity(folder).into_iter().collect();
    let mut waiting = vec![(folder.to_owned(), Ok(first))];
    let mut linked: Vec<PathBuf> = Vec::new();
    loop {
        let Some((folder, entries)) = waiting.pop() else {
            let Some(path) = linked.pop() else { break };
            if identity(&path).is_ok_and(|folder| looked.insert(folder)) {
                let inside = std::fs::read_dir(&path);
                waiting.push((path, inside));
            }
            continue;
        };
        let entries = match entries {
            Ok(entries) => entries,
            Err(e) => {
                failed.add(&folder, e);
                continue;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let kind = entry.file_type();
            if kind.as_ref().is_ok_and(|t| t.is_dir()) {
                looked.extend(identity(&path));
                let inside = std::fs::read_dir(&path);
                waiting.push((path, inside));
            } else if kind.is_ok_and(|t| t.is_symlink()) && path.is_dir() {
                linked.push(path);
            } else if path.extension().is_some_and(|e| e == "rrd") {
                found.push(path);
            }
        }
    }
    anyhow::ensure!(
        !found.is_empty() || failed.all > 0,
        "no RRD file in {}; say where they are: --dir DIR",
        folder.display()
    );
    found.sort();
    Ok(found)
}
