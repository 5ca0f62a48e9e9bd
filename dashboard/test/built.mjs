// The page's sources as Vite builds them, in memory: single modules to be called, and all of it to
// be compared with what is committed.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { build } from "vite";

const root = new URL("..", import.meta.url).pathname;

/** A module's exports. */
export async function module(name) {
  const out = await build({
    root, configFile: false, logLevel: "error",
    build: { write: false, minify: false, lib: { entry: `src/${name}`, formats: ["es"], fileName: "out" } },
  });
  const { code } = out[0].output[0];
  globalThis.addEventListener ??= () => {};
  globalThis.navigator ??= { language: "en" };
  return import(`data:text/javascript,${encodeURIComponent(code)}`);
}

/** Every file of dist/ before it is packed. */
export async function all() {
  const { output } = await build({ root, logLevel: "error", build: { write: false } });
  const files = {};
  for (const one of output) files[one.fileName] = Buffer.from(one.code ?? one.source);
  files["icon.svg"] = readFileSync(`${root}/public/icon.svg`);
  const hash = createHash("sha256");
  for (const name of ["page.js", "page.css", "icon.svg", "index.html"]) hash.update(files[name]);
  const version = hash.digest("hex").slice(0, 12);
  files["index.html"] = Buffer.from(files["index.html"].toString().replaceAll("/VERSION/", `/${version}/`));
  files["version.txt"] = Buffer.from(version);
  return files;
}
