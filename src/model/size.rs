//! model: an amount of bytes as people write it: `64MB`, `1GiB`.

/// The units that are understood, in bytes: powers of 1000 and, with an i, of 1024.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Bytes from a number and a unit; letters in any case.
///
/// # Errors
/// A sentence that says what is wrong with the text.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    let factor = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
    let (Ok(number), Some((_, factor))) = (number.parse::<f64>(), factor) else {
        return Err(format!("`{text}` is not a size"));
    };
    let bytes = number * *factor as f64;
    if bytes < 2f64.powi(63) {
        Ok(bytes.round() as u64)
    } else {
        Err(format!("`{text}` is too large"))
    }
}

/// The shortest exact form.
pub fn format_size(bytes: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| bytes >= *factor && bytes.is_multiple_of(*factor);
    match UNITS.iter().filter(fits).max_by_key(|(_, factor)| *factor) {
        Some((name, factor)) => format!("{}{name}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in [
            ("0B", 0),
            ("1B", 1),
            ("64MB", 64_000_000),
            ("1GiB", 1 << 30),
            ("1.5 kib", 1536),
            ("2gb", 2_000_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "1", "MB", "1XB", "-1MB", "1e3MB", "1..2MB", "9999999999TB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(format_size(64_000_000), "64MB");
        assert_eq!(format_size(1 << 30), "1GiB");
        assert_eq!(format_size(1_500), "1500B");
    }
}
