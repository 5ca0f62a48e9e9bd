//! The rule of the house on words: a comment stands alone, and begins with its subject.

/// Openings of doc comments that send the reader elsewhere, or hide the subject.
const OPENINGS: &[(&str, &str)] = &[
    ("The same", "say what it does: code moves, and the item above will be another one"),
    ("So much", "name the bound: `At most this many bytes …`"),
    ("So many", "name the bound: `The number of …`"),
    ("Whoever", "name the caller, the reader or the sender"),
];

/// Words that are out of use wherever they stand in a comment.
const WORDS: &[(&str, &str)] =
    &[("whoever", "name the caller, the reader or the sender"), ("anew", "`again` says it")];

/// The text of a line's comment, and whether it is a doc comment.
fn comment(line: &str) -> Option<(&str, bool)> {
    let line = line.trim_start();
    let docs = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
    let text = docs.or_else(|| line.strip_prefix("//"))?;
    Some((text.trim_start(), docs.is_some()))
}

/// The complaints about the comments of a source file.
pub fn check_words(path: &str, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut before = false;
    for (number, line) in text.lines().enumerate() {
        let place = format!("{path}:{}", number + 1);
        let Some((said, docs)) = comment(line) else {
            before = false;
            continue;
        };
        if number == 0 && said.split_once(": ").is_some_and(|(_, rest)| rest.starts_with("what ")) {
            out.push(format!("{place}: a file's first line names its subject, not `what …`"));
        }
        for (opening, instead) in OPENINGS.iter().filter(|_| docs && !before) {
            if said.starts_with(opening) {
                out.push(format!("{place}: `{opening} …`: {instead}"));
            }
        }
        let words = said.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
        for word in words {
            if let Some((word, instead)) = WORDS.iter().find(|(known, _)| *known == word) {
                out.push(format!("{place}: `{word}`: {instead}"));
            }
        }
        before = !said.is_empty();
    }
    out
}

#[test]
fn words_are_checked() {
    for (text, wrong) in [
        ("//! model: the registry of series.\n", 0),
        ("//! model: what a series is.\n", 1),
        ("/// The same for many.\nfn f() {}\n", 1),
        ("/// Reads several series.\n/// The same series may come twice.\nfn f() {}\n", 0),
        ("/// So many bytes are kept.\n", 1),
        ("    /// Whoever asks waits.\n", 2),
        ("    // A comment for whoever reads it.\n", 1),
        ("/// Computes it anew.\n", 1),
        ("/// A renewed lease.\n", 0),
        ("const A: &str = \"whoever\";\n", 0),
    ] {
        let complaints = check_words("src/model/a.rs", text);
        assert_eq!(complaints.len(), wrong, "{text}: {complaints:?}");
    }
}
