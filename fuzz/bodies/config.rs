//! config: any text as a configuration: settings, or mistakes with their places. What is changed in a
//! right one leaves it right.

use plimsoll::config::{Config, edit};

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match edit::set(&text, "fuzz.toml", "alerts", "to", "\"ntfy:mine\"") {
        Ok(changed) => {
            let config = Config::parse(&changed, "fuzz.toml");
            let config = config.unwrap_or_else(|e| panic!("{e}\n{changed}"));
            assert_eq!(config.alerts.options.to.0, ["ntfy:mine"], "{changed}");
        }
        Err(e) => assert!(!e.to_string().is_empty()),
    }
}
