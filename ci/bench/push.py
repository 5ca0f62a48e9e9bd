#!/usr/bin/env python3
"""What pushes over HTTP cost, beside VictoriaMetrics on the same samples in the same run.

    ci/bench/push.py BINARY [--samples 500000] [--series 1000] [--batch 5000] [--repeat 3]

Influx lines and Prometheus remote write (snappy, protobuf) are the same bytes for both. JSON is not:
plimsoll takes a record a sample at /api/push, VictoriaMetrics a record a series at /api/v1/import.
The server is pinned to core 0, the sender, one connection, to core 1; loopback only. CPU is the
server's, until everything it accepted is written; then the samples are counted. Prints a table."""

import argparse, http.client, json, os, shutil, signal, socket, sqlite3, struct, subprocess, tempfile, time, urllib.parse, urllib.request

from peers import versions
# Munin plugins of this machine are not what is measured.
os.environ["PLIMSOLL_PLUGIN_DIR"] = "/nonexistent"

START = 1_700_000_000_000
WAYS = ["influx", "remote write", "json"]


def value(series, step):
    """Looks like a gauge: a few decimals, never the same twice in a row."""
    return round(50 + (series * 7919 + step * 104729) % 10007 / 311, 3)


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def snappy(data):
    """The block format, of literals only: as long as before, and any decoder reads it."""
    out = bytearray(varint(len(data)))
    for at in range(0, len(data), 1 << 16):
        piece = data[at : at + (1 << 16)]
        out += bytes([61 << 2]) + struct.pack("<H", len(piece) - 1) + piece
    return bytes(out)


def bodies(args):
    """For each way its requests. A batch holds one step in time after the other, of all series."""
    each = {way: [] for way in WAYS}
    each["json import"] = []
    steps = args.samples // args.series
    per = max(1, args.batch // args.series)
    for first in range(0, steps, per):
        times = range(first, min(first + per, steps))
        lines, records, imported, series = [], [], [], []
        for s in range(args.series):
            labels = {"host": f"web{s % 50:02}", "path": f"/p/{s}"}
            points = [(START + t * 1000, value(s, t)) for t in times]
            for ts, v in points:
                lines.append(f"http_load,host={labels['host']},path={labels['path']} value={v} {ts}")
                records.append(json.dumps({"key": "http_load", "value": v, "timestamp": ts, "labels": labels}))
            named = {"__name__": "http_load", **labels}
            imported.append(json.dumps({"metric": named, "values": [v for _, v in points], "timestamps": [t for t, _ in points]}))
            message = b"".join(field(1, field(1, k.encode()) + field(2, w.encode())) for k, w in sorted(named.items()))
            message += b"".join(field(2, b"\x09" + struct.pack("<d", v) + b"\x10" + varint(t)) for t, v in points)
            series.append(field(1, message))
        each["influx"].append("\n".join(lines).encode())
        each["json"].append("\n".join(records).encode())
        each["json import"].append("\n".join(imported).encode())
        each["remote write"].append(snappy(b"".join(series)))
    return each


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pin(core):
    return lambda: os.sched_setaffinity(0, {core % os.cpu_count()})


def cpu(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024


def until(what, look, seconds=120):
    end = time.time() + seconds
    while time.time() < end:
        try:
            if look():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"{what}: not within {seconds} s")


def get(port, path):
    return urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30).read()


def send(port, path, headers, requests):
    """Seconds for all of them, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    began = time.monotonic()
    for body in requests:
        while True:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status == 503:
                time.sleep(0.2)
                continue
            if answer.status not in (200, 204):
                raise SystemExit(f"{path}: {answer.status} {said[:300]!r}")
            break
    return time.monotonic() - began


PROTOBUF = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}


def plimsoll(folder, binary, way, requests):
    home = tempfile.mkdtemp(dir=folder)
    port = free_port()
    config = os.path.join(home, "p.toml")
    with open(config, "w") as f:
        f.write(f'interval = "1s"\n[collect]\ncollectors = []\n[http]\nlisten = "127.0.0.1:{port}"\n[statsd]\nlisten = "off"\n')
    db = os.path.join(home, "m.sqlite")
    log = open(os.path.join(home, "log"), "w")
    child = subprocess.Popen([binary, "run", "--config", config, "--db", db], stderr=log, preexec_fn=pin(0))
    try:
        until("plimsoll answers", lambda: get(port, "/health"))
        before = cpu(child.pid)
        path = {"influx": "/write?precision=ms", "remote write": "/api/v1/write", "json": "/api/push"}[way]
        took = send(port, path, PROTOBUF if way == "remote write" else {}, requests)
        until("all is written", lambda: json.loads(get(port, "/api/status"))["database"]["waiting"] == 0)
        # What was taken off the queue is written within a beat.
        conn = sqlite3.connect(db, timeout=30)
        count = "select count(*) from samples join series on _id = series_id where name = 'http_load'"
        seen = -1
        while (now := conn.execute(count).fetchone()[0]) != seen:
            seen = now
            time.sleep(1.2)
        conn.close()
        return took, cpu(child.pid) - before, pss(child.pid), seen
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()
        shutil.rmtree(home)


def victoria(folder, way, requests):
    home = tempfile.mkdtemp(dir=folder)
    port = free_port()
    words = ["victoria-metrics", f"-storageDataPath={home}/data", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y"]
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=home, preexec_fn=pin(0))
    try:
        until("VictoriaMetrics answers", lambda: get(port, "/health"))
        before = cpu(child.pid)
        path = {"influx": "/write?precision=ms", "remote write": "/api/v1/write", "json": "/api/v1/import"}[way]
        took = send(port, path, PROTOBUF if way == "remote write" else {}, requests)
        get(port, "/internal/force_flush")
        used = cpu(child.pid) - before
        memory = pss(child.pid)
        # The field `value` of Influx keeps its name there.
        match = urllib.parse.quote('{__name__=~"http_load.*"}')
        exported = get(port, f"/api/v1/export?match[]={match}")
        seen = sum(len(json.loads(line)["values"]) for line in exported.splitlines())
        return took, used, memory, seen
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()
        shutil.rmtree(home)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--samples", type=int, default=500_000)
    parser.add_argument("--series", type=int, default=1_000)
    parser.add_argument("--batch", type=int, default=5_000)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    binary = os.path.abspath(args.binary)
    os.sched_setaffinity(0, {1 % os.cpu_count()})
    made = bodies(args)
    peer = shutil.which("victoria-metrics") is not None
    if not peer:
        print("VictoriaMetrics is not here: apt-get install --no-install-recommends victoria-metrics")
    print(f"{args.samples} samples of {args.series} series, {args.batch} a request; {versions()}; load {os.getloadavg()[0]:.1f}\n")
    print("| | samples/s accepted | CPU s a million, until written | memory, MB PSS | found again |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="plimsoll-bench-") as folder:
        for way in WAYS:
            medians = {}
            for name in ["plimsoll", "VictoriaMetrics"] if peer else ["plimsoll"]:
                runs = []
                for _ in range(args.repeat):
                    if name == "plimsoll":
                        runs.append(plimsoll(folder, binary, way, made[way]))
                    else:
                        runs.append(victoria(folder, way, made["json import" if way == "json" else way]))
                took, used, memory, seen = sorted(runs, key=lambda r: r[1])[len(runs) // 2]
                medians[name] = used
                print(f"| {way}: {name} | {args.samples / took:,.0f} | {used / args.samples * 1e6:.2f} | {memory:.1f} | {seen / args.samples:.1%} |", flush=True)
            if peer:
                print(f"| {way}: CPU, plimsoll to VictoriaMetrics | | {medians['plimsoll'] / medians['VictoriaMetrics']:.2f} | | |", flush=True)


if __name__ == "__main__":
    main()
