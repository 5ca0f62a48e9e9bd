//! wire: the ranges behind `warning` and `critical`: `max`, `:max`, `min:`, `min:max`.

use crate::model::Range;
use crate::wire::shown;
use crate::wire::value::parse_value;

/// Reads a range. Nothing but a colon, or nothing at all, is a range without bounds.
pub fn parse_range(text: &str) -> Result<Range, String> {
    let number = |text: &str| match text.trim() {
        "" => Ok(None),
        text => match parse_value(text) {
            Ok(v) if v.is_finite() => Ok(Some(v)),
            _ => Err(format!("`{}` is not a number", shown(text))),
        },
    };
    let (min, max) = text.split_once(':').unwrap_or(("", text));
    Ok(Range { min: number(min)?, max: number(max)? })
}
