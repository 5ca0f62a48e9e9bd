//! query: the parts after a selector: ranges, subqueries, `offset`, `@`, and the arithmetic of
//! durations inside them.

use super::*;

/// The precedence of `*` and of a sign.
const MUL: u8 = 5;

/// The kind of brackets after an expression.
enum Brackets {
    Range(Duration),
    Subquery(Duration, Option<Duration>),
}

impl Parser<'_> {
    pub(super) fn postfix(&mut self, mut node: Node) -> Result<Node, ParseError> {
        loop {
            match self.token.tok {
                Tok::LeftBracket => node = self.brackets(node)?,
                Tok::Offset => {
                    self.bump()?;
                    let offset = self.offset_duration()?;
                    self.set_offset(&mut node.expr, offset)?;
                }
                Tok::At => {
                    self.bump()?;
                    self.at(&mut node.expr)?;
                }
                Tok::Anchored | Tok::Smoothed => {
                    let anchored = self.token.tok == Tok::Anchored;
                    self.bump()?;
                    let edges = if anchored { Edges::Anchored } else { Edges::Smoothed };
                    set_edges(&mut node.expr, edges)?;
                }
                _ => return Ok(node),
            }
        }
    }

    fn brackets(&mut self, node: Node) -> Result<Node, ParseError> {
        let open = self.bump()?.span;
        let brackets = self.inside_brackets()?;
        let span = open.to(Span::new(0, self.end));
        match brackets {
            Brackets::Range(range) => {
                let error = |message: &str| Err(ParseError::new(span, message));
                let Expr::Vector(selector) = node.expr else {
                    return error("ranges only allowed for vector selectors");
                };
                if !selector.offset.is_zero() {
                    return error("no offset modifiers allowed before range");
                }
                if selector.at.is_some() {
                    return error("no @ modifiers allowed before range");
                }
                let span = Span::new(selector.span.start, self.end);
                Ok(Node::leaf(Expr::Matrix(MatrixSelector { span, selector, range })))
            }
            Brackets::Subquery(range, step) => {
                let depth = self.deeper(node.depth, span)?;
                let span = Span::new(node.expr.span().start, self.end);
                let offset = Duration::ZERO;
                let expr = node.expr;
                let subquery = Subquery { span, expr, range, step, offset, at: None };
                Ok(Node { expr: Expr::Subquery(Box::new(subquery)), depth })
            }
        }
    }

    fn inside_brackets(&mut self) -> Result<Brackets, ParseError> {
        const WANTED: &str = "number, duration, step(), or range()";
        if !begins_duration(self.token.tok) {
            return Err(self.unexpected("subquery or range selector", WANTED));
        }
        let range = self.positive_duration()?;
        if self.take(Tok::RightBracket)? {
            return Ok(Brackets::Range(range));
        }
        if !self.take(Tok::Colon)? {
            return Err(self.unexpected("subquery or range", "\":\" or \"]\""));
        }
        if self.take(Tok::RightBracket)? {
            return Ok(Brackets::Subquery(range, None));
        }
        if !begins_duration(self.token.tok) {
            let wanted = "number, duration, step(), range(), or \"]\"";
            return Err(self.unexpected("subquery selector", wanted));
        }
        let step = self.positive_duration()?;
        if !self.take(Tok::RightBracket)? {
            return Err(self.unexpected("subquery selector", "\"]\""));
        }
        Ok(Brackets::Subquery(range, Some(step)))
    }

    fn positive_duration(&mut self) -> Result<Duration, ParseError> {
        let (expr, _) = self.duration(0)?;
        if let DurationKind::Number(number) = &expr.kind
            && number.value <= 0.0
        {
            return Err(ParseError::new(number.span, "duration must be greater than 0"));
        }
        Ok(settled(expr))
    }

    /// Reads the duration after `offset`: a number, with or without a sign, or arithmetic in
    /// parentheses.
    fn offset_duration(&mut self) -> Result<Duration, ParseError> {
        let signed = matches!(self.token.tok, Tok::Op(BinaryOp::Add | BinaryOp::Sub));
        let start = self.token.span.start;
        let negative = self.sign()?;
        let another_sign = matches!(self.token.tok, Tok::Op(_));
        if another_sign || !begins_duration(self.token.tok) {
            return Err(self.unexpected("offset", "number, duration, step(), or range()"));
        }
        let (expr, _) = self.duration_atom()?;
        Ok(settled(if signed { signed_duration(negative, start, expr) } else { expr }))
    }

    /// Arithmetic of durations whose operators bind at least so tightly, and its levels.
    fn duration(&mut self, least: u8) -> Result<(DurationExpr, usize), ParseError> {
        self.enter()?;
        let (mut left, mut depth) = match self.token.tok {
            Tok::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                let start = self.bump()?.span.start;
                let (operand, depth) = self.duration(MUL + 1)?;
                let depth = self.deeper(depth, operand.span)?;
                (signed_duration(op == BinaryOp::Sub, start, operand), depth)
            }
            _ => self.duration_atom()?,
        };
        while let Tok::Op(binary) = self.token.tok {
            let op = match binary {
                BinaryOp::Add => DurationOp::Add,
                BinaryOp::Sub => DurationOp::Sub,
                BinaryOp::Mul => DurationOp::Mul,
                BinaryOp::Div => DurationOp::Div,
                BinaryOp::Mod => DurationOp::Mod,
                BinaryOp::Pow => DurationOp::Pow,
                _ => break,
            };
            let power = power(binary);
            if power < least {
                break;
            }
            let op_span = self.bump()?.span;
            let next = if op == DurationOp::Pow { power } else { power + 1 };
            let (right, right_depth) = self.duration(next)?;
            let zero = matches!(&right.kind, DurationKind::Number(n) if n.value == 0.0);
            match op {
                DurationOp::Div if zero => {
                    return Err(ParseError::new(op_span, "division by zero"));
                }
                DurationOp::Mod if zero => {
                    return Err(ParseError::new(op_span, "modulo by zero"));
                }
                _ => {}
            }
            let span = left.span.to(right.span);
            depth = self.deeper(depth.max(right_depth), span)?;
            let kind = DurationKind::Binary(op, Box::new(left), Box::new(right));
            left = DurationExpr { span, kind };
        }
        self.level -= 1;
        Ok((left, depth))
    }

    fn duration_atom(&mut self) -> Result<(DurationExpr, usize), ParseError> {
        let token = self.token;
        let (kind, depth) = match token.tok {
            Tok::Number | Tok::Duration => {
                let number = self.number()?;
                // Checks that it fits 63 bits of nanoseconds. NaN passes, and is refused when it is
                // used.
                const MOST: f64 = 9_223_372_036.854_775;
                if number.value.abs() > MOST {
                    return Err(ParseError::new(number.span, "duration out of range"));
                }
                (DurationKind::Number(number), 1)
            }
            Tok::Step | Tok::Range => {
                self.bump()?;
                self.expect(Tok::LeftParen)?;
                self.expect(Tok::RightParen)?;
                let step = token.tok == Tok::Step;
                (if step { DurationKind::Step } else { DurationKind::Range }, 1)
            }
            Tok::MinOf | Tok::MaxOf => {
                self.bump()?;
                self.expect(Tok::LeftParen)?;
                let (left, left_depth) = self.duration(0)?;
                self.expect(Tok::Comma)?;
                let (right, right_depth) = self.duration(0)?;
                self.expect(Tok::RightParen)?;
                let op =
                    if token.tok == Tok::MaxOf { DurationOp::MaxOf } else { DurationOp::MinOf };
                let depth = self.deeper(left_depth.max(right_depth), token.span)?;
                (DurationKind::Binary(op, Box::new(left), Box::new(right)), depth)
            }
            Tok::LeftParen => {
                self.bump()?;
                let (inside, depth) = self.duration(0)?;
                self.expect(Tok::RightParen)?;
                let depth = self.deeper(depth, token.span)?;
                (DurationKind::Paren(Box::new(inside)), depth)
            }
            _ => return Err(self.unexpected("", "")),
        };
        Ok((DurationExpr { span: Span::new(token.span.start, self.end), kind }, depth))
    }

    fn set_offset(&self, expr: &mut Expr, new: Duration) -> Result<(), ParseError> {
        let whole = expr.span();
        let (offset, span) = match expr {
            Expr::Vector(e) => (&mut e.offset, &mut e.span),
            Expr::Matrix(e) => (&mut e.selector.offset, &mut e.span),
            Expr::Subquery(e) => (&mut e.offset, &mut e.span),
            _ => {
                let message = "offset modifier must be preceded by an instant vector selector or \
                               range vector selector or a subquery";
                return Err(ParseError::new(whole, message));
            }
        };
        if !offset.is_zero() {
            return Err(ParseError::new(whole, "offset may not be set multiple times"));
        }
        *offset = new;
        span.end = self.end;
        Ok(())
    }

    /// Reads the part after `@`.
    fn at(&mut self, expr: &mut Expr) -> Result<(), ParseError> {
        const WANTED: &str = "timestamp";
        let whole = expr.span();
        let signed = matches!(self.token.tok, Tok::Op(BinaryOp::Add | BinaryOp::Sub));
        let negative = self.sign()?;
        let at = match self.token.tok {
            Tok::Number | Tok::Duration => {
                let value = self.number()?.value;
                let seconds = if negative { -value } else { value };
                let limit = i64::MAX as f64;
                if !seconds.is_finite() || seconds >= limit || seconds <= -limit {
                    let shown = match seconds {
                        f64::INFINITY => "+Inf".to_owned(),
                        f64::NEG_INFINITY => "-Inf".to_owned(),
                        s => format!("{s:.6}"),
                    };
                    let message = format!("timestamp out of bounds for @ modifier: {shown}");
                    return Err(ParseError::new(whole, message));
                }
                // Halves away from zero; beyond 63 bits of milliseconds is the end of time.
                At::Time((seconds * 1000.0).round() as i64)
            }
            tok @ (Tok::Start | Tok::End) if !signed => {
                self.bump()?;
                if !self.take(Tok::LeftParen)? || !self.take(Tok::RightParen)? {
                    return Err(self.unexpected("@", WANTED));
                }
                if tok == Tok::Start { At::Start } else { At::End }
            }
            _ => return Err(self.unexpected("@", WANTED)),
        };
        let (old, span) = match expr {
            Expr::Vector(e) => (&mut e.at, &mut e.span),
            Expr::Matrix(e) => (&mut e.selector.at, &mut e.span),
            Expr::Subquery(e) => (&mut e.at, &mut e.span),
            _ => {
                let message = "@ modifier must be preceded by an instant vector selector or range \
                               vector selector or a subquery";
                return Err(ParseError::new(whole, message));
            }
        };
        if old.is_some() {
            return Err(ParseError::new(whole, "@ <timestamp> may not be set multiple times"));
        }
        *old = Some(at);
        span.end = self.end;
        Ok(())
    }
}

fn set_edges(expr: &mut Expr, new: Edges) -> Result<(), ParseError> {
    let word = if new == Edges::Anchored { "anchored" } else { "smoothed" };
    let span = expr.span();
    let edges = match expr {
        Expr::Vector(e) => &mut e.edges,
        Expr::Matrix(e) => &mut e.selector.edges,
        Expr::Subquery(_) => {
            let message = format!("{word} modifier is not supported for subqueries");
            return Err(ParseError::new(span, message));
        }
        _ => return Err(ParseError::new(span, format!("{word} modifier not implemented"))),
    };
    if *edges != Edges::Plain && *edges != new {
        let message = "anchored and smoothed modifiers cannot be used together";
        return Err(ParseError::new(span, message));
    }
    *edges = new;
    Ok(())
}

fn begins_duration(tok: Tok) -> bool {
    matches!(
        tok,
        Tok::Number
            | Tok::Duration
            | Tok::Step
            | Tok::Range
            | Tok::MinOf
            | Tok::MaxOf
            | Tok::LeftParen
            | Tok::Op(BinaryOp::Add | BinaryOp::Sub)
    )
}

/// A sign in front of a duration; that of a number becomes part of it, and `+` says nothing.
fn signed_duration(negate: bool, start: u32, expr: DurationExpr) -> DurationExpr {
    let span = Span::new(start, expr.span.end);
    match expr.kind {
        DurationKind::Number(mut number) => {
            if negate {
                number.value = -number.value;
            }
            number.span = span;
            DurationExpr { span, kind: DurationKind::Number(number) }
        }
        _ if !negate => expr,
        _ => DurationExpr { span, kind: DurationKind::Negated(Box::new(expr)) },
    }
}

/// A plain number is known now.
fn settled(expr: DurationExpr) -> Duration {
    match expr.kind {
        // Rounded through nanoseconds, as Prometheus does.
        DurationKind::Number(n) if !n.value.is_nan() => {
            Duration::Millis((n.value * 1e9).round() as i64 / 1_000_000)
        }
        _ => Duration::Expr(Box::new(expr)),
    }
}
