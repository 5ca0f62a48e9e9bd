//! tests: `extension/` in the sqlite3 of this machine: it answers as `plimsoll sql` does, on
//! samples that are sealed, plain, late, and gone from the plain rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use plimsoll::model::{Clock, SystemClock};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PLIMSOLL: &str = env!("CARGO_BIN_EXE_plimsoll");
const EVERYTHING: &str = "select key, ts, value from samples_all('*')";
const START: i64 = 1_700_000_000;
const MINUTES: i64 = 4_000;

/// The library, built once a process; without its ending, as users write it.
fn library() -> &'static str {
    static BUILT: OnceLock<String> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let manifest = Path::new(ROOT).join("extension/Cargo.toml");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--locked", "--manifest-path"])
            .arg(manifest)
            .arg("--target-dir")
            .arg(target)
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        target.join("debug/libplimsoll_sql").to_str().unwrap().to_owned()
    })
}

fn sqlite3(db: &Path, statement: &str) -> Output {
    Command::new("sqlite3")
        .args(["-readonly", "-cmd", &format!(".load {}", library())])
        .arg(db)
        .arg(statement)
        .output()
        .expect("the Debian package sqlite3")
}

fn plimsoll(dir: &Path, args: &[&str]) -> Output {
    let output = Command::new(PLIMSOLL)
        .args(["--config", "plimsoll.toml", "--db", "m.sqlite"])
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn own(dir: &Path, statement: &str) -> Output {
    plimsoll(dir, &["sql", "--format", "list", statement])
}

/// Values by series and time, as bits; NULL is none.
type Samples = BTreeMap<(String, i64), Option<u64>>;

fn samples(output: &Output) -> Samples {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = std::str::from_utf8(&output.stdout).unwrap();
    let mut all = Samples::new();
    for line in text.lines() {
        let (key, rest) = line.split_once('|').unwrap();
        let (ts, value) = rest.split_once('|').unwrap();
        let bits = (!value.is_empty()).then(|| value.parse::<f64>().unwrap().to_bits());
        let before = all.insert((key.into(), ts.parse().unwrap()), bits);
        assert_eq!(before, None, "twice: {line}");
    }
    all
}

/// Without printing thousands of them.
#[track_caller]
fn assert_same(found: &Samples, expected: &Samples) {
    let first = found.iter().zip(expected).find(|(a, b)| a != b);
    assert_eq!(first, None);
    assert_eq!(found.len(), expected.len());
}

/// What the database is to hold, put into it in three waves.
struct Database {
    dir: tempfile::TempDir,
    expected: Samples,
}

impl Database {
    fn path(&self) -> PathBuf {
        self.dir.path().join("m.sqlite")
    }

    fn import(&mut self, rows: impl Iterator<Item = (i64, i64, f64)>) {
        let mut csv = String::from("key,timestamp,value\n");
        for (series, second, value) in rows {
            writeln!(csv, "s{series},{second},{value}").unwrap();
            // SQL has no NaN.
            let kept = (!value.is_nan()).then(|| value.to_bits());
            self.expected.insert((format!("s{series}"), second * 1000), kept);
        }
        fs::write(self.dir.path().join("rows.csv"), csv).unwrap();
        plimsoll(self.dir.path(), &["import", "rows.csv"]);
    }

    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let limits = "[store]\nplain_rows = \"1MB\"\nraw = \"100y\"\n";
        fs::write(dir.path().join("plimsoll.toml"), limits).unwrap();
        let mut database = Self { dir, expected: Samples::new() };
        let value = |series, minute| match (series, minute % 50) {
            (1, 7) => f64::NAN,
            (2, 8) => f64::NEG_INFINITY,
            (4, _) => 1.0,
            _ => ((minute * 7_919 + series * 104_729) % 10_007) as f64 / 100.0,
        };
        let minute = |series, m| (series, START + m * 60, value(series, m));
        database.import((0..MINUTES).flat_map(|m| (0..20).map(move |s| minute(s, m))));
        plimsoll(database.dir.path(), &["compact"]);
        // Late ones, between the others and in the place of others, some of a new series; then newer.
        database.import((0..60).map(|i| (i % 21, START + i * 1_830, i as f64 + 0.25)));
        let after = MINUTES + 1..MINUTES + 30;
        database.import(after.flat_map(|m| (0..21).map(move |s| minute(s, m))));
        database
    }

    fn number(&self, statement: &str) -> i64 {
        let output = sqlite3(&self.path(), statement);
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }
}

#[test]
fn stock_sqlite_reads_what_plimsoll_reads() {
    let database = Database::new();
    let (dir, path) = (database.dir.path(), database.path());
    assert!(database.number("select count(*) from blocks where resolution = 0") > 0, "sealed");
    assert!(database.number("select count(*) from late") > 0, "late");
    let old = format!("select count(*) from samples where ts < {}", (START + 6_000) * 1000);
    assert!((1..100).contains(&database.number(&old)), "of the old plain rows only late ones");

    // While a daemon has it open, and when none does.
    let daemon = plimsoll::store::Store::open(&path, "test", std::sync::Arc::default()).unwrap();
    assert_same(&samples(&sqlite3(&path, EVERYTHING)), &database.expected);
    drop(daemon);
    assert_same(&samples(&sqlite3(&path, EVERYTHING)), &database.expected);
    assert_same(&samples(&own(dir, EVERYTHING)), &database.expected);

    for arguments in [
        "'s1*', 1700050000, 1700100000",
        "'s?', '2023-11-15 00:00:00', '2023-11-15T12:00:00+01:00'",
        "'s7'",
        "'none'",
        "null, null, 1700000600",
    ] {
        let statement = format!(
            "select key, ts, value from samples_all({arguments}) where value is not 5 order by 2, 1"
        );
        let theirs = samples(&sqlite3(&path, &statement));
        assert_same(&theirs, &samples(&own(dir, &statement)));
        assert_eq!(theirs.is_empty(), arguments == "'none'", "{arguments}");
    }
    let joined = "select count(*) from series s join samples_all(s.key) a on a.key = s.key";
    assert_eq!(database.number(joined), database.expected.len() as i64);
}

/// The example of docs/SCHEMA.md, as it stands there.
#[test]
fn python_reads_it_too() {
    let database = Database::new();
    let document = fs::read_to_string(Path::new(ROOT).join("docs/SCHEMA.md")).unwrap();
    let from = document.find("    import sqlite3").expect("the example");
    let code: String = document[from..]
        .lines()
        .map_while(|l| l.strip_prefix("    "))
        .map(|l| format!("{l}\n"))
        .collect();
    assert!(code.contains("\"target/release/libplimsoll_sql\""), "{code}");
    let days = (SystemClock.wall_ms() / 1000 - START) / 86_400 + 10;
    let code = code
        .replace("target/release/libplimsoll_sql", library())
        .replace("metrics.sqlite", "m.sqlite")
        .replace("disk_*", "s*")
        .replace("-30d", &format!("-{days}d"))
        .replace("print(*row)", "print(*('' if v is None else v for v in row), sep='|')");
    let output = Command::new("/usr/bin/python3")
        .args(["-c", &code])
        .current_dir(database.dir.path())
        .output()
        .expect("the Debian package python3");
    assert_same(&samples(&output), &database.expected);
}

#[test]
fn errors_are_sentences() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.sqlite");
    plimsoll_import_one(dir.path());
    for (statement, sentence) in [
        ("select * from samples_all('*', 'soon')", "samples_all: `soon` is not a time; "),
        ("select * from samples_all(1)", "samples_all: the first argument is a key, with * and ?"),
        ("select * from samples_all('*', x'00')", "samples_all: a blob is no time"),
    ] {
        let output = sqlite3(&path, statement);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(sentence) && !output.status.success(), "{text}");
    }
    let other = dir.path().join("other.sqlite");
    for (pragma, sentence) in [
        ("create table t (a)", "samples_all: this database is not one of plimsoll's"),
        (
            "pragma application_id = 0x504C494D; pragma user_version = 999",
            "samples_all: the database has schema version 999",
        ),
    ] {
        let made = Command::new("sqlite3").arg(&other).arg(pragma).status().unwrap();
        assert!(made.success());
        let output = sqlite3(&other, "select * from samples_all('*')");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(sentence), "{text}");
    }
}

fn plimsoll_import_one(dir: &Path) {
    fs::write(dir.join("plimsoll.toml"), "").unwrap();
    fs::write(dir.join("rows.csv"), format!("key,timestamp,value\ncpu,{START},1\n")).unwrap();
    plimsoll(dir, &["import", "rows.csv"]);
}

/// A damaged block leaves a gap, and the shell says which.
#[test]
fn a_damaged_block_is_told() {
    let database = Database::new();
    let damaged = Command::new("sqlite3")
        .arg(database.path())
        .arg(
            "update blocks set data = cast(substr(data, 1, length(data) - 9) || \
             x'000000000000000000' as blob) where resolution = 0 and id = \
             (select max(id) from blocks where resolution = 0)",
        )
        .output()
        .unwrap();
    assert!(damaged.status.success(), "{}", String::from_utf8_lossy(&damaged.stderr));
    let output = sqlite3(&database.path(), "select count(*) from samples_all('*')");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success());
    assert!(told.contains("ERROR sealed samples of series ") && told.contains("lost"), "{told}");
    let count: usize = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
    assert!(count > 0 && count < database.expected.len(), "{count}");
}

/// The name and version of each package in a lock file, without those of the repository itself.
fn versions(lock: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(Path::new(ROOT).join(lock)).unwrap();
    let field = |package: &str, name: &str| {
        let line = package.lines().find_map(|l| l.strip_prefix(&format!("{name} = \"")))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    text.split("[[package]]")
        .filter(|package| package.contains("\nsource = "))
        .filter_map(|package| Some((field(package, "name")?, field(package, "version")?)))
        .collect()
}

#[test]
fn both_lock_files_have_the_same_versions() {
    let (ours, theirs) = (versions("Cargo.lock"), versions("extension/Cargo.lock"));
    assert!(theirs.iter().any(|(name, _)| name == "pco"), "{theirs:?}");
    for (name, version) in theirs {
        // Versions that may stand in for each other; of others a program may have two.
        let kin = |v: &str| {
            v.split_inclusive('.').take(1 + usize::from(v.starts_with("0."))).collect::<String>()
        };
        let known: Vec<_> = ours
            .iter()
            .filter(|(n, v)| *n == name && kin(v) == kin(&version))
            .map(|(_, v)| v)
            .collect();
        assert!(known.is_empty() || known.contains(&&version), "{name} {version}, not {known:?}");
    }
}
