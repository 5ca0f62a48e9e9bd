//! pipeline: the series that plimsoll measures itself on this machine. Senders may not write those:
//! a pushed value could not be told from a measured one.

use crate::collect::COLLECTORS;
use crate::collect::JOB;
use crate::model::Labels;
use crate::wire::munin;

/// The prefix of plimsoll's metrics about itself.
const ITSELF: &str = "plimsoll_";

/// Why a sender may not write this series of this machine; nothing: it may.
pub fn reserved(job: &str, name: &str, labels: &Labels) -> Option<String> {
    if [JOB, munin::JOB].contains(&job) {
        return Some(format!(
            "job `{job}` of this machine is what plimsoll measures itself; name another job, or the \
             `instance` that this is of"
        ));
    }
    let same_labels = |names: &[&str]| {
        names.len() == labels.len() && names.iter().all(|name| labels.get(name).is_some())
    };
    let measured = name.starts_with(ITSELF)
        || COLLECTORS
            .iter()
            .flat_map(|c| c.metrics)
            .any(|m| is_name(m.name, name) && same_labels(m.labels));
    measured.then(|| measured_here(name))
}

/// The error for a sender of a series that is measured here.
pub(super) fn measured_here(name: &str) -> String {
    format!(
        "`{name}` is measured by plimsoll itself; choose another name, or name the `instance` that \
         this is of"
    )
}

/// Whether a name fits a pattern in which `*` stands for any part.
fn is_name(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|part| !part.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_collectors_write_is_reserved_and_nothing_else() {
        let labels = |names: &[&str]| Labels::new(names.iter().map(|n| (*n, "x")));
        for (job, name, with, refused) in [
            ("push", "cpu", &[][..], true),
            ("push", "cpu", &["room"], false),
            ("push", "cpu_usage_idle", &[], false),
            ("statsd", "disk", &["mountpoint"], true),
            ("push", "disk", &[], false),
            ("push", "node_memory_Active_file_bytes", &[], true),
            ("push", "plimsoll_up", &["a"], true),
            ("push", "process_cpu_seconds_total", &[], false),
            ("node", "anything", &[], true),
            ("munin", "load", &[], true),
            ("nodes", "anything", &[], false),
        ] {
            assert_eq!(reserved(job, name, &labels(with)).is_some(), refused, "{job} {name}");
        }
    }
}
