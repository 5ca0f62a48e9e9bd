//! notify: a message as a mail (RFC 5322, RFC 2045): plain text and HTML side by side, the picture
//! within, all of it ASCII.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::message::{Message, Picture};
use super::text::{Mood, below, colour, html, mood};
use crate::wire::base64;

/// The longest line of text.
const WIDTH: usize = 76;

/// The envelope of a mail.
pub struct Envelope<'a> {
    /// An address.
    pub from: &'a str,
    /// Addresses.
    pub to: &'a [String],
    /// Where the mail was made: the right side of its identifiers.
    pub host: &'a str,
    /// The zone of its date.
    pub zone: TimeZone,
}

/// The mail, with lines that end in CR LF.
pub fn mail(message: &Message, picture: Option<&Picture>, envelope: &Envelope<'_>) -> Vec<u8> {
    let mark = |name: &str| format!("{name}-{}", word(&message.key));
    let head = head(message, envelope);
    let texts = part("text/plain; charset=utf-8", "", &quoted(&plain(message)));
    let page = part("text/html; charset=utf-8", "", &quoted(&page(message, picture)));
    let both = several("alternative", &mark("text"), &[texts, page]);
    let body = match picture {
        None => both,
        Some(picture) => {
            let id = "Content-ID: <chart@plimsoll>\r\n\
                      Content-Disposition: inline; filename=\"chart.png\"\r\n";
            let bytes = wrapped(&base64::encode(&picture.png));
            let shown = format!(
                "Content-Type: image/png; name=\"chart.png\"\r\nContent-Transfer-Encoding: base64\r\n{id}\r\n{bytes}"
            );
            several("related; type=\"multipart/alternative\"", &mark("all"), &[both, shown])
        }
    };
    format!("{head}{body}").into_bytes()
}

fn head(message: &Message, envelope: &Envelope<'_>) -> String {
    let id = |key: &str| format!("<{}.plimsoll@{}>", word(key), word(envelope.host));
    let at = Timestamp::from_millisecond(message.at).unwrap_or_default();
    let date = date(&at.to_zoned(envelope.zone.clone()));
    let name = encoded(&format!("plimsoll on {}", message.host));
    let mut lines = vec![
        format!("From: {name} <{}>", envelope.from),
        format!("To: {}", envelope.to.join(",\r\n ")),
        format!("Subject: {}", encoded(&message.title)),
        format!("Date: {date}"),
        format!("Message-ID: {}", id(&message.key)),
    ];
    if message.thread != message.key && !message.thread.is_empty() {
        let thread = id(&format!("thread.{}", message.thread));
        lines.push(format!("In-Reply-To: {thread}"));
        lines.push(format!("References: {thread}"));
    }
    // No holiday message answers this, and no list.
    lines.push("Auto-Submitted: auto-generated".into());
    lines.push("X-Auto-Response-Suppress: All".into());
    if mood(message) == Mood::Bad {
        lines.push("Importance: high".into());
    }
    lines.push("MIME-Version: 1.0".into());
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

/// `Tue, 1 Dec 2026 05:23:53 +0100`.
fn date(at: &Zoned) -> String {
    jiff::fmt::rfc2822::to_string(at).unwrap_or_default()
}

/// What may stand in an identifier; everything else becomes a dot.
fn word(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    text.chars().map(|c| if fits(c) { c } else { '.' }).collect()
}

/// A header's text: as it is, or as words of base64 no longer than 75 characters (RFC 2047).
fn encoded(text: &str) -> String {
    let plain = text.bytes().all(|b| (b' '..=b'~').contains(&b)) && !text.contains("=?");
    if plain && text.len() <= 60 && !text.contains(['"', '<', '>', '@', ',', ';', '(', ')', ':']) {
        return text.to_owned();
    }
    let mut words = vec![String::new()];
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if let Some(last) = words.last_mut() {
            if last.len() + c.len_utf8() <= 42 {
                last.push(c);
            } else {
                words.push(c.to_string());
            }
        }
    }
    let word = |text: &String| format!("=?utf-8?B?{}?=", base64::encode(text.as_bytes()));
    words.iter().map(word).collect::<Vec<_>>().join("\r\n ")
}

fn part(content: &str, more: &str, body: &str) -> String {
    format!(
        "Content-Type: {content}\r\nContent-Transfer-Encoding: quoted-printable\r\n{more}\r\n{body}\r\n"
    )
}

fn several(kind: &str, mark: &str, parts: &[String]) -> String {
    let mut out = format!("Content-Type: multipart/{kind};\r\n boundary=\"{mark}\"\r\n\r\n");
    for part in parts {
        out.push_str(&format!("--{mark}\r\n{part}\r\n"));
    }
    out + &format!("--{mark}--\r\n")
}

/// Quoted-printable: lines of at most 76 characters, ASCII only.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 5 / 4);
    for line in text.split('\n') {
        let mut width = 0;
        let bytes = line.as_bytes();
        for (place, byte) in bytes.iter().enumerate() {
            let last = place + 1 == bytes.len();
            let plain = (33..=126).contains(byte) && *byte != b'=' || *byte == b' ' && !last;
            // A dot at the beginning would have to be doubled on its way.
            let plain = plain && !(*byte == b'.' && width == 0);
            let length = if plain { 1 } else { 3 };
            if width + length >= WIDTH {
                out.push_str("=\r\n");
                width = 0;
            }
            if plain {
                out.push(char::from(*byte));
            } else {
                out.push_str(&format!("={byte:02X}"));
            }
            width += length;
        }
        out.push_str("\r\n");
    }
    out
}

fn wrapped(base64: &str) -> String {
    let mut out = String::with_capacity(base64.len() * 78 / 76 + 2);
    let mut rest = base64;
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(WIDTH));
        out.push_str(line);
        out.push_str("\r\n");
        rest = after;
    }
    out
}

fn plain(message: &Message) -> String {
    let lines: Vec<&str> = below(message).collect();
    format!("{}\n\n{}\n", message.title, lines.join("\n"))
}

/// For a phone's width, and without anything that is fetched.
fn page(message: &Message, picture: Option<&Picture>) -> String {
    let colour = colour(mood(message));
    let mut out = format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"></head>\n\
         <body style=\"margin:0;padding:12px;font:15px/1.45 -apple-system,Segoe UI,Roboto,sans-serif\">\n\
         <div style=\"max-width:640px;border-left:5px solid #{colour:06x};padding:2px 0 2px 12px\">\n\
         <p style=\"margin:0 0 10px;font-size:17px;font-weight:600\">{}</p>\n",
        html(&message.title)
    );
    for line in &message.lines {
        let line = if line.is_empty() { "&nbsp;".to_owned() } else { html(line) };
        out.push_str(&format!(
            "<p style=\"margin:0 0 4px;white-space:pre-wrap;overflow-wrap:anywhere\">{line}</p>\n"
        ));
    }
    if let Some(picture) = picture {
        out.push_str(&format!(
            "<p style=\"margin:12px 0\"><img src=\"cid:chart@plimsoll\" alt=\"{}\" \
             style=\"display:block;width:100%;height:auto\"></p>\n",
            html(&picture.alt)
        ));
    }
    if let Some(link) = &message.link {
        let link = html(link);
        out.push_str(&format!("<p style=\"margin:12px 0 0\"><a href=\"{link}\">{link}</a></p>\n"));
    }
    out.push_str("</div>\n</body></html>");
    // Some programs show a page without looking at its encoding.
    let mut ascii = String::with_capacity(out.len());
    for c in out.chars() {
        match c {
            c if c.is_ascii() => ascii.push(c),
            c => ascii.push_str(&format!("&#{};", u32::from(c))),
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::message::example;

    fn made(message: &Message, picture: Option<&Picture>) -> String {
        let envelope = Envelope {
            from: "plimsoll@web1",
            to: &["me@example.org".into(), "b@example.org".into()],
            host: "web1",
            zone: TimeZone::get("Europe/Berlin").expect("a zone"),
        };
        String::from_utf8(mail(message, picture, &envelope)).expect("text")
    }

    #[test]
    fn every_line_is_ascii_and_short() {
        let mut message = example();
        message.title = "bad: Festplatte „größe“ ".repeat(8);
        message.lines.push(".".into());
        message.lines.push("long ".repeat(100) + "end ");
        message.lines.push("=?utf-8?Q?no?=".into());
        let picture = Picture { png: vec![0xff; 1_000], alt: "<a \"chart\">".into() };
        let mail = made(&message, Some(&picture));
        assert!(mail.is_ascii());
        for line in mail.split("\r\n") {
            assert!(line.len() <= 78 && !line.contains(['\n', '\r']), "{line:?}");
            assert!(!line.starts_with('.') && !line.ends_with(' '), "{line:?}");
        }
    }

    #[test]
    fn headers_say_who_when_and_to_what_it_belongs() {
        let message = example();
        let mail = made(&message, None);
        for line in [
            "To: me@example.org,\r\n b@example.org",
            "Date: Tue, 1 Dec 2026 05:23:53 +0100",
            "Message-ID: <00c0ffee00c0ffee.1796099033123.1.plimsoll@web1>",
            "References: <thread.00c0ffee00c0ffee.1796099033123.plimsoll@web1>",
            "Auto-Submitted: auto-generated",
            "Importance: high",
        ] {
            assert!(mail.contains(&format!("{line}\r\n")), "{line}: {mail}");
        }
        assert!(mail.contains("From: plimsoll on web1 <plimsoll@web1>\r\n"), "{mail}");
        assert!(!mail.contains("image/png"));
    }

    #[test]
    fn words_of_headers_are_whole_characters() {
        assert_eq!(encoded("plain text"), "plain text");
        assert_eq!(encoded("ü\r\nBcc: x"), "=?utf-8?B?w7wgIEJjYzogeA==?=");
        for word in encoded(&"ü".repeat(100)).split("\r\n ") {
            let inside = word.trim_start_matches("=?utf-8?B?").trim_end_matches("?=");
            let bytes = base64::decode(inside).expect("base64");
            assert!(word.len() <= 75 && String::from_utf8(bytes).is_ok(), "{word}");
        }
    }
}
