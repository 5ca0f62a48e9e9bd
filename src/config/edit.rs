//! config: changes one option in a configuration file's text and leaves everything else as it is:
//! comments, order, blanks.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ConfigError, Mistake};

/// The text with `key = value` in the section `[section]`: in place of the value that stands there,
/// else below the section's header, else with the section at the end. `value` is written as TOML has
/// it. Fails if the configuration is wrong, or if the option finds no place in it.
pub fn set(
    text: &str,
    origin: &str,
    section: &str,
    key: &str,
    value: &str,
) -> Result<String, ConfigError> {
    // All that is wrong with the file is told as the daemon tells it.
    super::resolve::resolve(text, origin)?;
    let (table, _) = DeTable::parse_recoverable(text);
    let line = format!("{key} = {value}");
    let mut tries = Vec::new();
    if let Some((name, inside)) = table.get_ref().iter().find(|(n, _)| n.get_ref() == section)
        && let DeValue::Table(inside) = inside.get_ref()
    {
        if let Some((_, there)) = inside.iter().find(|(name, _)| name.get_ref() == key) {
            tries.push(replaced(text, there.span(), value));
        }
        let mut start = 0;
        for written in text.split_inclusive('\n') {
            let end = start + written.len();
            // Such a line may stand within a text, too; then the try is not what was meant.
            if written.trim_start().starts_with('[') && written.contains(section) {
                let gap = if written.ends_with('\n') { "" } else { "\n" };
                tries.push(replaced(text, end..end, &format!("{gap}{line}\n")));
            }
            start = end;
        }
        // `alerts = { … }`
        if let Some(brace) = text[name.span().end..].find('{') {
            let at = name.span().end + brace + 1;
            let more = if inside.is_empty() { "" } else { "," };
            tries.push(replaced(text, at..at, &format!(" {line}{more}")));
        }
    }
    let gap = match text {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    tries.push(format!("{text}{gap}[{section}]\n{line}\n"));
    // Beside others such as `alerts.off = …`; before the first section it always is at the top.
    for at in [first_of(text, &table, section), 0] {
        tries.push(replaced(text, at..at, &format!("{section}.{line}\n")));
    }
    tries.into_iter().find(|changed| holds(changed, section, key, value)).ok_or_else(|| {
        let mistake = Mistake {
            key: format!("{section}.{key}"),
            message: format!("no place for `{key}` was found in `[{section}]`"),
            hint: format!("write `{line}` there"),
            span: 0..0,
        };
        ConfigError::content(origin, text, vec![mistake])
    })
}

/// Where the line begins in which the section is named first.
fn first_of(text: &str, table: &Spanned<DeTable<'_>>, section: &str) -> usize {
    let name = table.get_ref().iter().find(|(name, _)| name.get_ref() == section);
    let start = name.map_or(0, |(name, _)| name.span().start);
    text[..start].rfind('\n').map_or(0, |at| at + 1)
}

/// Whether the text is TOML in which the option has this value, as it is written.
fn holds(text: &str, section: &str, key: &str, value: &str) -> bool {
    let (table, errors) = DeTable::parse_recoverable(text);
    let place = table.get_ref().get(section).and_then(|inside| inside.get_ref().get(key));
    errors.is_empty() && place.is_some_and(|there| text.get(there.span()) == Some(value))
}

fn replaced(text: &str, place: Range<usize>, by: &str) -> String {
    format!("{}{by}{}", &text[..place.start], &text[place.end..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, SAMPLE};

    fn to(text: &str) -> String {
        let out = set(text, "p.toml", "alerts", "to", "\"ntfy:mine\"").expect("it is TOML");
        let read = Config::parse(&out, "p.toml").expect("it is right");
        assert_eq!(read.alerts.options.to.0, ["ntfy:mine"], "{out}");
        out
    }

    #[test]
    fn the_rest_of_the_file_stays() {
        assert_eq!(to(""), "[alerts]\nto = \"ntfy:mine\"\n");
        assert_eq!(to("# a"), "# a\n\n[alerts]\nto = \"ntfy:mine\"\n");
        assert_eq!(
            to("interval = \"1s\" # often\n[alerts] # who\noff = [\"steal\"]\n[http]\n"),
            "interval = \"1s\" # often\n[alerts] # who\nto = \"ntfy:mine\"\noff = [\"steal\"]\n[http]\n"
        );
        assert_eq!(
            to("[alerts]\n# me\nto = [\n  \"a@b.c\", # old\n] # here\n"),
            "[alerts]\n# me\nto = \"ntfy:mine\" # here\n"
        );
        assert_eq!(to("[alerts]"), "[alerts]\nto = \"ntfy:mine\"\n");
        assert_eq!(
            to("alerts.off = []\n[http]\n"),
            "alerts.to = \"ntfy:mine\"\nalerts.off = []\n[http]\n"
        );
        // Only a part of the section is there, or it comes first.
        let limits = "[alerts.disk_full]\nwarning = 90\n";
        assert_eq!(to(limits), format!("{limits}\n[alerts]\nto = \"ntfy:mine\"\n"));
        assert_eq!(
            to(&format!("{limits}[ 'alerts' ]# x\n[http]")),
            format!("{limits}[ 'alerts' ]# x\nto = \"ntfy:mine\"\n[http]")
        );
        assert_eq!(to("alerts = {}\n"), "alerts = { to = \"ntfy:mine\"}\n");
        assert_eq!(to("alerts = { off = [] }\n"), "alerts = { to = \"ntfy:mine\", off = [] }\n");
    }

    #[test]
    fn the_sample_stays_readable() {
        let changed = to(SAMPLE);
        assert_eq!(changed.lines().count(), SAMPLE.lines().count() + 1);
        assert!(set("a = ", "p.toml", "alerts", "to", "1").is_err());
    }
}
