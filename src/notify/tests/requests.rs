//! notify: the requests of each channel, and that a long message fits.

use std::fmt::Write;

use super::stub::{TARGETS, send};
use crate::notify::message::example;
use crate::notify::{Occasion, Picture};

/// What varies from run to run, and headers that say nothing.
fn shown(text: &str) -> String {
    let kept = |line: &&str| {
        !["host:", "user-agent:", "connection:", "content-length:", "accept:"]
            .iter()
            .any(|name| line.starts_with(name))
    };
    text.lines().filter(kept).map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn requests_are_those_of_the_receivers_documents() {
    let message = example();
    let picture = Picture { png: b"(the picture)".to_vec(), alt: "disk / of web1".into() };
    let mut out = String::new();
    for (kind, target) in TARGETS {
        let target = &target.replace("SECRET", "tokentoken");
        let answer = r#"{"event_id":"$a","content_uri":"mxc://example.org/a"}"#;
        for picture in [None, Some(&picture)] {
            let (_, heard, _) = send(target, &message, picture, &[(200, "", answer)]);
            if picture.is_some() && heard.iter().all(|h| !h.text().contains("(the picture)")) {
                continue;
            }
            for heard in heard {
                let body = match serde_json::from_slice::<serde_json::Value>(&heard.body) {
                    Ok(json) => serde_json::to_string_pretty(&json).expect("JSON"),
                    Err(_) => heard.text().replace('\r', ""),
                };
                writeln!(out, "== {kind} {target}\n{}\n\n{body}", shown(&heard.head))
                    .expect("text");
            }
        }
    }
    // The time of the sending stands in what Alertmanager gets.
    let ends = out.rfind("\"endsAt\": \"").map(|at| at + 11).expect("it has one");
    let end = ends + out[ends..].find('"').expect("it ends");
    out.replace_range(ends..end, "(24 hours from now)");
    insta::assert_snapshot!(out);
}

#[test]
fn a_long_message_fits_and_its_first_line_is_whole() {
    let mut message = example();
    message.lines =
        (0..3_000).map(|n| format!("{n} ü \"quoted\" <b> *x* 😀 of many lines")).collect();
    let picture = Picture { png: vec![0; 100], alt: String::new() };
    for (kind, target) in TARGETS.iter().filter(|(kind, _)| *kind != "webhook") {
        let target = &target.replace("SECRET", "tokentoken");
        for picture in [None, Some(&picture)] {
            let (_, heard, _) = send(target, &message, picture, &[(200, "", "{}")]);
            let first = &heard[0];
            let decoded =
                percent_encoding::percent_decode_str(&first.line).decode_utf8_lossy().into_owned();
            let all = format!("{decoded}\n{}", first.text().replace("\\\\", ""));
            let all = form_urlencoded::parse(all.as_bytes())
                .fold(all.clone(), |all, (name, value)| format!("{all}\n{name}={value}"));
            let whole = ["disk / on web1 98 % full, 5.1 GB left, full about 16:40"];
            if *kind != "alertmanager" {
                assert!(whole.iter().all(|line| all.contains(line)), "{kind}: {all}");
                assert!(all.contains(" more lines"), "{kind}: {all}");
            }
            assert!(first.line.len() < 7_000, "{kind}: {}", first.line.len());
            let most = match *kind {
                "ntfy" => 8_000,
                "teams" => 28_000,
                "matrix" => 65_536,
                _ => 100_000,
            };
            assert!(first.body.len() < most, "{kind}: {}", first.body.len());
        }
    }
    let limits = |target: &str| send(target, &message, None, &[(200, "", "{}")]).1.remove(0).json();
    let utf16 = |text: &serde_json::Value| text.as_str().expect("text").encode_utf16().count();
    let ntfy = limits("ntfy://STUB/topic");
    assert!(ntfy["message"].as_str().expect("text").len() <= 4_096);
    let discord = limits("discord://1/tokentoken?api=http://STUB");
    assert!(
        utf16(&discord["content"]) <= 2_000 && utf16(&discord["embeds"][0]["description"]) <= 4_096
    );
    let opsgenie = limits("opsgenie://tokentoken?api=http://STUB");
    assert!(utf16(&opsgenie["message"]) <= 130 && utf16(&opsgenie["description"]) <= 15_000);
    let pagerduty = limits("pagerduty://tokentoken?api=http://STUB");
    assert!(utf16(&pagerduty["payload"]["summary"]) <= 1_024);
}

#[test]
fn a_title_that_is_too_long_stands_whole_in_the_text() {
    let mut message = example();
    message.title = format!("bad: {} end", "long ".repeat(60));
    let (_, heard, _) =
        send("opsgenie://tokentoken?api=http://STUB", &message, None, &[(202, "", "")]);
    let json = heard[0].json();
    let text = json["description"].as_str().expect("text");
    assert!(text.starts_with(&message.title), "{text}");
    message.occasion = Occasion::Over;
    let (_, heard, _) =
        send("tgram://1:tokentoken/1?api=http://STUB", &message, None, &[(200, "", "")]);
    assert_eq!(heard[0].json()["disable_notification"], true);
}
