//! query: natural order of texts with numbers, for sort_by_label: `disk2` before `disk10`.

use std::cmp::Ordering;

/// Splits a text into runs of digits and runs of others, and compares run by run: numbers by value,
/// others by bytes.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while !left.is_empty() && !right.is_empty() {
        let (l, l_rest) = run(left);
        let (r, r_rest) = run(right);
        let order = match (number(l), number(r)) {
            (Some(x), Some(y)) => x.cmp(&y),
            // Too long for a number: by text.
            _ => l.cmp(r),
        };
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (l_rest, r_rest);
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

fn run(text: &str) -> (&str, &str) {
    let digit = |c: char| c.is_ascii_digit();
    let first = text.starts_with(digit);
    text.split_at(text.find(|c: char| digit(c) != first).unwrap_or(text.len()))
}

fn number(run: &str) -> Option<u64> {
    run.starts_with(|c: char| c.is_ascii_digit()).then(|| run.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let mut all = vec!["disk10", "disk2", "disk", "a1b10", "a1b9", "10", "9", ""];
        all.sort_by(|a, b| compare(a, b));
        assert_eq!(all, ["", "9", "10", "a1b9", "a1b10", "disk", "disk2", "disk10"]);
    }
}
