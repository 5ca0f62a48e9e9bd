// Alerts: what is wrong, who was told, what is silenced, and the rules.
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { ask, send } from "./api";
import { Sign, State } from "./home";
import { moment, span } from "./units";

interface Alert {
  id: string;
  rule: string;
  state: "pending" | "firing" | "recovering" | "nodata" | "flapping";
  severity: "info" | "warning" | "bad";
  host: string;
  text: string;
  since: number;
  fired: number | null;
  silenced: string | null;
  acked: string | null;
}
interface Over { rule: string; severity: Alert["severity"]; host: string; text: string; fired: number; resolved: number; peak: string }
interface Silence { id: number; what: string; every: string; until: number | null; who: string; why: string }
interface Channel { id: string; shown: string; waiting: number; trouble: string | null }
interface Told { at: number; channel: string; result: string; title: string; said: string }
interface Rule { name: string; when: string; severity: string; told: string; state: string; error: string | null }
interface Alerts {
  judged: number | null;
  may_write: boolean;
  alerts: Alert[];
  over: Over[];
  silences: Silence[];
  channels: Channel[];
  told: Told[];
  rules: Rule[];
}

const alerts = signal<Alerts | null>(null);
const said = signal("");
const look = () => ask<Alerts>("/api/alerts").then((got) => { alerts.value = got; }, () => {});
const STATES = { pending: "not for long enough yet", firing: "", recovering: "is getting better", nodata: "no samples", flapping: "comes and goes" };
const SILENCES: [string, string][] = [["1h", "1 hour"], ["8h", "8 hours"], ["1d", "1 day"], ["7d", "1 week"]];

async function tell(body: Record<string, unknown>) {
  said.value = "…";
  said.value = await send("/api/alerts", body).catch((e: Error) => e.message);
  await look();
}

const level = (severity: string) => (severity === "info" ? "well" : severity) as "well" | "warning" | "bad";

function One({ alert, write }: { alert: Alert; write: boolean }) {
  const [asking, setAsking] = useState(false);
  const { since, fired, silenced, acked, state } = alert;
  return (
    <li>
      <p><Sign level={level(alert.severity)} /> <span><b>{alert.host}</b> {alert.text} <span class="dim">since {moment(fired ?? since)}, {span(Date.now() - (fired ?? since))}{STATES[state] && `; ${STATES[state]}`}</span></span></p>
      {(silenced || acked) && <p class="dim">{[silenced, acked].filter(Boolean).join("; ")}</p>}
      {write && (
        <p class="acts">
          {fired != null && !acked && <button type="button" class="link" onClick={() => tell({ do: "ack", what: alert.id })}>I know of it</button>}
          {!silenced && !asking && <button type="button" class="link" onClick={() => setAsking(true)}>Silence…</button>}
          {asking && <>for {SILENCES.map(([time, name]) => <button type="button" key={time} class="link" onClick={() => { setAsking(false); void tell({ do: "silence", what: alert.id, for: time }); }}>{name}</button>)}</>}
        </p>
      )}
    </li>
  );
}

function List({ title, all, write }: { title: string; all: Alert[]; write: boolean }) {
  if (!all.length) return null;
  return <><h2>{title}</h2><ul class="alerts">{all.map((a) => <One alert={a} write={write} key={a.id} />)}</ul></>;
}

function Table({ title, head, rows }: { title: string; head: string[]; rows: preact.ComponentChildren[][] }) {
  if (!rows.length) return null;
  return (
    <details>
      <summary><h2>{title}</h2> <span class="dim">{rows.length}</span></summary>
      <div class="scroll" tabIndex={0} role="region" aria-label={title}>
        <table class="words">
          <thead><tr>{head.map((h) => <th scope="col" key={h}>{h}</th>)}</tr></thead>
          <tbody>{rows.map((row, n) => <tr key={n}>{row.map((cell, c) => <td key={c}>{cell}</td>)}</tr>)}</tbody>
        </table>
      </div>
    </details>
  );
}

export function Alerts() {
  useEffect(() => {
    const again = () => { if (!document.hidden) void look(); };
    again();
    const timer = setInterval(again, 5_000);
    return () => clearInterval(timer);
  }, []);
  const now = alerts.value;
  if (!now) return <State title="Loading alerts"><p class="dim">This takes up to two seconds.</p></State>;
  const firing = now.alerts.filter((a) => a.state !== "pending");
  const quiet = firing.filter((a) => a.silenced), loud = firing.filter((a) => !a.silenced);
  const words = firing.length === 0 ? "Nothing is wrong" : firing.length === 1 ? "1 alert" : `${firing.length} alerts`;
  return (
    <section class="told-of">
      <h1>{words}</h1>
      <p class="dim" aria-live="polite">{said.value}</p>
      <List title="Wrong now" all={loud} write={now.may_write} />
      <List title="Silenced" all={quiet} write={now.may_write} />
      <List title="Watched more closely" all={now.alerts.filter((a) => a.state === "pending")} write={now.may_write} />
      <h2>Receivers</h2>
      {now.channels.length === 0
        ? <p>Nobody is told. <code>plimsoll alert to ntfy:my-topic</code>, or an address of mail, changes that and sends a test.</p>
        : (
          <ul class="alerts">
            {now.channels.map((c) => (
              <li key={c.id}>
                <p><Sign level={c.trouble ? "bad" : "well"} /> <span><b>{c.shown}</b> {c.trouble ?? (c.waiting ? `${c.waiting} waiting` : "")}
                  {now.may_write && <> <button type="button" class="link" onClick={() => tell({ do: "test", what: c.id })}>Send a test</button></>}</span></p>
              </li>
            ))}
          </ul>
        )}
      {now.silences.length > 0 && (
        <>
          <h2>Silences</h2>
          <ul class="alerts">
            {now.silences.map((s) => (
              <li key={s.id}>
                <p><b>{s.what}</b> {s.every && `every ${s.every}`} {s.until != null && `until ${moment(s.until)}`} <span class="dim">by {s.who}{s.why && `: ${s.why}`}</span>
                  {now.may_write && <> <button type="button" class="link" onClick={() => tell({ do: "end", what: String(s.id) })}>End it</button></>}</p>
              </li>
            ))}
          </ul>
        </>
      )}
      <Table title="Over" head={["what", "host", "from", "to", "most"]} rows={now.over.map((o) => [<><Sign level={level(o.severity)} /> {o.text}</>, o.host, moment(o.fired), moment(o.resolved), o.peak])} />
      <Table title="Messages" head={["when", "to", "what", "answer"]} rows={now.told.map((t) => [moment(t.at), t.channel, t.title, `${t.result}${t.said && `: ${t.said}`}`])} />
      <Table title="Rules" head={["rule", "wrong when", "told", "now"]} rows={now.rules.map((r) => [r.name, <code>{r.when}</code>, r.told, r.error ?? r.state])} />
      {now.judged != null && <p class="dim">Judged {span(Date.now() - now.judged)} ago.</p>}
    </section>
  );
}
