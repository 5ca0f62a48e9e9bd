//! alert: the rule files that a configuration names: found by their patterns, and read within bounds. A
//! file that is wrong is told with its place; what it held when it was right stays in force.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::files::{FileRule, Group, Recording, read};
use super::rule::Rule;
use crate::collect::regular;
use crate::model::Glob;

/// A larger rule file is not read, bytes.
pub const MOST_BYTES: u64 = 4 << 20;
/// The number of files that a pattern may find.
pub const MOST_FILES: usize = 200;
/// The number of rules that all files together may have.
pub const MOST_RULES: usize = 2_000;

/// The rule files as they were read last.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    known: BTreeMap<PathBuf, Vec<Group>>,
}

/// The contents of the rule files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filed {
    /// Rules that fire.
    pub alerts: Vec<Rule>,
    /// Rules that write series.
    pub records: Vec<Recording>,
    /// What is wrong, a sentence each: the file, the line, and what to do.
    pub wrong: Vec<String>,
}

impl Shelf {
    /// Reads the files of these patterns. A relative pattern starts at `folder`. A file that cannot be
    /// read, or is wrong, keeps the rules that it had when this shelf read it last.
    pub fn read(&mut self, patterns: &[String], folder: &Path) -> Filed {
        let mut out = Filed::default();
        let mut files: Vec<PathBuf> = Vec::new();
        for pattern in patterns {
            match found(pattern, folder) {
                Ok(more) => files.extend(more),
                Err(why) => out.wrong.push(why),
            }
        }
        files.sort();
        files.dedup();
        let mut before = std::mem::take(&mut self.known);
        let mut rules = 0;
        for path in files {
            let kept = before.remove(&path);
            let groups = match load(&path) {
                Ok(groups) => groups,
                Err(why) => {
                    let so = match kept {
                        Some(_) => "; the rules that it had before stay in force",
                        None => "; none of its rules is in force",
                    };
                    out.wrong.push(format!("{why}{so}"));
                    let Some(kept) = kept else { continue };
                    kept
                }
            };
            let own: usize = groups.iter().map(|group| group.rules.len()).sum();
            if rules + own > MOST_RULES {
                out.wrong.push(format!(
                    "{}: with its {own} rules there would be more than {MOST_RULES}; none of them is in \
                     force; name fewer files in `alerts.rules`",
                    path.display()
                ));
                continue;
            }
            rules += own;
            let name: Box<str> = path.to_string_lossy().into();
            for rule in groups.iter().flat_map(|group| &group.rules) {
                match rule {
                    FileRule::Alert(rule) => {
                        out.alerts.push(Rule { file: name.clone(), ..(**rule).clone() });
                    }
                    FileRule::Record(rule) => {
                        out.records.push(Recording { file: name.clone(), ..(**rule).clone() });
                    }
                }
            }
            self.known.insert(path, groups);
        }
        out
    }
}

/// Reads one rule file. Fails with a sentence that names the file and the line.
pub fn load(path: &Path) -> Result<Vec<Group>, String> {
    let shown = path.display();
    let text = regular::read_text(path, MOST_BYTES).map_err(|e| format!("{shown}: {e}"))?;
    read(&text).map_err(|e| format!("{shown}: {e}; `plimsoll check-config` tries it again"))
}

/// The files of a pattern, sorted; `*` and `?` stand for no `/`. Fails with a sentence where there is
/// none, or where there are too many.
pub fn found(pattern: &str, folder: &Path) -> Result<Vec<PathBuf>, String> {
    let whole = folder.join(pattern);
    let mut places = vec![PathBuf::new()];
    for part in whole.components() {
        let name = match part {
            Component::Normal(name) => name.to_string_lossy(),
            other => {
                places.iter_mut().for_each(|place| place.push(other));
                continue;
            }
        };
        if !name.contains(['*', '?']) {
            places.iter_mut().for_each(|place| place.push(part));
            continue;
        }
        let glob = Glob::new(&name);
        let mut next = Vec::new();
        for place in &places {
            let inside = match std::fs::read_dir(place) {
                Ok(inside) => inside,
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    continue;
                }
                Err(e) => return Err(format!("{}: {e}", place.display())),
            };
            for entry in inside.flatten() {
                let own = entry.file_name();
                let own = own.to_string_lossy();
                // As in a shell, `*` finds no hidden file.
                if glob.matches(&own) && own.starts_with('.') == name.starts_with('.') {
                    next.push(place.join(&*own));
                }
            }
            if next.len() > MOST_FILES {
                return Err(format!(
                    "`{pattern}` stands for more than {MOST_FILES} files; write a narrower pattern"
                ));
            }
        }
        places = next;
    }
    places.retain(|place| place.exists());
    places.sort();
    if places.is_empty() {
        return Err(format!("there is no file `{}`; is the path right?", whole.display()));
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> String {
        format!("groups:\n- name: {name}\n  rules:\n  - alert: {name}\n    expr: up == 0\n")
    }

    fn names(filed: &Filed) -> Vec<&str> {
        filed.alerts.iter().map(|rule| &*rule.name).collect()
    }

    #[test]
    fn a_file_that_is_wrong_keeps_what_it_had() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("sub")).expect("a folder");
        for (path, name) in [("a.yml", "A"), ("b.yml", "B"), ("sub/c.yml", "C"), (".d.yml", "D")] {
            std::fs::write(at(path), file(name)).expect("written");
        }
        let patterns = ["*.yml".to_owned(), "s?b/*.yml".to_owned(), "a.yml".to_owned()];
        let mut shelf = Shelf::default();
        let first = shelf.read(&patterns, folder.path());
        assert_eq!((names(&first), &*first.wrong), (vec!["A", "B", "C"], &[][..]));
        assert!(first.alerts[0].file.ends_with("/a.yml"));

        std::fs::write(at("a.yml"), "groups:\n- nam: x\n").expect("written");
        std::fs::write(at("b.yml"), file("Other")).expect("written");
        std::fs::remove_file(at("sub/c.yml")).expect("removed");
        let second = shelf.read(&patterns, folder.path());
        assert_eq!(names(&second), ["A", "Other"]);
        let [wrong, none] = &second.wrong[..] else { panic!("{:?}", second.wrong) };
        assert!(wrong.contains("there is no file") && wrong.contains("s?b/*.yml"), "{wrong}");
        assert!(none.contains("a.yml: line 2: `nam` is not known"), "{none}");
        assert!(none.ends_with("the rules that it had before stay in force"), "{none}");
        // To a new process it has none.
        let fresh = Shelf::default().read(&patterns, folder.path());
        assert_eq!(names(&fresh), ["Other"]);
        assert!(fresh.wrong[1].ends_with("none of its rules is in force"), "{:?}", fresh.wrong);
    }

    #[test]
    fn files_and_rules_have_bounds() {
        let folder = tempfile::tempdir().expect("a folder");
        let rules = "  - alert: A\n    expr: up == 0\n".repeat(MOST_RULES);
        let text = format!("groups:\n- name: x\n  rules:\n{rules}");
        std::fs::write(folder.path().join("a.yml"), &text).expect("written");
        std::fs::write(folder.path().join("b.yml"), file("B")).expect("written");
        let long = "#".repeat(MOST_BYTES as usize + 1);
        std::fs::write(folder.path().join("c.yml"), long).expect("written");
        let filed = Shelf::default().read(&["*.yml".to_owned()], folder.path());
        assert_eq!((filed.alerts.len(), filed.wrong.len()), (MOST_RULES, 2));
        assert!(filed.wrong[0].contains("b.yml: with its 1 rules there would be more than 2000"));
        assert!(filed.wrong[1].contains("c.yml: "), "{:?}", filed.wrong);
    }
}
