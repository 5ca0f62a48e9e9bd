// Stands between the page and what it would ask. Everything it knows is in this file.
const snapshot = (() => {
  const data = JSON.parse(document.getElementById("snapshot").textContent);
  const { overview } = data;
  Date.now = () => data.to;
  const json = (body, status = 200) =>
    Promise.resolve(new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } }));
  // Buckets `by` at a time: the mean of the means, the least and the most.
  const merged = (values, from, count, by, how) => {
    const out = [];
    for (let i = 0; i < count; i++) {
      const part = values.slice(Math.max(from + i * by, 0), Math.max(from + (i + 1) * by, 0)).filter((v) => v !== null);
      out.push(part.length ? how(part) : null);
    }
    return out;
  };
  const mean = (part) => part.reduce((a, b) => a + b, 0) / part.length;
  const chart = (q) => {
    const to = Number(q.get("to")) || data.to;
    const range = q.get("range") === "all" ? data.to - data.from : Number(q.get("range")) || 3600000;
    const from = Number(q.get("from")) || to - range;
    const by = Math.max(1, Math.ceil((to - from) / data.width / (Number(q.get("points")) || 300)));
    const width = data.width * by;
    const place = Math.floor((from - data.start) / width) * by;
    const start = data.start + place * data.width;
    const count = Math.floor((to - start) / width) + 1;
    let ids = q.getAll("id");
    const view = overview.charts.filter((c) => !c.group).map((c) => c.id);
    if (ids[0] === "first") ids = view.slice(0, 3);
    if (ids[0] === "rest") ids = view.slice(3);
    const lines = (id) =>
      data.lines[id].map((line) => {
        const out = { gap: line.gap, m: merged(line.m, place, count, by, mean) };
        if (line.lo || by > 1) {
          out.lo = merged(line.lo || line.m, place, count, by, (p) => Math.min(...p));
          out.hi = merged(line.hi || line.m, place, count, by, (p) => Math.max(...p));
        }
        return out;
      });
    const charts = ids.filter((id) => data.lines[id]).map((id) => ({ id, lines: lines(id) }));
    return { from, to, start, width, count, charts };
  };
  window.fetch = (path) => {
    const url = new URL(path, "http://snapshot/");
    switch (url.pathname) {
      case "/api/overview": return json(overview);
      case "/api/verdict": return json({ now: overview.now, verdict: overview.verdict, forecasts: overview.forecasts });
      case "/api/chart": return json(chart(url.searchParams));
      case "/api/events": return json({ events: data.events });
      case "/api/hosts": return json({ hosts: [] });
      default: return json({ status: "error", error: "this is a snapshot: only what is in the file can be shown" }, 404);
    }
  };
  // Nothing comes any more, and nothing is lost.
  window.EventSource = class extends EventTarget {
    readyState = 1;
    close() {
      this.readyState = 2;
    }
  };
  // It opens on the whole, which does not go on.
  const iso = (ms) => new Date(ms).toISOString();
  const whole = `?from=${iso(data.from)}&to=${iso(data.to)}`;
  addEventListener("load", () => {
    const note = document.createElement("div");
    note.id = "snapshot-note";
    note.setAttribute("role", "note");
    note.textContent = `Snapshot of ${overview.host}, ${new Date(data.to).toLocaleString()}. Nothing in it moves.`;
    note.style.cssText =
      "position:fixed;right:0;bottom:0;padding:.3em .8em;font:13px system-ui,sans-serif;color:CanvasText;" +
      "background:Canvas;border:1px solid GrayText;border-width:1px 0 0 1px;border-radius:6px 0 0 0;z-index:99";
    document.body.append(note);
  });
  const at = { search: whole, pathname: "/" };
  const move = (to) => {
    const url = new URL(to, "http://snapshot/");
    at.search = url.search || "?range=1h";
    at.pathname = url.pathname;
  };
  at.push = (state, _, to) => {
    move(to);
    history.pushState(to, "");
  };
  at.replace = (state, _, to) => {
    move(to);
    history.replaceState(to, "");
  };
  addEventListener("popstate", (event) => move(event.state || "/" + whole));
  return at;
})();
