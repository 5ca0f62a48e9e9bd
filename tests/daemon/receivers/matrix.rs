//! A room of Synapse. The server is 242 MB of packages, so ci/torture/receivers asks for it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use plimsoll::notify::{ChannelSettings, Outcome};

use super::{message, picture, send};
use crate::support::*;

/// A server that ends with the test.
struct Synapse(Child);

impl Drop for Synapse {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _buried = self.0.wait();
    }
}

/// What it answers to a request of a user, as JSON.
fn ask(
    port: u16,
    token: &str,
    path: &str,
    body: Option<&str>,
) -> Result<serde_json::Value, String> {
    let url = format!("http://127.0.0.1:{port}/_matrix/client/{path}");
    let mut command = tool("curl", "curl");
    command.args(["-s", &url, "-H", &format!("Authorization: Bearer {token}")]);
    if let Some(body) = body {
        command.args(["-d", body]);
    }
    let said = run(&mut command);
    serde_json::from_str(&said.out).map_err(|e| format!("{path}: {e}: {said:?}"))
}

fn python(modules: &Path) -> Command {
    let mut command = Command::new(tool("python3", "python3").get_program());
    command.env("PYTHONPATH", modules);
    command
}

#[test]
#[ignore = "242 MB of Synapse: ci/torture/receivers runs it"]
fn synapse_takes_a_message_once_and_says_when_to_wait() {
    let modules = pip_installed("pip-matrix-synapse-1.163.2", &["matrix-synapse==1.163.2"]);
    let folder = Folder::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("bound").port();
    drop(free);
    let config = folder.join("hs.yaml");
    let server = ["-m", "synapse.app.homeserver", "--config-path"];
    let made = ["--server-name", "localhost", "--generate-config", "--report-stats=no"];
    run(python(&modules).args(server).arg(&config).args(made).current_dir(folder.path())).well();
    let text = std::fs::read_to_string(&config).expect("it was made");
    let text = text.replace("port: 8008", &format!("port: {port}"));
    // A login may be tried often here, a message may not.
    let limits = "rc_login:\n  address: {per_second: 100, burst_count: 100}\n\
                  rc_message: {per_second: 0.2, burst_count: 10}\n";
    std::fs::write(&config, format!("{text}\n{limits}")).expect("it is ours");
    let log = std::fs::File::create(folder.join("log")).expect("the folder can be written");
    let child = python(&modules)
        .args(server)
        .arg(&config)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("it starts");
    let _synapse = Synapse(child);
    eventually("Synapse answers", PATIENCE, || ask(port, "", "versions", None));
    let token = |user: &str| {
        let register =
            "import sys; from synapse._scripts.register_new_matrix_user import main; main()";
        let words = ["-u", user, "-p", "secret-word", "--no-admin", "-c"];
        let server = format!("http://127.0.0.1:{port}");
        run(python(&modules).args(["-c", register]).args(words).arg(&config).arg(server)).well();
        let login = format!(
            "{{\"type\":\"m.login.password\",\"password\":\"secret-word\",\
             \"identifier\":{{\"type\":\"m.id.user\",\"user\":\"{user}\"}}}}"
        );
        let answer = ask(port, "", "v3/login", Some(&login)).expect("JSON");
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    let (admin, own) = (token("admin"), token("plimsoll"));
    let wish =
        r#"{"preset":"private_chat","room_alias_name":"ops","invite":["@plimsoll:localhost"]}"#;
    let room = ask(port, &admin, "v3/createRoom", Some(wish)).expect("JSON");
    let room = room["room_id"].as_str().unwrap_or_else(|| panic!("{room}"));

    // It is invited, and joins by itself.
    let settings = || ChannelSettings::of_environment("web1");
    let (target, message) = (format!("matrix://{own}@127.0.0.1:{port}/{room}"), message());
    let first = send(&target, settings(), &message, Some(&picture()));
    let Outcome::Sent { said } = &first else { panic!("{first:?}") };
    assert!(said.starts_with("200 $") && !said.contains("without"), "{said}");
    // The answer was lost: the second attempt is the same message, by the room's alias, too.
    assert_eq!(send(&target, settings(), &message, Some(&picture())), first);
    let by_name = format!("matrix://{own}@127.0.0.1:{port}/#ops:localhost");
    assert_eq!(send(&by_name, settings(), &message, None), first);
    let all = ask(port, &admin, &format!("v3/rooms/{room}/messages?dir=b&limit=50"), None);
    let all = all.expect("JSON")["chunk"].as_array().expect("events").clone();
    let kinds: Vec<_> = all
        .iter()
        .filter(|event| event["type"] == "m.room.message")
        .map(|event| event["content"]["msgtype"].as_str().expect("text").to_owned())
        .collect();
    assert_eq!(kinds, ["m.image", "m.text"]);

    let wrong = send(&target.replace(&own, "syt_wrong"), settings(), &message, None);
    let Outcome::Refused { said } = &wrong else { panic!("{wrong:?}") };
    assert!(said.starts_with("401 M_UNKNOWN_TOKEN"), "{said}");
    let waits = (0..40).any(|place| {
        let mut next = message.clone();
        next.key = format!("key/{place}");
        matches!(send(&target, settings(), &next, None), Outcome::Retry { after: Some(_), .. })
    });
    assert!(waits, "forty messages at once are too many for it");
}
