//! notify: a message as text, shortened to what a channel takes. Its first line stays whole.

use super::message::{Message, Occasion};
use crate::model::Severity;

/// How a channel counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Bytes of UTF-8.
    Bytes,
    /// Characters.
    Chars,
    /// Units of UTF-16, as Telegram and JavaScript count.
    Utf16,
}

impl Count {
    /// The length of the text.
    pub fn of(self, text: &str) -> usize {
        match self {
            Self::Bytes => text.len(),
            Self::Chars => text.chars().count(),
            Self::Utf16 => text.encode_utf16().count(),
        }
    }
}

/// The most that a channel takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// How many.
    pub most: usize,
    /// Of what.
    pub count: Count,
}

impl Room {
    /// At most this many bytes.
    pub const fn bytes(most: usize) -> Self {
        Self { most, count: Count::Bytes }
    }

    /// At most this many characters.
    pub const fn chars(most: usize) -> Self {
        Self { most, count: Count::Chars }
    }

    /// At most this many units of UTF-16.
    pub const fn utf16(most: usize) -> Self {
        Self { most, count: Count::Utf16 }
    }

    /// What is left behind a text.
    pub fn less(self, text: &str) -> Self {
        Self { most: self.most.saturating_sub(self.count.of(text)), ..self }
    }

    /// The text, or its beginning with `…` behind it.
    pub fn cut(self, text: &str) -> String {
        if self.count.of(text) <= self.most {
            return text.to_owned();
        }
        let room = self.less("…").most;
        let mut length = 0;
        let mut units = 0;
        for c in text.chars() {
            units += self.count.of(c.encode_utf8(&mut [0; 4]));
            if units > room {
                break;
            }
            length += c.len_utf8();
        }
        let mark = if self.count.of("…") <= self.most { "…" } else { "" };
        format!("{}{mark}", &text[..length])
    }

    /// The lines that fit, whole, and a line that says how many do not. Where not even the first one
    /// fits, its beginning.
    pub fn lines<'a>(self, lines: impl IntoIterator<Item = &'a str>) -> String {
        let lines: Vec<&str> = lines.into_iter().collect();
        let whole = lines.join("\n");
        if self.count.of(&whole) <= self.most {
            return whole;
        }
        let more = |n: usize| format!("… and {n} more line{}", if n == 1 { "" } else { "s" });
        let room = self.less(&more(lines.len())).most;
        let mut kept = String::new();
        let mut length = 0;
        for (place, line) in lines.iter().enumerate() {
            length += self.count.of(line) + 1;
            if length > room {
                if place == 0 {
                    return self.cut(line);
                }
                kept.push_str(&more(lines.len() - place));
                break;
            }
            kept.push_str(line);
            kept.push('\n');
        }
        kept
    }
}

/// Everything below the first line: the other lines, and the link.
pub fn below(message: &Message) -> impl Iterator<Item = &str> {
    message.lines.iter().map(String::as_str).chain(message.link.as_deref())
}

/// The whole message as plain text: the first line, the others, the link.
pub fn plain(message: &Message, room: Room) -> String {
    let title = room.cut(&message.title);
    let rest = room.less(&title).less("\n").lines(below(message));
    if rest.is_empty() { title } else { format!("{title}\n{rest}") }
}

/// A title no longer than this, and a text. Where the first line is longer, it stands whole at the
/// beginning of the text.
pub fn titled(message: &Message, title: Room, text: Room) -> (String, String) {
    if title.count.of(&message.title) <= title.most {
        return (message.title.clone(), text.lines(below(message)));
    }
    (title.cut(&message.title), plain(message, text))
}

/// How much somebody should mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Somebody should look now.
    Bad,
    /// Somebody should look today.
    Warning,
    /// Good to know.
    Info,
    /// It is over.
    Over,
}

/// The mood of a message.
pub fn mood(message: &Message) -> Mood {
    match (message.occasion, message.severity) {
        (Occasion::Over | Occasion::Was, _) => Mood::Over,
        (Occasion::Test, _) | (_, Severity::Info) => Mood::Info,
        (_, Severity::Warning) => Mood::Warning,
        (_, Severity::Bad) => Mood::Bad,
    }
}

/// Red, amber, blue, green, as `0xRRGGBB`: readable on white and on black.
pub fn colour(mood: Mood) -> u32 {
    match mood {
        Mood::Bad => 0xd0_21_2b,
        Mood::Warning => 0xd9_8a_00,
        Mood::Info => 0x2f_74_c0,
        Mood::Over => 0x2e_8b_57,
    }
}

/// The text with `<`, `>`, `&` and quotes as HTML writes them.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// The text with a backslash before what Markdown would take for a mark.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\`*_~|[]<>#".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::message::example;

    #[test]
    fn what_does_not_fit_is_left_out_by_lines() {
        let long = ["one", "two two two two two", "three three"];
        assert_eq!(Room::chars(24).lines(long), "one\n… and 2 more lines");
        assert_eq!(Room::chars(9).lines(long), "one");
        assert_eq!(Room::chars(2).lines(long), "o…");
        assert_eq!(Room::chars(100).lines(long), long.join("\n"));
    }

    #[test]
    fn the_first_line_stays_whole() {
        let mut message = example();
        message.lines = (0..500).map(|n| format!("line {n} of many, äöü 😀")).collect();
        for room in [Room::bytes(512), Room::chars(512), Room::utf16(512), Room::bytes(4096)] {
            let text = plain(&message, room);
            assert!(room.count.of(&text) <= room.most, "{room:?}");
            assert!(text.starts_with(&format!("{}\nline 0", message.title)), "{text}");
            assert!(text.ends_with(" more lines"), "{text}");
        }
        let (title, text) = titled(&message, Room::chars(20), Room::chars(1000));
        assert_eq!(title.chars().count(), 20);
        assert!(title.ends_with('…') && text.starts_with(&message.title), "{title} {text}");
    }

    #[test]
    fn a_cut_falls_between_characters() {
        for (room, text) in [
            (Room::bytes(5), "a…"),
            (Room::chars(3), "aä…"),
            (Room::utf16(4), "aä…"),
            (Room::utf16(5), "aä😀…"),
            (Room::bytes(0), ""),
            (Room::bytes(2), ""),
        ] {
            assert_eq!(room.cut("aä😀bcdef"), text, "{room:?}");
            assert!(room.count.of(text) <= room.most);
        }
        assert_eq!(Room::chars(8).cut("aä😀bcdef"), "aä😀bcdef");
    }

    #[test]
    fn marks_of_html_and_markdown_are_text() {
        assert_eq!(html("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
        assert_eq!(markdown("disk_/ *x* [a](b)"), "disk\\_/ \\*x\\* \\[a\\](b)");
    }
}
