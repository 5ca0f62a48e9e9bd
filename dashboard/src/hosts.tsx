// All systems of the file at a glance, the ones that need somebody first.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask, type Host } from "./api";
import { Sign, State } from "./home";
import { human, span } from "./units";
import { address, go, view } from "./view";

const hosts = signal<Host[] | null>(null);
const ORDER = { bad: 0, warning: 1, well: 2 };

export function Hosts() {
  useEffect(() => {
    const look = () => {
      if (!document.hidden) ask<{ hosts: Host[] }>("/api/hosts").then((got) => (hosts.value = got.hosts), () => {});
    };
    look();
    const timer = setInterval(look, 15_000);
    return () => clearInterval(timer);
  }, []);
  const all = hosts.value;
  if (!all) return <State title="Looking"><p class="dim">at every host</p></State>;
  const sorted = [...all].sort((a, b) => ORDER[a.level] - ORDER[b.level] || a.name.localeCompare(b.name));
  const bad = all.filter((h) => h.level !== "well").length;
  return (
    <section class="hosts">
      <h1>{all.length === 1 ? "1 host" : `${all.length} hosts`}{bad ? `, ${bad} to look at` : ", all well"}</h1>
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
                  <Sign level={h.level} /> <a href={address(to)} onClick={(e) => { e.preventDefault(); go(to); }}>{h.name}</a>
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
