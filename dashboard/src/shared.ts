// Tables that the page shares with the terminal and with pictures. Made by the test in
// src/draw/shared.rs out of the tables in Rust: do not edit.

/** Sizes in bytes, each 1024 times the one before. */
export const BINARY: string[] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
/** Prefixes of counts, each a thousand times the one before. */
export const LARGE: string[] = ["", "k", "M", "G", "T", "P", "E"];
/** Prefixes of seconds below one, each a thousandth of the one before. */
export const SMALL: string[] = ["", "m", "µ", "n", "p"];
/** Times above a minute, in seconds. */
export const TIMES: [string, number][] = [["y", 31557600], ["d", 86400], ["h", 3600], ["min", 60]];
/** How long a time charts show, ms; 0 is everything. */
export const RANGES: [string, number, string][] = [["5m", 300000, "5 minutes"], ["1h", 3600000, "1 hour"], ["6h", 21600000, "6 hours"], ["24h", 86400000, "24 hours"], ["7d", 604800000, "7 days"], ["30d", 2592000000, "30 days"], ["1y", 31536000000, "1 year"], ["all", 0, "everything"]];
/** Colours of lines. */
export const LIGHT: string[] = ["#0072b2", "#d55e00", "#008f68", "#b85cb0", "#a87b00", "#3594cf", "#5b4bb3", "#6b727a"];
/** Colours of lines. */
export const DARK: string[] = ["#4fa8e6", "#f2883f", "#2fc79c", "#e88fd8", "#e8bd48", "#93d0f7", "#a79cf2", "#b4bcc5"];
/** What always has the same meaning has the same colour. */
export const MEANT: Record<string, number> = { used: 0, cache: 5, free: 7, user: 0, system: 1, iowait: 6, steal: 3, nice: 5, softirq: 4, irq: 7, disks: 1, memory: 3 };
