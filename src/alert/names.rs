//! alert: the names of the series that rules look at. Where names come and go, the file has many times
//! the names that are in use, and a pass has to read none of the others.

use std::collections::BTreeSet;

use super::files::Recording;
use super::rule::{Measure, Query, Rule};
use crate::query::Catalog;
use crate::query::ast::Expr;
use crate::query::files::Inode;
use crate::query::matcher::NAME;
use crate::store::{Reader, SqlError};

/// The series in a file that rules may look at.
#[derive(Debug, Default)]
pub struct Watched {
    /// Nothing: those of any name.
    names: Option<BTreeSet<Box<str>>>,
    of: Option<Inode>,
    /// Series up to this number were looked at.
    seen: i64,
    catalog: Catalog,
}

impl Watched {
    /// Those of the names that these rules ask for; of any name where one of them may ask for any.
    pub fn by<'r>(
        rules: impl IntoIterator<Item = &'r Rule>,
        records: impl IntoIterator<Item = &'r Recording>,
    ) -> Self {
        let mut names = BTreeSet::new();
        let few = rules.into_iter().all(|rule| {
            let forecast = match &rule.measure {
                Measure::Forecast(query) => Some(query),
                Measure::Query(_) | Measure::Given(_) => None,
            };
            // A template may put a question of its own.
            let mut texts = rule.annotations.iter().chain(&rule.labels);
            !texts.any(|(_, text)| text.contains("query"))
                && rule.queries().chain(forecast).all(|query| take(query, &mut names))
        });
        let few = few && records.into_iter().all(|record| take(&record.query, &mut names));
        Self { names: few.then_some(names), ..Self::default() }
    }

    /// The series that there are now in the file that a reader has open.
    pub fn look(&mut self, reader: &Reader, of: Inode) -> Result<&Catalog, SqlError> {
        let newest = reader.newest_series()?;
        if self.of != Some(of) || newest < self.seen {
            (self.of, self.seen, self.catalog) = (Some(of), 0, Catalog::default());
        }
        if newest > self.seen {
            let wanted = |name: &str| self.names.as_ref().is_none_or(|names| names.contains(name));
            self.catalog.extend(reader, self.seen, wanted)?;
            self.seen = newest;
        }
        Ok(&self.catalog)
    }
}

/// Adds the names in an expression. False: it may ask for others.
fn take(query: &Query, names: &mut BTreeSet<Box<str>>) -> bool {
    let mut few = !asks_for_info(&query.expr);
    query.expr.for_each_selector(&mut |selector| {
        let listed = selector.matchers.iter().filter(|m| m.name() == NAME).find_map(|m| m.listed());
        few &= listed.is_some();
        names.extend(listed.into_iter().flatten().map(Into::into));
    });
    few
}

/// `info` finds series that it does not name.
fn asks_for_info(expr: &Expr) -> bool {
    matches!(expr, Expr::Call(call) if call.function.name == "info")
        || expr.children().any(asks_for_info)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::alert::{RuleText, defaults};
    use crate::model::{Identity, Labels, Registry, Series};
    use crate::pipeline::{Batch, Source};
    use crate::store::Store;

    fn rule(when: &str) -> Rule {
        let when = when.to_owned();
        Rule::parse(&RuleText { when, ..RuleText::default() }).expect("a rule")
    }

    fn names(when: &str) -> Option<Vec<Box<str>>> {
        Watched::by([&rule(when)], []).names.map(|names| names.into_iter().collect())
    }

    #[test]
    fn names_are_those_of_the_selectors() {
        let some = |list: &[&str]| Some(list.iter().map(|name| Box::from(*name)).collect());
        assert_eq!(names("rate(a[5m]) / on (x) (b offset 1h) > 1"), some(&["a", "b"]));
        assert_eq!(names("max_over_time(sum(c)[1h:1m]) > 1"), some(&["c"]));
        assert_eq!(names("{__name__=~\"d|e\"} > 1"), some(&["d", "e"]));
        for any in ["{job=\"x\"} > 1", "{__name__=~\"d.*\"} > 1", "info(a) > 1"] {
            assert_eq!(names(any), None, "{any}");
        }
        let mut asks = rule("a > 1");
        asks.annotations.push(("text".into(), "{{ query \"b\" }}".into()));
        assert_eq!(Watched::by([&asks], []).names, None);
        let all = defaults().expect("right");
        let names = Watched::by(&all, []).names.expect("few");
        assert!(names.contains("node_filesystem_avail_bytes") && names.len() < 60, "{names:?}");
    }

    #[test]
    fn new_series_are_taken_in_if_rules_ask_for_them() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m.sqlite");
        let registry = Arc::new(Registry::default());
        let mut store = Store::open(&path, "here", Arc::clone(&registry)).expect("opens");
        let mut write = |name: &str, label: &str| {
            let labels = Labels::new([("of", label)]);
            let series = Series::undescribed(Identity::local("x", name, labels));
            let values = vec![(registry.intern(series), 1.0)];
            let batch = Batch::of(Source::Json, 1_700_000_000_000, values);
            store.commit(&[batch]).expect("written");
        };
        let mut watched = Watched::by([&rule("a > 1")], []);
        let reader = Reader::open(&path).expect("opens");
        let mut look = |of: u64| {
            let catalog = watched.look(&reader, (1, of)).expect("readable");
            (catalog.len(), catalog.newest())
        };
        assert_eq!(look(1).0, 0);
        write("a", "one");
        write("b", "one");
        let (one, newest) = look(1);
        assert_eq!(one, 1);
        for pod in 0..20 {
            write("b", &pod.to_string());
        }
        assert_eq!(look(1), (1, newest), "a selector means the same series");
        write("a", "two");
        assert_eq!(look(1).0, 2);
        assert_eq!(look(2).0, 2, "another file is read from its beginning");
    }
}
