#!/usr/bin/env python3
"""Cost of one beat at a 1 s interval: plimsoll (all collectors; the origin's three) beside the floor
in C and node_exporter scraped by Prometheus, all at once on the same machine.

Usage: ci/bench/beat.py [SECONDS [BINARY]]   (default 120, the release build; needs gcc, libsqlite3-dev, prometheus,
prometheus-node-exporter)

CPU is the scheduler's own account (/proc/PID/task/*/schedstat, nanoseconds) over the measured
seconds, after a warm-up of 10; memory is PSS at the end. Loopback only.
"""
import glob, os, shutil, signal, socket, sqlite3, subprocess, sys, tempfile, time

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 120
WARM_UP = 10
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Munin plugins of this machine are not what is measured.
os.environ["PLIMSOLL_PLUGIN_DIR"] = "/nonexistent"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_ns(pid):
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        try:
            total += int(open(path).read().split()[0])
        except OSError:
            pass
    return total


def pss_kb(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1])


def first_sample(plimsoll, work):
    """Milliseconds from starting the process to the first row on disk; the median of five."""
    took = []
    for i in range(5):
        db = os.path.join(work, f"first{i}.sqlite")
        config = os.path.join(work, "first.toml")
        with open(config, "w") as f:
            f.write('[http]\nlisten = "off"\n')
        begin = time.monotonic()
        child = subprocess.Popen([plimsoll, "run", "--config", config, "--db", db],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while time.monotonic() - begin < 5:
            try:
                reader = sqlite3.connect(f"file:{db}?mode=ro", uri=True)
                found = reader.execute("SELECT EXISTS (SELECT 1 FROM samples)").fetchone()[0]
                reader.close()
                if found:
                    break
            except sqlite3.Error:
                pass
            time.sleep(0.0005)
        took.append((time.monotonic() - begin) * 1e3)
        child.send_signal(signal.SIGTERM)
        child.wait()
    return sorted(took)[2]


def main():
    if len(sys.argv) > 2:
        plimsoll = os.path.abspath(sys.argv[2])
    else:
        subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
        target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
        plimsoll = os.path.join(target, "release", "plimsoll")
    work = tempfile.mkdtemp(prefix="plimsoll-bench-")
    running = []

    def start(name, args, cwd=None):
        log = open(os.path.join(work, name.replace(" ", "-") + ".log"), "w")
        child = subprocess.Popen(args, cwd=cwd or work, stdout=log, stderr=log)
        running.append((name, child))

    try:
        for mode in ("full", "normal"):
            floor = os.path.join(work, "floor")
            if not os.path.exists(floor):
                source = os.path.join(ROOT, "ci/bench/floor.c")
                subprocess.run(["gcc", "-O2", "-o", floor, source, "-lsqlite3"], check=True)
            start(f"floor {mode}", [floor, os.path.join(work, mode + ".db"), str(SECONDS + 60), mode])
        for name, collect in (
            ("plimsoll all", ""),
            ("plimsoll three",
             '[collect]\ncollectors = ["loadavg", "meminfo", "filesystem"]\n'
             'keep = ["cpu", "memory", "disk_*"]\n'),
        ):
            port = free_port()
            config = os.path.join(work, name.replace(" ", "-") + ".toml")
            with open(config, "w") as f:
                f.write(f'interval = "1s"\n{collect}[http]\nlisten = "127.0.0.1:{port}"\n')
            db = os.path.join(work, name.replace(" ", "-") + ".sqlite")
            # A copy each: two instances of one file would share its pages and halve their PSS.
            own = os.path.join(work, name.replace(" ", "-") + ".bin")
            shutil.copy(plimsoll, own)
            start(name, [own, "run", "--config", config, "--db", db])
        exporter, prometheus = free_port(), free_port()
        start("node_exporter", ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{exporter}"])
        config = os.path.join(work, "prometheus.yml")
        with open(config, "w") as f:
            f.write("global:\n  scrape_interval: 1s\nscrape_configs:\n- job_name: node\n"
                    f"  static_configs:\n  - targets: ['127.0.0.1:{exporter}']\n")
        start("prometheus", ["prometheus", f"--config.file={config}",
                             f"--storage.tsdb.path={os.path.join(work, 'tsdb')}",
                             f"--web.listen-address=127.0.0.1:{prometheus}"])
        first = first_sample(plimsoll, work)
        time.sleep(WARM_UP)
        before = {name: cpu_ns(child.pid) for name, child in running}
        begin = time.monotonic()
        time.sleep(SECONDS)
        beats = time.monotonic() - begin
        cost = {}
        print(f"{'':16} {'CPU ms a beat':>14} {'PSS MB':>8}")
        for name, child in running:
            if child.poll() is not None:
                print(f"{name} ended early; see {work}")
                return 1
            cost[name] = (cpu_ns(child.pid) - before[name]) / beats / 1e6
            print(f"{name:16} {cost[name]:14.3f} {pss_kb(child.pid) / 1000:8.1f}")
        peers = cost["node_exporter"] + cost["prometheus"]
        print(f"plimsoll all / (node_exporter + Prometheus) = 1/{peers / cost['plimsoll all']:.1f}")
        print(f"plimsoll all / floor full = {cost['plimsoll all'] / cost['floor full']:.2f}")
        print(f"plimsoll three / floor full = {cost['plimsoll three'] / cost['floor full']:.2f}")
        print(f"first sample committed {first:.0f} ms after the start")
        binary = os.path.getsize(plimsoll)
        print(f"release binary {binary / 1e6:.1f} MB")
        return 0
    finally:
        for _, child in running:
            child.send_signal(signal.SIGTERM)
        for _, child in running:
            child.wait()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
