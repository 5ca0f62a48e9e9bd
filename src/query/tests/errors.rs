//! query: error messages for wrong expressions, with their places.

use crate::query::{parse, parse_selector};

/// The text, line and column, and the message.
const CASES: &[(&str, &str, &str)] = &[
    ("", "1:1", "no expression found in input"),
    (" # nothing\n", "1:1", "no expression found in input"),
    ("1 +", "1:4", "unexpected end of input"),
    ("\n 1 +\n", "3:1", "unexpected end of input"),
    ("up up", "1:4", "unexpected identifier \"up\""),
    ("up 1", "1:4", "unexpected number \"1\""),
    ("up 'abcdefghijkl'", "1:4", "unexpected string \"'abcdefghi\"..."),
    ("*up", "1:1", "unexpected <op:*>"),
    ("up by (a)", "1:4", "unexpected <by>"),
    (".", "1:1", "unexpected character: '.'"),
    ("up$", "1:3", "unexpected character: '$'"),
    ("1.2.3", "1:1", "bad number or duration syntax: \"1.2.\""),
    ("5mm", "1:1", "bad number or duration syntax: \"5mm\""),
    ("0xg", "1:1", "bad number or duration syntax: \"0x\""),
    ("1e", "1:1", "bad number or duration syntax: \"1e\""),
    ("1__0", "1:1", "bad number or duration syntax: \"1__\""),
    ("1e400", "1:1", "error parsing number: \"1e400\": value out of range"),
    ("up ! up", "1:4", "unexpected character after '!': ' '"),
    ("up =~ up", "1:4", "unexpected character after '=': '~'"),
    ("(1", "1:3", "unclosed left parenthesis"),
    ("1)", "1:3", "unexpected right parenthesis ')'"),
    ("up[5m", "1:6", "unclosed left bracket"),
    ("up]", "1:3", "unexpected right bracket ']'"),
    ("'abc", "1:1", "unterminated quoted string"),
    ("'a\nb'", "1:1", "unterminated quoted string"),
    ("`abc", "1:1", "unterminated raw string"),
    ("'\\y'", "1:1", "unknown escape sequence U+0079 'y'"),
    ("'\\x0g'", "1:1", "illegal character U+0067 'g' in escape sequence"),
    ("'\\400'", "1:1", "escape sequence is an invalid Unicode code point"),
    ("'\\ud800'", "1:1", "escape sequence is an invalid Unicode code point"),
    ("'\\u12", "1:1", "escape sequence not terminated"),
    // Selectors.
    ("up{", "1:4", "unexpected end of input inside braces"),
    ("up}", "1:3", "unexpected character: '}'"),
    ("up{a=1}", "1:6", "unexpected character inside braces: '1'"),
    ("up{a=b}", "1:6", "unexpected identifier \"b\" in label matching, expected string"),
    ("up{a}", "1:5", "unexpected \"}\" in label matching, expected label matching operator"),
    (
        "up{a='b' c='d'}",
        "1:10",
        "unexpected identifier \"c\" in label matching, expected \",\" or \"}\"",
    ),
    ("up{,}", "1:4", "unexpected \",\" in label matching, expected identifier or \"}\""),
    ("up{a!'b'}", "1:5", "unexpected character after '!' inside braces: '\\''"),
    ("up{a=~'('}", "1:4", "error parsing regexp: missing closing ): `(`"),
    ("up{a=~'*'}", "1:4", "error parsing regexp: missing argument to repetition operator: `*`"),
    ("{}", "1:1", "vector selector must contain at least one non-empty matcher"),
    ("{a=~'.*', b!='c'}", "1:1", "vector selector must contain at least one non-empty matcher"),
    ("up{__name__='b'}", "1:1", "metric name must not be set twice: \"up\" or \"b\""),
    ("up{'b'}", "1:1", "metric name must not be set twice: \"up\" or \"b\""),
    // Ranges, subqueries and modifiers.
    (
        "up[]",
        "1:4",
        "unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
    ),
    ("up[5m1h]", "1:4", "not a valid duration string: \"5m1h\""),
    ("up[1hs]", "1:4", "unknown unit \"hs\" in duration \"1hs\""),
    ("up[300y]", "1:4", "duration out of range"),
    ("up[0]", "1:4", "duration must be greater than 0"),
    ("up[-5m]", "1:4", "duration must be greater than 0"),
    ("up['5m']", "1:4", "unexpected character in duration expression: '\\''"),
    ("up[:5m]", "1:4", "unexpected colon before duration in duration expression"),
    (
        "up[5m 5m]",
        "1:7",
        "unexpected duration \"5m\" in subquery or range, expected \":\" or \"]\"",
    ),
    ("up[5m:1m 1]", "1:10", "unexpected number \"1\" in subquery selector, expected \"]\""),
    ("up[5m:)]", "1:8", "unexpected right parenthesis ')'"),
    ("up[5m x]", "1:7", "unexpected character: 'x', expected ':'"),
    ("up[5m / 0]", "1:7", "division by zero"),
    ("up[5m % 0s]", "1:7", "modulo by zero"),
    ("(up)[5m]", "1:5", "ranges only allowed for vector selectors"),
    ("up offset 1m [5m]", "1:14", "no offset modifiers allowed before range"),
    ("up @ 1 [5m]", "1:8", "no @ modifiers allowed before range"),
    (
        "up offset",
        "1:10",
        "unexpected end of input in offset, expected number, duration, step(), or range()",
    ),
    ("up offset 1m offset 2m", "1:1", "offset may not be set multiple times"),
    (
        "1 offset 1m",
        "1:1",
        "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    ),
    ("up @", "1:5", "unexpected end of input in @, expected timestamp"),
    ("up @ start", "1:11", "unexpected end of input in @, expected timestamp"),
    ("up @ 1 @ 2", "1:1", "@ <timestamp> may not be set multiple times"),
    (
        "sum(up) @ 1",
        "1:1",
        "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    ),
    ("up @ inf", "1:1", "timestamp out of bounds for @ modifier: +Inf"),
    ("up[5m][5m:1m]", "1:1", "subquery is only allowed on instant vector, got matrix instead"),
    ("up[5m:] anchored", "1:1", "anchored modifier is not supported for subqueries"),
    // Aggregations and functions.
    ("sum(", "1:5", "unclosed left parenthesis"),
    ("sum()", "1:1", "no arguments for aggregate expression provided"),
    (
        "sum(up, up)",
        "1:1",
        "wrong number of arguments for aggregate expression provided, expected 1, got 2",
    ),
    (
        "topk(up)",
        "1:1",
        "wrong number of arguments for aggregate expression provided, expected 2, got 1",
    ),
    ("topk(up, up)", "1:6", "expected type scalar in aggregation parameter, got instant vector"),
    ("count_values(1, up)", "1:14", "expected type string in aggregation parameter, got scalar"),
    ("sum(1)", "1:5", "expected type instant vector in aggregation expression, got scalar"),
    ("sum by a (up)", "1:8", "unexpected identifier \"a\" in grouping opts, expected \"(\""),
    ("sum by (1) (up)", "1:9", "unexpected number \"1\" in grouping opts, expected label"),
    (
        "sum by (a b) (up)",
        "1:11",
        "unexpected identifier \"b\" in grouping opts, expected \",\" or \")\"",
    ),
    ("sum by ('') (up)", "1:9", "invalid label name for grouping: \"\""),
    ("sum by (a) up", "1:12", "unexpected identifier \"up\" in aggregation"),
    ("sum(up +)", "1:9", "unexpected \")\" in aggregation"),
    ("sum (up) by (a) without (b)", "1:17", "unexpected <without>"),
    ("nosuch(up)", "1:1", "unknown function with name \"nosuch\""),
    ("1 + Rate(up[5m])", "1:5", "unknown function with name \"Rate\""),
    ("rate()", "1:1", "expected 1 argument(s) in call to \"rate\", got 0"),
    ("round()", "1:1", "expected at least 1 argument(s) in call to \"round\", got 0"),
    ("round(up, 1, 2)", "1:1", "expected at most 2 argument(s) in call to \"round\", got 3"),
    (
        "rate(up)",
        "1:6",
        "expected type range vector in call to function \"rate\", got instant vector",
    ),
    ("abs(1)", "1:5", "expected type instant vector in call to function \"abs\", got scalar"),
    (
        "label_join(up, 'a', ',', 1)",
        "1:26",
        "expected type string in call to function \"label_join\", got scalar",
    ),
    ("abs(up,)", "1:7", "trailing commas not allowed in function call args"),
    (
        "info(up, other{a='b'})",
        "1:10",
        "expected label selectors only, got vector selector instead",
    ),
    // Operators.
    (
        "-'a'",
        "1:1",
        "unary expression only allowed on expressions of type scalar or instant vector, got \"string\"",
    ),
    (
        "-up[5m]",
        "1:1",
        "unary expression only allowed on expressions of type scalar or instant vector, got \"range vector\"",
    ),
    ("up + 'a'", "1:6", "binary expression must contain only scalar and instant vector types"),
    ("up[5m] + up", "1:1", "binary expression must contain only scalar and instant vector types"),
    ("1 == 1", "1:3", "comparisons between scalars must use BOOL modifier"),
    ("up + bool up", "1:4", "bool modifier can only be used on comparison operators"),
    ("up and 1", "1:1", "set operator \"and\" not allowed in binary scalar expression"),
    ("up + on (a) 1", "1:1", "vector matching only allowed between instant vectors"),
    ("up and on (a) group_left up", "1:1", "no grouping allowed for \"and\" operation"),
    (
        "up + on (a) group_left (a) up",
        "1:4",
        "label \"a\" must not occur in ON and GROUP clause at once",
    ),
    ("up + group_left up", "1:6", "unexpected <group_left>"),
    ("up or fill(0) up", "1:1", "filling in missing series not allowed for set operators"),
    ("up + fill(0) 1", "1:1", "filling in missing series only allowed between instant vectors"),
];

#[test]
fn every_error_says_what_and_where() {
    let mut wrong = Vec::new();
    for (text, place, message) in CASES {
        let error = match parse(text) {
            Ok(expr) => {
                wrong.push(format!("{text} is taken for {expr}"));
                continue;
            }
            Err(error) => error,
        };
        let line = error.one_line(text);
        let expected = format!("{place}: parse error: {message}");
        if line != expected {
            wrong.push(format!("{text}\n  {line}\n  {expected}"));
        }
        let shown = error.shown(text);
        assert!(shown.starts_with(&line) && shown.contains('^'), "{shown}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_selector_is_nothing_else() {
    assert_eq!(parse_selector("up{a='b'}").unwrap().len(), 2);
    assert_eq!(parse_selector("{\"a.b\"}").unwrap().len(), 1);
    for text in ["", "1", "up[5m]", "up offset 5m", "(up)", "sum(up)", "up{", "{}", "{a=''}", "-up"]
    {
        assert!(parse_selector(text).is_err(), "{text}");
    }
}
