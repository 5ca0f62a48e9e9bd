//! daemon: the interval of a collector or a plugin.

/// The rate of one collector or plugin, as `plimsoll interval` shows it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Rate {
    /// Its name.
    pub collector: String,
    /// Milliseconds between readings now.
    pub interval_ms: i64,
    /// The configured interval.
    pub configured_ms: i64,
    /// Milliseconds until it returns to that; nothing if it does not by itself.
    pub ends_in_ms: Option<i64>,
}
