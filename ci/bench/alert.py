#!/usr/bin/env python3
"""From a breach to the message: plimsoll beside Debian's Prometheus with Alertmanager, in the same run.

    ci/bench/alert.py target/release/plimsoll [--breaches 6] [--port 21230]

A breach is so many more files held open on the machine, which plimsoll collects; Prometheus scrapes a
series that is set at the same moment. The beat of plimsoll, the scrapes and the evaluations are 10 s apart; `for` is 0; the receiver is one
webhook. Alertmanager has its defaults (group_wait 30s), each alert in a group of its own, so that none
waits for group_interval. The time of the commit is seen by a reader of the database that looks each 5 ms.
Then the cost of rules at rest: the CPU time of the thread `alerting` a pass, and PSS with 50 rules and
two channels, with the rules that come with it, and of the peers. Packages: prometheus,
prometheus-alertmanager. Loopback only; three minutes.
"""
import argparse, http.server, json, os, resource, signal, sqlite3, statistics, subprocess, sys, tempfile, threading, time, urllib.request

parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parse.add_argument("plimsoll")
parse.add_argument("--breaches", type=int, default=6)
parse.add_argument("--port", type=int, default=21230)
args = parse.parse_args()
OURS, SCRAPED, PROMETHEUS, ALERTMANAGER, RULES, BARE = range(args.port, args.port + 6)
HOOK = args.port + 6
FOLDER = tempfile.mkdtemp(prefix="plimsoll-alert-")
# Files of one breach: more than others open meanwhile.
STEP = 2000
resource.setrlimit(resource.RLIMIT_NOFILE, (STEP * (args.breaches + 1), STEP * (args.breaches + 1)))
values = {f'breach{{n="{n}"}}': 0 for n in range(args.breaches)}
got, children = {}, []


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer("".join(f"{key} {value}\n" for key, value in list(values.items())).encode())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for alert in body["alerts"]:
            n = alert["labels"].get("n", alert["labels"]["alertname"])
            got.setdefault((self.path, n), time.time())
        self.answer(b"")

    def log_message(self, *_):
        pass


def path(name):
    return os.path.join(FOLDER, name)


def start(name, *command):
    env = dict(os.environ, PLIMSOLL_PLUGIN_DIR="/nonexistent")
    child = subprocess.Popen(command, stderr=open(path(name + ".log"), "w"), env=env)
    children.append(child)
    return child


def plimsoll(name, port, more, beat="10s"):
    with open(path(name + ".toml"), "w") as out:
        out.write(f'interval = "{beat}"\n[http]\nlisten = "127.0.0.1:{port}"\n[statsd]\nlisten = "off"\n{more}')
    return start(name, args.plimsoll, "run", "--db", path(name + ".sqlite"), "--config", path(name + ".toml"))


def end(child):
    child.send_signal(signal.SIGTERM)
    child.wait(20)
    children.remove(child)


def pss(child):
    lines = open(f"/proc/{child.pid}/smaps_rollup").read().splitlines()
    return int(next(l for l in lines if l.startswith("Pss:")).split()[1]) / 1024


def judged(child):
    """CPU time of the thread that judges, in ms; nothing: there is none."""
    for task in os.listdir(f"/proc/{child.pid}/task"):
        place = f"/proc/{child.pid}/task/{task}"
        if open(f"{place}/comm").read().strip() == "alerting":
            return int(open(f"{place}/schedstat").read().split()[0]) / 1e6
    return 0.0


def main():
    for port in (SCRAPED, HOOK):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Web)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    files = int(open("/proc/sys/fs/file-nr").read().split()[0])
    limit = [files + STEP * n + STEP // 2 for n in range(args.breaches)]
    own = "".join(
        f"[[alert]]\nname = \"{n}\"\nwhen = \"node_filefd_allocated > {limit[n]}\"\nfor = \"0s\"\n"
        f"severity = \"bad\"\nto = \"http://127.0.0.1:{HOOK}/ours\"\n" for n in range(args.breaches))
    channels = f'[alerts]\nto = ["http://127.0.0.1:{HOOK}/a", "http://127.0.0.1:{HOOK}/b"]\n'
    fifty = channels + "".join(
        f"[[alert]]\nname = \"rule{n}\"\nwhen = '{e}'\n" for n, e in enumerate(
            [f"node_load1 > {100 + n}" for n in range(15)]
            + [f"rate(node_cpu_seconds_total{{mode=\"user\"}}[5m]) > {10 + n}" for n in range(10)]
            + [f"node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes < 0.00{n}" for n in range(1, 9)]
            + [f"sum by (device) (rate(node_network_receive_bytes_total[5m])) > {n}e12" for n in range(1, 9)]
            + [f"avg_over_time(node_load5[15m]) > {100 + n}" for n in range(9)]))
    # A file that has been judged: what a new one holds is not told for a minute.
    first = plimsoll("ours", OURS, own, "1s")
    time.sleep(8)
    end(first)
    ours = plimsoll("ours", OURS, own)
    rules, bare = plimsoll("rules", RULES, fifty), plimsoll("bare", BARE, "")
    with open(path("am.yml"), "w") as out:
        json.dump({"route": {"receiver": "hook", "group_by": ["..."]},
                   "receivers": [{"name": "hook", "webhook_configs": [{"url": f"http://127.0.0.1:{HOOK}/theirs"}]}]}, out)
    with open(path("rules.yml"), "w") as out:
        json.dump({"groups": [{"name": "a", "rules": [{"alert": "breach", "expr": "breach > 5"}]}]}, out)
    with open(path("prometheus.yml"), "w") as out:
        json.dump({"global": {"scrape_interval": "10s", "evaluation_interval": "10s"}, "rule_files": ["rules.yml"],
                   "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{ALERTMANAGER}"]}]}]},
                   "scrape_configs": [{"job_name": "x", "static_configs": [{"targets": [f"127.0.0.1:{SCRAPED}"]}]}]}, out)
    theirs = [
        start("prometheus", "prometheus", f"--config.file={path('prometheus.yml')}",
              f"--storage.tsdb.path={path('tsdb')}", f"--web.listen-address=127.0.0.1:{PROMETHEUS}"),
        start("am", "prometheus-alertmanager", f"--config.file={path('am.yml')}", f"--storage.path={path('am')}",
              f"--web.listen-address=127.0.0.1:{ALERTMANAGER}", "--cluster.listen-address="),
    ]
    time.sleep(25)
    base = {child: judged(child) for child in (rules, bare)}
    begun = time.time()
    file = sqlite3.connect(f"file:{path('ours.sqlite')}?mode=ro", uri=True)
    breached, committed = {}, {}
    seen = "SELECT 1 FROM samples JOIN series ON _id = series_id WHERE key = 'node_filefd_allocated' AND value > ? LIMIT 1"
    held = []
    for n in range(args.breaches):
        # At another moment of the beat each time.
        time.sleep(0.5 + 9 * n / args.breaches)
        breached[n] = time.time()
        held.extend(os.open("/dev/null", os.O_RDONLY) for _ in range(STEP))
        values[f'breach{{n="{n}"}}'] = 10
        while not file.execute(seen, [limit[n]]).fetchone() and time.time() < breached[n] + 30:
            time.sleep(0.005)
        committed[n] = time.time()
    last = time.time()
    while len(got) < 2 * args.breaches and time.time() < last + 90:
        time.sleep(0.2)
    passes = (time.time() - begun) / 10
    for side in ("/ours", "/theirs"):
        took = [got[side, str(n)] - breached[n] for n in breached if (side, str(n)) in got]
        line = f"{len(took)} of {len(breached)} arrived"
        if took:
            line += f"; breach to received: median {statistics.median(took):.1f} s, most {max(took):.1f} s"
        if side == "/ours":
            late = sorted(got[side, str(n)] - committed[n] for n in breached if (side, str(n)) in got)
            line += "; commit to received: " + ", ".join(f"{1000 * l:.0f}" for l in late) + " ms"
        print(f"{'plimsoll' if side == '/ours' else 'Prometheus with Alertmanager'}: {line}")
    for name, child in (("50 more rules, two channels", rules), ("the rules that come with it", bare)):
        print(f"plimsoll with {name}: {(judged(child) - base[child]) / passes:.2f} ms CPU a pass of the thread "
              f"`alerting`, PSS {pss(child):.1f} MB")
    print(f"Prometheus: PSS {pss(theirs[0]):.1f} MB; Alertmanager: {pss(theirs[1]):.1f} MB")


try:
    main()
finally:
    for child in list(children):
        end(child)
print("kept:", FOLDER)
