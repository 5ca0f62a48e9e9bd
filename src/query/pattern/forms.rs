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
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub first: String,
    pub rest: Vec<(Gap, String)>,
    /// Bytes and gaps, at the most. It is kept, so that a long pattern is not added up with each character.
    size: usize,
}

impl Form {
    pub fn text(text: &str) -> Self {
        Self { first: text.to_owned(), rest: Vec::new(), size: 1 + text.len() }
    }

    pub fn gap(gap: Gap) -> Self {
        Self { first: String::new(), rest: vec![(gap, String::new())], size: 2 }
    }

    fn last(&mut self) -> &mut String {
        match self.rest.last_mut() {
            Some((_, text)) => text,
            None => &mut self.first,
        }
    }

    /// Appends another; `false` where two gaps meet that are not one.
    fn append(&mut self, other: &Form) -> bool {
        self.size += other.size;
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

    /// How all of these begin, when only the engine can tell the rest.
    fn beginning(forms: Vec<Form>) -> Forms {
        Forms::Engine(match <[Form; 1]>::try_from(forms) {
            Ok([form]) => form.first,
            Err(_) => String::new(),
        })
    }

    /// This, then another.
    pub fn then(self, other: Forms) -> Forms {
        let (mut left, right) = match (self, other) {
            (Forms::Some(left), Forms::Some(right)) => (left, right),
            (Forms::Some(mut left), Forms::Engine(prefix)) => {
                if let [form] = &mut left[..]
                    && form.rest.is_empty()
                {
                    form.first.push_str(&prefix);
                }
                return Self::beginning(left);
            }
            (left @ Forms::Engine(_), _) => return left,
        };
        let size = |forms: &[Form]| forms.iter().map(|form| form.size).sum::<usize>();
        if left.len() * right.len() > MOST_TEXTS
            || size(&left) * right.len() + size(&right) * left.len() > LONGEST
        {
            return Self::beginning(left);
        }
        // Most pieces are one character. What is there grows; a copy for each one would take the square
        // of the pattern's length.
        if let [one] = &right[..] {
            // A text that a refused gap was to follow is right as a beginning, too.
            return match left.iter_mut().all(|form| form.append(one)) {
                true => Forms::Some(left),
                false => Self::beginning(left),
            };
        }
        let mut out = Vec::with_capacity(left.len() * right.len());
        for l in &left {
            for r in &right {
                let mut form = l.clone();
                if !form.append(r) {
                    return Self::beginning(left);
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
