//! draw: the rows below a picture: the name of each line, and its last, smallest, mean and largest
//! value in columns.

use super::canvas::{Anchor, Canvas, MARGIN, SMALL, Shape, Text, look, wide};
use super::{Chart, Line, letters};

/// The height of a row.
pub(super) const ROW: f32 = 17.0;
const SWATCH: f32 = 12.0;
/// The smallest width of a name.
const NAME: f32 = 90.0;
const BETWEEN: f32 = 18.0;
/// Between two columns of lines.
const APART: f32 = 32.0;

type Column = (&'static str, fn(&Line) -> f64);

pub(super) const COLUMNS: [Column; 4] =
    [("last", |l| l.last), ("min", |l| l.least), ("mean", |l| l.average), ("max", |l| l.most)];

/// The order in which columns are dropped if there is no room.
const GIVEN_UP: [usize; 4] = [1, 2, 3, 0];

fn more(chart: &Chart, rows: usize) -> usize {
    chart.lines.len().saturating_sub(rows) + chart.left_out
}

/// The height of this many rows, with the space around them.
pub(super) fn height(chart: &Chart, rows: usize, width: f32) -> f32 {
    let rest = if more(chart, rows) > 0 { 1.0 } else { 0.0 };
    ROW * (rows.div_ceil(across(chart, width)) as f32 + 1.0 + rest) + 14.0
}

/// The last, least, average and largest value of a line as texts; all of a chart alike.
pub(super) fn values(chart: &Chart, line: &Line) -> [String; 4] {
    let whole = chart.lines.iter().all(|l| {
        COLUMNS.iter().map(|(_, value)| value(l)).all(|v| !v.is_finite() || v == v.trunc())
    });
    COLUMNS.map(|(_, value)| chart.unit.format_as(value(line), whole))
}

/// The number of columns: two for many lines with short names.
pub(super) fn across(chart: &Chart, width: f32) -> usize {
    if chart.lines.len() < 8 {
        return 1;
    }
    let block = |line: &Line| {
        let numbers: f32 = values(chart, line).iter().map(|v| wide(v, SMALL, true) + BETWEEN).sum();
        wide(&line.name, SMALL, false) + numbers
    };
    // The widest name and the widest numbers may be those of two lines.
    let widest = chart.lines.iter().map(block).fold(0.0, f32::max) * 1.15;
    if widest + SWATCH + 8.0 <= (width - 2.0 * MARGIN - APART) / 2.0 { 2 } else { 1 }
}

/// Draws this many rows; the row of headings is at `top`.
pub(super) fn draw(canvas: &mut Canvas, chart: &Chart, rows: usize, top: f32, width: f32) {
    let lines = chosen(chart, rows);
    let across = across(chart, width);
    let high = lines.len().div_ceil(across);
    let block = (width - 2.0 * MARGIN - APART * (across - 1) as f32) / across as f32;
    for (number, lines) in lines.chunks(high.max(1)).enumerate() {
        let left = MARGIN + (block + APART) * number as f32;
        column(canvas, chart, lines, (left, top), block);
    }
    let more = more(chart, lines.len());
    if more > 0 {
        let at = (MARGIN + SWATCH + 8.0, top + 8.0 + ROW * (high as f32 + 1.0));
        let muted = canvas.palette.muted;
        canvas.text(at, Anchor::Start, muted, format!("and {more} more"));
    }
}

/// Draws lines one below the other, in this width.
fn column(canvas: &mut Canvas, chart: &Chart, lines: &[usize], (x, top): (f32, f32), room: f32) {
    let palette = canvas.palette;
    let texts: Vec<[String; 4]> = lines.iter().map(|i| values(chart, &chart.lines[*i])).collect();
    let widths: [f32; 4] = std::array::from_fn(|c| {
        let cells = texts.iter().map(|t| wide(&t[c], SMALL, c == 0));
        cells.fold(wide(COLUMNS[c].0, SMALL, false), f32::max)
    });
    let names = lines.iter().map(|i| wide(&chart.lines[*i].name, SMALL, false));
    let longest = names.fold(0.0, f32::max);
    let mut shown = [true; 4];
    let taken = |shown: &[bool; 4]| -> f32 {
        (0..4).filter(|c| shown[*c]).map(|c| widths[c] + BETWEEN).sum()
    };
    let room = room - SWATCH - 8.0;
    for column in GIVEN_UP {
        if room - taken(&shown) >= NAME.min(longest) {
            break;
        }
        shown[column] = false;
    }
    let name_room = (room - taken(&shown)).max(20.0);
    // Numbers are drawn beside their names, not at the far edge.
    let name_width = longest.min(name_room).max((room - taken(&shown)).min(200.0));
    let left = x + SWATCH + 8.0;
    let mut right = [0.0; 4];
    let mut end = left + name_width;
    for c in (0..4).filter(|c| shown[*c]) {
        end += BETWEEN + widths[c];
        right[c] = end;
        canvas.text((end, top + 8.0), Anchor::End, palette.muted, COLUMNS[c].0);
    }
    let mut y = top + 8.0 + ROW;
    for (i, texts) in lines.iter().zip(texts) {
        let (paint, dashes) = look(&chart.lines[*i].name, *i, palette);
        if dashes.is_some() {
            let points = vec![(x, y - 4.0), (x + SWATCH, y - 4.0)];
            canvas.shapes.push(Shape::Stroke { points, width: 2.0, dashes, paint });
        } else {
            canvas.rect((x, y - 6.0), (SWATCH, 4.0), 2.0, paint);
        }
        let name = letters::cut(&chart.lines[*i].name, name_width / 1.06, SMALL, false);
        canvas.text((left, y), Anchor::Start, palette.text, name);
        for (c, text) in texts.into_iter().enumerate().filter(|(c, _)| shown[*c]) {
            canvas.shapes.push(Shape::Text(Text {
                at: (right[c], y),
                size: SMALL,
                bold: c == 0,
                anchor: Anchor::End,
                paint: palette.text,
                text,
            }));
        }
        y += ROW;
    }
}

/// The lines that the legend names: all, or those with the largest values; always in their order.
pub(super) fn chosen(chart: &Chart, rows: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..chart.lines.len()).collect();
    if all.len() > rows {
        let size = |i: usize| {
            let most = chart.lines[i].most;
            if most.is_nan() { f64::NEG_INFINITY } else { most }
        };
        all.sort_by(|a, b| size(*b).total_cmp(&size(*a)));
        all.truncate(rows);
        all.sort_unstable();
    }
    all
}

/// The picture in words.
pub(super) fn description(chart: &Chart, span: &str) -> String {
    let mut out = format!("{span}.");
    if chart.is_empty() {
        out.push_str(" No data.");
    }
    for i in chosen(chart, 8) {
        let line = &chart.lines[i];
        let [last, least, average, most] = COLUMNS.map(|(_, value)| chart.unit.format(value(line)));
        out.push_str(&format!(
            " {}: last {last}, from {least} to {most}, {average} on average.",
            line.name
        ));
    }
    out
}
