#!/usr/bin/env python3
"""Which functions does a beat need? Makes build/hot_functions.txt, by which the release build lays
them side by side; build.rs has the reason.

Usage: ci/bench/hot.py [SECONDS]     (default 100; needs gdb)
Builds plimsoll with its names, runs it with all collectors at a 1 s beat, waits until it has settled,
and then puts a breakpoint that works once on every function. What is hit within that time is hot,
upkeep's look at the file included. Rust's names hold a hash that changes with the compiler, the profile
and the dependencies: make the list again after that, or only SQLite's functions are found again. Loopback only.
"""
import os, signal, socket, subprocess, sys, tempfile, time

import peers

# Munin plugins of this machine are not what is measured.
os.environ["PLIMSOLL_PLUGIN_DIR"] = "/nonexistent"

LIST = os.path.join(peers.ROOT, "build/hot_functions.txt")

TRACE = """
import gdb, threading, time
names = [line.split() for line in open({symbols!r})]
hit = []
class Once(gdb.Breakpoint):
    def stop(self):
        hit.append(self.number_of)
        self.enabled = False
        return False
gdb.execute("set pagination off")
for i, (address, _) in enumerate(names):
    at = Once("*%d" % ({base} + int(address)), internal=True)
    at.silent, at.number_of = True, i
def stop():
    time.sleep({seconds})
    gdb.post_event(lambda: gdb.execute("interrupt"))
threading.Thread(target=stop, daemon=True).start()
gdb.execute("continue")
open({out!r}, "w").write("".join(names[i][1] + "\\n" for i in sorted(set(hit))))
gdb.execute("kill")
"""


def functions(program):
    """Address and name of each function, in the order of their places."""
    listed = subprocess.run(["nm", program], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = sorted((int(w[0], 16), w[2]) for w in map(str.split, listed.splitlines())
                   if len(w) == 3 and w[1] in "tTwW")
    return [(at, name) for i, (at, name) in enumerate(found) if i == 0 or found[i - 1][0] != at]


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    # The release build has none, and is the same otherwise: build.rs.
    os.environ["PLIMSOLL_NAMES"] = "1"
    program = os.path.realpath(peers.binary())
    with tempfile.TemporaryDirectory(prefix="plimsoll-hot-") as work:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        config, symbols, out, script = (os.path.join(work, n) for n in ("toml", "symbols", "out", "trace.py"))
        with open(config, "w") as f:
            f.write(f'interval = "1s"\n[http]\nlisten = "127.0.0.1:{port}"\n[statsd]\nlisten = "127.0.0.1:0"\n')
        with open(symbols, "w") as f:
            f.writelines(f"{at} {name}\n" for at, name in functions(program))
        child = subprocess.Popen([program, "run", "--config", config, "--db", os.path.join(work, "m.sqlite")],
                                 stderr=subprocess.DEVNULL)
        try:
            time.sleep(10)
            with open(f"/proc/{child.pid}/maps") as maps:
                base = next(int(l.split("-")[0], 16) for l in maps if l.rstrip().endswith(program))
            with open(script, "w") as f:
                f.write(TRACE.format(symbols=symbols, base=base, seconds=seconds, out=out))
            subprocess.run(["gdb", "-q", "-nx", "-batch", "-p", str(child.pid), "-x", script],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            hot = open(out).read()
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
            child.wait()
    if not hot:
        sys.exit("gdb saw no function being called; the list is as it was")
    with open(LIST, "w") as f:
        f.write(hot)
    print(f"{len(hot.splitlines())} functions in {os.path.relpath(LIST, peers.ROOT)}")


if __name__ == "__main__":
    main()
