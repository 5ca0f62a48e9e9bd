//! notify: all changes that wait for one channel -> one message of at most [`LONGEST`] bytes. A pure
//! function of the changes, the time and the zone: a message that is sent again is the same one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use super::{Alert, Message, Note, Occasion};
use crate::model::Severity;
use crate::model::unit;

/// Bytes of a message's title and lines together.
pub const LONGEST: usize = 4_096;
/// Of many alerts so many are named.
const NAMED: usize = 5;
/// Of many subjects in a title.
const IN_TITLE: usize = 3;
/// Bytes of a title, and of a line.
const LONGEST_TITLE: usize = 300;
const LONGEST_LINE: usize = 300;
/// A message that is sent later than this after its change says so.
const LATE_MS: i64 = 5 * 60_000;

/// What one alert comes to, of all its changes that wait.
struct Item<'n> {
    /// The change that says most: the newest one that fires, or the one by which it was over.
    note: &'n Note,
    /// Its sentence: of something that began and ended, as it was at the beginning.
    text: &'n str,
    what: What,
    /// When it began, ms since 1970 UTC.
    from: i64,
    /// How often it began within these changes.
    times: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// It fires, and this was not told.
    Fires,
    /// It still fires.
    Reminder,
    /// It began and ended, and neither was told.
    Was,
    /// It is over, and its beginning was told.
    Over,
}

impl Item<'_> {
    fn fires(&self) -> bool {
        matches!(self.what, What::Fires | What::Reminder)
    }

    /// Since when it has been wrong, ms since 1970 UTC: longer than it has been known to be.
    fn since(&self) -> i64 {
        self.note.began.map_or(self.from, |began| began.min(self.from))
    }

    /// When it was over, ms since 1970 UTC.
    fn until(&self) -> i64 {
        self.note.alert.ends_at.unwrap_or(self.note.at)
    }
}

/// Where and when a message is composed.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// The zone of the times in it.
    pub zone: &'p TimeZone,
    /// The present, ms since 1970 UTC.
    pub now: i64,
    /// Alerts that began and ended and could not be told in time: how many, from when, until when (ms
    /// since 1970 UTC).
    pub untold: Option<(u64, i64, i64)>,
}

/// One message of these changes, with their numbers in the outbox, in their order. They are of one
/// machine, or of several. Nothing if there are none.
pub fn compose(notes: &[(i64, &Note)], place: Place<'_>) -> Option<Message> {
    let (_, first) = *notes.first()?;
    let mut items = items(notes);
    items.sort_by_key(|item| {
        (!item.fires(), std::cmp::Reverse(item.note.severity), item.from, &item.note.text)
    });
    let worst = items.first()?;
    let severity = items.iter().filter(|i| i.fires()).map(|i| i.note.severity).max();
    let severity = severity.or_else(|| items.iter().map(|i| i.note.severity).max())?;
    let hosts = {
        let mut hosts: Vec<&str> = notes.iter().map(|(_, n)| n.host.as_str()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts.len()
    };
    let writer = Writer { place, hosts };
    let (title, lines) = match items.as_slice() {
        [one] => writer.one(one, &notes.iter().map(|(_, n)| *n).collect::<Vec<_>>()),
        many => writer.many(many, severity, notes.len()),
    };
    let (title, lines) = fitted(title, lines, writer.last_lines(first));
    let occasion = match (hosts, worst.what) {
        (2.., _) => Occasion::Digest,
        (_, What::Fires) => Occasion::Fire,
        (_, What::Reminder) => Occasion::Reminder,
        (_, What::Was) => Occasion::Was,
        (_, What::Over) => Occasion::Over,
    };
    let (fingerprint, began) = worst.note.episode();
    Some(Message {
        key: key(first, notes),
        thread: format!("{fingerprint}/{began}"),
        occasion,
        severity,
        host: if hosts == 1 { first.host.clone() } else { format!("{hosts} machines") },
        title,
        lines,
        link: worst.note.link.clone(),
        at: place.now,
        alerts: items.iter().map(|item| alert(item)).collect(),
        chart: worst.note.chart.clone(),
    })
}

/// A key that is the same for the same changes, and another one for others: a receiver that drops second
/// copies must not drop a message with later changes.
fn key(first: &Note, notes: &[(i64, &Note)]) -> String {
    let mut hash = Sha256::new();
    for (id, _) in notes {
        hash.update(id.to_le_bytes());
    }
    let seq: String = hash.finalize().iter().take(4).fold(String::new(), |mut out, byte| {
        let _always = write!(out, "{byte:02x}");
        out
    });
    let (fingerprint, began) = first.episode();
    format!("{fingerprint}/{began}/{seq}")
}

/// Changes of one episode of an alert become one item; so do episodes of one alert of which the earlier
/// ones began and ended within these changes.
fn items<'n>(notes: &[(i64, &'n Note)]) -> Vec<Item<'n>> {
    let mut by_alert: BTreeMap<&str, Vec<&'n Note>> = BTreeMap::new();
    for (_, note) in notes {
        by_alert.entry(&note.alert.fingerprint).or_default().push(note);
    }
    let item = |all: Vec<&'n Note>| {
        let last = *all.last()?;
        let began = |note: &&&Note| note.occasion == Occasion::Fire;
        let first = all.iter().find(began);
        let ended_before = all.first().is_some_and(|n| n.occasion == Occasion::Over);
        let what = match last.occasion {
            Occasion::Over if first.is_some() && !ended_before => What::Was,
            Occasion::Over => What::Over,
            Occasion::Reminder if first.is_none() => What::Reminder,
            _ => What::Fires,
        };
        // A reminder says less than the change before it.
        let note = match what {
            What::Fires => all.iter().rfind(began).copied().unwrap_or(last),
            _ => last,
        };
        let from = match what {
            What::Was => first.map_or(last, |n| *n).alert.starts_at,
            _ => note.alert.starts_at,
        };
        let text = match what {
            What::Was => &first.map_or(last, |n| *n).text,
            _ => &note.text,
        };
        let mut starts: Vec<i64> = all.iter().map(|n| n.alert.starts_at).collect();
        starts.dedup();
        Some(Item { note, text, what, from, times: starts.len() })
    };
    by_alert.into_values().filter_map(item).collect()
}

fn alert(item: &Item<'_>) -> Alert {
    let mut alert = item.note.alert.clone();
    alert.firing = item.fires();
    alert.starts_at = item.from;
    alert.ends_at = (!item.fires()).then(|| item.until());
    alert
}

struct Writer<'p> {
    place: Place<'p>,
    hosts: usize,
}

impl Writer<'_> {
    /// A time of the present day as `03:10`, another one with its day.
    fn clock(&self, ms: i64) -> String {
        let zoned = |ms: i64| {
            Timestamp::from_millisecond(ms).ok().map(|t| t.to_zoned(self.place.zone.clone()))
        };
        match (zoned(ms), zoned(self.place.now)) {
            (Some(at), Some(now)) if at.date() == now.date() => at.strftime("%H:%M").to_string(),
            (Some(at), _) => at.strftime("%a %-d %b %H:%M").to_string(),
            (None, _) => format!("{ms} ms"),
        }
    }

    /// From one time to another; the day stands once where it is the same.
    fn span(&self, from: i64, to: i64) -> String {
        let zoned = |ms: i64| {
            Timestamp::from_millisecond(ms).ok().map(|t| t.to_zoned(self.place.zone.clone()))
        };
        match (zoned(from), zoned(to)) {
            (Some(a), Some(b)) if a.date() == b.date() && a.offset() == b.offset() => {
                format!("{} to {}", a.strftime("%a %-d %b %H:%M"), b.strftime("%H:%M %:z"))
            }
            _ => format!("{} to {}", self.full(from), self.full(to)),
        }
    }

    /// A time with its day and the offset of the zone.
    fn full(&self, ms: i64) -> String {
        Timestamp::from_millisecond(ms).map_or_else(
            |_| format!("{ms} ms"),
            |t| t.to_zoned(self.place.zone.clone()).strftime("%a %-d %b %H:%M:%S %:z").to_string(),
        )
    }

    fn one(&self, item: &Item<'_>, all: &[&Note]) -> (String, Vec<String>) {
        let note = item.note;
        let mut lines = Vec::new();
        let told = on_host(item.text, &note.host);
        let subject = subject_on_host(item.text, &note.host);
        let lasted = duration(item.until() - item.since());
        let peak = peak(note);
        let title = match item.what {
            What::Fires => format!("{}: {told}", note.severity.word()),
            What::Reminder => {
                let since = duration(self.place.now - item.since());
                format!("still {} after {since}: {told}", note.severity.word())
            }
            What::Over => format!("over after {lasted}: {subject}{peak}"),
            What::Was if item.times > 1 => format!(
                "over: {} {} times from {} to {}{peak}",
                was(&told),
                item.times,
                self.clock(item.since()),
                self.clock(item.until())
            ),
            What::Was => format!(
                "over: {} from {} to {} ({lasted}){peak}",
                was(&told),
                self.clock(item.since()),
                self.clock(item.until())
            ),
        };
        if item.fires() {
            let since = duration(self.place.now - item.since());
            lines.push(format!("since {}, for {since}", self.full(item.since())));
        } else {
            // Several rules are about one disk: which one is over.
            let rule = note.alert.labels.get("alertname").map_or("", String::as_str);
            let lead = if rule.is_empty() { String::new() } else { format!("{rule}, ") };
            lines.push(format!("{lead}{}", self.span(item.since(), item.until())));
        }
        lines.extend(values(note, item.fires()));
        if !note.remark.is_empty() {
            lines.push(note.remark.clone());
        }
        if item.what == What::Was {
            lines.push("It began and ended before it could be told.".to_owned());
        } else if let Some(over) = all.iter().rfind(|n| n.occasion == Occasion::Over)
            && item.what == What::Fires
        {
            lines.push(format!("It was over at {} and began again.", self.clock(over.at)));
        }
        if item.fires() {
            lines.extend(culprits(&note.alert.culprits));
        }
        if !note.also.is_empty() {
            let still = if item.fires() { "also wrong" } else { "still wrong" };
            lines.push(format!("{still} on {}:", note.host));
            lines.extend(note.also.iter().take(NAMED).map(|text| format!("  {text}")));
            if note.also.len() > NAMED {
                lines.push(format!("  and {} more", note.also.len() - NAMED));
            }
        }
        if !note.log.is_empty() && item.fires() {
            lines.push("last lines of its log:".to_owned());
            lines.extend(note.log.iter().map(|line| format!("  {line}")));
        }
        if item.what == What::Reminder {
            let id: String = note.alert.fingerprint.chars().take(8).collect();
            lines.push(format!("No more reminders: plimsoll ack {id}"));
        }
        (title, lines)
    }

    fn many(
        &self,
        items: &[Item<'_>],
        severity: Severity,
        changes: usize,
    ) -> (String, Vec<String>) {
        let (fire, over): (Vec<&Item<'_>>, Vec<&Item<'_>>) = items.iter().partition(|i| i.fires());
        let told = |item: &Item<'_>| {
            if self.hosts > 1 { on_host(item.text, &item.note.host) } else { item.text.to_owned() }
        };
        let host = items.first().map_or("", |i| i.note.host.as_str());
        let place =
            if self.hosts > 1 { format!("{} machines", self.hosts) } else { host.to_owned() };
        let also_over =
            if over.is_empty() { String::new() } else { format!("; {} over", over.len()) };
        let title = match fire.as_slice() {
            [] => {
                let mut subjects: Vec<String> = (over.iter().take(IN_TITLE))
                    .map(|item| subject(&told(item)).to_owned())
                    .collect();
                if over.len() > IN_TITLE {
                    subjects.push(format!("{} more", over.len() - IN_TITLE));
                }
                format!("over: {} alerts on {place}: {}", over.len(), subjects.join(", "))
            }
            [one] => format!(
                "{}: {}{also_over}",
                severity.word(),
                on_host(&one.note.text, &one.note.host)
            ),
            [worst, ..] => format!(
                "{}: {} alerts on {place}, the worst: {}{also_over}",
                severity.word(),
                fire.len(),
                told(worst)
            ),
        };
        let mut lines = Vec::new();
        if self.hosts > 1 {
            lines.push(format!("{changes} changes on {place} since the message before"));
        }
        for item in fire.iter().take(NAMED) {
            let note = item.note;
            let since = duration(self.place.now - item.since());
            let still = if item.what == What::Reminder { "still " } else { "" };
            lines.push(format!(
                "{still}{}: {}, since {} ({since})",
                note.severity.word(),
                told(item),
                self.clock(item.since())
            ));
            if !note.remark.is_empty() {
                lines.push(format!("  {}", note.remark));
            }
        }
        if let Some(worst) = fire.first() {
            lines.extend(culprits(&worst.note.alert.culprits));
        }
        if fire.len() > NAMED {
            lines.push(format!("and {}", counted(&fire[NAMED..])));
        }
        for item in over.iter().take(NAMED) {
            lines.push(match item.what {
                What::Was => format!(
                    "over: {} from {} to {}",
                    was(&told(item)),
                    self.clock(item.since()),
                    self.clock(item.until())
                ),
                _ => format!(
                    "over after {}: {}",
                    duration(item.until() - item.since()),
                    subject(&told(item))
                ),
            });
        }
        if over.len() > NAMED {
            lines.push(format!("and {} over", counted(&over[NAMED..])));
        }
        (title, lines)
    }

    /// That the message comes late, and what could not be told at all.
    fn last_lines(&self, first: &Note) -> Vec<String> {
        let mut lines = Vec::new();
        let due = first.at.max(first.not_before);
        if self.place.now - due > LATE_MS {
            lines.push(format!(
                "This comes {} late: it could not be sent before.",
                duration(self.place.now - due)
            ));
        }
        if let Some((count, from, to)) = self.place.untold {
            lines.push(format!(
                "{count} older alerts between {} and {} could not be told in time; `plimsoll alert` \
                 shows them.",
                self.clock(from),
                self.clock(to)
            ));
        }
        lines
    }
}

/// `value 98.2 %, limit 97 %`
fn values(note: &Note, fires: bool) -> Option<String> {
    let now = if fires { "value" } else { "now" };
    match (note.value.as_str(), note.limit.as_str()) {
        ("", _) => None,
        (value, "") => Some(format!("{now} {value}")),
        (value, limit) => Some(format!("{now} {value}, limit {limit}")),
    }
}

/// `, peak 98.2 %`, or `, lowest 3.1 %` where what is too small is wrong.
fn peak(note: &Note) -> String {
    let low = note.alert.limit.is_some_and(|limit| note.alert.peak < limit);
    match note.peak.as_str() {
        "" => String::new(),
        peak if low => format!(", lowest {peak}"),
        peak => format!(", peak {peak}"),
    }
}

/// The processes and units that matter, below each other.
fn culprits(list: &[String]) -> Vec<String> {
    let lead = |at: usize| if at == 0 { "by: " } else { "    " };
    list.iter().take(3).enumerate().map(|(at, one)| format!("{}{one}", lead(at))).collect()
}

/// `195 more: disk_full 120, inodes 75`
fn counted(items: &[&Item<'_>]) -> String {
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    for item in items {
        let rule = item.note.alert.labels.get("alertname").map_or("other", String::as_str);
        *rules.entry(rule).or_default() += 1;
    }
    let mut rules: Vec<(&str, usize)> = rules.into_iter().collect();
    rules.sort_by_key(|(rule, count)| (std::cmp::Reverse(*count), *rule));
    let more = rules.len().saturating_sub(NAMED);
    let mut named: Vec<String> =
        rules.iter().take(NAMED).map(|(rule, count)| format!("{rule} {count}")).collect();
    if more > 0 {
        named.push(format!("{more} more rules"));
    }
    format!("{} more: {}", items.len(), named.join(", "))
}

/// How long something takes: `4 h` and not `4 h 0 min`.
fn duration(ms: i64) -> String {
    let text = unit::duration(ms);
    let short = text.strip_suffix(" 0 min").or_else(|| text.strip_suffix(" 0 h"));
    short.map_or_else(|| text.clone(), str::to_owned)
}

/// Words that stand between the subject of a sentence and what is said of it.
const VERBS: [(&str, &str); 14] = [
    (" is ", " was "),
    (" are ", " were "),
    (" has ", " had "),
    (" have ", " had "),
    (" was ", " was "),
    (" does ", " did "),
    (" will ", " was to "),
    (" fails", " failed"),
    (" waits ", " waited "),
    (" misses ", " missed "),
    (" says ", " said "),
    (" shows ", " showed "),
    (" takes ", " took "),
    (" ended ", " ended "),
];

fn verb(text: &str) -> Option<(usize, &'static str, &'static str)> {
    VERBS
        .iter()
        .filter_map(|(is, was)| text.find(is).map(|at| (at, *is, *was)))
        .min_by_key(|(at, ..)| *at)
}

/// `disk / is 98 % full` on web1 -> `disk / on web1 is 98 % full`.
fn on_host(text: &str, host: &str) -> String {
    if host.is_empty() || text.contains(host) {
        return text.to_owned();
    }
    match verb(text) {
        Some((at, ..)) => format!("{} on {host}{}", &text[..at], &text[at..]),
        // What has no subject is about the machine: `was started 2 min ago`.
        None if VERBS.iter().any(|(is, _)| text.starts_with(is.trim_start())) => {
            format!("{host} {text}")
        }
        None => format!("{host}: {text}"),
    }
}

/// What a sentence is about: `disk / is 98 % full, 5.1 GB left` -> `disk /`.
fn subject(text: &str) -> &str {
    let end = verb(text).map(|(at, ..)| at).or_else(|| text.find(", ")).unwrap_or(text.len());
    &text[..end]
}

fn subject_on_host(text: &str, host: &str) -> String {
    let subject = subject(text);
    if host.is_empty() || subject.contains(host) {
        return subject.to_owned();
    }
    if verb(text).is_some() { format!("{subject} on {host}") } else { format!("{host}: {subject}") }
}

/// The sentence of something that is over.
fn was(text: &str) -> String {
    match verb(text) {
        Some((at, is, was)) => format!("{}{was}{}", &text[..at], &text[at + is.len()..]),
        None => text.to_owned(),
    }
}

/// Shortens what is too long: first lines, from the end, then the title, which is never left out.
fn fitted(title: String, lines: Vec<String>, last: Vec<String>) -> (String, Vec<String>) {
    let title = cut(one_line(&title), LONGEST_TITLE);
    let last: Vec<String> = last.into_iter().map(|line| cut(line, LONGEST_LINE)).collect();
    let mut left = LONGEST - title.len() - last.iter().map(|line| line.len() + 1).sum::<usize>();
    let mut kept = Vec::new();
    for line in lines {
        let line = cut(one_line(&line), LONGEST_LINE);
        if line.len() + 1 > left.saturating_sub(4) {
            kept.push("…".to_owned());
            break;
        }
        left -= line.len() + 1;
        kept.push(line);
    }
    kept.extend(last);
    (title, kept)
}

/// What a process or a label calls itself may have any characters in it.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn cut(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let mut end = most - "…".len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
pub(super) mod tests;
