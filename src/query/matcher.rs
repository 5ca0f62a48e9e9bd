//! query: label matchers. What a matcher asks of a label's value is known when it is made; asking
//! costs no allocation, and mostly no regex engine.

use super::pattern::{Pattern, TOGETHER};

/// The operator of a matcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`: the whole value matches the pattern.
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// Its spelling.
    pub fn word(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        }
    }
}

/// The label that holds a series' name.
pub const NAME: &str = "__name__";

/// A condition for a label. A missing label counts as empty.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: Box<str>,
    op: MatchOp,
    value: Box<str>,
    test: Test,
}

/// The comparison before `!` negates it.
#[derive(Debug, Clone)]
enum Test {
    Same,
    Pattern(Pattern),
}

impl Matcher {
    /// A matcher for the label of that name. A wrong pattern, or one that would take too much
    /// memory, is an error with a sentence.
    pub fn new(op: MatchOp, name: &str, value: &str) -> Result<Self, String> {
        Self::within(op, name, value, &mut TOGETHER.clone())
    }

    /// A matcher as one of several; `left` bytes of memory remain for all their patterns.
    pub(super) fn within(
        op: MatchOp,
        name: &str,
        value: &str,
        left: &mut usize,
    ) -> Result<Self, String> {
        let test = match op {
            MatchOp::Equal | MatchOp::NotEqual => Test::Same,
            MatchOp::Regex | MatchOp::NotRegex => Test::Pattern(Pattern::within(value, left)?),
        };
        Ok(Self { name: name.into(), op, value: value.into(), test })
    }

    /// A matcher for exactly this value.
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), test: Test::Same }
    }

    /// The label's name; [`NAME`] for that of the series.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its operator.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value, or the pattern as it was written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a label with this value fits; an absent label has the empty one.
    pub fn matches(&self, value: &str) -> bool {
        let fits = match &self.test {
            Test::Same => *self.value == *value,
            Test::Pattern(pattern) => pattern.matches(value),
        };
        fits != matches!(self.op, MatchOp::NotEqual | MatchOp::NotRegex)
    }

    /// The values that fit, in order, where they can be listed: one for `=`, those of `a|b` for
    /// `=~`. `None` for everything else.
    pub fn listed(&self) -> Option<Vec<&str>> {
        match (self.op, &self.test) {
            (MatchOp::Equal, _) => Some(vec![&self.value]),
            (MatchOp::Regex, Test::Pattern(pattern)) => {
                pattern.texts().map(|texts| texts.iter().map(|t| &**t).collect())
            }
            _ => None,
        }
    }

    /// The prefix of all matching values; empty if unknown.
    pub fn prefix(&self) -> &str {
        match (self.op, &self.test) {
            (MatchOp::Equal, _) => &self.value,
            (MatchOp::Regex, Test::Pattern(pattern)) => pattern.prefix(),
            _ => "",
        }
    }

    /// Whether series without the label fit.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }
}

/// Two matchers that ask the same are the same.
impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.op == other.op && self.value == other.value
    }
}

impl Eq for Matcher {}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(op: MatchOp, pattern: &str, value: &str) -> bool {
        Matcher::new(op, "a", pattern).unwrap().matches(value)
    }

    #[test]
    fn the_four_ways_to_compare() {
        for (op, fitting) in [
            (MatchOp::Equal, ["b", "b"]),
            (MatchOp::NotEqual, ["", "bb"]),
            (MatchOp::Regex, ["b", "b"]),
            (MatchOp::NotRegex, ["", "bb"]),
        ] {
            for value in ["", "b", "bb"] {
                assert_eq!(fits(op, "b", value), fitting.contains(&value), "{op:?} {value}");
            }
        }
    }

    #[test]
    fn what_an_index_can_use() {
        let matcher = |op, value| Matcher::new(op, "a", value).unwrap();
        assert_eq!(matcher(MatchOp::Equal, "b").listed(), Some(vec!["b"]));
        assert_eq!(matcher(MatchOp::Regex, "c|b").listed(), Some(vec!["b", "c"]));
        assert_eq!(matcher(MatchOp::Regex, "b.*").listed(), None);
        assert_eq!(matcher(MatchOp::Regex, "b.*").prefix(), "b");
        assert_eq!(matcher(MatchOp::NotRegex, "c|b").listed(), None);
        assert_eq!(matcher(MatchOp::NotEqual, "b").prefix(), "");
    }
}
