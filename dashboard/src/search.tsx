// Finds any chart by its words at once, and any series by its name or labels a moment later.
import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ask, type Spec } from "./api";
import { overview } from "./store";
import { go } from "./view";

export const searching = signal(false);

interface Hit {
  what: string;
  where: string;
  act(): void;
}

export function selector(labels: Record<string, string>): string {
  const { __name__: name = "", ...rest } = labels;
  const pairs = Object.entries(rest).map(([k, v]) => `${k}=${JSON.stringify(v)}`);
  const plain = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name);
  if (!plain && name) pairs.unshift(`__name__=${JSON.stringify(name)}`);
  return (plain ? name : "") + (pairs.length ? `{${pairs.join(", ")}}` : "");
}

function fits(spec: Spec, words: string[]): boolean {
  const text = `${spec.title} ${spec.group ?? ""} ${spec.lines.join(" ")} ${spec.id}`.toLowerCase();
  return words.every((w) => text.includes(w));
}

export function Search() {
  const dialog = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState("");
  const [series, setSeries] = useState<Record<string, string>[]>([]);
  const [at, setAt] = useState(0);
  const before = useRef<Element | null>(null);
  const open = searching.value;
  useLayoutEffect(() => {
    if (open) {
      before.current = document.activeElement;
      dialog.current?.showModal();
      dialog.current?.querySelector("input")?.select();
    } else if (dialog.current?.open) {
      dialog.current.close();
      (before.current as HTMLElement | null)?.focus?.();
    }
  }, [open]);
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  useEffect(() => {
    setAt(0);
    if (!words.length) return setSeries([]);
    const stop = new AbortController();
    const timer = setTimeout(() => {
      const quoted = words.map((w) => w.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join(".*");
      const match = `{__name__=~${JSON.stringify(`(?i).*${quoted}.*`)}}`;
      ask<{ data: Record<string, string>[] }>(`/api/v1/series?limit=40&match[]=${encodeURIComponent(match)}`, stop.signal)
        .then((got) => setSeries(got.data), () => {});
    }, 150);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [text]);
  // The dialog reports its closing in a later task. By then it may be open again.
  const close = () => (searching.value = false);
  const charts = words.length ? (overview.value?.charts ?? []).filter((c) => fits(c, words)).slice(0, 12) : [];
  const hits: Hit[] = [
    ...charts.map((c) => ({ what: c.title, where: c.group || "first view", act: () => go({ page: "home", chart: c.id }) })),
    ...series.slice(0, 30).map((labels) => {
      const expr = selector(labels);
      return { what: expr, where: "explore", act: () => go({ page: "explore", chart: "", expr }) };
    }),
  ];
  const keys = (e: KeyboardEvent) => {
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      setAt((was) => Math.max(0, Math.min(hits.length - 1, was + (e.key === "ArrowDown" ? 1 : -1))));
    } else if (e.key === "Enter" && hits[at]) {
      e.preventDefault();
      hits[at].act();
      close();
    }
  };
  return (
    <dialog ref={dialog} class="search" aria-label="Search" onClose={() => dialog.current?.open || close()} onClick={(e) => e.target === dialog.current && close()}>
      {open && (
        <>
          <input type="text" placeholder="Find a chart or a series" aria-label="Find a chart or a series" value={text} autofocus role="combobox"
            aria-expanded={hits.length > 0} aria-controls="hits" aria-activedescendant={hits[at] ? `hit${at}` : undefined}
            onInput={(e) => setText(e.currentTarget.value)} onKeyDown={keys} />
          <ul id="hits" role="listbox" aria-label="Results">
            {hits.map((hit, n) => (
              <li id={`hit${n}`} key={n} role="option" aria-selected={n === at} onClick={() => { hit.act(); close(); }}>
                <span>{hit.what}</span> <span class="dim">{hit.where}</span>
              </li>
            ))}
          </ul>
          {words.length > 0 && !hits.length && <p class="dim">No matches.</p>}
        </>
      )}
    </dialog>
  );
}
