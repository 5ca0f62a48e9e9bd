//! query: the tokens of an expression, the keywords, and their names in errors.

use super::ast::{AggregateOp, BinaryOp, Span};
use super::quote::quoted;

/// A kind of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tok {
    /// The end of the text.
    Eof,
    /// A name without a colon.
    Ident,
    /// A name with one.
    MetricIdent,
    Number,
    Duration,
    Text,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// `=`
    Assign,
    /// `=~`
    EqRegex,
    /// `!~`
    NeRegex,
    At,
    Op(BinaryOp),
    Aggregate(AggregateOp),
    Offset,
    Anchored,
    Smoothed,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Fill,
    FillLeft,
    FillRight,
    Bool,
    Start,
    End,
    Step,
    Range,
    MaxOf,
    MinOf,
}

/// A token and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub tok: Tok,
    pub span: Span,
}

impl Token {
    /// Its name in errors.
    pub fn described(self, text: &str) -> String {
        let value = self.span.of(text);
        let cut = || match value.char_indices().nth(10) {
            Some((at, _)) if value.len() > 10 => format!("{}...", quoted(&value[..at])),
            _ => quoted(value),
        };
        match self.tok {
            Tok::Eof => "end of input".to_owned(),
            Tok::Ident => format!("identifier {}", quoted(value)),
            Tok::MetricIdent => format!("metric identifier {}", quoted(value)),
            Tok::Number => format!("number {}", cut()),
            Tok::Duration => format!("duration {}", cut()),
            Tok::Text => format!("string {}", cut()),
            Tok::Op(_) | Tok::EqRegex | Tok::NeRegex | Tok::At => format!("<op:{value}>"),
            Tok::Aggregate(_) => format!("<aggr:{value}>"),
            Tok::Offset
            | Tok::Anchored
            | Tok::Smoothed
            | Tok::By
            | Tok::Without
            | Tok::On
            | Tok::Ignoring
            | Tok::GroupLeft
            | Tok::GroupRight
            | Tok::Fill
            | Tok::FillLeft
            | Tok::FillRight
            | Tok::Bool => format!("<{value}>"),
            _ => quoted(value),
        }
    }
}

/// The keyword for a word; case does not matter. `None` for a plain name.
pub(super) fn keyword(word: &[u8]) -> Option<Tok> {
    use {AggregateOp as A, BinaryOp as B};
    const LONGEST: usize = 12;
    if word.len() > LONGEST {
        return None;
    }
    let mut lower = [0u8; LONGEST];
    let lower = &mut lower[..word.len()];
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"and" => Tok::Op(B::And),
        b"or" => Tok::Op(B::Or),
        b"unless" => Tok::Op(B::Unless),
        b"atan2" => Tok::Op(B::Atan2),
        b"sum" => Tok::Aggregate(A::Sum),
        b"avg" => Tok::Aggregate(A::Avg),
        b"count" => Tok::Aggregate(A::Count),
        b"min" => Tok::Aggregate(A::Min),
        b"max" => Tok::Aggregate(A::Max),
        b"group" => Tok::Aggregate(A::Group),
        b"stddev" => Tok::Aggregate(A::Stddev),
        b"stdvar" => Tok::Aggregate(A::Stdvar),
        b"topk" => Tok::Aggregate(A::Topk),
        b"bottomk" => Tok::Aggregate(A::Bottomk),
        b"count_values" => Tok::Aggregate(A::CountValues),
        b"quantile" => Tok::Aggregate(A::Quantile),
        b"limitk" => Tok::Aggregate(A::Limitk),
        b"limit_ratio" => Tok::Aggregate(A::LimitRatio),
        b"offset" => Tok::Offset,
        b"anchored" => Tok::Anchored,
        b"smoothed" => Tok::Smoothed,
        b"by" => Tok::By,
        b"without" => Tok::Without,
        b"on" => Tok::On,
        b"ignoring" => Tok::Ignoring,
        b"group_left" => Tok::GroupLeft,
        b"group_right" => Tok::GroupRight,
        b"fill" => Tok::Fill,
        b"fill_left" => Tok::FillLeft,
        b"fill_right" => Tok::FillRight,
        b"bool" => Tok::Bool,
        b"start" => Tok::Start,
        b"end" => Tok::End,
        b"step" => Tok::Step,
        b"range" => Tok::Range,
        b"max_of" => Tok::MaxOf,
        b"min_of" => Tok::MinOf,
        b"inf" | b"nan" => Tok::Number,
        _ => return None,
    })
}

/// The words that may stand in a duration expression. `min` and `max` are what the first releases
/// that had them said.
pub(super) fn duration_keyword(word: &[u8]) -> Option<Tok> {
    let is = |w: &[u8]| word.eq_ignore_ascii_case(w);
    if is(b"step") {
        Some(Tok::Step)
    } else if is(b"range") {
        Some(Tok::Range)
    } else if is(b"max_of") || is(b"max") {
        Some(Tok::MaxOf)
    } else if is(b"min_of") || is(b"min") {
        Some(Tok::MinOf)
    } else {
        None
    }
}
