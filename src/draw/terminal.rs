//! draw: from a chart to characters on a terminal: lines of braille dots, two across and four down
//! a character, or plain ASCII.

use jiff::tz::TimeZone;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::legend::{COLUMNS, chosen, values};
use super::letters::cut_by;
use super::line::stack;
use super::ticks::{Axis, axis};
use super::{Chart, Line, hours};

/// The style of a character.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ink {
    /// The terminal's own colour.
    #[default]
    Plain,
    /// Bold text.
    Bold,
    /// Muted text.
    Muted,
    /// The colour of a line, by its number.
    Line(usize),
    /// A line's colour, faint.
    Faint(usize),
    /// A problem.
    Bad,
}

/// Colours of lines on a terminal, in its own palette, so that they fit a light one as well: cyan,
/// yellow, magenta, blue, green, red, and the bright ones.
pub const INKS: [u8; 8] = [36, 33, 35, 34, 32, 31, 96, 95];

/// The chart to draw, and the size in characters.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// Letters across.
    pub width: usize,
    /// Rows of the field of lines; title, axis and legend come on top.
    pub field: usize,
    /// Rows of the legend at most.
    pub legend: usize,
    /// Whether to draw the title.
    pub title: bool,
    /// Whether letters may be more than ASCII.
    pub unicode: bool,
    /// The time zone of the axis.
    pub zone: &'a TimeZone,
}

/// Letters with their inks, row by row; all rows are of the width of the page. The second half of a
/// wide letter is `\0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cells {
    /// The rows from top to bottom.
    pub rows: Vec<Vec<(char, Ink)>>,
    width: usize,
}

impl Cells {
    fn new(width: usize) -> Self {
        Self { rows: Vec::new(), width }
    }

    fn row(&mut self) -> &mut Vec<(char, Ink)> {
        self.rows.push(vec![(' ', Ink::Plain); self.width]);
        let last = self.rows.len() - 1;
        &mut self.rows[last]
    }

    /// The page as text, with or without colours, and without spaces at the ends of rows.
    pub fn text(&self, colours: bool) -> String {
        let mut out = String::new();
        for row in &self.rows {
            let mut ink = Ink::Plain;
            let used = row.iter().rposition(|(c, _)| *c != ' ').map_or(0, |at| at + 1);
            for (letter, wanted) in row[..used].iter().filter(|(c, _)| *c != '\0') {
                if colours && *wanted != ink && *letter != ' ' {
                    out.push_str(&escape(*wanted));
                    ink = *wanted;
                }
                out.push(*letter);
            }
            if ink != Ink::Plain {
                out.push_str("\x1b[0m");
            }
            out.push('\n');
        }
        out
    }
}

fn escape(ink: Ink) -> String {
    match ink {
        Ink::Plain => "\x1b[0m".to_owned(),
        Ink::Bold => "\x1b[0;1m".to_owned(),
        Ink::Muted => "\x1b[0;2m".to_owned(),
        Ink::Bad => "\x1b[0;31m".to_owned(),
        Ink::Line(n) => format!("\x1b[0;{}m", INKS[n % INKS.len()]),
        Ink::Faint(n) => format!("\x1b[0;2;{}m", INKS[n % INKS.len()]),
    }
}

/// Writes as much of a text as fits.
fn put(row: &mut [(char, Ink)], at: usize, text: &str, ink: Ink) {
    let mut at = at;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        // Characters without width would shift nothing, and are left out.
        if wide == 0 || at + wide > row.len() {
            continue;
        }
        row[at] = (c, ink);
        if wide == 2 {
            row[at + 1] = ('\0', ink);
        }
        at += wide;
    }
}

fn put_right(row: &mut [(char, Ink)], end: usize, text: &str, ink: Ink) {
    put(row, end.saturating_sub(text.width()), text, ink);
}

/// The name or as much of it as fits.
fn cut(text: &str, most: usize, unicode: bool) -> String {
    let text = cut_by(text, |part| part.width() <= most);
    if unicode { text } else { plain(&text) }
}

/// The text in ASCII.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '…' => out.push('~'),
            '–' | '−' => out.push('-'),
            '·' => out.push(','),
            'µ' => out.push('u'),
            '∞' => out.push_str("inf"),
            '°' => {}
            c if c.is_ascii() => out.push(c),
            _ => out.push('?'),
        }
    }
    out
}

/// Dots, two across and four down a letter.
struct Dots {
    columns: usize,
    rows: usize,
    bits: Vec<u8>,
    inks: Vec<Ink>,
    faint: Vec<u8>,
    faint_inks: Vec<Ink>,
}

impl Dots {
    fn new(columns: usize, rows: usize) -> Self {
        let all = columns * rows;
        Self {
            columns,
            rows,
            bits: vec![0; all],
            inks: vec![Ink::Plain; all],
            faint: vec![0; all],
            faint_inks: vec![Ink::Plain; all],
        }
    }

    fn dot(&mut self, x: i32, y: i32, ink: Ink, faint: bool) {
        const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
        if x < 0 || y < 0 || x as usize >= self.columns * 2 || y as usize >= self.rows * 4 {
            return;
        }
        let (x, y) = (x as usize, y as usize);
        let at = y / 4 * self.columns + x / 2;
        let bit = BITS[x % 2][y % 4];
        let (bits, inks) = if faint {
            (&mut self.faint, &mut self.faint_inks)
        } else {
            (&mut self.bits, &mut self.inks)
        };
        // The first line that comes through a letter gives it its colour.
        if bits[at] == 0 {
            inks[at] = ink;
        }
        bits[at] |= bit;
    }

    /// Bresenham's line.
    fn line(&mut self, (mut x, mut y): (i32, i32), to: (i32, i32), ink: Ink) {
        let (dx, dy) = ((to.0 - x).abs(), -(to.1 - y).abs());
        let (sx, sy) = ((to.0 - x).signum(), (to.1 - y).signum());
        let mut error = dx + dy;
        loop {
            self.dot(x, y, ink, false);
            if (x, y) == to {
                return;
            }
            let twice = 2 * error;
            if twice >= dy {
                error += dy;
                x += sx;
            }
            if twice <= dx {
                error += dx;
                y += sy;
            }
        }
    }

    fn letter(&self, at: usize, unicode: bool) -> Option<(char, Ink)> {
        let (bits, ink) = match (self.bits[at], self.faint[at]) {
            (0, 0) => return None,
            (0, faint) => (faint, self.faint_inks[at]),
            (bits, _) => (bits, self.inks[at]),
        };
        if unicode {
            return char::from_u32(0x2800 + u32::from(bits)).map(|c| (c, ink));
        }
        let letter = match (matches!(ink, Ink::Faint(_)), bits & 0x1b, bits & 0xe4) {
            (true, ..) => ':',
            (_, 0, _) => '.',
            (_, _, 0) => '\'',
            _ => '*',
        };
        Some((letter, ink))
    }
}

/// Draws a chart.
pub fn cells(chart: &Chart, page: &Page<'_>) -> Cells {
    let width = page.width.max(20);
    let mut out = Cells::new(width);
    if page.title {
        head(&mut out, chart, page, width);
    }
    let field = page.field.max(2);
    let scale = match chart.extent() {
        Some((low, high)) => axis(low, high, &chart.unit, (field / 3).clamp(1, 8)),
        None => Axis { low: 0.0, high: 1.0, ticks: Vec::new() },
    };
    let labels: Vec<String> = (scale.ticks.iter())
        .map(|(_, text)| if page.unicode { text.clone() } else { plain(text) })
        .collect();
    let left = labels.iter().map(|l| l.width()).max().unwrap_or(0).min(width / 3) + 1;
    let columns = width - left - 1;
    let mut dots = Dots::new(columns, field);
    let span = ((chart.to - chart.from) as f64).max(1.0);
    let x = |ts: i64, columns: usize| {
        let share = ((ts - chart.from) as f64 / span).clamp(0.0, 1.0);
        (share * (columns.max(1) - 1) as f64).round() as i32
    };
    let y = |value: f64, rows: usize| {
        let share = (value / 2.0 - scale.low / 2.0) / (scale.high / 2.0 - scale.low / 2.0);
        ((1.0 - share.clamp(0.0, 1.0)) * (rows.max(1) - 1) as f64).round() as i32
    };
    trace(chart, &mut dots, |ts| x(ts, columns * 2), |v| y(v, field * 4));
    let mark_row = (!chart.marks.is_empty()).then(|| {
        out.row();
        out.rows.len() - 1
    });
    let first = out.rows.len();
    let (bar, cross) = if page.unicode { ('│', '┤') } else { ('|', '+') };
    for row in 0..field {
        let cells = out.row();
        cells[left] = (bar, Ink::Muted);
        for column in 0..columns {
            if let Some(letter) = dots.letter(row * columns + column, page.unicode) {
                cells[left + 1 + column] = letter;
            }
        }
    }
    for ((value, _), label) in scale.ticks.iter().zip(&labels) {
        let cells = &mut out.rows[first + y(*value, field) as usize];
        put_right(cells, left - 1, &cut(label, left - 1, page.unicode), Ink::Muted);
        cells[left] = (cross, Ink::Muted);
    }
    for value in chart.thresholds.iter().filter(|v| (scale.low..=scale.high).contains(v)) {
        let cells = &mut out.rows[first + y(*value, field) as usize];
        let dash = if page.unicode { '╌' } else { '-' };
        let empty = cells[left + 1..].iter_mut().filter(|c| c.0 == ' ');
        empty.for_each(|c| *c = (dash, Ink::Bad));
    }
    if let Some(above) = mark_row {
        let mut free = 0;
        for mark in &chart.marks {
            let at = left + 1 + x(mark.ts, columns) as usize;
            let ink = if mark.bad { Ink::Bad } else { Ink::Muted };
            let (tip, dash) = if page.unicode { ('▾', '┊') } else { ('v', ':') };
            for row in 0..field {
                let cell = &mut out.rows[first + row][at];
                if cell.0 == ' ' {
                    *cell = (dash, ink);
                }
            }
            if at < free {
                continue;
            }
            out.rows[above][at] = (tip, ink);
            let room = width.saturating_sub(at + 2).min(24);
            let text = cut(&mark.text, room, page.unicode);
            put(&mut out.rows[above], at + 2, &text, ink);
            free = at + 3 + text.width();
        }
    }
    if chart.is_empty() {
        let text = "no data in this time";
        let at = left + 1 + columns.saturating_sub(text.len()) / 2;
        put(&mut out.rows[first + field / 2], at, text, Ink::Muted);
    }
    time_axis(&mut out, chart, page, left, columns, |ts| x(ts, columns) as usize);
    legend(&mut out, chart, page, width);
    out
}

fn head(out: &mut Cells, chart: &Chart, page: &Page<'_>, width: usize) {
    let mut span = hours::span(chart.from, chart.to, page.zone);
    if !page.unicode {
        span = plain(&span);
    }
    let beside = chart.title.width() + 3 + span.width() <= width;
    let row = out.row();
    put(row, 0, &cut(&chart.title, width, page.unicode), Ink::Bold);
    if beside {
        put_right(row, width, &span, Ink::Muted);
    }
    if !beside {
        put(out.row(), 0, &cut(&span, width, page.unicode), Ink::Muted);
    }
}

fn trace(chart: &Chart, dots: &mut Dots, x: impl Fn(i64) -> i32, y: impl Fn(f64) -> i32) {
    let stacked;
    let lines: &[Line] = if chart.stacked {
        stacked = stack(&chart.lines);
        &stacked
    } else {
        &chart.lines
    };
    for (number, line) in lines.iter().enumerate() {
        for piece in line.pieces() {
            let point = |i: usize| (x(line.ts[i]), y(line.mean[i]));
            for i in piece.clone() {
                if lines.len() <= 2 && !line.min.is_empty() {
                    let (low, high) = (y(line.min[i]), y(line.max[i]));
                    for at in high..=low {
                        // Every second dot: a shade behind the line.
                        if (at + x(line.ts[i])) % 2 == 0 {
                            dots.dot(x(line.ts[i]), at, Ink::Faint(number), true);
                        }
                    }
                }
                let before = if i > piece.start { i - 1 } else { i };
                dots.line(point(before), point(i), Ink::Line(number));
            }
        }
    }
}

fn time_axis(
    out: &mut Cells,
    chart: &Chart,
    page: &Page<'_>,
    left: usize,
    columns: usize,
    x: impl Fn(i64) -> usize,
) {
    let span = ((chart.to - chart.from) as f64).max(1.0);
    let fits = |step: i64, count: usize| step as f64 / span * columns as f64 >= (count + 3) as f64;
    let ticks = hours::ticks(chart.from, chart.to, page.zone, fits);
    let (corner, flat, down) = if page.unicode { ('└', '─', '┬') } else { ('+', '-', '+') };
    let row = out.row();
    row[left] = (corner, Ink::Muted);
    row[left + 1..].iter_mut().for_each(|c| *c = (flat, Ink::Muted));
    for tick in &ticks {
        row[left + 1 + x(tick.ts)] = (down, Ink::Muted);
    }
    let row = out.row();
    let mut free = 0;
    for tick in &ticks {
        let wide = tick.text.width();
        let middle = left + 1 + x(tick.ts);
        let at = middle.saturating_sub(wide / 2).min((left + 1 + columns).saturating_sub(wide));
        if at >= free {
            put(row, at, &tick.text, if tick.strong { Ink::Plain } else { Ink::Muted });
            free = at + wide + 1;
        }
    }
}

fn legend(out: &mut Cells, chart: &Chart, page: &Page<'_>, width: usize) {
    let lines = chosen(chart, page.legend);
    if page.legend == 0 || lines.is_empty() {
        return;
    }
    let texts: Vec<[String; 4]> = lines
        .iter()
        .map(|i| {
            values(chart, &chart.lines[*i])
                .map(|text| if page.unicode { text } else { plain(&text) })
        })
        .collect();
    let widths: [usize; 4] = std::array::from_fn(|c| {
        texts.iter().map(|t| t[c].width()).max().unwrap_or(0).max(COLUMNS[c].0.len())
    });
    let numbers: usize = widths.iter().map(|w| w + 2).sum();
    let longest = lines.iter().map(|i| chart.lines[*i].name.width()).max().unwrap_or(0);
    let name = longest.clamp(12, 60).min(width.saturating_sub(numbers + 2)).max(8);
    let row = out.row();
    let mut end = 2 + name;
    for (c, (title, _)) in COLUMNS.iter().enumerate() {
        end += 2 + widths[c];
        put_right(row, end.min(width), title, Ink::Muted);
    }
    for (i, texts) in lines.iter().zip(&texts) {
        let row = out.row();
        put(row, 0, if page.unicode { "━" } else { "=" }, Ink::Line(*i));
        put(row, 2, &cut(&chart.lines[*i].name, name, page.unicode), Ink::Plain);
        let mut end = 2 + name;
        for (c, text) in texts.iter().enumerate() {
            end += 2 + widths[c];
            if end <= width {
                put_right(row, end, text, if c == 0 { Ink::Bold } else { Ink::Plain });
            }
        }
    }
    let more = chart.lines.len() - lines.len() + chart.left_out;
    if more > 0 {
        put(out.row(), 2, &format!("and {more} more"), Ink::Muted);
    }
}
