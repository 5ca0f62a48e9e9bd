//! config: this machine's name.

/// The host name, for a configuration that gives no other.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
