//! A mail as maildev shows it, which reads mails as people's programs do. It is 120 MB of packages, so
//! ci/torture/receivers asks for it.

use std::net::TcpListener;
use std::process::{Child, Stdio};

use plimsoll::notify::{ChannelSettings, Outcome};
use serde_json::Value;

use super::{message, picture, send};
use crate::support::*;

/// It ends with the test.
struct Maildev(Child);

impl Drop for Maildev {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _buried = self.0.wait();
    }
}

#[test]
#[ignore = "120 MB of maildev: ci/torture/receivers runs it"]
fn maildev_shows_the_text_the_page_and_the_picture_within() {
    let modules = npm_installed("npm-maildev-3.0.0", &["maildev@3.0.0"]);
    let [smtp, web] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let ports = [&smtp, &web].map(|free| free.local_addr().expect("bound").port());
    drop((smtp, web));
    let [smtp, web] = ports;
    let server = tool("node", "nodejs")
        .arg(modules.join(".bin/maildev"))
        .args(["--smtp", &smtp.to_string(), "--web", &web.to_string()])
        .args(["--ip", "127.0.0.1", "--web-ip", "127.0.0.1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let _server = Maildev(server);
    let target = format!("mailto://127.0.0.1:{smtp}?to=a@example.org&from=p@example.org");
    let message = message();
    let settings = || ChannelSettings::of_environment("web1");
    eventually("maildev takes it", PATIENCE, || {
        match send(&target, settings(), &message, Some(&picture())) {
            Outcome::Sent { .. } => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let ask = |path: &str| {
        run(tool("curl", "curl").args(["-s", &format!("http://127.0.0.1:{web}/api/email{path}")]))
            .well()
    };
    let all: Value = serde_json::from_str(&ask("")).expect("JSON");
    let mail = &all[0];
    assert_eq!(mail["subject"], message.title, "{all}");
    assert_eq!(mail["from"][0]["name"], "plimsoll on web1");
    let text = mail["text"].as_str().expect("text");
    assert!(text.starts_with(&message.title) && text.contains("limit = 97 %"), "{text}");
    // The picture stands in the page, and the page fetches nothing.
    let page = ask(&format!("/{}/html", mail["id"].as_str().expect("it has one")));
    assert!(page.contains(&message.title) && page.contains("limit = 97 %"), "{page}");
    assert!(page.contains("src=\"data:image/png;base64,"), "{page}");
    assert!(!page.contains("src=\"http") && !page.contains("<script"), "{page}");
}
