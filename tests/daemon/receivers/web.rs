//! Alertmanager takes our alerts, and sends what a webhook of ours looks like; Apprise would have asked
//! what we ask; TLS as a receiver has it.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use plimsoll::notify::{ChannelSettings, Occasion, Outcome};
use serde_json::Value;

use super::mail::{Served, certificate};
use super::{message, recorder, send};
use crate::support::*;

/// The shape of a document: names and kinds, without the values.
fn shape(json: &Value) -> Value {
    match json {
        Value::Object(map) => {
            map.iter().map(|(name, value)| (name.clone(), shape(value))).collect()
        }
        Value::Array(all) => Value::Array(all.iter().take(1).map(shape).collect()),
        Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        other => other.clone(),
    }
}

#[test]
fn alertmanager_takes_alerts_and_its_webhook_is_like_ours() {
    let folder = Folder::new();
    let (hook, heard) = recorder();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("bound").port();
    drop(free);
    let config = format!(
        "route:\n  receiver: hook\n  group_by: [host]\n  group_wait: 0s\n  group_interval: 1s\n\
         receivers:\n- name: hook\n  webhook_configs:\n  - url: http://127.0.0.1:{hook}/am\n"
    );
    std::fs::write(folder.join("am.yml"), config).expect("the folder can be written");
    let mut command = tool("prometheus-alertmanager", "prometheus-alertmanager");
    let log = std::fs::File::create(folder.join("log")).expect("the folder can be written");
    let mut alertmanager = command
        .arg(format!("--config.file={}", folder.join("am.yml").display()))
        .arg(format!("--storage.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--cluster.listen-address=")
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("it starts");
    let target = format!("alertmanager+http://127.0.0.1:{port}");
    let mut message = message();
    let settings = || ChannelSettings::of_environment("web1");
    eventually("Alertmanager takes it", PATIENCE, || {
        match send(&target, settings(), &message, None) {
            Outcome::Sent { .. } => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let next = || heard.recv_timeout(PATIENCE).expect("Alertmanager tells its receiver");
    let theirs: Value = serde_json::from_str(&next().2).expect("JSON");
    assert_eq!(theirs["status"], "firing");
    assert_eq!(theirs["alerts"][0]["labels"]["host"], "web1");

    // The same message as a webhook of ours.
    let (own, ours) = recorder();
    let url = format!("http://127.0.0.1:{own}/hook");
    assert!(matches!(send(&url, settings(), &message, None), Outcome::Sent { .. }));
    let (_, _, body) = ours.recv_timeout(PATIENCE).expect("it was asked");
    let mut ours: Value = serde_json::from_str(&body).expect("JSON");
    let extras = ours.as_object_mut().expect("an object").remove("plimsoll").expect("our extras");
    assert_eq!(extras["title"], message.title);
    let labels = ["labels", "commonLabels", "groupLabels"];
    let mut shapes = [shape(&theirs), shape(&ours)];
    for shape in &mut shapes {
        for name in labels {
            let place = if name == "labels" { &mut shape["alerts"][0] } else { &mut *shape };
            place[name] = "labels".into();
        }
    }
    let names = |json: &Value| {
        let mut names: Vec<_> = json.as_object().expect("an object").keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(names(&shapes[0]), names(&shapes[1]));
    assert_eq!(names(&shapes[0]["alerts"][0]), names(&shapes[1]["alerts"][0]));
    for name in ["version", "status", "groupLabels", "truncatedAlerts", "commonAnnotations"] {
        assert_eq!(theirs[name], ours[name], "{name}");
    }
    for name in ["status", "annotations", "startsAt", "generatorURL"] {
        assert_eq!(theirs["alerts"][0][name], ours["alerts"][0][name], "{name}");
    }
    assert_eq!(ours["alerts"][0]["endsAt"], "0001-01-01T00:00:00Z");

    // Over.
    message.occasion = Occasion::Over;
    message.alerts[0].firing = false;
    message.alerts[0].ends_at = Some(now_ms());
    assert!(matches!(send(&target, settings(), &message, None), Outcome::Sent { .. }));
    eventually("Alertmanager says that it is over", PATIENCE, || {
        let told: Value = serde_json::from_str(&next().2).expect("JSON");
        if told["status"] == "resolved" { Ok(()) } else { Err(told.to_string()) }
    });
    alertmanager.kill().expect("it is ours");
    alertmanager.wait().expect("it is ours");
}

const APPRISE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemon/receivers/apprise_says.py");

/// Targets that both understand, without what names the server for us.
const BOTH: &[&str] = &[
    "ntfy://user:secret-word@STUB/topic",
    "ntfy://tk_abcdefghijklmnopqrstuvwxyz012@STUB/topic",
    "gotify://STUB/AbCdEfGhIjKlMnO",
    "discord://1234567890/AbCdEfGhIjKlMnOpQrSt",
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    "tgram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/-100123",
    "mmost://STUB/3ccr8xezqbbs5nqxa9ajrtkz4h",
    "rocket://66f1a0c2e4b0a1b2c3d4e5f6/Yq3nTz8vKc2mWx7bYq3nTz8vKc2mWx7b@STUB/#ops",
    "pover://uQiRzpo4DXghDmr9QzzfQu27cmVRsG@azGDORePK8gMaC0QOYAMyEEuzJnyUi",
    "pagerduty://e93facc04764012d7bfb002500d5d1a6@u123456789012345678",
    "opsgenie://eb243592-faa2-4ba2-a551-1afdf565c889",
    "json://user:secret-word@STUB/hook?+X-Own=abc",
    "matrix://syt_cGxpbXNvbGw_QmRxYWJj@STUB/!room:example.org",
];

/// Of a URL, what stands behind the host; `/` where nothing does.
fn path(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    let path = behind.find('/').map_or("/", |at| &behind[at..]);
    path.split('?').next().unwrap_or(path)
}

#[test]
fn apprise_asks_the_same_of_the_same_target() {
    let modules = pip_installed("pip-apprise-2.3.0", &["apprise==2.3.0"]);
    let targets: Vec<_> = BOTH.iter().map(|t| t.replace("STUB", "127.0.0.1")).collect();
    let mut command = Command::new(tool("python3", "python3").get_program());
    let theirs = run(command.env("PYTHONPATH", modules).arg(APPRISE).args(&targets)).well();
    let (port, heard) = recorder();
    let stub = format!("127.0.0.1:{port}");
    for (target, line) in BOTH.iter().zip(theirs.lines()) {
        let theirs: Value = serde_json::from_str(line).expect("JSON");
        let theirs = theirs["asked"].as_array().and_then(|asked| asked.last()).expect("it asks");
        let own = match target.contains("STUB") {
            true => target.replace("STUB", &stub),
            false => format!("{target}?api=http://{stub}"),
        };
        let outcome = send(&own, ChannelSettings::of_environment("web1"), &message(), None);
        assert!(matches!(outcome, Outcome::Sent { .. }), "{target}: {outcome:?}");
        let (line, head, body) = heard.recv_timeout(PATIENCE).expect("it was asked");
        let (method, url) = line.split_once(' ').expect("a request");
        let words = |key: &str| theirs[key].as_str().expect("text").to_owned();
        assert_eq!(method, words("method"), "{target}");
        // A transaction of Matrix is each one's own; encoding a dot is no difference.
        let plain = |path: &str| path.replace("%2E", ".").replace("%2D", "-");
        let (mut ours, their_url) = (plain(path(url)), words("url"));
        let mut their = plain(path(&their_url));
        if target.starts_with("matrix") {
            for path in [&mut ours, &mut their] {
                let end = path.rfind('/').expect("a path");
                path.truncate(end);
            }
        }
        assert_eq!(ours, their, "{target}");
        for (name, value) in theirs["headers"].as_object().expect("headers") {
            let says_who = ["authorization", "x-gotify-key", "x-own"]
                .contains(&name.to_ascii_lowercase().as_str());
            // What Pushover and PagerDuty do not look at.
            if says_who && !target.starts_with("pover") && !target.starts_with("pagerduty") {
                let header =
                    format!("{}: {}", name.to_ascii_lowercase(), value.as_str().expect("text"));
                let there = head.lines().any(|l| l.eq_ignore_ascii_case(&header));
                assert!(there, "{target}: {header}\n{head}");
            }
        }
        // The same places hold the title and the text.
        let data = &theirs["data"];
        let data: Value = match data.as_str() {
            Some(text) => serde_json::from_str(text).unwrap_or_default(),
            None => data.clone(),
        };
        let form: Value = body
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect();
        let ours: Value = serde_json::from_str(&body).unwrap_or(form);
        for name in [
            "topic",
            "title",
            "message",
            "text",
            "chat_id",
            "channel",
            "token",
            "user",
            "routing_key",
            "event_action",
            "msgtype",
            "body",
        ] {
            let there = data.get(name).is_some() && !(target.starts_with("json") && name == "body");
            assert!(!there || ours.get(name).is_some(), "{target}: {name}: {ours}");
        }
    }
}

#[test]
fn a_webhook_behind_tls_is_trusted_by_its_certificate_only() {
    let folder = Folder::new();
    let (cert, key) = certificate(folder.path());
    let code = "import http.server, ssl, sys\n\
                class Hook(http.server.BaseHTTPRequestHandler):\n\
                \x20   def do_POST(self):\n\
                \x20       text = self.rfile.read(int(self.headers['Content-Length']))\n\
                \x20       self.send_response(200 if b'plimsoll' in text else 400)\n\
                \x20       self.end_headers()\n\
                \x20       self.wfile.write(b'taken')\n\
                \x20   def log_message(self, *_): pass\n\
                server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hook)\n\
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
                context.load_cert_chain(*sys.argv[1:])\n\
                server.socket = context.wrap_socket(server.socket, server_side=True)\n\
                print(server.server_port, flush=True)\n\
                server.serve_forever()\n";
    let mut server = Command::new(tool("python3", "python3").get_program());
    let (_server, port) = Served::start(server.args(["-c", code, &cert, &key]));
    let mut settings = ChannelSettings::of_environment("web1");
    let target = format!("https://127.0.0.1:{port}/hook");
    let outcome = send(&target, settings.clone(), &message(), None);
    let Outcome::Retry { said, .. } = &outcome else { panic!("{outcome:?}") };
    assert!(said.contains("`ca` names a file with its certificate"), "{said}");
    settings.http.ca = Some(cert.into());
    let outcome = send(&target, settings.clone(), &message(), None);
    assert_eq!(outcome, Outcome::Sent { said: "200 taken".into() });
    // Its certificate is for an address and not for this name. Where the file names the certificate
    // itself, the name does not matter: the file says whom to trust.
    let outcome = send(&format!("https://localhost:{port}/hook"), settings, &message(), None);
    assert_eq!(outcome, Outcome::Sent { said: "200 taken".into() });
}
