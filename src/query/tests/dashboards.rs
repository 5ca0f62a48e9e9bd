//! query: expressions of the shape that the public dashboards for node_exporter ask.

use crate::query::{parse, print::pretty};

/// `$node` and `$job` are filled in, as Grafana does before it asks.
const EXPRESSIONS: &[&str] = &[
    r#"100 * (1 - avg(rate(node_cpu_seconds_total{mode="idle", instance="host"}[1m0s])))"#,
    r#"scalar(node_load1{instance="host",job="node"}) * 100 / count(count(node_cpu_seconds_total{instance="host",job="node"}) by (cpu))"#,
    r#"(1 - (node_memory_MemAvailable_bytes{instance="host", job="node"} / node_memory_MemTotal_bytes{instance="host", job="node"})) * 100"#,
    r#"((node_memory_SwapTotal_bytes{instance="host"} - node_memory_SwapFree_bytes{instance="host"}) / (node_memory_SwapTotal_bytes{instance="host"})) * 100"#,
    r#"100 - ((node_filesystem_avail_bytes{instance="host",mountpoint="/",fstype!="rootfs"} * 100) / node_filesystem_size_bytes{instance="host",mountpoint="/",fstype!="rootfs"})"#,
    r#"node_time_seconds{instance="host",job="node"} - node_boot_time_seconds{instance="host",job="node"}"#,
    r#"sum(irate(node_cpu_seconds_total{instance="host",job="node", mode="system"}[1m])) / scalar(count(count(node_cpu_seconds_total{instance="host",job="node"}) by (cpu)))"#,
    r#"sum by(instance) (irate(node_cpu_seconds_total{instance="host",job="node", mode!='idle',mode!='user',mode!='iowait',mode!='irq',mode!='softirq'}[1m])) / on(instance) group_left sum by (instance)((irate(node_cpu_seconds_total{instance="host",job="node"}[1m])))"#,
    r#"node_memory_MemTotal_bytes - node_memory_MemFree_bytes - (node_memory_Cached_bytes + node_memory_Buffers_bytes + node_memory_SReclaimable_bytes)"#,
    r#"rate(node_network_receive_bytes_total{instance="host"}[1m])*8"#,
    r#"-rate(node_network_transmit_bytes_total{device!~"lo|veth.*|docker.*"}[1m])*8"#,
    r#"irate(node_disk_reads_completed_total{instance="host",device=~"[a-z]+|nvme[0-9]+n[0-9]+|mmcblk[0-9]+"}[5m])"#,
    r#"irate(node_disk_io_time_seconds_total{device=~"(sd[a-z]+|nvme\\d+n\\d+)"} [1m])"#,
    r#"irate(node_disk_read_time_seconds_total[1m]) / irate(node_disk_reads_completed_total[1m])"#,
    r#"node_hwmon_temp_celsius{instance="host"} * on(chip) group_left(chip_name) node_hwmon_chip_names{instance="host"}"#,
    r#"irate(node_vmstat_pgfault{instance="host"}[1m]) - irate(node_vmstat_pgmajfault{instance="host"}[1m])"#,
    r#"irate(node_pressure_cpu_waiting_seconds_total{instance="host"}[$__rate_interval])"#,
    r#"node_filefd_allocated / node_filefd_maximum"#,
    r#"node_sockstat_TCP_mem_bytes{instance="host",job="node"}"#,
    r#"irate(node_netstat_Tcp_RetransSegs[1m]) / irate(node_netstat_Tcp_OutSegs[1m])"#,
    r#"node_uname_info{instance="host"} * on (instance) group_left (pretty_name) node_os_info"#,
    r#"predict_linear(node_filesystem_avail_bytes{fstype!~"tmpfs|overlay"}[6h], 4 * 3600) < 0"#,
    r#"topk(5, max_over_time(rate(node_cpu_seconds_total{mode="iowait"}[5m])[1h:1m]))"#,
    r#"histogram_quantile(0.99, sum by (le, job) (rate(http_request_duration_seconds_bucket[5m]))) > 0.5 and on (job) up == 1"#,
    r#"label_replace(node_load1, "host", "$1", "instance", "([^:]+):.*")"#,
    r#"max by (mountpoint) (1 - node_filesystem_avail_bytes / (node_filesystem_size_bytes != 0)) > bool .9"#,
    r#"count(node_cpu_seconds_total{mode='idle'}) without (cpu,mode) or vector(0)"#,
    r#"absent(up{job="node"} offset 1h) unless on() (vector(time()) % 86400 < 3600)"#,
    r#"{__name__=~"node_(load1|load5|load15)",instance="host"}"#,
    r#"sum_over_time({"disk.used", "mount.point"="/"}[1d] @ end())"#,
];

#[test]
fn what_dashboards_ask_is_read() {
    for text in EXPRESSIONS {
        let text = text.replace("$__rate_interval", "1m0s");
        let expr = parse(&text).unwrap_or_else(|e| panic!("{}", e.shown(&text)));
        for printed in [expr.to_string(), pretty(&expr)] {
            let again = parse(&printed).unwrap_or_else(|e| panic!("{}", e.shown(&printed)));
            assert_eq!(again.to_string(), expr.to_string(), "{text}");
        }
    }
}
