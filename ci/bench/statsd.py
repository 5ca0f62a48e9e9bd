#!/usr/bin/env python3
"""What plimsoll's statsd receiver takes without loss, and at what price, beside a receiver that does
nothing but split, hash and add (ci/bench/nullrecv.c) and one that only counts packets.

    ci/bench/statsd.py BINARY [--repeat 3] [--seconds 11] [--rates 100000,0] [--peers] [--realtime]
    ci/bench/statsd.py BINARY --soak 60 --rates 50000

The receiver is pinned to core 0, the generator (ci/bench/statsdgen.c) to core 1. Loss is counted by
comparing sums: what was sent, and what came out at the other end; "no kernel drops" is not enough.
Prints a line for each run, and at the end a table of medians. On a busy machine the floor suffers as
plimsoll does: look at the ratios. --peers runs the reference statsd of npm, too, at a rate of its own.

--soak sends for so long, with a fifth of the names beyond the bound, looks at the memory every two
seconds, and fails unless every packet and every value is accounted for and memory has stayed flat."""

import argparse, json, os, re, shutil, signal, socket, sqlite3, subprocess, sys, tempfile, time
from urllib.request import urlopen
# Munin plugins of this machine are not what is measured.
os.environ["PLIMSOLL_PLUGIN_DIR"] = "/nonexistent"

HERE = os.path.dirname(os.path.abspath(__file__))
ARGS = None


def build(folder):
    for name in ("statsdgen", "nullrecv"):
        out = os.path.join(folder, name)
        subprocess.run(["gcc", "-O2", "-w", "-o", out, os.path.join(HERE, name + ".c"), "-lm"], check=True)


def free_port(kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pin(core, realtime=True):
    def start():
        os.sched_setaffinity(0, {core % os.cpu_count()})
        if ARGS.realtime and realtime:
            # Nice values count within one session only: others' work would still take its share.
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))

    return start


def until(what, look, seconds=30):
    """Waits for an answer that is true; None when it does not come."""
    end = time.time() + seconds
    while time.time() < end:
        try:
            if found := look():
                return found
        except (OSError, ValueError):
            pass
        time.sleep(0.05)
    print(f"{what}: not within {seconds} s", file=sys.stderr)
    return None


def cpu(pid):
    """CPU seconds of a process so far, user and system."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def threads(pid):
    """CPU seconds by the name of the thread."""
    spent = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        name = open(f"/proc/{pid}/task/{task}/comm").read().strip()
        fields = open(f"/proc/{pid}/task/{task}/stat").read().rsplit(")", 1)[1].split()
        spent[name] = spent.get(name, 0) + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return spent


def memory(pid):
    """PSS and RSS in MB."""
    text = open(f"/proc/{pid}/smaps_rollup").read()
    return tuple(int(re.search(rf"^{k}:\s+(\d+)", text, re.M)[1]) / 1024 for k in ("Pss", "Rss"))


def end(child):
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(20)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def generator(folder, port, rate, seconds):
    words = [os.path.join(folder, "statsdgen"), "-p", port, "-r", rate, "-s", seconds, "-m", ARGS.metrics, "-n", ARGS.names]
    return subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, text=True, preexec_fn=pin(1))


def generate(folder, port, rate, seconds):
    child = generator(folder, port, rate, seconds)
    out, _ = child.communicate()
    return json.loads(out)


class Run:
    """What one receiver did."""

    def __init__(self, name, sent, used, mb, lost, more=""):
        self.name, self.mb, self.lost, self.more = name, mb, lost, more
        self.rate = sent["metrics"] / sent["secs"]
        # By what was received: who loses much must not look cheap.
        self.cost = used / (sent["metrics"] * (1 - lost)) * 1e6
        print(f"{name:13} {self.rate / 1e6:6.2f} M/s  {self.cost:6.3f} CPU s per million  lost {lost:8.4%}  {mb:6.1f} MB {more}", flush=True)


def null(folder, mode, rate):
    port = free_port()
    child = subprocess.Popen([os.path.join(folder, "nullrecv"), str(port), mode, str(4 << 20)], cwd=folder, preexec_fn=pin(0))
    try:
        time.sleep(0.3)
        sent = generate(folder, port, rate, ARGS.seconds)
        time.sleep(0.5)
        used = cpu(child.pid)
        _, rss = memory(child.pid)
    finally:
        end(child)
    got = json.load(open(os.path.join(folder, "sum_null.json")))
    if mode == "parse":
        lost = 1 - got["counter_sum"] / sent["counter_sum"]
    else:
        lost = 1 - got["packets"] / sent["packets"]
    return Run(f"null {mode}", sent, used, rss, lost)


def values(http):
    page = urlopen(f"http://127.0.0.1:{http}/api/status", timeout=30).read()
    return {v["key"]: v["value"] for v in json.loads(page)["values"]}


class Plimsoll:
    """A running one, in a folder of its own."""

    def __init__(self, folder, binary, names=20000):
        self.home = tempfile.mkdtemp(dir=folder)
        self.port, self.http = free_port(), free_port(socket.SOCK_STREAM)
        self.db = os.path.join(self.home, "m.sqlite")
        config = os.path.join(self.home, "p.toml")
        with open(config, "w") as f:
            f.write(
                f'interval = "1s"\n[collect]\ncollectors = []\n[http]\nlisten = "127.0.0.1:{self.http}"\n'
                f'[statsd]\nlisten = "127.0.0.1:{self.port}"\n[push]\nmax_names = {names}\n'
            )
        log = open(os.path.join(self.home, "log"), "w")
        self.child = subprocess.Popen([binary, "run", "--config", config, "--db", self.db], stderr=log, preexec_fn=pin(0, False))
        self.pid = self.child.pid
        if not until("plimsoll answers", lambda: urlopen(f"http://127.0.0.1:{self.http}/health", timeout=5).read()):
            end(self.child)
            raise SystemExit(open(log.name).read())
        if ARGS.realtime:
            # The receiving thread alone: of two with one such priority the other may run for 100 ms.
            for task in os.listdir(f"/proc/{self.pid}/task"):
                if open(f"/proc/{self.pid}/task/{task}/comm").read().strip() == "statsd":
                    os.sched_setscheduler(int(task), os.SCHED_RR, os.sched_param(1))

    def settled(self, packets):
        """Its own values, once every packet is accounted for."""
        seen = {}

        def look():
            seen.update(values(self.http))
            came = seen.get("plimsoll_statsd_packets_total", 0)
            return came + seen.get('plimsoll_udp_drops_total{receiver="statsd"}', 0) == packets

        until("every packet is accounted for", look, 10)
        return seen

    def written(self, sql):
        conn = sqlite3.connect(self.db)
        try:
            return conn.execute(sql).fetchall()
        finally:
            conn.close()


def plimsoll(folder, binary, rate):
    p = Plimsoll(folder, binary)
    try:
        before = cpu(p.pid)
        sent = generate(folder, p.port, rate, ARGS.seconds)
        time.sleep(0.5)
        used = cpu(p.pid) - before
        time.sleep(1.5)
        # Before the page is asked for, which is as long as there are series.
        pss, rss = memory(p.pid)
        seen = p.settled(sent["packets"])
        after, _ = memory(p.pid)
        busy = threads(p.pid)
    finally:
        end(p.child)
    # The end of the process is a flush: the newest value of each counter is all it counted.
    last = p.written(
        "select d.name, x.value from samples x join series d on d._id = x.series_id "
        "where x.ts = (select max(ts) from samples join series on _id = series_id where job = 'statsd') "
        "and d.kind = 'counter' and d.name like 'app.%'"
    )
    flushes = [v * 1e3 for (v,) in p.written("select value from metrics where key = 'plimsoll_statsd_flush_duration_seconds' and value > 0")]
    shutil.rmtree(p.home)
    counted = sum(v for name, v in last if ".requests." in name)
    timed = sum(v for name, v in last if name.endswith("_count"))
    lost = max(1 - counted / sent["counter_sum"], 1 - timed / sent["timers"] if sent["timers"] else 0)
    drops = seen.get('plimsoll_udp_drops_total{receiver="statsd"}', 0)
    off = seen.get("plimsoll_statsd_packets_total", 0) + drops - sent["packets"]
    exact = "exact" if off == 0 else f"{off:+.0f} packets"
    busy = ", ".join(f"{n} {s:.2f}" for n, s in sorted(busy.items(), key=lambda t: -t[1]) if s >= 0.02)
    flush = max(flushes, default=0)
    return Run("plimsoll", sent, used, pss, lost, f"PSS, {rss:.1f} RSS, {after:.1f} PSS when asked; drops {drops:.0f}, {exact}; longest flush {flush:.1f} ms; CPU s: {busy}")


def reference(folder, rate):
    """The reference, by npm, with a backend that keeps nothing but the sums."""
    tree = os.path.join(folder, "npm")
    if not os.path.isdir(tree):
        words = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional", "--prefix", tree, "statsd@0.9.0"]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    home = tempfile.mkdtemp(dir=folder)
    port, management = free_port(), free_port(socket.SOCK_STREAM)
    with open(os.path.join(home, "backend.js"), "w") as f:
        f.write(
            "var sum = 0, n = 0, packets = 0; exports.init = function (s, c, e) { e.on('flush', function (t, m) {\n"
            "for (var k in m.counters) { if (k.indexOf('app.') === 0) sum += m.counters[k]; }\n"
            "packets += m.counters['statsd.packets_received'];\n"
            "require('fs').writeFileSync(process.cwd() + '/sums', JSON.stringify({sum: sum, packets: packets, flushes: ++n})); }); return true; };\n"
        )
    with open(os.path.join(home, "config.js"), "w") as f:
        f.write(
            f"{{ port: {port}, address: '127.0.0.1', mgmt_port: {management}, mgmt_address: '127.0.0.1',\n"
            f"   flushInterval: 10000, backends: ['{home}/backend.js'] }}\n"
        )
    child = subprocess.Popen(["node", os.path.join(tree, "node_modules/statsd/stats.js"), "config.js"], cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=pin(0))
    sums = lambda: json.load(open(os.path.join(home, "sums")))
    try:
        # Sent within the flushes: the last one must come after the last packet.
        until("the first flush", sums, 20)
        before, flushes = cpu(child.pid), sums()["flushes"]
        sent = generate(folder, port, rate, ARGS.seconds)
        ended = time.time()
        until("two more flushes", lambda: time.time() > ended + 10.5 and sums()["flushes"] > flushes, 30)
        used = cpu(child.pid) - before
        _, rss = memory(child.pid)
        got = sums()
    finally:
        end(child)
    return Run("statsd (npm)", sent, used, rss, 1 - got["sum"] / sent["counter_sum"], "RSS")


def soak(folder, binary, rate):
    """Nothing is unaccounted for, and memory stays as it is."""
    bound = ARGS.names * 4 // 5
    p = Plimsoll(folder, binary, bound)
    curve = []
    try:
        child = generator(folder, p.port, rate, ARGS.soak)
        began = time.time()
        while child.poll() is None:
            time.sleep(2)
            curve.append((time.time() - began, memory(p.pid)[0]))
        sent = json.loads(child.stdout.read())
        seen = p.settled(sent["packets"])
        busy = cpu(p.pid)
        end(p.child)
    except BaseException:
        end(p.child)
        raise
    get = lambda key: int(seen.get(key, 0))
    came, drops = get("plimsoll_statsd_packets_total"), get('plimsoll_udp_drops_total{receiver="statsd"}')
    lines, taken = get("plimsoll_statsd_lines_total"), get("plimsoll_statsd_values_total")
    refused = get('plimsoll_statsd_refused_total{reason="series_limit"}')
    dropped = get('plimsoll_samples_dropped_total{reason="series_limit",source="statsd"}')
    # Two flushes and the first writes of them have happened by a third of the time.
    third = len(curve) // 3
    early, late = (sorted(mb for _, mb in part)[len(part) // 2] for part in (curve[third : 2 * third], curve[2 * third :]))
    print(f"sent {sent['packets']} packets of {sent['metrics']} values in {sent['secs']:.0f} s ({sent['metrics'] / sent['secs'] / 1e6:.2f} M/s), {busy:.1f} CPU s")
    print(f"packets: {came} received + {drops} dropped by the kernel = {came + drops}")
    print(f"values: {taken} taken + {refused} refused (more than {bound} names) = {taken + refused} of {lines} lines received")
    print("memory, MB PSS by second: " + ", ".join(f"{t:.0f}: {mb:.1f}" for t, mb in curve[:: max(1, len(curve) // 12)]))
    print(f"median of the middle third {early:.1f} MB, of the last {late:.1f} MB")
    problems = []
    if came + drops != sent["packets"]:
        problems.append("packets are missing")
    if taken + refused != lines or drops == 0 and lines != sent["metrics"] or refused != dropped or refused == 0:
        problems.append("values are missing")
    if drops > sent["packets"] // 1000 and not ARGS.lossy:
        problems.append("more than 0.1 % of the packets were dropped")
    if late > early * 1.05 + 0.5:
        problems.append("memory grows")
    shutil.rmtree(p.home)
    if problems:
        raise SystemExit("soak: FAILED: " + "; ".join(problems))
    print("soak: all is accounted for, memory is flat")


def machine():
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    rev = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    load = ", ".join(f"{l:.1f}" for l in os.getloadavg())
    return f"{os.cpu_count()} cores of {model[1] if model else 'a kind that is not told'}, Linux {os.uname().release}, load {load}; at {rev}"


def main():
    global ARGS
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=11)
    parser.add_argument("--rates", default="100000,0", help="packets a second; 0: as fast as it gets")
    parser.add_argument("--metrics", type=int, default=20, help="a packet")
    parser.add_argument("--names", type=int, default=10000)
    parser.add_argument("--peers", action="store_true", help="npm's statsd, too (needs node and npm)")
    parser.add_argument("--peer-rate", type=int, default=5000, help="packets a second for it")
    parser.add_argument("--soak", type=float, default=0, help="seconds")
    parser.add_argument("--lossy", action="store_true", help="a soak on a busy machine: the kernel may drop, if it is counted")
    parser.add_argument("--realtime", action="store_true", help="run before all else on this machine (root)")
    ARGS = parser.parse_args()
    binary = os.path.abspath(ARGS.binary)
    middle = lambda runs, of: sorted(of(r) for r in runs)[len(runs) // 2]
    rows = []
    with tempfile.TemporaryDirectory(prefix="plimsoll-bench-") as folder:
        build(folder)
        for rate in [int(r) for r in ARGS.rates.split(",")]:
            if ARGS.soak:
                soak(folder, binary, rate)
                continue
            print(f"# {rate or 'as many as possible'} packets/s of {ARGS.metrics}, {ARGS.names} names, {ARGS.seconds} s")
            all_runs = {}
            for _ in range(ARGS.repeat):
                for run in (null(folder, "count", rate), null(folder, "parse", rate), plimsoll(folder, binary, rate)):
                    all_runs.setdefault(run.name, []).append(run)
            if ARGS.peers:
                all_runs["statsd (npm)"] = [reference(folder, ARGS.peer_rate)]
            floor = middle(all_runs["null parse"], lambda r: r.cost)
            for name, runs in all_runs.items():
                cost = middle(runs, lambda r: r.cost)
                rows.append(
                    f"| {ARGS.metrics} a packet, {ARGS.names} names: {name} | {middle(runs, lambda r: r.rate):,.0f} | {cost:.3f} | "
                    f"{cost / floor:.2f} | {middle(runs, lambda r: r.lost):.3%} | {middle(runs, lambda r: r.mb):.1f} MB |"
                )
    if rows:
        print(f"\n{machine()}. Medians of {ARGS.repeat} runs of {ARGS.seconds:.0f} s:\n")
        print("| | metrics/s sent | CPU s a million | to the null receiver | lost, by sums | memory |\n|---|---|---|---|---|---|")
        print("\n".join(rows))


main()
