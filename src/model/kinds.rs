//! model: the kinds of node_exporter's untyped series. It passes these numbers on under the
//! kernel's names and calls them `untyped`, so neither the sender nor the name says whether they
//! only grow. A counter that is taken for a gauge misleads: one process killed since boot would
//! look like one killed now.

use super::Kind;

/// The members of a family that are exceptions to its kind.
enum But {
    /// No exception.
    Nothing,
    /// Names, or beginnings or ends of names.
    Names(&'static [&'static str]),
    Starts(&'static [&'static str]),
    Ends(&'static [&'static str]),
}

/// The beginning of the names of a family, its kind, and the exceptions. The first match counts.
static FAMILIES: &[(&str, Kind, But)] = &[
    // Page statistics that count events although their names suggest numbers of pages.
    (
        "node_vmstat_nr_",
        Kind::Gauge,
        But::Names(&[
            "dirtied",
            "written",
            "throttled_written",
            "vmscan_write",
            "vmscan_immediate_reclaim",
            "foll_pin_acquired",
            "foll_pin_released",
        ]),
    ),
    ("node_vmstat_", Kind::Counter, But::Names(&["workingset_nodes"])),
    (
        "node_netstat_",
        Kind::Counter,
        But::Ends(&[
            "_CurrEstab",
            "_Forwarding",
            "_DefaultTTL",
            "_RtoAlgorithm",
            "_RtoMin",
            "_RtoMax",
            "_MaxConn",
        ]),
    ),
    ("node_sysctl_", Kind::Gauge, But::Nothing),
    ("node_zfs_abd_", Kind::Gauge, But::Ends(&["_retry", "_multi_chunk", "_multi_zone"])),
    (
        "node_zfs_arc_",
        Kind::Gauge,
        But::Ends(&[
            "_hits",
            "_misses",
            "_miss",
            "_collisions",
            "_deleted",
            "_reads",
            "_prune",
            "_cached",
            "_eligible",
            "_ineligible",
            "_skip",
            "_enough",
            "_lowmem",
            "_on_write",
            "_bad",
            "_failures",
            "_successes",
            "_zeros",
            "_l1cached",
            "_retry",
            "_reading",
            "_feeds",
            "_error",
            "_read_bytes",
            "_write_bytes",
            "_clash",
            "_done",
            "_sent",
            "_direct_count",
            "_indirect_count",
            "_throttle_count",
        ]),
    ),
    (
        "node_zfs_dbuf_",
        Kind::Gauge,
        But::Ends(&["_hits", "_misses", "_collisions", "_race", "_total_evicts"]),
    ),
    ("node_zfs_zpool_", Kind::Counter, But::Starts(&["rcnt", "wcnt", "state"])),
    ("node_zfs_", Kind::Counter, But::Nothing),
];

/// The kind of one of node_exporter's untyped series; `None` for other names.
pub(super) fn untyped(name: &str) -> Option<Kind> {
    // Nearly every name ends here.
    let first = name.strip_prefix("node_")?.as_bytes().first()?;
    if !matches!(first, b'v' | b'n' | b's' | b'z') {
        return None;
    }
    let (rest, kind, but) = FAMILIES
        .iter()
        .find_map(|(starts, kind, but)| Some((name.strip_prefix(starts)?, *kind, but)))?;
    let other = match but {
        But::Nothing => false,
        But::Names(names) => names.contains(&rest),
        But::Starts(starts) => starts.iter().any(|s| rest.starts_with(s)),
        But::Ends(ends) => ends.iter().any(|e| name.ends_with(e)),
    };
    Some(match (kind, other) {
        (kind, false) => kind,
        (Kind::Gauge, true) => Kind::Counter,
        (Kind::Counter, true) => Kind::Gauge,
    })
}

impl Kind {
    /// The kind of a series without a description, from its name: node_exporter's untyped series
    /// are listed, others follow the naming convention.
    pub fn guess(name: &str) -> Self {
        if let Some(kind) = untyped(name) {
            return kind;
        }
        if name.ends_with("_total") { Kind::Counter } else { Kind::Gauge }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_counts_and_what_it_measures() {
        let counters = "node_vmstat_oom_kill node_vmstat_pgfault node_vmstat_pswpin \
            node_vmstat_nr_dirtied node_netstat_Tcp_RetransSegs node_netstat_Udp_InErrors \
            node_netstat_IpExt_InOctets node_netstat_TcpExt_ListenDrops node_zfs_arc_hits \
            node_zfs_arc_l2_read_bytes node_zfs_zil_zil_commit_count node_zfs_zpool_reads \
            node_zfs_dmu_tx_dmu_tx_assigned node_zfs_dbuf_hash_misses";
        let gauges = "node_vmstat_nr_free_pages node_vmstat_workingset_nodes \
            node_netstat_Tcp_CurrEstab node_netstat_Ip_Forwarding node_netstat_Tcp_MaxConn \
            node_sysctl_fs_file_nr_total node_zfs_arc_size node_zfs_arc_c_max node_zfs_zpool_rcnt \
            node_zfs_arc_memory_available_bytes node_zfs_dbuf_dbuf_cache_level_1_bytes \
            node_zfs_abd_linear_cnt";
        let all = |names: &str| names.split(' ').map(untyped).collect::<Vec<_>>();
        assert!(all(counters).iter().all(|k| *k == Some(Kind::Counter)), "{:?}", all(counters));
        assert!(all(gauges).iter().all(|k| *k == Some(Kind::Gauge)), "{:?}", all(gauges));
        for other in ["node_load1", "node_network_up", "vmstat_pgfault", "node_", "node"] {
            assert_eq!(untyped(other), None);
        }
    }
}
