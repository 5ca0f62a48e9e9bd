//! A chat of telegram-test-api, which takes what Telegram's bots send.

use std::process::Command;

use plimsoll::notify::{ChannelSettings, Outcome};
use serde_json::Value;

use super::mail::Served;
use super::{message, send};
use crate::support::*;

/// Prints its port, and answers until it is ended.
const SERVER: &str = "
const net = require('node:net');
const TelegramServer = require('telegram-test-api');
const free = net.createServer().listen(0, '127.0.0.1', () => {
  const port = free.address().port;
  free.close(async () => {
    const server = new TelegramServer({ port, host: '127.0.0.1', storeTimeout: 600 });
    await server.start();
    console.log(port);
  });
});
";

#[test]
fn telegram_shows_the_first_line_in_bold_and_the_rest_as_it_is() {
    let modules = npm_installed("npm-telegram-test-api-4.2.1", &["telegram-test-api@4.2.1"]);
    let mut server = Command::new(tool("node", "nodejs").get_program());
    server.env("NODE_PATH", modules).args(["-e", SERVER]);
    let (_server, port) = Served::start(&mut server);
    let token = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw";
    let target = format!("tgram://{token}/1234?api=http://127.0.0.1:{port}");
    let mut message = message();
    message.lines.push("<also>: load 14 & *rising*".into());
    let outcome = send(&target, ChannelSettings::of_environment("web1"), &message, None);
    assert_eq!(outcome, Outcome::Sent { said: "200 message 1".into() });
    let told = run(tool("curl", "curl")
        .args(["-s", &format!("http://127.0.0.1:{port}/getUpdatesHistory")])
        .args([
            "-H",
            "Content-Type: application/json",
            "-d",
            &format!("{{\"token\":\"{token}\"}}"),
        ]))
    .well();
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|e| panic!("{e}: {told}"));
    let shown = &told["result"][0]["message"];
    assert_eq!((&shown["chat_id"], &shown["parse_mode"]), (&1234.into(), &"HTML".into()), "{told}");
    let text = shown["text"].as_str().unwrap_or_else(|| panic!("{told}"));
    let (first, rest) = text.split_once('\n').expect("more than one line");
    assert_eq!(first, format!("<b>{}</b>", message.title));
    assert!(rest.contains("&lt;also&gt;: load 14 &amp; *rising*"), "{rest}");
    assert!(rest.ends_with("http://web1:1876/alerts"), "{rest}");
}
