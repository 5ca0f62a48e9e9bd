//! cli: counts in words, and bars. Numbers with units are written in `model::unit`.

/// `1,234,567`
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `1 file`, `1,234 files`
pub(super) fn counted(value: u64, one: &str, more: &str) -> String {
    format!("{} {}", count(value), if value == 1 { one } else { more })
}

/// A bar of `width` characters, in eighths; in ASCII, in whole ones.
pub(super) fn bar(share: f64, width: usize, unicode: bool) -> String {
    if !unicode {
        let full = (share.clamp(0.0, 1.0) * width as f64).round() as usize;
        return format!("{}{}", "#".repeat(full), ".".repeat(width - full));
    }
    const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut out = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        out.push(PARTS[eighths % 8]);
    }
    let used = out.chars().count();
    out.extend(std::iter::repeat_n('·', width - used));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_bars() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "file", "files"), "1 file");
        assert_eq!(counted(1_000, "file", "files"), "1,000 files");
        assert_eq!(bar(0.5, 4, true), "██··");
        assert_eq!(bar(2.0, 2, true), "██");
        assert_eq!(bar(f64::NAN, 2, true), "··");
        assert_eq!(bar(0.5, 4, false), "##..");
    }
}
