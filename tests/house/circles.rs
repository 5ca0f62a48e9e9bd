//! No circles: of two files of a room, one uses the other or neither does, also round other files. A
//! file that declares modules (`mod.rs`) and those modules are one thing here: they may use each other.

use std::collections::{BTreeMap, BTreeSet};

use super::{code, paths};

/// The modules that a file's path names: `src/store/read/mod.rs` is `["store", "read"]`.
pub fn module(path: &str) -> Vec<String> {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    let inside = inside.trim_end_matches("/mod");
    if inside == "lib" || inside == "main" {
        return Vec::new();
    }
    inside.split('/').map(str::to_owned).collect()
}

/// The code without the tests at its end.
pub fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

/// The files of `src`, by module, with the paths that they write.
pub type Files<'a> = BTreeMap<Vec<String>, Vec<Vec<&'a str>>>;

/// Where a path that is written in `from` leads: modules, and the name behind them.
pub fn absolute(files: &Files<'_>, from: &[String], path: &[&str]) -> Option<Vec<String>> {
    let mut at: Vec<String> = match *path.first()? {
        "crate" => Vec::new(),
        "self" => from.to_vec(),
        "super" => from.to_vec(),
        first => {
            let child = [from, &[first.to_owned()]].concat();
            return files.contains_key(&child).then(|| {
                from.iter().cloned().chain(path.iter().map(|p| (*p).to_owned())).collect()
            });
        }
    };
    for part in path {
        match *part {
            "crate" | "self" => {}
            "super" => drop(at.pop()),
            part => at.push(part.to_owned()),
        }
    }
    Some(at)
}

/// The file in which what a path names is written: names that a file hands on are followed.
pub fn file_of(files: &Files<'_>, path: &[String], left: usize) -> Option<Vec<String>> {
    let length = (0..=path.len()).rev().find(|n| files.contains_key(&path[..*n]))?;
    let (module, behind) = path.split_at(length);
    let Some(name) = behind.first().filter(|_| left > 0) else { return Some(module.to_vec()) };
    // `use child::Name` or `use child::*` in the file itself.
    let handed_on = files[module].iter().find_map(|written| {
        let (last, before) = written.split_last()?;
        let to = absolute(files, module, before)?;
        let child = to.len() > module.len() && to.starts_with(module) && files.contains_key(&to);
        (last == name && child).then_some(to)
    });
    match handed_on {
        Some(child) => file_of(files, &[&child[..], behind].concat(), left - 1),
        None => Some(module.to_vec()),
    }
}

/// Which files of its room each file uses.
fn graph(files: &Files<'_>) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let related = |a: &[String], b: &[String]| a.starts_with(b) || b.starts_with(a);
    let used = |from: &Vec<String>, written: &Vec<Vec<&str>>| {
        written
            .iter()
            .filter_map(|path| file_of(files, &absolute(files, from, path)?, 9))
            .filter(|to| to.first() == from.first() && !related(from, to))
            .collect()
    };
    files.iter().map(|(from, written)| (from.clone(), used(from, written))).collect()
}

/// Complaints about files that use each other, each circle once.
pub fn check_circles(texts: &[(String, String)]) -> Vec<String> {
    let codes: Vec<(Vec<String>, String)> =
        texts.iter().map(|(path, text)| (module(path), code(without_tests(text)))).collect();
    let files: Files<'_> = codes.iter().map(|(m, code)| (m.clone(), paths(code))).collect();
    let graph = graph(&files);
    let reached = |from: &Vec<String>| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&Vec<String>> = graph[from].iter().collect();
        while let Some(file) = next.pop() {
            if seen.insert(file.clone()) {
                next.extend(&graph[file]);
            }
        }
        seen
    };
    let all: BTreeMap<_, _> = graph.keys().map(|file| (file, reached(file))).collect();
    let circles: BTreeSet<Vec<&Vec<String>>> = (all.iter())
        .filter(|(file, seen)| seen.contains(**file))
        .map(|(file, seen)| {
            let both = all.keys().filter(|other| seen.contains(**other));
            both.filter(|other| all[**other].contains(*file)).copied().collect()
        })
        .collect();
    let arrows = |circle: &Vec<&Vec<String>>| {
        let used = |from: &Vec<String>| {
            let to: Vec<String> = graph[from]
                .iter()
                .filter(|to| circle.contains(to))
                .map(|to| to.join("/"))
                .collect();
            format!("{} -> {}", from.join("/"), to.join(", "))
        };
        circle.iter().map(|from| used(from)).collect::<Vec<_>>().join("; ")
    };
    circles.iter().map(|circle| format!("use each other: {}", arrows(circle))).collect()
}

#[test]
fn a_planted_circle_is_found() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let planted = [
        file("src/store/mod.rs", "mod a; mod b; mod c; pub use c::Thing;"),
        file("src/store/a.rs", "use super::b::B; fn a() {}"),
        file("src/store/b.rs", "use super::Thing;"),
        file("src/store/c.rs", "fn c() { super::a::a() }"),
    ];
    let arrows = "use each other: store/a -> store/b; store/b -> store/c; store/c -> store/a";
    assert_eq!(check_circles(&planted), [arrows]);
    assert_eq!(check_circles(&planted[..3]), [""; 0]);
}
