//! wire: input in error messages.

/// A piece of input for an error message: short, and on one line.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut out = String::new();
    for (place, c) in text.chars().enumerate() {
        match c {
            _ if place == LONGEST => {
                out.push('…');
                break;
            }
            c if c.is_control() => out.extend(c.escape_debug()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_input_is_short_and_one_line() {
        assert_eq!(shown("\"a\nb\\"), "\"a\\nb\\");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), 41);
    }
}
