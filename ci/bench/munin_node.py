#!/usr/bin/env python3
"""One poll of load, df and memory over TCP: Debian's munin-node, children included, beside plimsoll.

    ci/bench/munin_node.py target/release/plimsoll [--polls 2000] [--node-polls 20]

A poll is what munin-update does: connect, cap, list, then config and fetch of each plugin, quit. CPU of
munin-node is what the kernel counts for it and all that it forked and reaped; of plimsoll what its
threads ran, its collectors told to read once an hour. Wants root (folders are laid over munin-node's
own, for it alone) and the packages munin-node and munin-plugins-core. Loopback only.
"""
import argparse, os, shutil, signal, socket, subprocess, sys, tempfile, time

PLUGINS = ["load", "df", "memory"]
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def poll(port):
    """One poll; bytes read."""
    stream = socket.create_connection(("127.0.0.1", port), 30).makefile("rwb")
    taken = len(stream.readline())

    def say(text):
        stream.write(text.encode() + b"\n")
        stream.flush()

    def answer():
        size = 0
        while True:
            line = stream.readline()
            size += len(line)
            if line == b".\n":
                return size
            if not line or line.startswith(b"# "):
                sys.exit(f"not answered: {line}")

    for word in ("cap multigraph dirtyconfig", "list"):
        say(word)
        taken += len(stream.readline())
    for plugin in PLUGINS:
        for verb in ("config", "fetch"):
            say(f"{verb} {plugin}")
            taken += answer()
    say("quit")
    stream.read()
    stream.close()
    return taken


def wait_for(port, process):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as s:
                if s.recv(100).startswith(b"# munin node"):
                    return
        except OSError:
            pass
        if process.poll() is not None:
            sys.exit("it has ended")
        time.sleep(0.05)
    sys.exit("nobody listens")


def forked(pid):
    """CPU seconds of a process and of its children that it has waited for."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return sum(int(f) for f in fields[11:15]) / TICK


def ran(pid):
    """CPU seconds that the threads of a process have run."""
    tasks = os.listdir(f"/proc/{pid}/task")
    return sum(int(open(f"/proc/{pid}/task/{t}/schedstat").read().split()[0]) for t in tasks) / 1e9


def measure(name, pid, port, cpu, polls):
    poll(port)
    time.sleep(0.5)
    before, start = cpu(pid), time.monotonic()
    size = sum(poll(port) for _ in range(polls)) // polls
    wall = time.monotonic() - start
    # The last child has to be waited for.
    time.sleep(0.5)
    used = (cpu(pid) - before) / polls
    print(f"| {name} | {used * 1e3:.3f} | {wall / polls * 1e3:.2f} | {size:,} |")
    return used


def munin_node(folder, polls):
    port = free_port()
    plugins, state = os.path.join(folder, "plugins"), os.path.join(folder, "state")
    os.makedirs(plugins)
    for plugin in PLUGINS:
        os.symlink(f"/usr/share/munin/plugins/{plugin}", os.path.join(plugins, plugin))
    for user in ("root", "nobody"):
        os.makedirs(os.path.join(state, user))
        os.chmod(os.path.join(state, user), 0o777)
    conf = os.path.join(folder, "node.conf")
    with open(conf, "w") as f:
        f.write(f"log_file {folder}/node.log\npid_file {folder}/node.pid\nbackground 0\nsetsid 0\nuser root\n"
                f"group root\nhost_name here\nallow ^127\\.0\\.0\\.1$\nhost 127.0.0.1\nport {port}\n")
    script = ('mount --bind "$2" /var/lib/munin-node/plugin-state && mount --bind "$1" /etc/munin/plugins '
              '&& exec /usr/sbin/munin-node --config "$0"')
    process = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, conf,
                                plugins, state], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        return measure("munin-node", process.pid, port, forked, polls)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def plimsoll(binary, folder, polls):
    port = free_port()
    conf = os.path.join(folder, "plimsoll.toml")
    with open(conf, "w") as f:
        f.write(f'interval = "1h"\n[http]\nlisten = "off"\n[statsd]\nlisten = "off"\n[plugins]\n'
                f'enabled = false\n[munin_node]\nlisten = "127.0.0.1:{port}"\n')
    process = subprocess.Popen([binary, "run", "--config", conf, "--db", os.path.join(folder, "m.sqlite")],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        # Past what belongs to starting.
        time.sleep(4)
        return measure("plimsoll", process.pid, port, ran, polls)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("binary")
    args.add_argument("--polls", type=int, default=2000)
    args.add_argument("--node-polls", type=int, default=20)
    args = args.parse_args()
    if os.geteuid() != 0 or not shutil.which("munin-node"):
        sys.exit("run it as root, after: apt-get install --no-install-recommends munin-node munin-plugins-core")
    load = os.getloadavg()[0]
    told = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}", "munin-node"],
                          stdout=subprocess.PIPE, text=True).stdout
    print(f"{told}, load {load:.1f}, {os.cpu_count()} CPUs\n")
    print("| one poll of load, df and memory | CPU ms | wall ms | bytes |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        theirs = munin_node(folder, args.node_polls)
        ours = plimsoll(os.path.abspath(args.binary), folder, args.polls)
    print(f"\n1/{theirs / ours:.0f} of the CPU")


main()
