//! notify: no secret is ever shown: not in a target, not in an error, not in what a receiver repeats.

use std::path::PathBuf;
use std::sync::Arc;

use super::stub::{ECHO, TARGETS, send};
use crate::notify::kind::ChannelSettings;
use crate::notify::message::example;
use crate::notify::{Outcome, Picture, ROWS, channel_of};
use crate::wire::base64;

/// Some as tokens are, and one of a password with everything in it, as it stands in a URL and bare.
const SECRETS: &[(&str, &str)] = &[
    ("AbCd1234EfGh5678", "AbCd1234EfGh5678"),
    ("tk_zX-9.8~7654321", "tk_zX-9.8~7654321"),
    ("p%22a%20s%3As%2Fw%40r%23d%C3%BC", "p\"a s:s/w@r#dü"),
];

fn shows(text: &str, bare: &str) -> bool {
    let json = serde_json::to_string(bare).expect("JSON");
    let forms = [
        bare.to_owned(),
        json.trim_matches('"').to_owned(),
        base64::encode(format!("user:{bare}").as_bytes()),
        percent_encoding::utf8_percent_encode(bare, percent_encoding::NON_ALPHANUMERIC).to_string(),
    ];
    forms.iter().any(|form| text.contains(form.as_str()))
}

#[test]
fn receivers_that_repeat_everything_betray_nothing() {
    let message = example();
    let picture = Picture { png: vec![1, 2, 3], alt: "chart".into() };
    for (kind, target) in TARGETS {
        for (written, bare) in SECRETS {
            let target = target.replace("SECRET", written);
            for status in [200, 400, 503] {
                // Some kinds take tokens of certain letters only, and say so, without the token.
                let known = channel_of(&target.replace("STUB", "127.0.0.1:1"), &Arc::default());
                let e = match known {
                    Ok(channel) => {
                        assert_eq!(channel.kind(), *kind);
                        assert!(!shows(&channel.shown(), bare), "{target}");
                        None
                    }
                    Err(e) => Some(e.to_string()),
                };
                if let Some(e) = e {
                    assert!(!shows(&e, bare), "{target}: {e}");
                    continue;
                }
                let (outcome, _, shown) =
                    send(&target, &message, Some(&picture), &[(status, "", ECHO)]);
                let (Outcome::Sent { said }
                | Outcome::Retry { said, .. }
                | Outcome::Refused { said }) = outcome;
                assert!(!shows(&said, bare), "{target} {status}: {said}");
                assert!(!shows(&shown, bare), "{target}: {shown}");
                assert!(said.chars().count() <= 200 && !said.contains('\n'), "{said}");
            }
        }
    }
}

#[test]
fn every_kind_is_tried_and_its_example_can_be_used() {
    let sendmail = tempfile::NamedTempFile::new().expect("a file");
    let settings =
        ChannelSettings { sendmail: sendmail.path().to_owned(), ..ChannelSettings::default() };
    let settings = Arc::new(settings);
    for row in ROWS {
        let channel =
            channel_of(row.example, &settings).unwrap_or_else(|e| panic!("{}: {e}", row.example));
        assert_eq!((channel.kind(), channel.takes_picture()), (row.name, row.picture));
        let tried = TARGETS.iter().any(|(kind, _)| *kind == row.name);
        assert!(tried || ["mail", "exec", "apprise"].contains(&row.name), "{}", row.name);
        for scheme in row.schemes {
            let form = row.forms.iter().any(|f| f.contains(scheme.trim_end_matches('s')));
            assert!(form, "{}: no form shows `{scheme}:`", row.name);
        }
    }
}

#[test]
fn targets_are_shown_without_secrets() {
    let sendmail = tempfile::NamedTempFile::new().expect("a file");
    let settings =
        ChannelSettings { sendmail: sendmail.path().to_owned(), ..ChannelSettings::default() };
    let settings = Arc::new(settings);
    for (target, shown) in [
        ("me@example.org", "mailto:me@example.org"),
        ("mailto://me:secret@example.org?to=a@b,c@d", "mailto:a@b,c@d"),
        ("ntfy:my-topic", "ntfy:my-topic"),
        ("ntfys://tk_secret@push.example.org/my-topic", "ntfys://push.example.org/my-topic"),
        ("tgram://123:secretsecret/-100", "tgram://…/-100"),
        ("https://discord.com/api/webhooks/12/secret", "discord://12/…"),
        ("https://hooks.slack.com/services/T0/B0secret/secret", "slack://T0/…"),
        ("slack://xoxb-1-secret/ops", "slack://…/ops"),
        ("gotifys://h:8080/sub/secret", "gotifys://h:8080/sub/…"),
        ("matrixs://secret@h/!room:h", "matrixs://h/!room:h"),
        ("matrixs://secret@h/ops", "matrixs://h/#ops:h"),
        ("mmosts://h/hooks/secret", "mmosts://h/…"),
        ("rockets://id/secret@h/#ops", "rockets://…@h"),
        ("pover://usecret@asecret/phone", "pover://…/phone"),
        (
            "https://a.logic.azure.com:443/workflows/0/triggers/manual/paths/invoke?sig=secret",
            "msteams://a.logic.azure.com/…",
        ),
        ("pagerduty://secret", "pagerduty://…"),
        ("opsgenie://secret?region=eu", "opsgenie://…"),
        ("https://hc-ping.com/secret", "hc:https://hc-ping.com/…"),
        ("alertmanager+https://u:secret@h:9093/am", "alertmanager+https://h:9093/am"),
        ("https://h/hook/secret?x=secret#hmac=secret", "https://h/…"),
        ("exec:/bin/true --token=secret1 secret2", "exec:/bin/true"),
        ("apprise:signal://h/secret", "apprise:signal://…"),
    ] {
        let channel = channel_of(target, &settings).unwrap_or_else(|e| panic!("{target}: {e}"));
        assert_eq!(channel.shown(), shown, "{target}");
    }
}

#[test]
fn what_is_wrong_with_a_target_says_what_to_write() {
    let settings = Arc::new(ChannelSettings {
        sendmail: PathBuf::from("/nonexistent/sendmail"),
        ..ChannelSettings::default()
    });
    for (target, said) in [
        ("ntfi:a", "no channel is called `ntfi:`: is `ntfy:` meant?"),
        ("sms:+49", "no channel is called `sms:`: there are mailto: mailtos: ntfy: "),
        (
            "me@example.org",
            "mail to an address needs a server that takes it: write server, user, password and from below [smtp]",
        ),
        ("mailto://me:pw@h?to=x", "`x` is no address of mail: write me@example.org or mailto://"),
        ("mailto://me:pw@h?to=x@ü.de", "`x@ü.de` has a domain with other letters than ASCII"),
        ("mailto://me:pw@h?mode=insecure", "`mailto:`: a password is sent within TLS only"),
        ("mailto://h", "the receiver is missing: write "),
        ("ntfy:", "the topic is missing: write ntfy:topic or ntfys://host/topic"),
        ("ntfy:a b", "the topic holds a character that cannot be part of it: write ntfy:topic"),
        ("ntfy://h/a/b", "the path goes on where it should end"),
        ("ntfy:a?priority=9", "`ntfy:`: a priority is a number from 1 to 5"),
        ("tgram://x/1", "`tgram:`: the token is the one that @BotFather gave"),
        ("tgram://123:abcdefgh", "`tgram:`: the chat is missing; write to the bot"),
        ("tgram://123:abcdefgh/me", "`tgram:`: a chat is a number such as -1001234567890"),
        ("discord://1", "the token is missing: write discord://ID/TOKEN"),
        ("slack://T0/B0", "the third part is missing: write slack://"),
        ("gotify://h", "the token is missing: write gotifys://host/token"),
        ("matrix://me:pw@h/ops", "`matrix:`: every login with a password makes another session"),
        ("matrixs://tok@h", "the room is missing: write matrixs://TOKEN@host/!room:host"),
        ("rockets://h/ops", "the webhook or the login is missing: write rockets://"),
        ("pover://u@", "the token is missing: write pover://USER@TOKEN"),
        ("msteams://a@b/c/d/e", "`msteams:` in Apprise's form is for connectors"),
        ("hc:https://h", "the check is missing: write hc:UUID"),
        ("https://h/a#hmack=1", "behind `#` may stand hmac=KEY"),
        ("https:///a", "`https:`: a host has to stand behind it"),
        ("exec:true", "`exec:` wants the whole path of a program"),
        ("apprise:x", "`apprise:` wants a URL behind it"),
    ] {
        let e = channel_of(target, &settings).map(drop).expect_err(target).to_string();
        assert!(e.starts_with(said), "{target}: {e}");
    }
}
