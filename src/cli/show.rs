//! cli: numbers as people read them.

/// `1.5 kB`, `23.4 GB`: powers of 1000, three digits.
pub(super) fn bytes(value: f64) -> String {
    scaled(value, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// `23.4 GiB`: powers of 1024, as memory is sold.
pub(super) fn binary_bytes(value: f64) -> String {
    scaled(value, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut unit = 0;
    while value.abs() >= step * 0.9995 && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let digits = if unit == 0 || value.abs() >= 99.95 {
        0
    } else if value.abs() >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {}", units[unit])
}

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

/// `3 d 4 h`, `12 min`, `5 s`: the two largest units that matter.
pub(super) fn duration(ms: i64) -> String {
    let s = ms.max(0) / 1000;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min", s / 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
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

/// A plain value: whole numbers whole, others with up to six significant digits.
pub(super) fn value(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 {
        return format!("{value:.0}");
    }
    if !value.is_finite() {
        return value.to_string();
    }
    let digits = (5 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_whatever_the_size() {
        for (n, text) in [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (999.9, "1.00 kB"),
            (1_234.0, "1.23 kB"),
            (999_960.0, "1.00 MB"),
            (25e9, "25.0 GB"),
        ] {
            assert_eq!(bytes(n), text);
        }
        assert_eq!(binary_bytes(1536.0), "1.50 KiB");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "file", "files"), "1 file");
        assert_eq!(counted(1_000, "file", "files"), "1,000 files");
        assert_eq!(value(0.862_006_869), "0.862007");
        assert_eq!(value(-0.000_012_5), "-0.0000125");
        assert_eq!(value(12.0), "12");
        assert_eq!(duration(90_061_000), "1 d 1 h");
        assert_eq!(bar(0.5, 4, true), "██··");
        assert_eq!(bar(2.0, 2, true), "██");
        assert_eq!(bar(f64::NAN, 2, true), "··");
        assert_eq!(bar(0.5, 4, false), "##..");
    }
}
