#!/usr/bin/env python3
"""How fast the history of a Munin master comes in: 1,000 RRD files of its shape, by plimsoll, against
`rrdtool dump` of the same files by two processes.

    ci/bench/import_munin.py [--files 1000] [--rounds 3] [--plimsoll target/release/plimsoll]

Ten files are made by rrdtool (500 days of values at five minutes), gauges and counters; the others
are copies with other values, each multiplied by a number of its own. A point is a value of an
archive, known or not; both read all of them. Needs rrdtool and two cores. Prints a line a round.
"""

import argparse
import os
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile
import time

ROWS = [(1, 576), (6, 432), (24, 540), (288, 450)]
HEAD, DS, RRA, LIVE, PDP, CDP = 128, 120, 120, 16, 112, 80
COUNT = len(ROWS) * 3
VALUES = HEAD + DS + COUNT * RRA + LIVE + PDP + COUNT * CDP + COUNT * 8
POINTS = sum(rows for _, rows in ROWS) * 3


def make(path, kind, seed):
    """One file by rrdtool."""
    dice = random.Random(seed)
    end = int(time.time()) // 300 * 300 - 600
    count = 500 * 288
    minimum = "0" if kind == "DERIVE" else "U"
    create = f"create {path} --start {end - count * 300 - 300} --step 300 DS:42:{kind}:600:{minimum}:U"
    for steps, rows in ROWS:
        create += "".join(f" RRA:{how}:0.5:{steps}:{rows}" for how in ("AVERAGE", "MIN", "MAX"))
    tool = subprocess.Popen(["rrdtool", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    tool.stdin.write(create + "\n")
    value = 1_000_000.0
    for first in range(0, count, 500):
        line = f"update {path}"
        for i in range(first, min(first + 500, count)):
            if kind == "DERIVE":
                value += dice.randrange(0, 300_000)
            else:
                value = max(0.0, value + dice.gauss(0, 10_000))
            line += f" {end - (count - 1 - i) * 300 + 7}:{value:.0f}"
        tool.stdin.write(line + "\n")
    tool.stdin.close()
    assert tool.wait() == 0


def multiply(source, path, factor):
    """A copy with other values."""
    data = bytearray(source)
    values = struct.unpack_from(f"<{POINTS}d", data, VALUES)
    struct.pack_into(f"<{POINTS}d", data, VALUES, *[v * factor for v in values])
    path.write_bytes(data)


def dump(files):
    """All files through rrdtool dump, two processes, each one for many files."""
    parts = [files[0::2], files[1::2]]
    start = time.perf_counter()
    running = []
    for part in parts:
        tool = subprocess.Popen(["rrdtool", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        tool.stdin.write("".join(f"dump {path}\n" for path in part))
        tool.stdin.close()
        running.append(tool)
    for tool in running:
        assert tool.wait() == 0
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plimsoll", default="target/release/plimsoll")
    options = parser.parse_args()
    plimsoll = pathlib.Path(options.plimsoll).resolve()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        folder = pathlib.Path(folder)
        group = folder / "munin" / "localdomain"
        group.mkdir(parents=True)
        seeds = []
        for i in range(10):
            kind = "GAUGE" if i < 6 else "DERIVE"
            path = folder / f"seed{i}.rrd"
            make(path, kind, i)
            seeds.append((path.read_bytes(), kind[0].lower()))
        assert len(seeds[0][0]) == VALUES + POINTS * 8, "rrdtool wrote another layout"
        files = []
        for i in range(options.files):
            data, letter = seeds[i % 10]
            path = group / f"localhost.localdomain-plugin{i // 10}-field{i % 10}-{letter}.rrd"
            multiply(data, path, 1 + i / 1000)
            files.append(path)
        points = POINTS * len(files)
        for number in range(options.rounds):
            slow = dump(files)
            database = folder / "metrics.sqlite"
            words = [plimsoll, "import", "munin", "--dir", folder / "munin", "--plugins", "/nonexistent", "--db", database]
            start = time.perf_counter()
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            fast = time.perf_counter() - start
            size = sum(f.stat().st_size for f in folder.glob("metrics.sqlite*"))
            start = time.perf_counter()
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            again = time.perf_counter() - start
            print(
                f"round {number + 1}: {points:,} points; plimsoll {fast:.2f} s, {points / fast / 1e6:.2f} M points/s, "
                f"{size / 1e6:.0f} MB; again {again:.2f} s; rrdtool dump {slow:.2f} s, {points / slow / 1e6:.2f} M points/s",
                flush=True,
            )
            for file in folder.glob("metrics.sqlite*"):
                file.unlink()


if __name__ == "__main__":
    main()
