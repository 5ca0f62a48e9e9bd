//! What is no question to Prometheus' API is `bad_data`, as there, and whatever is refused below
//! `/api/v1` comes in the envelope of its errors.

use serde_json::Value;

use super::{form, send};
use crate::support::*;

fn error(answer: &Answer) -> (u16, String, String) {
    let body: Value =
        serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {answer:?}"));
    assert_eq!(body["status"], "error", "{answer:?}");
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (answer.status, text("errorType"), text("error"))
}

#[test]
fn what_is_no_question_is_bad_data() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let range = "query_range?start=0&end=10&step=5&query=";
    for (path, told) in [
        (&*format!("{range}up%5B5m%5D"), "invalid parameter \"query\": invalid expression type"),
        (&*format!("{range}%22a%22"), "invalid expression type \"string\" for range query"),
        ("query?query=up%5B5m-5m%5D", "duration must be greater than 0"),
        ("query?query=up%5B1m%2F(1-1)%5D", "division by zero"),
        ("query?query=up%7Ba%3D~%22(%22%7D", "missing closing ): `(`"),
        ("query?query=up&lookback_delta=x", "lookback_delta"),
        ("query_exemplars?query=up&start=10&end=0", "end timestamp must not be before start"),
        ("query_exemplars?query=up&start=x", "invalid parameter \"start\""),
        ("label/%FF/values", "invalid label name"),
        ("metadata?limit=x", "limit must be a number"),
        ("targets/metadata?match_target=(", "invalid parameter \"match_target\""),
        ("rules?type=x", "invalid parameter \"type\": not supported value \"x\""),
        ("rules?match[]=(", "invalid parameter \"match[]\""),
        ("rules?exclude_alerts=x", "invalid parameter \"exclude_alerts\""),
        ("rules?group_limit=0", "invalid parameter \"group_limit\""),
        ("rules?group_next_token=x", "group_limit needs to be present"),
        ("status/tsdb?limit=0", "limit must be a positive number"),
        ("status/tsdb?limit=10001", "limit must not exceed 10000"),
    ] {
        let (status, kind, what) =
            error(&send(&daemon, "GET", &format!("/api/v1/{path}"), &[], ""));
        assert_eq!((status, &*kind), (400, "bad_data"), "{path}: {what}");
        assert!(what.contains(told), "{path}: {what}");
    }
    // And what is one there, is one here.
    for path in [
        "query?query=1&lookback_delta=0",
        "query?query=1&lookback_delta=-5",
        "metadata?limit=-1&limit_per_metric=-1",
        "targets/metadata?limit=-1&match_target=%7Bjob%3D%22node%22%7D",
        "targets?state=x",
        "rules?type=alert&exclude_alerts=true&group_limit=5",
        "status/tsdb?limit=10000",
    ] {
        let answer = send(&daemon, "GET", &format!("/api/v1/{path}"), &[], "");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    let none =
        send(&daemon, "GET", "/api/v1/targets/metadata?match_target=%7Bjob%3D%22x%22%7D", &[], "");
    assert!(none.body.contains(r#""data":[]"#), "{none:?}");
    daemon.stop();
}

#[test]
fn too_much_of_a_question_is_refused_in_the_envelope_too() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let (status, kind, what) =
        error(&form(&daemon, "/api/v1/query", &format!("query={}", "a".repeat(1 << 20))));
    assert_eq!((status, &*kind), (413, "bad_data"));
    assert!(what.contains("larger than 1024 KiB"), "{what}");
    let long = format!("/api/v1/query?query={}", "a".repeat(20_000));
    let (status, kind, what) = error(&send(&daemon, "GET", &long, &[], ""));
    assert_eq!((status, &*kind), (431, "bad_data"));
    assert!(what.contains("by POST"), "{what}");
    daemon.stop();
}
