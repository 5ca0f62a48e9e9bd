// Questions to the daemon, the types of its answers, and its errors.
import { signal } from "@preact/signals";

export interface Spec {
  id: string;
  title: string;
  unit?: string;
  group?: string;
  help?: string;
  stack?: 1;
  top?: number;
  marks?: [number, string][];
  more?: number;
  lines: string[];
}
export interface Finding {
  level: "warning" | "bad";
  since: number | null;
  until: number | null;
  subject: string;
  text: string;
  chart?: string;
}
export interface Judged {
  now: number;
  verdict: { level: "well" | "warning" | "bad"; words: string; newest: number | null; findings: Finding[] };
  forecasts: Record<string, { at: number; day: number }>;
}
export interface Overview extends Judged {
  version: string;
  host: string;
  hosts: string[];
  charts: Spec[];
}
export interface LineData {
  /** Buckets that begin further apart than this, ms, are not joined. */
  gap: number;
  m: (number | null)[];
  lo?: (number | null)[];
  hi?: (number | null)[];
}
export interface ChartAnswer {
  from: number;
  to: number;
  start: number;
  width: number;
  count: number;
  charts: { id: string; lines: LineData[] }[];
}
export interface Host {
  name: string;
  level: "well" | "warning" | "bad";
  newest: number | null;
  /** It is silent for so long, or was forgotten, that nobody is alarmed. */
  gone?: 1;
  text: string;
  load: number | null;
  memory: number | null;
  disk: number | null;
}
export interface Happened {
  t: number;
  kind: string;
  level: string;
  title: string;
  text?: string;
}

/** `ok`; `lost`: no answer since `since`; `denied`: a token is needed. */
export const link = signal<{ state: "ok" | "lost" | "denied"; since: number; why: string }>({
  state: "ok", since: 0, why: "",
});

export class Refused extends Error {
  constructor(public status: number, message: string) {
    super(message);
  }
}

export function lost(why: string) {
  if (link.value.state !== "lost") link.value = { state: "lost", since: Date.now(), why };
}

export function found() {
  if (link.value.state !== "ok") link.value = { state: "ok", since: 0, why: "" };
}

/** Asks the daemon. Throws `Refused` if the daemon refuses, and records when it does not answer. */
export async function ask<T>(path: string, signal?: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, { signal });
  } catch (e) {
    if (!signal?.aborted) lost("no answer");
    throw e;
  }
  if (response.status === 401 || response.status === 403) {
    const said = await response.json().catch(() => ({}));
    link.value = { state: "denied", since: Date.now(), why: String(said.error ?? "") };
    throw new Refused(response.status, "a token is wanted");
  }
  const text = await response.text();
  let body: any = null;
  try {
    body = JSON.parse(text);
  } catch {
    // Handled below.
  }
  if (!response.ok || body === null) {
    found();
    throw new Refused(response.status, String(body?.error ?? (text || response.statusText)).trim());
  }
  found();
  return body as T;
}

/** Tells the daemon something, and returns its words. Throws with its words if it refuses. */
export async function send(path: string, body: unknown): Promise<string> {
  const response = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(String(answer.error ?? response.statusText));
  return String(answer.said ?? "");
}
