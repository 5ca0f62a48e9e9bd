//! collect: `*.prom` files of other programs in the Prometheus text format, read as by
//! node_exporter's textfile collector. A file that cannot be read affects no other.

use std::collections::HashSet;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{CollectError, Collector, Entry, Settings, regular};
use crate::model::options::options;
use crate::model::{Glob, Identity, Kind, Metric, Pinned, Recorder, Series, parse_key};
use crate::wire::exposition::Reader;
use crate::wire::{LineError, Record, Records};

/// Its own metrics, besides those in the files.
pub static METRICS: [Metric; 2] = [
    Metric::gauge(
        "node_textfile_mtime_seconds",
        "seconds",
        "When the file was last written, in seconds since 1970.",
    )
    .by(&["file"]),
    Metric::gauge(
        "node_textfile_scrape_error",
        "",
        "Whether a file could not be read (1), or all could (0).",
    ),
];

/// The largest file. Larger ones are not lists of metrics.
const MAX_BYTES: u64 = 4 << 20;
/// The largest number of series in all files together, which guards against faulty programs.
const MAX_SERIES: usize = 20_000;
/// The largest number of files, because each is checked once a beat.
const MAX_FILES: usize = 1_000;
/// The number of unusable files that are reported by name; more are only counted.
const TOLD: usize = 20;

struct TextFiles {
    folder: Option<PathBuf>,
    /// The files by path.
    files: Vec<Kept>,
    /// Files beyond [`MAX_FILES`] that were not looked at the last time.
    beyond: usize,
}

/// A file as it was when it was last read; while it stays the same, only its stamp is looked at.
struct Kept {
    path: PathBuf,
    name: String,
    /// `None` if the file cannot be read.
    stamp: Option<Stamp>,
    seen: bool,
    samples: Result<Samples, String>,
    /// A series that an earlier file has, too.
    double: Option<String>,
}

/// The samples of a file, which may be read once and reported for months.
type Samples = Vec<(Pinned, f64)>;

/// Replaced as a whole or written in place, one of these changes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stamp {
    mtime: (i64, i64),
    ctime: (i64, i64),
    ino: u64,
    size: u64,
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let m = std::fs::metadata(path)?;
        Ok(Self {
            mtime: (m.mtime(), m.mtime_nsec()),
            ctime: (m.ctime(), m.ctime_nsec()),
            ino: m.ino(),
            size: m.size(),
        })
    }
}

options! {
    /// Metrics that other programs write into files.
    pub struct Options {
        /// Folder with files named *.prom in the Prometheus text format, written by other programs.
        /// None by default.
        dir: Option<PathBuf> = None, like r#""/var/lib/plimsoll/textfile""#;
    }
}

/// Its row in the table of collectors.
pub const ENTRY: Entry =
    Entry::new("textfile", "what other programs leave in a folder as *.prom files", &METRICS, make)
        .takes::<Options>();

fn make(settings: &Settings) -> Box<dyn Collector> {
    Box::new(TextFiles { folder: settings.of::<Options>().dir, files: Vec::new(), beyond: 0 })
}

impl TextFiles {
    /// Checks the folder, and reads new and changed files.
    fn look(&mut self, folder: &Path, out: &mut Recorder) -> std::io::Result<()> {
        let mut changed = false;
        for file in &mut self.files {
            file.seen = false;
        }
        self.beyond = 0;
        let mut looked = 0;
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|e| e != "prom") {
                continue;
            }
            if looked == MAX_FILES {
                self.beyond += 1;
                continue;
            }
            looked += 1;
            let at = self.files.binary_search_by(|f| f.path.cmp(&path));
            let (stamp, why) = match Stamp::of(&path) {
                Ok(stamp) => (Some(stamp), None),
                // The file was removed after the folder was read.
                Err(_) if path.symlink_metadata().is_err() => continue,
                Err(e) => (None, Some(e.to_string())),
            };
            match at {
                Ok(at)
                    if self.files.get(at).is_some_and(|f| stamp.is_some() && f.stamp == stamp) =>
                {
                    if let Some(file) = self.files.get_mut(at) {
                        file.seen = true;
                    }
                    continue;
                }
                Ok(at) => drop(self.files.remove(at)),
                Err(_) => {}
            }
            changed = true;
            let samples = why.map_or_else(|| read(&path, out), Err);
            let name = path.to_string_lossy().into_owned();
            let kept = Kept { path, name, stamp, seen: true, samples, double: None };
            self.files.insert(at.unwrap_or_else(|at| at), kept);
        }
        let before = self.files.len();
        self.files.retain(|f| f.seen);
        if changed || before != self.files.len() {
            self.compare();
        }
        Ok(())
    }

    /// Rejects series that are in two files, because neither value could be trusted.
    fn compare(&mut self) {
        let mut known = HashSet::new();
        for file in &mut self.files {
            file.double = None;
            let Ok(samples) = &file.samples else { continue };
            let double = samples.iter().find(|(series, _)| known.contains(&series.number()));
            if let Some((series, _)) = double {
                let name = parse_key(&series.series().identity.key()).0;
                file.double = Some(format!("a series of `{name}` is in another file, too"));
            } else if known.len() + samples.len() > MAX_SERIES {
                file.double = Some(format!("more than {MAX_SERIES} series in all files"));
            } else {
                known.extend(samples.iter().map(|(series, _)| series.number()));
            }
        }
    }
}

/// The samples of a file, or why none of it counts.
fn read(path: &Path, out: &mut Recorder) -> Result<Samples, String> {
    // The file is read as a whole: a program that still writes must not make it longer than was
    // checked.
    let text = regular::read(path, MAX_BYTES).map_err(|e| e.to_string())?;
    parse(&*text, out)
}

/// The fault of a line, without its contents. The file may be a link to one that only plimsoll may
/// read, and everybody can see this text.
fn fault(error: &LineError) -> String {
    let LineError { line, reason, .. } = error;
    // The quoted text may contain the quotation mark.
    match (reason.split_once('`'), reason.rsplit_once('`')) {
        (Some((before, _)), Some((_, behind))) => format!("line {line}: {before}`…`{behind}"),
        _ => format!("line {line}: {reason}"),
    }
}

fn parse(text: impl Read, out: &mut Recorder) -> Result<Samples, String> {
    // No time that anybody writes.
    const NOW: i64 = i64::MIN;
    let mut reader = Reader::new(text, NOW);
    let mut record = Record::default();
    let mut samples = Vec::new();
    let mut counters = Vec::new();
    let mut known = HashSet::new();
    while let Some(result) = reader.next(&mut record) {
        result.map_err(|e| fault(&e))?;
        if record.ts != NOW {
            let name = parse_key(&record.key).0;
            return Err(format!("`{name}` has a time; values are of now here"));
        }
        if samples.len() == MAX_SERIES {
            return Err(format!("more than {MAX_SERIES} series"));
        }
        let (name, labels) = parse_key(&record.key);
        let own = |m: &Metric| {
            Glob::new(m.name).matches(&name)
                && m.labels.len() == labels.len()
                && m.labels.iter().all(|l| labels.get(l).is_some())
        };
        if super::COLLECTORS.iter().flat_map(|e| e.metrics).any(own) {
            return Err(format!("`{name}` is measured by plimsoll itself"));
        }
        let about = reader.about();
        let series = Series {
            identity: Identity::local("", &name, labels),
            kind: about.as_ref().map_or(Kind::Gauge, |a| a.kind),
            unit: about.as_ref().map_or("", |a| a.unit).into(),
            help: about.map_or("", |a| a.help).into(),
        };
        let kind = series.kind;
        let Some(series) = out.series(series).and_then(|series| out.pin(series)) else { continue };
        if kind == Kind::Counter {
            counters.push(samples.len());
        }
        if !known.insert(series.number()) {
            return Err(format!("a series of `{name}` twice"));
        }
        samples.push((series, record.value));
    }
    // Only now, because a file with a fault counts for nothing.
    for at in counters {
        let (series, value) = &mut samples[at];
        *value = out.hold(series.number(), *value);
    }
    Ok(samples)
}

impl Collector for TextFiles {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        let [mtime, scrape_error] = &METRICS;
        let Some(folder) = self.folder.clone() else { return Err(CollectError::Absent) };
        if let Err(source) = self.look(&folder, out) {
            out.put(scrape_error, 1.0);
            return Err(CollectError::Read { path: folder, source });
        }
        let mut odd: Vec<String> = Vec::new();
        let mut wrong = 0;
        for file in &self.files {
            match (&file.samples, &file.double) {
                (Ok(samples), None) => {
                    for (series, value) in samples {
                        out.put_series(series.number(), *value);
                    }
                    // Whole seconds, as node_exporter's.
                    if let Some(stamp) = file.stamp {
                        out.put_with(mtime, &[&file.name], stamp.mtime.0 as f64);
                    }
                }
                (Err(what), _) | (Ok(_), Some(what)) => {
                    wrong += 1;
                    if odd.len() < TOLD {
                        odd.push(format!("{}: {what}", file.path.display()));
                    }
                }
            }
        }
        if wrong > odd.len() {
            odd.push(format!("{} more files cannot be used", wrong - odd.len()));
        }
        if self.beyond > 0 {
            let what = "files are too many: the rest is not read";
            odd.push(format!("{}: {} {what}", folder.display(), MAX_FILES + self.beyond));
        }
        out.put(scrape_error, if odd.is_empty() { 0.0 } else { 1.0 });
        if odd.is_empty() { Ok(()) } else { Err(CollectError::Files(odd.join("; "))) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Registry;

    struct Rig {
        folder: tempfile::TempDir,
        collector: Box<dyn Collector>,
        recorder: Recorder,
    }

    impl Rig {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let dir = Some(folder.path().to_owned());
            let collector = make(&Settings::default().with(Options { dir }));
            let recorder = Recorder::new(Arc::new(Registry::default()), "node", Arc::default());
            Self { folder, collector, recorder }
        }

        fn write(&self, name: &str, text: &str) {
            // Written like a program should: a visible file is complete.
            let (new, path) = (self.folder.path().join("new"), self.folder.path().join(name));
            std::fs::write(&new, text).unwrap();
            std::fs::rename(new, path).unwrap();
        }

        /// All values except the times of the files, and then the faults.
        fn beat(&mut self) -> Vec<String> {
            self.recorder.begin();
            let result = self.collector.collect(&mut self.recorder);
            let shown =
                |(s, v): &(crate::model::SeriesRef, f64)| format!("{} {v}", self.recorder.key(*s));
            let mut all: Vec<_> = self.recorder.samples().iter().map(shown).collect();
            all.retain(|line| !line.starts_with("node_textfile_mtime"));
            let what = |e: CollectError| e.to_string().rsplit_once('/').unwrap().1.to_owned();
            all.extend(result.err().map(what));
            all
        }
    }

    #[test]
    fn files_come_change_and_go() {
        let mut rig = Rig::new();
        rig.write("a.prom", "a 1\nb{c=\"d\"} 2\n");
        rig.write("b.txt", "not 1\n");
        let fine = "node_textfile_scrape_error 0";
        assert_eq!(rig.beat(), ["a 1", "b{c=\"d\"} 2", fine]);
        assert_eq!(rig.beat(), ["a 1", "b{c=\"d\"} 2", fine]);
        rig.write("a.prom", "a 3\n");
        rig.write("0.prom", "z 4\n");
        assert_eq!(rig.beat(), ["z 4", "a 3", fine]);
        std::fs::remove_file(rig.folder.path().join("a.prom")).unwrap();
        assert_eq!(rig.beat(), ["z 4", fine]);
        std::fs::remove_dir_all(rig.folder.path()).unwrap();
        let gone = rig.beat();
        assert_eq!((gone.len(), &*gone[0]), (2, "node_textfile_scrape_error 1"));
    }

    #[test]
    fn a_counter_that_falls_a_little_is_held() {
        let mut rig = Rig::new();
        for (value, stored) in [(15, 15), (12, 15), (16, 16), (2, 2)] {
            rig.write("a.prom", &format!("# TYPE sent counter\nsent {value}\n"));
            assert_eq!(rig.beat()[0], format!("sent {stored}"));
        }
    }

    #[test]
    fn a_bad_file_harms_no_other() {
        for (text, what) in [
            ("good 1\nbad{ 2\n", "line 2: `…` where a label was expected"),
            ("a 1 1700000000\n", "`a` has a time; values are of now here"),
            ("a 1\na 1\n", "a series of `a` twice"),
            ("fine 9\n", "a series of `fine` is in another file, too"),
            ("node_load1 9\n", "`node_load1` is measured by plimsoll itself"),
        ] {
            let mut rig = Rig::new();
            rig.write("a.prom", "fine 1\n");
            rig.write("bad.prom", text);
            let expected = ["fine 1", "node_textfile_scrape_error 1", &format!("bad.prom: {what}")];
            assert_eq!(rig.beat(), expected, "{text}");
            assert_eq!(rig.beat(), expected, "{text}");
            rig.write("bad.prom", "better 1\n");
            assert_eq!(rig.beat(), ["fine 1", "better 1", "node_textfile_scrape_error 0"]);
        }
        let mut rig = Rig::new();
        rig.write("big.prom", &"a 1\n".repeat(1 << 20 | 1));
        assert!(rig.beat()[1].contains("larger than 4MiB"));
    }

    #[test]
    fn each_bad_file_is_told_and_none_stops_the_beat() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let mut rig = Rig::new();
        let at = |name: &str| rig.folder.path().join(name);
        rig.write("good.prom", "fine 1\n");
        rig.write("comma.prom", "a 0,5\n");
        mknodat(CWD, at("pipe.prom"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        std::fs::create_dir(at("folder.prom")).unwrap();
        for (name, to) in
            [("zero.prom", "/dev/zero"), ("gone.prom", "nowhere"), ("loop.prom", "loop.prom")]
        {
            std::os::unix::fs::symlink(to, at(name)).unwrap();
        }
        rig.recorder.begin();
        let error = rig.collector.collect(&mut rig.recorder).unwrap_err().to_string();
        for said in [
            "comma.prom: line 1: `…`",
            "pipe.prom: it is a named pipe, not a file",
            "folder.prom: it is a folder, not a file",
            "zero.prom: it is a device, not a file",
            "gone.prom: No such file",
            "loop.prom: Too many levels of symbolic links",
        ] {
            assert!(error.contains(said), "{said}: {error}");
        }
        assert!(!error.contains("0,5"), "{error}");
        let samples = rig.recorder.samples();
        assert!(samples.iter().any(|(series, _)| rig.recorder.key(*series) == "fine"));
    }

    #[test]
    fn a_link_to_a_secret_does_not_show_what_is_in_it() {
        let mut rig = Rig::new();
        for (secret, first) in [
            ("root:$6$salt$hash:19000:0:99999:7:::\n", "line 1"),
            ("-----BEGIN PRIVATE KEY-----\nMIIEv`QI\n", "line 1"),
            ("PASSWORD=hunter2\n", "line 1"),
            ("token hunter2\n", "line 1"),
            ("a{b=\"hunter2\" hunter2\n", "line 1"),
            ("a{b=\"c\"} 1 hunter2\n", "line 1"),
            ("ok 1\nhunter2\n", "line 2"),
        ] {
            let (hidden, link) = (rig.folder.path().join("s"), rig.folder.path().join("s.prom"));
            std::fs::write(&hidden, secret).unwrap();
            let _unused = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(&hidden, &link).unwrap();
            rig.recorder.begin();
            let error = rig.collector.collect(&mut rig.recorder).unwrap_err().to_string();
            assert!(error.contains(first), "{error}");
            for part in ["root", "$6$", "PRIVATE", "MII", "QI", "PASSWORD", "hunter2"] {
                assert!(!error.contains(part), "{secret}: {error}");
            }
        }
    }
}
