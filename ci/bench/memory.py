#!/usr/bin/env python3
"""Does it grow? Runs plimsoll with all collectors at a 1 s beat and looks at its PSS once a minute.

Usage: ci/bench/memory.py [MINUTES] [BINARY]     (default 60, target/release/plimsoll)
Prints each reading, and the slope from the tenth minute on. Loopback only.
"""
import os, signal, socket, subprocess, sys, tempfile, time
# Munin plugins of this machine are not what is measured.
os.environ["PLIMSOLL_PLUGIN_DIR"] = "/nonexistent"

MINUTES = int(sys.argv[1]) if len(sys.argv) > 1 else 60
BINARY = os.path.abspath(sys.argv[2] if len(sys.argv) > 2 else "target/release/plimsoll")


def rollup(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1])


with tempfile.TemporaryDirectory(prefix="plimsoll-memory-") as work:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    config = os.path.join(work, "plimsoll.toml")
    with open(config, "w") as f:
        f.write(f'interval = "1s"\n[http]\nlisten = "127.0.0.1:{port}"\n')
    log = open(os.path.join(work, "log"), "w")
    child = subprocess.Popen([BINARY, "run", "--config", config, "--db", os.path.join(work, "m.sqlite")],
                             stdout=log, stderr=log)
    try:
        readings = []
        for minute in range(1, MINUTES + 1):
            time.sleep(60)
            readings.append((minute, rollup(child.pid)))
            print(f"{minute:4} min  PSS {readings[-1][1] / 1000:6.2f} MB  "
                  f"descriptors {len(os.listdir(f'/proc/{child.pid}/fd'))}", flush=True)
        late = [r for r in readings if r[0] >= min(10, MINUTES // 2)]
        if len(late) > 1:
            n = len(late)
            mx, my = sum(x for x, _ in late) / n, sum(y for _, y in late) / n
            slope = sum((x - mx) * (y - my) for x, y in late) / sum((x - mx) ** 2 for x, _ in late)
            print(f"slope {slope * 60:+.0f} kB an hour")
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()
