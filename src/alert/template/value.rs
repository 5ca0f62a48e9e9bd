//! alert: the values of a template.

use std::collections::BTreeMap;

/// A template makes no longer text than this, in bytes.
pub(super) const LONGEST: usize = 64 << 10;

/// The error of a template whose text would get longer.
pub(super) fn too_long() -> String {
    format!("the text gets longer than {LONGEST} bytes")
}

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
    /// Values by name: what `args` returns.
    Map(BTreeMap<String, Value>),
    /// One element of what `query` returns.
    Sample(BTreeMap<String, String>, f64),
}

impl Value {
    /// How much work it is to make it or to copy it: 1, and 1 more for each 16 bytes of its texts and
    /// for each part.
    pub(super) fn weight(&self) -> usize {
        let pairs = |labels: &BTreeMap<String, String>| -> usize {
            labels.iter().map(|(name, value)| 2 + (name.len() + value.len()) / 16).sum()
        };
        1 + match self {
            Self::Nil | Self::Bool(_) | Self::Whole(_) | Self::Number(_) => 0,
            Self::Text(text) => text.len() / 16,
            Self::Labels(labels) | Self::Sample(labels, _) => pairs(labels),
            Self::List(list) => list.iter().map(Self::weight).sum(),
            Self::Map(map) => map.values().map(|value| 1 + value.weight()).sum(),
        }
    }

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
            Self::Map(map) => !map.is_empty(),
            Self::Sample(..) => true,
        }
    }
}
