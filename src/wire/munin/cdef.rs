//! wire: the arithmetic of `cdef`: RRDtool's reverse Polish notation, `down,8,*`.

use crate::wire::shown;
use crate::wire::value::{parse_value, write_value};

/// The longest expression, in steps. Real ones are far shorter.
const MAX_STEPS: usize = 200;

/// An expression, understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Cdef {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Number(f64),
    Field(String),
    Op(Op),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    Min,
    Max,
    Abs,
    Unknown,
    If,
    AddNan,
    Swap,
    Copy,
    Drop,
}

/// Word, operation, how many values it takes and how many it leaves.
static OPS: &[(&str, Op, usize, usize)] = &[
    ("+", Op::Add, 2, 1),
    ("-", Op::Sub, 2, 1),
    ("*", Op::Mul, 2, 1),
    ("/", Op::Div, 2, 1),
    ("%", Op::Mod, 2, 1),
    ("LT", Op::Less, 2, 1),
    ("LE", Op::LessOrEqual, 2, 1),
    ("GT", Op::Greater, 2, 1),
    ("GE", Op::GreaterOrEqual, 2, 1),
    ("EQ", Op::Equal, 2, 1),
    ("NE", Op::NotEqual, 2, 1),
    ("MIN", Op::Min, 2, 1),
    ("MAX", Op::Max, 2, 1),
    ("ABS", Op::Abs, 1, 1),
    ("UN", Op::Unknown, 1, 1),
    ("IF", Op::If, 3, 1),
    ("ADDNAN", Op::AddNan, 2, 1),
    ("EXC", Op::Swap, 2, 2),
    ("DUP", Op::Copy, 1, 2),
    ("POP", Op::Drop, 1, 0),
];

impl Cdef {
    /// Parses an expression, which must leave exactly one value.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut depth = 0usize;
        for word in text.split(',').map(str::trim) {
            if steps.len() == MAX_STEPS {
                return Err(format!("a cdef of more than {MAX_STEPS} steps"));
            }
            let op = OPS.iter().find(|(name, ..)| *name == word);
            let step = match (op, parse_value(word)) {
                (Some((_, op, takes, leaves)), _) => {
                    let rest = depth.checked_sub(*takes);
                    let rest =
                        rest.ok_or_else(|| format!("`{word}` finds too few values before it"))?;
                    depth = rest + leaves;
                    steps.push(Step::Op(*op));
                    continue;
                }
                (None, Ok(number)) if number.is_finite() => Step::Number(number),
                (None, _) if is_field(word) => Step::Field(word.to_owned()),
                (None, _) => return Err(format!("`{}` is not a step of a cdef", shown(word))),
            };
            depth += 1;
            steps.push(step);
        }
        match depth {
            1 => Ok(Self { steps }),
            n => Err(format!("the cdef leaves {n} values; it has to leave one")),
        }
    }

    /// Its value; `value` returns the values of fields. NaN is "unknown".
    pub fn eval(&self, value: impl Fn(&str) -> f64) -> f64 {
        let mut stack: Vec<f64> = Vec::new();
        for step in &self.steps {
            let op = match step {
                Step::Number(n) => {
                    stack.push(*n);
                    continue;
                }
                Step::Field(name) => {
                    stack.push(value(name));
                    continue;
                }
                Step::Op(op) => *op,
            };
            // The parser has counted the values, so there are always enough.
            let b = stack.pop().unwrap_or(f64::NAN);
            match op {
                Op::Drop => continue,
                Op::Copy => stack.extend([b, b]),
                Op::Abs => stack.push(b.abs()),
                Op::Unknown => stack.push(f64::from(u8::from(b.is_nan()))),
                _ => {
                    let a = stack.pop().unwrap_or(f64::NAN);
                    match op {
                        Op::Swap => stack.extend([b, a]),
                        Op::If => {
                            let condition = stack.pop().unwrap_or(f64::NAN);
                            stack.push(if condition != 0.0 { a } else { b });
                        }
                        op => stack.push(binary(op, a, b)),
                    }
                }
            }
        }
        stack.pop().unwrap_or(f64::NAN)
    }

    /// The expression as PromQL arithmetic; `expression` returns the PromQL of a field. Both sides
    /// are matched without the label `field`.
    pub fn promql(&self, expression: impl Fn(&str) -> Option<String>) -> Option<String> {
        // Whether a side has a series: two series need a matching clause.
        let mut stack: Vec<(String, bool)> = Vec::new();
        for step in &self.steps {
            let op = match step {
                Step::Number(n) => {
                    let mut text = String::new();
                    write_value(&mut text, *n);
                    stack.push((text, false));
                    continue;
                }
                Step::Field(name) => {
                    stack.push((expression(name)?, true));
                    continue;
                }
                Step::Op(op) => *op,
            };
            let sign = match op {
                Op::Add => "+",
                Op::Sub => "-",
                Op::Mul => "*",
                Op::Div => "/",
                Op::Mod => "%",
                _ => return None,
            };
            let (b, a) = (stack.pop()?, stack.pop()?);
            let how = if a.1 && b.1 { " ignoring(field)" } else { "" };
            stack.push((format!("({} {sign}{how} {})", a.0, b.0), a.1 || b.1));
        }
        let (text, _) = stack.pop()?;
        let inside = text.strip_prefix('(').and_then(|t| t.strip_suffix(')'));
        Some(inside.filter(|t| balanced(t)).map_or(text.clone(), str::to_owned))
    }
}

/// Whether no bracket in it closes one that was opened before.
fn balanced(text: &str) -> bool {
    let mut depth = 0i64;
    text.bytes().all(|b| {
        depth += i64::from(b == b'(') - i64::from(b == b')');
        depth >= 0
    })
}

fn is_field(word: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && word.chars().all(fits)
}

fn binary(op: Op, a: f64, b: f64) -> f64 {
    let known = |v: bool| if a.is_nan() || b.is_nan() { f64::NAN } else { f64::from(u8::from(v)) };
    match op {
        Op::Add => a + b,
        Op::Sub => a - b,
        Op::Mul => a * b,
        Op::Div => a / b,
        Op::Mod => a % b,
        Op::Less => known(a < b),
        Op::LessOrEqual => known(a <= b),
        Op::Greater => known(a > b),
        Op::GreaterOrEqual => known(a >= b),
        Op::Equal => known(a == b),
        Op::NotEqual => known(a != b),
        // Unknown if one of them is; f64's own would leave the other.
        Op::Min if !(a.is_nan() || b.is_nan()) => a.min(b),
        Op::Max if !(a.is_nan() || b.is_nan()) => a.max(b),
        Op::AddNan if a.is_nan() => b,
        Op::AddNan if b.is_nan() => a,
        Op::AddNan => a + b,
        _ => f64::NAN,
    }
}
