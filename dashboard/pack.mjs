// Packs what Vite has built into dist/, which is committed and goes into the binary: each file as
// brotli and as gzip, and one version of all of them, which stands in their addresses.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const to = process.argv[2] ?? "dist";
const read = (name) => readFileSync(`build/${name}`);
const names = ["page.js", "page.css", "icon.svg", "index.html"];
const hash = createHash("sha256");
for (const name of names) hash.update(read(name));
const version = hash.digest("hex").slice(0, 12);
rmSync(to, { recursive: true, force: true });
mkdirSync(to, { recursive: true });
let wire = 0;
for (const name of names) {
  let bytes = read(name);
  if (name === "index.html") bytes = Buffer.from(bytes.toString().replaceAll("/VERSION/", `/${version}/`));
  const brotli = brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  });
  wire += brotli.length;
  writeFileSync(`${to}/${name}.br`, brotli);
  writeFileSync(`${to}/${name}.gz`, gzipSync(bytes, { level: 9 }));
}
writeFileSync(`${to}/version.txt`, version);
console.log(`${to}: ${version}, ${wire} bytes over the wire`);
