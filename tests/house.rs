//! The rules of the house that a compiler does not check: which room may use which, how a file
//! begins, how long it gets, and that documents name files that exist. CONTRIBUTING.md has the
//! reasons. Each rule takes a file's path and text and returns its complaints; the tests beside it
//! plant a violation of each.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[path = "house/circles.rs"]
mod circles;
#[path = "house/documents.rs"]
mod documents;
#[path = "house/maps.rs"]
mod maps;
#[path = "house/state.rs"]
mod state;
#[path = "house/wings.rs"]
mod wings;
#[path = "house/words.rs"]
mod words;

use circles::check_circles;
use maps::check_map;
use state::check_state;
use wings::{WINGED, check_wings};
use words::check_words;

/// The rooms in the order in which data flows; one may use those before it.
const ROOMS: &[&str] = &[
    "model",
    "wire",
    "collect",
    "plugin",
    "receive",
    "reach",
    "pipeline",
    "store",
    "query",
    "notify",
    "alert",
    "overview",
    "draw",
    "config",
    "http",
    "munin_node",
    "forward",
    "daemon",
    "cli",
];

/// These meet in the store or the query room only.
const VIEWS: &[&str] = &["http", "munin_node", "forward"];

/// Paths that may be used in these rooms only.
const ONLY_IN: &[(&str, &[&str])] = &[("rusqlite", &["store"])];

/// Paths that may not be used in these rooms.
const NEVER_IN: &[(&str, &[&str])] = &[
    ("tokio", &["model", "wire", "collect"]),
    ("std::fs", &["model", "wire"]),
    ("std::net", &["model", "wire"]),
    ("std::process", &["model", "wire"]),
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "common", "core", "helper", "helpers", "manager", "misc"];

/// Past this a file wants splitting by idea, unless it is a flat table.
const LONGEST: usize = 600;

/// Words that put work off; split so that this file passes its own rule.
const PUT_OFF: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Macros that do.
const PUT_OFF_MACROS: &[&str] = &["todo", "unimplemented"];

/// Where a document's backticked paths can point.
const TOP_FOLDERS: &[&str] = &[
    "src",
    "docs",
    "ci",
    "tests",
    "benches",
    "extension",
    "fuzz",
    "contrib",
    "dashboard",
    ".ci",
    ".config",
];

/// The room of a source file; `None` for lib.rs and main.rs.
fn room(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let first = inside.split('/').next()?;
    match first.strip_suffix(".rs") {
        Some("lib" | "main") => None,
        Some(single) => Some(single),
        None => Some(first),
    }
}

/// The lines of the `//!` block that opens a file.
fn header(text: &str) -> Vec<&str> {
    text.lines().map_while(|l| l.strip_prefix("//!")).collect()
}

/// The text with comments and the contents of strings and chars blanked, so that what is left is
/// code; line breaks stay.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(len) = raw_string(rest).filter(|_| !ends_in_word(&out)) {
            len
        } else if c == '"' {
            quoted(rest, '"').unwrap_or(rest.len())
        } else if c == '\'' {
            // Without a closing quote close by, it is a lifetime.
            quoted(rest, '\'').filter(|len| char_like(&rest[1..len - 1])).unwrap_or(0)
        } else {
            0
        };
        if skip == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            out.extend(rest[..skip].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[skip..];
        }
    }
    out
}

fn ends_in_word(text: &str) -> bool {
    text.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// The length of the raw string that begins here.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let inside = after.trim_start_matches('#');
    let hashes = &after[..after.len() - inside.len()];
    let start = text.len() - inside.len() + 1;
    inside.strip_prefix('"')?;
    let end = format!("\"{hashes}");
    text[start..].find(&end).map(|at| start + at + end.len())
}

/// The length of what is quoted here, both quotes included.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn char_like(inside: &str) -> bool {
    inside.starts_with('\\') || inside.chars().count() == 1
}

/// Identifiers and the punctuation between them.
fn tokens(code: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = code.trim_start();
    while let Some(c) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let len = if word(c) {
            rest.find(|c| !word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            c.len_utf8()
        };
        out.push(&rest[..len]);
        rest = rest[len..].trim_start();
    }
    out
}

/// The paths written in the code, with `{…}` spread out: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(code: &str) -> Vec<Vec<&str>> {
    let tokens = tokens(code);
    let mut out = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let begins = tokens[at].starts_with(|c: char| c.is_alphabetic() || c == '_')
            && tokens.get(at + 1) == Some(&"::");
        if begins { at = spread(&tokens, at, &[], &mut out) } else { at += 1 }
    }
    out
}

/// Reads one path from `at`, behind `prefix`; returns where it ends.
fn spread<'a>(
    tokens: &[&'a str],
    mut at: usize,
    prefix: &[&'a str],
    out: &mut Vec<Vec<&'a str>>,
) -> usize {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        match *token {
            "{" => {
                at += 1;
                while at < tokens.len() && tokens[at] != "}" {
                    at = if tokens[at] == "," { at + 1 } else { spread(tokens, at, &path, out) };
                }
                return at + 1;
            }
            word => path.push(word),
        }
        at += 1;
        if tokens.get(at) != Some(&"::") {
            break;
        }
        at += 1;
    }
    if tokens.get(at) == Some(&"as") {
        at += 2;
    }
    out.push(path);
    at
}

/// Which room a path leads to, if to one.
fn room_of_path<'a>(file: &str, path: &[&'a str]) -> Option<&'a str> {
    let depth = file.matches('/').count() - usize::from(file.ends_with("/mod.rs"));
    let ups = path.iter().take_while(|p| **p == "super").count();
    let at = match *path.first()? {
        "crate" => 1,
        "super" if ups >= depth => ups,
        _ => return None,
    };
    path.get(at).filter(|r| ROOMS.contains(r)).copied()
}

fn check_header(path: &str, text: &str) -> Vec<String> {
    let Some(first) = header(text).first().copied() else {
        return vec![format!("{path}: does not open with //!")];
    };
    match room(path) {
        Some(room) if !first.starts_with(&format!(" {room}: ")) => {
            vec![format!("{path}: its first line has to begin with `//! {room}: `")]
        }
        _ => Vec::new(),
    }
}

fn check_imports(path: &str, text: &str) -> Vec<String> {
    let Some(room) = room(path) else { return Vec::new() };
    let Some(place) = ROOMS.iter().position(|r| *r == room) else {
        return vec![format!("{path}: `{room}` is none of the rooms in tests/house.rs")];
    };
    let code = code(text);
    let mut out = BTreeSet::new();
    for used in paths(&code) {
        let written = used.join("::");
        if let Some(other) = room_of_path(path, &used) {
            let below = ROOMS[place + 1..].contains(&other);
            let sideways = VIEWS.contains(&room) && VIEWS.contains(&other) && room != other;
            if sideways {
                out.insert(format!("{path}: `{written}`: views do not use each other"));
            } else if below {
                out.insert(format!("{path}: `{written}`: {other} lies below {room}"));
            }
        }
        let starts = |with: &str| written == with || written.starts_with(&format!("{with}::"));
        for (what, rooms) in ONLY_IN {
            if starts(what) && !rooms.contains(&room) {
                out.insert(format!("{path}: `{written}`: {what} stays in {}", rooms.join(", ")));
            }
        }
        for (what, rooms) in NEVER_IN {
            if starts(what) && rooms.contains(&room) {
                out.insert(format!("{path}: `{written}`: no {what} in {room}"));
            }
        }
    }
    out.into_iter().collect()
}

fn check_name(path: &str) -> Vec<String> {
    let empty = |part: &&str| EMPTY_NAMES.contains(&part.trim_end_matches(".rs"));
    path.split('/')
        .filter(empty)
        .map(|part| format!("{path}: `{part}` says nothing about what is inside"))
        .collect()
}

fn check_length(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    if lines <= LONGEST || header(text).iter().any(|l| l.contains("flat table")) {
        return Vec::new();
    }
    vec![format!("{path}: {lines} lines; past {LONGEST} a file wants splitting by idea")]
}

fn check_put_off(path: &str, text: &str) -> Vec<String> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words = line.split(|c| !word(c));
        let put_off = words.clone().any(|w| PUT_OFF.contains(&w))
            || words
                .clone()
                .any(|w| PUT_OFF_MACROS.contains(&w) && line.contains(&format!("{w}!")));
        if put_off {
            out.push(format!("{path}:{}: do it now, or open an issue", number + 1));
        }
    }
    out
}

/// The paths of this repository that a document names: in backticks, and as targets of links.
fn named_paths(text: &str) -> BTreeSet<String> {
    let spans = text.split('`').skip(1).step_by(2).flat_map(str::split_whitespace);
    let links = text.split("](").skip(1).filter_map(|l| l.split([')', '#']).next());
    let mut out = BTreeSet::new();
    for (word, link) in spans.map(|w| (w, false)).chain(links.map(|l| (l, true))) {
        let path = word.trim_start_matches("./").trim_end_matches(|c: char| ",.;:)".contains(c));
        // A line number, or a test's name, may follow.
        let path = path.split(':').next().unwrap_or_default();
        let inside = path.split_once('/').is_some_and(|(top, _)| TOP_FOLDERS.contains(&top));
        let placeholder = path.contains(['<', '…', '{', '$', '*']);
        if !placeholder && (inside || link && !word.contains(':') && !path.is_empty()) {
            out.insert(path.trim_end_matches('/').to_owned());
        }
    }
    out
}

fn check_document(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    named_paths(text)
        .into_iter()
        .filter(|named| !exists(named) && !exists(&format!("{folder}/{named}")))
        .map(|named| format!("{path}: names `{named}`, which is not there"))
        .collect()
}

/// Every file below a folder with one of these endings: path from the root of the repository, text.
fn files(folder: &str, endings: &[&str]) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut out = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root.join(&folder)) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if entry.path().is_dir() {
                // What builds put here is not ours.
                if !["target", ".git", "node_modules"].contains(&path.as_str())
                    && !folder.is_empty()
                {
                    folders.push(path);
                }
            } else if endings.iter().any(|e| path.ends_with(e)) {
                out.push((path, fs::read_to_string(entry.path()).expect("a text file")));
            }
        }
    }
    out.sort();
    out
}

fn assert_quiet(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn each(files: &[(String, String)], rule: impl Fn(&str, &str) -> Vec<String>) -> Vec<String> {
    files.iter().flat_map(|(path, text)| rule(path, text)).collect()
}

#[test]
fn the_source_keeps_the_rules() {
    let mut source = files("src", &[".rs"]);
    source.extend(files("extension/src", &[".rs"]));
    assert!(source.iter().any(|(path, _)| path == "src/model/series.rs"), "the walk finds files");
    let mut complaints = each(&source, check_header);
    complaints.extend(each(&source, check_imports));
    complaints.extend(each(&source, |path, _| check_name(path)));
    complaints.extend(each(&source, check_length));
    complaints.extend(each(&source, check_state));
    complaints.extend(each(&source, check_words));
    complaints.extend(each(&source, check_map));
    assert_quiet(complaints);
}

#[test]
fn nothing_is_put_off() {
    for folder in ["src", "tests", "benches", "ci", "extension", "fuzz", "contrib", "dashboard/src"]
    {
        assert_quiet(each(
            &files(folder, &[".rs", ".sql", ".sh", ".ts", ".tsx", ".toml"]),
            check_put_off,
        ));
    }
}

#[test]
fn documents_name_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = files("", &[".md"]);
    for folder in ["docs", "ci", "contrib"] {
        documents.extend(files(folder, &[".md"]));
    }
    assert!(documents.iter().any(|(path, _)| path == "CONTRIBUTING.md"), "the walk finds files");
    assert_quiet(each(&documents, |path, text| {
        check_document(path, text, |named| root.join(named).exists())
    }));
}

#[test]
fn no_two_files_use_each_other() {
    let source = files("src", &[".rs"]);
    assert_quiet(check_circles(&source));
}

#[test]
fn wings_use_those_above_them() {
    let source = files("src", &[".rs"]);
    let wrong: Vec<String> = WINGED.iter().flat_map(|room| check_wings(room, &source)).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The paths that a file of the HTTP room answers; those of Prometheus' API stand below a common one.
fn routes(path: &str, text: &str) -> Vec<String> {
    let quoted = text.split(".route(").skip(1).filter_map(|after| {
        let (before, rest) = after.split_once('"')?;
        before.trim().is_empty().then(|| rest.split('"').next().unwrap_or_default())
    });
    let below = path == "src/http/prometheus/mod.rs";
    let full = |route: &str| match route {
        "/federate" => route.to_owned(),
        route if below => format!("/api/v1{route}"),
        route => route.to_owned(),
    };
    quoted.map(full).collect()
}

#[test]
fn every_route_is_in_the_document() {
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/HTTP.md"))
        .expect("docs/HTTP.md");
    let rows: BTreeSet<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(_, rest)| rest.contains("localhost:1876"))
        .map(|(route, _)| route)
        .collect();
    let source = files("src/http", &[".rs"]);
    let served: BTreeSet<String> =
        source.iter().flat_map(|(path, text)| routes(path, text)).collect();
    assert!(served.len() > 30, "the walk finds routes: {served:?}");
    let served: BTreeSet<&str> = served.iter().map(String::as_str).collect();
    let undocumented: Vec<_> = served.difference(&rows).collect();
    let gone: Vec<_> = rows.difference(&served).collect();
    assert!(undocumented.is_empty(), "docs/HTTP.md does not have {undocumented:?}");
    assert!(gone.is_empty(), "docs/HTTP.md has {gone:?}, which nothing serves");
}

#[test]
fn the_map_lists_the_rooms_in_order() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"))
        .expect("src/lib.rs");
    let drawn: Vec<usize> = header(&lib)
        .iter()
        .filter_map(|l| ROOMS.iter().position(|r| l.split_whitespace().next() == Some(r)))
        .collect();
    assert!(!drawn.is_empty() && drawn.is_sorted(), "{drawn:?}");
    for line in lib.lines() {
        if let Some(room) = line.strip_prefix("pub mod ").and_then(|l| l.strip_suffix(';')) {
            let place = ROOMS.iter().position(|r| *r == room);
            assert!(place.is_some_and(|p| drawn.contains(&p)), "{room} is not on the map");
        }
    }
}

#[test]
fn headers_are_checked() {
    assert_eq!(check_header("src/model/a.rs", "//! model: a.\n").len(), 0);
    assert_eq!(check_header("src/model/a.rs", "//! What a is.\n").len(), 1);
    assert_eq!(check_header("src/model/a.rs", "use b;\n//! model: a.\n").len(), 1);
    assert_eq!(check_header("src/wire/a.rs", "//! model: a.\n").len(), 1);
    assert_eq!(check_header("src/lib.rs", "//! The map.\n").len(), 0);
    assert_eq!(check_header("src/main.rs", "fn main() {}\n").len(), 1);
}

#[test]
fn imports_are_checked() {
    for (file, text, wrong) in [
        ("src/store/mod.rs", "use crate::model::Kind;", 0),
        ("src/model/a.rs", "use crate::store::Store;", 1),
        ("src/model/a.rs", "fn f() -> crate::store::Store {}", 1),
        ("src/model/a.rs", "use crate::{model::Kind, store::{Store, Reader}, cli};", 3),
        ("src/model/a.rs", "use super::super::store::Store;", 1),
        ("src/model/mod.rs", "use super::store::Store;", 1),
        ("src/model/a.rs", "use super::store;", 0),
        ("src/model/a.rs", "/// See [`crate::store::Store`].", 0),
        ("src/model/a.rs", "const A: &str = \"crate::store::Store\"; const B: char = '\"';", 0),
        ("src/model/a.rs", "const A: &str = r#\"a\" crate::store::Store\"#;", 0),
        ("src/model/a.rs", "fn f<'a>(x: &'a crate::store::Store) {}", 1),
        ("src/http/a.rs", "use crate::forward::Rules;", 1),
        ("src/alert/a.rs", "use crate::http::Page;", 1),
        ("src/http/a.rs", "use crate::query::Plan;", 0),
        ("src/config/a.rs", "use crate::{store::Settings, http::Settings as Http};", 1),
        ("src/config/a.rs", "use crate::http::Page;", 1),
        ("src/cli/a.rs", "use crate::{daemon::run, http::Page};", 0),
        ("src/collect/a.rs", "use rusqlite::Connection;", 1),
        ("src/store/a.rs", "use rusqlite::Connection;", 0),
        ("src/wire/a.rs", "async fn f() { tokio::spawn(g()); }", 1),
        ("src/wire/a.rs", "fn f() { let _ = std::fs::read(\"a\"); }", 1),
        ("src/wire/a.rs", "use std::{fmt, net::UdpSocket};", 1),
        ("src/gadgets/a.rs", "", 1),
    ] {
        let complaints = check_imports(file, text);
        assert_eq!(complaints.len(), wrong, "{file}: {text}: {complaints:?}");
    }
}

#[test]
fn names_are_checked() {
    assert_eq!(check_name("src/model/util.rs").len(), 1);
    assert_eq!(check_name("src/helpers/mod.rs").len(), 1);
    assert_eq!(check_name("src/model/utility.rs").len(), 0);
}

#[test]
fn length_is_checked() {
    let long = "\n".repeat(LONGEST + 1);
    assert_eq!(check_length("a.rs", &long).len(), 1);
    assert_eq!(check_length("a.rs", &long[1..]).len(), 0);
    assert_eq!(
        check_length("a.rs", &format!("//! query: a flat table of functions.\n{long}")).len(),
        0
    );
}

#[test]
fn put_off_work_is_found() {
    for word in PUT_OFF {
        assert_eq!(check_put_off("a.rs", &format!("// {word}: later")).len(), 1);
    }
    for word in PUT_OFF_MACROS {
        assert_eq!(check_put_off("a.rs", &format!("    {word}!()")).len(), 1);
        assert_eq!(check_put_off("a.rs", &format!("let {word} = 1;")).len(), 0);
    }
}

#[test]
fn documents_are_checked() {
    let exists = |path: &str| ["src/lib.rs", "docs", "docs/SQL.md", "ci/test"].contains(&path);
    let missing = |text: &str| check_document("docs/A.md", text, exists).len();
    assert_eq!(
        missing("`src/lib.rs:12` and `./ci/test --all` in `docs/`, [here](SQL.md#views)"),
        0
    );
    assert_eq!(missing("`src/gone.rs`"), 1);
    assert_eq!(missing("run `bash ci/gone.sh` now"), 1);
    assert_eq!(missing("[there](GONE.md)"), 1);
    assert_eq!(
        missing("[web](https://example.org/docs/a) `/proc/stat` `tests/*.rs` src/gone.rs"),
        0
    );
}
