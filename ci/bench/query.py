#!/usr/bin/python3
"""Reading one of 20 series that hold a year of 1-minute samples (seeded random walk with a daily
wave, two decimals): plimsoll's samples_all in an SQLite process beside SQLite rows, rrdtool,
VictoriaMetrics and Prometheus, on the same samples in the same run.

Usage: ci/bench/query.py [SERIES]        (default 20; takes minutes and 2 GB of disk)
Builds plimsoll, its extension and the bench `read` first. Debian's own python3, whose sqlite3 loads
extensions. Medians of warm reads in ms, the answer taken in by Python: SQLite answers inside the
process, rrdtool through a pipe that stays open, VictoriaMetrics and Prometheus over HTTP on loopback.
The first row is the reader that plimsoll's own pages use, timed inside its process by that bench.
"""
import array, json, math, os, random, re, sqlite3, statistics, subprocess, sys, tempfile, time

import peers

START = 1_735_689_600  # 2025-01-01
COUNT = 525_600
END = START + 60 * COUNT
STEP = 31_500  # a thousand points a year
DAY = END - 86_400


def year(number):
    r = random.Random(number)
    at, values = 50.0, array.array("d")
    for i in range(COUNT):
        at += (r.random() - 0.5) * 0.6
        at += (50 - at) * 0.0005
        wave = 15 * math.sin(2 * math.pi * (i % 1440) / 1440 + number)
        values.append(round(at + wave + (r.random() - 0.5) * 2, 2))
    return (f"s{number}", range(START, END, 60), values)


def median(ask):
    """Milliseconds, and how many points came."""
    ask()
    times, begin = [], time.monotonic()
    while len(times) < 5 or (time.monotonic() - begin < 3 and len(times) < 200):
        at = time.perf_counter()
        answer = ask()
        times.append((time.perf_counter() - at) * 1000)
    return statistics.median(times), len(answer)


class Rrd:
    """rrdtool's pipe: a command in, its answer out."""

    def __init__(self):
        self.child = subprocess.Popen(["rrdtool", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, command):
        self.child.stdin.write(command.encode() + b"\n")
        self.child.stdin.flush()
        out = []
        while True:
            line = self.child.stdout.readline()
            if line.startswith(b"OK "):
                return out
            if not line or line.startswith(b"ERROR"):
                raise RuntimeError(f"rrdtool: {line}")
            out.append(line)

    def close(self):
        self.child.stdin.close()
        self.child.wait()


def sql(path, table, extension=None):
    """The three questions in SQL; `table(from, to)` is what one series is read from (ts in ms or s)."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    if extension:
        db.enable_load_extension(True)
        db.load_extension(extension)
    unit = 1000 if extension else 1
    return {
        "day": lambda: db.execute(f"select ts, value {table(DAY, END)}").fetchall(),
        "year": lambda: db.execute(f"select ts, value {table(START, END)}").fetchall(),
        "chart": lambda: db.execute(
            f"select ts / {STEP * unit}, avg(value) {table(START, END)} group by 1").fetchall(),
    }


def over_http(server):
    def ask(path, **query):
        return json.loads(server.get(path, **query))["data"]["result"][0]
    return {
        "day": lambda: ask("/api/v1/query", query="s0[1d]", time=END - 1)["values"],
        "year": lambda: ask("/api/v1/query", query="s0[365d]", time=END - 1)["values"],
        "chart": lambda: ask("/api/v1/query_range", query=f"avg_over_time(s0[{STEP}s])",
                             start=START + STEP, end=END, step=STEP)["values"],
    }


def in_process(folder):
    """What the bench `read` says of this database: kind -> (ms, points), and the last row of all."""
    said = subprocess.run(["cargo", "bench", "--quiet", "--locked", "--bench", "read", "--", "1", folder],
                          cwd=peers.ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = dict(re.findall(r"^(.*): ([0-9.]+ ms, [0-9]+) points$", said, re.M))
    read = lambda what: tuple(float(w) for w in found[what].split(" ms, "))
    return ({"day": read("a series, the last 24 h, every sample"),
             "year": read("a series, a year, every sample"),
             "chart": read("a series, a year, 1,000 averages")},
            found["all series, a year, 1,000 averages each"])


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    program = peers.binary()
    target = os.path.dirname(os.path.dirname(program))
    subprocess.run(["cargo", "build", "--release", "--quiet", "--locked", "--manifest-path",
                    os.path.join(peers.ROOT, "extension/Cargo.toml"), "--target-dir", target], check=True)
    series = [year(number) for number in range(count)]
    total = count * COUNT
    rows = []

    def row(name, questions, size):
        cells = []
        for kind in ("day", "year", "chart"):
            ms, points = questions[kind] if isinstance(questions[kind], tuple) else median(questions[kind])
            points = int(points)
            cells += [f"{ms:.2f}", f"{points:,}"]
        rows.append([name, *cells, f"{size / 1e6:.1f} MB", f"{size / total:.2f}"])
        print("| " + " | ".join(rows[-1]) + " |", flush=True)

    print("| | last 24 h, every sample: ms | rows | a year, every sample: ms | samples "
          "| a year, 1,000 averages: ms | points | size | bytes a sample |")
    print("|---" * 9 + "|", flush=True)
    with tempfile.TemporaryDirectory(prefix="plimsoll-query-") as work:
        db, parts = peers.plimsoll(program, work, series)
        times, all_charts = in_process(work)
        row("plimsoll, in its own process", times, parts["sealed samples"]["bytes"])
        row("plimsoll, samples_all in SQLite",
            sql(db, lambda a, b: f"from samples_all('s0', {a}, {b - 1})",
                os.path.join(target, "release/libplimsoll_sql")),
            parts["sealed samples"]["bytes"])
        path = peers.sqlite_rows(work, series)
        row("SQLite rows, WITHOUT ROWID",
            sql(path, lambda a, b: f"from m where series_id = 0 and ts between {a} and {b - 1}"),
            peers.size(path))
        os.remove(path)
        if not peers.missing("rrdtool"):
            folder = peers.rrd_files(work, series)
            rrd, path = Rrd(), os.path.join(folder, "0.rrd")
            row("rrdtool fetch and xport, raw archive", {
                "day": lambda: rrd.ask(f"fetch {path} AVERAGE -s {DAY - 60} -e {END - 120}")[2:],
                "year": lambda: rrd.ask(f"fetch {path} AVERAGE -s {START - 60} -e {END - 120}")[2:],
                "chart": lambda: [l for l in rrd.ask(
                    f"xport -s {START} -e {END} --step {STEP} --maxrows 2000 "
                    f"DEF:a={path}:v:AVERAGE XPORT:a") if b"<row>" in l],
            }, peers.size(folder))
            rrd.close()
        if not peers.missing("victoria-metrics"):
            with peers.Victoria(work) as victoria:
                victoria.fill(series)
                row("VictoriaMetrics, HTTP", over_http(victoria), victoria.bytes())
        if not peers.missing("prometheus"):
            blocks = peers.prometheus_blocks(work, series)
            with open(os.path.join(work, "prometheus.yml"), "w") as f:
                f.write("global: {}\n")
            size = peers.size(blocks)
            with peers.Server(work, "prometheus", [
                    "prometheus", f"--config.file={work}/prometheus.yml", f"--storage.tsdb.path={blocks}",
                    "--web.listen-address=127.0.0.1:PORT", "--storage.tsdb.retention.time=100y"]) as server:
                row("Prometheus, HTTP", over_http(server), size)
    print()
    print(f"plimsoll, such a chart of every series at once: {all_charts} points")
    print(peers.versions())
    for name in ("rrdtool", "victoria-metrics", "prometheus"):
        if peers.missing(name):
            print(f"{name} is not here: {peers.missing(name)}")


if __name__ == "__main__":
    main()
