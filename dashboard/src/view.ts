// The current view. All of it is in the address, so that a link can be sent.
import { computed, signal } from "@preact/signals";
import { RANGES } from "./shared";

export interface View {
  page: "home" | "explore" | "hosts" | "alerts";
  host: string;
  /** Length of the range up to now, ms; 0 is everything. Used if `from` is 0. */
  range: number;
  from: number;
  to: number;
  /** The chart that is shown alone. */
  chart: string;
  /** The open groups. */
  open: string[];
  expr: string;
}

const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const USUAL = HOUR;

function length(text: string): number {
  const named = RANGES.find(([name]) => name === text);
  if (named) return named[1];
  const parts = /^(\d+)(s|m|h|d)$/.exec(text);
  if (!parts) return USUAL;
  const unit = { s: 1000, m: MINUTE, h: HOUR, d: DAY }[parts[2] as "s" | "m" | "h" | "d"];
  return Math.max(10_000, Number(parts[1]) * unit);
}

function named(range: number): string {
  return RANGES.find(([, ms]) => ms === range)?.[0] ?? `${Math.round(range / 1000)}s`;
}

function parse(): View {
  const q = new URLSearchParams(location.search);
  const time = (name: string) => {
    const t = Date.parse(q.get(name) ?? "");
    return Number.isFinite(t) ? t : 0;
  };
  const [from, to] = [time("from"), time("to")];
  const fixed = from > 0 && to > from;
  const page = (["explore", "hosts", "alerts"] as const).find((p) => location.pathname === `/${p}`) ?? "home";
  return {
    page,
    host: q.get("host") ?? "",
    range: length(q.get("range") ?? "1h"),
    from: fixed ? from : 0,
    to: fixed ? to : 0,
    chart: q.get("chart") ?? "",
    open: q.getAll("open"),
    expr: q.get("expr") ?? "",
  };
}

export function address(v: View): string {
  const q = new URLSearchParams();
  if (v.host) q.set("host", v.host);
  if (v.from) {
    q.set("from", new Date(v.from).toISOString());
    q.set("to", new Date(v.to).toISOString());
  } else if (v.range !== USUAL) q.set("range", named(v.range));
  if (v.chart) q.set("chart", v.chart);
  for (const group of v.open) q.append("open", group);
  if (v.expr && v.page === "explore") q.set("expr", v.expr);
  const text = q.toString();
  return (v.page === "home" ? "/" : `/${v.page}`) + (text ? `?${text}` : "");
}

export const view = signal<View>(parse());
addEventListener("popstate", () => (view.value = parse()));

/** Changes the view; with `quietly` without a step for the back button. */
export function go(change: Partial<View>, quietly = false) {
  const next = { ...view.value, ...change };
  const to = address(next);
  if (to !== location.pathname + location.search) {
    if (quietly) history.replaceState(null, "", to);
    else history.pushState(null, "", to);
  }
  view.value = next;
}

/** Whether the view follows the newest values. */
export const follows = computed(() => !view.value.from);
/** Changes when the numbers of the charts have to be loaded again. */
export const stretch = computed(() => {
  const v = view.value;
  return v.from ? `from=${v.from}&to=${v.to}` : v.range ? `range=${v.range}` : "range=all";
});

/** Begin and end of the range, ms. */
export function edges(): [number, number] {
  const v = view.value;
  if (v.from) return [v.from, v.to];
  const now = Date.now();
  return [now - (v.range || 365 * DAY), now];
}

const SHORTEST = 10_000;

/** Zooms in or out around a place between 0 (left edge) and 1 (right edge). */
export function zoom(factor: number, around = 0.5, shown: [number, number] = edges()) {
  const [from, to] = shown;
  const now = Date.now();
  const width = Math.max(SHORTEST, (to - from) * factor);
  if (!view.value.from && around >= 0.98) {
    const range = Math.min(width, 3_650 * DAY);
    return go({ range: Math.round(range / 1000) * 1000 });
  }
  const at = from + (to - from) * around;
  const end = Math.min(Math.round(at + width * (1 - around)), now);
  go({ from: Math.round(end - width), to: end });
}

/** The range in which two moments lie under two fingers, each at a place between 0 (left edge) and 1. */
export function pinched([a, b]: [number, number], [x, y]: [number, number]): [number, number] {
  const width = Math.max(SHORTEST, (b - a) / Math.max(0.02, y - x));
  const from = (a + b) / 2 - (width * (x + y)) / 2;
  return [from, from + width];
}

/** Shows this range. A range that ends now follows the newest values. */
export function stretchTo([from, to]: [number, number]) {
  const now = Date.now();
  if (to < now) return go({ from: Math.round(from), to: Math.round(to) });
  go({ from: 0, to: 0, range: Math.max(SHORTEST, Math.round((now - from) / 1000) * 1000) });
}

/** Moves to the side by a share of the range. At its end it follows the newest values again. */
export function pan(share: number) {
  const [from, to] = edges();
  const by = (to - from) * share;
  if (to + by >= Date.now()) {
    if (view.value.from) go({ from: 0, to: 0, range: Math.round((to - from) / 1000) * 1000 });
    return;
  }
  go({ from: Math.round(from + by), to: Math.round(to + by) });
}

export function rangeName(): string {
  const v = view.value;
  if (v.from) return "";
  return RANGES.find(([, ms]) => ms === v.range)?.[2] ?? `${Math.round(v.range / 60_000)} minutes`;
}
