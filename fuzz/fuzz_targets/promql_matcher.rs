//! Any pattern and any value: an answer or an error, and the shortcuts answer as the list does.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::query::matcher::{MatchOp, Matcher};

fuzz_target!(|input: (&str, &str)| {
    let (pattern, value) = input;
    let Ok(matcher) = Matcher::new(MatchOp::Regex, "a", pattern) else { return };
    let fits = matcher.matches(value);
    if fits {
        assert!(value.starts_with(matcher.prefix()));
    }
    if let Some(listed) = matcher.listed() {
        assert_eq!(listed.contains(&value), fits);
    }
});
