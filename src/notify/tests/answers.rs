//! notify: the answers of each receiver, and their effect on the message.

use std::time::Duration;

use super::stub::{TARGETS, send};
use crate::model::{Clock, SystemClock};
use crate::notify::message::example;
use crate::notify::{ChannelSettings, Message, Occasion, Outcome, Picture, channel_of};

/// `sent`, `wait SECONDS`, `retry` or `refused`, with what is said.
fn told(outcome: Outcome) -> (String, String) {
    match outcome {
        Outcome::Sent { said } => ("sent".into(), said),
        Outcome::Retry { said, after: None } => ("retry".into(), said),
        Outcome::Retry { said, after: Some(after) } => {
            (format!("wait {}", after.as_secs_f64()), said)
        }
        Outcome::Refused { said } => ("refused".into(), said),
    }
}

fn picture() -> Picture {
    Picture { png: b"\x89PNG\r\n".to_vec(), alt: "disk / of web1".into() }
}

const NTFY: &str = "ntfy://STUB/topic";
const HOOK: &str = "http://STUB/hook";
const TELEGRAM: &str = "tgram://110201543:AAHdqTcvCH1vGWJxf/-100123?api=http://STUB";
const DISCORD: &str = "discord://123/tokentoken?api=http://STUB";
const SLACK: &str = "slack://T0/B0/tokentoken?api=http://STUB";
const BOT: &str = "slack://xoxb-1-tokentoken/ops?api=http://STUB";
const GOTIFY: &str = "gotify://STUB/tokentoken";
const MATRIX: &str = "matrix://tokentoken@STUB/!room:example.org";
const MATTERMOST: &str = "mmost://STUB/tokentoken";
const ROCKET: &str = "rocket://user:tokentoken@STUB/#ops";
const PUSHOVER: &str = "pover://useruser@tokentoken?api=http://STUB";
const TEAMS: &str = "msteams:http://STUB/workflows/0a/triggers/manual/paths/invoke?sig=tokentoken";
const PAGERDUTY: &str = "pagerduty://tokentoken?api=http://STUB";
const OPSGENIE: &str = "opsgenie://tokentoken?api=http://STUB";
const CHECK: &str = "hc:http://STUB/ping/tokentoken";
const ALERTMANAGER: &str = "alertmanager+http://STUB";

#[test]
fn every_answer_means_something() {
    let mut wrong = Vec::new();
    for (target, status, headers, text, wanted, said) in [
        (
            NTFY,
            200,
            "",
            r#"{"id":"xE73Iyuabi","time":1735,"message":"…"}"#,
            "sent",
            "200 id xE73Iyuabi",
        ),
        (
            NTFY,
            429,
            "",
            r#"{"code":42901,"http":429,"error":"limit reached: too many requests"}"#,
            "retry",
            "limit reached",
        ),
        (
            NTFY,
            429,
            "",
            r#"{"code":42908,"http":429,"error":"limit reached: daily message quota"}"#,
            "wait 3600",
            "quota",
        ),
        (
            NTFY,
            401,
            "",
            r#"{"code":40101,"http":401,"error":"unauthorized"}"#,
            "refused",
            "check the token",
        ),
        (NTFY, 403, "", r#"{"code":40301,"http":403,"error":"forbidden"}"#, "refused", "forbidden"),
        (NTFY, 413, "", r#"{"code":41301,"http":413,"error":"too large"}"#, "refused", "too large"),
        (
            NTFY,
            507,
            "",
            r#"{"code":50701,"http":507,"error":"cannot publish"}"#,
            "refused",
            "cannot publish",
        ),
        (HOOK, 200, "", "", "sent", "200"),
        (HOOK, 202, "", "queued\n", "sent", "202 queued"),
        (HOOK, 408, "", "", "retry", "408"),
        (HOOK, 425, "", "", "retry", "425"),
        (HOOK, 429, "Retry-After: 17", "", "wait 17", "429"),
        (
            HOOK,
            503,
            "Date: Wed, 21 Oct 2026 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2026 07:29:30 GMT",
            "",
            "wait 90",
            "503",
        ),
        (HOOK, 500, "", "<html>no", "retry", "500"),
        (HOOK, 400, "", "bad", "refused", "400 bad; check the target"),
        (
            HOOK,
            301,
            "Location: https://example.org/",
            "",
            "refused",
            "it has moved: write https://example.org/",
        ),
        (TELEGRAM, 200, "", r#"{"ok":true,"result":{"message_id":17}}"#, "sent", "200 message 17"),
        (
            TELEGRAM,
            429,
            "",
            r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 35","parameters":{"retry_after":35}}"#,
            "wait 35",
            "Too Many",
        ),
        (
            TELEGRAM,
            403,
            "",
            r#"{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}"#,
            "refused",
            "403 Forbidden: bot was blocked by the user; the chat does not want the bot",
        ),
        (
            TELEGRAM,
            400,
            "",
            r#"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"#,
            "refused",
            "write to the bot first",
        ),
        (
            TELEGRAM,
            401,
            "",
            r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#,
            "refused",
            "not one of a bot",
        ),
        (TELEGRAM, 502, "", "<html>", "retry", "502"),
        (DISCORD, 200, "", r#"{"id":"1234"}"#, "sent", "200 message 1234"),
        (DISCORD, 204, "", "", "sent", "204"),
        (
            DISCORD,
            429,
            "X-RateLimit-Reset-After: 1.25\r\nX-RateLimit-Remaining: 0",
            r#"{"message":"You are being rate limited.","retry_after":0.75,"global":false}"#,
            "wait 1.25",
            "rate limited",
        ),
        (
            DISCORD,
            404,
            "",
            r#"{"message":"Unknown Webhook","code":10015}"#,
            "refused",
            "Unknown Webhook",
        ),
        (
            DISCORD,
            401,
            "",
            r#"{"message":"Invalid Webhook Token","code":50027}"#,
            "refused",
            "Invalid",
        ),
        (SLACK, 200, "", "ok", "sent", "200 ok"),
        (
            SLACK,
            429,
            "Retry-After: 30",
            r#"{"retry_after":1,"ok":false,"error":"rate_limited"}"#,
            "wait 30",
            "rate_limited",
        ),
        (SLACK, 429, "", r#"{"retry_after":1}"#, "wait 1", "429"),
        (SLACK, 400, "", "invalid_token", "refused", "invalid_token"),
        (SLACK, 403, "", "action_prohibited", "refused", "action_prohibited"),
        (SLACK, 404, "", "no_service", "refused", "no_service"),
        (SLACK, 410, "", "channel_is_archived", "refused", "channel_is_archived"),
        (SLACK, 500, "", "rollup_error", "retry", "rollup_error"),
        (BOT, 200, "", r#"{"ok":true,"ts":"1"}"#, "sent", "200 ok"),
        (
            BOT,
            200,
            "",
            r#"{"ok":false,"error":"not_in_channel"}"#,
            "refused",
            "200 not_in_channel; check the token",
        ),
        (
            BOT,
            200,
            "Retry-After: 3",
            r#"{"ok":false,"error":"ratelimited"}"#,
            "wait 3",
            "ratelimited",
        ),
        (GOTIFY, 200, "", r#"{"id":25,"appid":5}"#, "sent", "200"),
        (GOTIFY, 401, "", r#"{"error":"Unauthorized","errorCode":401}"#, "refused", "Unauthorized"),
        (MATRIX, 200, "", r#"{"event_id":"$abc"}"#, "sent", "200 $abc"),
        (
            MATRIX,
            429,
            "Retry-After: 2",
            r#"{"errcode":"M_LIMIT_EXCEEDED","error":"Too Many Requests","retry_after_ms":2500}"#,
            "wait 2.5",
            "M_LIMIT_EXCEEDED",
        ),
        (
            MATRIX,
            401,
            "",
            r#"{"errcode":"M_UNKNOWN_TOKEN","error":"Invalid access token passed."}"#,
            "refused",
            "401 M_UNKNOWN_TOKEN Invalid access token passed.; make a new token",
        ),
        (
            MATRIX,
            403,
            "",
            r#"{"errcode":"M_FORBIDDEN","error":"User not in room"}"#,
            "refused",
            "invite the user",
        ),
        (MATTERMOST, 200, "", "ok", "sent", "200 ok"),
        (
            MATTERMOST,
            400,
            "",
            r#"{"id":"web.incoming_webhook.invalid.app_error"}"#,
            "refused",
            "invalid",
        ),
        (MATTERMOST, 500, "", "", "retry", "500"),
        (ROCKET, 200, "", r#"{"success":true}"#, "sent", "200 success"),
        (
            ROCKET,
            200,
            "",
            r#"{"success":false,"error":"[invalid-channel]"}"#,
            "refused",
            "[invalid-channel]",
        ),
        (
            ROCKET,
            401,
            "",
            r#"{"status":"error","message":"You must be logged in to do this."}"#,
            "refused",
            "logged in",
        ),
        (
            ROCKET,
            429,
            "",
            r#"{"success":false,"error":"Error, too many requests."}"#,
            "retry",
            "too many",
        ),
        (PUSHOVER, 200, "", r#"{"status":1,"request":"647d"}"#, "sent", "200"),
        (
            PUSHOVER,
            400,
            "",
            r#"{"user":"invalid","errors":["user identifier is invalid"],"status":0}"#,
            "refused",
            "user identifier is invalid",
        ),
        (PUSHOVER, 500, "", "", "wait 5", "500"),
        (
            PUSHOVER,
            429,
            "Retry-After: 60",
            r#"{"errors":["application has exceeded its limit"],"status":0}"#,
            "wait 60",
            "limit",
        ),
        (TEAMS, 202, "", "", "sent", "202"),
        (TEAMS, 429, "Retry-After: 9", "", "wait 9", "429"),
        (
            TEAMS,
            200,
            "",
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId",
            "retry",
            "HTTP error 429",
        ),
        (
            TEAMS,
            200,
            "",
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 403",
            "refused",
            "HTTP error 403",
        ),
        (TEAMS, 400, "", r#"{"error":{"code":"TriggerInputSchemaMismatch"}}"#, "refused", "Schema"),
        (
            PAGERDUTY,
            202,
            "",
            r#"{"status":"success","message":"Event processed","dedup_key":"x"}"#,
            "sent",
            "Event processed",
        ),
        (
            PAGERDUTY,
            400,
            "",
            r#"{"status":"invalid event","errors":["'routing_key' is invalid"]}"#,
            "refused",
            "routing_key",
        ),
        (PAGERDUTY, 429, "", "", "wait 120", "429"),
        (PAGERDUTY, 503, "Retry-After: 10", "", "wait 10", "503"),
        (OPSGENIE, 202, "", r#"{"result":"Request will be processed"}"#, "sent", "processed"),
        (OPSGENIE, 429, "Retry-After: 4", "", "wait 4", "429"),
        (
            OPSGENIE,
            422,
            "",
            r#"{"message":"Request body is not processable."}"#,
            "refused",
            "processable",
        ),
        (CHECK, 200, "", "OK", "sent", "200 OK"),
        (
            CHECK,
            404,
            "",
            "not found",
            "refused",
            "404 not found; nothing takes messages at this address",
        ),
        (CHECK, 409, "", "ambiguous slug", "refused", "ambiguous slug"),
        (CHECK, 503, "", "", "retry", "503"),
        (ALERTMANAGER, 200, "", "", "sent", "200"),
        (ALERTMANAGER, 400, "", r#""at least one label pair required""#, "refused", "label pair"),
        (ALERTMANAGER, 503, "", "", "retry", "503"),
    ] {
        let (outcome, ..) = send(target, &example(), None, &[(status, headers, text)]);
        let (came, words) = told(outcome);
        if came != wanted || !words.contains(said) {
            wrong.push(format!("{target} {status} {text}: {came}: {words}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What every channel has in common, whatever its receiver says in words.
#[test]
fn every_channel_tries_again_what_passes_and_names_the_cure_of_what_stays() {
    let mut wrong = Vec::new();
    for (kind, target) in TARGETS {
        let target = &target.replace("SECRET", "tokentoken");
        let answer = |status, headers| {
            let (outcome, heard, _) = send(target, &example(), None, &[(status, headers, "words")]);
            (told(outcome), heard.len())
        };
        for status in [408, 425, 429, 500, 502, 503, 504] {
            let ((came, said), _) = answer(status, "");
            if came != "retry" && !came.starts_with("wait") || !said.contains(&status.to_string()) {
                wrong.push(format!("{kind} {status}: {came}: {said}"));
            }
        }
        for status in [429, 503] {
            let ((came, said), asked) = answer(status, "Retry-After: 77");
            if came != "wait 77" || asked != 1 {
                wrong.push(format!("{kind} {status}: {came}: {said}, asked {asked} times"));
            }
        }
        for status in [400, 401, 403, 404, 410, 413] {
            let ((came, said), _) = answer(status, "");
            // The receiver's own words, and behind them what to do.
            let cure = said.split_once("; ").is_some_and(|(_, cure)| cure.len() > 10);
            if came != "refused" || !said.contains(&status.to_string()) || !cure {
                wrong.push(format!("{kind} {status}: {came}: {said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Nobody listens at this port: the machine may be down, and comes back.
#[test]
fn a_receiver_that_is_not_there_is_tried_again() {
    for (kind, target) in TARGETS {
        let settings = std::sync::Arc::new(ChannelSettings::of_environment("web1"));
        let target = target.replace("SECRET", "tokentoken").replace("STUB", "127.0.0.1:9");
        let channel = channel_of(&target, &settings).unwrap_or_else(|e| panic!("{kind}: {e}"));
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        let (came, said) = told(channel.send(&example(), None, deadline));
        assert_eq!(came, "retry", "{kind}: {said}");
        assert!(said.contains("refused") && !said.contains("tokentoken"), "{kind}: {said}");
    }
}

#[test]
fn a_quota_of_the_month_is_waited_for() {
    let reset = SystemClock.wall_ms() / 1_000 + 5_000;
    let header = format!("X-Limit-App-Reset: {reset}");
    let (outcome, ..) = send(PUSHOVER, &example(), None, &[(429, &header, "")]);
    let Outcome::Retry { after: Some(after), .. } = outcome else { panic!("{outcome:?}") };
    assert!(after > Duration::from_secs(4_900) && after <= Duration::from_secs(5_000), "{after:?}");
}

#[test]
fn without_the_picture_it_arrives_where_the_picture_is_not_wanted() {
    for (target, status, text) in [
        (NTFY, 413, r#"{"code":41301,"http":413,"error":"too large"}"#),
        (NTFY, 429, r#"{"code":42905,"http":429,"error":"bandwidth of attachments"}"#),
        (TELEGRAM, 400, r#"{"ok":false,"description":"PHOTO_INVALID_DIMENSIONS"}"#),
        (DISCORD, 413, ""),
        (PUSHOVER, 400, ""),
    ] {
        let answers = [(status, "", text), (200, "", "fine")];
        let (outcome, heard, _) = send(target, &example(), Some(&picture()), &answers);
        let (came, said) = told(outcome);
        assert_eq!(came, "sent", "{target}: {said}");
        assert!(said.contains("; without the picture: "), "{target}: {said}");
        assert_eq!(heard.len(), 2, "{target}");
        assert!(!heard[1].text().contains("PNG"), "{target}");
    }
    // The wait of a receiver that is only busy is not tried again.
    let (outcome, heard, _) = send(DISCORD, &example(), Some(&picture()), &[(503, "", "")]);
    assert_eq!((told(outcome).0.as_str(), heard.len()), ("retry", 1));
}

#[test]
fn the_text_comes_once_where_the_picture_is_a_second_message() {
    let mut message = example();
    message.lines = vec!["a line of text".into(); 200];
    let sent = r#"{"ok":true,"result":{"message_id":1}}"#;
    let answers = [(200, "", sent), (500, "", "")];
    let (outcome, heard, _) = send(TELEGRAM, &message, Some(&picture()), &answers);
    assert_eq!(told(outcome), ("sent".into(), "200 message 1; without the picture: 500".into()));
    assert_eq!(heard.len(), 2);
    assert!(heard[0].line.ends_with("/sendMessage") && heard[1].line.ends_with("/sendPhoto"));
    let event = r#"{"event_id":"$a"}"#;
    let answers = [(200, "", event), (403, "", r#"{"errcode":"M_FORBIDDEN","error":"no media"}"#)];
    let (outcome, heard, _) = send(MATRIX, &message, Some(&picture()), &answers);
    let (came, said) = told(outcome);
    assert_eq!((came.as_str(), heard.len()), ("sent", 2));
    assert!(said.starts_with("200 $a; without the picture: 403 M_FORBIDDEN"), "{said}");
}

#[test]
fn a_group_that_moved_is_followed() {
    let moved = r#"{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat","parameters":{"migrate_to_chat_id":-1009876}}"#;
    let answers = [(400, "", moved), (200, "", r#"{"ok":true,"result":{"message_id":3}}"#)];
    let (outcome, heard, _) = send(TELEGRAM, &example(), None, &answers);
    let (came, said) = told(outcome);
    assert_eq!(came, "sent");
    assert_eq!(said, "200 message 3; the group is now tgram://TOKEN/-1009876: write that");
    assert_eq!(heard[1].json()["chat_id"], -1_009_876);
}

#[test]
fn an_invited_user_joins_a_room() {
    let no = r#"{"errcode":"M_FORBIDDEN","error":"User not in room"}"#;
    let answers = [(403, "", no), (200, "", "{}"), (200, "", r#"{"event_id":"$a"}"#)];
    let (outcome, heard, _) = send(MATRIX, &example(), None, &answers);
    assert_eq!(told(outcome), ("sent".into(), "200 $a".into()));
    assert_eq!(heard[1].line, "POST /_matrix/client/v3/join/%21room%3Aexample%2Eorg");
    assert_eq!(heard[0].line, heard[2].line);
}

#[test]
fn incidents_open_and_close() {
    let of = |occasion| Message { occasion, ..example() };
    for (occasion, actions) in [
        (Occasion::Fire, &["trigger"][..]),
        (Occasion::Reminder, &["trigger"]),
        (Occasion::Over, &["resolve"]),
        (Occasion::Was, &["trigger", "resolve"]),
        (Occasion::Test, &["trigger", "resolve"]),
    ] {
        let message = of(occasion);
        let (_, heard, _) = send(PAGERDUTY, &message, None, &[(202, "", "")]);
        let told: Vec<_> = heard.iter().map(|h| h.json()["event_action"].clone()).collect();
        assert_eq!(told, actions, "{occasion:?}");
        assert!(heard.iter().all(|h| h.json()["dedup_key"] == *message.thread));
        let (_, heard, _) = send(OPSGENIE, &message, None, &[(202, "", "")]);
        let told: Vec<_> = heard
            .iter()
            .map(|h| if h.line.contains("/close") { "resolve" } else { "trigger" })
            .collect();
        assert_eq!(told, actions, "{occasion:?}");
    }
    for (occasion, path) in [
        (Occasion::Fire, "POST /ping/tokentoken/fail"),
        (Occasion::Over, "POST /ping/tokentoken"),
        (Occasion::Test, "POST /ping/tokentoken/log"),
    ] {
        let (_, heard, _) = send(CHECK, &of(occasion), None, &[(200, "", "OK")]);
        assert_eq!(heard[0].line, path);
    }
}
