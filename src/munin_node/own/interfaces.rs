//! munin_node: `if_NAME` and `if_err_NAME`: traffic and errors of a network device.

use std::fmt::Write;
use std::path::Path;

use super::{lines, put};
use crate::collect::regular;
use crate::munin_node::picture::Picture;
use crate::wire::munin::is_plugin_name;

const BYTES: [(&str, &str); 2] =
    [("down", "node_network_receive_bytes_total"), ("up", "node_network_transmit_bytes_total")];
const ERRORS: [(&str, &str); 4] = [
    ("rcvd", "node_network_receive_errs_total"),
    ("trans", "node_network_transmit_errs_total"),
    ("rxdrop", "node_network_receive_drop_total"),
    ("txdrop", "node_network_transmit_drop_total"),
];

/// The devices that `suggest` of these plugins names: no loopback, no end of a tunnel, no VLAN.
fn is_suggested(device: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let tunnel = device.strip_prefix("sit").is_some_and(digits)
        || device.strip_prefix("gre").is_some_and(|n| n.len() == 1 && digits(n));
    let vlan = device.split_once('.').is_some_and(|(_, number)| digits(number));
    device != "lo" && !tunnel && !vlan && is_plugin_name(device)
}

pub(super) fn names(p: &Picture<'_>, out: &mut Vec<String>) {
    for (series, _) in p.each(BYTES[0].1) {
        let device = series.identity.labels.get("device").unwrap_or_default();
        if is_suggested(device) {
            out.push(format!("if_{device}"));
            out.push(format!("if_err_{device}"));
        }
    }
}

/// The device, and whether its errors are meant; `None` if there is no such device.
fn device<'n>(p: &Picture<'_>, name: &'n str) -> Option<(&'n str, bool)> {
    let there = |device: &&str| {
        p.each(BYTES[0].1).any(|(s, _)| s.identity.labels.get("device") == Some(*device))
    };
    if let Some(device) = name.strip_prefix("if_err_").filter(there) {
        return Some((device, true));
    }
    Some((name.strip_prefix("if_").filter(there)?, false))
}

/// A number from the device's folder in /sys; nothing where the kernel has none.
fn number(sys: &Path, device: &str, file: &str) -> Option<f64> {
    let path = sys.join("class/net").join(device).join(file);
    regular::read_text(&path, 4_096).ok()?.trim().parse().ok()
}

pub(super) fn config(p: &Picture<'_>, sys: &Path, name: &str, out: &mut String) -> bool {
    let Some((device, errors)) = device(p, name) else { return false };
    if errors {
        let _unused = writeln!(out, "graph_order rcvd trans\ngraph_title {device} errors");
        lines(
            out,
            "",
            &[
                "graph_args --base 1000",
                "graph_vlabel packets in (-) / out (+) per ${graph_period}",
                "graph_category network",
                "rcvd.label errors",
                "rcvd.type COUNTER",
                "rcvd.graph no",
                "rcvd.warning 1",
                "trans.label errors",
                "trans.type COUNTER",
                "trans.negative rcvd",
                "trans.warning 1",
                "rxdrop.label drops",
                "rxdrop.type COUNTER",
                "rxdrop.graph no",
                "txdrop.label drops",
                "txdrop.type COUNTER",
                "txdrop.negative rxdrop",
                "collisions.label collisions",
                "collisions.type COUNTER",
            ],
        );
        return true;
    }
    let _unused = writeln!(out, "graph_order down up\ngraph_title {device} traffic");
    lines(
        out,
        "",
        &[
            "graph_args --base 1000",
            "graph_vlabel bits in (-) / out (+) per ${graph_period}",
            "graph_category network",
            "graph_info Bits, not bytes.",
            "down.label received",
            "down.type DERIVE",
            "down.graph no",
            "down.cdef down,8,*",
            "down.min 0",
            "up.label bps",
            "up.type DERIVE",
            "up.negative down",
            "up.cdef up,8,*",
            "up.min 0",
        ],
    );
    // -1 where it is not known, as behind a bridge.
    if let Some(speed) = number(sys, device, "speed").filter(|mbit| *mbit > 0.0) {
        let most = super::number(speed * 1e6, true);
        let _unused =
            writeln!(out, "up.max {most}\nup.info At most {speed} Mb/s.\ndown.max {most}");
    }
    true
}

pub(super) fn values(p: &Picture<'_>, sys: &Path, name: &str, out: &mut String) -> bool {
    let Some((device, errors)) = device(p, name) else { return false };
    let fields: &[(&str, &str)] = if errors { &ERRORS } else { &BYTES };
    for (field, metric) in fields {
        put(out, field, p.sum(metric, "device", device).unwrap_or(f64::NAN), true);
    }
    if errors {
        // Nobody collects these, because shared cables are gone.
        let collisions = number(sys, device, "statistics/collisions");
        put(out, "collisions", collisions.unwrap_or(f64::NAN), true);
    }
    true
}

#[cfg(test)]
mod tests {
    #[test]
    fn devices_that_are_worth_a_graph() {
        for (device, is) in [
            ("eth0", true),
            ("enp3s0", true),
            ("docker0", true),
            ("lo", false),
            ("sit0", false),
            ("gre0", false),
            ("eth0.100", false),
            ("a b", false),
        ] {
            assert_eq!(super::is_suggested(device), is, "{device}");
        }
    }
}
