#!/usr/bin/env python3
"""What plimsoll's statsd receiver takes without loss, and at what price, beside a receiver that does
nothing but split, hash and add (ci/bench/nullrecv.c) and one that only counts packets.

    ci/bench/statsd.py target/release/plimsoll [--repeat 3] [--seconds 12] [--rates 50000,100000]

The receiver is pinned to core 0, the generator (ci/bench/statsdgen.c) to core 1. Loss is counted by
comparing sums: what was sent, and what came out at the other end; "no kernel drops" is not enough.
Prints a line for each run; the machine's noise shows in the floors, so look at the ratios."""

import argparse, json, os, re, shutil, signal, socket, sqlite3, subprocess, sys, tempfile, time
from urllib.request import urlopen

REALTIME = "--realtime" in sys.argv
HERE = os.path.dirname(os.path.abspath(__file__))


def build(folder):
    for name in ("statsdgen", "nullrecv"):
        out = os.path.join(folder, name)
        subprocess.run(["gcc", "-O2", "-w", "-o", out, os.path.join(HERE, name + ".c"), "-lm"], check=True)


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pin(core, realtime=True):
    def start():
        os.sched_setaffinity(0, {core % os.cpu_count()})
        if REALTIME and realtime:
            # Nice values count within one session only: others' work would still take its share.
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))

    return start


def cpu(pid):
    """CPU seconds of a process so far, user and system."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    tick = os.sysconf("SC_CLK_TCK")
    return (int(fields[11]) + int(fields[12])) / tick


def memory(pid):
    """PSS and RSS in MB."""
    text = open(f"/proc/{pid}/smaps_rollup").read()
    return tuple(int(re.search(rf"^{k}:\s+(\d+)", text, re.M)[1]) / 1024 for k in ("Pss", "Rss"))


def generate(folder, port, args, rate, seconds):
    words = [os.path.join(folder, "statsdgen"), "-p", port, "-r", rate, "-s", seconds, "-m", args.metrics, "-n", args.names]
    out = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=True, preexec_fn=pin(1))
    return json.loads(out.stdout)


def null(folder, mode, args, rate, seconds):
    port = free_port()
    child = subprocess.Popen([os.path.join(folder, "nullrecv"), str(port), mode, str(4 << 20)], cwd=folder, preexec_fn=pin(0))
    time.sleep(0.3)
    sent = generate(folder, port, args, rate, seconds)
    time.sleep(0.5)
    used = cpu(child.pid)
    _, rss = memory(child.pid)
    child.send_signal(signal.SIGTERM)
    child.wait()
    got = json.load(open(os.path.join(folder, "sum_null.json")))
    if mode == "parse":
        lost = 1 - (got["counter_sum"] / sent["counter_sum"])
    else:
        lost = 1 - got["packets"] / sent["packets"]
    return report(f"null {mode}", sent, used, rss, lost)


def report(name, sent, used, mb, lost, more=""):
    per = used / sent["metrics"] * 1e6
    rate = sent["metrics"] / sent["secs"]
    print(f"{name:12} {rate / 1e6:6.2f} M/s  {per:6.3f} CPU s per million  lost {lost:8.4%}  {mb:6.1f} MB {more}", flush=True)
    return per


def value(metrics, name):
    found = re.search(rf"^{name}(?:{{[^}}]*}})? (\S+)", metrics, re.M)
    return float(found[1]) if found else 0.0


def plimsoll(folder, binary, args, rate, seconds):
    home = tempfile.mkdtemp(dir=folder)
    config = os.path.join(home, "p.toml")
    port = free_port()
    http = 20000 + port % 20000
    with open(config, "w") as f:
        f.write(f'interval = "1s"\n[collect]\ncollectors = []\n[http]\nlisten = "127.0.0.1:{http}"\n[statsd]\nlisten = "127.0.0.1:{port}"\n')
    db = os.path.join(home, "m.sqlite")
    log = open(os.path.join(home, "log"), "w")
    child = subprocess.Popen([binary, "run", "--config", config, "--db", db], stderr=log, preexec_fn=pin(0, False))
    time.sleep(1)
    if REALTIME:
        # The receiving thread alone: of two with one such priority the other may run for 100 ms.
        for task in os.listdir(f"/proc/{child.pid}/task"):
            if open(f"/proc/{child.pid}/task/{task}/comm").read().strip() == "statsd":
                os.sched_setscheduler(int(task), os.SCHED_RR, os.sched_param(1))
    before = cpu(child.pid)
    sent = generate(folder, port, args, rate, seconds)
    time.sleep(0.5)
    used = cpu(child.pid) - before
    time.sleep(1.5)
    # Before the page is asked for, which is as long as there are series.
    pss, rss = memory(child.pid)
    page = urlopen(f"http://127.0.0.1:{http}/api/status").read()
    values = {v["key"]: v["value"] for v in json.loads(page)["values"]}
    threads = {}
    for task in os.listdir(f"/proc/{child.pid}/task"):
        name = open(f"/proc/{child.pid}/task/{task}/comm").read().strip()
        fields = open(f"/proc/{child.pid}/task/{task}/stat").read().rsplit(")", 1)[1].split()
        threads[name] = threads.get(name, 0) + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    child.send_signal(signal.SIGTERM)
    child.wait()
    conn = sqlite3.connect(db)
    # The end of the process is a flush: the newest value of each counter is all it counted.
    last = conn.execute(
        "select d.name, x.value from samples x join series d on d._id = x.series_id "
        "where x.ts = (select max(ts) from samples join series on _id = series_id where job = 'statsd') "
        "and d.kind = 'counter' and d.name like 'app.%'"
    ).fetchall()
    conn.close()
    shutil.rmtree(home)
    counted = sum(v for name, v in last if ".requests." in name)
    timed = sum(v for name, v in last if name.endswith("_count"))
    lost = max(1 - counted / sent["counter_sum"], 1 - timed / sent["timers"] if sent["timers"] else 0)
    drops = values.get('plimsoll_udp_drops_total{receiver="statsd"}', 0)
    packets = values.get("plimsoll_statsd_packets_total", 0)
    exact = "exact" if packets + drops == sent["packets"] else f"{packets + drops - sent['packets']:+.0f} packets"
    flush = values.get("plimsoll_statsd_flush_duration_seconds", 0) * 1e3
    busy = ", ".join(f"{n} {s:.2f}" for n, s in sorted(threads.items(), key=lambda t: -t[1]) if s >= 0.02)
    return report("plimsoll", sent, used, pss, lost, f"PSS, {rss:.1f} RSS, drops {drops:.0f}, {exact}, flush {flush:.2f} ms; CPU s: {busy}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--rates", default="50000,100000,0", help="packets a second; 0: as fast as it gets")
    parser.add_argument("--metrics", type=int, default=20, help="a packet")
    parser.add_argument("--names", type=int, default=10000)
    parser.add_argument("--realtime", action="store_true", help="run before all else on this machine (root)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="plimsoll-bench-") as folder:
        build(folder)
        for rate in [int(r) for r in args.rates.split(",")]:
            print(f"# {rate or 'as many as possible'} packets/s of {args.metrics}, {args.names} names, {args.seconds} s")
            ours, floor = [], []
            for _ in range(args.repeat):
                null(folder, "count", args, rate, args.seconds)
                floor.append(null(folder, "parse", args, rate, args.seconds))
                ours.append(plimsoll(folder, os.path.abspath(args.binary), args, rate, args.seconds))
            middle = lambda v: sorted(v)[len(v) // 2]
            print(f"median: plimsoll {middle(ours):.3f}, null parse {middle(floor):.3f}, ratio {middle(ours) / middle(floor):.2f}\n", flush=True)


main()
