//! model: an option that a person may set. It is written once, as a field of a struct made by
//! `options!`: its name, type, default, range, an example, and the sentences that explain it.
//! Reading a file, its error messages, the sample file and `check-config` all use that field.

use std::any::Any;
use std::fmt::Debug;
use std::ops::{RangeFrom, RangeInclusive};
use std::path::PathBuf;
use std::sync::Arc;

use super::{Glob, Interval, format_duration, format_size, parse_duration, parse_size};

/// The kind of value that an option takes in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Text in quotes.
    Text,
    /// A list of texts.
    Texts,
    /// A text, or a list of them.
    OneOrMore,
    /// true or false.
    Flag,
    /// A number.
    Number,
    /// A list of numbers.
    Numbers,
}

/// The fixed parts of an option.
#[derive(Debug)]
pub struct Key {
    /// Its name, as written.
    pub name: &'static str,
    /// The kind of its value.
    pub shape: Shape,
    /// A correct value as written in the file, for error messages, and for the sample file if there
    /// is no default.
    pub example: &'static str,
    /// Its meaning, in whole sentences: one or more lines.
    pub about: &'static str,
}

/// A value as a file has it, already of the right [`Shape`].
#[derive(Debug, Clone, PartialEq)]
pub enum Given<'a> {
    /// Text, without blanks at either end.
    Text(&'a str),
    /// A list of texts.
    Texts(Vec<&'a str>),
    /// true or false.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A list of numbers.
    Numbers(Vec<f64>),
}

impl Given<'_> {
    /// The text; empty for other kinds of values.
    pub fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    /// The texts; a single one counts as a list.
    pub fn texts(&self) -> &[&str] {
        match self {
            Self::Text(one) => std::slice::from_ref(one),
            Self::Texts(list) => list,
            _ => &[],
        }
    }

    /// The number; NaN for other kinds of values.
    pub fn number(&self) -> f64 {
        if let Self::Number(number) = self { *number } else { f64::NAN }
    }
}

/// One fault of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Which item of a list, counted from 0; `None`: the value as a whole.
    pub item: Option<usize>,
    /// The fault, as a sentence.
    pub message: String,
    /// A correct value; empty if the range says enough.
    pub hint: String,
}

impl Wrong {
    /// The value as a whole is wrong.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { item: None, message: message.into(), hint: hint.into() }
    }

    /// A fault of one item of a list, counted from 0.
    pub fn item(item: usize, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { item: Some(item), message: message.into(), hint: hint.into() }
    }
}

/// A type that an option can have.
pub trait Value: Sized {
    /// The kind of value that is written for it.
    const SHAPE: Shape;

    /// Reads a value, or returns all its faults.
    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>>;

    /// The value as it would be written; `None`: nothing is set.
    fn show(&self) -> Option<String>;

    /// The range that every value of this type has, such as `from 100ms to 1d`.
    fn range() -> Option<String> {
        None
    }
}

/// A range, or another rule that the values of one option have to keep.
pub trait Limit<T> {
    /// The faults of a value.
    fn check(&self, value: &T, given: &Given<'_>) -> Vec<Wrong>;

    /// The range in words, such as `from 1s to 1d`; `None` if the option's own sentences say it.
    fn range(&self) -> Option<String>;
}

/// The current state of one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its value, as it would be written; `None`: nothing is set.
    pub value: Option<String>,
    /// Which values it can have, such as `from 1s to 1d`.
    pub range: Option<String>,
}

/// A struct of options, made by `options!`.
pub trait Options: Any + Debug + Send + Sync {
    /// Their purpose: one or more lines.
    fn about(&self) -> &'static str;

    /// The options, in the order of the struct.
    fn keys(&self) -> &'static [Key];

    /// Sets one of them, and returns the faults of the value. An unknown name has no effect.
    fn set(&mut self, name: &str, given: &Given<'_>) -> Vec<Wrong>;

    /// The state of each option, in the order of [`Options::keys`].
    fn shown(&self) -> Vec<Shown>;
}

/// The options of this type among all of them, or its defaults.
pub fn find<O: Options + Default + Clone>(all: &[Arc<dyn Options>]) -> O {
    let this = |options: &Arc<dyn Options>| {
        let any: &dyn Any = options.as_ref();
        any.downcast_ref::<O>().cloned()
    };
    all.iter().find_map(this).unwrap_or_default()
}

/// Stores a value. The macro calls it for each field.
pub fn take<T: Value>(
    place: &mut T,
    given: &Given<'_>,
    limit: Option<&dyn Limit<T>>,
) -> Vec<Wrong> {
    let mut wrong = match T::read(given) {
        Ok(value) => {
            let wrong = limit.map_or_else(Vec::new, |limit| limit.check(&value, given));
            *place = value;
            wrong
        }
        Err(wrong) => wrong,
    };
    let range = || limit.map_or_else(T::range, Limit::range).unwrap_or_default();
    wrong.iter_mut().filter(|w| w.hint.is_empty()).for_each(|w| w.hint = range());
    wrong
}

/// The state of a value. The macro calls it for each field.
pub fn shown<T: Value>(value: &T, limit: Option<&dyn Limit<T>>) -> Shown {
    Shown { value: value.show(), range: limit.map_or_else(T::range, Limit::range) }
}

/// A field's name as it is written in a file: `r#for` is `for`.
pub const fn written(name: &'static str) -> &'static str {
    if let [b'r', b'#', rest @ ..] = name.as_bytes()
        && let Ok(rest) = std::str::from_utf8(rest)
    {
        return rest;
    }
    name
}

/// Makes a struct of options: the struct, its `Default`, and its [`Options`].
///
/// The doc comments are shown to operators: the struct's at the top of its section in the sample
/// file, a field's above its line. A range that `in` names is added to them.
macro_rules! options {
    (
        $(#[doc = $about:literal])+
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $type:ty = $default:expr $(, in $limit:expr)?, like $example:literal;
            )*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $name {
            $($(#[doc = $doc])+ pub $key: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }

        impl $crate::model::options::Options for $name {
            fn about(&self) -> &'static str {
                concat!($($about, "\n"),+)
            }

            fn keys(&self) -> &'static [$crate::model::options::Key] {
                const {
                    &[$($crate::model::options::Key {
                        name: $crate::model::options::written(stringify!($key)),
                        shape: <$type as $crate::model::options::Value>::SHAPE,
                        example: $example,
                        about: concat!($($doc, "\n"),+),
                    },)*]
                }
            }

            fn set(
                &mut self,
                name: &str,
                given: &$crate::model::options::Given<'_>,
            ) -> Vec<$crate::model::options::Wrong> {
                $(if name == $crate::model::options::written(stringify!($key)) {
                    return $crate::model::options::take(
                        &mut self.$key,
                        given,
                        None$(.or(Some(&$limit)))?,
                    );
                })*
                Vec::new()
            }

            fn shown(&self) -> Vec<$crate::model::options::Shown> {
                vec![$($crate::model::options::shown(&self.$key, None$(.or(Some(&$limit)))?),)*]
            }
        }
    };
}
pub(crate) use options;

/// A text as TOML has it.
pub fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A list as TOML has it.
pub fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

/// A length of time in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ms(pub i64);

/// A size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl<T: Value> Value for Option<T> {
    const SHAPE: Shape = T::SHAPE;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        T::read(given).map(Some)
    }

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(T::show)
    }

    fn range() -> Option<String> {
        T::range()
    }
}

impl<T, L: Limit<T>> Limit<Option<T>> for L {
    fn check(&self, value: &Option<T>, given: &Given<'_>) -> Vec<Wrong> {
        value.as_ref().map_or_else(Vec::new, |value| self.check(value, given))
    }

    fn range(&self) -> Option<String> {
        Limit::<T>::range(self)
    }
}

impl Value for bool {
    const SHAPE: Shape = Shape::Flag;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        Ok(matches!(given, Given::Flag(true)))
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for String {
    const SHAPE: Shape = Shape::Text;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        Ok(given.text().to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(quote(self))
    }
}

impl Value for Vec<String> {
    const SHAPE: Shape = Shape::Texts;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        Ok(given.texts().iter().map(|text| (*text).to_owned()).collect())
    }

    fn show(&self) -> Option<String> {
        Some(list(self.iter().map(|text| quote(text))))
    }
}

/// A path from the root on: the folder in which the daemon was started does not count.
impl Value for PathBuf {
    const SHAPE: Shape = Shape::Text;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        match given.text() {
            "" => Err(vec![Wrong::new("the path is empty", "remove the line to do without")]),
            path if !path.starts_with('/') => Err(vec![Wrong::new(
                format!("`{path}` depends on the folder in which plimsoll is started"),
                "write the whole path, beginning with /",
            )]),
            path => Ok(path.into()),
        }
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.to_string_lossy()))
    }
}

impl Value for Vec<Glob> {
    const SHAPE: Shape = Shape::Texts;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        let empty = |(_, text): &(usize, &&str)| text.is_empty();
        let wrong: Vec<Wrong> = given
            .texts()
            .iter()
            .enumerate()
            .filter(empty)
            .map(|(at, _)| {
                let hint = "write a name, or a pattern with * and ?";
                Wrong::item(at, "an empty pattern fits nothing", hint)
            })
            .collect();
        if wrong.is_empty() {
            Ok(given.texts().iter().map(|text| Glob::new(text)).collect())
        } else {
            Err(wrong)
        }
    }

    fn show(&self) -> Option<String> {
        Some(list(self.iter().map(|glob| quote(glob.as_str()))))
    }
}

impl Value for Vec<f64> {
    const SHAPE: Shape = Shape::Numbers;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        Ok(if let Given::Numbers(numbers) = given { numbers.clone() } else { Vec::new() })
    }

    fn show(&self) -> Option<String> {
        Some(list(self.iter().map(ToString::to_string)))
    }
}

impl Value for Interval {
    const SHAPE: Shape = Shape::Text;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        let read = given.text().parse::<Self>();
        read.map_err(|e| vec![Wrong::new(e.message, e.hint)])
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.to_string()))
    }

    fn range() -> Option<String> {
        Some(format!("from {} to {}", Self::MIN, Self::MAX))
    }
}

impl Value for Ms {
    const SHAPE: Shape = Shape::Text;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        parse_duration(given.text()).map(Self).map_err(|e| vec![Wrong::new(e.message, e.hint)])
    }

    fn show(&self) -> Option<String> {
        Some(quote(&format_duration(self.0)))
    }
}

impl Limit<Ms> for RangeInclusive<i64> {
    fn check(&self, value: &Ms, given: &Given<'_>) -> Vec<Wrong> {
        if self.contains(&value.0) {
            return Vec::new();
        }
        let side = if value.0 < *self.start() { "short" } else { "long" };
        vec![Wrong::new(format!("`{}` is too {side}", given.text()), "")]
    }

    fn range(&self) -> Option<String> {
        let (least, most) = (format_duration(*self.start()), format_duration(*self.end()));
        Some(format!("from {least} to {most}"))
    }
}

impl Value for Bytes {
    const SHAPE: Shape = Shape::Text;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        let hint = "write a number and a unit: `500MB`, `2GiB`";
        parse_size(given.text()).map(Self).map_err(|message| vec![Wrong::new(message, hint)])
    }

    fn show(&self) -> Option<String> {
        Some(quote(&format_size(self.0)))
    }
}

impl Limit<Bytes> for RangeFrom<u64> {
    fn check(&self, value: &Bytes, given: &Given<'_>) -> Vec<Wrong> {
        if self.contains(&value.0) {
            return Vec::new();
        }
        vec![Wrong::new(format!("`{}` is too small", given.text()), "")]
    }

    fn range(&self) -> Option<String> {
        (self.start > 0).then(|| format!("{} or more", format_size(self.start)))
    }
}

/// A whole number.
impl Value for u64 {
    const SHAPE: Shape = Shape::Number;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        let number = given.number();
        // Beyond 2^53 a floating-point number cannot represent all whole numbers.
        let message = match number {
            n if n.fract() != 0.0 => format!("{n} is not a whole number"),
            n if n < 0.0 => format!("{n} is too small"),
            n if n > 9_007_199_254_740_992.0 => format!("{n} is too large"),
            n => return Ok(n as u64),
        };
        Err(vec![Wrong::new(message, "")])
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// A number.
impl Value for f64 {
    const SHAPE: Shape = Shape::Number;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        match given.number() {
            n if n.is_finite() => Ok(n),
            n => Err(vec![Wrong::new(format!("{n} is no number to compare with"), "")]),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Limit<u64> for RangeInclusive<u64> {
    fn check(&self, value: &u64, _: &Given<'_>) -> Vec<Wrong> {
        if self.contains(value) {
            return Vec::new();
        }
        let side = if value < self.start() { "small" } else { "large" };
        vec![Wrong::new(format!("{value} is too {side}"), "")]
    }

    fn range(&self) -> Option<String> {
        Some(format!("a whole number from {} to {}", self.start(), self.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    options! {
        /// Two options.
        struct Two {
            /// At most ten.
            count: u64 = 3, in 1..=10, like "4";
            /// How long.
            /// In all.
            r#for: Ms = Ms(60_000), in 1_000..=86_400_000, like "\"5m\"";
        }
    }

    #[test]
    fn one_line_is_all_that_is_written() {
        let mut two = Two::default();
        assert_eq!((two.about(), two.keys()[1].name), (" Two options.\n", "for"));
        assert_eq!(two.keys()[1].about, " How long.\n In all.\n");
        assert!(two.set("count", &Given::Number(4.0)).is_empty());
        let shown = two.shown();
        assert_eq!(shown[0].value.as_deref(), Some("4"));
        assert_eq!(shown[0].range.as_deref(), Some("a whole number from 1 to 10"));
        assert_eq!(shown[1].value.as_deref(), Some("\"1m\""));

        let range = "a whole number from 1 to 10";
        for (number, message) in [
            (11.0, "11 is too large"),
            (1e300, &*format!("{} is too large", 1e300)),
            (-1.0, "-1 is too small"),
            (0.5, "0.5 is not a whole number"),
        ] {
            let wrong = two.set("count", &Given::Number(number));
            assert_eq!(wrong, [Wrong::new(message, range)]);
        }
        let wrong = two.set("for", &Given::Text("10ms"));
        assert_eq!(wrong, [Wrong::new("`10ms` is too short", "from 1s to 1d")]);
    }

    #[test]
    fn texts_as_toml_has_them() {
        assert_eq!(quote("a \"b\" \\ \u{7} é"), r#""a \"b\" \\ \u0007 é""#);
        assert_eq!(list(["1".into(), "2".into()]), "[1, 2]");
    }
}
