#!/usr/bin/env python3
"""What running Munin's plugins costs plimsoll itself, and whether anything is left behind.

    ci/bench/plugins.py [--minutes 10] [--runs 1000] [--plimsoll target/release/plimsoll]

Fifty of Debian's plugins (those that `autoconf` accepts here, under several names until they are
fifty), linked into a folder. First each once a minute: CPU of plimsoll's own process, children
excluded, from /proc/PID/stat, beside that of the children. Then all of them once a second until they
have run a thousand times: zombies and descriptors while that goes on. Needs munin-plugins-core; as
root the plugins run as nobody. Prints a line for each part, and ends with 1 where a goal is missed.
"""

import argparse
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import time

PLUGINS = pathlib.Path("/usr/share/munin/plugins")
COUNT = 50
GOAL = 1.0
CONFIG = """interval = "1d"
[http]
listen = "off"
[plugins]
dir = "{folder}/plugins"
conf_dir = "{folder}/none"
interval = "{interval}"
timeout = "20s"
parallel = 8
"""


def accepted():
    """The plugins that have anything to measure here, by name."""
    out = []
    for path in sorted(PLUGINS.iterdir()):
        if path.name.endswith("_") or not os.access(path, os.X_OK) or path.name.startswith("."):
            continue
        env = {**os.environ, "MUNIN_LIBDIR": "/usr/share/munin", "MUNIN_PLUGSTATE": "/tmp"}
        try:
            said = subprocess.run(
                [path, "autoconf"], env=env, capture_output=True, text=True, timeout=10, cwd="/"
            )
        except (subprocess.TimeoutExpired, OSError):
            continue
        if said.stdout.startswith("yes"):
            out.append(path)
    return out


def stat(pid):
    """Own CPU and that of children, in seconds."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    tick = os.sysconf("SC_CLK_TCK")
    own, children = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return own / tick, children / tick


def zombies(pid):
    """Those of its children that have ended and were not asked how, by their numbers."""
    found = set()
    for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if fields[0] == "Z" and int(fields[1]) == pid:
            found.add(int(status.parent.name))
    return found


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Daemon:
    def __init__(self, plimsoll, folder, interval):
        config = folder / "plimsoll.toml"
        config.write_text(CONFIG.format(folder=folder, interval=interval))
        self.db = folder / f"{interval}.sqlite"
        words = [plimsoll, "run", "--config", config, "--db", self.db]
        self.child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self.child.pid

    def runs(self):
        """How often plugins have run: each leaves a sample about itself."""
        try:
            with sqlite3.connect(f"file:{self.db}?mode=ro", uri=True) as db:
                return db.execute(
                    "SELECT count(*) FROM samples JOIN series ON _id = series_id"
                    " WHERE name = 'plimsoll_collect_success' AND key LIKE '%plugin/%'"
                ).fetchone()[0]
        except sqlite3.Error:
            return 0

    def wait(self, runs, patience):
        end = time.monotonic() + patience
        while self.runs() < runs:
            if time.monotonic() > end:
                sys.exit(f"{self.runs()} of {runs} runs in {patience} s")
            time.sleep(0.5)

    def stop(self):
        self.child.terminate()
        self.child.wait(20)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--plimsoll", default="target/release/plimsoll")
    options = parser.parse_args()
    plimsoll = pathlib.Path(options.plimsoll).resolve()
    good = True
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        links = folder / "plugins"
        links.mkdir()
        known = accepted()
        if not known:
            sys.exit("no plugin fits here: apt-get install munin-plugins-core")
        for i in range(COUNT):
            path = known[i % len(known)]
            name = path.name if i < len(known) else f"{path.name}_{i // len(known)}"
            (links / name).symlink_to(path)
        daemon = Daemon(plimsoll, folder, "1m")
        try:
            # The first run of each, with `config`, is not what goes on day after day.
            daemon.wait(2 * COUNT, 240)
            before, begun, start = stat(daemon.pid), daemon.runs(), time.monotonic()
            daemon.wait(begun + COUNT * options.minutes, options.minutes * 60 + 60)
            after, passed = stat(daemon.pid), time.monotonic() - start
            runs = daemon.runs() - begun
        finally:
            daemon.stop()
        own, children = (100 * (b - a) / passed for a, b in zip(before, after))
        good &= own <= GOAL
        print(
            f"{COUNT} plugins ({len(known)} kinds) once a minute for {passed:.0f} s, {runs} runs: own CPU "
            f"{own:.3f} % of a core (goal {GOAL:.0f}), children {children:.1f} %",
            flush=True,
        )
        daemon = Daemon(plimsoll, folder, "1s")
        try:
            daemon.wait(2 * COUNT, 240)
            first, begun, seen = descriptors(daemon.pid), daemon.runs(), []
            end = time.monotonic() + 1800
            while daemon.runs() - begun < options.runs and time.monotonic() < end:
                # Those that have ended and are about to be asked how are zombies for a moment.
                seen.append((descriptors(daemon.pid), zombies(daemon.pid)))
                time.sleep(0.25)
            runs = daemon.runs() - begun
        finally:
            daemon.stop()
        half = len(seen) // 2
        early, late = (max(fd for fd, _ in part) for part in (seen[:half], seen[half:]))
        # One that was there a second before is not just about to go.
        lasting = max(len(a & b) for (_, a), (_, b) in zip(seen, seen[4:]))
        # Each of the eight that run has pipes and a descriptor of its process.
        good &= late <= early + 8 and lasting == 0
        print(
            f"once a second, {runs} runs: descriptors {first} at first, at most {early} in the first "
            f"half and {late} in the second; zombies that stayed a second: {lasting}"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
