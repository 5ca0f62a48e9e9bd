//! config: changes one option in a configuration file's text and leaves everything else as it is:
//! comments, order, blanks.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::ConfigError;

/// The text with `key = value` in the section `[section]`: in place of the value that stands there,
/// else below the section's header, else with the section at the end. `value` is written as TOML has
/// it. Fails if the text is no TOML.
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
    let found = table.get_ref().iter().find(|(name, _)| name.get_ref() == section);
    let Some((name, inside)) = found else {
        let mut out = text.to_owned();
        if !out.is_empty() {
            out.push_str(if out.ends_with('\n') { "\n" } else { "\n\n" });
        }
        return Ok(format!("{out}[{section}]\n{line}\n"));
    };
    let DeValue::Table(inside) = inside.get_ref() else { return Ok(text.to_owned()) };
    if let Some((_, value_there)) = inside.iter().find(|(name, _)| name.get_ref() == key) {
        return Ok(replaced(text, value_there.span(), value));
    }
    let (start, end) = (name.span().start, name.span().end);
    let header = text[..start].trim_end_matches([' ', '\t', '"', '\'']).ends_with('[');
    let next = |from: usize, sought: char| text[from..].find(sought).map(|at| from + at + 1);
    Ok(match (header, next(end, '\n'), next(end, '{')) {
        (true, Some(at), _) => replaced(text, at..at, &format!("{line}\n")),
        (true, None, _) => format!("{text}\n{line}\n"),
        // `alerts = { … }`
        (false, _, Some(at)) if text[end..at].trim_matches(['"', '\'', ' ']).starts_with('=') => {
            let more = if inside.is_empty() { "" } else { "," };
            replaced(text, at..at, &format!(" {line}{more}"))
        }
        // `alerts.off = …`
        _ => {
            let at = text[..start].rfind('\n').map_or(0, |at| at + 1);
            replaced(text, at..at, &format!("{section}.{line}\n"))
        }
    })
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
