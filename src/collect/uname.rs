//! collect: the names of the kernel and of this machine.

use super::scan::name;
use super::{CollectError, Collector, Entry, Settings};
use crate::model::{Metric, Recorder};

/// Its metrics.
pub static METRICS: [Metric; 1] =
    [Metric::gauge("node_uname_info", "", "Always 1; its labels name kernel and machine.").by(&[
        "domainname",
        "machine",
        "nodename",
        "release",
        "sysname",
        "version",
    ])];

struct Uname;

/// Its row in the table of collectors.
pub const ENTRY: Entry = Entry::new("uname", "kernel and machine", &METRICS, make);

/// The system call, not /proc/sys/kernel: only it knows the architecture on kernels before 6.1.
fn make(_: &Settings) -> Box<dyn Collector> {
    Box::new(Uname)
}

impl Collector for Uname {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        let uname = rustix::system::uname();
        let labels = [
            uname.domainname(),
            uname.machine(),
            uname.nodename(),
            uname.release(),
            uname.sysname(),
            uname.version(),
        ]
        .map(|label| name(label.to_bytes()));
        out.put_with(&METRICS[0], &labels.each_ref().map(|label| &**label), 1.0);
        Ok(())
    }
}
