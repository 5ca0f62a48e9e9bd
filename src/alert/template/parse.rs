//! alert: a template's text becomes pieces: texts, values to be shown, and `if`, `range` and `with`.

use crate::query::quote::unquoted;

/// Blocks within blocks are read this deep.
const DEEPEST: usize = 32;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Show(Pipe),
    /// `$x := …`, which holds within its block, and `$x = …`.
    Declare(String, Pipe),
    Set(String, Pipe),
    If {
        pipe: Pipe,
        var: Option<String>,
        then: Vec<Piece>,
        other: Vec<Piece>,
        with: bool,
    },
    Range {
        index: Option<String>,
        element: Option<String>,
        pipe: Pipe,
        body: Vec<Piece>,
        other: Vec<Piece>,
    },
}

/// Commands, each given the value of the one before.
pub(super) type Pipe = Vec<Vec<Operand>>;

/// What a command is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Function(String),
    /// `.a.b`
    Dot(Vec<String>),
    /// `$x.a.b`; `$` is the empty name.
    Var(String, Vec<String>),
    Whole(i64),
    Number(f64),
    Text(String),
    Bool(bool),
    Nil,
    Paren(Pipe, Vec<String>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Field(String),
    Var(String),
    Text(String),
    Number(String),
    Sign(char),
    Declare,
    Set,
}

/// Reads a template. Fails with a sentence.
pub(super) fn parse(text: &str) -> Result<Vec<Piece>, String> {
    let actions = split(text)?;
    let mut parser = Parser { actions: &actions, at: 0, level: 0 };
    let (pieces, end) = parser.pieces()?;
    match end {
        None => Ok(pieces),
        Some(end) => Err(format!("unexpected {{{{{end}}}}}")),
    }
}

enum Part {
    Text(String),
    Action(Vec<Token>),
}

/// The text and its actions, white space taken away beside `{{-` and `-}}`.
fn split(text: &str) -> Result<Vec<Part>, String> {
    let (mut parts, mut rest, mut trim) = (Vec::new(), text, false);
    loop {
        let (before, after) = match rest.split_once("{{") {
            Some((before, after)) => (before, Some(after)),
            None => (rest, None),
        };
        let mut shown = if trim { before.trim_start() } else { before };
        let Some(mut inside) = after else {
            parts.push(Part::Text(shown.to_owned()));
            return Ok(parts);
        };
        if let Some(trimmed) =
            inside.strip_prefix('-').filter(|i| i.starts_with(char::is_whitespace))
        {
            shown = shown.trim_end();
            inside = trimmed;
        }
        parts.push(Part::Text(shown.to_owned()));
        if inside.trim_start().starts_with("/*") {
            let (_, behind) = inside.split_once("*/").ok_or("unclosed comment")?;
            let behind = behind.trim_start();
            trim = behind.starts_with('-');
            let behind = behind.strip_prefix('-').unwrap_or(behind);
            rest = behind.trim_start().strip_prefix("}}").ok_or("unclosed action")?;
            continue;
        }
        let (tokens, behind, trimming) = tokens(inside)?;
        parts.push(Part::Action(tokens));
        (rest, trim) = (behind, trimming);
    }
}

/// The tokens of an action, the text behind it, and whether white space is to be taken away there.
fn tokens(text: &str) -> Result<(Vec<Token>, &str, bool), String> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start();
        let spaced = trimmed.len() < rest.len();
        rest = trimmed;
        if let Some(behind) = rest.strip_prefix("}}") {
            return Ok((out, behind, false));
        }
        if let Some(behind) = rest.strip_prefix("-}}").filter(|_| spaced) {
            return Ok((out, behind, true));
        }
        let word = |text: &str| {
            let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
            (text[..end].to_owned(), end)
        };
        let Some(first) = rest.chars().next() else { return Err("unclosed action".to_owned()) };
        let used = match first {
            '"' | '`' | '\'' => {
                let end = quoted_end(rest, first).ok_or("unterminated quoted string")?;
                let text = String::from(unquoted(&rest[..end]));
                out.push(match first {
                    '\'' => Token::Number(text.chars().next().map_or(0, u32::from).to_string()),
                    _ => Token::Text(text),
                });
                end
            }
            '$' => {
                let (name, end) = word(&rest[1..]);
                out.push(Token::Var(name));
                end + 1
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let (name, end) = word(&rest[1..]);
                // A field that hangs on what stands before it is told from one of the dot.
                out.push(Token::Field(if spaced || out.is_empty() {
                    format!(" {name}")
                } else {
                    name
                }));
                end + 1
            }
            ':' if rest.starts_with(":=") => {
                out.push(Token::Declare);
                2
            }
            '|' | '(' | ')' | ',' | '=' => {
                out.push(if first == '=' { Token::Set } else { Token::Sign(first) });
                1
            }
            c if c.is_ascii_digit() || c == '.' || c == '-' || c == '+' => {
                let part = |c: char| !(c.is_ascii_alphanumeric() || ".+-_".contains(c));
                let end = rest[1..].find(part).map_or(rest.len(), |at| at + 1);
                out.push(Token::Number(rest[..end].to_owned()));
                end
            }
            c if c.is_alphabetic() || c == '_' => {
                let (name, end) = word(rest);
                out.push(Token::Word(name));
                end
            }
            c => return Err(format!("unexpected {c:?} in an action")),
        };
        rest = &rest[used..];
    }
}

fn quoted_end(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            c if c == quote => return Some(at + c.len_utf8()),
            _ => {}
        }
    }
    None
}

struct Parser<'a> {
    actions: &'a [Part],
    at: usize,
    level: usize,
}

impl Parser<'_> {
    /// Pieces up to `end` or `else` or the end of the text; which of them, with what follows the word.
    fn pieces(&mut self) -> Result<(Vec<Piece>, Option<String>), String> {
        let mut out = Vec::new();
        while let Some(part) = self.actions.get(self.at) {
            self.at += 1;
            let tokens = match part {
                Part::Text(text) => {
                    if !text.is_empty() {
                        out.push(Piece::Text(text.clone()));
                    }
                    continue;
                }
                Part::Action(tokens) => tokens,
            };
            let Some(Token::Word(word)) = tokens.first() else {
                out.push(shown(tokens)?);
                continue;
            };
            match word.as_str() {
                "end" => return Ok((out, Some("end".to_owned()))),
                "else" => {
                    // The caller reads the words behind `else` again.
                    return Ok((out, Some("else".to_owned())));
                }
                "if" | "with" | "range" => out.push(self.block(word, &tokens[1..])?),
                "define" | "template" | "block" | "break" | "continue" => {
                    return Err(format!("{{{{{word}}}}} is not supported"));
                }
                _ => out.push(shown(tokens)?),
            }
        }
        Ok((out, None))
    }

    fn block(&mut self, word: &str, head: &[Token]) -> Result<Piece, String> {
        self.level += 1;
        if self.level > DEEPEST {
            return Err(format!("blocks are nested deeper than {DEEPEST} levels"));
        }
        let (vars, pipe) = assigned(head)?;
        let (body, end) = self.pieces()?;
        let other = match end.as_deref() {
            Some("end") => Vec::new(),
            Some("else") => {
                let tokens = match self.actions.get(self.at - 1) {
                    Some(Part::Action(tokens)) => tokens,
                    _ => return Err("unexpected EOF".to_owned()),
                };
                match tokens.get(1) {
                    None => {
                        let (other, end) = self.pieces()?;
                        if end.as_deref() != Some("end") {
                            return Err("unexpected EOF".to_owned());
                        }
                        other
                    }
                    Some(Token::Word(next)) if next == "if" || next == "with" => {
                        vec![self.block(next, &tokens[2..])?]
                    }
                    Some(_) => return Err("unexpected words behind else".to_owned()),
                }
            }
            _ => return Err("unexpected EOF".to_owned()),
        };
        self.level -= 1;
        let mut vars = vars.into_iter();
        Ok(match word {
            "range" => {
                let (first, second) = (vars.next(), vars.next());
                let (index, element) =
                    if second.is_some() { (first, second) } else { (None, first) };
                Piece::Range { index, element, pipe, body, other }
            }
            _ => Piece::If { pipe, var: vars.next(), then: body, other, with: word == "with" },
        })
    }
}

fn shown(tokens: &[Token]) -> Result<Piece, String> {
    let (mut vars, pipe) = assigned(tokens)?;
    Ok(match vars.pop() {
        Some(var) if tokens.contains(&Token::Set) => Piece::Set(var, pipe),
        Some(var) => Piece::Declare(var, pipe),
        None => Piece::Show(pipe),
    })
}

/// `$a, $b := pipe`
fn assigned(tokens: &[Token]) -> Result<(Vec<String>, Pipe), String> {
    let Some(at) = tokens.iter().position(|t| matches!(t, Token::Set | Token::Declare)) else {
        return Ok((Vec::new(), pipe(tokens)?));
    };
    let mut vars = Vec::new();
    for token in &tokens[..at] {
        match token {
            Token::Var(name) => vars.push(name.clone()),
            Token::Sign(',') => {}
            _ => return Err("only variables can be set".to_owned()),
        }
    }
    Ok((vars, pipe(&tokens[at + 1..])?))
}

fn pipe(tokens: &[Token]) -> Result<Pipe, String> {
    let mut at = 0;
    let pipe = commands(tokens, &mut at, 0)?;
    if at < tokens.len() {
        return Err("unexpected right paren".to_owned());
    }
    Ok(pipe)
}

fn commands(tokens: &[Token], at: &mut usize, level: usize) -> Result<Pipe, String> {
    if level > DEEPEST {
        return Err(format!("parentheses are nested deeper than {DEEPEST} levels"));
    }
    let (mut pipe, mut command): (Pipe, Vec<Operand>) = (Vec::new(), Vec::new());
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        let operand = match token {
            Token::Sign(')') => {
                *at -= 1;
                break;
            }
            Token::Sign('|') => {
                if command.is_empty() {
                    return Err("missing value for command".to_owned());
                }
                pipe.push(std::mem::take(&mut command));
                continue;
            }
            Token::Sign('(') => {
                let inner = commands(tokens, at, level + 1)?;
                if tokens.get(*at) != Some(&Token::Sign(')')) {
                    return Err("unclosed left paren".to_owned());
                }
                *at += 1;
                Operand::Paren(inner, fields(tokens, at))
            }
            Token::Var(name) => Operand::Var(name.clone(), fields(tokens, at)),
            Token::Field(name) => {
                let name = name.trim_start();
                let first = (!name.is_empty()).then(|| name.to_owned());
                Operand::Dot(first.into_iter().chain(fields(tokens, at)).collect())
            }
            Token::Text(text) => Operand::Text(text.clone()),
            Token::Number(text) => {
                number(text).ok_or_else(|| format!("bad number syntax: {text:?}"))?
            }
            Token::Word(word) => match word.as_str() {
                "true" => Operand::Bool(true),
                "false" => Operand::Bool(false),
                "nil" => Operand::Nil,
                _ => Operand::Function(word.clone()),
            },
            Token::Sign(c) => return Err(format!("unexpected {c:?}")),
            Token::Set | Token::Declare => return Err("unexpected :=".to_owned()),
        };
        command.push(operand);
    }
    if command.is_empty() {
        return Err("missing value for command".to_owned());
    }
    pipe.push(command);
    Ok(pipe)
}

/// A number as Go writes it in its sources.
fn number(text: &str) -> Option<Operand> {
    let digits = text.replace('_', "");
    let (sign, bare) = match digits.strip_prefix('-') {
        Some(bare) => ("-", bare),
        None => ("", digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let radix = match bare.get(..2) {
        Some("0x" | "0X") => 16,
        Some("0b" | "0B") => 2,
        Some("0o" | "0O") => 8,
        _ => {
            let whole = digits.parse().ok().map(Operand::Whole);
            return whole.or_else(|| digits.parse().ok().map(Operand::Number));
        }
    };
    i64::from_str_radix(&format!("{sign}{}", &bare[2..]), radix).ok().map(Operand::Whole)
}

/// The fields that hang on what stands before them.
fn fields(tokens: &[Token], at: &mut usize) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(Token::Field(name)) = tokens.get(*at)
        && !name.starts_with(' ')
    {
        out.push(name.clone());
        *at += 1;
    }
    out
}
