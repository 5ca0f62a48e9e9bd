//! wire: from a statsd name with its tags to the name and labels of a series.

use super::Bad;
use crate::model::Labels;

/// Bytes of a name, cleaned up.
pub const MAX_NAME: usize = 200;

/// Tags of a metric.
pub const MAX_LABELS: usize = 64;

/// Labels that plimsoll writes itself: a tag of that name gets `exported_` in front, as a scraping
/// Prometheus does it.
const TAKEN: [&str; 3] = ["instance", "job", "quantile"];

/// Cleans a name as the reference does: white space becomes `_`, `/` becomes `-`, and all
/// characters except `a-z A-Z 0-9 _ - . ; =` are dropped. The part after a `;` is left out, because
/// it holds labels.
pub fn clean_name(name: &[u8], out: &mut String) -> Result<(), Bad> {
    out.clear();
    let end = memchr::memchr(b';', name).unwrap_or(name.len());
    clean(&name[..end], out);
    if out.is_empty() || out.len() > MAX_NAME { Err(Bad::Name) } else { Ok(()) }
}

fn clean(text: &[u8], out: &mut String) {
    let mut in_blank = false;
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            c if c.is_whitespace() || c == '\u{feff}' => {
                if !in_blank {
                    out.push('_');
                }
                in_blank = true;
                continue;
            }
            '/' => out.push('-'),
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '.' | ';' | '=' => out.push(c),
            _ => {}
        }
        in_blank = false;
    }
}

/// The labels of a metric: `;key=value` of its name, then DogStatsD's tags. `key:value` is a label,
/// a bare tag one with the value `true`; of two with one name the later stays.
pub fn labels(name: &[u8], tags: &[u8]) -> Result<Labels, Bad> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    if let Some(at) = memchr::memchr(b';', name) {
        for pair in name[at + 1..].split(|b| *b == b';').filter(|p| !p.is_empty()) {
            let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
            let (mut key, mut value) = (String::new(), String::new());
            clean(&pair[..at], &mut key);
            clean(pair.get(at + 1..).unwrap_or(b"true"), &mut value);
            pairs.push((label(&key), value));
        }
    }
    for tag in tags.split(|b| *b == b',').filter(|t| !t.is_empty()) {
        let at = memchr::memchr(b':', tag).unwrap_or(tag.len());
        let key = String::from_utf8_lossy(&tag[..at]);
        let value = String::from_utf8_lossy(tag.get(at + 1..).unwrap_or(b"true"));
        pairs.push((label(key.trim()), value.into_owned()));
    }
    pairs.retain(|(key, _)| !key.is_empty());
    if pairs.len() > MAX_LABELS
        || pairs.iter().any(|(key, value)| key.len() > MAX_NAME || value.len() > 5 * MAX_NAME)
    {
        return Err(Bad::Tags);
    }
    Ok(Labels::new(pairs))
}

fn label(key: &str) -> String {
    let taken = TAKEN.contains(&key) || key.starts_with("__");
    if taken { format!("exported_{key}") } else { key.to_owned() }
}
