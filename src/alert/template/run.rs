//! alert: a template's pieces and the values of an alert -> text.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::functions::call;
use super::go::shown;
use super::parse::{Operand, Piece, Pipe, parse};
use super::value::{LONGEST, Value, too_long};
use crate::model::Labels;

/// A template gets so much work: a piece costs 1, a value costs its weight (see [`Value::weight`]). A
/// template may loop over loops, and may double a text with each turn.
const MOST: usize = 100_000;
/// What a regular expression or a query costs.
const DEAR: usize = 100;

/// What `query` returns, or why not.
pub type Found = Result<Vec<(Arc<Labels>, f64)>, String>;

/// What answers `query`.
pub type Ask<'a> = &'a dyn Fn(&str) -> Found;

/// What a template is about.
pub struct Scope<'a> {
    /// `$labels`
    pub labels: &'a Labels,
    /// `$value`
    pub value: f64,
    /// `query`
    pub query: Ask<'a>,
    /// `$externalLabels`, `$externalURL`
    pub outside: &'a Outside,
}

/// What templates see of the Prometheus that evaluates them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outside {
    /// Labels for those who get alerts from several of them.
    pub labels: Labels,
    /// The address under which others reach it; empty: none.
    pub url: String,
}

/// Fills a template. Fails with a sentence.
pub fn expand(text: &str, scope: &Scope<'_>) -> Result<String, String> {
    let pieces = parse(text)?;
    let labels = of_labels(scope.labels);
    let external = of_labels(&scope.outside.labels);
    let url = scope.outside.url.clone();
    let root: BTreeMap<&str, Value> = BTreeMap::from([
        ("Labels", Value::Labels(labels.clone())),
        ("ExternalLabels", Value::Labels(external.clone())),
        ("ExternalURL", Value::Text(url.clone())),
        ("Value", Value::Number(scope.value)),
    ]);
    let vars = vec![
        ("labels".to_owned(), Value::Labels(labels)),
        ("externalLabels".to_owned(), Value::Labels(external)),
        ("externalURL".to_owned(), Value::Text(url)),
        ("value".to_owned(), Value::Number(scope.value)),
    ];
    let mut run = Run { scope, root, vars, out: String::new(), left: MOST };
    run.pieces(&pieces, None)?;
    Ok(run.out)
}

fn of_labels(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

struct Run<'a> {
    scope: &'a Scope<'a>,
    root: BTreeMap<&'static str, Value>,
    vars: Vec<(String, Value)>,
    out: String,
    left: usize,
}

impl Run<'_> {
    /// `dot`: the value of `.` within a block; at the top it is all of them.
    fn pieces(&mut self, pieces: &[Piece], dot: Option<&Value>) -> Result<(), String> {
        for piece in pieces {
            self.charge(1)?;
            match piece {
                Piece::Text(text) => self.write(text)?,
                Piece::Show(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    self.write(&shown(&value))?;
                }
                Piece::Declare(name, pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    self.vars.push((name.clone(), value));
                }
                Piece::Set(name, pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    let known = self.vars.iter_mut().rev().find(|(known, _)| known == name);
                    known.ok_or_else(|| format!("undefined variable \"${name}\""))?.1 = value;
                }
                Piece::If { pipe, var, then, other, with } => {
                    let value = self.pipe(pipe, dot)?;
                    let scope = self.vars.len();
                    if let Some(name) = var {
                        self.vars.push((name.clone(), value.clone()));
                    }
                    let inner = if *with { Some(&value) } else { dot };
                    match value.is_true() {
                        true => self.pieces(then, inner)?,
                        false => self.pieces(other, dot)?,
                    }
                    self.vars.truncate(scope);
                }
                Piece::Range { index, element, pipe, body, other } => {
                    let value = self.pipe(pipe, dot)?;
                    let each: Vec<(Value, Value)> = match value {
                        Value::List(list) => {
                            (0..).zip(list).map(|(at, value)| (Value::Whole(at), value)).collect()
                        }
                        Value::Labels(labels) => {
                            let text = |(n, v)| (Value::Text(n), Value::Text(v));
                            labels.into_iter().map(text).collect()
                        }
                        Value::Map(map) => {
                            map.into_iter().map(|(n, v)| (Value::Text(n), v)).collect()
                        }
                        Value::Nil => Vec::new(),
                        other => return Err(format!("range can't iterate over {}", shown(&other))),
                    };
                    if each.is_empty() {
                        self.pieces(other, dot)?;
                    }
                    for (key, value) in each {
                        let scope = self.vars.len();
                        if let Some(name) = index {
                            self.vars.push((name.clone(), key));
                        }
                        if let Some(name) = element {
                            self.vars.push((name.clone(), value.clone()));
                        }
                        self.pieces(body, Some(&value))?;
                        self.vars.truncate(scope);
                    }
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<(), String> {
        if self.out.len() + text.len() > LONGEST {
            return Err(too_long());
        }
        self.out.push_str(text);
        Ok(())
    }

    fn charge(&mut self, cost: usize) -> Result<(), String> {
        self.left = self.left.checked_sub(cost).ok_or("the template takes too long")?;
        Ok(())
    }

    /// A new value, once it is paid for.
    fn paid(&mut self, value: Value) -> Result<Value, String> {
        self.charge(value.weight())?;
        Ok(value)
    }

    fn pipe(&mut self, pipe: &Pipe, dot: Option<&Value>) -> Result<Value, String> {
        let mut value = None;
        for command in pipe {
            value = Some(self.command(command, value, dot)?);
        }
        value.ok_or_else(|| "missing value for command".to_owned())
    }

    fn command(
        &mut self,
        command: &[Operand],
        piped: Option<Value>,
        dot: Option<&Value>,
    ) -> Result<Value, String> {
        let Some((first, rest)) = command.split_first() else { return Ok(Value::Nil) };
        if *first == Operand::Nil {
            return Err("nil is not a command".to_owned());
        }
        let Operand::Function(name) = first else {
            if !rest.is_empty() || piped.is_some() {
                return Err("can't give argument to non-function".to_owned());
            }
            return self.operand(first, dot);
        };
        // They stop where the answer is known.
        if matches!(name.as_str(), "and" | "or") {
            let mut last = Value::Nil;
            for operand in rest {
                last = self.operand(operand, dot)?;
                if last.is_true() == (name == "or") {
                    return Ok(last);
                }
            }
            return Ok(piped.unwrap_or(last));
        }
        let mut args = rest
            .iter()
            .map(|operand| self.operand(operand, dot))
            .collect::<Result<Vec<Value>, String>>()?;
        args.extend(piped);
        if matches!(name.as_str(), "query" | "match" | "reReplaceAll") {
            self.charge(DEAR)?;
        }
        if name == "query" {
            let Some(Value::Text(expr)) = args.first() else {
                return Err("query needs a text".to_owned());
            };
            let found = (self.scope.query)(expr)?;
            let sample =
                |(labels, value): (Arc<Labels>, f64)| Value::Sample(of_labels(&labels), value);
            let list = Value::List(found.into_iter().map(sample).collect());
            return self.paid(list);
        }
        if name == "externalURL" && args.is_empty() {
            return Ok(Value::Text(self.scope.outside.url.clone()));
        }
        let value = call(name, args)?;
        if matches!(&value, Value::Text(text) if text.len() > LONGEST) {
            return Err(too_long());
        }
        self.paid(value)
    }

    fn operand(&mut self, operand: &Operand, dot: Option<&Value>) -> Result<Value, String> {
        let value = match operand {
            Operand::Function(name) if name == "externalURL" => {
                Value::Text(self.scope.outside.url.clone())
            }
            Operand::Function(name) => call(name, Vec::new())?,
            Operand::Whole(number) => Value::Whole(*number),
            Operand::Number(number) => Value::Number(*number),
            Operand::Text(text) => Value::Text(text.clone()),
            Operand::Bool(value) => Value::Bool(*value),
            Operand::Nil => Value::Nil,
            Operand::Paren(pipe, path) => {
                let value = self.pipe(pipe, dot)?;
                field(value, path)?
            }
            Operand::Var(name, path) if name.is_empty() => self.top(path)?,
            Operand::Var(name, path) => {
                let known = self.vars.iter().rev().find(|(known, _)| known == name);
                let (_, value) = known.ok_or_else(|| format!("undefined variable \"${name}\""))?;
                field(value.clone(), path)?
            }
            Operand::Dot(path) => match dot {
                Some(value) => field(value.clone(), path)?,
                None => self.top(path)?,
            },
        };
        self.paid(value)
    }

    /// A field of what a template is given.
    fn top(&self, path: &[String]) -> Result<Value, String> {
        let Some((first, rest)) = path.split_first() else {
            let root = |name: &str| self.root.get(name).map(shown).unwrap_or_default();
            let fields = ["Labels", "ExternalLabels", "ExternalURL", "Value"].map(root);
            return Ok(Value::Text(format!("{{{}}}", fields.join(" "))));
        };
        let value = self.root.get(first.as_str());
        field(value.cloned().ok_or_else(|| format!("can't evaluate field {first}"))?, rest)
    }
}

/// What a path of fields leads to.
fn field(mut value: Value, path: &[String]) -> Result<Value, String> {
    for name in path {
        value = match (value, name.as_str()) {
            (Value::Labels(labels), name) => {
                Value::Text(labels.get(name).cloned().unwrap_or_default())
            }
            (Value::Map(map), name) => map.get(name).cloned().unwrap_or(Value::Nil),
            (Value::Sample(labels, _), "Labels") => Value::Labels(labels),
            (Value::Sample(_, value), "Value") => Value::Number(value),
            (other, name) => {
                return Err(format!("can't evaluate field {name} in {}", shown(&other)));
            }
        };
    }
    Ok(value)
}
