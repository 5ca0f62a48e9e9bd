"""What ci/bench/size.py and ci/bench/query.py share: filling plimsoll and its peers with the same samples.

A series is (key, times, values): Unix seconds ascending, floats. Loopback only; whatever is started
here is ended by its own process id.
"""
import heapq, json, os, re, shutil, signal, socket, sqlite3, subprocess, time, urllib.parse, urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Munin plugins of this machine are not what is measured.
os.environ["PLIMSOLL_PLUGIN_DIR"] = "/nonexistent"
PACKAGES = {"victoria-metrics": "victoria-metrics", "promtool": "prometheus", "prometheus": "prometheus",
            "rrdtool": "rrdtool"}


def missing(program):
    """What to install for it, or None when it is there."""
    if shutil.which(program):
        return None
    return f"apt-get install --no-install-recommends {PACKAGES[program]}"


def versions():
    """Of the peers that are here, by their packages, and of the SQLite in this Python."""
    told = []
    for package in dict.fromkeys(PACKAGES.values()):
        asked = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}", package],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if asked.returncode == 0:
            told.append(asked.stdout)
    return ", ".join([*told, f"SQLite {sqlite3.sqlite_version}"])


def binary():
    """The release build of this tree."""
    subprocess.run(["cargo", "build", "--release", "--quiet", "--locked"], cwd=ROOT, check=True)
    return os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release/plimsoll")


def text(value):
    """The shortest decimal that reads back as this very number."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def metric(key):
    return re.sub(r"[^a-zA-Z0-9_]", "_", key)


def size(*paths):
    """Bytes of all files below, by their lengths."""
    total = 0
    for path in paths:
        if os.path.isfile(path):
            total += os.path.getsize(path)
        for folder, _, names in os.walk(path):
            total += sum(os.path.getsize(os.path.join(folder, name)) for name in names)
    return total


def write_csv(path, series):
    with open(path, "w") as f:
        f.write("key,unix_ts,value\n")
        for key, times, values in series:
            f.writelines(f"{key},{t},{text(v)}\n" for t, v in zip(times, values))


def by_time(series):
    """The rows in the order in which a monitor would write them."""
    def column(number, times, values):
        return ((t, number, v) for t, v in zip(times, values))
    return heapq.merge(*(column(number, *rest) for number, (_, *rest) in enumerate(series)),
                       key=lambda row: row[:2])


def plimsoll(program, work, series):
    """Imports and compacts; returns the database and what `compact --json` says of it."""
    config, db, csv = (os.path.join(work, name) for name in ("plimsoll.toml", "metrics.sqlite", "p.csv"))
    with open(config, "w") as f:
        f.write('[store]\nraw = "100y"\nfive_minutes = "100y"\nplain_rows = "1MB"\nmax_size = "10GiB"\n')
    write_csv(csv, series)
    base = [program, "--config", config, "--db", db]
    subprocess.run(base + ["import", csv], check=True, stdout=subprocess.DEVNULL)
    told = subprocess.run(base + ["compact", "--json"], check=True, stdout=subprocess.PIPE).stdout
    os.remove(csv)
    return db, json.loads(told)["after"]


def plimsoll_exact(program, db, series):
    """How many samples come back as the very number that went in."""
    statement = "select key, ts, value from samples_all('*')"
    told = subprocess.run([program, "--db", db, "sql", "--format", "list", statement], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    back = {}
    for line in told.splitlines():
        key, ts, value = line.rsplit("|", 2)
        back[key, int(ts)] = float(value)
    return sum(back.get((key, t * 1000)) == v for key, times, values in series for t, v in zip(times, values))


def prometheus_blocks(work, series):
    """Blocks as long as Prometheus' own compaction would make them, and their folder."""
    source, blocks = os.path.join(work, "open.metrics"), os.path.join(work, "blocks")
    with open(source, "w") as f:
        for key, times, values in series:
            name = metric(key)
            f.writelines(f"{name} {text(v)} {t}\n" for t, v in zip(times, values))
        f.write("# EOF\n")
    subprocess.run(["promtool", "tsdb", "create-blocks-from", "--max-block-duration=744h", "--quiet",
                    "openmetrics", source, blocks], check=True, stdout=subprocess.DEVNULL)
    os.remove(source)
    return blocks


def rrd_pipe(lines):
    child = subprocess.run(["rrdtool", "-"], input="".join(lines), text=True, stdout=subprocess.PIPE)
    errors = [line for line in child.stdout.splitlines() if line.startswith("ERROR")]
    if errors:
        raise RuntimeError(f"rrdtool: {errors[0]} ({len(errors)} errors)")


def rrd_files(work, series, more=""):
    """One file a series, a raw archive that holds every sample."""
    folder = os.path.join(work, "rrd")
    os.makedirs(folder)
    for number, (_, times, values) in enumerate(series):
        step = min(b - a for a, b in zip(times, times[1:]))
        path = os.path.join(folder, f"{number}.rrd")
        rows = (times[-1] - times[0]) // step + 1
        lines = [f"create {path} --start {times[0] - step} --step {step} DS:v:GAUGE:{2 * step}:U:U "
                 f"RRA:AVERAGE:0.5:1:{rows} {more}\n"]
        for at in range(0, len(times), 500):
            pairs = zip(times[at:at + 500], values[at:at + 500])
            lines.append(f"update {path} " + " ".join(f"{t}:{text(v)}" for t, v in pairs) + "\n")
        rrd_pipe(lines)
    return folder


def sqlite_flat(work, series):
    """The prototype's table: key and time as text in each row, no index."""
    path = os.path.join(work, "flat.sqlite")
    db = sqlite3.connect(path)
    db.execute("create table metrics (key text, value float, timestamp datetime)")
    db.executemany(
        "insert into metrics values (?, ?, strftime('%Y-%m-%d %H:%M:%S', ?, 'unixepoch'))",
        ((series[s][0], v, t) for t, s, v in by_time(series)))
    db.commit()
    db.close()
    return path


def sqlite_rows(work, series):
    """Numbers only, found by series and time."""
    path = os.path.join(work, "rows.sqlite")
    db = sqlite3.connect(path)
    db.execute("create table m (series_id int, ts int, value real, primary key (series_id, ts)) without rowid")
    db.executemany("insert into m values (?, ?, ?)", ((s, t, v) for t, s, v in by_time(series)))
    db.commit()
    db.close()
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A process with an HTTP port of its own, ended with its block."""

    def __init__(self, work, name, arguments, port=None):
        self.port = port or free_port()
        self.log = open(os.path.join(work, name + ".log"), "w")
        arguments = [a.replace("PORT", str(self.port)) for a in arguments]
        self.child = subprocess.Popen(arguments, cwd=work, stdout=self.log, stderr=self.log)

    def __enter__(self):
        try:
            for _ in range(200):
                try:
                    self.get("/metrics")
                    return self
                except OSError:
                    if self.child.poll() is not None:
                        break
                    time.sleep(0.1)
            raise RuntimeError(f"{self.log.name}: does not answer")
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGINT)
        self.child.wait()
        self.log.close()

    def get(self, path, data=None, **query):
        url = f"http://127.0.0.1:{self.port}{path}" + ("?" + urllib.parse.urlencode(query) if query else "")
        with urllib.request.urlopen(url, data=data, timeout=120) as answer:
            return answer.read()


class Victoria(Server):
    """VictoriaMetrics on an empty folder."""

    def __init__(self, work):
        self.folder = os.path.join(work, "victoria")
        super().__init__(work, "victoria-metrics", [
            "victoria-metrics", "-httpListenAddr=127.0.0.1:PORT", "-storageDataPath=" + self.folder,
            "-retentionPeriod=100y", "-search.disableCache", "-memory.allowedPercent=20"])

    def fill(self, series):
        """Imports the samples."""
        for key, times, values in series:
            for at in range(0, len(times), 50_000):
                pairs = zip(times[at:at + 50_000], values[at:at + 50_000])
                name = metric(key)
                body = "".join(f"{name} {text(v)} {t}000\n" for t, v in pairs).encode()
                self.get("/api/v1/import/prometheus", data=body)
        self.settle()

    def settle(self):
        """Merges all there is as far as it goes."""
        self.get("/internal/force_flush")
        self.get("/internal/force_merge")
        before, same = -1, 0
        while same < 5:
            time.sleep(1)
            metrics = self.get("/metrics").decode()
            busy = any(line.split()[-1] != "0" for line in metrics.splitlines()
                       if line.startswith(("vm_active_merges", "vm_active_force_merges")))
            now = self.bytes()
            same = same + 1 if now == before and not busy else 0
            before = now

    def bytes(self):
        return size(os.path.join(self.folder, "data"), os.path.join(self.folder, "indexdb"))

    def exact(self, series):
        """How many samples come back as the very number that went in."""
        good = 0
        for key, times, values in series:
            told = self.get("/api/v1/export", **{"match[]": metric(key), "start": times[0], "end": times[-1] + 1})
            back = {}
            for line in told.splitlines():
                part = json.loads(line)
                back.update(zip(part["timestamps"], part["values"]))
            good += sum(back.get(t * 1000) == v for t, v in zip(times, values))
        return good
