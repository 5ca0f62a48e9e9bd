import { defineConfig } from "vite";

/** uPlot makes formatters of numbers and time zones as it is loaded, which this page never uses and
 * for which a browser first reads its tables of languages: 40 ms of the 300 until the first chart. */
const withoutTables = {
  name: "uplot-without-tables",
  transform(code, id) {
    if (!id.endsWith("uPlot.esm.js")) return null;
    const number = /const numFormatter = (new Intl\.NumberFormat\([^;]*\));/, zone = /const localTz = ([^;]*);/;
    const made = number.exec(code)?.[1], local = zone.exec(code)?.[1];
    const formats = "const fmtNum = val => numFormatter.format(val);", asks = "tz == localTz";
    if (!made || !local || !code.includes(formats) || !code.includes(asks)) throw new Error("uPlot is another one: look at what it makes as it is loaded");
    return code
      .replace(number, "let numFormatter;").replace(formats, `const fmtNum = val => (numFormatter ??= ${made}).format(val);`)
      .replace(zone, "").replace(asks, `tz == ${local}`);
  },
};

// One script and one style sheet under fixed names; pack.mjs gives them the address that changes.
export default defineConfig({
  base: "/assets/VERSION/",
  plugins: [withoutTables],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "build",
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      output: {
        entryFileNames: "page.js",
        assetFileNames: (asset) => (asset.names[0]?.endsWith(".css") ? "page.css" : "[name][extname]"),
      },
    },
  },
});
