// Takes the pictures of docs/pictures: the first view at phone and desktop width, light and dark.
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { mkdirSync, readFileSync } from "node:fs";
import { browser, Daemon, folder, history, until } from "./harness.mjs";

const to = process.argv[2] ?? new URL("../../docs/pictures", import.meta.url).pathname;
mkdirSync(to, { recursive: true });
const dir = folder();
const rest = `[plugins]\nenabled = false\n[collect.filesystem]\nexclude_mounts = ["/?*"]\n[collect.netdev]\nexclude_devices = ["ifb*", "lo"]`;
const real = await new Daemon(dir, { system: "web1", rest }).start();
await until("values", async () => (await real.json("/api/status")).values.length > 50);
const rows = await history(real, 26, 60);
await real.stop();
// Only made-up values are shown: this machine is busy with other things. Real samples among them would
// look like counters that began at zero again.
execFileSync("sqlite3", [real.db, "delete from samples"]);
for (const row of rows) if (row[0] === "node_memory_MemFree_bytes") row[2] = 8e9 + 8e8 * Math.sin(row[1] / 9e6);
const daemon = new Daemon(dir, { system: "web1", rest: "[plugins]\nenabled = false\n[collect]\ncollectors = []" });
daemon.import(rows);
await daemon.start();
const statsd = Number(/udp 127\.0\.0\.1:(\d+)/.exec(readFileSync(daemon.log, "utf8"))[1]);
const socket = createSocket("udp4");
const deployed = Math.floor(Date.now() / 1000) - 7 * 3600;
await new Promise((done) => socket.send(`_e{12,5}:Deploy 2.3.1|by jo|d:${deployed}`, statsd, "127.0.0.1", done));
socket.close();
const now = Date.now();
await daemon.push([
  ...["app.requests", "app.errors", "app.queue"].map((key, n) => ({ key, value: 40 / (n + 1), job: "statsd" })),
  ...[["node_load1", 0.4], ["node_load5", 0.5], ["node_load15", 0.4], ["disk_/", 93.4], ["node_memory_MemTotal_bytes", 8e9], ["node_memory_MemAvailable_bytes", 5e9], ["node_memory_MemFree_bytes", 2e9]]
    .flatMap(([key, value]) => [0, 1, 2].map((n) => ({ key, value, job: "node", instance: "db2", timestamp: new Date(now - n * 10_000).toISOString() }))),
]);
await until("two hosts", async () => (await daemon.json("/api/overview")).hosts.length > 1);
const chrome = await browser();
const SHOTS = [
  ["desktop-light", 1360, 900, "light", "/?range=24h"],
  ["desktop-dark", 1360, 900, "dark", "/?range=24h"],
  ["phone-light", 390, 844, "light", "/?range=24h"],
  ["phone-dark", 390, 844, "dark", "/?range=24h"],
  ["explore", 1360, 900, "light", "/explore?range=24h&expr=sum%20by%20(mode)%20(rate(node_cpu_seconds_total%7Bmode!%3D%22idle%22%7D%5B10m%5D))"],
  ["explore-wrong", 1360, 700, "dark", "/explore?expr=sum%20by%20(mode)%20rate(node_cpu_seconds_total%5B5m%5D))"],
  ["focus", 1360, 900, "dark", "/?range=24h&chart=network"],
  ["hosts", 1360, 500, "light", "/hosts"],
  ["hosts-phone", 390, 600, "dark", "/hosts"],
  ["long", 1360, 2600, "light", "/?range=24h&open=plimsoll%20itself"],
];
const only = process.argv[3];
for (const [name, width, height, colorScheme, path] of SHOTS) {
  if (only && !name.includes(only)) continue;
  const context = await chrome.newContext({ viewport: { width, height }, colorScheme, deviceScaleFactor: width < 500 ? 2 : 1, locale: "en-GB", timezoneId: "Europe/Berlin" });
  const page = await context.newPage();
  page.on("console", (m) => console.log(name, m.text()));
  page.on("pageerror", (e) => console.log(name, e.message));
  await page.goto(daemon.url + path);
  await page.waitForTimeout(2500);
  await page.screenshot({ path: `${to}/${name}.png` });
  await context.close();
}
await chrome.close();
await daemon.stop();
daemon.remove();
