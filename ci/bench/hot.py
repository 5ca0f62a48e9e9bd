#!/usr/bin/env python3
"""Which functions does a beat need, and which somebody who looks at the page? Makes
build/hot_functions.txt, by which the release build lays them side by side, those of the beat first;
build.rs has the reason.

Usage: ci/bench/hot.py [SECONDS]     (default 100; needs gdb)
Builds plimsoll with its names, runs it with all collectors at a 1 s beat on a file with some days in
it, waits until it has settled, and then puts a breakpoint that works once on every function. What is
hit within that time is the beat's, upkeep's look at the file included; then come the page, its questions
(as its own `Link` header has them) and live values. Rust's names hold a hash that changes with the compiler,
the profile and the dependencies: make the list again after that, or only SQLite's functions are found again.
Loopback only.
"""
import os, re, signal, socket, subprocess, sys, tempfile, time, urllib.request

import peers

# Munin plugins of this machine are not what is measured.
os.environ["PLIMSOLL_PLUGIN_DIR"] = "/nonexistent"

LIST = os.path.join(peers.ROOT, "build/hot_functions.txt")

TRACE = """
import gdb, os, threading, time
names = [line.split() for line in open({symbols!r})]
hit = []
class Once(gdb.Breakpoint):
    def stop(self):
        hit.append((self.number_of, time.time()))
        self.enabled = False
        return False
gdb.execute("set pagination off")
for i, (address, _) in enumerate(names):
    at = Once("*%d" % ({base} + int(address)), internal=True)
    at.silent, at.number_of = True, i
def stop():
    open({ready!r}, "w").close()
    while not os.path.exists({done!r}):
        time.sleep(0.2)
    gdb.post_event(lambda: gdb.execute("interrupt"))
threading.Thread(target=stop, daemon=True).start()
gdb.execute("continue")
open({out!r}, "w").write("".join("%f %s\\n" % (at, names[i][1]) for i, at in sorted(hit)))
gdb.execute("kill")
"""


def functions(program):
    """Address and name of each function, in the order of their places."""
    listed = subprocess.run(["nm", program], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = sorted((int(w[0], 16), w[2]) for w in map(str.split, listed.splitlines())
                   if len(w) == 3 and w[1] in "tTwW")
    return [(at, name) for i, (at, name) in enumerate(found) if i == 0 or found[i - 1][0] != at]


def fill(program, db):
    """Three days of some series, one sample each a minute, sealed and rolled up."""
    keys, end = ("cpu", "memory", "node_load1", "requests_total"), int(time.time()) // 60 * 60
    rows = "".join(f"{key},{at},{at % 977 / 7}\n" for at in range(end - 3 * 86_400, end, 60) for key in keys)
    for words, text in ((["import", "-"], "key,unix_ts,value\n" + rows), (["compact"], "")):
        subprocess.run([program, *words, "--db", db], input=text, text=True, check=True,
                       stdout=subprocess.DEVNULL)


def look(port):
    """As a browser does: the page, what its header says to ask, and a moment of live values."""
    def get(path, moment=None):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=300) as answer:
            end = moment and time.monotonic() + moment
            while answer.read1(65_536) and not (end and time.monotonic() > end):
                pass
            return answer.headers.get("link", "")
    for page in ("/", "/?range=24h", "/?range=1y"):
        for path in re.findall("<([^>]*)>", get(page)):
            get(path)
    get("/api/verdict")
    get("/api/live?id=load&id=memory", 5)


def waited(process, path):
    """Whether the file came before the process went."""
    while not os.path.exists(path):
        if process.poll() is not None:
            return False
        time.sleep(0.2)
    return True


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    # The release build has none, and is the same otherwise: build.rs.
    os.environ["PLIMSOLL_NAMES"] = "1"
    program = os.path.realpath(peers.binary())
    with tempfile.TemporaryDirectory(prefix="plimsoll-hot-") as work:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        config, symbols, out, script, db, ready, done = (
            os.path.join(work, n) for n in ("toml", "symbols", "out", "trace.py", "m.sqlite", "ready", "done"))
        with open(config, "w") as f:
            f.write(f'interval = "1s"\n[http]\nlisten = "127.0.0.1:{port}"\n[statsd]\nlisten = "127.0.0.1:0"\n')
        with open(symbols, "w") as f:
            f.writelines(f"{at} {name}\n" for at, name in functions(program))
        fill(program, db)
        child = subprocess.Popen([program, "run", "--config", config, "--db", db], stderr=subprocess.DEVNULL)
        try:
            time.sleep(10)
            with open(f"/proc/{child.pid}/maps") as maps:
                base = next(int(l.split("-")[0], 16) for l in maps if l.rstrip().endswith(program))
            with open(script, "w") as f:
                f.write(TRACE.format(symbols=symbols, base=base, ready=ready, done=done, out=out))
            gdb = subprocess.Popen(["gdb", "-q", "-nx", "-batch", "-p", str(child.pid), "-x", script],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if not waited(gdb, ready):
                sys.exit("gdb cannot watch it; the list is as it was")
            time.sleep(seconds)
            looked = time.time()
            look(port)
            open(done, "w").close()
            gdb.wait()
            hits = [line.split() for line in open(out)]
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
            child.wait()
    beat, page = ([name for at, name in hits if (float(at) < looked) == early] for early in (True, False))
    if not beat or not page:
        sys.exit("gdb saw no function being called; the list is as it was")
    with open(LIST, "w") as f:
        f.writelines(f"{name}\n" for name in beat + page)
    print(f"{len(beat)} functions of a beat and {len(page)} of the page in {os.path.relpath(LIST, peers.ROOT)}")


if __name__ == "__main__":
    main()
