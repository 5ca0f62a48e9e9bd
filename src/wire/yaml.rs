//! wire: YAML, as rule files have it: lists, maps and texts, each with its line. Numbers stay texts, for
//! every reader knows what it wants. Of several documents the first one counts.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

/// Deeper than this nothing is read.
const DEEPEST: usize = 64;
/// A file has no more values than this. What an alias stands for counts as often as it is used.
const MOST: usize = 200_000;
/// A file has no more bytes of text than this, counted in the same way.
const MOST_BYTES: usize = 16 << 20;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Yaml {
    /// The line, counted from 1.
    pub line: usize,
    /// The value.
    pub node: Node,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A text, a number, a truth value; without quotes, `~` and `null` and nothing are [`Node::Null`].
    Text(String),
    /// Nothing.
    Null,
    /// `- a`
    List(Vec<Yaml>),
    /// `a: b`, in the order of the file; each key once.
    Map(Vec<(String, Yaml)>),
}

/// A file that is no YAML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct YamlError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

impl YamlError {
    /// Something wrong in a line.
    pub fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

impl From<ScanError> for YamlError {
    fn from(e: ScanError) -> Self {
        Self::new(e.marker().line(), e.info())
    }
}

impl Yaml {
    /// The word for what it is, for errors.
    pub fn kind(&self) -> &'static str {
        match self.node {
            Node::Text(_) => "a text",
            Node::Null => "nothing",
            Node::List(_) => "a list",
            Node::Map(_) => "a map",
        }
    }

    /// The text. Fails where it is something else; `what` names it.
    pub fn text(&self, what: &str) -> Result<&str, YamlError> {
        match &self.node {
            Node::Text(text) => Ok(text),
            _ => Err(self.wrong(&format!("{what} has to be a text, and is {}", self.kind()))),
        }
    }

    /// The elements of a list; nothing is an empty one. Fails where it is something else.
    pub fn list(&self, what: &str) -> Result<&[Self], YamlError> {
        match &self.node {
            Node::List(list) => Ok(list),
            Node::Null => Ok(&[]),
            _ => Err(self.wrong(&format!("{what} has to be a list, and is {}", self.kind()))),
        }
    }

    /// The pairs of a map; nothing is an empty one. Fails where it is something else.
    pub fn map(&self, what: &str) -> Result<&[(String, Self)], YamlError> {
        match &self.node {
            Node::Map(map) => Ok(map),
            Node::Null => Ok(&[]),
            _ => Err(self.wrong(&format!("{what} has to be a map, and is {}", self.kind()))),
        }
    }

    /// Something wrong with it.
    pub fn wrong(&self, message: &str) -> YamlError {
        YamlError::new(self.line, message)
    }
}

/// Reads a file; an empty one is [`Node::Null`]. Fails with the line.
pub fn read(text: &str) -> Result<Yaml, YamlError> {
    let mut text = Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut work = 0;
    loop {
        let mut builder = Builder::default();
        let wrong = match builder.read(&text) {
            Ok(()) => return Ok(builder.root.unwrap_or(Yaml { line: 1, node: Node::Null })),
            Err(Wrong::Said(e)) => return Err(e),
            Err(Wrong::Scan(e)) => e,
        };
        work += text.len();
        let fits = wrong.info() == OUTDENTED && work <= MOST_WORK;
        match fits.then(|| indented(&text, wrong.marker())).flatten() {
            Some(indented) => text = Cow::Owned(indented),
            None => return Err(wrong.into()),
        }
    }
}

/// The scanner's word for a text in quotes that goes on to the left of its key. Prometheus reads those.
const OUTDENTED: &str = "invalid indentation in quoted scalar";
/// Each of them that is mended costs another look at the file: so many bytes are looked at, at most.
const MOST_WORK: usize = 16 << 20;

/// The text with blanks before each further line of the quotes that begin at a place: those mean nothing
/// there.
fn indented(text: &str, start: &Marker) -> Option<String> {
    let line: usize = text.split_inclusive('\n').take(start.line() - 1).map(str::len).sum();
    let (column, quote) = text.get(line..)?.char_indices().nth(start.col())?;
    let begin = line + column;
    let mut chars = text[begin..].char_indices().skip(1).peekable();
    let (mut out, mut done) = (text[..begin].to_owned(), begin);
    while let Some((at, c)) = chars.next() {
        match c {
            // A line that ends in one goes on, too.
            '\\' if quote == '"' && chars.peek().is_some_and(|(_, next)| *next != '\n') => {
                chars.next();
            }
            '\'' if quote == '\'' && chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                chars.next();
            }
            c if c == quote => break,
            '\n' => {
                out.push_str(&text[done..begin + at + 1]);
                out.extend(std::iter::repeat_n(' ', DEEPEST * 4));
                done = begin + at + 1;
                if out.len() > MOST_WORK {
                    return None;
                }
            }
            _ => {}
        }
    }
    out.push_str(&text[done..]);
    Some(out)
}

enum Wrong {
    Scan(ScanError),
    Said(YamlError),
}

/// Something that has begun.
struct Open {
    line: usize,
    anchor: usize,
    /// The map's pairs, or nothing for a list.
    map: Option<Vec<(String, Yaml)>>,
    list: Vec<Yaml>,
    key: Option<String>,
    /// The keys of the map so far.
    keys: HashSet<String>,
}

/// How much a value holds.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    values: usize,
    bytes: usize,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, (Yaml, Size)>,
    size: Size,
    root: Option<Yaml>,
}

impl Builder {
    fn read(&mut self, text: &str) -> Result<(), Wrong> {
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(Wrong::Scan)?;
            if self.take(event, span).map_err(Wrong::Said)? {
                break;
            }
        }
        Ok(())
    }

    /// Takes an event; true: the document is over.
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<bool, YamlError> {
        let line = span.start.line();
        match event {
            Event::DocumentEnd => return Ok(true),
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                self.charge(Size { values: 1, bytes: text.len() }, line)?;
                let node = if null { Node::Null } else { Node::Text(text.into_owned()) };
                self.add(Yaml { line, node }, anchor)?;
            }
            Event::SequenceStart(anchor, _) => self.begin(line, anchor, None)?,
            Event::MappingStart(anchor, _) => self.begin(line, anchor, Some(Vec::new()))?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { line, anchor, map, list, .. }) = self.open.pop() {
                    let node = map.map_or_else(|| Node::List(list), Node::Map);
                    self.charge(Size { values: 1, bytes: 0 }, line)?;
                    self.add(Yaml { line, node }, anchor)?;
                }
            }
            Event::Alias(anchor) => {
                let Some((_, size)) = self.anchors.get(&anchor) else {
                    return Err(YamlError::new(line, "an alias of something that was not named"));
                };
                self.charge(*size, line)?;
                let value = self.anchors.get(&anchor).map(|(value, _)| value.node.clone());
                self.add(Yaml { line, node: value.unwrap_or(Node::Null) }, 0)?;
            }
            _ => {}
        }
        Ok(false)
    }

    fn begin(
        &mut self,
        line: usize,
        anchor: usize,
        map: Option<Vec<(String, Yaml)>>,
    ) -> Result<(), YamlError> {
        if self.open.len() >= DEEPEST {
            return Err(YamlError::new(line, format!("nested deeper than {DEEPEST} levels")));
        }
        let (list, keys) = (Vec::new(), HashSet::new());
        self.open.push(Open { line, anchor, map, list, key: None, keys });
        Ok(())
    }

    /// Fails where the file would hold too much.
    fn charge(&mut self, size: Size, line: usize) -> Result<(), YamlError> {
        self.size.values = self.size.values.saturating_add(size.values);
        self.size.bytes = self.size.bytes.saturating_add(size.bytes);
        if self.size.values > MOST {
            return Err(YamlError::new(line, format!("more than {MOST} values")));
        }
        if self.size.bytes > MOST_BYTES {
            let most = MOST_BYTES >> 20;
            return Err(YamlError::new(line, format!("more than {most} MiB of text")));
        }
        Ok(())
    }

    fn add(&mut self, value: Yaml, anchor: usize) -> Result<(), YamlError> {
        if anchor > 0 {
            let size = size_of(&value);
            // The copy that is kept for aliases takes memory, too.
            self.charge(size, value.line)?;
            self.anchors.insert(anchor, (value.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            self.root.get_or_insert(value);
            return Ok(());
        };
        let Some(map) = &mut open.map else {
            open.list.push(value);
            return Ok(());
        };
        match open.key.take() {
            None => match value.node {
                Node::Text(key) if !open.keys.insert(key.clone()) => {
                    return Err(YamlError::new(value.line, format!("`{key}` stands there twice")));
                }
                Node::Text(key) => open.key = Some(key),
                Node::Null if open.keys.insert(String::new()) => open.key = Some(String::new()),
                Node::Null => {
                    return Err(YamlError::new(value.line, "an empty key stands there twice"));
                }
                _ => return Err(value.wrong("a key has to be a text")),
            },
            Some(key) => map.push((key, value)),
        }
        Ok(())
    }
}

fn size_of(value: &Yaml) -> Size {
    let mut size = Size { values: 1, bytes: 0 };
    let mut add = |part: Size| {
        size.values += part.values;
        size.bytes += part.bytes;
    };
    match &value.node {
        Node::Null => {}
        Node::Text(text) => add(Size { values: 0, bytes: text.len() }),
        Node::List(list) => list.iter().map(size_of).for_each(&mut add),
        Node::Map(map) => {
            for (key, value) in map {
                add(Size { values: 1, bytes: key.len() });
                add(size_of(value));
            }
        }
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(value: &Yaml) -> String {
        match &value.node {
            Node::Text(text) => format!("{text:?}"),
            Node::Null => "-".to_owned(),
            Node::List(list) => {
                format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(" "))
            }
            Node::Map(map) => {
                let pairs = map.iter().map(|(key, value)| format!("{key}:{}", shown(value)));
                format!("{{{}}}", pairs.collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[test]
    fn what_rule_files_hold() {
        let text = "groups:\n- name: a\n  rules:\n  - expr: |\n      x >\n      5\n    for: 5m\n    labels: {a: '1', b: ~}\n  - {}\n";
        let read = read(text).expect("right");
        let rules =
            r#"{groups:[{name:"a" rules:[{expr:"x >\n5\n" for:"5m" labels:{a:"1" b:-}} {}]}]}"#;
        assert_eq!(shown(&read), rules);
        assert_eq!(shown(&super::read("").expect("right")), "-");
        assert_eq!(
            shown(&super::read("a: &x [1, 2]\nb: *x\n---\nc").expect("right")),
            r#"{a:["1" "2"] b:["1" "2"]}"#
        );
    }

    #[test]
    fn texts_in_quotes_may_go_on_further_left() {
        let text =
            "a:\n  - b: 'x{\n    y=\"1\",\n  z=''2''}'\n    c: \"d\n e \\\" f\"\n    g: h\ni: [\n";
        let wrong = read(text).expect_err("a list that does not end");
        assert!(wrong.line >= 7, "lines stay: {wrong}");
        let read = read(text.trim_end_matches("i: [\n")).expect("right");
        assert_eq!(shown(&read), r#"{a:[{b:"x{ y=\"1\", z='2'}" c:"d e \" f" g:"h"}]}"#);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, says) in [
            ("a: 1\nb: 2\na: 3", "line 3: `a` stands there twice"),
            ("a: [1,\n", "line"),
            ("a: b: c", "line 1"),
            ("? [a]\n: b", "line 1: a key has to be a text"),
        ] {
            let said = read(text).expect_err(text).to_string();
            assert!(said.starts_with(says), "{said}");
        }
        let deep = "[".repeat(100);
        assert!(read(&deep).expect_err("deep").to_string().contains("nested deeper than 64"));
        // Ten aliases of ten aliases of …
        let mut bomb = "a0: &a0 [x]\n".to_owned();
        for n in 1..20 {
            let of = format!("*a{}, ", n - 1).repeat(10);
            bomb.push_str(&format!("a{n}: &a{n} [{of}]\n"));
        }
        assert!(read(&bomb).expect_err("large").to_string().contains("more than 200000 values"));
        // A long text that many aliases repeat: 40 kB would become 2 GB.
        let text = format!("a: &a {}\nb: [{}]", "x".repeat(20_000), "*a, ".repeat(100_000));
        assert!(read(&text).expect_err("long").to_string().contains("more than 16 MiB of text"));
        // A name for each level of a nest keeps as many copies of what is in it.
        let nest: String = (0..60).map(|n| format!("&a{n} [")).collect();
        let text = format!("{nest}{}", "x".repeat(1 << 20));
        assert!(read(&format!("{text}{}", "]".repeat(60))).is_err());
    }

    #[test]
    fn keys_that_are_nothing_are_one_key() {
        assert!(read("~: 1\n~: 2").is_err());
        assert_eq!(shown(&read("~: 1\na: 2").expect("right")), r#"{:"1" a:"2"}"#);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-c:\\- \\n\"'\\[\\]{}&*|>#,?!%]{0,60}|.{0,40}") {
            let _unused = read(&text);
        }
    }
}
