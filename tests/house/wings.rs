//! A room with wings: one may use those above it in the map of the room's `mod.rs`.

use std::collections::BTreeMap;

use super::circles::{Files, absolute, file_of, module, without_tests};
use super::{code, header, paths};

/// The rooms that have wings.
pub const WINGED: &[&str] = &["store"];

/// The wings of a room, in the order of the map: folders that `mod.rs` declares and draws.
fn wings<'a>(room: &str, texts: &'a [(String, String)]) -> Vec<&'a str> {
    let map = texts.iter().find(|(path, _)| *path == format!("src/{room}/mod.rs"));
    let drawn = map.iter().flat_map(|(_, text)| header(text));
    let first = drawn.filter_map(|line| line.trim_start().split_once("  ")).map(|(name, _)| name);
    let folder = |name: &&str| texts.iter().any(|(p, _)| *p == format!("src/{room}/{name}/mod.rs"));
    first.filter(folder).collect()
}

/// Complaints about a wing that uses one below it, or that is not on the map.
pub fn check_wings(room: &str, texts: &[(String, String)]) -> Vec<String> {
    let order = wings(room, texts);
    let inside = |m: &[String]| m.first().is_some_and(|r| r == room) && m.len() > 1;
    let codes: Vec<(Vec<String>, String)> = texts
        .iter()
        .map(|(path, text)| (module(path), code(without_tests(text))))
        .filter(|(m, _)| m.first().is_some_and(|r| r == room) && !m.contains(&"tests".to_owned()))
        .collect();
    let files: Files<'_> = codes.iter().map(|(m, code)| (m.clone(), paths(code))).collect();
    let place = |wing: &str| order.iter().position(|w| *w == wing);
    let mut out = Vec::new();
    for (from, written) in files.iter().filter(|(m, _)| inside(m)) {
        let Some(own) = place(&from[1]) else {
            out.push(format!("{}: `{}` is not on the map of {room}", from.join("/"), from[1]));
            continue;
        };
        for path in written {
            let to = absolute(&files, from, path).and_then(|path| file_of(&files, &path, 9));
            let below = to.filter(|to| inside(to) && place(&to[1]).is_some_and(|to| to > own));
            if let Some(to) = below {
                out.push(format!("{}: uses {}, which lies below it", from.join("/"), to.join("/")));
            }
        }
    }
    let unique: BTreeMap<String, ()> = out.into_iter().map(|line| (line, ())).collect();
    unique.into_keys().collect()
}

#[test]
fn a_wing_that_uses_one_below_it_is_found() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let map = "//! store: the map.\n//!   low   a\n//!   high  b\nmod low; mod high; mod odd;
               pub use high::thing::Thing;";
    let planted = [
        file("src/store/mod.rs", map),
        file("src/store/low/mod.rs", "mod a;"),
        file("src/store/low/a.rs", "use crate::store::Thing;"),
        file("src/store/high/mod.rs", "pub mod thing;"),
        file("src/store/high/thing.rs", "use crate::store::low::a; pub struct Thing;"),
        file("src/store/odd.rs", "fn odd() {}"),
    ];
    let wrong = [
        "store/low/a: uses store/high/thing, which lies below it",
        "store/odd: `odd` is not on the map of store",
    ];
    assert_eq!(check_wings("store", &planted), wrong);
}
