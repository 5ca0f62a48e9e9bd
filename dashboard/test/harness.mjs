// The real binary and a real browser, for tests, pictures and figures of the page.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const BINARY = process.env.PLIMSOLL ?? new URL("../../target/debug/plimsoll", import.meta.url).pathname;
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

export function folder() {
  return mkdtempSync(join(process.env.PAGE_TMP ?? tmpdir(), "page-"));
}

export async function until(what, ask, ms = 20_000) {
  const end = Date.now() + ms;
  let last;
  do {
    try {
      last = await ask();
      if (last) return last;
    } catch (e) {
      last = e;
    }
    await new Promise((r) => setTimeout(r, 40));
  } while (Date.now() < end);
  throw new Error(`no ${what}: ${last}`);
}

/** A test that fails leaves nothing running. */
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

export class Daemon {
  constructor(dir, { system = "web1", interval = "1s", http = "", rest = "", port = 0 } = {}) {
    this.dir = dir;
    this.db = join(dir, "metrics.sqlite");
    this.config = join(dir, "plimsoll.toml");
    this.log = join(dir, "log");
    writeFileSync(this.config, `system = "${system}"\ninterval = "${interval}"\n[http]\nlisten = "127.0.0.1:${port}"\n${http}\n[statsd]\nlisten = "127.0.0.1:0"\n${rest}\n`);
  }

  async start() {
    writeFileSync(this.log, "");
    const log = openSync(this.log, "a");
    const env = { ...process.env };
    delete env.NOTIFY_SOCKET;
    this.child = spawn(BINARY, ["run", "--config", this.config, "--db", this.db], { stdio: ["ignore", "ignore", log], env });
    const { child } = this;
    running.add(child);
    this.ended = new Promise((done) => child.once("exit", () => (running.delete(child), done())));
    this.url = await until("address in the log", () => {
      const found = /http:\/\/(127\.0\.0\.1:\d+)/.exec(readFileSync(this.log, "utf8"));
      return found && `http://${found[1]}`;
    });
    this.port = Number(new URL(this.url).port);
    return this;
  }

  /** Runs another verb of the binary. */
  tell(...words) {
    return execFileSync(BINARY, [...words, "--config", this.config, "--db", this.db], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  }

  async json(path) {
    return (await fetch(this.url + path)).json();
  }

  async push(values) {
    const answer = await fetch(`${this.url}/api/push`, { method: "POST", body: JSON.stringify(values) });
    if (!answer.ok) throw new Error(await answer.text());
  }

  async stop() {
    if (this.child && this.child.exitCode === null) {
      this.child.kill("SIGTERM");
      await this.ended;
    }
  }

  /** Samples into the file while nobody writes: rows of key, ms, value. */
  import(rows) {
    const file = join(this.dir, "rows.csv");
    const quoted = (key) => `"${key.replaceAll('"', '""')}"`;
    writeFileSync(file, `key,unix_ts,value\n${rows.map(([k, t, v]) => `${quoted(k)},${t},${v}`).join("\n")}\n`);
    this.tell("import", file);
    rmSync(file);
  }

  remove() {
    if (existsSync(this.dir)) rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A browser of its own; only what is asked of our daemon may be asked at all. */
export async function browser() {
  return chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    ],
  });
}

/** What a machine like this one may have measured: a day with its ups and downs. */
export async function history(daemon, hours, step) {
  const known = (await daemon.json("/api/status")).values;
  const now = Math.floor(Date.now() / 1000 / step) * step;
  const rows = [];
  let seed = 7;
  const dice = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const day = (t) => 0.5 + 0.5 * Math.sin(((t / 3600 - 9) / 24) * 2 * Math.PI);
  const night = (t) => (Math.floor(t / 3600) % 24 === 3 && (t / 60) % 60 < 40 ? 1 : 0);
  const RATES = {
    node_network_receive_bytes_total: (t) => 4e5 * (0.2 + day(t) ** 2) * (0.6 + dice()),
    node_network_transmit_bytes_total: (t) => 1.6e6 * (0.15 + day(t) ** 2) * (0.6 + dice()),
    node_disk_read_bytes_total: (t) => 2e5 * dice() + 3e7 * night(t) * dice(),
    node_disk_written_bytes_total: (t) => 9e5 * (0.3 + day(t)) * dice() + 6e6 * night(t),
    node_disk_io_time_seconds_total: (t) => 0.02 + 0.05 * dice() + 0.5 * night(t),
    node_pressure_cpu_waiting_seconds_total: (t) => 0.02 + 0.09 * day(t) ** 2 * dice(),
    node_pressure_io_waiting_seconds_total: (t) => 0.01 * dice() + 0.22 * night(t),
    node_vmstat_oom_kill: () => 0,
    node_pressure_memory_waiting_seconds_total: () => 0.001 * dice(),
  };
  const MODES = {
    user: (t) => 0.05 + 0.3 * day(t) ** 2 + 0.08 * dice(), system: (t) => 0.02 + 0.07 * day(t) + 0.03 * dice(),
    iowait: (t) => 0.005 + 0.16 * night(t), steal: () => 0.01 * dice(), idle: (t) => 0.9 - 0.4 * day(t),
    nice: () => 0, irq: () => 0, softirq: (t) => 0.012 * day(t),
  };
  for (const { key, value, kind } of known) {
    if (typeof value !== "number" || key.startsWith("plimsoll") || key.startsWith("process_")) continue;
    const name = key.split("{")[0];
    if (kind === "counter") {
      const mode = name === "node_cpu_seconds_total" && /mode="(\w+)"/.exec(key)?.[1];
      const rate = mode ? MODES[mode] : key.includes('device="lo"') ? () => 10 : (RATES[name] ?? ((t) => 20 * day(t) * dice()));
      let at = value;
      for (let t = now; t > now - hours * 3600; t -= step) {
        rows.push([key, t * 1000, at]);
        at -= rate(t) * step;
      }
      continue;
    }
    const load = (t, calm) => 0.15 + 1.1 * day(t) ** 2 * (0.7 + 0.6 * dice() * calm) + 0.9 * night(t);
    for (let t = now; t > now - hours * 3600; t -= step) {
      const ago = (now - t) / 86400;
      let v = value;
      if (name === "node_load1") v = load(t, 1);
      else if (name === "node_load5" || name === "cpu") v = load(t, 0.4);
      else if (name === "node_load15") v = load(t, 0.1);
      else if (name === "node_memory_MemAvailable_bytes") v = value * (0.96 - 0.16 * day(t) + 0.02 * dice());
      else if (name === "node_memory_MemFree_bytes") v = value * (0.7 + 0.2 * dice() - 0.3 * night(t));
      else if (name.startsWith("disk_")) v = Math.max(1, value - 1.6 * ago + 0.1 * Math.sin(t / 4000));
      else if (name === "node_filesystem_avail_bytes") v = value * (1 + 0.019 * ago + 0.0004 * Math.sin(t / 4000));
      rows.push([key, t * 1000, v]);
    }
  }
  return rows;
}
