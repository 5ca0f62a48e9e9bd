//! Maps are complete: a `mod.rs` that draws a map names each of its files there.

use super::header;

/// The modules that a line declares, without those of tests.
fn declared(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let rest = line.strip_prefix("mod ").or_else(|| line.split_once(") mod ").map(|(_, m)| m))?;
    rest.strip_suffix(';').filter(|name| !name.contains("tests"))
}

/// Complaints about the modules of a `mod.rs` that its map does not name. A drawing that names
/// less than two thirds of them shows something else.
pub fn check_map(path: &str, text: &str) -> Vec<String> {
    let header = header(text).join("\n");
    let drawn: Vec<&str> = header.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let modules: Vec<&str> = text.lines().filter_map(declared).collect();
    let on_map = |name: &&str| drawn.contains(name);
    let named = modules.iter().filter(|m| on_map(m)).count();
    if !path.ends_with("/mod.rs")
        || !header.contains("```text")
        || named < 3.max(modules.len() * 2 / 3)
    {
        return Vec::new();
    }
    let missing = modules.into_iter().filter(|name| !on_map(name));
    missing.map(|name| format!("{path}: `{name}` is not on the map")).collect()
}

#[test]
fn a_file_that_is_not_on_the_map_is_found() {
    let map =
        "//! wire: formats.\n//!\n//! ```text\n//!   csv   a\n//!   json  b\n//!   sar   c\n\n";
    let modules =
        "pub mod csv;\nmod json;\npub(in crate::wire) mod sar;\n#[cfg(test)]\nmod tests;\n";
    let check = |text: &str| check_map("src/wire/mod.rs", text);
    assert_eq!(check(&format!("{map}{modules}")), [""; 0]);
    let complaint = check(&format!("{map}{modules}mod yaml;\n"));
    assert_eq!(complaint, ["src/wire/mod.rs: `yaml` is not on the map"]);
    assert_eq!(check(&format!("//! wire: formats.\n{modules}")), [""; 0], "there is no map");
}
