// One chart: title, newest values, plot and table.
import { effect, signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Spec } from "./api";
import { amounts, current, type Data, near } from "./data";
import { colours, dark, Plot } from "./plot";
import { events, judged, numbers, onNumbers, shown, sight } from "./store";
import { exactly, human, moment, span } from "./units";
import { go, pan } from "./view";

/** The headline of a chart: the sum of a stack, both directions, or the first line. */
export function headline(spec: Spec, values: (number | null)[]): string {
  const { unit } = spec;
  const there = values.filter((v): v is number => v != null);
  if (!there.length) return "–";
  if (spec.id === "memory") {
    const all = there.reduce((a, b) => a + b, 0);
    return `${human(values[0], unit)} of ${human(all, unit)}`;
  }
  if (spec.stack) return human(there.reduce((a, b) => a + b, 0), unit);
  if (spec.id === "network" || spec.id === "io") {
    const up = there.filter((v) => v > 0).reduce((a, b) => a + b, 0);
    const down = there.filter((v) => v < 0).reduce((a, b) => a + b, 0);
    return `↓ ${human(spec.id === "io" ? -down : up, unit)}  ↑ ${human(spec.id === "io" ? up : -down, unit)}`;
  }
  if (spec.id === "load") return human(values[0], unit);
  return values.length > 1 ? human(Math.max(...there), unit) : human(there[0], unit);
}

function summary(spec: Spec, data: Data | null): string {
  if (!data) return `${spec.title}: loading`;
  const lines = spec.lines.slice(0, 6).map((name, n) => {
    const { min, max } = amounts(data, n);
    const words = [human(current(data, n), spec.unit, true), `min ${human(min, spec.unit)}`, `max ${human(max, spec.unit)}`];
    return `${spec.lines.length > 1 ? `${name}: ` : ""}${words.join(", ")}`;
  });
  return `${spec.title}. ${lines.join("; ")}`;
}

const LEGEND = 8;
/** Charts within this distance of the visible part are drawn, px. */
const NEAR = 200;

type Measured = (top: number, width: number) => void;
let put: [HTMLElement, HTMLElement, Measured][] = [];

/** Measures the place and width of a chart that was just added. Charts that are added together are
 * measured together, because each measurement after a change makes the browser lay out the page. */
function measure(figure: HTMLElement, box: HTMLElement, then: Measured) {
  if (!put.length) {
    queueMicrotask(() => {
      const all = put;
      put = [];
      const found = all.map(([figure, box]) => [figure.getBoundingClientRect().top, box.clientWidth]);
      all.forEach(([, , then], n) => then(found[n][0], found[n][1]));
    });
  }
  put.push([figure, box, then]);
}

/** Sets the text of an element. Unchanged text is left alone and so needs no layout. */
function say(on: Element | null | undefined, text: string) {
  const node = on?.firstChild as Text | null;
  if (node && node.data !== text) node.data = text;
  else if (on && !node) on.textContent = text;
}

const any = (data: Data) => data.lines.some((line) => line.m.some((v) => v != null));
const newest = (spec: Spec, data: Data) => spec.lines.map((_, n) => current(data, n));

export function Chart({ spec, large = false }: { spec: Spec; large?: boolean }) {
  const figure = useRef<HTMLElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const now = useRef<HTMLSpanElement>(null);
  const legend = useRef<HTMLUListElement>(null);
  const foot = useRef<HTMLElement>(null);
  const plot = useRef<Plot | null>(null);
  // Values that are known when the chart is added are shown from the first frame on.
  const [begun] = useState(() => {
    const data = numbers(spec.id);
    return data && { drawn: any(data), values: newest(spec, data) };
  });
  const [state, setState] = useState<"waits" | "empty" | "drawn">(begun ? (begun.drawn ? "drawn" : "empty") : "waits");
  const [hidden, setHidden] = useState<ReadonlySet<number>>(new Set());
  const seen = useRef(false);

  useLayoutEffect(() => {
    const height = large ? Math.max(220, Math.min(420, innerHeight * 0.5)) : 128;
    let stale = true, said = 0;
    let over: number | null = null;
    const write = () => {
      const data = numbers(spec.id);
      if (!data) return;
      const place = over;
      const values = place == null ? newest(spec, data) : spec.lines.map((_, n) => data.lines[n]?.m[place] ?? null);
      say(now.current, headline(spec, values));
      const words = legend.current?.querySelectorAll("output");
      words?.forEach((word, n) => say(word, human(values[n], spec.unit, true)));
      let note = "";
      if (over != null) {
        const ts = data.start + over * data.width;
        note = exactly(ts) + near(events.value, data, ts, shown.value[1] - shown.value[0]);
      }
      say(foot.current, note);
      figure.current?.classList.toggle("over", over != null);
    };
    const mine = new Plot(
      box.current!,
      { lines: spec.lines, unit: spec.unit, stack: !!spec.stack, top: spec.top, marks: spec.marks },
      {
        over: (index) => {
          if (index === over) return;
          over = index;
          if (seen.current) write();
        },
        events: () => events.value,
      },
      height,
    );
    plot.current = mine;
    const draw = (width?: number) => {
      const data = numbers(spec.id);
      if (!data) return;
      if (!seen.current) return void (stale = true);
      stale = false;
      setState(any(data) ? "drawn" : "empty");
      mine.show(data, shown.peek(), width);
      write();
      // The text for screen readers may be half a minute old, because it costs a walk over all values.
      const t = performance.now();
      if (t - said > 30_000 || !said) {
        said = t;
        figure.current?.setAttribute("aria-label", summary(spec, data));
      }
    };
    const stop = onNumbers(spec.id, () => draw());
    const sighted = (there: boolean, width?: number) => {
      seen.current = there;
      sight(spec.id, there);
      if (there && stale) draw(width);
    };
    let gone = false;
    // Measured here, because the observer would report it a frame later.
    measure(figure.current!, box.current!, (top, width) => {
      if (!gone && width && top < innerHeight + NEAR && top > -NEAR) sighted(true, width);
    });
    const watch = new IntersectionObserver(([entry]) => sighted(entry.isIntersecting), { rootMargin: `${NEAR}px` });
    watch.observe(figure.current!);
    const size = new ResizeObserver(() => mine.resize());
    size.observe(box.current!);
    const recolour = effect(() => {
      dark.value;
      events.value;
      draw();
    });
    return () => {
      gone = true;
      stop();
      watch.disconnect();
      size.disconnect();
      recolour();
      mine.destroy();
    };
  }, [spec.id, spec.lines.join("\n"), large]);

  useEffect(() => {
    plot.current?.hide(new Set(hidden));
    const data = numbers(spec.id);
    if (data && seen.current) plot.current?.show(data, shown.peek());
  }, [hidden]);

  const keys = (e: KeyboardEvent) => {
    if (e.target !== figure.current) return;
    if (e.key === "ArrowLeft" || e.key === "ArrowRight") {
      e.preventDefault();
      e.stopPropagation();
      if (e.shiftKey) pan(e.key === "ArrowLeft" ? -0.5 : 0.5);
      else plot.current?.step(e.key === "ArrowLeft" ? -1 : 1);
    } else if (e.key === "Enter") go({ chart: spec.id });
  };

  const forecast = judged.value?.forecasts[spec.id];
  const toggle = (n: number) =>
    setHidden((before) => {
      const next = new Set(before);
      if (!next.delete(n)) next.add(n);
      return next;
    });
  const many = spec.lines.length > 1;
  const paint = colours(spec.lines);
  return (
    <figure ref={figure} class={`chart ${state}`} data-id={spec.id} tabIndex={0} role="group" aria-label={spec.title}
      onKeyDown={keys} onBlur={() => plot.current?.leave()}
      onMouseDown={(e) => { if ((e.target as Element).closest(".plot")) e.preventDefault(); }}>
      <figcaption>
        {large ? <h2>{spec.title}</h2> : (
          <h3><button type="button" class="title" title={spec.help || (spec.title.length > 60 ? spec.title : "open large, with a table")} onClick={() => go({ chart: spec.id })}>{spec.title}</button></h3>
        )}
        <span class="now" ref={now}>{begun ? headline(spec, begun.values) : "–"}</span>
      </figcaption>
      <div class="plot" ref={box}>
        {state === "waits" && <span class="wait" aria-hidden="true" />}
        {state === "empty" && <span class="none">No data in this range</span>}
      </div>
      {many && (
        <ul class="legend" ref={legend}>
          {spec.lines.slice(0, large ? undefined : LEGEND).map((name, n) => (
            <li key={name}>
              <button type="button" aria-pressed={!hidden.has(n)} onClick={() => toggle(n)}>
                <Swatch fill={paint[n]} />
                <span>{name}</span> <output>{begun ? human(begun.values[n], spec.unit, true) : "–"}</output>
              </button>
            </li>
          ))}
          {!large && spec.lines.length > LEGEND && <li class="dim">and {spec.lines.length - LEGEND} more</li>}
          {!!spec.more && <li class="dim">{spec.more} more series not shown</li>}
        </ul>
      )}
      {forecast && <p class={`forecast ${forecast.at - Date.now() < 30 * 86_400_000 ? "" : "dim"}`}>full {moment(forecast.at)}, in {span(forecast.at - Date.now())}, at {human(forecast.day, "bytes")} a day</p>}
      <small class="foot" ref={foot} aria-live={large ? "polite" : "off"} />
    </figure>
  );
}

export function Swatch({ fill }: { fill: string }) {
  return <svg class="swatch" width="10" height="10" aria-hidden="true"><rect width="10" height="10" rx="2" fill={fill} /></svg>;
}

const tick = signal(0);

/** One large chart, with a table of its totals and one of its newest values. */
export function Focus({ spec }: { spec: Spec }) {
  useEffect(() => onNumbers(spec.id, () => tick.value++), [spec.id]);
  tick.value;
  const data = numbers(spec.id);
  const paint = colours(spec.lines);
  const rows: [number, (number | null)[]][] = [];
  if (data) {
    const count = data.lines[0]?.m.length ?? 0;
    for (let i = count - 1; i >= 0 && rows.length < 60; i--) {
      const values = data.lines.map((line) => line.m[i]);
      if (values.some((v) => v != null)) rows.push([data.start + i * data.width, values]);
    }
  }
  return (
    <section class="focus">
      <p><button type="button" class="back" onClick={() => go({ chart: "" })}>← all charts</button></p>
      <Chart spec={spec} large key={spec.id} />
      {spec.help && <p class="help">{spec.help}</p>}
      {data && (
        <div class="tables">
          <table>
            <caption>Over this range</caption>
            <thead><tr><th scope="col">series</th><th scope="col">latest</th><th scope="col">min</th><th scope="col">mean</th><th scope="col">max</th></tr></thead>
            <tbody>
              {spec.lines.map((name, n) => {
                const { min, mean, max } = amounts(data, n);
                return (
                  <tr key={name}>
                    <th scope="row"><Swatch fill={paint[n]} /> {name}</th>
                    {[current(data, n), min, mean, max].map((v) => <td>{human(v, spec.unit, true)}</td>)}
                  </tr>
                );
              })}
            </tbody>
          </table>
          <div class="scroll" tabIndex={0} role="region" aria-label={`Values of ${spec.title}`}>
          <table>
            <caption>Newest values</caption>
            <thead><tr><th scope="col">time</th>{spec.lines.map((name) => <th scope="col" key={name}>{name}</th>)}</tr></thead>
            <tbody>
              {rows.map(([ts, values]) => (
                <tr key={ts}><th scope="row">{exactly(ts)}</th>{values.map((v) => <td>{human(v, spec.unit, true)}</td>)}</tr>
              ))}
            </tbody>
          </table>
          </div>
        </div>
      )}
    </section>
  );
}
