//! collect: use of file systems, by statvfs. A mount that does not answer is reported as such and
//! delays no other; what follows from that is decided elsewhere.

mod mounts;
mod worker;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mounts::{Table, Target, View};
use worker::Worker;
pub use worker::{Space, Statvfs};

use super::file::KeptFile;
use super::{CollectError, Collector, Entry, Settings};
use crate::model::options::{Given, Limit, Wrong, options};
use crate::model::{Glob, Metric, Recorder};

/// Its metrics.
pub static METRICS: [Metric; 8] = [
    Metric::gauge("disk", "percent", "Used share of a file system, in percent.")
        .by(&["mountpoint"]),
    Metric::gauge("node_filesystem_size_bytes", "bytes", "Size of the file system.").by(LABELS),
    Metric::gauge(
        "node_filesystem_free_bytes",
        "bytes",
        "Unused bytes, including those reserved for root.",
    )
    .by(LABELS),
    Metric::gauge("node_filesystem_avail_bytes", "bytes", "What users can still fill.").by(LABELS),
    Metric::gauge("node_filesystem_files", "", "How many files the file system can hold.")
        .by(LABELS),
    Metric::gauge("node_filesystem_files_free", "", "How many more files it can hold.").by(LABELS),
    Metric::gauge("node_filesystem_readonly", "", "1 if nothing can be written to it.").by(LABELS),
    Metric::gauge(
        "node_filesystem_device_error",
        "",
        "1 if the file system did not answer or answered with an error.",
    )
    .by(LABELS),
];

const LABELS: &[&str] = &["device", "mountpoint", "fstype"];

/// How long a beat waits for all mounts that may hang. A server nearby answers in one millisecond;
/// slower ones are reported at the next beat.
const PATIENCE: Duration = Duration::from_millis(50);

/// Mount changes wake the kept descriptor, but a file system that turns read-only upon an error
/// does so silently.
const TABLE_AGE: Duration = Duration::from_secs(30);

/// Threads at most. A machine on which hung mounts come and go must not drown in them.
const MAX_WORKERS: usize = 64;

options! {
    /// Size and use of file systems.
    pub struct Options {
        /// Mount points to watch, with * and ?. An empty list watches all real file systems. A mount
        /// point that is named in full is watched even if its type would be left out.
        mounts: Vec<Glob> = Vec::new(), in MountPoints, like r#"["/", "/srv*"]"#;
        /// Mount points to leave out, for example `["/media/*"]`.
        exclude_mounts: Vec<Glob> = Vec::new(), in MountPoints, like r#"["/media/*"]"#;
        /// Types of file systems to leave out, for example `["nfs*"]`.
        exclude_types: Vec<Glob> = Vec::new(), like r#"["nfs*"]"#;
    }
}

/// Patterns of mount points.
struct MountPoints;

impl Limit<Vec<Glob>> for MountPoints {
    fn check(&self, _: &Vec<Glob>, given: &Given<'_>) -> Vec<Wrong> {
        let texts = given.texts().iter().enumerate();
        texts
            .filter(|(_, text)| !text.starts_with(['/', '*', '?']))
            .map(|(at, text)| {
                let hint = "a mount point begins with /";
                Wrong::item(at, format!("`{text}` fits no mount point"), hint)
            })
            .collect()
    }

    fn range(&self) -> Option<String> {
        None
    }
}

/// Its row in the table of collectors.
pub const ENTRY: Entry = Entry::new(
    "filesystem",
    "file systems; `disk_…` is the used percentage of each",
    &METRICS,
    make,
)
.takes::<Options>();

fn make(settings: &Settings) -> Box<dyn Collector> {
    Box::new(Filesystem::new(settings, Arc::new(worker::statvfs)))
}

/// The collector of file systems.
pub struct Filesystem {
    options: Options,
    /// The prefix of all mount points.
    root: PathBuf,
    /// The mount table of process 1, because a service's own may be that of a sandbox, and its own,
    /// for use with a closed /proc (hidepid).
    files: [(KeptFile, View); 2],
    /// The index of the table that was read, a hash of its contents, and the time.
    read: Option<(usize, u64, Instant)>,
    table: Table,
    /// One entry for each target.
    asked: Vec<Asked>,
    statvfs: Statvfs,
    patience: Duration,
    /// A counter that each thread holds.
    alive: Arc<()>,
}

#[derive(Default)]
struct Asked {
    worker: Option<Worker>,
    /// The answer that came after the last beat had stopped waiting.
    late: Option<io::Result<Space>>,
    outcome: Outcome,
}

#[derive(Default)]
enum Outcome {
    #[default]
    Pending,
    Known(io::Result<Space>),
    Stuck,
}

impl Filesystem {
    /// A collector that asks by `statvfs`.
    pub fn new(settings: &Settings, statvfs: Statvfs) -> Self {
        let file = |path| KeptFile::required(settings.proc.join(path));
        Self {
            options: settings.of(),
            root: settings.root.clone(),
            files: [(file("1/mountinfo"), View::Machine), (file("self/mountinfo"), View::Own)],
            read: None,
            table: Table::default(),
            asked: Vec::new(),
            statvfs,
            patience: PATIENCE,
            alive: Arc::default(),
        }
    }

    /// Reads the mount table if it may have changed.
    fn refresh(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        if let Some((which, _, at)) = self.read
            && at.elapsed() < TABLE_AGE
            && self.files[which].0.signalled() == Some(false)
        {
            return Ok(());
        }
        let which = usize::from(self.files[0].0.read().is_err());
        let (file, view) = &mut self.files[which];
        let text = file.read()?;
        let mut hasher = DefaultHasher::new();
        hasher.write(text);
        let hash = hasher.finish();
        if self.read.is_none_or(|(w, h, _)| (w, h) != (which, hash)) {
            let mut odd = Vec::new();
            let selected = mounts::select(text, *view, &self.root, &self.options, |at, what| {
                odd.push((at, what));
            });
            for (line, odd) in odd {
                file.tell(out, line, &odd);
            }
            let table = selected.map_err(|odd| file.odd(odd))?;
            self.adopt(table);
        }
        self.read = Some((which, hash, Instant::now()));
        Ok(())
    }

    /// Adopts a new table. A thread stays with its mount, because it may be stuck there.
    fn adopt(&mut self, table: Table) {
        let known: HashMap<&Target, usize> = self.table.targets.iter().zip(0..).collect();
        let asked = table.targets.iter().map(|new| {
            let worker = known.get(new).and_then(|at| self.asked[*at].worker.take());
            Asked { worker, ..Asked::default() }
        });
        self.asked = asked.collect();
        self.table = table;
    }

    /// Asks every mount, and waits a moment for those that may hang.
    fn ask(&mut self) {
        let Self { table, asked, statvfs, patience, alive, .. } = self;
        let until = Instant::now() + *patience;
        for (target, asked) in table.targets.iter().zip(asked.iter_mut()) {
            if !target.may_hang {
                continue;
            }
            if asked.worker.is_none() && Arc::strong_count(alive) <= MAX_WORKERS {
                let path = target.path.clone();
                asked.worker = Worker::start(path, Arc::clone(statvfs), Arc::clone(alive)).ok();
            }
            asked.outcome = match asked.worker.as_ref().map(Worker::ask) {
                Some(Ok(late)) => {
                    asked.late = late;
                    Outcome::Pending
                }
                Some(Err(worker::Open)) | None => Outcome::Stuck,
            };
        }
        for (target, asked) in table.targets.iter().zip(asked.iter_mut()) {
            if !target.may_hang {
                asked.outcome = Outcome::Known(statvfs(&target.path));
            }
        }
        for asked in asked {
            if let (Outcome::Pending, Some(worker)) = (&asked.outcome, &asked.worker) {
                asked.outcome = match worker.wait(until).or(asked.late.take()) {
                    Some(answer) => Outcome::Known(answer),
                    None => Outcome::Stuck,
                };
            }
        }
    }

    fn report(&self, out: &mut Recorder) {
        let [disk, size, free, avail, files, files_free, readonly, device_error] = &METRICS;
        let mut told = None;
        for mount in &self.table.mounts {
            let point = &*self.table.targets[mount.target].point;
            let labels = [&*mount.device, point, &*mount.fstype];
            let Outcome::Known(Ok(space)) = &self.asked[mount.target].outcome else {
                out.put_with(device_error, &labels, 1.0);
                continue;
            };
            // Once for each target, in the order of their first mounts: the key `disk_/home` has
            // room for the mount point only.
            if let Some(percent) = space.used_percent
                && told.is_none_or(|last| mount.target > last)
            {
                told = Some(mount.target);
                out.put_with(disk, &[point], percent);
            }
            out.put_with(device_error, &labels, 0.0);
            out.put_with(size, &labels, space.size);
            out.put_with(free, &labels, space.free);
            out.put_with(avail, &labels, space.avail);
            out.put_with(files, &labels, space.files);
            out.put_with(files_free, &labels, space.files_free);
            out.put_with(readonly, &labels, f64::from(u8::from(mount.read_only)));
        }
    }

    fn verdict(&mut self) -> Result<(), CollectError> {
        let pairs = || self.table.targets.iter().zip(&self.asked);
        let stuck = || pairs().filter(|(_, asked)| matches!(asked.outcome, Outcome::Stuck));
        if stuck().next().is_some() {
            let points: Vec<_> = stuck().map(|(target, _)| &*target.point).collect();
            return Err(CollectError::Stuck(format!("no answer from {}", points.join(", "))));
        }
        for (target, asked) in self.table.targets.iter().zip(&mut self.asked) {
            if let Outcome::Known(Err(error)) = &asked.outcome
                && !out_of_reach(error)
                && let Outcome::Known(Err(source)) = std::mem::take(&mut asked.outcome)
            {
                return Err(CollectError::Read { path: (&*target.point).into(), source });
            }
        }
        Ok(())
    }
}

/// Whether a mount is permanently closed to this user (a user's private FUSE, one in another name
/// space). `device_error` reports it, without a warning at every beat.
fn out_of_reach(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound)
}

impl Collector for Filesystem {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        if let Err(failed) = self.refresh(out) {
            // A table from then may show mounts that were unmounted since.
            self.read = None;
            return Err(failed);
        }
        self.ask();
        self.report(out);
        self.verdict()
    }
}

#[cfg(test)]
mod tests;
