//! query: the texts of a pattern, if they are known without an engine: texts, and texts with gaps.
//! Bounded: larger sets are left to the engine.

use super::LONGEST;

/// The most texts that one pattern is written out as.
const MOST_TEXTS: usize = 1024;

/// The allowed text between two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// `.*`
    Any,
    /// `.+`
    Some,
}

/// A text with gaps, while it grows.
#[derive(Debug, Clone, Default)]
pub(super) struct Form {
    pub first: String,
    pub rest: Vec<(Gap, String)>,
}

impl Form {
    pub fn text(text: &str) -> Self {
        Self { first: text.to_owned(), rest: Vec::new() }
    }

    fn last(&mut self) -> &mut String {
        match self.rest.last_mut() {
            Some((_, text)) => text,
            None => &mut self.first,
        }
    }

    /// Appends another; `false` where two gaps meet that are not one.
    fn append(&mut self, other: &Form) -> bool {
        self.last().push_str(&other.first);
        for (gap, text) in &other.rest {
            match self.rest.last_mut() {
                Some((before, between)) if between.is_empty() => {
                    match (*before, gap) {
                        (Gap::Some, Gap::Some) => return false,
                        (Gap::Any, Gap::Any) => {}
                        _ => *before = Gap::Some,
                    }
                    between.push_str(text);
                }
                _ => self.rest.push((*gap, text.clone())),
            }
        }
        true
    }

    fn size(&self) -> usize {
        1 + self.rest.len()
            + self.first.len()
            + self.rest.iter().map(|(_, text)| text.len()).sum::<usize>()
    }
}

/// The texts of a piece of a pattern.
pub(super) enum Forms {
    /// Exactly these.
    Some(Vec<Form>),
    /// More than can be told without the engine; all begin so.
    Engine(String),
}

impl Forms {
    pub fn one(text: &str) -> Self {
        Forms::Some(vec![Form::text(text)])
    }

    fn prefix(&self) -> &str {
        match self {
            Forms::Some(forms) if forms.len() == 1 => &forms[0].first,
            Forms::Some(_) => "",
            Forms::Engine(prefix) => prefix,
        }
    }

    /// This, then another.
    pub fn then(self, other: Forms) -> Forms {
        let (Forms::Some(left), Forms::Some(right)) = (&self, &other) else {
            return match &self {
                Forms::Some(left) if left.len() == 1 && left[0].rest.is_empty() => {
                    Forms::Engine(format!("{}{}", left[0].first, other.prefix()))
                }
                _ => Forms::Engine(self.prefix().to_owned()),
            };
        };
        let engine = || Forms::Engine(self.prefix().to_owned());
        let size = |forms: &[Form]| forms.iter().map(Form::size).sum::<usize>();
        if left.len() * right.len() > MOST_TEXTS
            || size(left) * right.len() + size(right) * left.len() > LONGEST
        {
            return engine();
        }
        let mut out = Vec::with_capacity(left.len() * right.len());
        for l in left {
            for r in right {
                let mut form = l.clone();
                if !form.append(r) {
                    return engine();
                }
                out.push(form);
            }
        }
        Forms::Some(out)
    }

    /// This, or another.
    pub fn or(self, other: Forms) -> Forms {
        match (self, other) {
            (Forms::Some(mut left), Forms::Some(right))
                if left.len() + right.len() <= MOST_TEXTS =>
            {
                left.extend(right);
                Forms::Some(left)
            }
            _ => Forms::Engine(String::new()),
        }
    }
}
