// All systems of the file in one table, those with problems first.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask, type Host } from "./api";
import { Sign, State } from "./home";
import { human, span } from "./units";
import { address, go, view } from "./view";

interface Glance {
  hosts: Host[];
  /** Number of hosts in the file that are not in the answer. */
  left_out: number;
}
const hosts = signal<Glance | null>(null);
const ORDER = { bad: 0, warning: 1, well: 2 };

/** A name that may wrap after a dot, a dash, an underscore, a colon or a slash. */
function breakable(name: string) {
  return name.split(/(?<=[-._:/])/).flatMap((part, n) => (n ? [<wbr />, part] : [part]));
}

export function Hosts() {
  useEffect(() => {
    const look = () => {
      if (!document.hidden) ask<Glance>("/api/hosts").then((got) => (hosts.value = got), () => {});
    };
    look();
    const timer = setInterval(look, 15_000);
    return () => clearInterval(timer);
  }, []);
  if (!hosts.value) return <State title="Loading hosts"><p class="dim">This takes up to two seconds.</p></State>;
  const { hosts: all, left_out: left } = hosts.value;
  const sorted = [...all].sort((a, b) => (a.gone ?? 0) - (b.gone ?? 0) || ORDER[a.level] - ORDER[b.level] || a.name.localeCompare(b.name));
  const bad = all.filter((h) => h.level !== "well").length;
  return (
    <section class="hosts">
      <h1>{all.length === 1 ? "1 host" : `${all.length} hosts`}{bad ? `, ${bad} with problems` : ", all well"}</h1>
      {left > 0 && <p class="note">{left === 1 ? "1 more host is" : `${left} more hosts are`} in the file. This list has room for {all.length}, so they are neither checked nor shown.</p>}
      <div class="scroll" tabIndex={0} role="region" aria-label="Hosts">
      <table>
        <thead><tr><th scope="col">host</th><th scope="col">load</th><th scope="col">memory</th><th scope="col">fullest disk</th><th scope="col">last sample</th></tr></thead>
        <tbody>
          {sorted.map((h) => {
            const to = { ...view.value, page: "home" as const, host: h.name, chart: "", open: [] };
            return (
              <>
              <tr key={h.name} class={h.text ? "told" : ""}>
                <th scope="row">
                  <Sign level={h.level} /> <a href={address(to)} onClick={(e) => { e.preventDefault(); go(to); }}>{breakable(h.name)}</a>
                </th>
                <td>{human(h.load)}</td><td>{human(h.memory, "percent")}</td><td>{human(h.disk, "percent")}</td>
                <td>{h.newest ? `${span(Date.now() - h.newest)} ago` : "–"}</td>
              </tr>
              {h.text && <tr class="why"><td colSpan={5}>{h.text}</td></tr>}
              </>
            );
          })}
        </tbody>
      </table>
      </div>
    </section>
  );
}
