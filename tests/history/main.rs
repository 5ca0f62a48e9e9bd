//! tests: history that others wrote, imported, against what their own tools say of it: rrdtool,
//! collectd, sysstat. Each value at each time.

#[path = "../daemon/support.rs"]
#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

mod charts;
mod collectd;
mod munin;
mod rrd;
mod sar;
mod tool;
