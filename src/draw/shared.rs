//! draw: the tables here that the page shares: colours, units and ranges as a file of TypeScript,
//! and numbers in words for the page's own test. A test writes them from the tables
//! (`PLIMSOLL_WRITE=1 cargo test shared`), and compares them otherwise.

use std::fmt::Write;

use super::palette::{MEANT, Theme};
use crate::model::Unit;
use crate::model::unit::{BINARY, LARGE, SMALL, TIMES, duration};
use crate::overview::RANGES;

/// Checks that the file has this text, or writes it.
fn same(path: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("PLIMSOLL_WRITE").is_some() {
        std::fs::write(&path, text).expect("written");
    }
    let is = std::fs::read_to_string(&path).expect("reads");
    assert!(is == text, "{path:?} is not made of these tables; PLIMSOLL_WRITE=1 makes it");
}

#[test]
fn the_page_has_the_tables_that_are_here() {
    let mut out = String::from(
        "// Tables that the page shares with the terminal and with pictures. Made by the test in\n\
         // src/draw/shared.rs out of the tables in Rust: do not edit.\n\n",
    );
    let mut list = |doc: &str, name: &str, kind: &str, all: &[String]| {
        let _infallible =
            write!(out, "/** {doc} */\nexport const {name}: {kind} = [{}];\n", all.join(", "));
    };
    let text = |t: &&str| format!("{t:?}");
    for (name, all) in [("BINARY", &BINARY[..]), ("LARGE", &LARGE), ("SMALL", &SMALL)] {
        let doc = match name {
            "BINARY" => "Sizes in bytes, each 1024 times the one before.",
            "LARGE" => "Prefixes of counts, each a thousand times the one before.",
            _ => "Prefixes of seconds below one, each a thousandth of the one before.",
        };
        list(doc, name, "string[]", &all.iter().map(text).collect::<Vec<_>>());
    }
    let times = TIMES.map(|(word, seconds)| format!("[{word:?}, {seconds}]"));
    list("Times above a minute, in seconds.", "TIMES", "[string, number][]", &times);
    let ranges = RANGES.map(|r| format!("[{:?}, {}, {:?}]", r.name, r.ms, r.long));
    list(
        "How long a time charts show, ms; 0 is everything.",
        "RANGES",
        "[string, number, string][]",
        &ranges,
    );
    for (name, theme) in [("LIGHT", Theme::Light), ("DARK", Theme::Dark)] {
        let colours = theme.colours().map(|c| format!("{c:?}"));
        list("Colours of lines.", name, "string[]", &colours);
    }
    let meant: Vec<String> = MEANT.iter().map(|(name, at)| format!("{name}: {at}")).collect();
    let _infallible = write!(
        out,
        "/** What always has the same meaning has the same colour. */\n\
         export const MEANT: Record<string, number> = {{ {} }};\n",
        meant.join(", ")
    );
    same("dashboard/src/shared.ts", &out);
}

#[test]
fn the_page_writes_numbers_as_they_are_written_here() {
    let words =
        ["", "/s", "bytes", "bytes/s", "percent", "ratio", "seconds", "celsius", "volts", "bits/s"];
    let values = [
        0.0,
        1.0,
        -1.0,
        3.0,
        12.0,
        99.96,
        100.0,
        999.6,
        999.96,
        1_000.0,
        1_023.9,
        1_024.0,
        1_536.0,
        -12.5,
        0.5,
        0.25,
        0.0625,
        0.0032,
        0.000_412,
        2.5e-5,
        1.5e-9,
        59.9,
        119.0,
        120.0,
        5_400.0,
        86_400.0,
        34_560_000.0,
        123_456.0,
        1_234_567.0,
        1_073_741_824.0,
        5e12,
        1e300,
        1e-300,
    ];
    let mut out = String::from("{\"numbers\":[\n");
    for word in words {
        for value in values {
            let said = Unit::of_word(word).format(value);
            let _infallible = writeln!(out, "[{value:?},{word:?},{said:?}],");
        }
    }
    out.truncate(out.len() - 2);
    out.push_str("\n],\"durations\":[\n");
    for ms in [0, 999, 5_000, 59_999, 60_000, 3_599_000, 3_600_000, 5_400_000, 90_061_000] {
        let _infallible = writeln!(out, "[{ms},{:?}],", duration(ms));
    }
    out.truncate(out.len() - 2);
    out.push_str("\n]}\n");
    same("dashboard/test/numbers.json", &out);
}
