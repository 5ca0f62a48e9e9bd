// Numbers as people read them: three digits and a unit of a fitting size. The rule is that of
// `src/model/unit.rs`; the tables come from there, and a test compares what both write.
import { BINARY, LARGE, SMALL, TIMES } from "./shared";

/** Three digits; whole numbers stay whole. */
function digits(value: number): string {
  if (value === 0) return "0";
  const places = 2 - Math.floor(Math.log10(Math.abs(value) * 1.0005));
  const text = value.toFixed(Math.min(7, Math.max(0, places)));
  return Number.isInteger(value) && Math.abs(value) < 1e6 ? value.toFixed(0) : text;
}

type Size = [divisor: number, word: string];

function binary(value: number, behind: string): Size {
  let divisor = 1, at = 0;
  for (; value >= divisor * 1023.5 && at + 1 < BINARY.length; at++) divisor *= 1024;
  return [divisor, BINARY[at] + behind];
}

/** Of a value below one. */
function fraction(value: number, behind: string): Size {
  let divisor = 1, at = 0;
  for (; value < divisor && at + 1 < SMALL.length; at++) divisor /= 1e3;
  return [divisor, SMALL[at] + behind];
}

function decimal(value: number, behind: string): Size {
  let divisor = 1, at = 0;
  for (; value >= divisor * 1e3 && at + 1 < LARGE.length; at++) divisor *= 1e3;
  return [divisor, LARGE[at] + behind];
}

/** The size that fits a number. */
function size(value: number, unit: string): Size {
  switch (unit) {
    case "percent":
      return [1, "%"];
    case "ratio":
      return [0.01, "%"];
    case "celsius":
      return [1, "°C"];
    case "bytes":
      return binary(value, "");
    case "bytes/s":
      return binary(value, "/s");
    case "seconds": {
      if (value < 120) return value >= 1 || value === 0 ? [1, "s"] : fraction(value, "s");
      // Up to three years, days read better than 1.04 years.
      const [word, length] = TIMES.find(([word, length]) => value >= length * (word === "y" ? 3 : 1)) ?? TIMES[3];
      return [length, word];
    }
    case "":
    case "/s":
      return decimal(value, unit);
    default: {
      const [divisor, word] = decimal(value, "");
      return [divisor, word ? `${word} ${unit}` : unit];
    }
  }
}

/** A value with its unit; with `way`, a line drawn below zero shows its absolute value. */
export function human(value: number | null | undefined, unit = "", way = false): string {
  if (value == null || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (way && unit !== "celsius") value = Math.abs(value);
  // A value that rounds up to a thousand gets the next prefix.
  let [divisor, word] = size(Math.abs(value * 1.0005), unit);
  const number = value / divisor;
  let text = digits(number);
  if (number !== 0 && !(Math.abs(number) >= 1e-4 && Math.abs(number) < 1e6)) {
    text = value.toExponential(2).replace("e+", "e");
    word = size(0, unit)[1];
  }
  return text.replaceAll("-", "−") + (word && !word.startsWith("/") ? ` ${word}` : word);
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
  const s = Math.floor(Math.max(0, ms) / 1000), of = (n: number) => Math.floor(s / n);
  if (s < 60) return `${s} s`;
  if (s < 3_600) return `${of(60)} min`;
  if (s < 86_400) return `${of(3_600)} h ${Math.floor((s % 3_600) / 60)} min`;
  return `${of(86_400)} d ${Math.floor((s % 86_400) / 3_600)} h`;
}

const two = (n: number) => (n < 10 ? `0${n}` : String(n));
// A browser takes 40 ms to load its date formats. A page without dates, or in English, skips that.
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

/** A moment in a sentence: the time of day if it is today, otherwise with its date. */
export function moment(ms: number, now = Date.now()): string {
  const date = new Date(ms);
  if (Math.abs(now - ms) < 20 * 3_600_000) return clock.format(date);
  if (Math.abs(now - ms) < 300 * 86_400_000) return `${day.format(date)}, ${clock.format(date)}`;
  return dayYear.format(date);
}

/** A moment in full, with date and time to the second. */
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
