#!/usr/bin/env python3
"""How long `plimsoll alert replay` takes over a month, and how much memory it needs: all default rules, the
usual 230 series of a machine at a beat of 10 s.

Usage: ci/bench/replay.py [DAYS [BINARY]]    (default 30, target/release/plimsoll)

It makes the history as CSV and imports it (60 million samples for 30 days: some minutes, 4 GB through a
pipe), then prints three runs: seconds of the wall clock and of CPU, and the peak of resident memory. The
goal: 3 s and 24 MB. `plimsoll alert` says its one line out of the same, or leaves it out within a second.
REPLAY_KEEP=FOLDER keeps the database there, and uses it again.
"""
import os, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DAYS = int(sys.argv[1]) if len(sys.argv) > 1 else 30
BINARY = os.path.abspath(sys.argv[2] if len(sys.argv) > 2 else os.path.join(ROOT, "target/release/plimsoll"))
BEAT, DAY = 10, 86400


def machine():
    """Key, whether it counts, and its size: four CPUs, two disks, two networks, and enough others."""
    out = []
    for mount, device in [("/", "/dev/vda1"), ("/home", "/dev/vda2")]:
        labels = f'{{device="{device}",fstype="ext4",mountpoint="{mount}"}}'
        for name, value in [("size_bytes", 10**11), ("free_bytes", 6 * 10**10), ("avail_bytes", 55 * 10**9),
                            ("files", 6000000), ("files_free", 5000000), ("readonly", 0), ("device_error", 0)]:
            out.append((f"node_filesystem_{name}{labels}", False, value))
        out.append((f"disk_{mount}", False, 40))
    for cpu in range(4):
        for mode in ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"]:
            out.append((f'node_cpu_seconds_total{{cpu="{cpu}",mode="{mode}"}}', True, 1))
    for device in ["eth0", "eth1"]:
        for way in ["receive", "transmit"]:
            for what in ["bytes", "packets", "errs", "drop"]:
                size = 0 if what == "errs" else 10000
                out.append((f'node_network_{way}_{what}_total{{device="{device}"}}', True, size))
    for what in ["cpu_waiting", "io_stalled", "io_waiting", "memory_stalled", "memory_waiting"]:
        out.append((f"node_pressure_{what}_seconds_total", True, 0.01))
    for name, value in [("load1", 1), ("load5", 1), ("load15", 1), ("memory_MemTotal_bytes", 8 * 10**9),
                        ("memory_MemAvailable_bytes", 5 * 10**9), ("boot_time_seconds", 1600000000),
                        ("filefd_allocated", 1000), ("filefd_maximum", 10**9)]:
        out.append((f"node_{name}", False, value))
    out.append(("node_vmstat_oom_kill", True, 0))
    for sensor in range(3):
        out.append((f'node_hwmon_temp_celsius{{chip="cpu",sensor="temp{sensor}"}}', False, 50))
    for collector in ["loadavg", "meminfo", "filesystem", "cpu", "stat", "diskstats", "netdev"]:
        out.append((f'plimsoll_collect_success{{collector="{collector}"}}', False, 1))
    while len(out) < 230:
        out.append((f'node_memory_other_bytes{{n="{len(out)}"}}', False, 10**6))
    return out


def fill(database):
    series = machine()
    # In CSV a quote within quotes is doubled.
    quoted = ['"' + key.replace('"', '""') + '"' for key, _, _ in series]
    start = int(time.time()) // DAY * DAY - DAYS * DAY
    importer = subprocess.Popen([BINARY, "import", "-", "--format", "csv", "--db", database],
                                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    write = importer.stdin.write
    write(b"key,timestamp,value\n")
    for hour in range(DAYS * 24):
        first = start + hour * 3600
        for (_, counts, size), key in zip(series, quoted):
            at = hour * 360
            if counts and size:
                lines = [f"{key},{first + n * BEAT},{(at + n) * size:g}\n" for n in range(360)]
            elif counts or size > 10**6 or size == 0:
                lines = [f"{key},{first + n * BEAT},{size}\n" for n in range(360)]
            else:
                lines = [f"{key},{first + n * BEAT},{size + (at + n) % 7 * 0.1:g}\n" for n in range(360)]
            write("".join(lines).encode())
    importer.stdin.close()
    if importer.wait() != 0:
        sys.exit("the import failed")


def measure(database, words):
    begin = time.monotonic()
    child = subprocess.Popen([BINARY, *words, "--db", database], stdout=subprocess.PIPE, text=True)
    said = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    took = time.monotonic() - begin
    if status != 0:
        sys.exit(f"{words} ended with {status}")
    print(f"{' '.join(words):32} {took:6.2f} s, {used.ru_utime + used.ru_stime:6.2f} s CPU, "
          f"peak {used.ru_maxrss / 1024:6.1f} MB")
    return said


def main():
    keep = os.environ.get("REPLAY_KEEP")
    with tempfile.TemporaryDirectory(prefix="plimsoll-replay-") as folder:
        database = os.path.join(keep or folder, "metrics.sqlite")
        if not os.path.exists(database):
            fill(database)
        print(f"{DAYS} days, {os.path.getsize(database) / 1e6:.0f} MB")
        for _ in range(3):
            said = measure(database, ["alert", "replay", "--from", f"-{DAYS}d"])
        print(said.strip())
        said = measure(database, ["alert"])
        print("\n".join(line for line in said.splitlines() if "would have" in line) or "(no line)")


main()
