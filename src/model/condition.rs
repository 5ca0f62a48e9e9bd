//! model: a condition as people write it, `KEY OP NUMBER`: of bursts and of alerts.

use std::fmt;

use super::{Labels, parse_key, write_key};

/// An operator between a value and a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

impl Op {
    /// Whether the comparison is true of a value and a limit. Nothing is true of NaN: no reading is no
    /// reason.
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            _ if value.is_nan() => false,
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
            Self::Equal => value == limit,
            Self::NotEqual => value != limit,
        }
    }

    /// The comparison with both sides exchanged: `5 < x` is `x > 5`.
    #[must_use]
    pub fn turned(self) -> Self {
        match self {
            Self::Above => Self::Below,
            Self::AtLeast => Self::AtMost,
            Self::Below => Self::Above,
            Self::AtMost => Self::AtLeast,
            Self::Equal => Self::Equal,
            Self::NotEqual => Self::NotEqual,
        }
    }

    /// The comparison that is true where this one is not, NaN aside.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Above => Self::AtMost,
            Self::AtLeast => Self::Below,
            Self::Below => Self::AtLeast,
            Self::AtMost => Self::Above,
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
        }
    }

    /// As it is written.
    pub fn sign(self) -> &'static str {
        OPS.iter().find(|(_, op)| *op == self).map_or("", |(sign, _)| sign)
    }

    /// Whether more is worse.
    pub fn is_upward(self) -> bool {
        matches!(self, Self::Above | Self::AtLeast | Self::NotEqual)
    }
}

/// Longer ones first: `>=` begins with `>`.
const OPS: [(&str, Op); 6] = [
    (">=", Op::AtLeast),
    ("<=", Op::AtMost),
    ("==", Op::Equal),
    ("!=", Op::NotEqual),
    (">", Op::Above),
    ("<", Op::Below),
];

/// A comparison of one series' newest value with a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The series, in the form of [`write_key`]: labels sorted.
    pub key: String,
    /// How.
    pub op: Op,
    /// With what, in the unit of the series; finite.
    pub value: f64,
}

impl Condition {
    /// Whether it is true of this value. Nothing is true of NaN: no reading is no reason.
    pub fn holds(&self, value: f64) -> bool {
        self.op.holds(value, self.value)
    }

    /// Reads `cpu > 8`, `disk_/ >= 95`, `name{label="value"} < 1`. An error is the fault and a
    /// correction.
    pub fn parse(text: &str) -> Result<Self, (String, String)> {
        let example = || "write KEY OPERATOR NUMBER, for example `cpu > 8`".to_owned();
        let Some((at, length, op)) = find_op(text) else {
            return Err((
                format!("`{text}` has no comparison"),
                "one of > >= < <= == != is expected between key and number, for example `cpu > 8`"
                    .into(),
            ));
        };
        let (key, sign, number) =
            (text[..at].trim(), &text[at..at + length], text[at + length..].trim());
        let bare = key.trim_end_matches(|c: char| "<>=! ".contains(c));
        if bare.len() < key.len() && !bare.is_empty() {
            let signs = text[..at + length].trim_start()[bare.len()..].trim();
            return Err((
                format!("`{signs}` is not a comparison"),
                format!("one of > >= < <= == != is, for example `{bare} > {number}`"),
            ));
        }
        let Some(op) = op else {
            let better = match sign {
                "=>" => ">=",
                "=<" => "<=",
                "<>" => "!=",
                _ => "==",
            };
            return Err((
                format!("`{sign}` is not a comparison"),
                format!("did you mean `{key} {better} {number}`?"),
            ));
        };
        // A mount point may be called so.
        if let (Some((at, ..)), false) = (find_op(key), key.starts_with("disk_/"))
            && key[..at].ends_with(' ')
        {
            return Err((
                format!("`{text}` has two comparisons"),
                "a rule has one; write a [[burst]] for each".into(),
            ));
        }
        if bare.is_empty() {
            return Err((format!("there is no key before `{sign}`"), example()));
        }
        if number.is_empty() {
            return Err((format!("there is no number after `{sign}`"), example()));
        }
        let value = match number.parse::<f64>() {
            Ok(value) if value.is_finite() => value,
            _ => return Err((format!("`{number}` is not a number"), example())),
        };
        Ok(Self { key: canonical(key)?, op, value })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.key, self.op.sign(), self.value)
    }
}

/// The last comparison that stands outside quotes: where, how long, and which, if it is one. A
/// number has no such sign in it, a mount point may (`disk_/a>b > 5`).
fn find_op(text: &str) -> Option<(usize, usize, Option<Op>)> {
    let mut found = None;
    let (mut quoted, mut escaped, mut braces, mut past) = (false, false, false, 0);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            // A quote has this meaning only between braces: `it's 5" long` is a key too.
            '"' if braces => quoted = !quoted,
            _ if quoted => {}
            '{' => braces = true,
            '}' => braces = false,
            '<' | '>' | '=' | '!' if !braces && at >= past => {
                let rest = &text[at..];
                let known = OPS.iter().find(|(sign, _)| rest.starts_with(sign));
                let odd = ["=>", "=<", "<>", "="].iter().find(|sign| rest.starts_with(**sign));
                let odd = odd.filter(|sign| known.is_none_or(|(k, _)| k.len() < sign.len()));
                let hit = match (odd, known) {
                    (Some(sign), _) => (at, sign.len(), None),
                    (None, Some((sign, op))) => (at, sign.len(), Some(*op)),
                    (None, None) => continue,
                };
                past = at + hit.1;
                found = Some(hit);
            }
            _ => {}
        }
    }
    found
}

/// The key as views write it, so that the rule finds its series.
fn canonical(key: &str) -> Result<String, (String, String)> {
    let (name, labels) = parse_key(key);
    // `{a="x", b="y"}` is how people write it.
    let labels = Labels::new(labels.iter().map(|(name, value)| (name.trim(), value)));
    let odd = |name: &str| name.is_empty() || name.ends_with('!');
    if labels.is_empty() && key.contains(['{', '}']) || labels.iter().any(|(name, _)| odd(name)) {
        return Err((
            format!("the labels of `{key}` cannot be read"),
            "write them as `name{label=\"value\"}`; only = is possible here".into(),
        ));
    }
    if let Some(label) = ["instance", "job"].into_iter().find(|l| labels.get(l).is_some()) {
        return Err((
            format!("a key has no label `{label}`"),
            "leave it out: rules look at this machine's own series".into(),
        ));
    }
    let mut out = String::new();
    write_key(&mut out, &name, labels.iter());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        match Condition::parse(text) {
            Ok(c) => c.to_string(),
            Err((message, hint)) => format!("{message}; {hint}"),
        }
    }

    #[test]
    fn what_people_write() {
        for (text, reads) in [
            ("cpu > 8", "cpu > 8"),
            ("cpu>8", "cpu > 8"),
            ("  memory<=0.25 ", "memory <= 0.25"),
            ("disk_/ >= 95", "disk_/ >= 95"),
            ("disk_/mnt/my disk > 5", "disk_/mnt/my disk > 5"),
            ("disk_/a>b > 5", "disk_/a>b > 5"),
            ("cpu == -1e3", "cpu == -1000"),
            ("a != 0", "a != 0"),
            (r#"x{b="y",a=">= 3"} > 0"#, r#"x{a=">= 3",b="y"} > 0"#),
            (r#"x{b="y", a="z"} > 0"#, r#"x{a="z",b="y"} > 0"#),
            (r#"x{a="\"}>"} < 1"#, r#"x{a="\"}>"} < 1"#),
        ] {
            assert_eq!(shown(text), reads, "{text}");
            assert_eq!(Condition::parse(reads), Condition::parse(text), "{text}");
        }
    }

    #[test]
    fn what_is_refused_and_what_is_proposed() {
        for (text, error) in [
            ("cpu", "`cpu` has no comparison; one of > >= < <= == != is expected"),
            ("", "`` has no comparison"),
            ("cpu = 8", "`=` is not a comparison; did you mean `cpu == 8`?"),
            ("cpu => 8", "`=>` is not a comparison; did you mean `cpu >= 8`?"),
            ("cpu <> 8", "`<>` is not a comparison; did you mean `cpu != 8`?"),
            (
                "cpu >> 8",
                "`>>` is not a comparison; one of > >= < <= == != is, for example `cpu > 8`",
            ),
            ("cpu > > 8", "`> >` is not a comparison"),
            ("cpu >= = 8", "`>= =` is not a comparison"),
            ("cpu <<= 8", "`<<=` is not a comparison"),
            ("cpu > 8 > 9", "`cpu > 8 > 9` has two comparisons; a rule has one"),
            ("cpu > 1 and memory < 0.5", "has two comparisons"),
            ("> 8", "there is no key before `>`"),
            ("cpu >", "there is no number after `>`; write KEY OPERATOR NUMBER"),
            ("cpu > 80%", "`80%` is not a number"),
            ("cpu > inf", "`inf` is not a number"),
            ("cpu > NaN", "`NaN` is not a number"),
            ("x{a=b} > 1", "the labels of `x{a=b}` cannot be read; write them as `name{label="),
            (r#"x{a!="b"} > 1"#, "only = is possible here"),
            (r#"x{a="b} > 1"#, "has no comparison"),
            (r#"x{instance="web1"} > 1"#, "a key has no label `instance`; leave it out"),
        ] {
            assert!(shown(text).contains(error), "{text}: {}", shown(text));
        }
    }

    #[test]
    fn nothing_holds_of_no_reading() {
        for (op, below, at, above) in [
            (">", false, false, true),
            (">=", false, true, true),
            ("<", true, false, false),
            ("<=", true, true, false),
            ("==", false, true, false),
            ("!=", true, false, true),
        ] {
            let c = Condition::parse(&format!("k {op} 2")).unwrap();
            assert_eq!([1.0, 2.0, 3.0].map(|v| c.holds(v)), [below, at, above], "{op}");
            assert!(!c.holds(f64::NAN), "{op}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-z{}\"\\\\=<>! 0-9é]{0,24}|.{0,24}") {
            let _ = Condition::parse(&text);
        }
    }
}
