//! query: the types of values that expressions have. Pure.

/// The type of an expression's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// One number at each step.
    Scalar,
    /// Series with one sample each at each step.
    Vector,
    /// Series with a window of samples each.
    Matrix,
    /// A text.
    String,
}

impl ValueType {
    /// The word of the API: `scalar`, `vector`, `matrix`, `string`.
    pub fn word(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "vector",
            ValueType::Matrix => "matrix",
            ValueType::String => "string",
        }
    }

    /// Its name in documentation and errors: `instant vector` for a vector, `range vector` for a
    /// matrix.
    pub fn documented(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
            ValueType::String => "string",
        }
    }
}
