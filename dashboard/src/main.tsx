// The page: its head with hosts and ranges, the current view, and the keyboard shortcuts.
import { render } from "preact";
import { signal } from "@preact/signals";
import "uplot/dist/uPlot.min.css";
import "./page.css";
import { Alerts } from "./alerts";
import { link } from "./api";
import { Explore } from "./explore";
import { Denied, Home } from "./home";
import { Hosts } from "./hosts";
import { Search, searching } from "./search";
import { again, overview, start } from "./store";
import { exactly, moment } from "./units";
import { RANGES } from "./shared";
import { follows, go, pan, view, zoom, type View } from "./view";

const helping = signal(false);

function Mark() {
  return (
    <svg class="mark" width="22" height="22" viewBox="0 0 22 22" aria-hidden="true">
      <circle cx="11" cy="11" r="7" fill="none" stroke="currentColor" stroke-width="2.4" />
      <path d="M0 11h22" stroke="currentColor" stroke-width="2.4" />
    </svg>
  );
}

function Head() {
  const v = view.value;
  const hosts = overview.value?.hosts ?? [];
  const to = (page: View["page"], name: string, href: string) => (
    <a href={href} aria-current={v.page === page ? "page" : undefined} onClick={(e) => {
      if (e.ctrlKey || e.metaKey || e.shiftKey) return;
      e.preventDefault();
      go({ page, chart: "" });
    }}>{name}</a>
  );
  return (
    <header>
      <a class="name" href="/" aria-label="plimsoll, all charts" onClick={(e) => { e.preventDefault(); go({ page: "home", chart: "" }); }}><Mark /><span>plimsoll</span></a>
      {hosts.length > 1 && (
        <select aria-label="Host" value={v.host || overview.value?.host} onChange={(e) => go({ host: e.currentTarget.value === hosts[0] ? "" : e.currentTarget.value, page: "home", chart: "" })}>
          {hosts.map((h) => <option key={h} value={h}>{h}</option>)}
        </select>
      )}
      <nav aria-label="Views">
        {to("home", "Charts", "/")}
        {hosts.length > 1 && to("hosts", "Hosts", "/hosts")}
        {to("alerts", "Alerts", "/alerts")}
        {to("explore", "Explore", "/explore")}
      </nav>
      <button type="button" class="find" onClick={() => (searching.value = true)}>Search <kbd>/</kbd></button>
      {v.page !== "hosts" && v.page !== "alerts" && <Ranges />}
    </header>
  );
}

function Ranges() {
  const v = view.value;
  return (
    <div class="ranges" role="group" aria-label="Time">
      <div class="strip">
        {RANGES.map(([name, ms, long]) => (
          <button type="button" key={name} aria-pressed={!v.from && v.range === ms} aria-label={`${name}: ${long}`} onClick={() => go({ range: ms, from: 0, to: 0 })}>{name}</button>
        ))}
      </div>
      <button type="button" aria-label="Earlier" onClick={() => pan(-0.5)}>←</button>
      <button type="button" aria-label="Later" disabled={follows.value} onClick={() => pan(0.5)}>→</button>
      <button type="button" aria-label="Zoom in" onClick={() => zoom(0.5, follows.value ? 1 : 0.5)}>+</button>
      <button type="button" aria-label="Zoom out" onClick={() => zoom(2, follows.value ? 1 : 0.5)}>−</button>
      {v.from
        ? <span class="when"><time>{exactly(v.from)}</time> to <time>{exactly(v.to)}</time> <button type="button" class="link" onClick={() => go({ from: 0, to: 0 })}>live again</button></span>
        : v.page === "home" && <span class={`live ${link.value.state}`}>{link.value.state === "ok" ? "live" : "not live"}</span>}
    </div>
  );
}

const KEYS = [
  ["/", "search"], ["1 … 8", "ranges from 5 minutes to everything"], ["← →", "earlier, later; on a chart: move the crosshair"],
  ["+ −", "zoom in, out"], ["0", "back to live"], ["a", "alerts"], ["e", "explore"], ["h", "hosts"], ["c", "charts"], ["Esc", "back to all charts"],
  ["drag", "zoom into a chart"], ["two fingers", "zoom and move a chart"], ["Ctrl + wheel", "zoom where the pointer is"], ["double click", "zoom out"],
];

function Help() {
  if (!helping.value) return null;
  return (
    <dialog open class="help" aria-label="Keys">
      <h2>Keys</h2>
      <dl>{KEYS.map(([k, what]) => <div key={k}><dt><kbd>{k}</kbd></dt><dd>{what}</dd></div>)}</dl>
      <button type="button" autofocus onClick={() => (helping.value = false)}>Close</button>
    </dialog>
  );
}

function App() {
  const { state, since, why } = link.value;
  const { page } = view.value;
  return (
    <>
      <a class="skip" href="#main">Skip to the charts</a>
      <Head />
      {state === "lost" && overview.value && (
        <p class="banner" role="alert">No answer since {moment(since)}{why && why !== "no answer" ? ` (${why})` : ""}. These are the values from before. <button type="button" class="link" onClick={again}>Try now</button></p>
      )}
      <main id="main" class={state === "lost" && overview.value ? "old" : ""} tabIndex={-1}>
        {state === "denied" ? <Denied /> : page === "explore" ? <Explore /> : page === "hosts" ? <Hosts /> : page === "alerts" ? <Alerts /> : <Home />}
      </main>
      <footer><span>plimsoll {overview.value?.version}</span> <button type="button" class="link" onClick={() => (helping.value = true)}>keys <kbd>?</kbd></button></footer>
      <Search />
      <Help />
    </>
  );
}

addEventListener("keydown", (e) => {
  const on = e.target as HTMLElement;
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.key === "Escape" && helping.value) return void (helping.value = false);
  if (on.closest("input, textarea, select, dialog")) return;
  const range = RANGES[Number(e.key) - 1];
  if (range) go({ range: range[1], from: 0, to: 0 });
  else if (e.key === "/") e.preventDefault(), (searching.value = true);
  else if (e.key === "?") helping.value = true;
  else if (e.key === "+" || e.key === "=") zoom(0.5, follows.value ? 1 : 0.5);
  else if (e.key === "-") zoom(2, follows.value ? 1 : 0.5);
  else if (e.key === "0") go({ from: 0, to: 0 });
  else if (e.key === "ArrowLeft" && !on.closest(".scroll")) pan(-0.25);
  else if (e.key === "ArrowRight" && !on.closest(".scroll")) pan(0.25);
  else if (e.key === "a") go({ page: "alerts", chart: "" });
  else if (e.key === "e") go({ page: "explore", chart: "" });
  else if (e.key === "h" && (overview.value?.hosts.length ?? 0) > 1) go({ page: "hosts", chart: "" });
  else if (e.key === "c") go({ page: "home", chart: "" });
  else if (e.key === "Escape" && view.value.chart) go({ chart: "" });
});

// If the first answers come in time, the first frame already shows them.
void start().then(() => render(<App />, document.getElementById("page")!));
