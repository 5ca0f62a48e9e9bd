#!/usr/bin/env python3
"""PromQL over HTTP: plimsoll beside Debian's Prometheus and VictoriaMetrics, on the same samples, in one run.

Usage: ci/bench/promql.py [DAYS [BINARY [FOLDER]]]     (default 7, a release build; 10 minutes and 4 GB of disk)
With FOLDER the data stay there and are used again.
Twenty gauges hold a year of 1-minute samples, a thousand counters (50 hosts, 20 devices) DAYS of 15 s.
A question goes to each server in turn, over one connection that stays open, without gzip, until the last
byte has come; medians in ms, and how many times as long as plimsoll the better of the two took. Memory
is the peak of resident memory while the questions were asked. Then the next hour of the counters comes in by
remote write, as it would in an hour, and the questions of a moment are asked of its end. Loopback only.
"""
import contextlib, itertools, json, math, os, random, re, shutil, socket, statistics, struct, subprocess, sys, tempfile, time
import urllib.error, urllib.parse, urllib.request

import peers
import push

END = 1_767_225_600  # 2026-01-01
YEAR = 525_600
DAY = 86_400
DAYS = int(sys.argv[1]) if len(sys.argv) > 1 else 7
NAMES = [(f"host-{h:02}", f"dev{d}") for h in range(50) for d in range(20)]


def gauges():
    for number in range(20):
        r = random.Random(number)
        at, values = 50.0, []
        for i in range(YEAR):
            at += (r.random() - 0.5) * 0.6 + (50 - at) * 0.0005
            values.append(round(at + 15 * math.sin(2 * math.pi * (i % 1440) / 1440 + number), 2))
        yield f"s{number}", {}, range(END - 60 * YEAR, END, 60), [repr(v) for v in values]


def counters():
    steps = DAYS * DAY // 15
    for number, (host, device) in enumerate(NAMES):
        grown = random.Random(1000 + number).choices(range(1000), k=steps)
        total = itertools.accumulate(grown)
        yield ("bytes_total", {"host": host, "device": device}, range(END - DAYS * DAY, END, 15),
               [str(v) for v in total])


def ready(prometheus):
    """Waits until it has read what it wrote the last time: until then it refuses questions."""
    for _ in range(600):
        try:
            return prometheus.get("/-/ready")
        except urllib.error.HTTPError:
            time.sleep(0.1)
    raise RuntimeError("Prometheus does not get ready")


def shown(name, labels):
    return name + ("{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}" if labels else "")


def configure(config, port, plain_rows):
    with open(config, "w") as f:
        f.write(f'interval = "60s"\n[http]\nlisten = "127.0.0.1:{port}"\n[statsd]\nlisten = "off"\n[store]\nraw = "100y"\n'
                f'five_minutes = "100y"\nplain_rows = "{plain_rows}"\nmax_size = "10GiB"\n')


def fill_plimsoll(program, work, config):
    db, csv = (os.path.join(work, n) for n in ("metrics.sqlite", "p.csv"))
    configure(config, peers.free_port(), "1MB")
    if os.path.exists(db):
        return db
    for source in (gauges, counters):
        with open(csv, "w") as f:
            f.write("key,unix_ts,value\n")
            for name, labels, times, values in source():
                key = '"' + shown(name, labels).replace('"', '""') + '"'
                f.writelines(f"{key},{t},{v}\n" for t, v in zip(times, values))
        for verb in (["import", csv], ["compact"]):
            subprocess.run([program, "--config", config, "--db", db, *verb], check=True, stdout=subprocess.DEVNULL)
    os.remove(csv)
    return db


def fill_prometheus(work):
    blocks, text = os.path.join(work, "blocks"), os.path.join(work, "open.metrics")
    if os.path.exists(blocks):
        return blocks
    for source in (gauges, counters):
        with open(text, "w") as f:
            for name, labels, times, values in source():
                key = shown(name, labels)
                f.writelines(f"{key} {v} {t}\n" for t, v in zip(times, values))
            f.write("# EOF\n")
        subprocess.run(["promtool", "tsdb", "create-blocks-from", "--max-block-duration=744h", "--quiet",
                        "openmetrics", text, blocks], check=True, stdout=subprocess.DEVNULL)
    os.remove(text)
    return blocks


def fill_victoria(victoria):
    for source in (gauges, counters):
        for name, labels, times, values in source():
            for at in range(0, len(times), 50_000):
                part = slice(at, at + 50_000)
                body = (f'{{"metric":{json.dumps({"__name__": name, **labels})},"values":'
                        f'[{",".join(values[part])}],"timestamps":[{",".join(f"{t}000" for t in times[part])}]}}\n')
                victoria.get("/api/v1/import", data=body.encode())
    victoria.settle()


class Line:
    """One connection that stays open."""

    def __init__(self, port):
        self.port = port
        self.buffer = bytearray(1 << 20)
        self.begin()

    def begin(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, path):
        """Once more on a new connection where the server has closed the old one, as VictoriaMetrics does now and then."""
        try:
            return self.once(path)
        except (RuntimeError, ConnectionError):
            self.begin()
            return self.once(path)

    def once(self, path):
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        parts, head = [], b""
        while b"\r\n\r\n" not in head:
            head += self.more()
        head, _, rest = head.partition(b"\r\n\r\n")
        fields = head.lower().split(b"\r\n")
        parts.append(rest)
        length = [f.split(b":")[1] for f in fields if f.startswith(b"content-length:")]
        if length:
            left = int(length[0]) - len(rest)
            while left > 0:
                parts.append(self.more())
                left -= len(parts[-1])
        else:
            while not (parts[-1] if len(parts[-1]) > 6 else b"".join(parts[-3:])).endswith(b"0\r\n\r\n"):
                parts.append(self.more())
        return head, parts

    def more(self):
        count = self.socket.recv_into(self.buffer)
        if not count:
            raise RuntimeError("the server has gone")
        return bytes(self.buffer[:count])


def body(head, parts):
    data = b"".join(parts)
    if b"content-length:" not in head.lower():
        out = []
        while data:
            size, _, data = data.partition(b"\r\n")
            out.append(data[:int(size, 16)])
            data = data[int(size, 16) + 2:]
        data = b"".join(out)
    return json.loads(data)["data"]["result"]


def instant(query):
    return lambda later: "/api/v1/query?" + urllib.parse.urlencode({"query": query, "time": END - 15 + later})


def over(query, length, step):
    return lambda later: "/api/v1/query_range?" + urllib.parse.urlencode(
        {"query": query, "start": END - length + later, "end": END - 1 + later, "step": step})


# So many seconds later no sample lies on the edge of a window.
LATER = 7
QUESTIONS = [
    ("one series, a year at 1,000 points", over("s7", 60 * YEAR, 60 * YEAR // 1000)),
    ("one series, 24 h, every sample", instant(f"{shown('bytes_total', dict(zip(('host', 'device'), NAMES[77])))}[24h]")),
    ("sum by (host) (rate(x[5m])), 1,000 series, 24 h at 1 m", over("sum by (host) (rate(bytes_total[5m]))", DAY, 60)),
    ("topk(5, x), 1,000 series, 24 h at 1 m", over("topk(5, bytes_total)", DAY, 60)),
    ("quantile by (host) (0.9, x), the same", over("quantile by (host) (0.9, bytes_total)", DAY, 60)),
    ("max_over_time(x[1d]), a year at 1,000 points", over("max_over_time(s7[1d])", 60 * YEAR, 60 * YEAR // 1000)),
    ("count by (__name__) ({__name__=~\".+\"})", instant('count by (__name__) ({__name__=~".+"})')),
    ("now, 1,000 series", instant("bytes_total")),
    ("now, one series", instant('bytes_total{host="host-07",device="dev3"}')),
]


# The same of the newest hour, which nobody has had the time to pack.
LIVE = [
    ("now, 1,000 series, an hour by remote write", "bytes_total"),
    ("now, one series of them", 'bytes_total{host="host-07",device="dev3"}'),
]


def write_hour(servers):
    """The hour that begins now of every counter into each server, 15 s apart; when it ends. An hour that has
    passed would be late: plimsoll may have sealed it."""
    end = int(time.time()) // 15 * 15 + 3600
    grown = [random.Random(5000 + number).choices(range(1000), k=240) for number in range(len(NAMES))]
    totals = [list(itertools.accumulate(g)) for g in grown]
    for first in range(0, 240, 12):
        series = []
        for (host, device), total in zip(NAMES, totals):
            labels = (("__name__", "bytes_total"), ("device", device), ("host", host))
            message = b"".join(push.field(1, push.field(1, k.encode()) + push.field(2, v.encode())) for k, v in labels)
            for i in range(first, first + 12):
                at = (end - (239 - i) * 15) * 1000
                message += push.field(2, b"\x09" + struct.pack("<d", total[i]) + b"\x10" + push.varint(at))
            series.append(push.field(1, message))
        body = push.snappy(b"".join(series))
        for server in servers.values():
            headers = {**push.PROTOBUF, "X-Prometheus-Remote-Write-Version": "0.1.0"}
            request = urllib.request.Request(f"http://127.0.0.1:{server.port}/api/v1/write", body, headers)
            urllib.request.urlopen(request, timeout=60).close()
    return end


def peak(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:")) / 1000


def points(result):
    return sum(len(r["values"]) if "values" in r else 1 for r in result)


def values(result):
    """What was answered, without the labels that a server adds by itself."""
    own = ("instance", "job", "__name__")
    key = lambda r: sorted((k, v) for k, v in r["metric"].items() if k not in own)
    close = lambda v: f"{float(v):.9g}"
    of = lambda r: [(t, close(v)) for t, v in r.get("values", [r.get("value")])]
    return sorted((key(r), of(r)) for r in result)


def main():
    program = sys.argv[2] if len(sys.argv) > 2 else peers.binary()
    program = os.path.abspath(program)
    with contextlib.ExitStack() as stack:
        kept = sys.argv[3] if len(sys.argv) > 3 else None
        work = kept or stack.enter_context(tempfile.TemporaryDirectory(prefix="plimsoll-promql-"))
        port = peers.free_port()
        config = os.path.join(work, "plimsoll.toml")
        db = fill_plimsoll(program, work, config)
        # The hour that comes in later is ahead of the clock: it stays in plain rows, some 10 MB.
        configure(config, port, "64MB")
        print(f"plimsoll is filled: {peers.size(db) / 1e6:.0f} MB", flush=True)
        blocks = fill_prometheus(work)
        print(f"Prometheus is filled: {peers.size(blocks) / 1e6:.0f} MB", flush=True)
        with open(os.path.join(work, "prometheus.yml"), "w") as f:
            f.write("global: {}\n")
        if not os.path.exists(os.path.join(work, "victoria")):
            with peers.Victoria(work) as victoria:
                fill_victoria(victoria)
                print(f"VictoriaMetrics is filled: {victoria.bytes() / 1e6:.0f} MB", flush=True)
        # What an earlier run wrote last is in nobody's way.
        for name in ("wal", "chunks_head"):
            shutil.rmtree(os.path.join(blocks, name), ignore_errors=True)
        for name in os.listdir(work):
            if name.startswith("run.sqlite"):
                os.remove(os.path.join(work, name))
        db = shutil.copy(db, os.path.join(work, "run.sqlite"))
        # All three begin anew, so that filling is not in their memory.
        with peers.Victoria(work) as victoria, peers.Server(work, "prometheus", [
                "prometheus", f"--config.file={work}/prometheus.yml", f"--storage.tsdb.path={blocks}",
                "--web.listen-address=127.0.0.1:PORT", "--storage.tsdb.retention.time=100y",
                "--web.enable-remote-write-receiver"]) as prometheus, \
                peers.Server(work, "plimsoll", [program, "run", "--config", config, "--db", db], port) as plimsoll:
            ready(prometheus)
            ask({"plimsoll": plimsoll, "VictoriaMetrics": victoria, "Prometheus": prometheus})
    print()
    print(peers.versions())


def measure(lines, what, path):
    """Asks each in turn, some hundred times; how many times as long as plimsoll the better of the others took."""
    for line in lines.values():
        line.ask(path)
    taken = {name: [] for name in lines}
    begin = time.monotonic()
    while time.monotonic() - begin < 30 and len(taken["plimsoll"]) < 300:
        if time.monotonic() - begin > 6 and len(taken["plimsoll"]) >= 7:
            break
        for name, line in lines.items():
            at = time.perf_counter()
            line.ask(path)
            taken[name].append((time.perf_counter() - at) * 1000)
    ms = {name: statistics.median(t) for name, t in taken.items()}
    ratio = min(v for name, v in ms.items() if name != "plimsoll") / ms["plimsoll"]
    print(f"| {what} | " + " | ".join(f"{v:.2f}" for v in ms.values()) + f" | {ratio:.1f} |", flush=True)
    return ratio


def ask(servers):
    lines = {name: Line(server.port) for name, server in servers.items()}
    print("| | points | " + " | ".join(f"{name}, ms" for name in servers) + " | times as long |")
    print("|---" * (3 + len(servers)) + "|", flush=True)
    ratios = []
    for what, question in QUESTIONS:
        path = question(0)
        head, parts = lines["plimsoll"].ask(path)
        ours = body(head, parts)
        served = re.search(rb"x-plimsoll-resolution: (.*)", head.lower())[1].decode().strip()
        mark = "" if served == "raw" else f" ({served})"
        if not mark and values(ours) != values(body(*lines["Prometheus"].ask(path))):
            both = [values(body(*lines[name].ask(question(LATER)))) for name in ("plimsoll", "Prometheus")]
            mark = " (edge)" if both[0] == both[1] else " (!)"
        ratios.append(measure(lines, f"{what} | {points(ours):,}{mark}", path))
    print(f"| geometric mean | | | | | {math.prod(ratios) ** (1 / len(ratios)):.1f} |")
    print("| most memory, MB | | " + " | ".join(f"{peak(s.child.pid):.0f}" for s in servers.values()) + " | |", flush=True)
    end = write_hour(servers) + 7
    for what, query in LIVE:
        path = "/api/v1/query?" + urllib.parse.urlencode({"query": query, "time": end})
        wanted = len(NAMES) if query == "bytes_total" else 1
        for name, line in lines.items():
            until = time.monotonic() + 90
            while points(body(*line.ask(path))) != wanted:
                if time.monotonic() > until:
                    raise RuntimeError(f"{name} does not show what was written into it")
                time.sleep(0.5)
        measure(lines, f"{what} | {wanted:,}", path)
    print("(edge): other numbers than Prometheus 2.42's where a sample lies on a window's left edge, which counts no "
          "more since 3.0; the same at moments some seconds later. (5m): of buckets. (!): other numbers")


if __name__ == "__main__":
    main()
