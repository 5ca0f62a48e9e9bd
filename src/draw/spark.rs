//! draw: a line of text in eight heights.

/// Heights where letters are Unicode, and where they are not.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 8] = ['_', '.', ',', '-', '=', '+', '*', '#'];

/// One character for each value, and a space for NaN. The lowest height is `low`, the highest
/// `high`; if both are equal, values are in the middle.
pub fn spark(values: &[f64], low: f64, high: f64, unicode: bool) -> String {
    let heights = if unicode { BLOCKS } else { ASCII };
    let letter = |v: &f64| {
        if !v.is_finite() {
            return ' ';
        }
        let share = if high > low { (v - low) / (high - low) } else { 0.4 };
        heights[(share.clamp(0.0, 1.0) * 7.0).round() as usize]
    };
    values.iter().map(letter).collect()
}

/// The lowest and the highest of the values for [`spark`]: from zero where that flattens nothing, so
/// that a steady line does not look like mountains.
pub fn bounds(values: &[f64]) -> (f64, f64) {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let (low, high) =
        (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return (0.0, 0.0);
    }
    // A hundredth of the size is noise.
    let least = high.abs().max(low.abs()) * 0.02;
    if high - low < least { (low - least, high + least) } else { (low, high) }
}

/// Whether the locale (the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set) uses Unicode.
pub fn is_unicode(words: [Option<&str>; 3]) -> bool {
    let word = words.into_iter().flatten().find(|w| !w.is_empty()).unwrap_or_default();
    let word = word.to_ascii_lowercase();
    word.contains("utf-8") || word.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_heights_and_holes() {
        let values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, f64::NAN];
        assert_eq!(spark(&values, 0.0, 7.0, true), "▁▂▃▄▅▆▇█ ");
        assert_eq!(spark(&values, 0.0, 7.0, false), "_.,-=+*# ");
        assert_eq!(spark(&[3.0; 3], 3.0, 3.0, true), "▄▄▄");
        assert_eq!(bounds(&[f64::NAN]), (0.0, 0.0));
        let (low, high) = bounds(&[100.0, 100.1]);
        assert!(low < 99.0 && high > 101.0);
    }

    #[test]
    fn the_first_word_that_is_set_counts() {
        assert!(is_unicode([None, None, Some("en_US.UTF-8")]));
        assert!(!is_unicode([Some("C"), None, Some("en_US.UTF-8")]));
        assert!(is_unicode([Some(""), Some("C.utf8"), None]));
        assert!(!is_unicode([None; 3]));
    }
}
