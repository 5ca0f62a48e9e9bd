#!/usr/bin/env python3
"""How much plimsoll writes to the device: sectors of a disk of its own (a file, as a loop device with
ext4 and its journal), at the defaults: 10 s, all collectors.

Usage: ci/bench/wear.py [MINUTES [DAYS [BINARY]]]    (default 10, 4, target/release/plimsoll)

Three parts, each on such a disk, in a mount namespace of their own (needs root):
0. The floor: floor.c, which commits three rows each second; a day of one such commit in 10 s. And
   4 kB appended to a file and synced, without a database; and written over, as a log is.
1. The daemon for MINUTES, once its log has its length: sectors, and beside them what strace saw it write, and what the journal
   of ext4 says of itself (/proc/fs/jbd2). Ten minutes hold no seal.
2. DAYS simulated beat by beat (`cargo bench --bench wear`, the store alone, 220 series), with all
   that comes less often: seals, merges, rollups, checkpoints, and, from the third day on, the plain
   rows that make room. WEAR_BEATS=6 asks what it would be with six beats in one commit.
"""
import os, re, shutil, signal, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Munin plugins of this machine are not what is measured.
os.environ["PLIMSOLL_PLUGIN_DIR"] = "/nonexistent"
SECTOR = 512
DAY = 86400


class Disk:
    """A file as a disk, mounted."""

    def __init__(self, work, name, megabytes=1024):
        self.image, self.point = os.path.join(work, name + ".img"), os.path.join(work, name)
        with open(self.image, "w") as f:
            f.truncate(megabytes << 20)
        # All that ext4 would otherwise fill in later, while we count, is written now.
        subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "4096", "-E",
                        "lazy_itable_init=0,lazy_journal_init=0", self.image], check=True)
        os.mkdir(self.point)
        subprocess.run(["mount", "-o", "loop", self.image, self.point], check=True)
        device = next(l.split()[0] for l in open("/proc/self/mounts") if l.split()[1] == self.point)
        self.device = os.path.basename(device)
        self.sync()

    def sync(self):
        fd = os.open(self.point, os.O_RDONLY)
        os.sync()
        os.close(fd)

    def written(self):
        """Bytes and requests written, and flushes asked for, since it was made."""
        words = open(f"/sys/block/{self.device}/stat").read().split()
        return int(words[6]) * SECTOR, int(words[4]), int(words[15])

    def journal(self):
        """Bytes that went through ext4's journal: per transaction, its blocks."""
        text = open(f"/proc/fs/jbd2/{self.device}-8/info").read()
        count = int(re.search(r"(\d+) transactions", text).group(1))
        blocks = re.search(r"(\d+) logged blocks per", text)
        return count, count * int(blocks.group(1) if blocks else 0) * 4096

    def close(self):
        subprocess.run(["umount", self.point], check=True)


def traced(path):
    """Bytes by file as strace saw them, and the number of syncs."""
    bytes_of, syncs = {}, 0
    for line in open(path, errors="replace"):
        wrote = re.search(r"\b(?:pwrite64|write|pwritev)\(\d+<([^>]*)>.*= (\d+)$", line)
        if wrote:
            name = os.path.basename(wrote.group(1))
            name = name if name.startswith("metrics.sqlite") else "other"
            bytes_of[name] = bytes_of.get(name, 0) + int(wrote.group(2))
        elif re.search(r"\b(?:fdatasync|fsync)\(", line):
            syncs += 1
    return bytes_of, syncs


def floor(work, seconds=120):
    """Bytes a durable commit costs at the least, as MB a day of one in ten seconds."""
    disk, program = Disk(work, "floor"), os.path.join(work, "floor.bin")
    subprocess.run(["gcc", "-O2", "-o", program, os.path.join(ROOT, "ci/bench/floor.c"), "-lsqlite3"],
                   check=True)
    before = disk.written()[0]
    subprocess.run([program, os.path.join(disk.point, "m.sqlite"), str(seconds)], check=True)
    disk.sync()
    between = disk.written()[0]
    with open(os.path.join(disk.point, "log"), "wb") as f:
        for _ in range(seconds):
            f.write(bytes(4096))
            f.flush()
            os.fdatasync(f.fileno())
    disk.sync()
    after = disk.written()[0]
    # In place, and as slowly as beats come: the journal commits the file's new time by itself.
    with open(os.path.join(disk.point, "log"), "r+b") as f:
        for _ in range(12):
            f.seek(0)
            f.write(os.urandom(4096))
            f.flush()
            os.fdatasync(f.fileno())
            time.sleep(10)
    disk.sync()
    in_place = disk.written()[0] - after
    per_day = DAY / 10 / seconds / 1e6
    print(f"floor, three rows into SQLite    {(between - before) * per_day:7.1f} MB a day")
    print(f"floor, 4 kB appended and synced  {(after - between) * per_day:7.1f} MB a day")
    print(f"floor, 4 kB in place and synced  {in_place * DAY / 120 / 1e6:7.1f} MB a day", flush=True)
    disk.close()


def daemon(work, minutes, binary):
    disk = Disk(work, "daemon")
    config = os.path.join(work, "plimsoll.toml")
    with open(config, "w") as f:
        f.write('interval = "1s"\n[http]\nlisten = "127.0.0.1:0"\n')
    trace, log = os.path.join(work, "trace"), open(os.path.join(work, "log"), "w")
    db = os.path.join(disk.point, "metrics.sqlite")
    child = subprocess.Popen(
        ["strace", "-f", "-y", "-qq", "-s", "0", "--seccomp-bpf", "-o", trace, "-e",
         "trace=pwrite64,pwritev,write,fdatasync,fsync", binary, "run", "--db", db, "--config", config],
        stdout=log, stderr=log)
    try:
        # The schema and the names are written once, not every day; and the log grows to its length
        # only once, each commit then with one of ext4's journal.
        time.sleep(150)
        subprocess.run([binary, "interval", "10s", "--db", db], check=True, stdout=subprocess.DEVNULL)
        time.sleep(10)
        disk.sync()
        before, journal, skip = disk.written(), disk.journal(), os.path.getsize(trace)
        begin = time.monotonic()
        time.sleep(minutes * 60)
        disk.sync()
        after, journal_after = disk.written(), disk.journal()
        seconds = time.monotonic() - begin
        with open(trace, "rb") as f:
            f.seek(skip)
            rest = f.read()
        with open(trace + ".part", "wb") as f:
            f.write(rest)
    finally:
        children = open(f"/proc/{child.pid}/task/{child.pid}/children").read().split()
        for pid in children:
            os.kill(int(pid), signal.SIGTERM)
        child.wait()
    per_day = DAY / seconds / 1e6
    bytes_of, syncs = traced(trace + ".part")
    total = after[0] - before[0]
    print(f"daemon, {seconds:.0f} s: {total} bytes in {after[1] - before[1]} requests, "
          f"{after[2] - before[2]} flushes, {syncs} syncs")
    print(f"  device                         {total * per_day:7.1f} MB a day")
    for name, count in sorted(bytes_of.items()):
        print(f"  written to {name:20}{count * per_day:7.1f} MB a day (strace)")
    own = sum(bytes_of.values())
    print(f"  journal of ext4 and inodes     {(total - own) * per_day:7.1f} MB a day (the rest); "
          f"{journal_after[0] - journal[0]} transactions")
    disk.close()
    return total * per_day


def days(work, count):
    disk = Disk(work, "days")
    before = disk.written()[0]
    child = subprocess.Popen(
        ["cargo", "bench", "--locked", "--quiet", "--profile", os.environ.get("WEAR_PROFILE", "bench"),
         "--bench", "wear", "--", disk.point, "220", str(count), "10",
         os.environ.get("WEAR_BEATS", "1")],
        cwd=ROOT, stdout=subprocess.PIPE, text=True)
    last = 0
    for line in child.stdout:
        found = re.match(r"day (\d+): (\d+) bytes", line)
        if not found:
            continue
        disk.sync()
        now = disk.written()[0]
        last = (now - before) / 1e6
        print(f"simulated day {found.group(1)}: {last:7.1f} MB written, "
              f"file with its log {int(found.group(2)) / 1e6:.1f} MB", flush=True)
        before = now
    if child.wait() != 0:
        sys.exit("the bench failed")
    disk.close()
    return last


def main():
    if "WEAR_INSIDE" not in os.environ:
        os.environ["WEAR_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable]
                  + sys.argv)
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    binary = os.path.abspath(sys.argv[3] if len(sys.argv) > 3 else
                             os.path.join(ROOT, "target/release/plimsoll"))
    work = tempfile.mkdtemp(prefix="plimsoll-wear-")
    try:
        floor(work)
        if minutes > 0:
            daemon(work, minutes, binary)
        if count > 0:
            days(work, count)
    finally:
        for name in ("floor", "daemon", "days"):
            point = os.path.join(work, name)
            if os.path.ismount(point):
                subprocess.run(["umount", "--lazy", point], check=False)
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
