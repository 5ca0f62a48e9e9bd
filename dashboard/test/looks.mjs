// What the page looks like: a page fed with made-up numbers at a made-up time, at desktop and phone
// width in both themes, against the pictures in references/. They are kept at a quarter of their
// size and compared by the mean colour of squares: other fonts pass, another layout does not.
//
// Wanted to look different? LOOKS_TO=test/references npm test, look at them, and commit them.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const NOW = Date.UTC(2026, 10, 22, 14, 0, 0);
const HOUR = 3_600_000;
const REFERENCES = new URL("references/", import.meta.url).pathname;

/** The side of a reference's pixel, and of a square that is compared, px of the page. */
const PIXEL = 4, SQUARE = 16;
/** Squares differ from here on, of 255 in one colour; a square may have moved to its neighbour. */
const OTHER = 22;
/** This share of all squares may differ. */
const ALLOWED = 0.03;

const VIEWS = {
  "desktop-light": { viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  "desktop-dark": { viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
  "phone-light": { viewport: { width: 390, height: 844 }, colorScheme: "light" },
  "phone-dark": { viewport: { width: 390, height: 844 }, colorScheme: "dark" },
};

const wave = (i, n, period) => 0.5 + 0.5 * Math.sin((i / period + n) * 2 * Math.PI);
const GIB = 2 ** 30;
const CHARTS = [
  { id: "load", title: "Load", lines: ["1 min", "5 min", "15 min"], marks: [[2, "2 CPUs"]], of: (i, n) => 0.3 + wave(i, 0, 90) * (1 - 0.25 * n) },
  { id: "memory", title: "Memory", unit: "bytes", stack: 1, lines: ["used", "cache", "free"], of: (i, n) => GIB * [2.5 + wave(i, 0, 200), 3, 2.5 - wave(i, 0, 200)][n] },
  { id: "disk:/", title: "Disk /", unit: "percent", top: 100, marks: [[90, "90 %"]], lines: ["used"], of: (i) => 70 + i / 15 },
  { id: "cpu", title: "CPU", unit: "percent", stack: 1, top: 100, lines: ["user", "system", "iowait", "steal"], of: (i, n) => [30, 12, 6, 2][n] * (0.4 + wave(i, n / 8, 70)) },
  { id: "network", title: "Network", unit: "bytes/s", lines: ["eth0 in", "eth0 out"], of: (i, n) => (n ? -9e5 : 4e5) * (0.3 + wave(i, 0, 110)) },
  { id: "io", title: "Disk I/O", unit: "bytes/s", lines: ["vda read", "vda written"], of: (i, n) => (n ? -2e6 : 5e6) * (0.1 + wave(i, n / 2, 130)) },
  { id: "busy", title: "Disks busy", unit: "percent", top: 100, lines: ["vda"], of: (i) => 25 * wave(i, 0, 60) },
  // With a gap, which is one.
  { id: "pressure", title: "Pressure: time spent waiting for", unit: "percent", lines: ["CPU", "disks", "memory"], of: (i, n) => (i > 120 && i < 170 ? null : 4 + 3 * n * wave(i, n / 3, 80)) },
  { id: "plimsoll:a", title: "plimsoll_beats_total", group: "plimsoll itself", lines: ["beats"], of: () => 1 },
];
const judged = {
  now: NOW,
  verdict: { level: "warning", words: "has a warning", newest: NOW, findings: [{ level: "warning", since: NOW - 2 * HOUR, until: null, subject: "Disk /", text: "90 % used", chart: "disk:/" }] },
  forecasts: { "disk:/": { at: NOW + 20 * 86_400_000, day: 1.2 * GIB } },
};
const overview = { version: "1.2.3", host: "web1", hosts: ["web1", "db2"], charts: CHARTS.map(({ of, ...spec }) => spec), ...judged };
const events = { events: [{ t: NOW - HOUR / 3, kind: "event", level: "info", title: "Deploy 2.3.1", text: "by jo" }] };

function chart(query) {
  const width = query.get("points") === "180" ? 20_000 : 12_000;
  const count = HOUR / width + 1;
  const wanted = query.getAll("id");
  const view = CHARTS.filter((c) => !c.group);
  const shown = { first: view.slice(0, 3), rest: view.slice(3) }[wanted[0]] ?? CHARTS.filter((c) => wanted.includes(c.id));
  const line = (c, n) => ({ gap: width * 3, m: Array.from({ length: count }, (_, i) => c.of((i * 300) / count, n)) });
  return { from: NOW - HOUR, to: NOW, start: NOW - HOUR, width, count, charts: shown.map((c) => ({ id: c.id, lines: c.lines.map((_, n) => line(c, n)) })) };
}

/** A view of the page as it always is, of which pictures can be taken with somebody else's style on top. */
async function open(chrome, url, view) {
  const context = await chrome.newContext({ ...VIEWS[view], deviceScaleFactor: 1, locale: "en-GB", timezoneId: "UTC", bypassCSP: true });
  const page = await context.newPage();
  await page.clock.setFixedTime(NOW);
  await page.route("**/api/**", (route) => {
    const asked = new URL(route.request().url());
    if (asked.pathname === "/api/live") return route.fulfill({ contentType: "text/event-stream", body: "retry: 3600000\n\n" });
    const json = { "/api/overview": overview, "/api/verdict": judged, "/api/events": events, "/api/chart": chart(asked.searchParams) }[asked.pathname];
    return json ? route.fulfill({ json }) : route.abort();
  });
  await page.goto(url);
  await page.waitForSelector('[data-id="network"].drawn canvas');
  // Laid out, drawn anew where a chart got another size, and painted.
  const settled = () => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 150)))));
  await settled();
  return {
    async picture(style) {
      const tag = style && (await page.addStyleTag({ content: style }));
      if (tag) await settled();
      const picture = await page.screenshot({ animations: "disabled" });
      if (tag) await tag.evaluate((on) => on.remove()).then(settled);
      return picture.toString("base64");
    },
    close: () => context.close(),
  };
}

/** In a page: the picture in squares of this side, as means of red, green and blue. */
function squares([base64, side]) {
  return new Promise((done, failed) => {
    const image = new Image();
    image.onerror = () => failed(new Error("no picture"));
    image.onload = () => {
      const canvas = document.createElement("canvas");
      const [width, height] = [image.width, image.height].map((all) => Math.floor(all / side));
      [canvas.width, canvas.height] = [image.width, image.height];
      const pen = canvas.getContext("2d", { willReadFrequently: true });
      pen.drawImage(image, 0, 0);
      const { data } = pen.getImageData(0, 0, image.width, image.height);
      const means = new Array(width * height * 3).fill(0);
      for (let y = 0; y < height * side; y++) {
        for (let x = 0; x < width * side; x++) {
          const to = 3 * (Math.floor(y / side) * width + Math.floor(x / side));
          for (let c = 0; c < 3; c++) means[to + c] += data[4 * (y * image.width + x) + c] / side ** 2;
        }
      }
      [canvas.width, canvas.height] = [width, height];
      const small = pen.createImageData(width, height);
      for (let i = 0; i < width * height; i++) small.data.set([...means.slice(3 * i, 3 * i + 3).map(Math.round), 255], 4 * i);
      pen.putImageData(small, 0, 0);
      done({ width, height, means, png: canvas.toDataURL("image/png").split(",")[1] });
    };
    image.src = `data:image/png;base64,${base64}`;
  });
}

/** The share of squares that are not where they were, and a map of them. */
function compared(a, b) {
  if (a.width !== b.width || a.height !== b.height) return { share: 1, map: `${a.width}×${a.height}, not ${b.width}×${b.height}` };
  const near = (x, y) => {
    for (let dy = -1; dy <= 1; dy++) {
      for (let dx = -1; dx <= 1; dx++) {
        const [u, v] = [x + dx, y + dy];
        if (u < 0 || v < 0 || u >= b.width || v >= b.height) continue;
        const [from, to] = [3 * (y * a.width + x), 3 * (v * b.width + u)];
        if ([0, 1, 2].every((c) => Math.abs(a.means[from + c] - b.means[to + c]) <= OTHER)) return true;
      }
    }
    return false;
  };
  let map = "", other = 0;
  for (let y = 0; y < a.height; y++) {
    for (let x = 0; x < a.width; x++) {
      const same = near(x, y);
      other += same ? 0 : 1;
      map += same ? "·" : "#";
    }
    map += "\n";
  }
  return { share: other / (a.width * a.height), map };
}

/** What a mishap in the style sheet does. */
const BROKEN = {
  "no room around": "main, header { padding: 0 }",
  "a head that is no row": "header, .strip { display: block } header > * { display: block }",
  "legends as lists": ".legend { display: block }",
  "colours of nothing": ":root { --page: #777; --ink: #888 }",
  "one chart a row": ".grid { display: block }",
  "no height for charts": ".plot { height: 12px; min-height: 0; overflow: hidden }",
  "empty charts": "canvas { visibility: hidden }",
};
const FONTS = {
  "serifs": "* { font-family: 'DejaVu Serif', serif !important }",
  "narrow": "* { font-family: 'Liberation Sans Narrow', 'DejaVu Sans Condensed', Arial, sans-serif !important }",
};

/** The pictures are as they are kept; with other fonts they still are, with a broken layout they are not. */
export async function looks(chrome, url) {
  const context = await chrome.newContext();
  const table = await context.newPage();
  const small = (base64, side) => table.evaluate(squares, [base64, side]);
  const to = process.env.LOOKS_TO;
  for (const view of Object.keys(VIEWS)) {
    const page = await open(chrome, url, view);
    const taken = async (style) => small(await page.picture(style), PIXEL);
    const plain = await taken();
    if (to) {
      mkdirSync(to, { recursive: true });
      writeFileSync(`${to}/${view}.png`, Buffer.from(plain.png, "base64"));
    }
    const kept = await small(readFileSync(`${to ?? REFERENCES}/${view}.png`).toString("base64"), SQUARE / PIXEL);
    const apart = async (picture) => compared(kept, await small(picture.png, SQUARE / PIXEL));
    const { share, map } = await apart(plain);
    const percent = (share) => `${(share * 100).toFixed(1)} % of the picture differ`;
    assert(share <= ALLOWED, `${view}: ${percent(share)} from test/references/${view}.png:\n${map}`);
    const broken = { "desktop-light": Object.entries(BROKEN), "phone-dark": Object.entries(BROKEN).slice(0, 3) }[view] ?? [];
    for (const [what, style] of broken) {
      const { share } = await apart(await taken(style));
      if (process.env.LOOKS_SAY) console.log(view, what, percent(share));
      assert(share > ALLOWED, `${view}, ${what}: only ${percent(share)}`);
    }
    for (const [what, style] of view === "desktop-light" ? Object.entries(FONTS) : []) {
      const { share, map } = await apart(await taken(style));
      if (process.env.LOOKS_SAY) console.log(view, what, percent(share));
      assert(share <= ALLOWED, `${view} with other fonts (${what}): ${percent(share)}\n${map}`);
    }
    await page.close();
  }
  await context.close();
}
