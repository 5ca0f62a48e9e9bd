//! Any text ends in an expression or in an error with a place; an expression is printed to a text
//! that reads back as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::query::print::pretty;
use plimsoll::query::tree::write_tree;
use plimsoll::query::{parse, parse_selector};

fuzz_target!(|text: &str| {
    let _ = parse_selector(text);
    match parse(text) {
        Err(error) => assert!(error.shown(text).contains('^')),
        Ok(expr) => {
            let line = expr.to_string();
            let again = parse(&line).expect("what is printed reads back");
            assert_eq!(again.to_string(), line);
            assert_eq!(parse(&pretty(&expr)).expect("so do its lines").to_string(), line);
            write_tree(&mut String::new(), &expr);
        }
    }
});
