//! Mail to Postfix' smtp-sink, which fails on wish, and by msmtp in the place of sendmail. Both are
//! unpacked and not installed: a machine keeps the mail server that it has.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use plimsoll::notify::{ChannelSettings, Outcome};

use super::{message, picture, send};
use crate::support::*;

/// What Debian's packages hold, in a folder.
fn unpacked() -> PathBuf {
    let packages =
        ["postfix", "msmtp", "libgsasl18", "libsecret-1-0", "libgssglue1", "libntlm0", "libidn12"];
    once("deb-postfix-msmtp", |folder| {
        let download = || {
            let mut command = tool("apt-get", "apt");
            command.args(["-q", "download"]).args(packages).current_dir(folder);
            command.stdin(Stdio::null()).output().expect("it runs").status.success()
        };
        if !download() {
            // The lists of packages are missing or old.
            installs(tool("apt-get", "apt").args(["-q", "update"]));
            assert!(download(), "apt-get download {packages:?}");
        }
        for entry in folder.read_dir().expect("readable").map_while(Result::ok) {
            if entry.path().extension().is_some_and(|end| end == "deb") {
                installs(tool("dpkg", "dpkg").arg("-x").arg(entry.path()).arg(folder.join("root")));
            }
        }
    })
    .join("root")
}

fn libraries(root: &Path) -> String {
    let triple = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    format!("{}:{}", root.join("usr/lib/postfix").display(), root.join(triple).display())
}

/// A sink that ends with the test.
struct Sink(Child, u16);

impl Sink {
    /// It fails as these arguments say.
    fn start(root: &Path, failure: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let mut command = Command::new(root.join("usr/sbin/smtp-sink"));
        // Root would not be let in.
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        let child = command
            .env("LD_LIBRARY_PATH", libraries(root))
            .args(failure)
            .args([&format!("127.0.0.1:{port}"), "100"])
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        let sink = Self(child, port);
        eventually("the sink listens", PATIENCE, || {
            TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())
        });
        sink
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _buried = self.0.wait();
    }
}

/// The outcome in a word, and what was said.
fn told(outcome: Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Sent { said } => ("sent", said),
        Outcome::Retry { said, .. } => ("again", said),
        Outcome::Refused { said } => ("refused", said),
    }
}

/// An outcome, and some of its words.
type Told = (&'static str, &'static str);
/// What the sink is told to do, and what becomes of a mail then: directly, and by msmtp.
type Failure = (&'static [&'static str], Told, Told);

const FAILURES: [Failure; 8] = [
    (&[], ("sent", "250 2.0.0 Ok"), ("sent", "sendmail has it")),
    (
        &["-r", "DATA"],
        ("again", "450 4.3.0 Error: command failed (to DATA)"),
        ("again", "status 69"),
    ),
    (
        &["-r", "RCPT"],
        ("again", "450 4.3.0 Error: command failed (to RCPT)"),
        ("again", "status 69"),
    ),
    (
        &["-r", "."],
        ("again", "450 4.3.0 Error: command failed (to the mail)"),
        ("again", "status 69"),
    ),
    (
        &["-f", "RCPT"],
        ("refused", "500 5.3.0 Error: command failed (to RCPT)"),
        ("refused", "status 65"),
    ),
    (
        &["-f", "MAIL"],
        ("refused", "500 5.3.0 Error: command failed (to MAIL)"),
        ("refused", "status 65"),
    ),
    (&["-q", "DATA"], ("again", "it hung up before it answered to DATA"), ("again", "status 76")),
    (
        &["-q", "CONNECT"],
        ("again", "it hung up before it answered to connect"),
        ("again", "status 76"),
    ),
];

#[test]
fn a_sink_that_fails_is_tried_again_or_not_as_it_says() {
    let root = unpacked();
    let folder = Folder::new();
    let mut wrong = Vec::new();
    for (failure, direct, by_program) in FAILURES {
        let sink = Sink::start(&root, failure);
        let port = sink.1;
        let target = format!("mailto://127.0.0.1:{port}?to=a@example.org&from=p@example.org");
        let settings = ChannelSettings::of_environment("web1");
        let came = told(send(&target, settings.clone(), &message(), Some(&picture())));
        if came.0 != direct.0 || !came.1.contains(direct.1) {
            wrong.push(format!("{failure:?}: {came:?}"));
        }
        // A plain address and no server: sendmail, which msmtp is here.
        let config = folder.join("msmtprc");
        let text = format!("account default\nhost 127.0.0.1\nport {port}\nfrom p@example.org\n");
        std::fs::write(&config, text).expect("the folder can be written");
        let sendmail = folder.join("sendmail");
        let script = format!(
            "#!/bin/sh\nLD_LIBRARY_PATH={} exec {} -C {} \"$@\"\n",
            libraries(&root),
            root.join("usr/bin/msmtp").display(),
            config.display()
        );
        std::fs::write(&sendmail, script).expect("the folder can be written");
        std::fs::set_permissions(&sendmail, std::fs::Permissions::from_mode(0o755)).expect("ours");
        let settings = ChannelSettings { sendmail, ..settings };
        let came = told(send("a@example.org", settings, &message(), Some(&picture())));
        if came.0 != by_program.0 || !came.1.contains(by_program.1) {
            wrong.push(format!("{failure:?} by msmtp: {came:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
