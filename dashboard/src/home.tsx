// The first view: the verdict, the first charts, the events, and all other charts.
import { useEffect, useState } from "preact/hooks";
import { link, type Finding, type Spec } from "./api";
import { Chart, Focus } from "./chart";
import { again, events, firstRow, judged, overview, trouble } from "./store";
import { moment, span } from "./units";
import { go, view } from "./view";

const SIGNS = { well: "●", warning: "▲", bad: "■" } as const;
export function Sign({ level }: { level: keyof typeof SIGNS }) {
  const word = { well: "well", warning: "warning", bad: "bad" }[level];
  return <span class={`sign ${level}`} role="img" aria-label={word}>{SIGNS[level]}</span>;
}

function Said({ finding }: { finding: Finding }) {
  const { since, until, chart } = finding;
  const words = (
    <>
      <b>{finding.subject}</b> {finding.text}
      {until != null && `: ${moment(until)}, in ${span(until - Date.now())}`}
      {since != null && <span class="dim"> since {moment(since)}</span>}
    </>
  );
  return (
    <li>
      <Sign level={finding.level} />
      {chart ? <button type="button" class="said" onClick={() => go({ chart })}>{words}</button> : <span class="said">{words}</span>}
    </li>
  );
}

function Verdict() {
  const found = judged.value, host = overview.value?.host;
  if (!found || !host) return null;
  const { level, words, findings } = found.verdict;
  return (
    <section class={`verdict ${level}`} aria-live="polite">
      <h1><Sign level={level} /> <span>{host} {words}</span></h1>
      {findings.length > 0 && <ul>{findings.map((f) => <Said finding={f} key={f.subject + f.text} />)}</ul>}
    </section>
  );
}

function Happenings() {
  const all = events.value;
  if (!all.length) return null;
  const few = all.slice(0, 12);
  return (
    <details class="events">
      <summary>{all.length === 1 ? "1 event" : `${all.length === 200 ? "200 or more" : all.length} events`} in this range <span class="dim">last: {all[0].title}, {moment(all[0].t)}</span></summary>
      <ol>
        {few.map((e) => (
          <li key={`${e.t}${e.title}`}>
            <time dateTime={new Date(e.t).toISOString()}>{moment(e.t)}</time> <b>{e.title}</b> {e.text && <span class="dim">{e.text.slice(0, 200)}</span>}
          </li>
        ))}
      </ol>
    </details>
  );
}

function Group({ name, charts }: { name: string; charts: Spec[] }) {
  const open = view.value.open.includes(name);
  const toggle = (e: Event) => {
    const now = (e.currentTarget as HTMLDetailsElement).open;
    if (now === view.value.open.includes(name)) return;
    go({ open: now ? [...view.value.open, name] : view.value.open.filter((o) => o !== name) }, true);
  };
  return (
    <details class="group" open={open} onToggle={toggle}>
      <summary><h2>{name}</h2> <span class="dim">{charts.length === 1 ? "1 chart" : `${charts.length} charts`}</span></summary>
      {open && <div class="grid">{charts.map((c) => <Chart spec={c} key={c.id} />)}</div>}
    </details>
  );
}

export function State({ title, children }: { title: string; children: any }) {
  return <section class="state"><h1>{title}</h1>{children}</section>;
}

export function Denied() {
  return (
    <State title="Sign-in needed">
      <p>This page needs a token. On the machine that runs plimsoll, type</p>
      <pre>plimsoll token add NAME --scope read</pre>
      <p>and reload this page. Enter any user name, and the token as the password.</p>
      <p class="dim">{link.value.why}</p>
      <p><button type="button" onClick={() => location.reload()}>Reload</button></p>
    </State>
  );
}

/** Whether the page has been painted once. */
let painted = false;

/** The charts of the first view. The first frame draws one row only, which takes half the time; the
 * next frame draws the others. */
function Charts({ first, groups }: { first: Spec[]; groups: Map<string, Spec[]> }) {
  const [all, setAll] = useState(painted);
  useEffect(() => {
    painted = true;
    let gone = false;
    // After the frame that draws the row. A hidden tab or a printed page draws no frame, so a timer
    // does it there.
    const rest = () => void (gone || setAll(true));
    void firstRow.then(() => {
      requestAnimationFrame(() => setTimeout(rest));
      setTimeout(rest, 1000);
    });
    return () => void (gone = true);
  }, []);
  const shown = all ? first : first.slice(0, Math.max(1, Math.floor(innerWidth / 400)));
  return (
    <>
      <div class="grid first">{shown.map((c) => <Chart spec={c} key={c.id} />)}</div>
      {all && groups.size > 0 && <p class="rest dim">Everything else</p>}
      {all && [...groups].map(([name, charts]) => <Group name={name} charts={charts} key={name} />)}
    </>
  );
}

export function Home() {
  const known = overview.value;
  if (!known) {
    if (link.value.state === "lost") {
      return (
        <State title="No answer">
          <p>plimsoll does not answer at {location.host}. Is it running? <code>systemctl status plimsoll</code></p>
          <p><button type="button" onClick={again}>Try again</button></p>
        </State>
      );
    }
    if (trouble.value) {
      return (
        <State title="plimsoll reports an error">
          <p class="said">{trouble.value}</p>
          <p><button type="button" onClick={again}>Try again</button> <a href="/">this machine</a></p>
        </State>
      );
    }
    return (
      <section class="loading" aria-busy="true" aria-label="loading">
        <div class="verdict"><h1><span class="wait" /></h1></div>
        <div class="grid">{[0, 1, 2, 3, 4, 5].map((n) => <div class="chart waits" key={n}><div class="plot"><span class="wait" /></div></div>)}</div>
      </section>
    );
  }
  const { chart } = view.value;
  if (chart) {
    const spec = known.charts.find((c) => c.id === chart);
    if (spec) return <Focus spec={spec} />;
    return <State title="No such chart"><p>There is no chart <code>{chart}</code> on {known.host}.</p><p><button type="button" onClick={() => go({ chart: "" })}>All charts</button></p></State>;
  }
  const groups = new Map<string, Spec[]>();
  for (const c of known.charts) groups.set(c.group ?? "", [...(groups.get(c.group ?? "") ?? []), c]);
  const first = groups.get("") ?? [];
  groups.delete("");
  return (
    <>
      <Verdict />
      {trouble.value && <p class="banner" role="alert">{trouble.value}</p>}
      {!known.charts.length && (
        <State title="Nothing yet">
          <p>Waiting for the first samples. Collectors run every ten seconds by default.</p>
          <p class="dim">Still nothing? <code>plimsoll doctor</code> says why.</p>
        </State>
      )}
      <Happenings />
      <Charts first={first} groups={groups} />
    </>
  );
}
