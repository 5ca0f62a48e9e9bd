//! notify: mail against servers that say what they are told to say, and against programs in the place of
//! sendmail.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::notify::kind::ChannelSettings;
use crate::notify::message::example;
use crate::notify::{Outcome, Picture, channel_of};

/// How commands begin, and what is answered to them.
type Answers = &'static [(&'static str, &'static str)];

/// A server without TLS: it answers each command by the first of these that the command begins with,
/// and `250 ok` otherwise. An empty answer hangs up. All that it was told is returned.
fn serve(answers: Answers) -> (u16, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("has one").port();
    let answer = move |command: &str| {
        let known = answers.iter().find(|(begin, _)| command.starts_with(begin));
        known.map_or("250 ok", |(_, answer)| answer)
    };
    let served = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("somebody comes");
        let mut writer = stream.try_clone().expect("a second handle");
        let mut heard = String::new();
        let mut in_data = false;
        let mut answered = match answer("CONNECT") {
            "250 ok" => "220 mail.example.org ESMTP",
            other => other,
        };
        let mut lines = BufReader::new(stream).lines();
        loop {
            if answered.is_empty() {
                return heard;
            }
            if !in_data || answered != "-" {
                writer.write_all(format!("{answered}\r\n").as_bytes()).expect("writes");
            }
            let Some(Ok(line)) = lines.next() else { return heard };
            heard.push_str(&line);
            heard.push('\n');
            answered = match (in_data, line.as_str()) {
                (true, ".") => {
                    in_data = false;
                    answer("END")
                }
                (true, _) => "-",
                (false, "DATA") => match answer("DATA") {
                    "250 ok" => {
                        in_data = true;
                        "354 go on"
                    }
                    other => other,
                },
                (false, "QUIT") => return heard,
                (false, command) => answer(command),
            };
        }
    });
    (port, served)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn send(target: &str, settings: ChannelSettings) -> Outcome {
    let channel =
        channel_of(target, &Arc::new(settings)).unwrap_or_else(|e| panic!("{target}: {e}"));
    channel.send(&example(), None, soon())
}

#[test]
fn every_code_means_something() {
    let mut wrong = Vec::new();
    let rows: [(Answers, &str, &str); 15] = [
        (&[("END", "250 2.0.0 Ok: queued as 1A2B")], "sent", "250 2.0.0 Ok: queued as 1A2B"),
        (&[("CONNECT", "421 4.3.2 try later")], "retry", "421 4.3.2 try later (to connect)"),
        (&[("CONNECT", "554 5.7.1 no")], "refused", "554 5.7.1 no (to connect)"),
        (&[("CONNECT", "")], "retry", "it hung up before it answered to connect"),
        (&[("CONNECT", "HTTP/1.1 400 Bad")], "retry", "what answers there is no mail server"),
        (&[("EHLO", "502 what?")], "sent", "250 ok"),
        (
            &[("MAIL", "530 5.7.0 Must issue a STARTTLS command first")],
            "refused",
            "it wants a login or TLS",
        ),
        (&[("MAIL", "552 5.3.4 too big")], "refused", "552"),
        (&[("RCPT", "450 4.2.0 greylisted")], "retry", "450 4.2.0 greylisted (to RCPT)"),
        (&[("RCPT", "550 5.1.1 no such user")], "refused", "check the address"),
        (&[("DATA", "")], "retry", "it hung up before it answered to DATA"),
        (&[("DATA", "451 4.3.0 later")], "retry", "451"),
        (&[("END", "452 4.3.1 disk full")], "retry", "452 4.3.1 disk full (to the mail)"),
        (
            &[("END", "554 5.6.0 spam")],
            "refused",
            "554 5.6.0 spam (to the mail); the server's words",
        ),
        (
            &[("EHLO", "250-mail.example.org\r\n250 SIZE 100")],
            "refused",
            "the server takes 100 bytes",
        ),
    ];
    for (answers, wanted, said) in rows {
        let (port, served) = serve(answers);
        let outcome = send(
            &format!("mailto://127.0.0.1:{port}?to=me@example.org"),
            ChannelSettings::default(),
        );
        let (came, words) = match outcome {
            Outcome::Sent { said } => ("sent", said),
            Outcome::Retry { said, after: None } => ("retry", said),
            Outcome::Retry { said, .. } => ("wait", said),
            Outcome::Refused { said } => ("refused", said),
        };
        served.join().expect("it ends");
        if came != wanted || !words.contains(said) {
            wrong.push(format!("{answers:?}: {came}: {words}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn one_bad_address_does_not_cost_the_others() {
    let (port, served) = serve(&[("RCPT TO:<b@", "550 5.1.1 nobody")]);
    let to = "a@example.org,b@example.org,c@example.org";
    let outcome =
        send(&format!("mailto://127.0.0.1:{port}?to={to}&from=p@h"), ChannelSettings::default());
    assert_eq!(
        outcome,
        Outcome::Sent { said: "250 ok; but not for b@example.org: 550 5.1.1 nobody".into() }
    );
    let heard = served.join().expect("it ends");
    assert!(
        heard.starts_with("EHLO localhost\nMAIL FROM:<p@h>\nRCPT TO:<a@example.org>\n"),
        "{heard}"
    );
    assert!(heard.contains("\n.\n"), "{heard}");
    // Where one of them has to wait, nobody gets it twice.
    let (port, served) = serve(&[("RCPT TO:<b@", "450 4.2.0 later")]);
    let outcome = send(&format!("mailto://127.0.0.1:{port}?to={to}"), ChannelSettings::default());
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
    assert!(!served.join().expect("it ends").contains("DATA"));
}

#[test]
fn a_password_stays_here_where_there_is_no_tls() {
    for (mode, said) in [
        ("?mode=starttls&to=a@b", "it does not offer STARTTLS at this port"),
        ("?to=a@b", "it does not offer STARTTLS at this port"),
    ] {
        let (port, served) = serve(&[("EHLO", "250-mail\r\n250 AUTH PLAIN LOGIN")]);
        let target = format!("mailto://me:secret-word@127.0.0.1:{port}{mode}");
        let outcome = send(&target, ChannelSettings::default());
        let Outcome::Refused { said: words } = &outcome else { panic!("{outcome:?}") };
        assert!(words.contains(said), "{words}");
        let heard = served.join().expect("it ends");
        assert!(!heard.contains("AUTH") && !heard.contains("MAIL"), "{heard}");
    }
    // What somebody on the way says before TLS begins is not believed.
    let (port, served) = serve(&[
        ("EHLO", "250-mail\r\n250 STARTTLS"),
        ("STARTTLS", "220 go\r\n250-mail\r\n250 AUTH PLAIN"),
    ]);
    let outcome = send(&format!("mailto://127.0.0.1:{port}?to=a@b"), ChannelSettings::default());
    let Outcome::Retry { said, .. } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(said, "127.0.0.1: it said more before TLS began");
    served.join().expect("it ends");
}

#[test]
fn other_letters_need_a_server_that_takes_them() {
    let (port, served) = serve(&[]);
    let outcome =
        send(&format!("mailto://127.0.0.1:{port}?to=jörg@example.org"), ChannelSettings::default());
    let Outcome::Refused { said } = outcome else { panic!("{outcome:?}") };
    assert_eq!(said, "127.0.0.1: it takes no address with other letters than ASCII");
    served.join().expect("it ends");
    let (port, served) = serve(&[("EHLO", "250-mail\r\n250-SIZE 0\r\n250 SMTPUTF8")]);
    let outcome =
        send(&format!("mailto://127.0.0.1:{port}?to=jörg@example.org"), ChannelSettings::default());
    assert!(matches!(outcome, Outcome::Sent { .. }), "{outcome:?}");
    let heard = served.join().expect("it ends");
    assert!(heard.contains("\nRCPT TO:<jörg@example.org>\n"), "{heard}");
    assert!(heard.contains(" SMTPUTF8\n"), "{heard}");
}

/// A script that does this, and the folder that it lies in.
fn script(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("program");
    std::fs::write(&path, format!("#!/bin/sh\ncd {}\n{text}\n", folder.path().display()))
        .expect("writes");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its own file");
    (folder, path)
}

#[test]
fn sendmail_gets_the_mail_and_says_how_it_went() {
    for (text, wanted) in [
        ("cat > mail; echo \"$@\" > arguments", Outcome::Sent { said: "sendmail has it".into() }),
        (
            "echo 'cannot reach it' >&2; exit 75",
            Outcome::Retry {
                said: "sendmail ended with status 75: cannot reach it".into(),
                after: None,
            },
        ),
        (
            "echo 'no such user'; exit 65",
            Outcome::Refused { said: "sendmail ended with status 65: no such user".into() },
        ),
        (
            "kill -9 $$",
            Outcome::Retry { said: "sendmail was ended by signal 9".into(), after: None },
        ),
    ] {
        let (folder, path) = script(text);
        let settings =
            ChannelSettings { sendmail: path, ..ChannelSettings::of_environment("web1") };
        assert_eq!(send("a@example.org", settings), wanted, "{text}");
        if matches!(wanted, Outcome::Sent { .. }) {
            let read = |name| std::fs::read_to_string(folder.path().join(name)).expect("is there");
            assert_eq!(read("arguments"), "-i -f plimsoll@web1 -- a@example.org\n");
            let mail = read("mail");
            assert!(
                mail.starts_with("From: plimsoll on web1 <plimsoll@web1>\nTo: a@example.org\n")
            );
            assert!(!mail.contains('\r'), "{mail}");
        }
    }
}

#[test]
fn a_program_gets_everything_and_has_an_end() {
    let (folder, path) = script(
        "cat > json; cat \"$PLIMSOLL_PICTURE\" > picture; echo \"$PLIMSOLL_TITLE|$PLIMSOLL_STATUS|$1\"; env > environment",
    );
    let target = format!("exec:{} 'two words'", path.display());
    let settings = Arc::new(ChannelSettings::of_environment("web1"));
    let channel = channel_of(&target, &settings).expect("a target");
    let message = example();
    let picture = Picture { png: vec![0, 1, 2, 255], alt: String::new() };
    let outcome = channel.send(&message, Some(&picture), soon());
    // Its arguments may be secrets.
    let said = format!("{} has it: {}|firing|…", path.display(), message.title);
    assert_eq!(outcome, Outcome::Sent { said: said.chars().take(200).collect() });
    let read = |name| std::fs::read(folder.path().join(name)).expect("is there");
    assert_eq!(read("picture"), picture.png);
    let json: serde_json::Value = serde_json::from_slice(&read("json")).expect("JSON");
    assert_eq!(
        (&json["version"], &json["plimsoll"]["title"]),
        (&"4".into(), &message.title.as_str().into())
    );
    let environment = String::from_utf8(read("environment")).expect("text");
    assert!(!environment.contains("CARGO"), "{environment}");

    for (text, wanted) in [
        ("exit 75", "retry"),
        ("exit 1", "refused"),
        ("head -c 1000000 /dev/zero | tr '\\0' x; exit 1", "refused"),
        ("exec sleep 1000 < /dev/null", "late"),
        // What it leaves behind holds nobody up.
        ("sleep 3 & exit 75", "retry"),
    ] {
        let (_folder, path) = script(text);
        let channel = channel_of(&format!("exec:{}", path.display()), &settings).expect("a target");
        let patience = Duration::from_millis(if wanted == "late" { 200 } else { 20_000 });
        let came = match channel.send(&message, None, Instant::now() + patience) {
            Outcome::Retry { said, .. } if said.contains("was killed") => "late",
            Outcome::Retry { .. } => "retry",
            Outcome::Refused { .. } => "refused",
            Outcome::Sent { .. } => "sent",
        };
        assert_eq!(came, wanted, "{text}");
    }
    let channel = channel_of("exec:/nonexistent/program", &settings).expect("a target");
    let said = "/nonexistent/program cannot be run: No such file or directory".to_owned();
    assert_eq!(channel.send(&message, None, soon()), Outcome::Refused { said });
}

#[test]
fn apprise_gets_its_url_where_nobody_else_sees_it() {
    let (folder, path) =
        script("cat > text; echo \"$@\" > arguments; echo \"$APPRISE_URLS\" > urls; exit 1");
    std::fs::rename(&path, folder.path().join("apprise")).expect("its own file");
    let search = std::ffi::OsString::from(format!("{}:/usr/bin:/bin", folder.path().display()));
    let settings = ChannelSettings { path: search, ..ChannelSettings::default() };
    let outcome = send("apprise:signal://host/secretsecret", settings);
    let said = "apprise ended with status 1".to_owned();
    assert_eq!(outcome, Outcome::Retry { said, after: None });
    let read = |name| std::fs::read_to_string(folder.path().join(name)).expect("is there");
    assert!(!read("arguments").contains("secretsecret"));
    assert_eq!(read("urls"), "signal://host/secretsecret\n");
    assert!(read("text").starts_with("since 14:22"));
    let nowhere = ChannelSettings { path: "/nonexistent".into(), ..ChannelSettings::default() };
    let outcome = send("apprise:signal://host/secretsecret", nowhere);
    assert!(matches!(&outcome, Outcome::Refused { said } if said.contains("is not installed")));
}
