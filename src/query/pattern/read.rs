//! query: reads the syntax of Go's patterns, and writes the same in that of the engine here.

use std::fmt::Write;

use super::forms::{Form, Forms, Gap};

/// The deepest nesting of groups.
pub(super) const DEEPEST: usize = 50;

const NOTHING_TO_REPEAT: &str = "missing argument to repetition operator";

/// The names of `[[:name:]]`.
const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// The most characters of a pattern that an error shows.
const SHOWN: usize = 200;

/// An error in Go's words, with the part of the pattern that it is about.
pub(super) fn wrong(what: &str, part: &str) -> String {
    match part.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{what}: `{}…`", &part[..end]),
        None => format!("{what}: `{part}`"),
    }
}

/// Reads Go's syntax; writes that of the engine here.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    out: String,
    depth: usize,
    /// Whether groups stay groups, for callers that need their contents.
    groups: bool,
}

impl Reader<'_> {
    /// Parses a whole pattern: its texts, and its form for the engine here.
    pub fn read(pattern: &str) -> Result<(Forms, String), String> {
        Self::whole(pattern, false)
    }

    /// The form of a pattern for the engine here, with its groups.
    pub fn read_groups(pattern: &str) -> Result<String, String> {
        Ok(Self::whole(pattern, true)?.1)
    }

    fn whole(pattern: &str, groups: bool) -> Result<(Forms, String), String> {
        let mut reader = Reader { text: pattern, at: 0, out: String::new(), depth: 0, groups };
        let forms = reader.alternatives()?;
        if reader.at < pattern.len() {
            return Err(wrong("unexpected )", pattern));
        }
        Ok((forms, reader.out))
    }

    /// The pattern from `from` up to the current place.
    fn since(&self, from: usize) -> &str {
        self.text.get(from..self.at).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.text[self.at..].starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn alternatives(&mut self) -> Result<Forms, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            let what = format!("groups are nested deeper than {DEEPEST}");
            return Err(wrong(&what, self.text));
        }
        let mut all = self.sequence()?;
        while self.take("|") {
            self.out.push('|');
            let next = self.sequence()?;
            all = all.or(next);
        }
        self.depth -= 1;
        Ok(all)
    }

    fn sequence(&mut self) -> Result<Forms, String> {
        let mut all = Forms::one("");
        while let Some(c) = self.peek() {
            if matches!(c, '|' | ')') {
                break;
            }
            let start = self.out.len();
            let piece = self.piece()?;
            let piece = self.repeated(piece, start)?;
            all = all.then(piece);
        }
        Ok(all)
    }

    fn piece(&mut self) -> Result<Forms, String> {
        let Some(c) = self.next() else { return Ok(Forms::one("")) };
        match c {
            '.' => {
                self.out.push('.');
                Ok(Forms::Engine(String::new()))
            }
            '^' | '$' => {
                self.out.push(c);
                Ok(Forms::Engine(String::new()))
            }
            '(' => self.group(),
            '[' => self.class(),
            '\\' => self.escape(),
            '*' | '+' | '?' => Err(wrong(NOTHING_TO_REPEAT, &c.to_string())),
            c => {
                if let ('{', Some((len, ..))) = (c, self.count_follows()) {
                    self.at += len;
                    return Err(wrong(NOTHING_TO_REPEAT, self.since(self.at - len - 1)));
                }
                Ok(self.literal(c))
            }
        }
    }

    fn literal(&mut self, c: char) -> Forms {
        write_literal(&mut self.out, c);
        Forms::one(c.encode_utf8(&mut [0; 4]))
    }

    fn group(&mut self) -> Result<Forms, String> {
        let mut flags = "";
        let mut capture = self.groups.then_some("");
        let start = self.at - 1;
        if self.take("?") {
            let rest = &self.text[self.at..];
            if rest.starts_with("P<") || rest.starts_with('<') {
                let Some(end) = rest.find('>') else {
                    return Err(wrong("invalid named capture", &self.text[start..]));
                };
                let name = rest[..end].trim_start_matches('P').trim_start_matches('<');
                let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
                self.at += end + 1;
                if name.is_empty() || !name.chars().all(good) {
                    return Err(wrong("invalid named capture", self.since(start)));
                }
                capture = self.groups.then_some(name);
            } else {
                capture = None;
                let len = rest.find([':', ')']).unwrap_or(rest.len());
                flags = &rest[..len];
                let known = |c: char| matches!(c, 'i' | 'm' | 's' | 'U' | '-');
                if let Some((at, odd)) = flags.char_indices().find(|(_, c)| !known(*c)) {
                    self.at += at + odd.len_utf8();
                    return Err(wrong("invalid or unsupported Perl syntax", self.since(start)));
                }
                self.at += len;
                if self.take(")") {
                    let _ = write!(self.out, "(?{flags})");
                    return Ok(Forms::Engine(String::new()));
                }
                self.take(":");
            }
        }
        let _ = match capture {
            None => write!(self.out, "(?{flags}:"),
            Some("") => write!(self.out, "("),
            Some(name) => write!(self.out, "(?P<{name}>"),
        };
        let inside = self.alternatives()?;
        if !self.take(")") {
            return Err(wrong("missing closing )", self.text));
        }
        self.out.push(')');
        // Under other flags a text is not only that text.
        Ok(if flags.is_empty() { inside } else { Forms::Engine(String::new()) })
    }

    /// `{2}`, `{2,}`, `{2,5}` at the place behind `{`; anything else there is a plain brace.
    fn count_follows(&self) -> Option<(usize, u32, Option<u32>)> {
        let rest = &self.text[self.at..];
        let end = rest.find('}')?;
        let (low, high) = match rest[..end].split_once(',') {
            Some((low, high)) => (low, Some(high)),
            None => (&rest[..end], None),
        };
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse::<u32>().unwrap_or(u32::MAX))
        };
        let low = number(low)?;
        let high = match high {
            None => Some(low),
            Some("") => None,
            Some(high) => Some(number(high)?),
        };
        Some((end + 1, low, high))
    }

    /// Reads how often the piece before may be repeated.
    fn repeated(&mut self, piece: Forms, start: usize) -> Result<Forms, String> {
        let mut forms = piece;
        let (mut repeats, mut before) = (0, self.at);
        loop {
            let operator = self.at;
            let gap = match self.peek() {
                Some(c @ ('*' | '+' | '?')) => {
                    self.next();
                    self.out.push(c);
                    let any = &self.out[start..self.out.len() - 1] == ".";
                    match c {
                        '*' if any => Some(Gap::Any),
                        '+' if any => Some(Gap::Some),
                        _ => None,
                    }
                }
                Some('{') => {
                    self.next();
                    let Some((len, low, high)) = self.count_follows() else {
                        self.at = operator;
                        return Ok(forms);
                    };
                    self.at += len;
                    if low > 1000 || high.is_some_and(|high| high > 1000 || high < low) {
                        return Err(wrong("invalid repeat count", self.since(operator)));
                    }
                    self.out.push_str(&self.text[operator..self.at]);
                    None
                }
                _ => return Ok(forms),
            };
            // `a*?` takes as little as it can; whether a whole value fits is the same.
            if self.take("?") {
                self.out.push('?');
            }
            repeats += 1;
            if repeats > 1 {
                return Err(wrong("invalid nested repetition operator", self.since(before)));
            }
            before = operator;
            forms = match gap {
                Some(gap) => Forms::Some(vec![Form::gap(gap)]),
                None => Forms::Engine(String::new()),
            };
        }
    }

    fn escape(&mut self) -> Result<Forms, String> {
        if self.take("Q") {
            let rest = &self.text[self.at..];
            let len = rest.find("\\E").unwrap_or(rest.len());
            let literal = rest[..len].to_owned();
            self.at += len + if len < rest.len() { 2 } else { 0 };
            // A repetition behind it is of the last character only.
            let mut chars: Vec<char> = literal.chars().collect();
            let last = chars.pop();
            chars.iter().for_each(|c| write_literal(&mut self.out, *c));
            let Some(last) = last else { return Ok(Forms::one("")) };
            let repeats = matches!(self.peek(), Some('*' | '+' | '?' | '{'));
            write_literal(&mut self.out, last);
            return Ok(if repeats { Forms::Engine(String::new()) } else { Forms::one(&literal) });
        }
        let Some(c) = self.next() else {
            return Err(wrong("trailing backslash at end of expression", ""));
        };
        let engine = Ok(Forms::Engine(String::new()));
        match c {
            'A' | 'z' => {
                let _ = write!(self.out, "\\{c}");
                engine
            }
            'b' | 'B' => {
                let _ = write!(self.out, "(?-u:\\{c})");
                engine
            }
            'd' | 'D' | 'w' | 'W' | 's' | 'S' => {
                let _ = write!(self.out, "[{}]", perl_class(c));
                engine
            }
            'p' | 'P' => {
                let class = self.property(c)?;
                self.out.push_str(&class);
                engine
            }
            c => {
                let c = self.escaped_char(c)?;
                Ok(self.literal(c))
            }
        }
    }

    /// `\pL`, `\p{Greek}`; the letter before has been read.
    fn property(&mut self, letter: char) -> Result<String, String> {
        let rest = &self.text[self.at..];
        let len = match rest.chars().next() {
            Some('{') => rest.find('}').map(|end| end + 1),
            Some(c) => Some(c.len_utf8()),
            None => None,
        };
        let bad = |name: &str| wrong("invalid character class range", &format!("\\{letter}{name}"));
        let Some(len) = len else { return Err(bad(rest)) };
        let name = &rest[..len];
        let inside = name.trim_start_matches('{').trim_end_matches('}');
        let name_of_class = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '^');
        if inside.is_empty() || !inside.chars().all(name_of_class) {
            return Err(bad(name));
        }
        self.at += len;
        Ok(format!("\\{letter}{name}"))
    }

    /// The character behind a backslash.
    fn escaped_char(&mut self, c: char) -> Result<char, String> {
        let wrong = || Err(wrong("invalid escape sequence", &format!("\\{c}")));
        Ok(match c {
            'a' => '\u{7}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => {
                let rest = &self.text[self.at..];
                let (digits, len) = match rest.strip_prefix('{') {
                    Some(inside) => match inside.find('}') {
                        Some(end) => (&inside[..end], end + 2),
                        None => return wrong(),
                    },
                    None => match rest.get(..2) {
                        Some(two) => (two, 2),
                        None => return wrong(),
                    },
                };
                let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
                let code = u32::from_str_radix(digits, 16).ok().filter(|_| hex);
                let Some(c) = code.and_then(char::from_u32) else { return wrong() };
                self.at += len;
                c
            }
            // Up to three octal digits; one digit that is not 0 would be a back reference.
            '0'..='7' => {
                let more = self.text[self.at..].bytes().take(2);
                let more = more.take_while(|b| (b'0'..=b'7').contains(b)).count();
                if c != '0' && more == 0 {
                    return wrong();
                }
                let digits = &self.text[self.at - 1..self.at + more];
                self.at += more;
                let code = u32::from_str_radix(digits, 8).unwrap_or(0);
                char::from_u32(code).unwrap_or('\0')
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
            _ => return wrong(),
        })
    }

    /// Reads the contents of brackets, after the opening one.
    fn class(&mut self) -> Result<Forms, String> {
        let open = self.at - 1;
        self.out.push('[');
        let negated = self.take("^");
        if negated {
            self.out.push('^');
        }
        // Single characters are also listed: `[ab]` is `a|b`.
        let mut listed = Some(String::new());
        let mut first = true;
        loop {
            if !first && self.take("]") {
                break;
            }
            first = false;
            let rest = &self.text[self.at..];
            // The colon that begins a name does not end it: `[[:]` is a bracket or a colon.
            let named = rest.strip_prefix("[:").and_then(|inside| inside.split_once(":]"));
            if let Some((inside, _)) = named {
                let name = &rest[..inside.len() + 4];
                if !CLASSES.contains(&inside.trim_start_matches('^')) {
                    return Err(wrong("invalid character class range", name));
                }
                self.out.push_str(name);
                self.at += name.len();
                listed = None;
                continue;
            }
            let start = self.at;
            let low = match self.class_item(open)? {
                Some(c) => c,
                None => {
                    listed = None;
                    continue;
                }
            };
            let rest = &self.text[self.at..];
            let range = rest.starts_with('-') && !rest[1..].starts_with(']') && rest.len() > 1;
            if !range {
                write_literal(&mut self.out, low);
                if let Some(list) = &mut listed {
                    list.push(low);
                }
                continue;
            }
            self.at += 1;
            let high = self.class_item(open)?.filter(|high| *high >= low);
            let Some(high) = high else {
                return Err(wrong("invalid character class range", self.since(start)));
            };
            write_literal(&mut self.out, low);
            self.out.push('-');
            write_literal(&mut self.out, high);
            const MOST: u32 = 64;
            listed = listed.filter(|_| u32::from(high) - u32::from(low) < MOST);
            if let Some(list) = &mut listed {
                list.extend(low..=high);
            }
        }
        self.out.push(']');
        match listed {
            Some(list) if !negated && !list.is_empty() => {
                let forms = list.chars().map(|c| Form::text(c.encode_utf8(&mut [0; 4])));
                Ok(Forms::Some(forms.collect()))
            }
            _ => Ok(Forms::Engine(String::new())),
        }
    }

    /// Reads one character in brackets, which begin at `open`; `None` for an escape that is a class
    /// and has been written.
    fn class_item(&mut self, open: usize) -> Result<Option<char>, String> {
        let Some(c) = self.next() else {
            return Err(wrong("missing closing ]", &self.text[open..]));
        };
        if c != '\\' {
            return Ok(Some(c));
        }
        let Some(c) = self.next() else {
            return Err(wrong("trailing backslash at end of expression", ""));
        };
        match c {
            'd' | 'D' | 'w' | 'W' | 's' | 'S' => {
                let _ = write!(self.out, "[{}]", perl_class(c));
                Ok(None)
            }
            'p' | 'P' => {
                let class = self.property(c)?;
                self.out.push_str(&class);
                Ok(None)
            }
            c => self.escaped_char(c).map(Some),
        }
    }
}

/// The meaning of `\d` and similar escapes there: ASCII only.
fn perl_class(letter: char) -> &'static str {
    match letter {
        'd' => "0-9",
        'D' => "^0-9",
        'w' => "0-9A-Za-z_",
        'W' => "^0-9A-Za-z_",
        's' => "\\t\\n\\f\\r ",
        _ => "^\\t\\n\\f\\r ",
    }
}

/// A character that means itself, inside and outside of brackets.
fn write_literal(out: &mut String, c: char) {
    if c.is_ascii_punctuation() && c != '_' || c.is_ascii_control() {
        let _ = write!(out, "\\x{:02x}", u32::from(c));
    } else {
        out.push(c);
    }
}
