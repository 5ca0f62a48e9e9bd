// Figures of the page, with the release build and Debian's Chromium: what goes over the wire, the
// first chart after navigation with a year of data, a switch to a year, and ten minutes (or what is
// asked for) of sixty charts live at one second: the browser's main thread and memory, the
// daemon's CPU and PSS.
//
//   cargo build --release && (cd dashboard && npm ci --ignore-scripts)
//   node ci/bench/page.mjs [seconds of live charts]
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";

process.env.PLIMSOLL ??= new URL("../../target/release/plimsoll", import.meta.url).pathname;
const { browser, Daemon, folder, until } = await import("../../dashboard/test/harness.mjs");
const LIVE = Number(process.argv[2] ?? 600);
const say = (what, figure, bound) => console.log(`${what.padEnd(58)} ${String(figure).padStart(12)}   ${bound}`);

const dist = new URL("../../dashboard/dist/", import.meta.url).pathname;
const wire = readdirSync(dist).filter((n) => n.endsWith(".br")).reduce((sum, n) => sum + statSync(dist + n).size, 0);
say("page, all of it, over the wire", `${wire} B`, "<= 60,000");

// A year of a sample every five minutes of what the first view shows; then what it measures itself.
const daemon = await new Daemon(folder(), { system: "web1", interval: "1s" }).start();
const { values } = await until("values", async () => {
  const status = await daemon.json("/api/status");
  return status.values.length > 50 && status;
});
await daemon.stop();
const now = Math.floor(Date.now() / 300_000) * 300;
const FIRST = /^(node_load|node_memory_(Mem|Swap)|disk_|node_filesystem_avail|node_cpu|node_network_\w+_bytes|node_disk_|node_pressure)/;
const kept = values.filter((v) => typeof v.value === "number" && FIRST.test(v.key));
let samples = 0;
for (let day = 365; day > 0; day -= 5) {
  const rows = [];
  for (const { key, value, kind } of kept) {
    for (let t = now - day * 86_400; t < now - Math.max(0, day - 5) * 86_400; t += 300) {
      const v = kind === "counter" ? value - (now - t) * 0.1 : value * (1 + 0.2 * Math.sin(t / 9_000));
      rows.push([key, t * 1000, v.toPrecision(6)]);
    }
  }
  samples += rows.length;
  daemon.import(rows);
}
daemon.tell("compact");
await daemon.start();
say("samples in the file", samples, `${kept.length} series, a year`);

const chrome = await browser();
const fresh = async (width = 1360, height = 900) => {
  const context = await chrome.newContext({ viewport: { width, height } });
  return context.newPage();
};
const median = (all) => all.sort((a, b) => a - b)[all.length >> 1];
const PAINTED = () => {
  // A canvas on which something was drawn.
  new MutationObserver((_, seen) => {
    if (!document.querySelector(".drawn canvas")) return;
    seen.disconnect();
    requestAnimationFrame(() => setTimeout(() => console.log(`painted ${performance.now()}`)));
  }).observe(document, { subtree: true, childList: true, attributes: true });
};
const painted = async (range, script) => {
  const page = await fresh();
  if (script) await page.route("**/page.js", (r) => r.fulfill({ body: script, contentType: "text/javascript" }));
  // A new window of Chromium first loads several hundred scripts of its own surface (a DevTools trace
  // shows them), which is no part of a navigation.
  await page.waitForTimeout(SETTLED);
  // The page says it itself: to be asked meanwhile takes 20 ms of its main thread.
  const said = new Promise((done) => page.on("console", (m) => m.text().startsWith("painted ") && done(Number(m.text().slice(8)))));
  await page.addInitScript(PAINTED);
  await page.goto(`${daemon.url}/?range=${range}`);
  const took = await said;
  await page.context().close();
  return took;
};
// The floor: nothing but the library of charts, and one chart of three hundred made-up values.
const uplot = readFileSync(new URL("../../dashboard/node_modules/uplot/dist/uPlot.iife.min.js", import.meta.url), "utf8");
const BARE = `${uplot}
document.getElementById("page").innerHTML = '<div class="drawn"></div>';
const x = Array.from({ length: 300 }, (_, i) => 1.7e9 + i * 12);
new uPlot({ width: 400, height: 128, legend: { show: false }, series: [{}, { stroke: "#0a6ebd" }] }, [x, x.map((t) => Math.sin(t / 300))], document.querySelector(".drawn"));`;
const TIMES = 15;
const SETTLED = 1_500;
{
  const all = { "1h": [], "1y": [], bare: [] };
  for (let n = 0; n < TIMES; n++) {
    for (const [what, times] of Object.entries(all)) times.push(await painted(what === "bare" ? "1h" : what, what === "bare" && BARE));
  }
  for (const [what, times] of Object.entries(all)) {
    const figure = `${median(times).toFixed(0)} ms`;
    if (what === "bare") say("the same of a page with one canvas and no numbers", figure, `the floor (median of ${TIMES})`);
    else say(`first chart painted after navigation, ${what}`, figure, `<= 300 ms (median of ${TIMES})`);
  }
}
{
  const page = await fresh();
  await page.goto(`${daemon.url}/?range=1h`);
  await page.waitForSelector('[data-id="load"].drawn');
  await page.waitForTimeout(1_000);
  const times = [];
  for (let n = 0; n < TIMES; n++) {
    times.push(await page.evaluate(async () => {
      const asked = (text) => new Promise((done) => {
        const fetched = window.fetch;
        let open = 0;
        window.fetch = async (...words) => {
          const chart = String(words[0]).includes("/api/chart");
          open += chart ? 1 : 0;
          const answer = await fetched(...words);
          if (chart && --open === 0) {
            window.fetch = fetched;
            // Read, drawn in the next frame, painted after it.
            setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))));
          }
          return answer;
        };
        [...document.querySelectorAll(".strip button")].find((b) => b.textContent === text).click();
      });
      const from = performance.now();
      await asked("1y");
      const took = performance.now() - from;
      await asked("1h");
      return took;
    }));
    await page.waitForTimeout(300);
  }
  say("switch to a year, painted", `${median(times).toFixed(0)} ms`, `<= 150 ms (median of ${TIMES})`);
  await page.context().close();
}
{
  const page = await fresh(1920, 6000);
  await page.goto(`${daemon.url}/?range=5m&open=${encodeURIComponent("This machine: memory")}`);
  await until("sixty charts", async () => (await page.locator(".drawn canvas").count()) >= 60);
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Performance.enable");
  const measure = async () => {
    const { metrics } = await cdp.send("Performance.getMetrics");
    return Object.fromEntries(metrics.map((m) => [m.name, m.value]));
  };
  const cpu = () => {
    const fields = readFileSync(`/proc/${daemon.child.pid}/stat`, "utf8").split(") ")[1].split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  };
  const pss = () => Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${daemon.child.pid}/smaps_rollup`, "utf8"))[1]) / 1024;
  await page.waitForTimeout(10_000);
  const heap = async () => {
    await cdp.send("HeapProfiler.collectGarbage");
    return (await measure()).JSHeapUsedSize / 1e6;
  };
  const [heap0, m0, c0, t0] = [await heap(), await measure(), cpu(), Date.now()];
  await page.waitForTimeout(LIVE * 1000);
  const [m1, c1, t1] = [await measure(), cpu(), Date.now()];
  const seconds = (t1 - t0) / 1000;
  const charts = await page.locator(".drawn canvas").count();
  say(`main thread, ${charts} charts live at 1 s for ${LIVE} s`, `${((100 * (m1.TaskDuration - m0.TaskDuration)) / seconds).toFixed(1)} %`, "<= 15 % of a core");
  say("its memory, before and after", `${heap0.toFixed(1)}, ${(await heap()).toFixed(1)} MB`, "flat");
  const watched = (100 * (c1 - c0)) / seconds;
  const used = pss();
  await page.context().close();
  await new Promise((r) => setTimeout(r, 2_000));
  const [c2, t2] = [cpu(), Date.now()];
  await new Promise((r) => setTimeout(r, Math.min(60, LIVE) * 1000));
  const alone = (100 * (cpu() - c2)) / ((Date.now() - t2) / 1000);
  say("daemon's CPU with this viewer, and without", `${watched.toFixed(2)}, ${alone.toFixed(2)} %`, "<= 1 % of a core more");
  say("daemon's PSS with the page in use", `${used.toFixed(1)} MB`, "<= 9 MB");
}
await chrome.close();
await daemon.stop();
daemon.remove();
console.log(execFileSync("uname", ["-sr"], { encoding: "utf8" }).trim(), readFileSync("/proc/loadavg", "utf8").trim());
