//! alert: the values of a template.

use std::collections::BTreeMap;

/// A value in a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Nil,
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// Labels by name.
    Labels(BTreeMap<String, String>),
    /// What `query` returns, and lists of arguments.
    List(Vec<Value>),
    /// One element of what `query` returns.
    Sample(BTreeMap<String, String>, f64),
}

impl Value {
    /// Whether `if` takes it for true.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Whole(value) => *value != 0,
            Self::Number(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Labels(labels) => !labels.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Sample(..) => true,
        }
    }
}
