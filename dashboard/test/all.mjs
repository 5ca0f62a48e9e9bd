// The page against the real binary: every state and interaction, hostile names, accessibility, no
// console error and no request to anybody else. Ends with 0 and a line, or with what was wrong.
//
//   node test/all.mjs [part of a test's name]
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { browser, Daemon, folder, history, until } from "./harness.mjs";
import * as built from "./built.mjs";
import { looks } from "./looks.mjs";

const EVIL = `<img src=x onerror="window.hit=1">`;
const AXE = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const only = process.argv[2] ?? "";
const tests = [];
const test = (name, run) => name.includes(only) && tests.push({ name, run });

let chrome;
/** Console errors of a page's own making, and whom it asked. */
async function open(daemon, path = "/", options = {}) {
  const { expected = [], routes, ...rest } = options;
  const context = await chrome.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-GB", timezoneId: "UTC", ...rest });
  const page = await context.newPage();
  page.wrong = [];
  page.asked = [];
  page.on("console", (m) => {
    if (m.type() === "error" && !expected.some((e) => m.text().includes(e))) page.wrong.push(m.text());
  });
  page.on("pageerror", (e) => page.wrong.push(String(e)));
  page.on("request", (r) => {
    page.asked.push(r.url());
    if (!r.url().startsWith(daemon.url)) page.wrong.push(`asked ${r.url()}`);
  });
  if (routes) await routes(page);
  await page.goto(daemon.url + path);
  page.done = async () => {
    assert.deepEqual(page.wrong, []);
    assert.equal(await page.evaluate(() => window.hit), undefined, "a name was run");
    await context.close();
  };
  return page;
}
const drawn = (page, id = "load") => page.waitForSelector(`[data-id="${id}"].drawn canvas`);
const text = (page, selector) => page.locator(selector).first().innerText();
const query = (page) => new URL(page.url()).searchParams;

async function accessible(page, what) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const serious = found.violations.filter((v) => v.impact === "serious" || v.impact === "critical");
  assert.deepEqual(serious.map((v) => `${v.id}: ${v.nodes[0].html} ${v.nodes[0].failureSummary}`), [], what);
}

let daemon;

test("the first view says it all and goes on by itself", async () => {
  const page = await open(daemon);
  await drawn(page);
  assert.match(await text(page, ".verdict h1"), /^[●▲■]\s+web1 (is well|has a warning|has \d+ warnings|needs you)/);
  const titles = await page.locator(".first .title").allInnerTexts();
  for (const title of ["Load", "Memory", "Disk /", "CPU"]) assert(titles.some((t) => t.startsWith(title)), title);
  assert.match(await text(page, '[data-id="memory"] .now'), /iB of .*iB/);
  assert.match(await page.getAttribute('[data-id="load"]', "aria-label"), /^Load\. 1 min: .*min .*max/);
  // Every chart that is drawn goes on by itself, not only those of the first row.
  await until("the page listens", () => page.asked.some((u) => u.includes("/api/live?") && u.includes("id=load") && u.includes("id=cpu")), 12_000);
  const before = await page.evaluate(() => performance.now());
  await until("new values", async () => {
    const value = await text(page, '[data-id="cpu"] .now');
    page.first ??= value;
    return value !== page.first;
  });
  assert(page.asked.filter((u) => u.includes("/api/chart?")).length <= 4, `not asked for again and again: ${page.asked} ${before}`);
  await page.done();
});

test("ranges, zoom and the back button", async () => {
  const page = await open(daemon);
  await drawn(page);
  await page.getByRole("button", { name: "6h: 6 hours" }).click();
  await until("the range in the address", () => query(page).get("range") === "6h");
  await page.keyboard.press("4");
  assert.equal(query(page).get("range"), "24h");
  await page.goBack();
  await until("the range before", () => query(page).get("range") === "6h");
  assert.equal(await page.locator('.strip [aria-pressed="true"]').innerText(), "6h");
  // Drag over a third of the chart: that third is shown. On a busy machine the chart may show the range
  // before for a moment: then once more.
  const over = page.locator('[data-id="load"] .u-over');
  const box = await over.boundingBox();
  const from = await until("a third of six hours", async () => {
    await page.mouse.move(box.x + box.width / 3, box.y + 30);
    await page.mouse.down();
    await page.mouse.move(box.x + (2 * box.width) / 3, box.y + 40, { steps: 6 });
    await page.mouse.up();
    const from = await until("a zoom", () => query(page).get("from"));
    const hours = (Date.parse(query(page).get("to")) - Date.parse(from)) / 3.6e6;
    if (Math.abs(hours - 2) < 0.2) return from;
    await page.goBack();
    await until("six hours again", () => query(page).get("range") === "6h");
  });
  await page.keyboard.press("ArrowLeft");
  assert(Date.parse(query(page).get("from")) < Date.parse(from), "earlier");
  await page.keyboard.press("-");
  const wide = (Date.parse(query(page).get("to")) - Date.parse(query(page).get("from"))) / 3.6e6;
  assert(Math.abs(wide - 4) < 0.2, `${wide} hours`);
  await drawn(page);
  await page.mouse.move(box.x + box.width / 2, box.y + 30);
  await page.keyboard.down("Control");
  await page.mouse.wheel(0, -200);
  await page.keyboard.up("Control");
  await until("a nearer view", () => (Date.parse(query(page).get("to")) - Date.parse(query(page).get("from"))) / 3.6e6 < 3.5);
  await page.getByRole("button", { name: "live again" }).click();
  assert.equal(query(page).get("from"), null);
  for (let n = 0; n < 3; n++) await page.goBack();
  await until("a stretch from before", () => query(page).get("from"));
  // What is sent to somebody shows the same.
  const other = await open(daemon, new URL(page.url()).pathname + new URL(page.url()).search);
  await drawn(other);
  assert.equal(await text(other, ".when"), await text(page, ".when"));
  await other.done();
  await page.done();
});

test("one crosshair over all charts", async () => {
  const page = await open(daemon, "/?range=6h");
  await drawn(page);
  await drawn(page, "memory");
  const box = await page.locator('[data-id="load"] .u-over').boundingBox();
  await page.mouse.move(box.x + box.width * 0.7, box.y + 40);
  const time = await until("a time", () => text(page, '[data-id="load"] .foot'));
  await until("the same time elsewhere", async () => (await text(page, '[data-id="memory"] .foot')) === time);
  assert.match(time, /^\d+ \w+ \d{4}, \d\d:\d\d:\d\d/);
  await page.mouse.move(2, 2);
  await until("no time", async () => (await text(page, '[data-id="memory"] .foot')) === "");
  await page.done();
});

test("everything by keyboard", async () => {
  const page = await open(daemon, "/?range=6h");
  await drawn(page);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the charts");
  await page.locator('[data-id="load"]').focus();
  await page.keyboard.press("ArrowLeft");
  const first = await until("a time", () => text(page, '[data-id="load"] .foot'));
  await page.keyboard.press("ArrowLeft");
  await until("the time before", async () => (await text(page, '[data-id="load"] .foot')) !== first);
  assert.equal(query(page).get("from"), null, "the arrow moved the crosshair, not the time");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".focus table");
  assert.equal(query(page).get("chart"), "load");
  const rows = await page.locator(".focus tbody").first().locator("tr").allInnerTexts();
  assert(rows[0].trim().startsWith("1 min") && rows.length === 3, rows.join());
  assert((await page.locator(".focus .scroll tbody tr").count()) > 20, "its values as a table");
  await page.keyboard.press("Escape");
  await page.waitForSelector(".first");
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("e");
  await page.waitForSelector(".explore");
  await page.done();
});

test("lines can be put away", async () => {
  const page = await open(daemon, "/?range=6h");
  await drawn(page);
  const line = page.locator('[data-id="load"] .legend button').first();
  await line.click();
  assert.equal(await line.getAttribute("aria-pressed"), "false");
  await page.done();
});

test("groups open, keep open in the address, and are drawn", async () => {
  const page = await open(daemon);
  await page.getByText("plimsoll itself").click();
  await until("the group in the address", () => query(page).getAll("open").includes("plimsoll itself"));
  const chart = page.locator('[data-id="node:plimsoll_collect_success"]');
  await chart.scrollIntoViewIfNeeded();
  await drawn(page, "node:plimsoll_collect_success");
  await page.reload();
  await page.waitForSelector('[data-id="node:plimsoll_collect_success"]');
  await page.done();
});

test("search finds charts and any series", async () => {
  const page = await open(daemon);
  await drawn(page);
  await page.keyboard.press("/");
  const input = page.getByRole("combobox", { name: "Find a chart or a series" });
  await input.fill("memor");
  await page.waitForSelector('[role="option"]');
  await page.keyboard.press("Enter");
  await page.waitForSelector(".focus");
  assert.equal(query(page).get("chart"), "memory");
  // Opened again at once, before the dialog has said that it is closed.
  await page.keyboard.press("/");
  await page.evaluate(async () => {
    const key = (on, key) => on.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    key(document.activeElement, "Enter");
    await Promise.resolve();
    key(document.body, "/");
  });
  await input.fill("context switches");
  await page.getByRole("option", { name: /node_context_switches_total.*explore/ }).click();
  await page.waitForSelector(".answer");
  assert.match(query(page).get("expr"), /^node_context_switches_total\{/);
  await page.keyboard.press("Escape");
  await page.done();
});

test("explore: completion, chart, table", async () => {
  const page = await open(daemon, "/explore");
  const input = page.getByRole("textbox", { name: "Expression in PromQL" });
  // The offer must be the chosen one before Tab takes it, and what it makes must stand in the box with
  // the caret behind it before more is typed: both come a frame or an answer later.
  const take = async (typed, offer, made) => {
    await input.pressSequentially(typed);
    await page.getByRole("option", { name: offer, selected: true }).waitFor();
    await page.keyboard.press("Tab");
    await page.waitForFunction(
      (want) => {
        const box = document.querySelector(".ask textarea");
        const shut = document.querySelector("#offers").hidden;
        return shut && box.value === want && box.selectionStart === want.length && document.activeElement === box;
      },
      made,
    );
  };
  await take("rate(node_cpu_sec", /node_cpu_seconds_total/, "rate(node_cpu_seconds_total");
  await take("{mo", /mode/, "rate(node_cpu_seconds_total{mode");
  await take('="us', /user/, 'rate(node_cpu_seconds_total{mode="user');
  await input.pressSequentially('"}[5m])');
  assert.equal(await input.inputValue(), 'rate(node_cpu_seconds_total{mode="user"}[5m])');
  await page.keyboard.press("Escape");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".answer tbody tr");
  assert.match(await text(page, ".answer tbody th"), /mode="user"/);
  await page.waitForSelector(".explore canvas");
  assert.equal(query(page).get("expr"), 'rate(node_cpu_seconds_total{mode="user"}[5m])');
  await accessible(page, "explore");
  await page.done();
});

test("explore: errors under the caret", async () => {
  const page = await open(daemon, `/explore?expr=${encodeURIComponent('sum(vector("ü")) by mode)')}`, { expected: ["400"] });
  await page.waitForSelector(".wrong pre");
  const [line, caret] = (await page.locator(".wrong pre").innerText()).split("\n");
  const said = await (await fetch(`${daemon.url}/api/v1/query?query=${encodeURIComponent('sum(vector("ü")) by mode)')}`)).json();
  const column = Number(/1:(\d+): parse error/.exec(said.error)[1]);
  const bytes = new TextEncoder().encode(line).slice(0, column - 1);
  assert.equal(caret.indexOf("^"), [...new TextDecoder().decode(bytes)].length);
  assert(said.error.endsWith(await text(page, ".wrong p")));
  await accessible(page, "an error");
  await page.goto(`${daemon.url}/explore?expr=nothing_of_that_name`);
  await page.getByText("No series matches this").waitFor();
  await page.done();
});

test("hosts: all at a glance, and each", async () => {
  const page = await open(daemon, "/hosts");
  await page.waitForSelector(".hosts tbody tr");
  assert.match(await text(page, ".hosts h1"), /^\d hosts/);
  const row = page.getByRole("row", { name: /db2/ });
  assert.match(await row.innerText(), /93\.4 %/);
  await accessible(page, "hosts");
  await page.getByRole("link", { name: "db2" }).click();
  // This machine's own verdict may be a warning too, and stands there until db2's has come.
  await until("the verdict of db2", async () => /db2/.test(await text(page, ".verdict h1")));
  assert.match(await text(page, ".verdict"), /db2 has a warning[^]*Disk \/ 93.4 % used/);
  assert.equal(query(page).get("host"), "db2");
  await page.getByLabel("Host", { exact: true }).selectOption("web1");
  await until("this machine again", () => query(page).get("host") === null);
  await until("its verdict", async () => /web1/.test(await text(page, ".verdict h1")));
  await page.done();
});

test("hosts: what is left out is said, and no name breaks inside a word", async () => {
  const host = (name) => ({ name, level: "well", newest: Date.now(), text: "", load: 0.5, memory: 40, disk: 60 });
  const names = ["web1", "database-primary.frankfurt.example.org", "collector"];
  for (const width of [1280, 390]) {
    for (const [left, said] of [[0, ""], [1, "1 more host is in the file"], [57, "57 more hosts are in the file"]]) {
      const body = JSON.stringify({ hosts: names.map(host), left_out: left });
      const routes = (page) => page.route("**/api/hosts", (r) => r.fulfill({ contentType: "application/json", body }));
      const page = await open(daemon, "/hosts", { viewport: { width, height: 800 }, routes });
      await page.waitForSelector(".hosts tbody tr");
      assert.equal(await page.locator(".hosts .note").count(), left ? 1 : 0);
      if (left) assert((await text(page, ".hosts .note")).startsWith(said), await text(page, ".hosts .note"));
      // Each word of a name is in one line.
      const broken = await page.evaluate(() => [...document.querySelectorAll(".hosts tbody a")].flatMap((a) =>
        [...a.childNodes].filter((n) => n.nodeType === 3).filter((n) => {
          const range = document.createRange();
          range.selectNode(n);
          return new Set([...range.getClientRects()].map((r) => Math.round(r.top))).size > 1;
        }).map((n) => n.data)));
      assert.deepEqual(broken, [], `${width} px`);
      const wide = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
      assert(wide <= 0, `${width}: ${wide} px too wide`);
      if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/hosts-${width}-${left}.png` });
      await page.done();
    }
  }
});

test("hostile names stay text", async () => {
  const host = encodeURIComponent(EVIL);
  for (const path of ["/?open=evil", `/?host=${host}&open=evil`, `/?chart=${host}`, "/hosts", `/explore?expr=${encodeURIComponent('{job="evil"}')}`, `/?host=${host}x`]) {
    const page = await open(daemon, path, { expected: ["404"] });
    await page.waitForSelector(".verdict, .focus, .state, .hosts tbody, .answer");
    await page.waitForTimeout(300);
    if (path.startsWith("/?open")) {
      await page.locator('details[open]').scrollIntoViewIfNeeded();
      assert((await page.locator(".events").innerText()).includes("<img"), "the event is shown as it was sent");
      assert((await page.locator("details[open]").last().innerText()).includes("<img"), "so are labels");
    }
    await page.getByRole("button", { name: /^Search/ }).click();
    await page.getByRole("combobox", { name: "Find" }).fill("<img");
    await page.waitForTimeout(400);
    assert.equal(await page.locator("img").count(), 0);
    await page.done();
  }
});

test("accessible in both themes and on a phone", async () => {
  for (const [colorScheme, width, path] of [["light", 1280, "/?range=6h"], ["dark", 390, "/?range=6h"], ["dark", 1280, "/?chart=cpu"], ["light", 360, "/?chart=load"]]) {
    const page = await open(daemon, path, { colorScheme, viewport: { width, height: 800 } });
    await page.waitForSelector(".drawn canvas");
    await accessible(page, `${colorScheme} ${width} ${path}`);
    await page.keyboard.press("/");
    await page.getByRole("combobox", { name: "Find" }).fill("node_load");
    await page.waitForSelector('[role="option"]');
    await accessible(page, "search");
    await page.done();
  }
});

test("a phone scrolls one way only", async () => {
  for (const path of ["/", "/?chart=network", "/hosts", "/explore?expr=node_load1", "/?range=24h&open=evil"]) {
    const page = await open(daemon, path, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    await page.waitForSelector(".drawn canvas, .hosts tbody");
    const wide = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
    assert(wide <= 0, `${path}: ${wide} px too wide`);
    await page.done();
  }
});

test("print is light and without controls", async () => {
  const page = await open(daemon, "/", { colorScheme: "dark" });
  await drawn(page);
  await page.emulateMedia({ media: "print", colorScheme: "light" });
  assert.equal(await page.locator("header nav").isVisible(), false);
  assert.equal(await page.locator(".find").isVisible(), false);
  assert(await page.locator('[data-id="load"]').isVisible());
  await page.done();
});

test("nobody is asked while the page is hidden", async () => {
  const page = await open(daemon);
  await drawn(page);
  await until("a live page", () => page.asked.some((u) => u.includes("/api/live?")));
  const ended = page.waitForEvent("requestfailed", (r) => r.url().includes("/api/live?"));
  const hide = (hidden) => page.evaluate((h) => {
    Object.defineProperty(document, "hidden", { value: h, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await page.waitForTimeout(400);
  await hide(true);
  await ended;
  const before = page.asked.length;
  await page.waitForTimeout(2_500);
  assert.equal(page.asked.length, before);
  await hide(false);
  await until("what was missed", () => page.asked.slice(before).some((u) => u.includes("/api/chart?")));
  await until("a live page again", () => page.asked.slice(before).some((u) => u.includes("/api/live?")));
  await page.done();
});

test("loading, errors and nothing yet are designed", async () => {
  let release;
  const held = new Promise((r) => (release = r));
  const slow = await open(daemon, "/", { routes: (p) => p.route("**/api/overview*", async (r) => { await held; await r.continue(); }) });
  await slow.waitForSelector('.loading[aria-busy="true"]');
  await accessible(slow, "loading");
  release();
  await drawn(slow);
  await slow.done();
  const body = JSON.stringify({ status: "error", errorType: "internal", error: "disk I/O error" });
  const broken = await open(daemon, "/", { expected: ["500"], routes: (p) => p.route("**/api/{overview,chart}*", (r) => r.fulfill({ status: 500, body })) });
  await broken.getByText("disk I/O error").waitFor();
  await accessible(broken, "an error");
  await broken.unroute("**/api/{overview,chart}*");
  await broken.getByRole("button", { name: "Try again" }).click();
  await drawn(broken);
  await broken.done();
  const bare = await new Daemon(folder(), { system: "new1", interval: "1h", rest: "[collect]\ncollectors = []" }).start();
  const nothing = await open(bare, "/", {
    routes: (p) => p.route("**/api/overview*", async (r) => {
      const answer = await (await r.fetch()).json();
      await r.fulfill({ json: { ...answer, charts: [], verdict: { level: "well", words: "has no samples yet", newest: null, findings: [] } } });
    }),
  });
  await nothing.getByText("new1 has no samples yet").waitFor();
  await accessible(nothing, "nothing yet");
  await nothing.done();
  await bare.stop();
  bare.remove();
});

test("a daemon that goes is noticed, and found again", async () => {
  const dir = folder();
  const mine = await new Daemon(dir).start();
  await until("values", async () => (await mine.json("/api/status")).values.length > 50);
  const page = await open(mine, "/", { expected: ["ERR_", "Failed to load"] });
  await drawn(page);
  await until("a live page", () => page.asked.some((u) => u.includes("/api/live?")));
  await page.waitForTimeout(500);
  await mine.stop();
  await page.getByText("No answer since").waitFor();
  await accessible(page, "disconnected");
  const again = await new Daemon(dir, { port: mine.port }).start();
  await page.getByText("No answer since").waitFor({ state: "detached", timeout: 20_000 });
  await page.waitForSelector(".live.ok");
  await page.done();
  await again.stop();
  again.remove();
});

test("without a token: told how to get one; with one: let in; revoked: told again", async () => {
  const mine = await new Daemon(folder(), { http: "behind_proxy = true" }).start();
  const secret = mine.tell("token", "add", "me", "--scope", "read").trim();
  const stranger = await open(mine, "/", { expected: ["401"] });
  await stranger.getByText("plimsoll token add NAME --scope read", { exact: true }).waitFor();
  await accessible(stranger, "refused");
  await stranger.done();
  const auth = { authorization: `Basic ${Buffer.from(`any:${secret}`).toString("base64")}` };
  const page = await open(mine, "/", { extraHTTPHeaders: auth, expected: ["401", "EventSource"] });
  await page.waitForSelector(".verdict");
  mine.tell("token", "revoke", "me");
  await page.getByRole("button", { name: "1h: 1 hour" }).click();
  await page.getByRole("button", { name: "6h: 6 hours" }).click();
  await page.getByText("Sign-in needed").waitFor();
  await accessible(page, "revoked");
  await page.done();
  await mine.stop();
  mine.remove();
});

test("files are packed, kept and guarded", async () => {
  const ask = (path, headers = {}) => fetch(daemon.url + path, { headers });
  const index = await ask("/", { "accept-encoding": "br" });
  assert.equal(
    index.headers.get("content-security-policy"),
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  );
  const html = await index.text();
  assert(!/<script(?![^>]*src=)|<style|style=|\son\w+=/.test(html), "nothing inline");
  const tag = index.headers.get("etag");
  assert.equal((await ask("/", { "if-none-match": tag })).status, 304);
  const script = /src="(\/assets\/[^"]+\.js)"/.exec(html)[1];
  const plain = await (await ask(script, { "accept-encoding": "identity" })).text();
  for (const encoding of ["br", "gzip"]) {
    const packed = await ask(script, { "accept-encoding": encoding });
    assert.equal(packed.headers.get("content-encoding"), encoding);
    assert.match(packed.headers.get("cache-control"), /immutable/);
    assert.equal(await packed.text(), plain);
  }
  assert.equal((await ask("/assets/000000000000/page.js")).status, 404);
  for (const bad of ["/api/chart?range=x", "/api/chart?from=5&to=5", `/api/chart?${"id=a&".repeat(201)}`, "/api/chart?points=-1"]) {
    const answer = await ask(bad);
    assert.equal(answer.status, 400, bad);
    assert.equal((await answer.json()).status, "error");
  }
  assert.equal((await ask("/api/overview?host=nobody")).status, 404);
});

test("viewers are bounded, counted and let go", async () => {
  const mine = await new Daemon(folder()).start();
  await until("values", async () => (await mine.json("/api/overview")).charts.length > 5);
  const stops = [];
  const look = async () => {
    const stop = new AbortController();
    stops.push(stop);
    return fetch(`${mine.url}/api/live?id=load`, { signal: stop.signal });
  };
  const all = await Promise.all(Array.from({ length: 24 }, look));
  assert(all.every((a) => a.status === 200), all.map((a) => a.status).join());
  const reader = all[0].body.getReader();
  let heard = "";
  // A series may be new: then the page is told first to ask for its charts again.
  while (!heard.includes('data: {"c"')) heard += new TextDecoder().decode((await reader.read()).value);
  assert.match(heard, /data: \{"c":\[\[0,\d{13},\[[\d.e,-]+\]\]\]\}\n\n/);
  const more = await look();
  assert.equal(more.status, 503);
  assert.equal(more.headers.get("retry-after"), "30");
  await until("a count", async () => (await (await fetch(`${mine.url}/metrics`)).text()).includes('plimsoll_viewers_dropped_total{reason="full"} 1'));
  for (const stop of stops) stop.abort();
  await until("room", async () => {
    const stop = new AbortController();
    const { status } = await fetch(`${mine.url}/api/live?id=load`, { signal: stop.signal });
    stop.abort();
    return status === 200;
  });
  await mine.stop();
  mine.remove();
});

test("a reload and a start are events", async () => {
  daemon.tell("reload");
  await until("both", async () => {
    const { events } = await daemon.json("/api/events?range=3600000");
    const kinds = events.map((e) => e.kind);
    return kinds.includes("reload") && kinds.includes("start");
  });
});

test("gaps are gaps, beats wider than buckets are not", async () => {
  const { append, columns, fresh, joined } = await built.module("data.ts");
  const n = null, u = undefined;
  assert.deepEqual(joined([1, n, 2, n, n, n, n, 3], 2), [1, u, 2, n, n, n, n, 3]);
  const data = fresh(10_000, 1_000, [{ gap: 3_500, m: [1, 2, n, n, n, n, n, n, 3] }, { gap: 3_500, m: [1, 1, n, n, n, n, n, n, 1] }]);
  assert.deepEqual(columns(data, true, new Set())[1], [2, 3, n, n, n, n, n, n, 4], "stacked, the top first");
  assert.deepEqual(columns(data, true, new Set([1]))[1][0], 1, "what is put away adds nothing");
  append(data, 20_500, [7, n]);
  assert.deepEqual(data.lines.map((l) => l.m.slice(9)), [[n, 7], [n, n]]);
  append(data, 20_900, [9, 4]);
  assert.deepEqual(data.lines.map((l) => l.m.at(-1)), [8, 4], "the mean of what came");
  append(data, 5_000, [1, 1]);
  assert.equal(data.lines[0].m.length, 11, "what comes late changes nothing");
  const { human, span } = await built.module("units.ts");
  // Written by the test in src/draw/shared.rs.
  const { numbers, durations } = JSON.parse(readFileSync(new URL("numbers.json", import.meta.url), "utf8"));
  for (const [value, unit, said] of numbers) assert.equal(human(value, unit), said, `${value} ${unit}`);
  for (const [ms, said] of durations) assert.equal(span(ms), said);
  assert.equal(human(null), "–");
  assert.equal(human(-5, "bytes", true), "5 B");
  const { place } = await built.module("complete.ts");
  for (const [text, where, typed] of [["rat", "name", "rat"], ["a{b", "label", "b"], ['a{b="c', "value", "c"], ["a[5", "window", "5"], ["sum by (x", "label", "x"], ['a{b="}"} + c', "name", "c"]]) {
    assert.deepEqual([place(text).in, place(text).typed], [where, typed], text);
  }
});

test("it looks as it did, and a broken layout does not", async () => looks(chrome, daemon.url));

test("what the page says it will ask is asked once", async () => {
  for (const [path, viewport] of [["/", { width: 1280, height: 900 }], ["/?range=1y", { width: 390, height: 800 }], ["/?range=all&chart=cpu", { width: 1280, height: 900 }]]) {
    const page = await open(daemon, path, { viewport });
    await page.waitForSelector(".drawn canvas");
    for (const what of ["/api/overview", "/api/events", ...(path.includes("chart") ? [] : ["id=first", "id=rest"])]) {
      assert.equal(page.asked.filter((u) => u.includes(what)).length, 1, `${path}: ${what} in ${page.asked}`);
    }
    const link = (await fetch(daemon.url + path)).headers.get("link");
    for (const what of link.match(/<[^>]+>/g).filter((l) => !l.includes("points=") || l.includes(`points=${viewport.width < 700 ? 180 : 300}`))) {
      assert(page.asked.includes(daemon.url + what.slice(1, -1)), `${path}: ${what} was not asked`);
    }
    await page.done();
  }
});

test("two fingers zoom and move", async () => {
  const page = await open(daemon, "/?range=6h", { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await drawn(page);
  const shown = () => [Date.parse(query(page).get("from")), Date.parse(query(page).get("to"))];
  const place = () => page.locator('[data-id="load"] .u-over').boundingBox();
  let box = await place();
  const cdp = await page.context().newCDPSession(page);
  const touch = (type, ...places) =>
    cdp.send("Input.dispatchTouchEvent", { type, touchPoints: places.map((x, id) => ({ x: box.x + x * box.width, y: box.y + 40, id })) });
  await touch("touchStart", 0.4);
  await touch("touchStart", 0.4, 0.6);
  for (const by of [0.05, 0.1, 0.15, 0.2]) await touch("touchMove", 0.4 - by, 0.6 + by);
  await touch("touchEnd");
  await until("a nearer view", () => query(page).get("from"));
  const near = shown();
  const hours = (near[1] - near[0]) / 3.6e6;
  assert(Math.abs(hours - 2) < 0.2, `apart three times as far: a third of six hours, not ${hours}`);
  await page.waitForSelector('[data-id="load"].drawn canvas');
  // Both to the right: earlier, and as long.
  const earlier = () => shown()[0] < near[0] - 1_000;
  await until("an earlier view", async () => {
    // Charts that came meanwhile may have moved it, and one that is drawn anew lets go of fingers.
    box = await place();
    await touch("touchStart", 0.3);
    await touch("touchStart", 0.3, 0.5);
    for (const by of [0.1, 0.2, 0.25]) await touch("touchMove", 0.3 + by, 0.5 + by);
    await touch("touchEnd");
    await page.waitForTimeout(500);
    return earlier();
  });
  const [from, to] = shown();
  assert(Math.abs((near[0] - from) / 3.6e6 - hours / 4) < 0.1, "a quarter earlier");
  assert(Math.abs(to - from - (near[1] - near[0])) < 60_000, "as long as before");
  // One finger is the crosshair.
  await touch("touchStart", 0.3);
  await touch("touchMove", 0.35);
  await touch("touchMove", 0.5);
  await until("a time", () => text(page, '[data-id="load"] .foot'));
  assert.deepEqual(shown(), [from, to]);
  await touch("touchEnd");
  await page.done();
});

test("live values take nothing from who holds a chart", async () => {
  const page = await open(daemon, "/?range=5m", { hasTouch: true });
  // What is written on each chart, and how often it was drawn.
  await page.evaluate(() => {
    const { clearRect, fillText } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.clearRect = function (...words) {
      this.canvas.drawn = (this.canvas.drawn ?? 0) + 1;
      this.canvas.words = [];
      return clearRect.apply(this, words);
    };
    CanvasRenderingContext2D.prototype.fillText = function (word, ...where) {
      this.canvas.words?.push(word);
      return fillText.call(this, word, ...where);
    };
  });
  await drawn(page);
  const look = () => page.locator('[data-id="load"] canvas').evaluate((c) => ({ drawn: c.drawn ?? 0, words: (c.words ?? []).filter((w) => /:/.test(w)).join() }));
  const redrawn = async (times = 2) => {
    const { drawn } = await look();
    await until(`${times} times drawn`, async () => (await look()).drawn >= drawn + times);
  };
  await redrawn();
  const place = () => page.locator('[data-id="load"] .u-over').boundingBox();
  let box = await place();
  const x = (share) => box.x + share * box.width;
  // Where the mouse went down, is the moment that lay there then.
  await page.mouse.move(x(0.3), box.y + 40);
  await page.mouse.down();
  const down = Date.now();
  await page.mouse.move(x(0.7), box.y + 40, { steps: 6 });
  await redrawn(7);
  assert(Date.now() - down > 5_000);
  const select = page.locator('[data-id="load"] .u-select');
  assert(Math.abs((await select.boundingBox()).width - 0.4 * box.width) < 3, "what is chosen stays");
  const before = await page.evaluate(() => history.length);
  await page.mouse.up();
  const from = Date.parse(await until("a zoom", () => query(page).get("from")));
  const ago = (down - from) / 1000;
  assert(Math.abs(ago - 210) < 3, `seven tenths of five minutes before, not ${ago} s`);
  assert.equal(await page.evaluate(() => history.length), before + 1, "one step back");
  await page.goBack();
  await until("live again", () => query(page).get("from") === null);
  await redrawn();
  // Two fingers that rest: what they have made of the time stays.
  box = await place();
  const { words } = await look();
  const cdp = await page.context().newCDPSession(page);
  const touch = (type, ...places) =>
    cdp.send("Input.dispatchTouchEvent", { type, touchPoints: places.map((share, id) => ({ x: x(share), y: box.y + 40, id })) });
  await touch("touchStart", 0.4);
  await touch("touchStart", 0.4, 0.6);
  for (const by of [0.05, 0.1, 0.15, 0.2]) await touch("touchMove", 0.4 - by, 0.6 + by);
  await until("another time", async () => (await look()).words !== words);
  // A busy machine draws the last move later than the first.
  await redrawn();
  const held = (await look()).words;
  await redrawn();
  assert.equal((await look()).words, held);
  await touch("touchEnd");
  await until("a nearer view", () => query(page).get("from"));
  const seconds = (Date.parse(query(page).get("to")) - Date.parse(query(page).get("from"))) / 1000;
  assert(Math.abs(seconds - 100) < 5, `a third of five minutes, not ${seconds} s`);
  await page.done();
});

test("explore marks what happened", async () => {
  const page = await open(daemon, `/explore?range=5m&expr=${encodeURIComponent("node_load1")}`);
  await page.waitForSelector(".explore canvas");
  const { events } = await daemon.json("/api/events?range=300000");
  const at = events.find((e) => e.title !== EVIL) ?? events[0];
  const ends = new URL(page.asked.find((u) => u.includes("/api/events"))).searchParams;
  const [from, to] = [Number(ends.get("from")), Number(ends.get("to"))];
  const box = await page.locator(".explore .u-over").boundingBox();
  await page.mouse.move(box.x + (box.width * (at.t - from)) / (to - from), box.y + 60);
  await until("its title", async () => (await text(page, ".answer caption")).includes(" · "));
  // The mark's head, in the colour of marks and of nothing else, at the top of the line.
  const marked = await page.evaluate((share) => {
    const canvas = document.querySelector(".explore canvas"), over = document.querySelector(".explore .u-over");
    const [c, o] = [canvas.getBoundingClientRect(), over.getBoundingClientRect()];
    const x = Math.round(o.left - c.left + share * o.width), y = Math.round(o.top - c.top);
    const { data } = canvas.getContext("2d").getImageData(x - 3, y, 7, 3);
    let drawn = 0;
    for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200 && Math.abs(data[i] - 0x7d) < 12 && Math.abs(data[i + 2] - 0x91) < 12) drawn++;
    return drawn;
  }, (at.t - from) / (to - from));
  assert(marked >= 4, `${marked} pixels of a mark`);
  await page.done();
});

test("the committed build is what the sources give", async () => {
  const committed = process.env.DIST ?? new URL("../dist", import.meta.url).pathname;
  const fresh = await built.all();
  let wire = 0;
  for (const [name, bytes] of Object.entries(fresh)) {
    if (name === "version.txt") {
      assert.equal(readFileSync(`${committed}/${name}`, "utf8"), bytes.toString(), "run `npm run build` in dashboard/ and commit dist/");
      continue;
    }
    const brotli = readFileSync(`${committed}/${name}.br`);
    wire += brotli.length;
    assert(brotliDecompressSync(brotli).equals(bytes), `${name}: run \`npm run build\` in dashboard/ and commit dist/`);
    assert(gunzipSync(readFileSync(`${committed}/${name}.gz`)).equals(bytes), `${name}.gz`);
  }
  assert(wire <= 60_000, `${wire} bytes over the wire`);
});

const began = Date.now();
chrome = await browser();
daemon = await new Daemon(folder(), { system: "web1" }).start();
await until("values", async () => (await daemon.json("/api/status")).values.length > 50);
const rows = (await history(daemon, 8, 60)).filter(([key]) => !key.includes("vmstat"));
await daemon.stop();
daemon.import(rows);
await daemon.start();
const host2 = [["node_load1", 0.4], ["node_load5", 0.5], ["node_load15", 0.4], ["disk_/", 93.4], ["node_memory_MemTotal_bytes", 8e9], ["node_memory_MemAvailable_bytes", 5e9], ["node_memory_MemFree_bytes", 2e9]];
const values = (ago) => host2.map(([key, value]) => ({ key, value, job: "node", instance: "db2", timestamp: new Date(Date.now() - ago).toISOString() }));
for (let n = 30; n > 0; n--) await daemon.push(values(n * 10_000));
const beat = setInterval(() => void daemon.push(values(0)).catch(() => {}), 5_000);
await daemon.push(["web1", EVIL].flatMap((instance) => [
  { key: "evil_metric", labels: { path: EVIL, "other": "a" }, value: 1, instance, job: "evil" },
  { key: "evil_metric", labels: { path: "b", "other": EVIL }, value: 2, instance, job: "evil" },
  { key: EVIL, value: 3, instance, job: "evil" },
].filter((v) => v.key !== EVIL || instance === "web1")).filter((v) => v.key !== EVIL));
const place = /udp (127\.0\.0\.1:\d+)/.exec(readFileSync(daemon.log, "utf8"))?.[1];
const socket = createSocket("udp4");
const event = `_e{${EVIL.length},${EVIL.length}}:${EVIL}|${EVIL}`;
if (place) await new Promise((done) => socket.send([event, `${EVIL}:1|g`].join("\n"), Number(place.split(":")[1]), "127.0.0.1", done));
socket.close();
await until("hosts", async () => (await daemon.json("/api/overview")).hosts.length >= 3);

const AT_ONCE = 3;
const failures = [];
const queue = [...tests];
await Promise.all(Array.from({ length: AT_ONCE }, async () => {
  for (let next = queue.shift(); next; next = queue.shift()) {
    const from = Date.now();
    try {
      await next.run();
      console.log(`ok    ${next.name} (${Date.now() - from} ms)`);
    } catch (e) {
      failures.push(next.name);
      console.log(`WRONG ${next.name}\n${e.stack ?? e}\n`);
    }
  }
}));
clearInterval(beat);
await chrome.close();
await daemon.stop();
daemon.remove();
console.log(`${tests.length - failures.length} of ${tests.length} hold, ${Date.now() - began} ms`);
process.exit(failures.length ? 1 : 0);
