//! store: a small database with plain rows, blocks, late samples, rollups and a log, some of whose
//! bytes are changed; then it is opened, written to, kept up, read, examined and mended. Whatever
//! comes of it is a value or an error; no other file is touched, and what is set aside or refused is
//! what was found.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use plimsoll::model::{Identity, Labels, Registry, Series};
use plimsoll::pipeline::{Batch, Source};
use plimsoll::store::{OpenError, Reader, Store, Times};

const START_MS: i64 = 1_700_000_000_000;
const MINUTE_MS: i64 = 60_000;
const PAGE: usize = 4096;
const STRANGER: &[u8] = b"somebody else's";

/// The database and its log, whole.
struct Whole {
    main: Vec<u8>,
    log: Vec<u8>,
}

/// A folder of this process alone, in memory where there is such a place.
fn folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let thread = format!("{:?}", std::thread::current().id());
    let number: String = thread.chars().filter(char::is_ascii_digit).collect();
    place.join(format!("plimsoll-fuzz-{}-{number}", std::process::id()))
}

/// The folder goes away with the run, also when an assertion ends it.
struct Emptied(PathBuf);

impl Emptied {
    fn new() -> Self {
        let this = Self(folder());
        std::fs::create_dir_all(&this.0).expect("a folder for temporary files");
        this
    }
}

impl Drop for Emptied {
    fn drop(&mut self) {
        let _unused = std::fs::remove_dir_all(&self.0);
    }
}

fn beat(registry: &Registry, ts: i64, beat: i64) -> Batch {
    let sample = |i: i64| {
        let labels = Labels::new([("n", i.to_string())]);
        let series = Series::undescribed(Identity::local("fuzz", "synthetic_total", labels));
        (registry.intern(series), (beat * (i + 1)) as f64 / if i % 2 == 0 { 1.0 } else { 7.0 })
    };
    Batch::of(Source::Collect, ts, (0..6).map(sample).collect())
}

fn whole() -> &'static Whole {
    static WHOLE: OnceLock<Whole> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let folder = Emptied::new();
        let path = folder.0.join("metrics.sqlite");
        let registry = Arc::new(Registry::default());
        let mut store = Store::open(&path, "here", registry.clone()).expect("a fresh file");
        let mut at = |minutes: std::ops::Range<i64>, keep: bool| {
            for minute in minutes {
                let ts = START_MS + minute * MINUTE_MS;
                store.commit(&[beat(&registry, ts, minute)]).expect("writable");
            }
            if keep {
                let ts = START_MS + 500 * MINUTE_MS;
                store.compact(Times { wall: ts, boot: ts }).expect("writable");
            }
        };
        at(0..480, true);
        // Late ones, between the others, and new ones that are not sealed yet; both in the log.
        at(-20..-10, false);
        at(480..500, false);
        let read = |suffix: &str| std::fs::read(format!("{}{suffix}", path.display()));
        Whole { main: read("").expect("there"), log: read("-wal").expect("there") }
    })
}

/// Bits of the first byte: the log is there, the file ends too early; what is done with it besides
/// opening, reading and writing. Each of the last three takes as long as all the rest.
const LOG: u8 = 1;
const CUT: u8 = 2;
const MEND: u8 = 4;
const COMPACT: u8 = 8;
const EXAMINE: u8 = 16;

/// The bytes that the input makes of them. The first says what is done, see [`LOG`]; then come five for
/// each change: which page, where on it, what.
fn changed(data: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let Whole { main, log } = whole();
    let (mut main, mut log) = (main.clone(), log.clone());
    let Some((flags, mut rest)) = data.split_first() else { return (main, Some(log)) };
    if flags & CUT != 0
        && let Some((length, after)) = rest.split_first_chunk::<4>()
    {
        main.truncate(u32::from_le_bytes(*length) as usize % (main.len() + 1));
        rest = after;
    }
    for change in rest.chunks_exact(5) {
        let page = usize::from(u16::from_le_bytes([change[0], change[1]]));
        let at = usize::from(u16::from_le_bytes([change[2], change[3]])) % PAGE;
        let pages = main.len() / PAGE;
        if flags & LOG != 0 && page >= 0x8000 {
            let at = ((page & 0x7FFF) * PAGE + at) % log.len();
            log[at] = change[4];
        } else if pages > 0 {
            main[page % pages * PAGE + at] = change[4];
        }
    }
    (main, (flags & LOG != 0).then_some(log))
}

/// Writes, keeps up, mends; errors are for the caller of the store to report.
fn use_it(store: &mut Store, registry: &Registry, flags: u8) {
    let ts = START_MS + 520 * MINUTE_MS;
    let now = Times { wall: ts, boot: ts };
    for minute in 520..523 {
        let written = store.commit(&[beat(registry, START_MS + minute * MINUTE_MS, minute)]);
        let kept = written.and_then(|_| {
            // Bounded: what is not done then is not done by anybody.
            (0..2_000).try_fold(true, |more, _| match more {
                true => store.upkeep(now, Duration::from_millis(5)),
                false => Ok(false),
            })
        });
        match kept {
            Ok(more) => assert!(!more, "upkeep never ends"),
            Err(e) => {
                store.damaged(e.to_string());
                if store.reopen().is_err() {
                    return;
                }
            }
        }
    }
    if flags & MEND != 0 {
        let _unused = store.mend(now);
    }
    if flags & COMPACT != 0 {
        let _unused = store.compact(now);
    }
}

fn read_it(path: &Path, flags: u8) {
    let Ok(reader) = Reader::open(path) else { return };
    for known in reader.series().unwrap_or_default() {
        if let Ok((ts, values)) = reader.samples(known.id, i64::MIN, i64::MAX) {
            assert_eq!(ts.len(), values.len());
            assert!(ts.is_sorted(), "samples come in the order of time");
        }
    }
    let _unused = reader.parts();
    if flags & EXAMINE != 0 {
        let _unused = reader.examine(START_MS + 520 * MINUTE_MS);
    }
}

/// One input.
pub fn run(data: &[u8]) {
    let (main, log) = changed(data);
    let flags = data.first().copied().unwrap_or(u8::MAX);
    let folder = Emptied::new();
    let file = |name: &str| folder.0.join(name);
    let path = file("metrics.sqlite");
    std::fs::write(&path, &main).expect("writable");
    if let Some(log) = &log {
        std::fs::write(file("metrics.sqlite-wal"), log).expect("writable");
    }
    std::fs::write(file("other.sqlite"), STRANGER).expect("writable");

    let registry = Arc::new(Registry::default());
    read_it(&path, flags);
    match Store::open(&path, "here", registry.clone()) {
        Ok(mut store) => {
            for entry in std::fs::read_dir(&folder.0).expect("readable").flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let aside = name.starts_with("metrics.sqlite.corrupt-") && !name.contains("Z-");
                if aside && log.is_none() {
                    let kept = std::fs::read(entry.path()).expect("readable");
                    assert!(kept == main, "what was set aside is not what was found");
                }
            }
            use_it(&mut store, &registry, flags);
            drop(store);
            read_it(&path, flags);
        }
        Err(OpenError::NotSqlite { .. } | OpenError::Foreign { .. } | OpenError::Newer { .. }) => {
            assert!(std::fs::read(&path).expect("there") == main, "refused, and changed");
        }
        Err(_) => assert!(path.exists(), "an error, and the file is gone"),
    }
    assert_eq!(std::fs::read(file("other.sqlite")).expect("there"), STRANGER);
    for entry in std::fs::read_dir(&folder.0).expect("readable").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(name == "other.sqlite" || name.starts_with("metrics.sqlite"), "{name}");
    }
}
