//! Mail, taken by aiosmtpd and read by Python's own parser.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use plimsoll::notify::{ChannelSettings, Outcome};

use super::{message, picture, send};
use crate::support::*;

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemon/receivers/serve_mail.py");

/// A certificate for 127.0.0.1 of its own making, and its key.
pub fn certificate(folder: &Path) -> (String, String) {
    let path = |name: &str| folder.join(name).display().to_string();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    run(tool("openssl", "openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args([
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=web1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ])
        .args(["-keyout", &key, "-out", &cert]))
    .well();
    (cert, key)
}

/// A program that ends with the test.
pub struct Served(Child);

impl Served {
    /// Starts it, and waits for the line with its port.
    pub fn start(command: &mut Command) -> (Self, u16) {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let out = child.stdout.take().expect("piped");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).expect("it says its port");
        let port = line.trim().parse().unwrap_or_else(|e| panic!("{e}: {line:?}"));
        (Self(child), port)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _buried = self.0.wait();
    }
}

#[test]
fn mails_arrive_by_every_kind_of_tls_and_as_they_were_meant() {
    let modules = pip_installed("pip-aiosmtpd-1.4.6", &["aiosmtpd==1.4.6"]);
    let folder = Folder::new();
    let (cert, key) = certificate(folder.path());
    let settings = || {
        let mut settings = ChannelSettings::of_environment("web1");
        settings.http.ca = Some(cert.clone().into());
        settings
    };
    let message = message();
    for (mode, port_says) in [("plain", "insecure"), ("starttls", "starttls"), ("tls", "ssl")] {
        let inbox = folder.join(mode);
        std::fs::create_dir(&inbox).expect("the folder can be written");
        let mut server = Command::new(tool("python3", "python3").get_program());
        server.env("PYTHONPATH", &modules).args([SERVER, mode, &cert, &key]).arg(&inbox);
        let (_server, port) = Served::start(&mut server);
        let to = format!("?to=a@example.org,b@example.org&from=p@example.org&mode={port_says}");
        let login = if mode == "plain" { "" } else { "me:p%C3%A4ssword%3A%20%2F@" };
        let target = format!("mailto://{login}127.0.0.1:{port}{to}");
        let outcome = send(&target, settings(), &message, Some(&picture()));
        assert_eq!(
            outcome,
            Outcome::Sent { said: "250 2.0.0 Ok: queued as 1A2B".into() },
            "{mode}"
        );
        let mail = std::fs::read(inbox.join("1.json")).expect("it took one");
        let mail: serde_json::Value = serde_json::from_slice(&mail).expect("JSON");
        assert_eq!(mail["defects"], serde_json::json!([]));
        // Of TLS from the start it does not know.
        assert_eq!(mail["tls"], mode == "starttls");
        assert_eq!(mail["from"], "p@example.org");
        assert_eq!(mail["to"], serde_json::json!(["a@example.org", "b@example.org"]));
        let headers = &mail["headers"];
        assert_eq!(headers["subject"], message.title);
        assert_eq!(headers["auto-submitted"], "auto-generated");
        let id = format!("<{}.plimsoll@web1>", message.key.replace('/', "."));
        assert_eq!(headers["message-id"], id);
        let parts = mail["parts"].as_array().expect("parts");
        let kinds: Vec<_> = parts.iter().map(|part| part["type"].as_str().expect("text")).collect();
        assert_eq!(kinds, ["text/plain", "text/html", "image/png"]);
        let text = format!(
            "{}\n\n{}\n{}\n",
            message.title,
            message.lines.join("\n"),
            "http://web1:1876/alerts"
        );
        let got = parts[0]["text"].as_str().expect("text").replace("\r\n", "\n");
        assert_eq!(got.trim_end(), text.trim_end());
        assert!(parts[1]["text"].as_str().expect("text").contains("src=\"cid:chart@plimsoll\""));
        assert_eq!(
            (&parts[2]["id"], &parts[2]["length"]),
            (&"<chart@plimsoll>".into(), &picture().png.len().into())
        );
        if mode == "plain" {
            continue;
        }
        // A wrong password, and a certificate that nobody knows.
        let target = format!("mailto://me:secret-word@127.0.0.1:{port}{to}");
        let outcome = send(&target, settings(), &message, None);
        let Outcome::Refused { said } = &outcome else { panic!("{outcome:?}") };
        assert!(said.starts_with("535 5.7.8 Authentication credentials invalid"), "{said}");
        assert!(said.contains("check user and password"), "{said}");
        let nobody = ChannelSettings::of_environment("web1");
        let outcome = send(&target, nobody, &message, None);
        let Outcome::Retry { said, .. } = &outcome else { panic!("{outcome:?}") };
        assert!(
            said.starts_with("no authority that is trusted here signed the certificate"),
            "{said}"
        );
    }
}
