// Completions at a place in a PromQL expression. Touches no elements; asks for names and labels.
import { ask } from "./api";

const FUNCTIONS = (
  "sum avg min max count topk bottomk quantile stddev group count_values by without " +
  "rate irate increase delta deriv predict_linear avg_over_time min_over_time max_over_time sum_over_time " +
  "count_over_time quantile_over_time last_over_time changes resets histogram_quantile abs ceil floor round " +
  "clamp clamp_min clamp_max sort sort_desc time timestamp vector scalar absent label_replace label_join offset"
).split(" ");
const WINDOWS = ["1m", "5m", "15m", "1h", "6h", "1d"];

export interface Offer {
  text: string;
  kind: string;
}
/** Completions, and the place where the text they replace begins. */
export interface Offers {
  from: number;
  all: Offer[];
}

const asked = new Map<string, Promise<string[]>>();
function list(path: string): Promise<string[]> {
  let known = asked.get(path);
  if (!known) {
    known = ask<{ data: string[] }>(path).then((got) => got.data, () => []);
    asked.set(path, known);
    setTimeout(() => asked.delete(path), 60_000);
  }
  return known;
}

function best(all: string[], typed: string, kind: string): Offer[] {
  const low = typed.toLowerCase();
  const hits = all.filter((t) => t.toLowerCase().includes(low) && t !== typed);
  hits.sort((a, b) => Number(b.toLowerCase().startsWith(low)) - Number(a.toLowerCase().startsWith(low)) || a.length - b.length || a.localeCompare(b));
  return hits.slice(0, 12).map((text) => ({ text, kind }));
}

/** The kind of place: in braces after a name, in a label's quotes, in brackets, or free. */
export function place(text: string): { in: "name" | "label" | "value" | "window"; metric: string; label: string; typed: string } {
  let depth: number[] = [], quote = "", start = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quote) {
      if (c === "\\") i++;
      else if (c === quote) quote = "";
    } else if (c === '"' || c === "'") (quote = c), (start = i + 1);
    else if (c === "{") depth.push(i);
    else if (c === "}") depth.pop();
  }
  const brace = depth.at(-1);
  const metric = brace === undefined ? "" : (/([a-zA-Z_:][\w:]*)\s*$/.exec(text.slice(0, brace))?.[1] ?? "");
  if (quote) {
    const label = /([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*$/.exec(text.slice(0, start - 1))?.[1] ?? "";
    return { in: "value", metric, label, typed: text.slice(start) };
  }
  const open = text.lastIndexOf("["), shut = text.lastIndexOf("]");
  if (open > shut) return { in: "window", metric, label: "", typed: text.slice(open + 1) };
  const typed = /[\w:.]*$/.exec(text)?.[0] ?? "";
  const by = /\b(by|without|on|ignoring)\s*\([^)]*$/.test(text);
  if (brace !== undefined || by) return { in: "label", metric, label: "", typed };
  return { in: "name", metric, label: "", typed };
}

export async function complete(text: string, at: number): Promise<Offers> {
  const here = place(text.slice(0, at));
  const from = at - here.typed.length;
  const match = here.metric ? `match[]=${encodeURIComponent(here.metric)}` : "";
  switch (here.in) {
    case "value": {
      if (!here.label) return { from, all: [] };
      const values = await list(`/api/v1/label/${encodeURIComponent(here.label)}/values?${match}`);
      return { from, all: best(values, here.typed, here.label) };
    }
    case "label":
      return { from, all: best((await list(`/api/v1/labels?${match}`)).filter((l) => l !== "__name__"), here.typed, "label") };
    case "window":
      return { from, all: best(WINDOWS, here.typed, "window") };
    default: {
      if (!here.typed) return { from, all: [] };
      const names = await list("/api/v1/label/__name__/values");
      const all = best(FUNCTIONS, here.typed, "function").slice(0, 5);
      return { from, all: [...best(names, here.typed, "metric").slice(0, 9), ...all].slice(0, 12) };
    }
  }
}
