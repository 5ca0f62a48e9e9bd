//! munin_node: a flat table of the plugins whose fields are always the same.

use std::fmt::Write;

use super::{Field, Plain, number};
use crate::model::uptime_ms;
use crate::munin_node::picture::Picture;

const fn gauge(
    name: &'static str,
    about: &'static [&'static str],
    value: fn(&Picture<'_>) -> Option<f64>,
) -> Field {
    Field { name, about, counter: false, value }
}

const fn counter(
    name: &'static str,
    about: &'static [&'static str],
    value: fn(&Picture<'_>) -> Option<f64>,
) -> Field {
    Field { name, about, counter: true, value }
}

/// Hundredths of a second of all CPUs together.
fn cpu(p: &Picture<'_>, mode: &str) -> Option<f64> {
    p.sum("node_cpu_seconds_total", "mode", mode).map(|seconds| seconds * 100.0)
}

/// Memory that is neither free nor used by the kernel.
fn apps(p: &Picture<'_>) -> Option<f64> {
    let others = ["MemFree", "Buffers", "Cached", "Slab", "PageTables", "Percpu", "SwapCached"];
    let taken: f64 = others.iter().filter_map(|field| p.memory(field)).sum();
    Some(p.memory("MemTotal")? - taken)
}

pub(super) static PLAIN: &[Plain] = &[
    Plain {
        name: "load",
        graph: &[
            "title Load average",
            "args --base 1000 -l 0",
            "vlabel load",
            "scale no",
            "category system",
            "info How many tasks ran, or waited to, on average.",
        ],
        fields: &[gauge("load", &["label load", "info Mean of five minutes."], |p| {
            p.one("node_load5")
        })],
    },
    Plain {
        name: "memory",
        graph: &[
            "title Memory usage",
            "vlabel Bytes",
            "category system",
            "order apps page_tables per_cpu swap_cache slab shmem cached buffers free swap",
            "info Who has the machine's memory.",
        ],
        fields: &[
            gauge(
                "apps",
                &["label apps", "draw AREA", "colour COLOUR0", "info Held by programs."],
                apps,
            ),
            gauge(
                "page_tables",
                &[
                    "label page_tables",
                    "draw STACK",
                    "colour COLOUR1",
                    "info Tables of where pages lie.",
                ],
                |p| p.memory("PageTables"),
            ),
            gauge(
                "per_cpu",
                &["label per_cpu", "draw STACK", "colour COLOUR20", "info Of each CPU for itself."],
                |p| p.memory("Percpu"),
            ),
            gauge(
                "swap_cache",
                &[
                    "label swap_cache",
                    "draw STACK",
                    "colour COLOUR2",
                    "info Back from swap, and still there unchanged.",
                ],
                |p| p.memory("SwapCached"),
            ),
            gauge(
                "slab",
                &["label slab_cache", "draw STACK", "colour COLOUR3", "info The kernel's objects."],
                |p| p.memory("Slab"),
            ),
            gauge(
                "shmem",
                &[
                    "label shmem",
                    "draw STACK",
                    "colour COLOUR9",
                    "info Shared between programs, and tmpfs.",
                ],
                |p| p.memory("Shmem"),
            ),
            gauge(
                "cached",
                &["label cache", "draw STACK", "colour COLOUR4", "info Contents of files."],
                |p| Some(p.memory("Cached")? - p.memory("Shmem").unwrap_or(0.0)),
            ),
            gauge(
                "buffers",
                &["label buffers", "draw STACK", "colour COLOUR5", "info Blocks of disks."],
                |p| p.memory("Buffers"),
            ),
            gauge(
                "free",
                &["label unused", "draw STACK", "colour COLOUR6", "info Of no use at present."],
                |p| p.memory("MemFree"),
            ),
            gauge(
                "swap",
                &["label swap", "draw STACK", "colour COLOUR7", "info Put out to swap."],
                |p| Some(p.memory("SwapTotal")? - p.memory("SwapFree")?),
            ),
            gauge(
                "vmalloc_used",
                &[
                    "label vmalloc_used",
                    "draw LINE2",
                    "colour COLOUR8",
                    "info Mapped by the kernel for itself.",
                ],
                |p| p.memory("VmallocUsed"),
            ),
            gauge(
                "committed",
                &[
                    "label committed",
                    "draw LINE2",
                    "colour COLOUR10",
                    "info Promised to programs, used or not.",
                ],
                |p| p.memory("Committed_AS"),
            ),
            gauge(
                "mapped",
                &["label mapped", "draw LINE2", "colour COLOUR11", "info Files in programs."],
                |p| p.memory("Mapped"),
            ),
            gauge(
                "active",
                &["label active", "draw LINE2", "colour COLOUR12", "info Used a short while ago."],
                |p| p.memory("Active"),
            ),
            gauge(
                "inactive",
                &["label inactive", "draw LINE2", "colour COLOUR15", "info The first to be taken."],
                |p| p.memory("Inactive"),
            ),
        ],
    },
    Plain {
        name: "cpu",
        graph: &[
            "title CPU usage",
            "order system user nice idle iowait irq softirq",
            "vlabel %",
            "scale no",
            "category system",
            "period second",
            "info What the CPUs did with their time.",
        ],
        fields: &[
            counter(
                "system",
                &["label system", "draw AREA", "min 0", "type DERIVE", "info In the kernel."],
                |p| cpu(p, "system"),
            ),
            counter(
                "user",
                &["label user", "draw STACK", "min 0", "type DERIVE", "info In programs."],
                |p| cpu(p, "user"),
            ),
            counter(
                "nice",
                &["label nice", "draw STACK", "min 0", "type DERIVE", "info In those that yield."],
                |p| cpu(p, "nice"),
            ),
            counter(
                "idle",
                &["label idle", "draw STACK", "min 0", "type DERIVE", "info Nothing to do."],
                |p| cpu(p, "idle"),
            ),
            counter(
                "iowait",
                &["label iowait", "draw STACK", "min 0", "type DERIVE", "info For want of a disk."],
                |p| cpu(p, "iowait"),
            ),
            counter(
                "irq",
                &["label irq", "draw STACK", "min 0", "type DERIVE", "info Interrupts."],
                |p| cpu(p, "irq"),
            ),
            counter(
                "softirq",
                &["label softirq", "draw STACK", "min 0", "type DERIVE", "info Interrupts' rest."],
                |p| cpu(p, "softirq"),
            ),
            counter(
                "steal",
                &["label steal", "draw STACK", "min 0", "type DERIVE", "info Given to others."],
                |p| cpu(p, "steal"),
            ),
            // It is part of another value here; the field exists for graphs that have it.
            counter(
                "guest",
                &["label guest", "draw STACK", "min 0", "type DERIVE", "info Part of user."],
                |p| cpu(p, "steal").map(|_| f64::NAN),
            ),
        ],
    },
    Plain {
        name: "swap",
        graph: &[
            "title Swap in/out",
            "args -l 0 --base 1000",
            "vlabel pages per ${graph_period} in (-) / out (+)",
            "category system",
        ],
        fields: &[
            counter(
                "swap_in",
                &["label swap", "type DERIVE", "max 100000", "min 0", "graph no"],
                |p| p.one("node_vmstat_pswpin"),
            ),
            counter(
                "swap_out",
                &["label swap", "type DERIVE", "max 100000", "min 0", "negative swap_in"],
                |p| p.one("node_vmstat_pswpout"),
            ),
        ],
    },
    Plain {
        name: "uptime",
        graph: &[
            "title Uptime",
            "args --base 1000 -l 0",
            "scale no",
            "vlabel uptime in days",
            "category system",
        ],
        fields: &[gauge("uptime", &["label uptime", "draw AREA"], |p| {
            let up = uptime_ms(p.one("node_boot_time_seconds")?, p.now)?;
            let days = up as f64 / 86_400_000.0;
            Some((days * 100.0).round() / 100.0)
        })],
    },
    Plain {
        name: "forks",
        graph: &[
            "title Fork rate",
            "args --base 1000 -l 0",
            "vlabel forks / ${graph_period}",
            "category processes",
        ],
        fields: &[counter("forks", &["label forks", "type DERIVE", "min 0", "max 100000"], |p| {
            p.one("node_forks_total")
        })],
    },
    Plain {
        name: "interrupts",
        graph: &[
            "title Interrupts and context switches",
            "args --base 1000 -l 0",
            "vlabel interrupts & ctx switches / ${graph_period}",
            "category system",
        ],
        fields: &[
            counter("intr", &["label interrupts", "type DERIVE", "min 0"], |p| {
                p.one("node_intr_total")
            }),
            counter("ctx", &["label context switches", "type DERIVE", "min 0"], |p| {
                p.one("node_context_switches_total")
            }),
        ],
    },
    Plain {
        name: "open_files",
        graph: &[
            "title File table usage",
            "args --base 1000 -l 0",
            "vlabel number of open files",
            "category system",
        ],
        fields: &[gauge("used", &["label open files"], |p| p.one("node_filefd_allocated"))],
    },
];

/// The parts of `config` that depend on the machine.
pub(super) fn config_more(name: &str, p: &Picture<'_>, out: &mut String) {
    let _unused = match name {
        "memory" => {
            let total = p.memory("MemTotal").filter(|t| t.is_finite()).unwrap_or(0.0);
            writeln!(out, "graph_args --base 1024 -l 0 --upper-limit {}", number(total, true))
        }
        "cpu" => {
            let user = |s: &crate::model::Series| s.identity.labels.get("mode") == Some("user");
            let cpus = p.each("node_cpu_seconds_total").filter(|(s, _)| user(s)).count();
            let limit = cpus * 100;
            writeln!(out, "graph_args --base 1000 -r --lower-limit 0 --upper-limit {limit}")
        }
        "open_files" => match p.one("node_filefd_maximum").filter(|m| m.is_finite()) {
            Some(most) => writeln!(
                out,
                "used.warning {}\nused.critical {}",
                number((most * 0.92).floor(), true),
                number((most * 0.98).floor(), true)
            ),
            None => Ok(()),
        },
        _ => Ok(()),
    };
}
