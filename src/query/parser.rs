//! query: a text becomes an expression. Operators by precedence; the first error ends it. What
//! fits together is checked afterwards, in `check`.

use super::ast::*;
use super::error::ParseError;
use super::functions::Function;
use super::lexer::Lexer;
use super::matcher::{MatchOp, Matcher, NAME};
use super::number::{parse_duration, parse_number};
use super::pattern::TOGETHER;
use super::quote::{is_utf8, quoted, unquoted};
use super::token::{Tok, Token};

/// The longest text that is read, in bytes.
pub const MAX_LENGTH: usize = 128 << 10;

/// The most levels of an expression; a chain of operators (`a + b + …`) has as many as operands.
/// Whatever walks over an expression may recurse this deep.
pub const MAX_DEPTH: usize = 256;

/// The most parentheses, calls and signs inside each other: each takes a good piece of the stack
/// here.
pub const MAX_NESTING: usize = 100;

/// Precedences of operators.
const POW: u8 = 6;

/// Reads and checks an expression.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    let expr = parse_unchecked(text)?;
    super::check::check(expr, text)
}

/// Parses a selector without modifiers, as in `match[]`, and returns its matchers.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(text)?;
    let start = parser.token;
    let node = parser.primary()?;
    parser.expect_end()?;
    match node.expr {
        Expr::Vector(selector) => {
            super::check::check_selector(&selector)?;
            Ok(selector.matchers)
        }
        _ => Err(parser.unexpected_token(start, "", "")),
    }
}

pub(super) fn parse_unchecked(text: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text)?;
    if parser.token.tok == Tok::Eof {
        return Err(ParseError::new(Span::default(), "no expression found in input"));
    }
    let node = parser.expr(0)?;
    parser.expect_end()?;
    Ok(node.expr)
}

/// An expression and its levels.
struct Node {
    expr: Expr,
    depth: usize,
}

impl Node {
    fn leaf(expr: Expr) -> Self {
        Self { expr, depth: 1 }
    }
}

struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    token: Token,
    /// The end of the last token.
    end: u32,
    /// Levels of calls of this parser.
    level: usize,
    /// Aggregations that have begun and not ended.
    aggregations: usize,
    /// Bytes of memory that are left for patterns.
    patterns: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, ParseError> {
        if text.len() > MAX_LENGTH {
            let message = format!(
                "the expression is {} bytes long; at most {MAX_LENGTH} are read",
                text.len()
            );
            return Err(ParseError::new(Span::default(), message));
        }
        let mut lexer = Lexer::new(text);
        let token = lexer.next()?;
        Ok(Self { text, lexer, token, end: 0, level: 0, aggregations: 0, patterns: TOGETHER })
    }

    fn bump(&mut self) -> Result<Token, ParseError> {
        let token = self.token;
        self.end = token.span.end;
        self.token = self.lexer.next()?;
        Ok(token)
    }

    fn take(&mut self, tok: Tok) -> Result<bool, ParseError> {
        let found = self.token.tok == tok;
        if found {
            self.bump()?;
        }
        Ok(found)
    }

    fn expect_end(&self) -> Result<(), ParseError> {
        if self.token.tok == Tok::Eof { Ok(()) } else { Err(self.unexpected("", "")) }
    }

    fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        self.unexpected_token(self.token, context, expected)
    }

    fn unexpected_token(&self, token: Token, context: &str, expected: &str) -> ParseError {
        let context =
            if context.is_empty() && self.aggregations > 0 { "aggregation" } else { context };
        let mut message = format!("unexpected {}", token.described(self.text));
        for (word, what) in [(" in ", context), (", expected ", expected)] {
            if !what.is_empty() {
                message.push_str(word);
                message.push_str(what);
            }
        }
        ParseError::new(token.span, message)
    }

    fn expect(&mut self, tok: Tok) -> Result<Token, ParseError> {
        if self.token.tok == tok { self.bump() } else { Err(self.unexpected("", "")) }
    }

    fn too_deep(&self, span: Span, levels: usize) -> ParseError {
        ParseError::new(span, format!("the expression is nested deeper than {levels} levels"))
    }

    fn enter(&mut self) -> Result<(), ParseError> {
        self.level += 1;
        if self.level > MAX_NESTING {
            Err(self.too_deep(self.token.span, MAX_NESTING))
        } else {
            Ok(())
        }
    }

    fn deeper(&self, depth: usize, span: Span) -> Result<usize, ParseError> {
        if depth >= MAX_DEPTH { Err(self.too_deep(span, MAX_DEPTH)) } else { Ok(depth + 1) }
    }

    /// An expression of operators that bind at least so tightly.
    fn expr(&mut self, least: u8) -> Result<Node, ParseError> {
        self.enter()?;
        let mut left = match self.token.tok {
            Tok::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                let sign = self.bump()?;
                let operand = self.expr(POW)?;
                self.unary(op == BinaryOp::Sub, sign.span.start, operand)?
            }
            _ => {
                let primary = self.primary()?;
                self.postfix(primary)?
            }
        };
        while let Tok::Op(op) = self.token.tok {
            let power = power(op);
            if power < least {
                break;
            }
            let op_start = self.bump()?.span.start;
            let (return_bool, matching) = self.modifiers()?;
            let op_span = Span::new(op_start, self.end);
            let right = self.expr(if op == BinaryOp::Pow { power } else { power + 1 })?;
            let span = left.expr.span().to(right.expr.span());
            let depth = self.deeper(left.depth.max(right.depth), span)?;
            let (lhs, rhs) = (left.expr, right.expr);
            let matching = Some(matching);
            let binary = Binary { op, op_span, return_bool, matching, lhs, rhs };
            left = Node { expr: Expr::Binary(Box::new(binary)), depth };
        }
        self.level -= 1;
        Ok(left)
    }

    fn unary(&mut self, negate: bool, start: u32, operand: Node) -> Result<Node, ParseError> {
        if let Expr::Number(mut number) = operand.expr {
            if negate {
                number.value = -number.value;
            }
            number.span.start = start;
            return Ok(Node::leaf(Expr::Number(number)));
        }
        let depth = self.deeper(operand.depth, operand.expr.span())?;
        let unary = Unary { start, negate, expr: operand.expr };
        Ok(Node { expr: Expr::Unary(Box::new(unary)), depth })
    }

    fn primary(&mut self) -> Result<Node, ParseError> {
        let token = self.token;
        match token.tok {
            Tok::Number | Tok::Duration => Ok(Node::leaf(Expr::Number(self.number()?))),
            Tok::Text => {
                self.bump()?;
                let text = token.span.of(self.text);
                let (value, utf8) = (unquoted(text), is_utf8(text));
                Ok(Node::leaf(Expr::String(StringLiteral { span: token.span, value, utf8 })))
            }
            Tok::LeftParen => {
                self.bump()?;
                // An error in here is still inside an aggregation around it.
                let inside = self.expr(0)?;
                let close = self.expect(Tok::RightParen)?;
                let span = token.span.to(close.span);
                let depth = self.deeper(inside.depth, span)?;
                let paren = Paren { span, expr: inside.expr };
                Ok(Node { expr: Expr::Paren(Box::new(paren)), depth })
            }
            Tok::LeftBrace => self.selector(None),
            Tok::Aggregate(op) => {
                self.bump()?;
                match self.token.tok {
                    Tok::LeftParen | Tok::By | Tok::Without => self.aggregate(op, token.span),
                    _ => self.selector(Some(token.span)),
                }
            }
            Tok::Ident
            | Tok::Start
            | Tok::End
            | Tok::Step
            | Tok::Range
            | Tok::MaxOf
            | Tok::MinOf => {
                self.bump()?;
                if self.token.tok == Tok::LeftParen {
                    self.call(token.span)
                } else {
                    self.selector(Some(token.span))
                }
            }
            tok if may_name_metric(tok) => {
                self.bump()?;
                self.selector(Some(token.span))
            }
            _ => Err(self.unexpected("", "")),
        }
    }

    fn number(&mut self) -> Result<Number, ParseError> {
        let token = self.bump()?;
        let text = token.span.of(self.text);
        let duration = token.tok == Tok::Duration;
        let value = if duration {
            parse_duration(text).map(|ms| ms as f64 / 1000.0)
        } else {
            parse_number(text)
        };
        let value = value.map_err(|e| ParseError::new(token.span, e))?;
        Ok(Number { span: token.span, value, duration })
    }

    /// A vector selector; its name has been read.
    fn selector(&mut self, name: Option<Span>) -> Result<Node, ParseError> {
        let start = name.unwrap_or(self.token.span).start;
        let mut matchers = Vec::new();
        if self.take(Tok::LeftBrace)? {
            while self.token.tok != Tok::RightBrace {
                matchers.push(self.matcher()?);
                if !self.take(Tok::Comma)? && self.token.tok != Tok::RightBrace {
                    return Err(self.unexpected("label matching", "\",\" or \"}\""));
                }
            }
            self.bump()?;
        }
        let name = name.map(|span| span.of(self.text));
        if let Some(name) = name {
            matchers.push(Matcher::equal(NAME, name));
        }
        // A rule is kept for as long as plimsoll runs.
        matchers.shrink_to_fit();
        Ok(Node::leaf(Expr::Vector(VectorSelector {
            span: Span::new(start, self.end),
            name: name.map(Into::into),
            matchers,
            offset: Duration::ZERO,
            at: None,
            edges: Edges::Plain,
        })))
    }

    fn matcher(&mut self) -> Result<Matcher, ParseError> {
        const CONTEXT: &str = "label matching";
        let label = self.token;
        let is_text = match label.tok {
            Tok::Ident => false,
            Tok::Text => true,
            _ => return Err(self.unexpected(CONTEXT, "identifier or \"}\"")),
        };
        self.bump()?;
        let text = label.span.of(self.text);
        let op = match self.token.tok {
            Tok::Assign => MatchOp::Equal,
            Tok::Op(BinaryOp::Ne) => MatchOp::NotEqual,
            Tok::EqRegex => MatchOp::Regex,
            Tok::NeRegex => MatchOp::NotRegex,
            _ if is_text => return Ok(Matcher::equal(NAME, &unquoted(text))),
            _ => return Err(self.unexpected(CONTEXT, "label matching operator")),
        };
        self.bump()?;
        if self.token.tok != Tok::Text {
            return Err(self.unexpected(CONTEXT, "string"));
        }
        let value = self.bump()?.span;
        let (name, pattern) = (if is_text { unquoted(text) } else { text.into() }, value);
        Matcher::within(op, &name, &unquoted(pattern.of(self.text)), &mut self.patterns)
            .map_err(|e| ParseError::new(label.span.to(value), e))
    }

    fn aggregate(&mut self, op: AggregateOp, word: Span) -> Result<Node, ParseError> {
        self.aggregations += 1;
        let mut grouping = self.grouping()?;
        let mut args = self.arguments()?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        self.aggregations -= 1;
        let span = Span::new(word.start, self.end);
        let wanted = if op.param().is_some() { 2 } else { 1 };
        if args.is_empty() {
            let message = "no arguments for aggregate expression provided";
            return Err(ParseError::new(span, message));
        }
        if args.len() != wanted {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, \
                 got {}",
                args.len()
            );
            return Err(ParseError::new(span, message));
        }
        let depth = self.deeper(args.iter().map(|a| a.depth).max().unwrap_or(0), span)?;
        let (without, grouping) = grouping.unwrap_or_default();
        let Some(last) = args.pop() else { return Err(self.unexpected("", "")) };
        let param = args.pop().map(|node| node.expr);
        let aggregate = Aggregate { span, op, param, expr: last.expr, without, grouping };
        Ok(Node { expr: Expr::Aggregate(Box::new(aggregate)), depth })
    }

    /// `by (…)` or `without (…)`, if one of them is here: whether it is `without`, and the labels.
    #[allow(clippy::type_complexity, reason = "used in one place")]
    fn grouping(&mut self) -> Result<Option<(bool, Vec<Box<str>>)>, ParseError> {
        let without = match self.token.tok {
            Tok::By => false,
            Tok::Without => true,
            _ => return Ok(None),
        };
        self.bump()?;
        Ok(Some((without, self.labels()?)))
    }

    /// `(label, "label", …)`
    fn labels(&mut self) -> Result<Vec<Box<str>>, ParseError> {
        const CONTEXT: &str = "grouping opts";
        if !self.take(Tok::LeftParen)? {
            return Err(self.unexpected(CONTEXT, "\"(\""));
        }
        let mut labels = Vec::new();
        while self.token.tok != Tok::RightParen {
            let token = self.token;
            let text = token.span.of(self.text);
            let (label, utf8) = match token.tok {
                Tok::Text => (unquoted(text), is_utf8(text)),
                tok if may_name_label(tok) => (text.into(), true),
                _ => return Err(self.unexpected(CONTEXT, "label")),
            };
            if label.is_empty() || !utf8 {
                let message = format!("invalid label name for grouping: {}", quoted(&label));
                return Err(ParseError::new(token.span, message));
            }
            labels.push(label);
            self.bump()?;
            if !self.take(Tok::Comma)? && self.token.tok != Tok::RightParen {
                return Err(self.unexpected(CONTEXT, "\",\" or \")\""));
            }
        }
        self.bump()?;
        Ok(labels)
    }

    fn call(&mut self, name: Span) -> Result<Node, ParseError> {
        let args = self.arguments()?;
        let word = name.of(self.text);
        let Some(function) = Function::named(word) else {
            let message = format!("unknown function with name {}", quoted(word));
            return Err(ParseError::new(name, message));
        };
        let span = Span::new(name.start, self.end);
        let depth = self.deeper(args.iter().map(|a| a.depth).max().unwrap_or(0), span)?;
        let args = args.into_iter().map(|node| node.expr).collect();
        Ok(Node { expr: Expr::Call(Call { span, function, args }), depth })
    }

    fn arguments(&mut self) -> Result<Vec<Node>, ParseError> {
        self.expect(Tok::LeftParen)?;
        let mut args = Vec::new();
        if self.take(Tok::RightParen)? {
            return Ok(args);
        }
        loop {
            args.push(self.expr(0)?);
            let comma = self.token.span;
            if !self.take(Tok::Comma)? {
                break;
            }
            if self.token.tok == Tok::RightParen {
                let message = "trailing commas not allowed in function call args";
                return Err(ParseError::new(comma, message));
            }
        }
        self.expect(Tok::RightParen)?;
        Ok(args)
    }

    /// Reads the modifiers between an operator and its right side.
    fn modifiers(&mut self) -> Result<(bool, Matching), ParseError> {
        let return_bool = self.take(Tok::Bool)?;
        let mut matching = Matching::default();
        if matches!(self.token.tok, Tok::On | Tok::Ignoring) {
            matching.on = self.token.tok == Tok::On;
            self.bump()?;
            matching.labels = self.labels()?;
            let card = match self.token.tok {
                Tok::GroupLeft => Some(Card::ManyToOne),
                Tok::GroupRight => Some(Card::OneToMany),
                _ => None,
            };
            if let Some(card) = card {
                matching.card = card;
                self.bump()?;
                if self.token.tok == Tok::LeftParen {
                    matching.include = self.labels()?;
                }
            }
        }
        match self.token.tok {
            Tok::Fill => {
                let fill = Some(self.fill()?);
                (matching.fill_left, matching.fill_right) = (fill, fill);
            }
            Tok::FillLeft => {
                matching.fill_left = Some(self.fill()?);
                if self.token.tok == Tok::FillRight {
                    matching.fill_right = Some(self.fill()?);
                }
            }
            Tok::FillRight => {
                matching.fill_right = Some(self.fill()?);
                if self.token.tok == Tok::FillLeft {
                    matching.fill_left = Some(self.fill()?);
                }
            }
            _ => {}
        }
        Ok((return_bool, matching))
    }

    fn fill(&mut self) -> Result<f64, ParseError> {
        self.bump()?;
        self.expect(Tok::LeftParen)?;
        let negative = self.sign()?;
        if !matches!(self.token.tok, Tok::Number | Tok::Duration) {
            return Err(self.unexpected("", ""));
        }
        let value = self.number()?.value;
        self.expect(Tok::RightParen)?;
        Ok(if negative { -value } else { value })
    }

    fn sign(&mut self) -> Result<bool, ParseError> {
        let negative = match self.token.tok {
            Tok::Op(BinaryOp::Add) => false,
            Tok::Op(BinaryOp::Sub) => true,
            _ => return Ok(false),
        };
        self.bump()?;
        Ok(negative)
    }
}

mod postfix;

fn power(op: BinaryOp) -> u8 {
    use BinaryOp::*;
    match op {
        Or => 1,
        And | Unless => 2,
        Eq | Ne | Gt | Lt | Ge | Le | TrimUpper | TrimLower => 3,
        Add | Sub => 4,
        Mul | Div | Mod | Atan2 => 5,
        Pow => POW,
    }
}

/// Words of the language that are names where a name is wanted.
fn may_name_metric(tok: Tok) -> bool {
    match tok {
        Tok::Op(op) => op.is_set(),
        Tok::Ident
        | Tok::MetricIdent
        | Tok::Aggregate(_)
        | Tok::By
        | Tok::Without
        | Tok::Offset
        | Tok::Anchored
        | Tok::Smoothed
        | Tok::Fill
        | Tok::FillLeft
        | Tok::FillRight
        | Tok::Start
        | Tok::End
        | Tok::Step
        | Tok::Range
        | Tok::MaxOf
        | Tok::MinOf => true,
        _ => false,
    }
}

fn may_name_label(tok: Tok) -> bool {
    may_name_metric(tok)
        || matches!(
            tok,
            Tok::Bool
                | Tok::On
                | Tok::Ignoring
                | Tok::GroupLeft
                | Tok::GroupRight
                | Tok::Op(BinaryOp::Atan2)
        )
}
