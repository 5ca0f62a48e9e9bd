//! cli: the appearance of `plimsoll watch`: rows of characters from the data, and a window on them.

use jiff::tz::TimeZone;
use ratatui::Frame;
use ratatui::layout::{Alignment, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

use super::super::current::{Current, Daemon};
use super::super::{screen, show, status_text};
use super::Choice;
use super::feed::Feed;
use crate::draw::terminal::{self, Cells, INKS, Ink, Page};
use crate::draw::{self, Chart, spark};
use crate::model::Unit;
use crate::overview::{Level, RANGES};

/// Less room than this shows nothing that can be read.
const LEAST: (u16, u16) = (60, 12);
/// Letters across of a chart at least.
const CHART: usize = 58;
/// Rows that one finding may take of the head.
const MOST_LINES: usize = 3;
/// Rows of a chart's field.
const FIELD: usize = 6;

/// The abilities of the terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) unicode: bool,
    pub(super) colours: bool,
}

type Rows = Vec<Line<'static>>;

/// Draws everything.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    feed: &Feed,
    choice: &mut Choice,
    look: Look,
    zone: &TimeZone,
) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!(
            "plimsoll watch needs {} columns and {} rows; this terminal has {} and {}. q quits.",
            LEAST.0, LEAST.1, area.width, area.height
        );
        let text = Paragraph::new(text).wrap(ratatui::widgets::Wrap { trim: true });
        frame.render_widget(text, area);
        return;
    }
    let width = usize::from(area.width);
    let head = head(feed, width, look, zone);
    let body = usize::from(area.height).saturating_sub(head.len() + 2);
    let rows = if choice.help {
        keys(look)
    } else if choice.search.is_some() {
        search(feed, choice, body, width, look)
    } else if let Some((key, chart)) = &choice.open {
        opened(key, chart, width, body, look, zone)
    } else {
        let rows = first_view(feed, width, look, zone);
        choice.scroll = choice.scroll.min(rows.len().saturating_sub(body));
        rows.into_iter().skip(choice.scroll).collect()
    };
    let top = head.len() as u16;
    let part = |y: u16, height: u16| Rect { y, height, ..area };
    frame.render_widget(Paragraph::new(head), part(0, top));
    frame.render_widget(Paragraph::new(rows), part(top + 1, body as u16));
    let foot = Paragraph::new(foot(choice, look)).alignment(Alignment::Left);
    frame.render_widget(foot, part(area.height - 1, 1));
}

fn paint(text: impl Into<String>, code: u8, look: Look) -> Span<'static> {
    let style = match code {
        _ if !look.colours && code != 1 && code != 7 => Style::new(),
        0 => Style::new(),
        1 => Style::new().add_modifier(Modifier::BOLD),
        2 => Style::new().add_modifier(Modifier::DIM),
        7 => Style::new().add_modifier(Modifier::REVERSED),
        code => Style::new().fg(colour(code)),
    };
    Span::styled(text.into(), style)
}

fn colour(code: u8) -> Color {
    match code {
        31 => Color::Red,
        32 => Color::Green,
        33 => Color::Yellow,
        34 => Color::Blue,
        35 => Color::Magenta,
        36 => Color::Cyan,
        95 => Color::LightMagenta,
        96 => Color::LightCyan,
        _ => Color::Reset,
    }
}

fn width_of(spans: &[Span<'_>]) -> usize {
    spans.iter().map(|s| s.content.width()).sum()
}

fn cut(text: &str, most: usize) -> String {
    draw::cut(text, most)
}

/// The verdict, the range, and the problems.
fn head(feed: &Feed, width: usize, look: Look, zone: &TimeZone) -> Rows {
    let name = feed.system().map_or("no system yet", |(name, _)| name.as_str());
    let level = feed.verdict.as_ref().map_or(Level::Well, |v| v.level);
    let findings = feed.verdict.as_ref().map_or(&[][..], |v| &v.findings);
    let (word, code) = match &feed.verdict {
        Some(verdict) if feed.system().is_some() => (verdict.words(), status_text::code(level)),
        _ => ("nothing collected yet".to_owned(), status_text::code(Level::Warning)),
    };
    let dot = if look.unicode { "● " } else { "* " };
    let mut ranges: Vec<Span<'static>> = Vec::new();
    for (at, range) in RANGES.iter().enumerate() {
        ranges.push(paint(format!(" {} ", range.name), if at == feed.range { 7 } else { 2 }, look));
    }
    let room = width.saturating_sub(width_of(&ranges) + 4 + word.len());
    let mut first = vec![
        paint(dot, code, look),
        paint(cut(&draw::clean(name), room), 1, look),
        Span::raw("  "),
    ];
    first.push(paint(word, code, look));
    let used = width_of(&first) + width_of(&ranges);
    if used <= width {
        first.push(Span::raw(" ".repeat(width - used)));
        first.extend(ranges);
    }
    let mut rows = vec![Line::from(first)];
    let collecting = match &feed.status.daemon {
        Daemon::Running(_) => "collecting",
        Daemon::Stopped => "not collecting; start with 'plimsoll run'",
        Daemon::Unknown(_) => "the daemon does not answer",
    };
    let mut second = vec![paint(format!("  {collecting}"), 2, look)];
    if let Some(newest) = feed.last_reading() {
        second.push(paint(format!(", last reading {}", status_text::clock(newest, zone)), 2, look));
    }
    rows.push(Line::from(second));
    for finding in findings.iter().take(3) {
        let code = status_text::code(finding.level);
        let lines = screen::wrapped(&status_text::said(finding, zone), width - 4);
        for (at, text) in lines.into_iter().take(MOST_LINES).enumerate() {
            let indent = if at == 0 { "  " } else { "    " };
            rows.push(Line::from(vec![Span::raw(indent), paint(text, code, look)]));
        }
    }
    if findings.len() > 3 {
        let text = format!("  and {} more", findings.len() - 3);
        rows.push(Line::from(paint(text, 2, look)));
    }
    rows
}

fn foot(choice: &Choice, look: Look) -> Line<'static> {
    if let Some(trouble) = &choice.trouble {
        return Line::from(paint(draw::clean(trouble), 31, look));
    }
    let arrows = if look.unicode { ("←→", "↑↓") } else { ("left/right", "up/down") };
    let keys: Vec<(&str, &str)> = if choice.help {
        vec![("Esc", "back"), ("q", "quit")]
    } else if choice.search.is_some() {
        vec![(arrows.1, "choose"), ("Enter", "open"), ("Esc", "back")]
    } else if choice.open.is_some() {
        vec![(arrows.0, "range"), ("/", "search"), ("Esc", "back"), ("?", "keys"), ("q", "quit")]
    } else {
        vec![
            (arrows.0, "range"),
            (arrows.1, "scroll"),
            ("/", "search"),
            ("?", "keys"),
            ("q", "quit"),
        ]
    };
    let mut spans = Vec::new();
    for (key, what) in keys {
        spans.push(paint(format!(" {key} "), 7, look));
        spans.push(paint(format!(" {what}  "), 2, look));
    }
    Line::from(spans)
}

/// Every key and what it does.
fn keys(look: Look) -> Rows {
    let arrows = if look.unicode { ["← →", "↑ ↓"] } else { ["left, right", "up, down"] };
    let all = [
        (arrows[0], "a shorter or a longer range; also h and l, - and +"),
        ("1 to 8", "this range: 5m, 1h, 6h, 24h, 7d, 30d, 1y, all"),
        (arrows[1], "scroll; also k and j"),
        ("PgUp PgDn", "scroll by ten rows; also the space bar"),
        ("Home End", "to the first row, to the last; also g and G"),
        ("/", "search among all series; Enter opens one"),
        ("Esc", "back to where you were"),
        ("?", "these keys"),
        ("q", "quit; also Ctrl-C"),
    ];
    let row = |(key, what): (&str, &str)| {
        Line::from(vec![paint(format!("  {key:<12}"), 1, look), Span::raw(what.to_owned())])
    };
    all.into_iter().map(row).collect()
}

/// Bars and sparklines, and the charts below.
fn first_view(feed: &Feed, width: usize, look: Look, zone: &TimeZone) -> Rows {
    let mut rows = Rows::new();
    if feed.system().is_some() {
        let how =
            status_text::Look { width, colour: look.colours, unicode: look.unicode, wraps: true };
        let mut text = Vec::new();
        // Into memory: there is nothing that could fail.
        let _infallible = status_text::measures(&mut text, &feed.glances, how);
        rows.extend(String::from_utf8_lossy(&text).lines().map(|line| coloured(line, look)));
    }
    rows.push(Line::default());
    let across = ((width + 2) / (CHART + 2)).clamp(1, 4);
    let each = (width + 2) / across - 2;
    for charts in feed.drawn.chunks(across) {
        let cells: Vec<(Line<'static>, Cells)> = charts
            .iter()
            .map(|chart| {
                let page = Page {
                    width: each,
                    field: FIELD,
                    legend: 0,
                    title: false,
                    unicode: look.unicode,
                    zone,
                };
                (title(chart, each, look), terminal::cells(chart, &page))
            })
            .collect();
        let mut heads: Vec<Span<'static>> = Vec::new();
        for (head, _) in &cells {
            let pad = each.saturating_sub(width_of(&head.spans)) + 2;
            heads.extend(head.spans.iter().cloned());
            heads.push(Span::raw(" ".repeat(pad)));
        }
        rows.push(Line::from(heads));
        for row in 0..cells.iter().map(|(_, c)| c.rows.len()).max().unwrap_or(0) {
            let mut spans: Vec<Span<'static>> = Vec::new();
            for (_, cells) in &cells {
                match cells.rows.get(row) {
                    Some(row) => spans.extend(inked(row, look)),
                    None => spans.push(Span::raw(" ".repeat(each))),
                }
                spans.push(Span::raw("  "));
            }
            rows.push(Line::from(spans));
        }
        rows.push(Line::default());
    }
    rows
}

/// A chart's title, and the current values of its lines, as far as there is room.
fn title(chart: &Chart, width: usize, look: Look) -> Line<'static> {
    let mut spans = vec![paint(cut(&chart.title, width), 1, look)];
    let mut used = width_of(&spans);
    for (number, line) in chart.lines.iter().enumerate() {
        // A line below zero shows the other direction; its value is not negative.
        let down = line.most <= 0.0 && line.least < 0.0 && chart.unit != Unit::Celsius;
        let mut value = chart.unit.format(if down { -line.last } else { line.last });
        if !look.unicode {
            value = value.replace('°', "").replace(['–', '−'], "-");
        }
        let text = format!("  {} {value}", draw::clean(&line.name));
        used += text.width();
        if used + 2 > width {
            spans.push(paint(if look.unicode { " …" } else { " ~" }, 2, look));
            break;
        }
        spans.push(paint(text, INKS[number % INKS.len()], look));
    }
    Line::from(spans)
}

/// Letters of one ink after the other as spans.
fn inked(row: &[(char, Ink)], look: Look) -> Vec<Span<'static>> {
    let mut out: Vec<Span<'static>> = Vec::new();
    let mut text = String::new();
    let mut ink = Ink::Plain;
    for (letter, next) in row.iter().filter(|(c, _)| *c != '\0') {
        if *next != ink && !text.is_empty() {
            out.push(span(std::mem::take(&mut text), ink, look));
        }
        ink = *next;
        text.push(*letter);
    }
    out.push(span(text, ink, look));
    out
}

fn span(text: String, ink: Ink, look: Look) -> Span<'static> {
    match ink {
        Ink::Plain => Span::raw(text),
        Ink::Bold => paint(text, 1, look),
        Ink::Muted => paint(text, 2, look),
        Ink::Bad => paint(text, 31, look),
        Ink::Line(n) => paint(text, INKS[n % INKS.len()], look),
        Ink::Faint(n) => {
            let span = paint(text, INKS[n % INKS.len()], look);
            let style = span.style.add_modifier(Modifier::DIM);
            if look.colours { span.style(style) } else { span }
        }
    }
}

/// Text with the colours of a terminal as spans.
fn coloured(line: &str, look: Look) -> Line<'static> {
    let mut spans = Vec::new();
    for (at, part) in line.split("\x1b[").enumerate() {
        let (code, text) = match part.split_once('m') {
            Some((code, text)) if at > 0 => (code.parse().unwrap_or(0), text),
            _ => (0, part),
        };
        if !text.is_empty() {
            spans.push(paint(text, code, look));
        }
    }
    Line::from(spans)
}

/// The series of the system whose keys hold all words of a text.
pub(super) fn found<'a>(feed: &'a Feed, text: &str) -> Vec<&'a Current> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let fits = |current: &&Current| {
        let key = current.series.key.to_lowercase();
        words.iter().all(|w| key.contains(w))
    };
    feed.system().map_or(Vec::new(), |(_, list)| list.iter().filter(fits).collect())
}

fn search(feed: &Feed, choice: &mut Choice, body: usize, width: usize, look: Look) -> Rows {
    let text = choice.search.clone().unwrap_or_default();
    let all = found(feed, &text);
    choice.found = choice.found.min(all.len().saturating_sub(1));
    let cursor = if look.unicode { "▏" } else { "_" };
    let count = format!("  {} series", show::count(all.len() as u64));
    let mut rows = vec![Line::from(vec![
        paint(" / ", 7, look),
        Span::raw(format!(" {}{cursor}", draw::clean(&text))),
        paint(count, 2, look),
    ])];
    let room = body.saturating_sub(1).max(1);
    let first = choice.found.saturating_sub(room - 1);
    for (at, current) in all.iter().enumerate().skip(first).take(room) {
        let hour = current.hour();
        // The half of it where there is less room.
        let hour = if width < 100 { &hour[hour.len() / 2..] } else { &hour[..] };
        let (low, high) = spark::bounds(hour);
        let spark = spark::spark(hour, low, high, look.unicode);
        let value = current.in_words();
        let value = if look.unicode {
            value
        } else {
            value.replace(['–', '−'], "-").replace('µ', "u")
        };
        let key = cut(&draw::clean(&current.series.key), width.saturating_sub(16 + hour.len()));
        let code = if at == choice.found { 7 } else { 0 };
        rows.push(Line::from(vec![
            Span::raw(format!("{value:>12}  ")),
            paint(spark, 36, look),
            Span::raw("  "),
            paint(key, code, look),
        ]));
    }
    if all.is_empty() {
        rows.push(Line::from(paint("  no series has this in its key", 2, look)));
    }
    rows
}

fn opened(
    key: &str,
    chart: &Result<Chart, String>,
    width: usize,
    body: usize,
    look: Look,
    zone: &TimeZone,
) -> Rows {
    match chart {
        Ok(chart) => {
            let field = body.saturating_sub(7).max(3);
            let page = Page { width, field, legend: 3, title: true, unicode: look.unicode, zone };
            let cells = terminal::cells(chart, &page);
            cells.rows.iter().map(|row| Line::from(inked(row, look))).collect()
        }
        Err(why) => {
            let text = format!("{}: {}", draw::clean(key), draw::clean(why));
            vec![Line::from(paint(cut(&text, width), 31, look))]
        }
    }
}
