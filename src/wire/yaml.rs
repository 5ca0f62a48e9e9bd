//! wire: YAML, as rule files have it: lists, maps and texts, each with its line. Numbers stay texts, for
//! every reader knows what it wants. Of several documents the first one counts.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

/// Deeper than this nothing is read.
const DEEPEST: usize = 64;
/// A file with more values than this, aliases counted as often as they are used, is none.
const MOST: usize = 200_000;

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
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event?;
        if builder.take(event, span)? {
            break;
        }
    }
    Ok(builder.root.unwrap_or(Yaml { line: 1, node: Node::Null }))
}

/// Something that has begun.
struct Open {
    line: usize,
    anchor: usize,
    /// The map's pairs, or nothing for a list.
    map: Option<Vec<(String, Yaml)>>,
    list: Vec<Yaml>,
    key: Option<String>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: Vec<(usize, Yaml, usize)>,
    values: usize,
    root: Option<Yaml>,
}

impl Builder {
    /// Takes an event; true: the document is over.
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<bool, YamlError> {
        let line = span.start.line();
        match event {
            Event::DocumentEnd => return Ok(true),
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let node = if null { Node::Null } else { Node::Text(text.into_owned()) };
                self.add(Yaml { line, node }, anchor, 1)?;
            }
            Event::SequenceStart(anchor, _) => self.begin(line, anchor, None)?,
            Event::MappingStart(anchor, _) => self.begin(line, anchor, Some(Vec::new()))?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { line, anchor, map, list, .. }) = self.open.pop() {
                    let node = map.map_or_else(|| Node::List(list), Node::Map);
                    self.add(Yaml { line, node }, anchor, 1)?;
                }
            }
            Event::Alias(anchor) => {
                let known = self.anchors.iter().rev().find(|(known, ..)| *known == anchor);
                let Some((_, value, size)) = known else {
                    return Err(YamlError::new(line, "an alias of something that was not named"));
                };
                if self.values.saturating_add(*size) > MOST {
                    return Err(YamlError::new(line, format!("more than {MOST} values")));
                }
                let (value, size) = (value.clone(), *size);
                self.add(Yaml { line, ..value }, 0, size)?;
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
        self.open.push(Open { line, anchor, map, list: Vec::new(), key: None });
        Ok(())
    }

    fn add(&mut self, value: Yaml, anchor: usize, size: usize) -> Result<(), YamlError> {
        self.values = self.values.saturating_add(size);
        if self.values > MOST {
            return Err(value.wrong(&format!("more than {MOST} values")));
        }
        if anchor > 0 {
            let size = count(&value);
            self.anchors.push((anchor, value.clone(), size));
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
                Node::Text(key) if map.iter().any(|(known, _)| *known == key) => {
                    return Err(YamlError::new(value.line, format!("`{key}` stands there twice")));
                }
                Node::Text(key) => open.key = Some(key),
                Node::Null => open.key = Some(String::new()),
                _ => return Err(value.wrong("a key has to be a text")),
            },
            Some(key) => map.push((key, value)),
        }
        Ok(())
    }
}

fn count(value: &Yaml) -> usize {
    match &value.node {
        Node::List(list) => 1 + list.iter().map(count).sum::<usize>(),
        Node::Map(map) => 1 + map.iter().map(|(_, value)| 1 + count(value)).sum::<usize>(),
        _ => 1,
    }
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
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-c:\\- \\n\"'\\[\\]{}&*|>#,?!%]{0,60}|.{0,40}") {
            let _unused = read(&text);
        }
    }
}
