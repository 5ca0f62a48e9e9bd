//! query: an expression's text cut into tokens. Works on bytes, allocates nothing but the text of
//! an error.

use super::ast::{BinaryOp, Span};
use super::error::ParseError;
use super::quote::{quoted, quoted_char};
use super::token::{Tok, Token, duration_keyword, keyword};

fn is_alpha(b: u8) -> bool {
    b == b'_' || b.is_ascii_alphabetic()
}

fn is_word(b: u8) -> bool {
    b == b'_' || b.is_ascii_alphanumeric()
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r')
}

/// Cuts a text into tokens, one at a time.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    parens: u32,
    in_braces: bool,
    in_brackets: bool,
    /// Behind `[`, until the first number: only what a duration is made of.
    before_duration: bool,
    /// A number has been seen between the brackets.
    got_duration: bool,
    got_colon: bool,
}

impl<'a> Lexer<'a> {
    /// At the beginning of a text of less than 4 GiB.
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
            parens: 0,
            in_braces: false,
            in_brackets: false,
            before_duration: false,
            got_duration: false,
            got_colon: false,
        }
    }

    /// The byte at the place, 0 past the end: a NUL in the text is an unexpected character like
    /// any other, so the two need no telling apart where a byte is looked for.
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn accept(&mut self, set: &[u8]) -> bool {
        let found = self.at < self.bytes.len() && set.contains(&self.bytes[self.at]);
        self.at += usize::from(found);
        found
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.at < self.bytes.len() && wanted(self.bytes[self.at]) {
            self.at += 1;
        }
    }

    fn error(&self, start: usize, message: String) -> ParseError {
        ParseError::new(Span::new(start as u32, self.text.len() as u32), message)
    }

    /// The character at a place, as errors show it.
    fn shown(&self, at: usize) -> String {
        match self.text.get(at..).and_then(|rest| rest.chars().next()) {
            Some(c) => quoted_char(c),
            None => "end of input".to_owned(),
        }
    }

    fn skip_space_and_comments(&mut self) {
        loop {
            self.skip_while(is_space);
            // Between `[` and the number a comment has never been allowed.
            if self.peek() != b'#' || self.before_duration {
                return;
            }
            self.skip_while(|b| b != b'\n' && b != b'\r');
        }
    }

    /// The next token; [`Tok::Eof`] again and again at the end. After an error there is no next.
    pub fn next(&mut self) -> Result<Token, ParseError> {
        self.skip_space_and_comments();
        let start = self.at;
        let tok = if start == self.bytes.len() {
            self.end(start)?
        } else if self.in_braces {
            self.inside_braces(start)?
        } else if self.before_duration {
            self.inside_brackets(start)?
        } else {
            self.statement(start)?
        };
        Ok(Token { tok, span: Span::new(start as u32, self.at as u32) })
    }

    fn end(&self, start: usize) -> Result<Tok, ParseError> {
        let missing = if self.in_braces {
            "unexpected end of input inside braces"
        } else if self.before_duration {
            "unexpected end of input in duration expression"
        } else if self.parens > 0 {
            "unclosed left parenthesis"
        } else if self.in_brackets {
            "unclosed left bracket"
        } else {
            return Ok(Tok::Eof);
        };
        Err(self.error(start, missing.to_owned()))
    }

    fn statement(&mut self, start: usize) -> Result<Tok, ParseError> {
        let byte = self.bytes[start];
        if byte.is_ascii_digit() {
            return self.number_or_duration(start);
        }
        if is_alpha(byte) || byte == b':' {
            return if self.in_brackets { self.in_range(start) } else { Ok(self.word(start)) };
        }
        self.at += 1;
        Ok(match byte {
            b',' => Tok::Comma,
            b'*' => Tok::Op(BinaryOp::Mul),
            b'/' => Tok::Op(BinaryOp::Div),
            b'%' => Tok::Op(BinaryOp::Mod),
            b'+' => Tok::Op(BinaryOp::Add),
            b'-' => Tok::Op(BinaryOp::Sub),
            b'^' => Tok::Op(BinaryOp::Pow),
            b'@' => Tok::At,
            b'=' if self.accept(b"=") => Tok::Op(BinaryOp::Eq),
            b'=' if self.peek() == b'~' => {
                return Err(self.error(start, "unexpected character after '=': '~'".to_owned()));
            }
            b'=' => Tok::Assign,
            b'!' if self.accept(b"=") => Tok::Op(BinaryOp::Ne),
            b'!' => {
                let next = self.shown(self.at);
                return Err(self.error(start, format!("unexpected character after '!': {next}")));
            }
            b'<' if self.accept(b"=") => Tok::Op(BinaryOp::Le),
            b'<' if self.accept(b"/") => Tok::Op(BinaryOp::TrimUpper),
            b'<' => Tok::Op(BinaryOp::Lt),
            b'>' if self.accept(b"=") => Tok::Op(BinaryOp::Ge),
            b'>' if self.accept(b"/") => Tok::Op(BinaryOp::TrimLower),
            b'>' => Tok::Op(BinaryOp::Gt),
            b'.' if self.peek().is_ascii_digit() => {
                self.at = start;
                return self.number_or_duration(start);
            }
            b'"' | b'\'' => self.string(start, byte)?,
            b'`' => self.raw_string(start)?,
            b'(' => self.left_paren(),
            b')' => self.right_paren()?,
            b'{' => {
                self.in_braces = true;
                Tok::LeftBrace
            }
            b'[' if self.in_brackets => {
                return Err(self.error(start, "unexpected left bracket '['".to_owned()));
            }
            b'[' => {
                self.in_brackets = true;
                self.before_duration = true;
                self.got_duration = false;
                self.got_colon = false;
                Tok::LeftBracket
            }
            b']' if !self.in_brackets => {
                return Err(self.error(start, "unexpected right bracket ']'".to_owned()));
            }
            b']' => {
                self.in_brackets = false;
                Tok::RightBracket
            }
            _ => {
                let shown = self.shown(start);
                return Err(self.error(start, format!("unexpected character: {shown}")));
            }
        })
    }

    fn left_paren(&mut self) -> Tok {
        self.parens += 1;
        Tok::LeftParen
    }

    fn right_paren(&mut self) -> Result<Tok, ParseError> {
        match self.parens.checked_sub(1) {
            Some(left) => self.parens = left,
            None => {
                return Err(self.error(self.at, "unexpected right parenthesis ')'".to_owned()));
            }
        }
        Ok(Tok::RightParen)
    }

    /// A letter or a colon between brackets, behind the first number.
    fn in_range(&mut self, start: usize) -> Result<Tok, ParseError> {
        if self.bytes[start] == b':' {
            if self.got_colon {
                return Err(self.error(start, "unexpected colon ':'".to_owned()));
            }
            self.at += 1;
            self.got_colon = true;
            return Ok(Tok::Colon);
        }
        self.skip_while(is_alpha);
        duration_keyword(&self.bytes[start..self.at]).ok_or_else(|| {
            let shown = self.shown(start);
            self.error(start, format!("unexpected character: {shown}, expected ':'"))
        })
    }

    fn inside_brackets(&mut self, start: usize) -> Result<Tok, ParseError> {
        let byte = self.bytes[start];
        let digit_follows = self.bytes.get(start + 1).is_some_and(u8::is_ascii_digit);
        if byte.is_ascii_digit() || byte == b'.' && digit_follows {
            self.before_duration = false;
            self.got_duration = true;
            return self.number_or_duration(start);
        }
        if is_alpha(byte) {
            self.skip_while(is_alpha);
            if let Some(tok) = duration_keyword(&self.bytes[start..self.at]) {
                self.got_duration = true;
                return Ok(tok);
            }
        }
        self.at = start + 1;
        Ok(match byte {
            b']' => {
                self.in_brackets = false;
                self.before_duration = false;
                Tok::RightBracket
            }
            b':' if !self.got_duration => {
                let message = "unexpected colon before duration in duration expression";
                return Err(self.error(start, message.to_owned()));
            }
            b':' if self.got_colon => {
                let message = "unexpected repeated colon in duration expression";
                return Err(self.error(start, message.to_owned()));
            }
            b':' => {
                self.got_colon = true;
                Tok::Colon
            }
            b'(' => self.left_paren(),
            b')' => self.right_paren()?,
            b'+' => Tok::Op(BinaryOp::Add),
            b'-' => Tok::Op(BinaryOp::Sub),
            b'*' => Tok::Op(BinaryOp::Mul),
            b'/' => Tok::Op(BinaryOp::Div),
            b'%' => Tok::Op(BinaryOp::Mod),
            b'^' => Tok::Op(BinaryOp::Pow),
            b',' => Tok::Comma,
            _ => {
                let shown = self.shown(start);
                let message = format!("unexpected character in duration expression: {shown}");
                return Err(self.error(start, message));
            }
        })
    }

    fn inside_braces(&mut self, start: usize) -> Result<Tok, ParseError> {
        let byte = self.bytes[start];
        if is_alpha(byte) {
            self.skip_while(is_word);
            return Ok(Tok::Ident);
        }
        self.at += 1;
        Ok(match byte {
            b',' => Tok::Comma,
            b'"' | b'\'' => self.string(start, byte)?,
            b'`' => self.raw_string(start)?,
            b'=' if self.accept(b"~") => Tok::EqRegex,
            b'=' => Tok::Assign,
            b'!' if self.accept(b"~") => Tok::NeRegex,
            b'!' if self.accept(b"=") => Tok::Op(BinaryOp::Ne),
            b'!' => {
                let next = self.shown(self.at);
                let message = format!("unexpected character after '!' inside braces: {next}");
                return Err(self.error(start, message));
            }
            b'{' => return Err(self.error(start, "unexpected left brace '{'".to_owned())),
            b'}' => {
                self.in_braces = false;
                Tok::RightBrace
            }
            _ => {
                let shown = self.shown(start);
                let message = format!("unexpected character inside braces: {shown}");
                return Err(self.error(start, message));
            }
        })
    }

    fn word(&mut self, start: usize) -> Tok {
        self.skip_while(|b| is_word(b) || b == b':');
        let word = &self.bytes[start..self.at];
        match keyword(word) {
            // New words that may be names in old queries: only with a parenthesis.
            Some(Tok::Fill | Tok::FillLeft | Tok::FillRight) if !self.paren_follows() => Tok::Ident,
            Some(tok) => tok,
            None if word.contains(&b':') => Tok::MetricIdent,
            None => Tok::Ident,
        }
    }

    fn paren_follows(&self) -> bool {
        self.bytes[self.at..].iter().find(|b| !is_space(**b)) == Some(&b'(')
    }

    fn number_or_duration(&mut self, start: usize) -> Result<Tok, ParseError> {
        if self.number(start) {
            return Ok(Tok::Number);
        }
        if self.rest_of_duration() {
            return Ok(Tok::Duration);
        }
        // The character that broke it is shown too.
        let end = (self.at..=self.text.len()).find(|at| self.text.is_char_boundary(*at));
        let read = &self.text[start..end.unwrap_or(self.text.len())];
        Err(self.error(start, format!("bad number or duration syntax: {}", quoted(read))))
    }

    /// Reads as far as a number may go; it is only parsed when its value is used. `false` if it
    /// cannot be a number; the text may then begin a duration.
    fn number(&mut self, start: usize) -> bool {
        let hex = self.accept(b"0") && self.accept(b"xX");
        if hex {
            self.accept(b"_");
        }
        let is_digit = |b: u8| if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
        self.accept(b".");
        if self.at < self.bytes.len() && is_digit(self.bytes[self.at]) {
            self.at += 1;
        }
        let (mut dot, mut exponent) = (false, false);
        while let Some(&byte) = self.bytes.get(self.at) {
            let is_exponent = matches!(byte, b'e' | b'E');
            if !is_digit(byte) && !is_exponent && !matches!(byte, b'.' | b'_') {
                break;
            }
            self.at += 1;
            match byte {
                b'.' if dot => return false,
                b'.' => {
                    dot = true;
                    if self.accept(b"_.") || hex {
                        return false;
                    }
                }
                b'e' | b'E' if exponent => return false,
                b'e' | b'E' => {
                    exponent = true;
                    self.accept(b"+-");
                    if self.accept(b"._eE") || self.at == self.bytes.len() {
                        return false;
                    }
                }
                b'_' => {
                    if self.accept(b"._eE") || self.at == self.bytes.len() {
                        return false;
                    }
                }
                _ => self.skip_while(is_digit),
            }
        }
        self.at > start && !is_word(self.peek())
    }

    fn rest_of_duration(&mut self) -> bool {
        if !self.accept(b"smhdwy") {
            return false;
        }
        // Of `ms`; a wrong unit such as `hs` is found when the value is used.
        self.accept(b"s");
        while self.accept(b"0123456789") {
            self.skip_while(|b| b.is_ascii_digit());
            if !self.accept(b"smhdw") {
                return false;
            }
            self.accept(b"s");
        }
        if is_word(self.peek()) {
            self.at += 1;
            return false;
        }
        true
    }

    fn string(&mut self, start: usize, quote: u8) -> Result<Tok, ParseError> {
        loop {
            match self.bytes.get(self.at) {
                None | Some(b'\n') => {
                    return Err(self.error(start, "unterminated quoted string".to_owned()));
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(start, quote)?;
                }
                Some(&byte) => {
                    self.at += 1;
                    if byte == quote {
                        return Ok(Tok::Text);
                    }
                }
            }
        }
    }

    fn raw_string(&mut self, start: usize) -> Result<Tok, ParseError> {
        match memchr::memchr(b'`', &self.bytes[self.at..]) {
            Some(len) => {
                self.at += len + 1;
                Ok(Tok::Text)
            }
            None => Err(self.error(start, "unterminated raw string".to_owned())),
        }
    }

    /// Checks what stands behind a backslash.
    fn escape(&mut self, start: usize, quote: u8) -> Result<(), ParseError> {
        let unfinished = |at: &Self| at.error(start, "escape sequence not terminated".to_owned());
        let Some(&byte) = self.bytes.get(self.at) else { return Err(unfinished(self)) };
        let (digits, base, most) = match byte {
            b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'\\' => (0, 0, 0),
            b if b == quote => (0, 0, 0),
            b'0'..=b'7' => (3, 8, 255),
            b'x' => (2, 16, 255),
            b'u' => (4, 16, u32::from(char::MAX)),
            b'U' => (8, 16, u32::from(char::MAX)),
            _ => {
                let what = self.code_point(self.at);
                return Err(self.error(start, format!("unknown escape sequence {what}")));
            }
        };
        if digits != 3 {
            self.at += 1;
        }
        let mut value: u32 = 0;
        for _ in 0..digits {
            let Some(&byte) = self.bytes.get(self.at) else { return Err(unfinished(self)) };
            let Some(digit) = char::from(byte).to_digit(base) else {
                let what = self.code_point(self.at);
                let message = format!("illegal character {what} in escape sequence");
                return Err(self.error(start, message));
            };
            value = value.wrapping_mul(base).wrapping_add(digit);
            self.at += 1;
        }
        if value > most || (0xD800..0xE000).contains(&value) {
            let message = "escape sequence is an invalid Unicode code point";
            return Err(self.error(start, message.to_owned()));
        }
        Ok(())
    }

    fn code_point(&self, at: usize) -> String {
        match self.text.get(at..).and_then(|rest| rest.chars().next()) {
            Some(c) => format!("U+{:04X} '{c}'", u32::from(c)),
            None => "end of input".to_owned(),
        }
    }
}
