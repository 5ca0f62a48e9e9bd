//! daemon: the beats in force, of collectors and of plugins, and how they are changed by hand. Which
//! thread keeps a beat is told by its name: a collector's, or a plugin's behind `plugin:`.

use super::Daemon;
use crate::config::nearest;
use crate::daemon::plugins::RATE_PREFIX;
use crate::daemon::rate::Rate;
use crate::model::{Interval, parse_duration};

impl Daemon {
    /// All of them.
    pub(super) async fn rates(&self) -> Result<Vec<Rate>, String> {
        let all = self.shared.services.rates().await?;
        Ok(all.into_iter().flat_map(|(_, rates)| rates).collect())
    }

    /// Another rate for one name, or for all collectors; all rates as they are then.
    pub(super) async fn change_rate(
        &self,
        name: Option<String>,
        interval: Option<String>,
        for_: Option<String>,
    ) -> Result<Vec<Rate>, String> {
        let interval: Option<Interval> =
            interval.map(|i| i.parse()).transpose().map_err(|e| format!("{e}"))?;
        let for_ms = for_.map(|f| parse_duration(&f)).transpose().map_err(|e| format!("{e}"))?;
        let name = name.as_deref();
        let known = self.shared.services.rates().await?;
        let has = |rates: &[Rate], wanted: &str| rates.iter().any(|r| r.collector == wanted);
        let of = |wanted: &str| known.iter().find(|(_, rates)| has(rates, wanted));
        // A collector goes before a plugin of its name, which `plugin:` tells apart.
        let found = match name {
            None => known.first(),
            Some(name) => of(name).or_else(|| of(&format!("{RATE_PREFIX}{name}"))),
        };
        let Some((at, _)) = found else {
            let known: Vec<Rate> = known.into_iter().flat_map(|(_, rates)| rates).collect();
            return Err(unknown(name.unwrap_or_default(), &known));
        };
        self.shared.services.set_rate(*at, name, interval, for_ms).await?;
        self.rates().await
    }
}

/// More names than this are for a command of their own.
const LISTED: usize = 20;

/// Which names there are, and the one that was probably meant.
fn unknown(name: &str, known: &[Rate]) -> String {
    let names = known.iter().map(|r| r.collector.as_str());
    let (plugins, collectors): (Vec<&str>, Vec<&str>) =
        names.partition(|name| name.starts_with(RATE_PREFIX));
    // Names in requests: a collector goes before a plugin of its name.
    let shown = |name| {
        let bare = str::strip_prefix(name, RATE_PREFIX).unwrap_or(name);
        if collectors.contains(&bare) { name } else { bare }
    };
    let plugins: Vec<&str> = plugins.into_iter().map(shown).collect();
    let mut text = match plugins.is_empty() {
        true => format!("no collector `{name}` is running"),
        false => format!("no collector and no plugin `{name}` is running"),
    };
    let all = collectors.iter().chain(&plugins).copied();
    if let Some(near) = nearest(name.strip_prefix(RATE_PREFIX).unwrap_or(name), all) {
        text.push_str(&format!("; did you mean `{near}`?"));
    }
    text.push_str(&format!("\n  collectors: {}", collectors.join(", ")));
    match plugins.len() {
        0 => {}
        1..=LISTED => text.push_str(&format!("\n  plugins: {}", plugins.join(", "))),
        many => text.push_str(&format!("\n  plugins: {many}, see `plimsoll plugin list`")),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_there_are_are_told() {
        let rate = |name: &str| Rate {
            collector: name.into(),
            interval_ms: 1,
            configured_ms: 1,
            ends_in_ms: None,
        };
        let all = [rate("cpu"), rate("loadavg"), rate("plugin:cpu"), rate("plugin:df")];
        assert_eq!(
            unknown("lod", &all),
            "no collector and no plugin `lod` is running\n  collectors: cpu, loadavg\n  plugins: plugin:cpu, df"
        );
        assert_eq!(
            unknown("plugin:dff", &all),
            "no collector and no plugin `plugin:dff` is running; did you mean `df`?\n  \
             collectors: cpu, loadavg\n  plugins: plugin:cpu, df"
        );
        assert_eq!(unknown("xyz", &all[..1]), "no collector `xyz` is running\n  collectors: cpu");
        let many: Vec<Rate> = (0..29).map(|i| rate(&format!("plugin:p{i}"))).collect();
        assert_eq!(
            unknown("loadavg", &many).lines().last(),
            Some("  plugins: 29, see `plimsoll plugin list`")
        );
    }
}
