#!/usr/bin/env python3
"""Does a beat cost more as the file grows to its bound? Fills a database with synthetic samples to 0,
25, 50, 75 and 100 % of max_size (import, compact), and at each runs plimsoll with all collectors at a
1 s beat: CPU a beat, of all threads and of the one that writes, upkeep included.

Usage: ci/bench/curve.py [MAX_SIZE_MB [SECONDS [BINARY]]]    (default 64, 60, target/release/plimsoll)

The filling is of numbers that no codec compresses, 50 series, one sample each a minute, in the past;
CPU is the scheduler's own account (schedstat). Loopback only.
"""
import glob, os, random, shutil, signal, subprocess, sys, tempfile, time
# Munin plugins of this machine are not what is measured.
os.environ["PLIMSOLL_PLUGIN_DIR"] = "/nonexistent"

MEGABYTES = int(sys.argv[1]) if len(sys.argv) > 1 else 64
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 60
BINARY = os.path.abspath(sys.argv[3] if len(sys.argv) > 3 else "target/release/plimsoll")
# Longer than upkeep waits: the first look after a start counts rows and does what import left.
WARM_UP = int(os.environ.get("WARM_UP", 40))
SERIES = 50


def cpu_ns(pid):
    """By thread name."""
    cost = {}
    for task in glob.glob(f"/proc/{pid}/task/*"):
        name = open(task + "/comm").read().strip()
        cost[name] = cost.get(name, 0) + int(open(task + "/schedstat").read().split()[0])
    return cost


def used(db):
    return sum(os.path.getsize(p) for p in glob.glob(db + "*") if not p.endswith((".lock", ".sock")))


def fill(run, db, target, minute):
    """Imports until the compacted file is about so large; the minute to go on from."""
    dice = random.Random(minute)
    while used(db) < target:
        # A row is about 9 bytes once it is sealed; never more than a quarter at once.
        left = min(target - used(db), (MEGABYTES << 20) // 8)
        minutes = max(200, int(left / 10 / SERIES))
        rows = ["key,timestamp,value\n"]
        for _ in range(minutes):
            minute += 1
            rows += [f"filling_{i},{minute * 60},{dice.random()!r}\n" for i in range(SERIES)]
        before = used(db)
        subprocess.run(run + ["import", "--format", "csv", "-"], input="".join(rows).encode(),
                       stdout=subprocess.DEVNULL, check=True)
        subprocess.run(run + ["compact"], stdout=subprocess.DEVNULL, check=True)
        # At its bound it does not grow any more.
        if used(db) <= before * 1.005:
            break
    return minute


def main():
    work = tempfile.mkdtemp(prefix="plimsoll-curve-")
    config, db = os.path.join(work, "plimsoll.toml"), os.path.join(work, "metrics.sqlite")
    with open(config, "w") as f:
        f.write('interval = "1s"\n[http]\nlisten = "127.0.0.1:0"\n'
                f'[store]\nmax_size = "{MEGABYTES}MiB"\nraw = "100y"\n')

    def run(*verb):
        return [BINARY] + list(verb) + ["--config", config, "--db", db]

    words = ["--config", config, "--db", db]
    minute = 23_000_000
    first = None
    try:
        print(f"{'of max_size':>11} {'file, log MB':>13} {'CPU ms a beat':>14} {'store thread':>13} {'ratio':>6}")
        for percent in (0, 25, 50, 75, 100):
            if percent:
                minute = fill([BINARY] + words, db, (MEGABYTES << 20) * percent // 100, minute)
            size = used(db) / 1e6 if percent else 0.0
            log = open(os.path.join(work, "log"), "w")
            child = subprocess.Popen(run("run"), stdout=log, stderr=log)
            time.sleep(WARM_UP)
            before, begin = cpu_ns(child.pid), time.monotonic()
            time.sleep(SECONDS)
            after, beats = cpu_ns(child.pid), time.monotonic() - begin
            child.send_signal(signal.SIGTERM)
            if child.wait() != 0:
                sys.exit(open(os.path.join(work, "log")).read())
            cost = {n: (after[n] - before.get(n, 0)) / beats / 1e6 for n in after}
            total = sum(cost.values())
            first = first or total
            print(f"{percent:10} % {size:13.1f} {total:14.3f} {cost.get('store', 0):13.3f} "
                  f"{total / first:6.2f}", flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
