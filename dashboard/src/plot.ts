// uPlot, set up for plimsoll's charts. Styles are set on elements by script, which the strict
// Content-Security-Policy allows; no style stands in any text.
import uPlot from "uplot";
import { signal } from "@preact/signals";
import { columns, type Data } from "./data";
import type { Happened } from "./api";
import { DARK, LIGHT, MEANT } from "./shared";
import { human, steps, tick } from "./units";
import { go, pinched, stretchTo, zoom } from "./view";

const darkness = matchMedia("(prefers-color-scheme: dark)");
const printing = matchMedia("print");
/** Whether the page has a dark background. */
export const dark = signal(darkness.matches && !printing.matches);
const looked = () => (dark.value = darkness.matches && !printing.matches);
darkness.addEventListener("change", looked);
printing.addEventListener("change", looked);

export function colour(line: number): string {
  const all = dark.value ? DARK : LIGHT;
  return all[line % all.length];
}

/** Both directions of a device have one colour, on each side of zero. */
export function colours(lines: string[]): string[] {
  const devices = new Map<string, number>();
  const paired = lines.length > 1 && lines.every((name) => / (in|out|read|written)$/.test(name));
  return lines.map((name, n) => {
    if (paired) {
      const device = name.slice(0, name.lastIndexOf(" "));
      if (!devices.has(device)) devices.set(device, devices.size);
      return colour(devices.get(device)!);
    }
    return colour(MEANT[name] ?? n);
  });
}

function inks() {
  return dark.value
    ? { text: "#98a4b0", grid: "#232d37", page: "#0f161d", mark: "#e3bd4a", event: "#8895a3" }
    : { text: "#5d6872", grid: "#e9eaea", page: "#fcfcfa", mark: "#9a7200", event: "#7d8891" };
}

/** The opaque colour that a transparent one makes on the page, so that stacked areas do not mix. */
function tint(of: string, share: number): string {
  const page = inks().page;
  const part = (at: number) => {
    const [a, b] = [of, page].map((c) => Number.parseInt(c.slice(at, at + 2), 16));
    return Math.round(a * share + b * (1 - share));
  };
  return `rgb(${part(1)},${part(3)},${part(5)})`;
}

export interface Shape {
  lines: string[];
  unit?: string;
  stack?: boolean;
  top?: number;
  marks?: [number, string][];
}

export interface Hooks {
  /** Gets the index under the crosshair, or null. */
  over(index: number | null): void;
  events(): Happened[];
}

const sync = uPlot.sync("x");
const FINGER = ["pointerdown", "pointermove", "pointerup", "pointercancel"] as const;
const FONT = '11px system-ui, sans-serif';

export class Plot {
  private u: uPlot | null = null;
  private data: Data | null = null;
  private hidden = new Set<number>();
  private wasDark = dark.value;
  /** Fingers on the chart, with their places. */
  private fingers = new Map<number, number>();
  /** The mouse was pressed on this chart, and not on one that follows it. */
  private pressed = false;
  /** The moments (ms) under two fingers when the second one came, and the range shown since. */
  private held: { under: [number, number]; shown: [number, number] } | null = null;

  constructor(private box: HTMLElement, private shape: Shape, private hooks: Hooks, private height: number) {}

  private options(width: number): uPlot.Options {
    const ink = inks();
    const { lines, unit, stack, top, marks = [] } = this.shape;
    const colour = colours(lines);
    const series: uPlot.Series[] = [{}];
    const bands: uPlot.Band[] = [];
    if (stack) {
      for (let n = lines.length - 1; n >= 0; n--) {
        series.push({ stroke: colour[n], width: 1, fill: tint(colour[n], lines[n] === "free" ? 0.14 : 0.42), points: { show: false }, spanGaps: false });
      }
    } else {
      const alone = lines.length === 1 || (lines.length === 2 && colour[0] === colour[1]);
      for (let n = 0; n < lines.length; n++) {
        const at = series.length;
        series.push({
          stroke: colour[n], width: 1.5, spanGaps: false, points: { show: lonely, size: 3, fill: colour[n] },
          fill: alone ? `${colour[n]}1c` : undefined, fillTo: 0,
        });
        const edge = { stroke: "transparent", width: 0, points: { show: false }, spanGaps: false };
        series.push(edge, { ...edge });
        bands.push({ series: [at + 2, at + 1], fill: `${colour[n]}30` });
      }
    }
    const draw = (u: uPlot) => this.marks(u, ink);
    return {
      width, height: this.height, series, bands, legend: { show: false }, pxAlign: 1,
      padding: [6, 2, 0, 0],
      cursor: {
        x: true, y: false, points: { show: false }, drag: { x: true, y: false, setScale: false, dist: 6 },
        sync: { key: sync.key, setSeries: false, scales: ["x", null] },
        bind: { dblclick: () => () => (zoom(2, 0.5, this.edges()), null) },
      },
      select: { show: true, left: 0, top: 0, width: 0, height: 0 },
      scales: {
        x: { time: true, range: (_u, min, max) => [min, max] },
        y: {
          range: (_u, min, max) => {
            if (top != null) return [0, Math.max(top, max ?? 0)];
            if (min == null || max == null || !Number.isFinite(min)) return [0, 1];
            let [lo, hi] = [Math.min(0, min), Math.max(0, max)];
            // Temperatures and other values that vary little far from zero.
            if (min > 0 && unit === "celsius") lo = Math.max(0, min - (max - min) - 5);
            // A threshold is shown if it is near the values.
            for (const [at] of marks) if (at > hi && at < max * 2.5) hi = at * 1.05;
            if (hi === lo) hi = lo + (unit?.startsWith("bytes") ? 1024 : 1);
            const room = (hi - lo) * 0.06;
            return [lo < 0 ? lo - room : lo, hi + room];
          },
        },
      },
      axes: [
        {
          stroke: ink.text, font: FONT, size: 22, gap: 3, space: 64,
          grid: { stroke: ink.grid, width: 1 }, ticks: { show: false },
          values: (_u, splits, _a, _s, incr) => splits.map((s) => tick(s, incr)),
        },
        {
          stroke: ink.text, font: FONT, gap: 5, space: 26,
          size: (_u, values) => Math.max(54, 12 + 6.3 * Math.max(0, ...(values ?? []).map((v) => v.length))),
          grid: { stroke: ink.grid, width: 1 }, ticks: { show: false },
          incrs: steps(unit) as uPlot.Axis.Incrs | undefined,
          values: (_u, splits) => splits.map((v) => human(v, unit, true)),
        },
      ],
      hooks: {
        draw: [draw],
        setCursor: [(u) => this.hooks.over(u.cursor.idx ?? null)],
        setSelect: [(u) => this.selected(u)],
      },
    };
  }

  private edges(): [number, number] {
    const x = this.u?.scales.x;
    return [(x?.min ?? 0) * 1000, (x?.max ?? 0) * 1000];
  }

  private selected(u: uPlot) {
    const { left, width } = u.select, { pressed } = this;
    this.pressed = false;
    if (!width) return;
    const from = u.posToVal(left, "x") * 1000, to = u.posToVal(left + width, "x") * 1000;
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    // All charts show the selection; this one reports it.
    if (width < 6 || !pressed) return;
    go({ from: Math.round(from), to: Math.round(Math.max(to, from + 5_000)) });
  }

  /** Draws thresholds and events. */
  private marks(u: uPlot, ink: ReturnType<typeof inks>) {
    const { ctx, bbox } = u;
    const px = devicePixelRatio;
    ctx.save();
    ctx.lineWidth = px;
    let said = Infinity;
    for (const [at, word] of this.shape.marks ?? []) {
      if (at > (u.scales.y.max ?? 0) || at < (u.scales.y.min ?? 0)) continue;
      const y = Math.round(u.valToPos(at, "y", true)) + 0.5;
      ctx.strokeStyle = ctx.fillStyle = ink.mark;
      ctx.setLineDash([4 * px, 4 * px]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.font = `${10 * px}px system-ui, sans-serif`;
      ctx.textAlign = "right";
      const place = y + (y - bbox.top < 16 * px ? 11 : -4) * px;
      // Words of two that lie close would lie on each other.
      if (Math.abs(place - said) > 12 * px) ctx.fillText(word, bbox.left + bbox.width - 3 * px, place);
      said = place;
    }
    ctx.setLineDash([2 * px, 3 * px]);
    ctx.strokeStyle = ctx.fillStyle = ink.event;
    for (const event of this.hooks.events()) {
      const x = Math.round(u.valToPos(event.t / 1000, "x", true)) + 0.5;
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.beginPath();
      ctx.moveTo(x - 4 * px, bbox.top);
      ctx.lineTo(x + 4 * px, bbox.top);
      ctx.lineTo(x, bbox.top + 6 * px);
      ctx.fill();
    }
    ctx.restore();
  }

  /** Draws these numbers over this range (seconds). */
  show(data: Data, [from, to]: [number, number], width = 0) {
    this.data = data;
    const drawn = columns(data, !!this.shape.stack, this.hidden) as uPlot.AlignedData;
    if (this.u && this.wasDark !== dark.value) this.destroy();
    this.wasDark = dark.value;
    if (!this.u) {
      this.u = new uPlot(this.options(width || this.box.clientWidth || 300), drawn, this.box);
      this.u.root.setAttribute("aria-hidden", "true");
      this.box.addEventListener("wheel", this.wheel, { passive: false });
      this.u.over.addEventListener("mousedown", () => (this.pressed = true));
      for (const kind of FINGER) this.u.over.addEventListener(kind, this.touch);
      this.u.setScale("x", { min: from, max: to });
      return;
    }
    const u = this.u;
    u.batch(() => {
      u.setData(drawn, false);
      // The moments under two fingers stay there, and so does a selection in progress.
      if (!this.held && !u.select.width) u.setScale("x", { min: from, max: to });
    });
  }

  hide(hidden: Set<number>) {
    this.hidden = hidden;
  }

  /** Moves the crosshair by this many values; the first time to the newest. */
  step(by: number) {
    const u = this.u;
    if (!u || !this.data) return;
    const count = u.data[0].length;
    let at = u.cursor.idx == null ? count - 1 : u.cursor.idx + by;
    const has = (i: number) => u.data.some((s, n) => n > 0 && s[i] != null);
    while (at > 0 && at < count - 1 && !has(at)) at += by < 0 ? -1 : 1;
    at = Math.min(count - 1, Math.max(0, at));
    u.setCursor({ left: u.valToPos(u.data[0][at], "x"), top: 10 });
  }

  leave() {
    this.u?.setCursor({ left: -10, top: -10 });
  }

  private wheel = (e: WheelEvent) => {
    if (!(e.ctrlKey || e.shiftKey || e.altKey) || !this.u) return;
    e.preventDefault();
    const over = this.u.over.getBoundingClientRect();
    const by = e.deltaY || e.deltaX;
    zoom(by > 0 ? 1.35 : 1 / 1.35, Math.min(1, Math.max(0, (e.clientX - over.left) / over.width)), this.edges());
  };

  /** One finger moves the crosshair; two fingers zoom and move the range. */
  private touch = (e: PointerEvent) => {
    const u = this.u;
    if (!u || e.pointerType !== "touch") return;
    const { fingers } = this;
    const over = u.over.getBoundingClientRect();
    const place = (e.clientX - over.left) / over.width;
    if (e.type === "pointerup" || e.type === "pointercancel") {
      fingers.delete(e.pointerId);
      const { held } = this;
      this.held = null;
      if (held) stretchTo(held.shown);
      return;
    }
    if (e.type === "pointermove" && !fingers.has(e.pointerId)) return;
    fingers.set(e.pointerId, place);
    if (fingers.size === 1) u.setCursor({ left: place * over.width, top: e.clientY - over.top });
    if (fingers.size !== 2) return;
    const [a, b] = [...fingers.values()].sort((a, b) => a - b);
    if (!this.held) {
      const [from, to] = this.edges();
      this.held = { under: [from + a * (to - from), from + b * (to - from)], shown: [from, to] };
    }
    const shown = (this.held.shown = pinched(this.held.under, [a, b]));
    u.setScale("x", { min: shown[0] / 1000, max: shown[1] / 1000 });
  };

  resize(height = this.height) {
    this.height = height;
    const width = this.box.clientWidth, u = this.u;
    if (u && width && (u.width !== width || u.height !== height)) u.setSize({ width, height });
  }

  destroy() {
    this.box.removeEventListener("wheel", this.wheel);
    this.u?.destroy();
    this.u = null;
  }
}

/** Draws a dot for a value without neighbours, because its line would be invisible. */
function lonely(u: uPlot, at: number): boolean {
  let values = 0;
  for (const v of u.data[at]) if (v != null && ++values > 2) return false;
  return values > 0;
}
