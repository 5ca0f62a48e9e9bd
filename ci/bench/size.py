#!/usr/bin/env python3
"""Bytes a sample: plimsoll beside VictoriaMetrics, Prometheus, RRD, gzip and SQLite, on the same
samples in the same run.

Usage: ci/bench/size.py [CSV]     (key,unix_ts,value, .gz or not; default ../shared/data/proc1s.csv.gz)
Three kinds of harder data are generated, seeded. Builds the release binary first. Debian packages:
victoria-metrics, prometheus, rrdtool; what is missing is left out and named. Loopback only.
"""
import csv, gzip, math, os, random, subprocess, sys, tempfile

import peers

START = 1_788_220_800  # 2026-09-01


def recording(path):
    series = {}
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", newline="") as f:
        for row in csv.DictReader(f):
            times, values = series.setdefault(row["key"], ([], []))
            times.append(int(row["unix_ts"]))
            values.append(float(row["value"]))
    return [(key, *columns) for key, columns in series.items()]


def cloud():
    """24 series of cloud servers, five minutes, two weeks: a quarter whole numbers, averages of few
    or many readings with all their decimals, percentages with three."""
    r, out = random.Random(1), []
    times = [START + 300 * i for i in range(4_032)]
    for number in range(24):
        level, values = 10 ** r.uniform(0, 6), []
        for i in range(len(times)):
            day = 1 + 0.5 * math.sin(i / 288 * 2 * math.pi + number)
            value = level * day * r.lognormvariate(0, 0.4) * (8 if r.random() < 0.005 else 1)
            if number < 6:
                values.append(float(round(value)))
            elif number < 14:
                values.append(round(min(value / level * 20, 100), 3))
            else:
                # The mean of a few whole numbers, as an agent sends it.
                count = 5 * (number - 13)
                values.append(round(value * count) / count)
        out.append((f"server_{number}", times, values))
    return out


def walk():
    """20 series, one minute, 30 days: a random walk with a daily wave, two decimals."""
    r, out = random.Random(2), []
    times = [START + 60 * i for i in range(43_200)]
    for number in range(20):
        at, values = 50.0, []
        for i in range(len(times)):
            at += (r.random() - 0.5) * 0.6 + (50 - at) * 0.0005
            wave = 15 * math.sin(2 * math.pi * (i % 1440) / 1440 + number)
            values.append(round(at + wave + (r.random() - 0.5) * 2, 2))
        out.append((f"walk_{number}", times, values))
    return out


def floats():
    """20 series, one minute, a week: every bit of the number used."""
    r, out = random.Random(3), []
    times = [START + 60 * i for i in range(10_080)]
    for number in range(20):
        at, values = 0.5, []
        for i in range(len(times)):
            at += r.gauss(0, 0.01)
            values.append(math.sin(i / 200 + number) + at)
        out.append((f"float_{number}", times, values))
    return out


def measure(program, work, series):
    """Samples, bytes by store, and how many of the numbers two of them give back as they were."""
    count = sum(len(times) for _, times, _ in series)
    found, exact = {}, {}
    db, parts = peers.plimsoll(program, work, series)
    sealed = parts["sealed samples"]
    if sealed["samples"] != count:
        raise RuntimeError(f"plimsoll sealed {sealed['samples']} of {count} samples")
    exact["plimsoll"] = peers.plimsoll_exact(program, db, series)
    found["plimsoll: sealed samples, blocks and their index"] = sealed["bytes"]
    if not peers.missing("victoria-metrics"):
        with peers.Victoria(work) as victoria:
            victoria.fill(series)
            exact["VictoriaMetrics"] = victoria.exact(series)
        found["VictoriaMetrics: data and indexdb, merged"] = victoria.bytes()
    if not peers.missing("promtool"):
        blocks = peers.prometheus_blocks(work, series)
        found["Prometheus: chunks and index"] = sum(
            peers.size(os.path.join(blocks, b, "chunks"), os.path.join(blocks, b, "index"))
            for b in os.listdir(blocks))
    if not peers.missing("rrdtool"):
        found["RRD: one file a series, one raw archive"] = peers.size(peers.rrd_files(work, series))
    text = os.path.join(work, "all.csv")
    peers.write_csv(text, series)
    found["CSV, gzip -6"] = len(subprocess.run(["gzip", "-6", "-c", text], check=True, stdout=subprocess.PIPE).stdout)
    found["SQLite: key and time as text in each row"] = peers.size(peers.sqlite_flat(work, series))
    found["SQLite: numbers, WITHOUT ROWID"] = peers.size(peers.sqlite_rows(work, series))
    return count, found, exact


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(peers.ROOT, "../shared/data/proc1s.csv.gz")
    kinds = {"cloud, 5 min": cloud, "walk, 1 min": walk, "full floats, 1 min": floats}
    if os.path.exists(path):
        kinds = {"recording, 1 s": lambda: recording(path), **kinds}
    else:
        print(f"{path}: not there; only generated data", file=sys.stderr)
    program = peers.binary()
    columns = {}
    for kind, make in kinds.items():
        with tempfile.TemporaryDirectory(prefix="plimsoll-size-") as work:
            columns[kind] = measure(program, work, make())
    _, stores, readers = next(iter(columns.values()))
    print("| bytes a sample | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for store in stores:
        cells = (f"{found[store] / count:.3f}" for count, found, _ in columns.values())
        print(f"| {store} | " + " | ".join(cells) + " |")
    print("| samples | " + " | ".join(f"{count:,}" for count, _, _ in columns.values()) + " |")
    for reader in readers:
        cells = (f"{exact[reader] / count:.1%}" for count, _, exact in columns.values())
        print(f"| given back bit for bit by {reader} | " + " | ".join(cells) + " |")
    print()
    print(peers.versions())
    for name in ("victoria-metrics", "promtool", "rrdtool"):
        if peers.missing(name):
            print(f"{name} is not here: {peers.missing(name)}")


if __name__ == "__main__":
    main()
