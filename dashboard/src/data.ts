// The numbers of a chart and the values that are drawn. Pure.
import type { Happened, LineData } from "./api";

type Value = number | null;

/** Buckets of equal width, beginning at `start` (ms). */
export interface Data {
  start: number;
  width: number;
  lines: LineData[];
  /** Number of samples in the newest bucket that came one by one. */
  fresh: number;
  /** The arrival time of the newest value, ms. */
  newest: number;
}

export function fresh(start: number, width: number, lines: LineData[]): Data {
  return { start, width, lines, fresh: 3, newest: 0 };
}

export function length(data: Data): number {
  return data.lines[0]?.m.length ?? 0;
}

/** Adds new values to the newest bucket, or to new buckets. */
export function append(data: Data, ts: number, values: Value[]) {
  const bucket = Math.floor((ts - data.start) / data.width);
  const count = length(data);
  if (bucket < count - 1 || !Number.isFinite(bucket)) return;
  const add = bucket - count + 1;
  // After a long pause the chart is loaded again.
  if (add > 5_000) return;
  data.newest = ts;
  for (const [i, line] of data.lines.entries()) {
    const v = values[i] ?? null;
    for (let n = 0; n < add; n++) {
      line.m.push(null);
      line.lo?.push(null);
      line.hi?.push(null);
    }
    const at = line.m.length - 1, was = line.m[at];
    if (v === null) continue;
    line.m[at] = was == null ? v : was + (v - was) / (data.fresh + 1);
    if (line.lo && line.hi) {
      const lo = line.lo[at], hi = line.hi[at];
      line.lo[at] = lo == null ? v : Math.min(lo, v);
      line.hi[at] = hi == null ? v : Math.max(hi, v);
    }
  }
  data.fresh = add > 0 ? 1 : data.fresh + 1;
}

/** Drops the values before `from` (ms), in lumps, so that most calls cost nothing. */
export function forget(data: Data, from: number) {
  const gone = Math.floor((from - data.start) / data.width) - 2;
  if (gone < 32) return;
  for (const line of data.lines) {
    line.m.splice(0, gone);
    line.lo?.splice(0, gone);
    line.hi?.splice(0, gone);
  }
  data.start += gone * data.width;
}

/** uPlot draws through what is `undefined` and not through `null`: where a value is only missing
 * because buckets are narrower than the beat, the line goes on; in a real gap it does not. */
export function joined(values: Value[], most: number): (number | null | undefined)[] {
  const out: (number | null | undefined)[] = values.slice();
  let last = -1;
  for (let i = 0; i < values.length; i++) {
    if (values[i] == null) continue;
    if (last >= 0 && i - last > 1 && i - last <= most) {
      for (let n = last + 1; n < i; n++) out[n] = undefined;
    }
    last = i;
  }
  return out;
}

/** What uPlot takes: x in seconds, then for each line its mean, and its band where there is one.
 * Stacked, the lines are sums of those below, the highest first. */
export function columns(data: Data, stack: boolean, hidden: Set<number>): any[] {
  const count = length(data);
  const x = new Array<number>(count);
  for (let i = 0; i < count; i++) x[i] = (data.start + i * data.width) / 1000;
  const out: any[] = [x];
  // The daemon decides how far apart two joined buckets may begin.
  const most = (line: LineData) => line.gap / data.width;
  if (stack) {
    const sum = new Array<number>(count).fill(0);
    const levels: any[] = [];
    for (const [n, line] of data.lines.entries()) {
      const level = new Array<Value>(count);
      for (let i = 0; i < count; i++) {
        const v = line.m[i];
        if (v == null) {
          level[i] = null;
          continue;
        }
        if (!hidden.has(n)) sum[i] += v;
        level[i] = sum[i];
      }
      levels.unshift(joined(level, most(line)));
    }
    return out.concat(levels);
  }
  for (const [n, line] of data.lines.entries()) {
    const away = hidden.has(n);
    const nothing = away ? new Array<null>(count).fill(null) : null;
    out.push(nothing ?? joined(line.m, most(line)));
    out.push(nothing ?? joined(line.lo ?? line.m, most(line)), nothing ?? joined(line.hi ?? line.m, most(line)));
  }
  return out;
}

/** The events at this moment, within a pixel or two on a chart of this many seconds. */
export function near(events: Happened[], data: Data, ts: number, seconds: number): string {
  const reach = Math.max(data.width, seconds * 8);
  const found = events.find((e) => Math.abs(e.t - ts) <= reach);
  return found ? ` · ${found.title}` : "";
}

/** A value counts as current for at least this long at any beat, ms. */
const FRESH = 30_000;

/** The newest value of a line, if it is recent enough for the end of the range. */
export function current(data: Data, line: number): Value {
  const values = data.lines[line]?.m;
  if (!values) return null;
  const oldest = values.length - 2 - Math.max(FRESH, data.lines[line].gap) / data.width;
  for (let i = values.length - 1; i >= 0 && i > oldest; i--) if (values[i] != null) return values[i];
  return null;
}

/** Min, mean and max over the range; of a line drawn below zero, of its absolute value. */
export function amounts(data: Data, line: number): { min: Value; mean: Value; max: Value } {
  const of = data.lines[line];
  let min = Infinity, max = -Infinity, sum = 0, count = 0;
  for (let i = 0; i < of.m.length; i++) {
    const v = of.m[i];
    if (v == null) continue;
    sum += v;
    count++;
    min = Math.min(min, of.lo?.[i] ?? v);
    max = Math.max(max, of.hi?.[i] ?? v);
  }
  if (!count) return { min: null, mean: null, max: null };
  return max <= 0 && min < 0 ? { min: -max, mean: -sum / count, max: -min } : { min, mean: sum / count, max };
}
