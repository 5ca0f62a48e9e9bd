//! Programs that read the file itself while the daemon writes it: DuckDB, pandas and Datasette, as
//! docs/SCHEMA.md names them. All three come from PyPI.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::*;

/// A daemon with a NaN, a -0 and some beats in its file.
fn filled() -> (Folder, Daemon) {
    let folder = Folder::new();
    let daemon = folder.start("interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n");
    let body = "odd_nan NaN\nodd_zero -0\nodd_plain 1.5\n";
    let request = format!(
        "PUT /metrics/job/odd HTTP/1.0\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(exchange(daemon.address(), &request).status, 200);
    let stored = "select count(*) from series where key like 'odd_%' or key = 'cpu'";
    eventually("they are stored", PATIENCE, || match &*sqlite3(&daemon.db, stored) {
        "4" => Ok(()),
        n => Err(n.to_owned()),
    });
    (folder, daemon)
}

/// Python with these modules.
fn python(modules: &Path) -> Command {
    let mut python = tool("python3", "python3");
    python.env("PYTHONPATH", modules);
    python
}

/// Every view can be counted; then the columns' types, values that are odd, and the way to the rows
/// of the table `samples`, which has no rowid.
const DUCKDB: &str = r#"
import glob, sys, duckdb
modules, file = sys.argv[1:]
(extension,) = glob.glob(modules + "/duckdb_ext/**/sqlite_scanner.duckdb_extension", recursive=True)
c = duckdb.connect()
c.execute(f"load '{extension}'")
c.execute(f"attach '{file}' as p (type sqlite, read_only)")
one = lambda sql: c.execute(sql).fetchone()
for view in "metrics metrics_by_system history systems series event_log graphs graph_fields alerts notifications".split():
    print(view, one(f"select count(*) >= 0 from p.{view}")[0])
print(one("select count(*) > 10 from p.metrics")[0], one("select max(value) >= 0 from p.metrics where key = 'cpu'")[0])
print(len(c.execute("show tables from p").fetchall()) > 8)
print(*[type(v).__name__ for v in one(f"select key, value, timestamp from sqlite_scan('{file}', 'metrics') where key = 'cpu'")])
print(one("select value from p.metrics_by_system where key like 'odd_plain%'"))
print(one("select count(*), count(value) from p.metrics_by_system where key like 'odd_nan%'"))
# As docs/SCHEMA.md has it.
rows = f"""sqlite_query('p',
  'select key, ts, case typeof(value) when ''real'' then value end as value
   from samples join series on _id = series_id')"""
print(one(f"select count(*) > 10, count(value) > 10 from {rows}"))
print(one(f"select count(*), count(value) from {rows} where key like 'odd_nan%'"))
try:
    one("select count(*) from p.samples")
    print("p.samples can be read: docs/SCHEMA.md says that it cannot")
except duckdb.Error as e:
    print("rowid" in str(e).lower())
"#;

#[test]
fn duckdb_reads_every_view() {
    let (_folder, daemon) = filled();
    let modules =
        pip_installed("pip-duckdb-1.4.4", &["duckdb==1.4.4", "duckdb-ext-sqlite==1.4.4.20260205"]);
    let said = run(python(&modules).arg("-c").arg(DUCKDB).arg(&modules).arg(&daemon.db)).well();
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            "metrics True",
            "metrics_by_system True",
            "history True",
            "systems True",
            "series True",
            "event_log True",
            "graphs True",
            "graph_fields True",
            "alerts True",
            "notifications True",
            "True True",
            "True",
            "str float str",
            "(1.5,)",
            "(1, 0)",
            "(True, True)",
            "(1, 0)",
            "True",
        ]
    );
    daemon.stop();
}

const PANDAS: &str = r#"
import sqlite3, sys
import pandas as pd
file = sys.argv[1]
db = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
frame = pd.read_sql("select * from metrics where key in ('memory', 'cpu')", db, parse_dates=["timestamp"])
print(str(frame.dtypes["timestamp"]).startswith("datetime64"), frame["value"].dtype, len(frame) > 1)
written = sqlite3.connect(file, timeout=20)
pd.DataFrame({"key": ["from_pandas"], "value": [1.5]}).to_sql("metrics", written, if_exists="append", index=False)
print(db.execute("select value from metrics where key = 'from_pandas'").fetchall())
"#;

#[test]
fn pandas_reads_and_writes() {
    let (_folder, daemon) = filled();
    let modules = pip_installed("pip-pandas-3.1.1", &["pandas==3.1.1"]);
    let said = run(python(&modules).arg("-c").arg(PANDAS).arg(&daemon.db)).well();
    assert_eq!(said, "True float64 True\n[(1.5,)]\n");
    daemon.stop();
}

/// Ended when the test ends, however it ends.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn datasette_shows_every_view() {
    let (_folder, daemon) = filled();
    let modules = pip_installed("pip-datasette-0.65.5", &["datasette==0.65.5"]);
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = free.local_addr().expect("bound");
    drop(free);
    let port = address.port().to_string();
    let served = python(&modules)
        .args(["-m", "datasette", "serve"])
        .arg(&daemon.db)
        .args(["-h", "127.0.0.1", "-p", &port])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _served = Ends(served.expect("it starts"));
    eventually("it listens", 2 * PATIENCE, || {
        TcpStream::connect(address).map(drop).map_err(|e| e.to_string())
    });
    let name = daemon.db.file_stem().and_then(|n| n.to_str()).expect("a name");
    for path in [
        "metrics.json?_size=2",
        "metrics_by_system.json?_size=1",
        "history.json",
        "series.json?_size=1",
        "systems.json",
        "event_log.json",
        "graphs.json",
        "graph_fields.json",
        "metrics.csv?_size=2",
        "metrics?_facet=key",
        "metrics.json?key=cpu&_sort_desc=timestamp",
    ] {
        let mut stream = TcpStream::connect(address).expect("it listens");
        let request = format!("GET /{name}/{path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut status = String::new();
        BufReader::new(stream).read_line(&mut status).expect("it answers");
        assert!(status.contains(" 200 "), "{path}: {status}");
    }
    daemon.stop();
}
