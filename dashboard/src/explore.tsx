// PromQL queries: completion, errors marked with a caret, a chart and a table.
import { effect, signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, type Happened, Refused } from "./api";
import { complete, type Offers } from "./complete";
import { type Data, fresh, near } from "./data";
import { colours, dark, Plot } from "./plot";
import { Swatch } from "./chart";
import { selector } from "./search";
import { exactly, human } from "./units";
import { edges, go, stretch, view } from "./view";

interface Series {
  metric: Record<string, string>;
  values: [number, string][];
}
interface Asked {
  expr: string;
  data: Data | null;
  names: string[];
  scalar: string;
  from: number;
  to: number;
  left: number;
  notes: string[];
  events: Happened[];
}
const MOST = 24;
const asked = signal<Asked | null>(null);
const error = signal<{ expr: string; message: string; at: number; line: number } | null>(null);
const busy = signal(false);

let stop: AbortController | null = null;

async function run(expr: string) {
  stop?.abort();
  error.value = null;
  if (!expr.trim()) return void (asked.value = null);
  const mine = (stop = new AbortController());
  busy.value = true;
  const [from, to] = edges();
  const points = innerWidth < 700 ? 180 : 360;
  const step = Math.max(1, Math.round((to - from) / 1000 / points));
  const start = Math.floor(from / 1000 / step) * step, end = Math.floor(to / 1000 / step) * step;
  // Events are an extra: the answer is shown without them, too.
  const host = view.value.host ? `&host=${encodeURIComponent(view.value.host)}` : "";
  const happened = ask<{ events: Happened[] }>(`/api/events?from=${Math.round(from)}&to=${Math.round(to)}${host}`, mine.signal)
    .then((got) => got.events, () => []);
  try {
    const query = `query=${encodeURIComponent(expr)}&start=${start}&end=${end}&step=${step}`;
    const got = await ask<any>(`/api/v1/query_range?${query}`, mine.signal);
    const result: Series[] = got.data.result;
    const count = Math.round((end - start) / step) + 1;
    const lines = result.slice(0, MOST).map((s) => {
      const m = new Array<number | null>(count).fill(null);
      for (const [t, v] of s.values) {
        const value = Number(v === "+Inf" ? Infinity : v === "-Inf" ? -Infinity : v);
        m[Math.round((t - start) / step)] = Number.isFinite(value) ? value : null;
      }
      return { m, gap: step * 1500 };
    });
    const notes = [...(got.warnings ?? []), ...(got.infos ?? [])].map(String);
    const events = await happened;
    if (mine.signal.aborted) return;
    asked.value = {
      events, expr, names: result.slice(0, MOST).map((s) => selector(s.metric) || expr), scalar: "",
      data: lines.length ? fresh(start * 1000, step * 1000, lines) : null,
      from: from / 1000, to: to / 1000, left: Math.max(0, result.length - MOST), notes,
    };
  } catch (e) {
    if (mine.signal.aborted) return;
    asked.value = null;
    const message = e instanceof Refused ? e.message : "plimsoll does not answer";
    const place = /(\d+):(\d+): parse error: (.*)$/s.exec(message);
    // Columns are counted in bytes.
    const line = place ? Number(place[1]) : 0;
    const text = expr.split("\n")[line - 1] ?? "";
    const bytes = new TextEncoder().encode(text).slice(0, place ? Number(place[2]) - 1 : 0);
    error.value = {
      expr, line, at: place ? [...new TextDecoder().decode(bytes)].length : -1,
      message: place ? place[3] : message.replace(/^invalid parameter "query": /, ""),
    };
  } finally {
    if (stop === mine) busy.value = false;
  }
}

function Answer({ of }: { of: Asked }) {
  const box = useRef<HTMLDivElement>(null);
  const [over, setOver] = useState<number | null>(null);
  const { data } = of;
  const paint = colours(of.names);
  useEffect(() => {
    if (!data) return;
    const plot = new Plot(box.current!, { lines: of.names }, { over: setOver, events: () => of.events }, Math.max(240, Math.min(420, innerHeight * 0.45)));
    const draw = effect(() => {
      dark.value;
      plot.show(data, [of.from, of.to]);
    });
    const size = new ResizeObserver(() => plot.resize());
    size.observe(box.current!);
    return () => {
      draw();
      size.disconnect();
      plot.destroy();
    };
  }, [of]);
  if (!data) return <p class="none">No series matches this in the range shown.</p>;
  const count = data.lines[0].m.length;
  let at = over;
  if (at == null) for (at = count - 1; at > 0 && data.lines.every((l) => l.m[at!] == null); ) at--;
  const ts = data.start + at * data.width;
  return (
    <>
      <figure class="chart drawn large" role="group" aria-label={`Chart of ${of.expr}`}><div class="plot" ref={box} /></figure>
      {of.notes.map((n) => <p class="note" key={n}>{n}</p>)}
      <div class="scroll" tabIndex={0} role="region" aria-label="Values">
        <table class="answer">
          <caption>{exactly(ts)}{over != null && near(of.events, data, ts, of.to - of.from)}{of.left > 0 && `: the first ${MOST} of ${MOST + of.left} series`}</caption>
          <thead><tr><th scope="col">series</th><th scope="col">value</th></tr></thead>
          <tbody>
            {of.names.map((name, n) => (
              <tr key={name + n}>
                <th scope="row"><Swatch fill={paint[n]} /> <code>{name}</code></th>
                <td title={String(data.lines[n].m[at!] ?? "")}>{human(data.lines[n].m[at!])}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

export function Explore() {
  const input = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState(view.value.expr);
  const [offers, setOffers] = useState<Offers | null>(null);
  const [at, setAt] = useState(0);
  const { expr } = view.value;
  useEffect(() => {
    setText(expr);
    void run(expr);
  }, [expr, stretch.value]);
  useEffect(() => input.current?.focus(), []);
  let turn = useRef(0);
  const typed = async (e: InputEvent & { currentTarget: HTMLTextAreaElement }) => {
    const box = e.currentTarget;
    setText(box.value);
    const mine = ++turn.current;
    const found = await complete(box.value, box.selectionStart);
    if (mine === turn.current) {
      setOffers(found.all.length ? found : null);
      setAt(0);
    }
  };
  const shut = () => {
    turn.current++;
    setOffers(null);
  };
  const accept = (n: number) => {
    const box = input.current!, offer = offers!.all[n];
    const begin = box.value.slice(0, offers!.from) + offer.text, end = box.value.slice(box.selectionStart);
    // At once, so that a key pressed before the next frame goes behind the accepted text.
    box.value = begin + end;
    box.focus();
    box.setSelectionRange(begin.length, begin.length);
    setText(box.value);
    shut();
  };
  const keys = (e: KeyboardEvent) => {
    if (offers) {
      if (e.key === "ArrowDown" || e.key === "ArrowUp") {
        e.preventDefault();
        const all = offers.all.length;
        return setAt((was) => (was + (e.key === "ArrowDown" ? 1 : all - 1)) % all);
      }
      if (e.key === "Tab" || (e.key === "Enter" && !e.ctrlKey)) {
        e.preventDefault();
        return accept(at);
      }
      if (e.key === "Escape") return e.stopPropagation(), shut();
    }
    if (e.key === "Enter" && !e.shiftKey) {
      e.preventDefault();
      send();
    }
  };
  const send = () => {
    shut();
    const wanted = input.current!.value.trim();
    if (wanted === expr) void run(wanted);
    else go({ expr: wanted });
  };
  const wrong = error.value;
  return (
    <section class="explore">
      <h1>Explore</h1>
      <form onSubmit={(e) => { e.preventDefault(); send(); }}>
        <div class="ask">
          <textarea ref={input} rows={Math.min(6, text.split("\n").length)} value={text} onInput={typed} onKeyDown={keys} onBlur={() => setTimeout(shut, 150)}
            spellcheck={false} autocapitalize="off" autocomplete="off" aria-label="Expression in PromQL" placeholder="rate(node_network_receive_bytes_total[5m])"
            aria-controls="offers" aria-autocomplete="list" aria-activedescendant={offers ? `offer${at}` : undefined}
            aria-invalid={!!wrong} aria-describedby={wrong ? "wrong" : undefined} />
          <ul id="offers" role="listbox" aria-label="Completions" hidden={!offers}>
            {offers?.all.map((o, n) => (
              <li id={`offer${n}`} key={o.text + o.kind} role="option" aria-selected={n === at} onMouseDown={(e) => { e.preventDefault(); accept(n); }}>
                <code>{o.text}</code> <span class="dim">{o.kind}</span>
              </li>
            ))}
          </ul>
        </div>
        <button type="submit" disabled={busy.value}>{busy.value ? "…" : "Run"}</button>
      </form>
      {wrong && (
        <div id="wrong" class="wrong" role="alert">
          {wrong.at >= 0 && <pre>{`${wrong.expr.split("\n")[wrong.line - 1] ?? ""}\n${" ".repeat(wrong.at)}^`}</pre>}
          <p>{wrong.message}</p>
        </div>
      )}
      {asked.value && !wrong && <Answer of={asked.value} />}
      {!expr && !wrong && (
        <ul class="examples">
          {["sum by (mode) (rate(node_cpu_seconds_total[5m]))", "memory", "predict_linear(node_filesystem_avail_bytes[6h], 86400)", "topk(5, rate(node_network_receive_bytes_total[5m]))"].map((e) => (
            <li key={e}><button type="button" class="link" onClick={() => go({ expr: e })}><code>{e}</code></button></li>
          ))}
        </ul>
      )}
    </section>
  );
}
