// Numbers as people read them: three digits and a unit.

const binary = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const si = ["", "k", "M", "G", "T", "P"];

/** Three digits, at most two of them behind the point. */
function digits(value: number): string {
  const size = Math.abs(value);
  const behind = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : size >= 0.1 || size === 0 ? 2 : 3;
  return value.toFixed(behind).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}

function stepped(value: number, base: number, names: string[], gap: string): string {
  let at = 0;
  while (Math.abs(value) >= base * 0.9995 && at < names.length - 1) {
    value /= base;
    at++;
  }
  return names[at] ? `${digits(value)}${gap}${names[at]}` : digits(value);
}

function seconds(value: number): string {
  const size = Math.abs(value);
  if (size >= 172_800) return `${digits(value / 86_400)} d`;
  if (size >= 7_200) return `${digits(value / 3_600)} h`;
  if (size >= 120) return `${digits(value / 60)} min`;
  if (size >= 1 || size === 0) return `${digits(value)} s`;
  if (size >= 1e-3) return `${digits(value * 1e3)} ms`;
  return `${digits(value * 1e6)} µs`;
}

/** A value with its unit; a line drawn below zero shows its size. */
export function human(value: number | null | undefined, unit = "", size = false): string {
  if (value == null || !Number.isFinite(value)) return "–";
  if (size) value = Math.abs(value);
  if (unit.endsWith("/s")) return `${human(value, unit.slice(0, -2))}/s`;
  switch (unit) {
    case "bytes":
      return stepped(value, 1024, binary, " ");
    case "seconds":
      return seconds(value);
    case "percent":
      return `${digits(value)} %`;
    case "ratio":
      return `${digits(value * 100)} %`;
    case "celsius":
      return `${digits(value)} °C`;
    default:
      return stepped(value, 1000, si, " ") + (unit ? ` ${unit}` : "");
  }
}

/** Steps of an axis: powers of two for bytes. */
export function steps(unit = ""): number[] | undefined {
  if (!unit.startsWith("bytes")) return undefined;
  const out: number[] = [];
  for (let power = 0; power < 62; power++) out.push(2 ** power);
  return out;
}

/** How long, in the two largest units. */
export function span(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  if (ms < 90_000) return `${Math.max(1, Math.round(ms / 1000))} s`;
  if (minutes < 120) return `${minutes} min`;
  if (minutes < 2_880) return `${Math.round(minutes / 60)} h`;
  return `${Math.round(minutes / 1_440)} days`;
}

const two = (n: number) => (n < 10 ? `0${n}` : String(n));
// A browser takes 40 ms to learn how dates are written: who sees none does not wait for it, nor who
// reads English.
const clock = { format: (d: Date) => `${two(d.getHours())}:${two(d.getMinutes())}` };
const clockSeconds = { format: (d: Date) => `${clock.format(d)}:${two(d.getSeconds())}` };
function written(options: Intl.DateTimeFormatOptions) {
  let known: Intl.DateTimeFormat | undefined;
  return { format: (d: Date) => (known ??= new Intl.DateTimeFormat(undefined, options)).format(d) };
}
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const english = /^en\b/.test(navigator.language), american = /^en(-US|-CA|-PH)?$/.test(navigator.language);
const name = (d: Date) => MONTHS[d.getMonth()];
const inEnglish = (d: Date) => (american ? `${name(d)} ${d.getDate()}` : `${d.getDate()} ${name(d)}`);
const day = english ? { format: inEnglish } : written({ day: "numeric", month: "short" });
const month = english
  ? { format: (d: Date) => `${name(d)} ${d.getFullYear()}` }
  : written({ month: "short", year: "numeric" });
const dayYear = english
  ? { format: (d: Date) => `${inEnglish(d)}${american ? "," : ""} ${d.getFullYear()}` }
  : written({ day: "numeric", month: "short", year: "numeric" });

/** A moment as said in a sentence: the clock today, with its day otherwise. */
export function moment(ms: number, now = Date.now()): string {
  const date = new Date(ms);
  if (Math.abs(now - ms) < 20 * 3_600_000) return clock.format(date);
  if (Math.abs(now - ms) < 300 * 86_400_000) return `${day.format(date)}, ${clock.format(date)}`;
  return dayYear.format(date);
}

/** The same in full. */
export function exactly(ms: number): string {
  const date = new Date(ms);
  return `${dayYear.format(date)}, ${clockSeconds.format(date)}`;
}

/** The text at a tick of a time axis whose ticks are `step` seconds apart. */
export function tick(s: number, step: number): string {
  const date = new Date(s * 1000);
  if (step >= 28 * 86_400) return month.format(date);
  if (step >= 86_400) return day.format(date);
  if (date.getHours() === 0 && date.getMinutes() === 0 && step >= 60) return day.format(date);
  return step < 60 ? clockSeconds.format(date) : clock.format(date);
}
