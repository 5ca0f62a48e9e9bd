//! model: patterns with the shell's `*` and `?`, for keys of series and for mount points.

/// A pattern: `*` matches any run of characters, `?` one character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Box<str>);

impl Glob {
    /// The pattern of a text; every text is one.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole text fits. Linear in practice: only the last `*` is ever retried.
    pub fn matches(&self, text: &str) -> bool {
        let (p, t) = (self.0.as_bytes(), text.as_bytes());
        let (mut pi, mut ti) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while ti < t.len() {
            match p.get(pi) {
                Some(b'*') => {
                    star = Some((pi, ti));
                    pi += 1;
                }
                Some(b'?') => {
                    pi += 1;
                    ti += 1;
                    while ti < t.len() && !text.is_char_boundary(ti) {
                        ti += 1;
                    }
                }
                Some(c) if *c == t[ti] => {
                    pi += 1;
                    ti += 1;
                }
                _ => match star {
                    Some((sp, st)) => {
                        star = Some((sp, st + 1));
                        (pi, ti) = (sp + 1, st + 1);
                    }
                    None => return false,
                },
            }
        }
        p[pi..].iter().all(|c| *c == b'*')
    }
}

/// Which series are kept, by key: one of `keep`, none of `drop`.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// Empty keeps all.
    pub keep: Vec<Glob>,
    /// Wins over `keep`.
    pub drop: Vec<Glob>,
}

impl KeyFilter {
    /// Whether a series with this key is wanted.
    pub fn wants(&self, key: &str) -> bool {
        (self.keep.is_empty() || self.keep.iter().any(|g| g.matches(key)))
            && !self.drop.iter().any(|g| g.matches(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("disk_*", "disk_/home", true),
            ("disk_*", "disk", false),
            ("*_total", "a_total_total", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?", "é", true),
            ("??", "é", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), fits, "{pattern} on {text}");
        }
    }
}
