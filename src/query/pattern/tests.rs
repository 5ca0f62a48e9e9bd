//! query: patterns against what Go says of them, and against the engine.

use super::*;
use proptest::prelude::*;

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn lists_and_shapes_need_no_engine() {
    for (text, listed) in [
        ("", vec![""]),
        ("a", vec!["a"]),
        ("a|b|", vec!["", "a", "b"]),
        ("(?:a|b)c", vec!["ac", "bc"]),
        ("(a(b|c)|d)e", vec!["abe", "ace", "de"]),
        ("cpu[0-2]", vec!["cpu0", "cpu1", "cpu2"]),
        ("a\\.b\\|c", vec!["a.b|c"]),
        ("\\Qa.b*\\E", vec!["a.b*"]),
        ("a{b", vec!["a{b"]),
        ("é|ß", vec!["ß", "é"]),
    ] {
        let pattern = pattern(text);
        let found: Vec<&str> = pattern.texts().unwrap_or(&[]).iter().map(|t| &**t).collect();
        assert_eq!(found, listed, "{text}");
    }
    for text in [".*", ".+", "a.*", ".*a", "a.*b.+c", "(a|b).*", "node_.*_total|up", ".*.+"] {
        assert!(matches!(pattern(text), Pattern::Shapes(_)), "{text}");
    }
    for (text, prefix) in [
        ("a.", "a"),
        ("ab*", "a"),
        ("abc[^d]", "abc"),
        ("(?i:a)", ""),
        ("ab(c|d.)", "ab"),
        (".+.+", ""),
        ("a(b|c)*", "a"),
    ] {
        let pattern = pattern(text);
        assert!(matches!(pattern, Pattern::Engine(..)), "{text}");
        assert_eq!(pattern.prefix(), prefix, "{text}");
    }
}

/// Patterns of 32 kB took seconds in a release build: each character copied what was there.
#[test]
fn a_long_pattern_is_read_once() {
    for (piece, shapes) in [("x.*y", true), ("x.+é", true), ("abcd", false), ("(a)(b)", false)] {
        let text = piece.repeat(20_000 / piece.len());
        for _ in 0..20 {
            assert_eq!(matches!(pattern(&text), Pattern::Shapes(_)), shapes, "{piece}");
        }
    }
    let text = format!("{}[^b]{}", "a".repeat(3_000), "a".repeat(3_000));
    assert_eq!(pattern(&text).prefix().len(), 3_000);
}

#[test]
fn patterns_mean_what_they_mean_in_go() {
    for (text, fitting, others) in [
        ("a.c", vec!["abc", "a\nc", "aéc"], vec!["ac", "abcd", "xabc"]),
        ("a|bc", vec!["a", "bc"], vec!["ac", "abc", ""]),
        ("\\d+", vec!["12"], vec!["٣", ""]),
        ("\\w", vec!["a", "_"], vec!["é"]),
        ("[\\w.]+", vec!["a.b"], vec!["a-b"]),
        ("[^\\d]", vec!["a"], vec!["1"]),
        ("\\bab\\b", vec!["ab"], vec!["abc"]),
        ("[a&&b]+", vec!["a&b"], vec!["ac"]),
        ("[[]", vec!["["], vec!["]"]),
        ("[]a]+", vec!["]a"], vec!["b"]),
        ("[a-]+", vec!["a-"], vec!["b"]),
        ("[[:digit:]x]+", vec!["1x"], vec!["a"]),
        // The colon that begins a name does not end it; a fuzzer found it.
        ("[[:]+", vec!["[:"], vec!["]", "a"]),
        ("a{2}", vec!["aa"], vec!["a", "aaa"]),
        ("a{,2}", vec!["a{,2}"], vec!["a"]),
        ("x{", vec!["x{"], vec!["x"]),
        ("(?i)AB", vec!["ab", "Ab"], vec!["b"]),
        ("(?i:a)b", vec!["Ab"], vec!["aB"]),
        ("(?P<n>a)(?<m>b)", vec!["ab"], vec!["a"]),
        ("\\x41\\x{42}\\103", vec!["ABC"], vec![""]),
        ("\\pL+", vec!["éa"], vec!["1"]),
        ("^a$", vec!["a"], vec!["a\n"]),
        ("\\Qa.\\E+", vec!["a..", "a."], vec!["aa."]),
        ("a\\/b\\-c\\<", vec!["a/b-c<"], vec!["ab"]),
        (".+a.+", vec!["bab", "xaay", "éaé"], vec!["a", "ab", "ba"]),
        ("a.*a", vec!["aa", "aba"], vec!["a"]),
        ("a.+b.*c|d", vec!["axbc", "abbbc", "d"], vec!["abc", "abdc "]),
    ] {
        let pattern = pattern(text);
        for value in fitting {
            assert!(pattern.matches(value), "{text} fits {value:?}");
        }
        for value in others {
            assert!(!pattern.matches(value), "{text} does not fit {value:?}");
        }
    }
}

#[test]
fn what_is_no_pattern_says_why() {
    for (text, why) in [
        ("(a", "missing closing ): `(a`"),
        ("x(?i:a", "missing closing ): `x(?i:a`"),
        ("a)b", "unexpected ): `a)b`"),
        ("x[ab", "missing closing ]: `[ab`"),
        ("[a-", "missing closing ]: `[a-`"),
        ("a|*", "missing argument to repetition operator: `*`"),
        ("a|{2,3}b", "missing argument to repetition operator: `{2,3}`"),
        ("xa**b", "invalid nested repetition operator: `**`"),
        ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
        ("a{1001}b", "invalid repeat count: `{1001}`"),
        ("a{2,1}", "invalid repeat count: `{2,1}`"),
        ("a\\", "trailing backslash at end of expression: ``"),
        ("x\\1", "invalid escape sequence: `\\1`"),
        ("\\y", "invalid escape sequence: `\\y`"),
        ("\\<a\\y", "invalid escape sequence: `\\y`"),
        ("[xb-az]", "invalid character class range: `b-a`"),
        ("[[:wat:]]", "invalid character class range: `[:wat:]`"),
        ("[[:]a:]", "invalid character class range: `[:]a:]`"),
        ("a(?ix)b", "invalid or unsupported Perl syntax: `(?ix`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?P<a", "invalid named capture: `(?P<a`"),
        ("(?P<a b>c)", "invalid named capture: `(?P<a b>`"),
        ("((a{900}){900}){900}", "bytes of memory: `((a{900}){900}){900}`"),
    ] {
        let error = Pattern::new(text).unwrap_err();
        assert!(error.starts_with("error parsing regexp: "), "{error}");
        assert!(error.ends_with(why), "{text}: {error}");
    }
    let long = Pattern::new(&format!("({}", "a".repeat(1_000))).unwrap_err();
    assert!(long.ends_with("a…`") && long.len() < 300, "{long}");
    assert!(pattern("[[:a]+").matches("[:a"), "no class is named: a bracket like others");
    let deep = format!("{}{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(Pattern::new(&deep).is_err());
    assert!(Pattern::new(&"(".repeat(60)).unwrap_err().contains("nested"));
    let wide = "(a|b)".repeat(40);
    assert!(pattern(&wide).matches(&"ab".repeat(20)), "too many texts are left to the engine");
}

proptest! {
    /// With and without the engine the answer is the same.
    #[test]
    fn shortcuts_answer_as_the_engine_does(
        text in "([ab.]|\\.\\*|\\.\\+|\\(a\\|b\\)|\\[ab\\]|\\||\\(\\.\\*a\\)){0,6}",
        value in "[ab\n]{0,6}",
    ) {
        let engine = Regex::new(&format!("^(?s:{text})$")).unwrap();
        prop_assert_eq!(
            pattern(&text).matches(&value), engine.is_match(value.as_bytes()), "{}", text
        );
    }

    #[test]
    fn anything_ends_in_a_pattern_or_an_error(text in "\\PC{0,20}|[a\\\\(){}|\\[\\]*+?^$:0-9,-]{0,20}") {
        if let Ok(pattern) = Pattern::new(&text) {
            pattern.matches("aaa");
        }
    }
}
