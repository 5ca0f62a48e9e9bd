//! Every target that docs/ALERTS.md shows, with values in the place of its words, as a person would
//! write it: `check-config` takes it, and where its receiver can be somewhere else, it is asked.

use plimsoll::notify::{ChannelSettings, Outcome, ROWS};

use super::{message, recorder, send};
use crate::support::*;

const GUIDE: &str = include_str!("../../../docs/ALERTS.md");

/// As the guide has it, and filled in. `STUB` is a server; where there is none, `?api=` names it.
const RECIPES: &[(&str, &str)] = &[
    ("me@example.org", "me@example.org"),
    (
        "mailto://user:password@host?to=me@example.org",
        "mailto://user:password@127.0.0.1?to=me@example.org",
    ),
    (
        "mailtos://me:password@example.org?smtp=mail.example.org&to=you@example.org",
        "mailtos://me:password@example.org?smtp=mail.example.org&to=you@example.org",
    ),
    ("ntfy:my-topic", "ntfy:my-topic"),
    ("ntfy:topic", "ntfy://STUB/topic"),
    ("ntfy:that-topic", "ntfy:that-topic"),
    ("ntfys://token@host/topic", "ntfy://tk_abcdefghijklmnopqrstuvwxyz012@STUB/topic"),
    ("ntfys://user:password@host/topic", "ntfy://user:password@STUB/topic"),
    ("https://host/path", "http://STUB/path"),
    ("json://host/path", "json://STUB/path"),
    ("tgram://TOKEN/CHAT", "tgram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5/-1001234567890"),
    ("discord://ID/TOKEN", "discord://1234567890123456789/Xv9hT3mN_kQ2-pLw8sRzY"),
    ("slack://T…/B…/TOKEN", "slack://T024BE7LD/B024BE7LD/Xv9hT3mNkQ2pLw8sRzY"),
    ("slack://xoxb-TOKEN/channel", "slack://xoxb-2419-Xv9hT3mNkQ2pLw8sRzY/ops"),
    ("gotifys://host/TOKEN", "gotify://STUB/Aq7xT3mNkQ2pLw8"),
    ("matrixs://TOKEN@host/!room:host", "matrix://syt_cGxpbXNv@STUB/!room:example.org"),
    ("mmosts://host/TOKEN", "mmost://STUB/xyzabc123xyzabc123xyzabc12"),
    ("rockets://ID/TOKEN@host", "rocket://66f1a0c2e4b0a1b2/Yq3nTz8vKc2mWx7b@STUB"),
    ("rockets://USER-ID:TOKEN@host/#channel", "rocket://66f1a0c2e4b0:Yq3nTz8vKc2m@STUB/#ops"),
    ("pover://USER@TOKEN", "pover://uQiRzpo4DXghDmr9QzzfQu27cmVRsG@azGDORePK8gMaC0QOYAMyEEuzJnyUi"),
    (
        "workflows://host/WORKFLOW/SIGNATURE",
        "workflows://prod-1.westeurope.logic.azure.com/0a1b2c3d4e5f/Xv9hT3mNkQ2pLw8sRzY",
    ),
    ("pagerduty://INTEGRATION-KEY", "pagerduty://e93facc04764012d7bfb002500d5d1a6"),
    ("pagerduty://KEY", "pagerduty://e93facc04764012d7bfb002500d5d1a6"),
    ("opsgenie://API-KEY", "opsgenie://eb243592-faa2-4ba2-a551-1afdf565c889"),
    ("opsgenie://KEY", "opsgenie://eb243592-faa2-4ba2-a551-1afdf565c889"),
    ("hc:UUID", "hc:5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278"),
    ("hc:https://host/ping/UUID", "hc:http://STUB/ping/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278"),
    ("alertmanager+http://host:9093", "alertmanager+http://STUB"),
    ("exec:/path/to/program argument", "exec:/bin/true argument"),
    ("exec:/path/to/program argument \"two words\"", "exec:/bin/true argument \"two words\""),
    ("apprise:URL", "apprise:ntfy://STUB/topic"),
    ("https://hc-ping.com/UUID", "https://hc-ping.com/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278"),
];

/// What stands between backquotes in the guide and is a target: it has the scheme of a channel.
fn shown() -> Vec<&'static str> {
    let schemes: Vec<&str> = ROWS.iter().flat_map(|row| row.schemes).copied().collect();
    // Within a line, every second piece stands between backquotes.
    let spans = GUIDE.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let target = |span: &&str| {
        let Some((scheme, behind)) = span.split_once(':') else { return false };
        // `json://` alone is a scheme. What a service shows, and is to be written in another way, is none.
        let other = ["getUpdates", "/hooks/"].iter().any(|part| span.contains(part));
        !behind.trim_matches('/').is_empty() && schemes.contains(&scheme) && !other
    };
    spans.filter(target).collect()
}

#[test]
fn every_recipe_of_the_guide_can_be_written_and_asks_its_receiver() {
    let unknown: Vec<_> = (shown().into_iter())
        .filter(|shown| RECIPES.iter().all(|(recipe, _)| recipe != shown))
        .collect();
    assert!(unknown.is_empty(), "targets in docs/ALERTS.md that are tried nowhere: {unknown:?}");
    let folder = Folder::new();
    let (port, heard) = recorder();
    let stub = format!("127.0.0.1:{port}");
    let mut wrong = Vec::new();
    let mut asked = 0;
    for (recipe, filled) in RECIPES {
        if !GUIDE.contains(recipe) {
            wrong.push(format!("{recipe}: not in docs/ALERTS.md any more"));
        }
        let api = ["tgram:", "discord:", "slack:", "pover:", "pagerduty:", "opsgenie:"];
        let target = match filled.contains("STUB") {
            true => filled.replace("STUB", &stub),
            false if api.iter().any(|scheme| filled.starts_with(scheme)) => {
                format!("{filled}?api=http://{stub}")
            }
            false => (*filled).to_owned(),
        };
        let smtp = "[smtp]\nserver = \"mail.example.org:587\"\n";
        folder.configure(&format!("{FAST}[alerts]\nto = '{target}'\n{smtp}"));
        let said =
            folder.ask(&["check-config", &folder.join("plimsoll.toml").display().to_string()]);
        if !said.status.success() {
            wrong.push(format!("{recipe}: {said:?}"));
        }
        if target.contains(&stub) && !target.starts_with("apprise:") {
            let outcome = send(&target, ChannelSettings::of_environment("web1"), &message(), None);
            let there = heard.try_iter().count();
            asked += 1;
            if !matches!(outcome, Outcome::Sent { .. }) || there == 0 {
                wrong.push(format!("{recipe}: {outcome:?}, asked {there} times"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(asked > 20, "{asked} were asked");
}
