//! overview: the charts of the first view, in the order in which one looks at them. A flat table:
//! another chart is another row.

/// How a line is made of the series of one metric.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick {
    /// Added up with these factors; all of them have to be there, unless it is a rate.
    pub(super) metrics: &'static [(&'static str, f64)],
    /// The name of the line; `{label}` is replaced by the value of that label, and makes a line for
    /// each.
    pub(super) name: &'static str,
    /// Drawn below zero, as the other direction.
    pub(super) down: bool,
}

/// A chart of the first view.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Names the chart in addresses; with `each`, followed by a colon and the label's value.
    pub(super) id: &'static str,
    /// `{label}` is replaced as in a line's name.
    pub(super) title: &'static str,
    /// The unit after scaling: `percent`, `bytes`, `bytes/s`, `celsius`, or empty.
    pub(super) unit: &'static str,
    /// The label whose values have a chart each.
    pub(super) each: Option<&'static str>,
    /// Whether counters are shown as rates.
    pub(super) rate: bool,
    /// The factor of all values.
    pub(super) scale: Scale,
    /// Areas on top of each other, not lines.
    pub(super) stack: bool,
    /// The fixed end of the axis.
    pub(super) top: Option<f64>,
    /// A threshold line.
    pub(super) mark: Option<Mark>,
    /// The metric of the remainder, for something that is used up; or empty.
    pub(super) left: &'static str,
    /// Its lines, from the bottom.
    pub(super) picks: &'static [Pick],
}

/// The factor of the values.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scale {
    /// A number.
    By(f64),
    /// A hundred, divided by the number of CPUs: seconds of all of them as percent.
    PerCpu,
}

/// The place of a threshold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark {
    /// At the number of CPUs.
    Cpus,
    /// At the warning limit of the rule for each line of the chart, in percent.
    Warning,
}

const fn pick(metrics: &'static [(&'static str, f64)], name: &'static str) -> Pick {
    Pick { metrics, name, down: false }
}

const fn down(metrics: &'static [(&'static str, f64)], name: &'static str) -> Pick {
    Pick { metrics, name, down: true }
}

const fn row(id: &'static str, title: &'static str, unit: &'static str) -> Row {
    Row {
        id,
        title,
        unit,
        each: None,
        rate: false,
        scale: Scale::By(1.0),
        stack: false,
        top: None,
        mark: None,
        left: "",
        picks: &[],
    }
}

/// Devices that repeat the traffic of others.
pub(super) const LEFT_OUT: &[(&str, &[&str])] = &[(
    "device",
    &["lo", "veth", "br-", "docker", "virbr", "cali", "flannel", "loop", "ram", "zram"],
)];

/// See the file's text.
pub(super) static ROWS: &[Row] = &[
    Row {
        mark: Some(Mark::Cpus),
        picks: &[
            pick(&[("node_load1", 1.0)], "1 min"),
            pick(&[("node_load5", 1.0)], "5 min"),
            pick(&[("node_load15", 1.0)], "15 min"),
        ],
        ..row("load", "Load", "")
    },
    Row {
        stack: true,
        picks: &[
            pick(
                &[("node_memory_MemTotal_bytes", 1.0), ("node_memory_MemAvailable_bytes", -1.0)],
                "used",
            ),
            pick(
                &[("node_memory_MemAvailable_bytes", 1.0), ("node_memory_MemFree_bytes", -1.0)],
                "cache",
            ),
            pick(&[("node_memory_MemFree_bytes", 1.0)], "free"),
        ],
        ..row("memory", "Memory", "bytes")
    },
    Row {
        each: Some("mountpoint"),
        top: Some(100.0),
        mark: Some(Mark::Warning),
        left: "node_filesystem_avail_bytes",
        picks: &[pick(&[("disk", 1.0)], "used")],
        ..row("disk", "Disk {mountpoint}", "percent")
    },
    Row {
        rate: true,
        scale: Scale::PerCpu,
        stack: true,
        top: Some(100.0),
        picks: &[pick(&[("node_cpu_seconds_total", 1.0)], "{mode}")],
        ..row("cpu", "CPU", "percent")
    },
    Row {
        rate: true,
        picks: &[
            pick(&[("node_network_receive_bytes_total", 1.0)], "{device} in"),
            down(&[("node_network_transmit_bytes_total", 1.0)], "{device} out"),
        ],
        ..row("network", "Network", "bytes/s")
    },
    Row {
        rate: true,
        picks: &[
            pick(&[("node_disk_read_bytes_total", 1.0)], "{device} read"),
            down(&[("node_disk_written_bytes_total", 1.0)], "{device} written"),
        ],
        ..row("io", "Disk I/O", "bytes/s")
    },
    Row {
        rate: true,
        scale: Scale::By(100.0),
        top: Some(100.0),
        picks: &[pick(&[("node_disk_io_time_seconds_total", 1.0)], "{device}")],
        ..row("busy", "Disks busy", "percent")
    },
    Row {
        rate: true,
        scale: Scale::By(100.0),
        picks: &[
            pick(&[("node_pressure_cpu_waiting_seconds_total", 1.0)], "CPU"),
            pick(&[("node_pressure_io_waiting_seconds_total", 1.0)], "disks"),
            pick(&[("node_pressure_memory_waiting_seconds_total", 1.0)], "memory"),
        ],
        ..row("pressure", "Pressure: time spent waiting", "percent")
    },
    Row {
        picks: &[pick(
            &[("node_memory_SwapTotal_bytes", 1.0), ("node_memory_SwapFree_bytes", -1.0)],
            "used",
        )],
        ..row("swap", "Swap", "bytes")
    },
    Row {
        picks: &[pick(&[("node_hwmon_temp_celsius", 1.0)], "{chip} {sensor}")],
        ..row("temperature", "Temperatures", "celsius")
    },
];
