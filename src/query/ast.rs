//! query: an expression as a tree. Every node knows its place in the text, so that whatever goes
//! wrong with it later can be shown there. Only what the language says; no evaluation.

use std::fmt;

use super::functions::Function;
use super::matcher::Matcher;
use super::types::ValueType;

/// A place in the text of an expression, in bytes: from `start` up to, not including, `end`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

impl Span {
    /// The bytes from `start` up to `end`.
    pub fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// The text from the begin of this one to the end of the other.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start, end: other.end }
    }

    /// The text that lies there; empty where the place is not in this text.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// An expression. Of bounded depth when it comes from the parser, so
/// recursion over it is safe.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// `1.5`, `0x1f`, `Inf`, `5m`
    Number(Number),
    /// `"text"`
    String(StringLiteral),
    /// `name{label="value"} offset 5m @ end()`
    Vector(VectorSelector),
    /// `name{label="value"}[5m]`
    Matrix(MatrixSelector),
    /// `expression[1h:5m]`
    Subquery(Box<Subquery>),
    /// `-expression`
    Unary(Box<Unary>),
    /// `left + on (label) right`
    Binary(Box<Binary>),
    /// `sum by (label) (expression)`
    Aggregate(Box<Aggregate>),
    /// `rate(expression)`
    Call(Call),
    /// `(expression)`
    Paren(Box<Paren>),
}

impl Expr {
    /// Its place in the text.
    pub fn span(&self) -> Span {
        match self {
            Expr::Number(e) => e.span,
            Expr::String(e) => e.span,
            Expr::Vector(e) => e.span,
            Expr::Matrix(e) => e.span,
            Expr::Subquery(e) => e.span,
            Expr::Unary(e) => Span::new(e.start, e.expr.span().end),
            Expr::Binary(e) => e.lhs.span().to(e.rhs.span()),
            Expr::Aggregate(e) => e.span,
            Expr::Call(e) => e.span,
            Expr::Paren(e) => e.span,
        }
    }

    /// The type of its value.
    pub fn value_type(&self) -> ValueType {
        match self {
            Expr::Number(_) => ValueType::Scalar,
            Expr::String(_) => ValueType::String,
            Expr::Vector(_) | Expr::Aggregate(_) => ValueType::Vector,
            Expr::Matrix(_) | Expr::Subquery(_) => ValueType::Matrix,
            Expr::Unary(e) => e.expr.value_type(),
            Expr::Binary(e) => {
                let scalar = |e: &Expr| e.value_type() == ValueType::Scalar;
                if scalar(&e.lhs) && scalar(&e.rhs) { ValueType::Scalar } else { ValueType::Vector }
            }
            Expr::Call(e) => e.function.returns,
            Expr::Paren(e) => e.expr.value_type(),
        }
    }

    /// Its direct parts, in the order in which they are evaluated (an aggregation's parameter
    /// first). The selector of a range is part of the range and no child.
    pub fn children(&self) -> impl Iterator<Item = &Expr> {
        let (two, many): ([Option<&Expr>; 2], &[Expr]) = match self {
            Expr::Number(_) | Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_) => {
                ([None, None], &[])
            }
            Expr::Subquery(e) => ([Some(&e.expr), None], &[]),
            Expr::Unary(e) => ([Some(&e.expr), None], &[]),
            Expr::Binary(e) => ([Some(&e.lhs), Some(&e.rhs)], &[]),
            Expr::Aggregate(e) => ([e.param.as_ref(), Some(&e.expr)], &[]),
            Expr::Call(e) => ([None, None], &e.args),
            Expr::Paren(e) => ([Some(&e.expr), None], &[]),
        };
        two.into_iter().flatten().chain(many)
    }

    /// The expression inside any number of parentheses.
    pub fn unwrap_parens(&self) -> &Expr {
        let mut expr = self;
        while let Expr::Paren(paren) = expr {
            expr = &paren.expr;
        }
        expr
    }

    /// Calls `each` with every vector selector in it, those of ranges too, in the order of the
    /// text.
    pub fn for_each_selector<'a>(&'a self, each: &mut impl FnMut(&'a VectorSelector)) {
        match self {
            Expr::Vector(selector) => each(selector),
            Expr::Matrix(matrix) => each(&matrix.selector),
            other => other.children().for_each(|child| child.for_each_selector(each)),
        }
    }
}

/// A number. A duration (`5m`) is its seconds.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    /// Its place in the text, with its sign.
    pub span: Span,
    /// The value; NaN and infinities are values too.
    pub value: f64,
    /// Written as a duration, and so printed.
    pub duration: bool,
}

/// NaN is the same number as NaN.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.span == other.span
            && self.value.to_bits() == other.value.to_bits()
            && self.duration == other.duration
    }
}

/// A text in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringLiteral {
    /// Its place in the text, with its quotes.
    pub span: Span,
    /// The text with resolved escapes. Bytes that are not UTF-8 are replaced.
    pub value: Box<str>,
    /// Whether it was UTF-8 as it stood: only then it can name a label.
    pub utf8: bool,
}

/// Which series, and their newest sample at each step.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSelector {
    /// Its place in the text, with its modifiers.
    pub span: Span,
    /// The name in front of the braces. A name inside them (`{"name"}`) is only a matcher.
    pub name: Option<Box<str>>,
    /// All that has to hold, the name included: the last one, where it stands in front.
    pub matchers: Vec<Matcher>,
    /// How far back to look; zero by default.
    pub offset: Duration,
    /// Looks at one moment for all steps.
    pub at: Option<At>,
    /// The treatment of the edges of a range.
    pub edges: Edges,
}

/// Series with a window of samples before each step.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSelector {
    /// Its place in the text, with its modifiers.
    pub span: Span,
    /// Which series; holds `offset`, `at` and `edges` of the whole.
    pub selector: VectorSelector,
    /// The length of the window; positive.
    pub range: Duration,
}

/// An instant vector evaluated at many moments before each step.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// Its place in the text, with its modifiers.
    pub span: Span,
    /// The inner expression.
    pub expr: Expr,
    /// The length of the window; positive.
    pub range: Duration,
    /// The distance of the moments; the server's own step by default.
    pub step: Option<Duration>,
    /// How far back to look; zero by default.
    pub offset: Duration,
    /// Looks at one moment for all steps.
    pub at: Option<At>,
}

/// The moment of `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Milliseconds since 1970 UTC.
    Time(i64),
    /// `start()`: where the query's range begins.
    Start,
    /// `end()`: where the query's range ends.
    End,
}

/// The treatment of the edges of a range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Edges {
    /// By what lies inside.
    #[default]
    Plain,
    /// `anchored`: with the sample before the range.
    Anchored,
    /// `smoothed`: with values interpolated at both edges.
    Smoothed,
}

/// A length of time in a selector.
#[derive(Debug, Clone, PartialEq)]
pub enum Duration {
    /// Milliseconds.
    Millis(i64),
    /// Known when step and range of the query are.
    Expr(Box<DurationExpr>),
}

impl Duration {
    /// No time at all: what an offset is where none is written.
    pub const ZERO: Duration = Duration::Millis(0);

    /// Whether it is written as zero, or not at all.
    pub fn is_zero(&self) -> bool {
        matches!(self, Duration::Millis(0))
    }
}

/// Arithmetic between durations: `[5m * 2]`, `[step() + 10s]`.
#[derive(Debug, Clone, PartialEq)]
pub struct DurationExpr {
    /// Its place in the text.
    pub span: Span,
    /// Its kind.
    pub kind: DurationKind,
}

/// A kind of duration expression. All values are seconds.
#[derive(Debug, Clone, PartialEq)]
pub enum DurationKind {
    /// `5m`, `300`
    Number(Number),
    /// `step()`: the query's step; zero for an instant query.
    Step,
    /// `range()`: from the query's start to its end; zero for an instant query.
    Range,
    /// `-duration`
    Negated(Box<DurationExpr>),
    /// `(duration)`
    Paren(Box<DurationExpr>),
    /// `left * right`
    Binary(DurationOp, Box<DurationExpr>, Box<DurationExpr>),
}

/// An operator between two durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DurationOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `min_of(a, b)`
    MinOf,
    /// `max_of(a, b)`
    MaxOf,
}

impl DurationOp {
    /// Its spelling.
    pub fn word(self) -> &'static str {
        match self {
            DurationOp::Add => "+",
            DurationOp::Sub => "-",
            DurationOp::Mul => "*",
            DurationOp::Div => "/",
            DurationOp::Mod => "%",
            DurationOp::Pow => "^",
            DurationOp::MinOf => "min_of",
            DurationOp::MaxOf => "max_of",
        }
    }
}

/// A sign in front of something that is no plain number.
#[derive(Debug, Clone, PartialEq)]
pub struct Unary {
    /// The place of the sign.
    pub start: u32,
    /// `-`; else `+`, which changes nothing.
    pub negate: bool,
    /// The operand: a scalar or a vector.
    pub expr: Expr,
}

/// An expression in parentheses.
#[derive(Debug, Clone, PartialEq)]
pub struct Paren {
    /// With the parentheses.
    pub span: Span,
    /// The inner expression.
    pub expr: Expr,
}

/// An operator between two expressions.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// Which one.
    pub op: BinaryOp,
    /// The place of the operator, with its modifiers.
    pub op_span: Span,
    /// `bool`: a comparison gives 0 or 1 and filters nothing.
    pub return_bool: bool,
    /// How series of both sides are matched; present if both sides are vectors.
    pub matching: Option<Matching>,
    /// The left side.
    pub lhs: Expr,
    /// The right side.
    pub rhs: Expr,
}

/// The matching of series of two vectors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matching {
    /// The cardinality of the matching.
    pub card: Card,
    /// `on` these labels only; else `ignoring` them.
    pub on: bool,
    /// The labels of `on` or `ignoring`, as written.
    pub labels: Vec<Box<str>>,
    /// Labels that `group_left` or `group_right` takes from the side with one.
    pub include: Vec<Box<str>>,
    /// The value of a series that is missing on the left.
    pub fill_left: Option<f64>,
    /// The value of a series that is missing on the right.
    pub fill_right: Option<f64>,
}

/// How many series of one side may match how many of the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Card {
    /// Each meets at most one.
    #[default]
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
    /// Set operators.
    ManyToMany,
}

impl Card {
    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Card::OneToOne => "one-to-one",
            Card::ManyToOne => "many-to-one",
            Card::OneToMany => "one-to-many",
            Card::ManyToMany => "many-to-many",
        }
    }
}

/// An operator between two expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `atan2`
    Atan2,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `>`
    Gt,
    /// `<`
    Lt,
    /// `>=`
    Ge,
    /// `<=`
    Le,
    /// `and`
    And,
    /// `or`
    Or,
    /// `unless`
    Unless,
    /// `</`: cuts a native histogram off above; plain numbers have no buckets.
    TrimUpper,
    /// `>/`: cuts a native histogram off below; plain numbers have no buckets.
    TrimLower,
}

impl BinaryOp {
    /// Its spelling.
    pub fn word(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Gt => ">",
            BinaryOp::Lt => "<",
            BinaryOp::Ge => ">=",
            BinaryOp::Le => "<=",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Unless => "unless",
            BinaryOp::TrimUpper => "</",
            BinaryOp::TrimLower => ">/",
        }
    }

    /// `==`, `!=`, `>`, `<`, `>=`, `<=`
    pub fn is_comparison(self) -> bool {
        use BinaryOp::*;
        matches!(self, Eq | Ne | Gt | Lt | Ge | Le)
    }

    /// `and`, `or`, `unless`
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }
}

/// An aggregation of many series.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// Its place in the text.
    pub span: Span,
    /// The aggregation.
    pub op: AggregateOp,
    /// The first argument of those that take one ([`AggregateOp::param`]): a scalar, a string for
    /// `count_values`.
    pub param: Option<Expr>,
    /// The series: a vector.
    pub expr: Expr,
    /// `without` these labels; else `by` them.
    pub without: bool,
    /// The labels of `by` or `without`, as written.
    pub grouping: Vec<Box<str>>,
}

/// A kind of aggregation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the word of the language")]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

impl AggregateOp {
    /// Its spelling.
    pub fn word(self) -> &'static str {
        match self {
            AggregateOp::Sum => "sum",
            AggregateOp::Avg => "avg",
            AggregateOp::Count => "count",
            AggregateOp::Min => "min",
            AggregateOp::Max => "max",
            AggregateOp::Group => "group",
            AggregateOp::Stddev => "stddev",
            AggregateOp::Stdvar => "stdvar",
            AggregateOp::Topk => "topk",
            AggregateOp::Bottomk => "bottomk",
            AggregateOp::CountValues => "count_values",
            AggregateOp::Quantile => "quantile",
            AggregateOp::Limitk => "limitk",
            AggregateOp::LimitRatio => "limit_ratio",
        }
    }

    /// The type of the first argument, for those with two arguments.
    pub fn param(self) -> Option<ValueType> {
        use AggregateOp::*;
        match self {
            CountValues => Some(ValueType::String),
            Topk | Bottomk | Quantile | Limitk | LimitRatio => Some(ValueType::Scalar),
            _ => None,
        }
    }
}

/// A call of a function with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Its place in the text.
    pub span: Span,
    /// Which one.
    pub function: &'static Function,
    /// The arguments; their number and types fit the function.
    pub args: Vec<Expr>,
}
