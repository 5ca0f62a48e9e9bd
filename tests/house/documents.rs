//! The rules of the house on documents: each verb and each page can be found.

use std::fs;
use std::path::Path;

use super::{files, named_paths};

#[test]
fn every_verb_is_in_the_document() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("a text file");
    let source = read("src/cli/mod.rs");
    let (_, verbs) = source.split_once("enum Verb {").expect("the verbs");
    let verbs = verbs.split("\n}").next().unwrap_or_default().lines().map(str::trim);
    let kebab = |name: &str| {
        let lower = |(at, c): (usize, char)| match c.is_uppercase() {
            true if at > 0 => format!("-{}", c.to_lowercase()),
            _ => c.to_lowercase().to_string(),
        };
        name.chars().enumerate().map(lower).collect::<String>()
    };
    let names: Vec<String> = verbs
        .filter(|line| line.starts_with(char::is_uppercase))
        .map(|line| kebab(line.split(['(', ',']).next().unwrap_or_default()))
        .collect();
    assert!(names.len() > 20, "the walk finds verbs: {names:?}");
    let document = read("docs/VERBS.md");
    let missing: Vec<_> =
        names.iter().filter(|name| !document.contains(&format!("\n| `{name}`"))).collect();
    assert!(missing.is_empty(), "docs/VERBS.md does not have {missing:?}");
}

#[test]
fn the_index_lists_every_document() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let index = fs::read_to_string(root.join("docs/README.md")).expect("docs/README.md");
    let listed = named_paths(&index);
    let missing: Vec<_> = files("docs", &[".md"])
        .into_iter()
        .map(|(path, _)| path.trim_start_matches("docs/").to_owned())
        .filter(|path| path != "README.md" && !listed.contains(path))
        .collect();
    assert!(missing.is_empty(), "docs/README.md does not list {missing:?}");
}
