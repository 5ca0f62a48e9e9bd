//! cli: runs a query on the daemon and parses its JSON. The daemon has the newest samples in
//! memory.

use std::path::Path;

use serde_json::Value;

use crate::daemon::control::{Request, ask};
use crate::model::Labels;
use crate::query::eval::When;

/// Longer questions do not fit into a line of the control socket.
const LONGEST: usize = 16 << 10;

/// A series of an answer; none has no labels.
#[derive(Debug)]
pub(super) struct Told {
    /// Its labels; `None`: a number or a text of its own.
    pub(super) labels: Option<Labels>,
    /// Whether the values are numbers.
    pub(super) numbers: bool,
    /// Times (ms since 1970 UTC) and values as texts.
    pub(super) points: Vec<(i64, String)>,
}

/// An answer and the remarks beside it, warnings first.
pub(super) type Answered = (Vec<Told>, Vec<String>);

/// The daemon's answer; `None` if there is no daemon, or if it refuses this question: then the file
/// answers.
pub(super) fn told(database: &Path, expression: &str, when: When) -> Option<Answered> {
    if expression.len() > LONGEST {
        return None;
    }
    let seconds = |ms: i64| {
        format!("{}{}.{:03}", if ms < 0 { "-" } else { "" }, ms.abs() / 1000, ms.abs() % 1000)
    };
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("query", expression);
    let path = match when {
        When::Instant(at) => {
            form.append_pair("time", &seconds(at));
            "/query"
        }
        When::Range { start, end, step } => {
            for (name, ms) in [("start", start), ("end", end), ("step", step)] {
                form.append_pair(name, &seconds(ms));
            }
            "/query_range"
        }
    };
    let form = form.finish();
    let request = Request::Query { path: path.to_owned(), form };
    let response = ask(database, &request).ok().filter(|r| r.ok && r.data["status"] == 200)?;
    read(&response.body)
}

fn read(body: &[u8]) -> Option<Answered> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let result = &body["data"]["result"];
    let told = match body["data"]["resultType"].as_str()? {
        kind @ ("scalar" | "string") => {
            vec![Told { labels: None, numbers: kind == "scalar", points: vec![point(result)?] }]
        }
        "vector" => each(result, |one| Some(vec![point(&one["value"])?]))?,
        "matrix" => each(result, |one| one["values"].as_array()?.iter().map(point).collect())?,
        _ => return None,
    };
    let remarks = ["warnings", "infos"].into_iter().filter_map(|key| body[key].as_array());
    let remarks = remarks.flatten().filter_map(|r| r.as_str().map(str::to_owned)).collect();
    Some((told, remarks))
}

fn each(
    result: &Value,
    points: impl Fn(&Value) -> Option<Vec<(i64, String)>>,
) -> Option<Vec<Told>> {
    let one = |one: &Value| {
        let pairs = one["metric"].as_object()?.iter();
        let pairs: Option<Vec<(&str, &str)>> =
            pairs.map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect();
        Some(Told { labels: Some(Labels::new(pairs?)), numbers: true, points: points(one)? })
    };
    result.as_array()?.iter().map(one).collect()
}

fn point(pair: &Value) -> Option<(i64, String)> {
    Some(((pair[0].as_f64()? * 1e3).round() as i64, pair[1].as_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_back() {
        let (told, remarks) = read(
            br#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"a","b":"c"},
            "values":[[1435781451.781,"1.5"],[1435781452,"+Inf"]]}]},"warnings":["w"],"infos":["i"]}"#,
        )
        .unwrap();
        assert_eq!(told[0].labels.as_ref().unwrap().get("b"), Some("c"));
        let points =
            [(1_435_781_451_781, "1.5".to_owned()), (1_435_781_452_000, "+Inf".to_owned())];
        assert_eq!(told[0].points, points);
        assert_eq!(remarks, ["w", "i"]);
        for odd in [
            "",
            "{}",
            r#"{"data":{"resultType":"vector","result":[{"metric":{"a":1},"value":[1,"1"]}]}}"#,
        ] {
            assert!(read(odd.as_bytes()).is_none(), "{odd}");
        }
    }
}
