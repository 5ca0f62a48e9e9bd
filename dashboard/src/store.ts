// The state of the page: charts, their numbers, events. Loads the visible charts in one request and
// keeps them fresh while they are visible.
import { batch, effect, signal, untracked } from "@preact/signals";
import { ask, type ChartAnswer, type Happened, type Judged, lost, found, type Overview, Refused } from "./api";
import { append, type Data, forget, fresh } from "./data";
import { edges, follows, stretch, view } from "./view";

export const overview = signal<Overview | null>(null);
export const judged = signal<Judged | null>(null);
export const events = signal<Happened[]>([]);
/** The reason why nothing can be shown. */
export const trouble = signal("");
/** Begin and end of the range of the charts, seconds. */
export const shown = signal<[number, number]>([0, 0]);

/** A chart on the page: its numbers, and the functions that draw them. */
interface Slot {
  data: Data | null;
  of: string;
  seen: boolean;
  touched: number;
  draw: Set<() => void>;
}
const slots = new Map<string, Slot>();

function slot(id: string): Slot {
  let one = slots.get(id);
  if (!one) slots.set(id, (one = { data: null, of: "", seen: false, touched: 0, draw: new Set() }));
  return one;
}

export function numbers(id: string): Data | null {
  const one = slots.get(id);
  return one?.data ?? null;
}

export function onNumbers(id: string, draw: () => void): () => void {
  const one = slot(id);
  one.draw.add(draw);
  return () => {
    one.draw.delete(draw);
    if (!one.draw.size) one.seen = false;
  };
}

/** Records that a chart became visible or hidden. */
export function sight(id: string, seen: boolean) {
  const one = slot(id);
  if (one.seen === seen) return;
  one.seen = seen;
  if (seen) wanted();
}

const tellAll = new Set<Slot>();
let frame = 0;
function redraw(one: Slot) {
  tellAll.add(one);
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    const all = [...tellAll];
    tellAll.clear();
    for (const s of all) for (const draw of s.draw) draw();
  });
}

function key(): string {
  return `${view.value.host}|${stretch.value}`;
}

function points(): number {
  return innerWidth < 700 ? 180 : 300;
}

function host(): string {
  return view.value.host ? `&host=${encodeURIComponent(view.value.host)}` : "";
}

let asking: AbortController | null = null;
let first: Promise<unknown> | null = null;
/** Charts of the first row: as the daemon counts them. They are asked for apart, for both halves are
 * then read at once, and the first are there sooner. */
const ROW = 3;
/** Settles when the first row can be drawn. */
export let firstRow: Promise<unknown> = Promise.resolve();

function take(answer: ChartAnswer, of: string) {
  if (of !== key()) return;
  for (const chart of answer.charts) {
    const one = slot(chart.id);
    one.data = fresh(answer.start, answer.width, chart.lines);
    one.of = of;
    one.touched = performance.now();
    redraw(one);
  }
  shown.value = [answer.from / 1000, answer.to / 1000];
}

let soon = 0;
/** Whether a visible chart may lack numbers or show those of another range. */
function wanted() {
  soon ||= window.setTimeout(() => {
    soon = 0;
    void load();
  }, 20);
}

/** Loads the visible charts that have no numbers of this range, or got none for this many ms. */
async function load(older = Infinity) {
  // The request for the first charts may be under way already.
  if (first) await first;
  first = null;
  const of = key();
  const since = performance.now() - older;
  const ids = [...slots].filter(([, s]) => s.seen && (s.of !== of || s.touched <= since)).map(([id]) => id);
  if (view.value.page !== "home") return;
  // A chart that became visible may have its numbers and only need updates.
  if (!ids.length) return listen();
  asking?.abort();
  const mine = (asking = new AbortController());
  const part = async (ids: string[]) => {
    if (!ids.length) return;
    const query = ids.map((id) => `id=${encodeURIComponent(id)}`).join("&");
    take(await ask<ChartAnswer>(`/api/chart?${stretch.value}&points=${points()}${host()}&${query}`, mine.signal), of);
  };
  try {
    // The first row is loaded apart, because the reader waits for it. A refresh is one request.
    const row = older === Infinity ? ROW : 0;
    await Promise.all([part(ids.slice(0, row)), part(ids.slice(row, 200))]);
    trouble.value = "";
    listen();
  } catch (e) {
    if (!mine.signal.aborted && e instanceof Refused) trouble.value = e.message;
  }
}

/** The page is drawn after this time, even without numbers, ms. */
const PATIENCE = 150;

/** Asks for the first view before it is known what is in it (in the words of the daemon's `Link`
 * header, so that the answers may be there already). Settled when it can be drawn, or when that
 * takes a while. */
export function start(): Promise<unknown> {
  let wanted: Promise<unknown>[] | null = [];
  if (view.value.page === "home" && !view.value.chart) {
    const of = key();
    const part = (id: string) =>
      ask<ChartAnswer>(`/api/chart?${stretch.value}&points=${points()}${host()}&id=${id}`).then((answer) => {
        take(answer, of);
        listen(FIRST_LISTEN);
      }, () => {});
    const row = part("first");
    first = Promise.all([row, part("rest")]);
    wanted.push((firstRow = row));
  }
  let before = "";
  effect(() => {
    const of = view.value.host;
    untracked(() => {
      const told = refresh(of);
      wanted?.push(told);
    });
  });
  effect(() => {
    const now = `${view.value.page}|${key()}`;
    if (before && before !== now) {
      untracked(() => {
        close();
        void load();
        void loadEvents();
      });
    } else {
      untracked(() => {
        const told = loadEvents();
        wanted?.push(told);
      });
    }
    before = now;
  });
  const all = Promise.all(wanted);
  wanted = null;
  return Promise.race([all, new Promise((done) => setTimeout(done, PATIENCE))]);
}

async function refresh(of: string) {
  try {
    const got = await ask<Overview>(`/api/overview${of ? `?host=${encodeURIComponent(of)}` : ""}`);
    if (of !== view.value.host) return;
    batch(() => {
      if (overview.value && overview.value.host !== got.host) slots.clear();
      overview.value = got;
      judged.value = got;
      trouble.value = "";
    });
    document.title = `${got.verdict.level === "well" ? "" : "● "}${got.host} · plimsoll`;
  } catch (e) {
    if (e instanceof Refused) trouble.value = e.message;
    else if (!overview.value) trouble.value = "no answer";
  }
}

async function loadEvents() {
  if (view.value.page !== "home") return;
  try {
    const got = (await ask<{ events: Happened[] }>(`/api/events?${stretch.value}${host()}`)).events;
    // An unchanged answer would draw every chart again.
    if (JSON.stringify(got) !== JSON.stringify(events.peek())) events.value = got;
  } catch {
    // Events are an extra. The charts report the error.
  }
}

let source: EventSource | null = null;
let listened = "";
let pending = 0;

function close() {
  source?.close();
  source = null;
  listened = "";
}

/** Whether new values are shown as they come. */
function lively(): boolean {
  return follows.value && view.value.page === "home" && !document.hidden;
}

/** Live values start this long after the first view, which would wait for them otherwise, ms. */
const FIRST_LISTEN = 400;

/** Has the daemon send values of the visible charts. A short scroll does not start it again. */
function listen(soon = 60) {
  clearTimeout(pending);
  pending = window.setTimeout(() => {
    if (!lively()) return close();
    const ids = [...slots].filter(([, s]) => s.seen && s.of === key()).map(([id]) => id).slice(0, 200);
    const known = new Set(listened.split("\n"));
    if (!ids.length || (source && source.readyState !== 2 && ids.every((id) => known.has(id)))) return;
    source?.close();
    listened = ids.join("\n");
    const query = ids.map((id) => `id=${encodeURIComponent(id)}`).join("&");
    const mine = (source = new EventSource(`/api/live?${query}${host()}`));
    mine.onopen = () => {
      if (lapsed) void load(0);
      lapsed = false;
      found();
    };
    mine.onerror = () => {
      lapsed = true;
      void ask("/api/verdict" + (host() && `?${host().slice(1)}`)).then((got) => (judged.value = got as Judged), () => {});
      if (mine.readyState === 2) {
        source = null;
        setTimeout(() => listen(), 5_000);
      }
    };
    mine.addEventListener("series", () => void refresh(view.value.host));
    mine.onmessage = (message) => arrived(ids, JSON.parse(message.data).c);
  }, soon);
}

let lapsed = false;

function arrived(ids: string[], charts: [number, number, (number | null)[]][]) {
  let newest = 0;
  const range = view.value.range;
  for (const [place, ts, values] of charts) {
    const one = slots.get(ids[place]);
    if (!one?.data || one.of !== key()) continue;
    append(one.data, ts, values);
    one.touched = performance.now();
    newest = Math.max(newest, ts);
    if (range) forget(one.data, ts - range);
    redraw(one);
  }
  if (newest && follows.value) {
    const [from, to] = shown.value;
    const end = newest / 1000;
    if (end > to) shown.value = [range ? end - range / 1000 : from, end];
  }
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) close();
  else {
    void load(0);
    void refresh(view.value.host);
  }
});

/** What nobody sends by itself: other hosts' values, wide buckets, the verdict. One after the other:
 * nobody waits for it, and the daemon needs less memory for one question than for four. */
async function freshen() {
  const of = view.value.host;
  if (document.hidden || view.value.page !== "home") return;
  await ask<Judged>(`/api/verdict${of ? `?host=${encodeURIComponent(of)}` : ""}`).then(
    (got) => of === view.value.host && (judged.value = got),
    () => {},
  );
  if (!follows.value) return;
  const now = performance.now();
  if ([...slots.values()].some((s) => s.seen && now - s.touched > STALE)) await load(STALE);
  else if (!source) listen();
  await loadEvents();
}
/** A chart without new numbers for this long is loaded, ms. */
const STALE = 14_000;
setInterval(() => void freshen(), 15_000);

addEventListener("offline", () => lost("this device is offline"));

/** Loads everything again at once. */
export function again() {
  void refresh(view.value.host);
  void load(0);
}

export { edges };
