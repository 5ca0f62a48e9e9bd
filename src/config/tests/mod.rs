//! config: its tests, with a list of collectors of their own.

mod file;
mod messages;
mod munin;
mod sample;
mod senders;
mod values;

/// So that these tests do not change with the collectors.
const KNOWN: [&str; 17] = [
    "loadavg",
    "meminfo",
    "filesystem",
    "cpu",
    "stat",
    "time",
    "diskstats",
    "netdev",
    "vmstat",
    "pressure",
    "filefd",
    "sockstat",
    "netstat",
    "hwmon",
    "uname",
    "os",
    "textfile",
];
